"""Settings of a wrong type: each check and page shows the value and the line to write, but no secret."""

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import clear_url_caches, include, path
from django.utils.functional import lazystr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_ory_logout import conf
from django_ory_logout.conf import HYDRA_SETTINGS, KRATOS_SETTINGS, PROVIDER_SETTINGS, SETTINGS, Problem

from .conf.test_lookup import PRIVATE_KEY, entry, problems, site
from .oidc.samples import ABSENT, changed

SECRET = "correct-horse-battery"
ENTRY = settings.ORY_LOGOUT["PROVIDERS"]["default"]


def told(given: Any) -> tuple[str, str]:
    (problem,) = problems(given)
    return problem.message.rpartition("cannot be used: ")[2], problem.hint.rpartition("Write: ")[2]


@pytest.mark.parametrize(
    ("name", "value", "seen", "line"),
    [
        ("SCOPE", ["openid", "profile"], "it is ['openid', 'profile'], of the type list.", "'openid profile'"),
        ("SCOPE", ("profile",), "it is ('profile',), of the type tuple.", "'openid profile'"),
        ("SCOPE", "profile,email", "it is 'profile,email'.", "'openid profile email'"),
        ("SCOPE", [""], "it is [''], of the type list.", "'openid'"),
        ("SCOPE", "openid,profile", "it is 'openid,profile'.", "'openid profile'"),
        ("SCOPE", "openid+email", "it is 'openid+email'.", "'openid email'"),
        ("SCOPE", "openid2 email", "it is 'openid2 email'.", "'openid profile email'"),
        ("SCOPE", "a+b,c", "it is 'a+b,c'.", "'openid a+b c'"),
        ("POST_LOGOUT_REDIRECT_URI", "/bye/", "it is '/bye/'.", "'https://www.example.org/'"),
        ("SCOPE", b"openid", "it is b'openid', of the type bytes.", "'openid'"),
        ("SCOPE", lazystr("openid"), "it is of the type lazy text, and is not shown.", "'openid profile email'"),
        ("SCOPE", None, "it is None.", "'openid profile email'"),
        ("SCOPE", True, "it is True, of the type bool.", "'openid profile email'"),
        ("SCOPE", "x" * 200, "it is of the type str, and is not shown.", "'openid profile email'"),
        ("ISSUER", "op.example", "it is 'op.example'.", "'https://op.example'"),
        ("ISSUER", "", "it is ''.", "'https://login.example.org'"),
        ("ISSUER", "http://[", "it is 'http://['.", "'https://login.example.org'"),
        (
            "ISSUER",
            "https://op.example/.well-known/openid-configuration",
            "it is 'https://op.example/.well-known/openid-configuration'.",
            "'https://op.example'",
        ),
        ("CLIENT_ID", 7, "it is 7, of the type int.", "'7'"),
        ("CLIENT_ID", 10**1000, "it is of the type int, and is not shown.", "os.environ['OIDC_CLIENT_ID']"),
        ("CLIENT_SECRET", None, "it is None.", "os.environ['OIDC_CLIENT_SECRET']"),
        (
            "CLIENT_SECRET",
            [SECRET],
            "it is of the type list, and is not shown.",
            "os.environ['OIDC_CLIENT_SECRET']",
        ),
        ("USERINFO", "True", "it is 'True', of the type str.", "True"),
        ("USERINFO", 0, "it is 0, of the type int.", "False"),
        ("RESPONSE_MODE", "FORM_POST", "it is 'FORM_POST'.", "'form_post'"),
        ("END_SESSION_REQUEST_METHOD", "post", "it is 'post'.", "'POST'"),
        ("ACR_VALUES_REQUIRED", "phr phrh", "it is 'phr phrh', of the type str.", "['phr', 'phrh']"),
        ("AUTHORIZATION_PARAMETERS", {"max_age": 60}, "it is {'max_age': 60}.", "{'max_age': '60'}"),
        (
            "AUTHORIZATION_PARAMETERS",
            {"client_secret": 5},
            "it is of the type dict, and is not shown.",
            "{'max_age': '60'}",
        ),
        ("HYDRA", [SECRET], "it is of the type list, and is not shown.", "{'ADMIN_URL': 'http://hydra:4445'}"),
    ],
)
def test_the_message_about_a_provider_says_how_to_fix_it(name: str, value: Any, seen: str, line: str) -> None:
    assert told(entry(**{name: value})) == (seen, f"{name!r}: {line}")


@pytest.mark.parametrize(
    ("name", "value", "seen", "line"),
    [
        ("PROVIDERS", [ENTRY], "it is of the type list, and is not shown.", SETTINGS["PROVIDERS"].example),
        ("PROVIDERS", {}, "it is {}.", SETTINGS["PROVIDERS"].example),
        ("SESSION_RECHECK_SECONDS", "60", "it is '60', of the type str.", "60"),
        ("SESSION_RECHECK_SECONDS", "0.5", "it is '0.5', of the type str.", "0.5"),
        ("SESSION_RECHECK_SECONDS", float("inf"), "it is inf.", "10"),
        ("NEXT_ALLOWED_HOSTS", frozenset({"a.example"}), "it is frozenset({'a.example'}), of the type frozenset.", ""),
        ("NEXT_ALLOWED_HOSTS", "a.example, b.example", "it is 'a.example, b.example', of the type str.", ""),
        ("NEXT_ALLOWED_HOSTS", ["https://a.example/b"], "it is ['https://a.example/b'].", "['a.example']"),
        ("NEXT_ALLOWED_HOSTS", "http://a.b:80 c.d", "it is 'http://a.b:80 c.d', of the type str.", "['a.b:80', 'c.d']"),
        *[
            ("NEXT_ALLOWED_HOSTS", [host], f"it is [{host!r}].", "['shop.example.org']")
            for host in (".a.example", "*", "*.a.example", "", "a b", "/x")
        ],
        ("SITE_URL", "http//rp.example", "it is 'http//rp.example'.", "'http://rp.example'"),
        ("SITE_URL", "https:/rp.example", "it is 'https:/rp.example'.", "'https://rp.example'"),
        ("SITE_URL", "localhost:8000", "it is 'localhost:8000'.", "'http://localhost:8000'"),
        ("SITE_URL", "rp.example", "it is 'rp.example'.", "'https://rp.example'"),
        ("SITE_URL", "https://rp.example/shop?a", "it is 'https://rp.example/shop?a'.", "'https://rp.example'"),
        ("SITE_URL", f"https://a:{SECRET}@b", "it is of the type str, and is not shown.", ""),
    ],
)
def test_the_message_about_the_site_says_how_to_fix_it(name: str, value: Any, seen: str, line: str) -> None:
    said = told(site(**{name: value}))

    assert said[0] == seen
    assert said[1].startswith(f"{name!r}: {line}")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, ["ORY_LOGOUT is missing.", "ORY_LOGOUT = {'SITE_URL': 'https://"]),
        ([], ["ORY_LOGOUT is of the type list, not a dict.", "ORY_LOGOUT = {'SITE_URL': 'https://"]),
        (site(PROVIDERS={"a": SECRET}), ["['a'] is of the type str, not a dict.", "'a': {'ISSUER': 'https://"]),
        (entry(ISSUER="http://op.example"), ["is not https: it is 'http://op.example'.", "'https://op.example'"]),
        (
            entry(ISSUER=f"http://a:{SECRET}@op.example"),
            ["is not https: it is an http URL, and is not shown.", "'ISSUER': 'https://…'"],
        ),
        (entry(CLIENT_SECRET=ABSENT), ["needs CLIENT_SECRET.", "'CLIENT_SECRET': os.environ['OIDC_CLIENT_SECRET']"]),
        (entry(ID_TOKEN_ENCRYPTED_RESPONSE_ALG="ECDH-ES"), ["(ECDH-ES)", "'DECRYPTION_KEY': json.loads("]),
        (entry(REVOKE_TOKENS_AT_LOGOUT=True), ["KEEP_TOKENS is False", "Write: 'KEEP_TOKENS': True"]),
        (site(PROVIDERS={"a": ENTRY, "b": ENTRY}), ["The PROVIDERS 'a' and 'b' have", "'django-site'", "Remove 'b'"]),
        (
            site(PROVIDERS={"a": ENTRY, "b c": {**ENTRY, "CLIENT_ID": "another"}}),
            ["['b c']: the alias cannot be part", "Write: 'b-c': {…}"],
        ),
        (entry(HYDRA={"ADMIN_URL": "http://hydra:4445/admin"}), ["Write: 'ADMIN_URL': 'http://hydra:4445'"]),
        (
            site(
                PROVIDERS={
                    "a": ENTRY,
                    "b": {**ENTRY, "ISSUER": f"{ENTRY['ISSUER']}/"},
                    "c": {"KRATOS": {"PUBLIC_URL": ENTRY["ISSUER"]}},
                }
            ),
            ["The PUBLIC_URL of 'c', 'https://op.example', is", "Remove the provider with the wrong ISSUER."],
        ),
        (entry(HYDRA={}), ["lacks 'ADMIN_URL'", "Write: 'ADMIN_URL': 'http://hydra:4445'"]),
        (
            entry(HYDRA={"ADMIN_URL": "http://hydra:4445", "ADMIN_TOKEN": SECRET}),
            ["['ADMIN_URL'] is not https: it is 'http://hydra:4445'.", "Write: 'ADMIN_URL': 'https://hydra:4445'"],
        ),
        (
            entry(KRATOS={"PUBLIC_URL": "https://login.example", "ADMIN_TOKEN": SECRET}),
            ["has ADMIN_TOKEN, but no ADMIN_URL", "'ADMIN_URL': 'http://kratos:4434', or remove ADMIN_TOKEN."],
        ),
        (entry(KRATOS={"PUBLIC_URL": "http://login.example"}), ["it is 'http://login.example'.", "'https://login."]),
    ],
)
def test_the_message_about_the_whole_setting_says_how_to_fix_it(given: Any, words: list[str]) -> None:
    (problem,) = problems(given)

    assert [word for word in words if word not in f"{problem.message} {problem.hint}"] == []
    assert SECRET not in f"{problem}"


# Any value for any setting

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.builds(object),
    st.text().map(lazystr),
    st.sampled_from(["60", "True", "openid", "https://", "http://[", "https://a/.well-known/openid-configuration"]),
)
_KEYS = st.sampled_from([*SETTINGS, *PROVIDER_SETTINGS, *HYDRA_SETTINGS, *KRATOS_SETTINGS, "kty", "crv", "d", "issuer"])
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(st.text(), max_size=3),
        st.dictionaries(st.one_of(_KEYS, st.text(), st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=4,
)


def _places(value: Any) -> Iterator[dict[str, Any]]:
    yield from (site(**{name: value}) for name in SETTINGS)
    yield from (entry(**{name: value}) for name in PROVIDER_SETTINGS)
    yield from (entry(HYDRA=changed({"ADMIN_URL": "https://hydra.example"}, {name: value})) for name in HYDRA_SETTINGS)
    yield from (entry(KRATOS=changed({"PUBLIC_URL": "https://a.example"}, {name: value})) for name in KRATOS_SETTINGS)
    yield site(PROVIDERS={"a": value, "b": ENTRY})


@hypothesis_settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_value_of_any_setting_is_accepted_or_reported(value: Any) -> None:
    for ory_logout in [value, *_places(value)]:
        found = problems(ory_logout)
        assert all(isinstance(problem, Problem) and problem.message and problem.hint for problem in found)
        with override_settings(ORY_LOGOUT=ory_logout):
            try:
                conf.get()
            except ImproperlyConfigured as error:
                assert str(error).startswith(found[0].message)  # noqa: PT017 - some values are correct
            else:
                assert found == []


_MEMBERS = st.dictionaries(st.sampled_from([*PRIVATE_KEY, "k", "n", "e", "p", "use", "key_ops"]), _SCALARS, max_size=4)


@hypothesis_settings(max_examples=200, deadline=None)
@given(_MEMBERS, st.sampled_from(["EC", "RSA", "oct", "OKP", "none"]), st.booleans())
def test_any_decryption_key_is_accepted_or_reported(members: dict[str, Any], kty: str, is_near: bool) -> None:
    key = {**(PRIVATE_KEY if is_near else {"kty": kty}), **members}

    assert [problem.code for problem in problems(entry(DECRYPTION_KEY=key))] in ([], ["E027"])


@pytest.mark.parametrize("value", [None, 7, [], {}, b"x", "60", True, lazystr("x"), object()])
def test_no_check_of_the_site_raises(value: Any) -> None:
    for ory_logout in _places(value):
        with override_settings(ORY_LOGOUT=ory_logout):
            run_checks()


@pytest.mark.parametrize("changes", [{"PROVIDERS": [{**ENTRY, "CLIENT_SECRET": SECRET}]}, {"SITE_URL": "rp.example"}])
def test_the_first_page_shows_the_message_of_the_check(changes: dict[str, Any]) -> None:
    client = Client(raise_request_exception=False)
    with override_settings(ORY_LOGOUT=site(**changes), DEBUG=True):
        page = unescape(client.get("/").content.decode())
        (problem,) = conf.problems()

    assert f"{problem.message} {problem.hint}" in page
    assert SECRET not in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("login_url", "is_by_middleware"),
    [("ory_logout:signin", True), ("login", True), ("ory_logout:signin", False), ("login", False), (None, False)],
)
def test_login_url_that_names_no_page_is_told_by_the_first_page(login_url: Any, is_by_middleware: bool) -> None:
    client = Client(raise_request_exception=False)
    middleware = [one for one in settings.MIDDLEWARE if is_by_middleware or "LoginRequired" not in one]
    with override_settings(LOGIN_URL=login_url, DEBUG=True, MIDDLEWARE=middleware, ROOT_URLCONF=Failing()):
        page = unescape(client.get("/members/").content.decode())
    clear_url_caches()

    assert "login_url_unknown" in page
    assert f'LOGIN_URL is {login_url!r}, which names no page. Write: LOGIN_URL = "ory_logout:login"' in page


@pytest.mark.django_db
@pytest.mark.parametrize("login_url", ["login", "ory_logout:login"])
def test_another_fault_is_not_taken_for_login_url(login_url: str) -> None:
    client = Client(raise_request_exception=False)
    with override_settings(LOGIN_URL=login_url, DEBUG=True, ROOT_URLCONF=Failing()):
        page = unescape(client.get("/").content.decode())
    clear_url_caches()

    assert "login_url_unknown" not in page
    assert "a fault of the site" in page


# URLs that are not included


class Failing:
    """A root URLconf with ours, a page for members, and one that fails."""

    def __init__(self) -> None:
        self.urlpatterns = [
            path("", fail),
            path("members/", login_required(private)),
            path("auth/", include("django_ory_logout.urls")),
        ]


@login_not_required
def fail(request: HttpRequest) -> HttpResponse:
    raise TypeError("a fault of the site")


class WithoutOurs:
    """A root URLconf without our URLs."""

    def __init__(self) -> None:
        self.urlpatterns = [path("", private)]


def private(request: HttpRequest) -> HttpResponse:
    raise AssertionError("never called")


TWO = site(PROVIDERS={"a": ENTRY, "b": {**ENTRY, "CLIENT_ID": "another", "SHARED_REDIRECT_URI": True}})


@pytest.fixture
def without_ours() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=WithoutOurs(), ORY_LOGOUT=TWO):
        yield
    clear_url_caches()


@pytest.mark.usefixtures("without_ours")
def test_the_check_reports_missing_urls() -> None:
    found = {message.id: message for message in run_checks()}

    assert "ory_logout.W083" not in found

    message = found["ory_logout.E053"]
    assert "WithoutOurs" in message.msg
    assert message.hint == 'Write in its urlpatterns: path("auth/", include("django_ory_logout.urls"))'


@pytest.mark.django_db
@pytest.mark.usefixtures("without_ours")
def test_the_first_page_reports_missing_urls() -> None:
    client = Client(raise_request_exception=False)
    with override_settings(DEBUG=True):
        page = client.get("/").content.decode()

    assert "urls_missing" in page
    assert "include(&quot;django_ory_logout.urls&quot;)" in page
    assert "urls_missing" not in client.get("/").content.decode()


@pytest.mark.usefixtures("without_ours")
def test_an_absolute_url_without_our_urls_is_reported() -> None:
    with pytest.raises(ImproperlyConfigured, match="does not include the URLs of django_ory_logout"):
        conf.get().absolute("callback")
