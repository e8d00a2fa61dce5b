"""``KratosMiddleware`` does nothing without a credential. It answers 503 while it cannot decide about a credential."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, RequestFactory
from django.urls import path
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_ory_logout.exceptions import TemporaryError
from django_ory_logout.kratos import request_user
from django_ory_logout.middleware import KratosMiddleware
from django_ory_logout.models import EndReason, LoginSession, LogoutReceipt
from django_ory_logout.sessions import index
from django_ory_logout.sessions.receipts import record_logout
from django_ory_logout.sessions.store import LoginSessionStore
from django_ory_logout.signals import login_session_ended
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Session

from ..conftest import Clock, Listen, Logged, SiteBrowser
from ..views.pages import WAIT, assert_refused
from .conftest import AUTHENTICATION, COOKIE, MIDDLEWARE, PUBLIC_URL, KratosBrowser

pytestmark = pytest.mark.django_db(transaction=True)

Calls = Callable[[], int]
UNDECIDED = [
    ("down", None),
    ("slow", None),
    (500, b'{"error": {"code": 500, "message": "oops"}}'),
    (502, b"<html>Bad Gateway</html>"),
    (401, b"<html>Authorization Required</html>"),
    (403, b"<html>Forbidden</html>"),
    (200, b"garbage"),
    (200, b"{}"),
]


def break_whoami(kratos_network: KratosNetwork, fault: Any, body: bytes | None) -> None:
    if body is None:
        getattr(kratos_network, fault)()
    else:
        kratos_network.replace("/sessions/whoami", body, status=fault)


@pytest.fixture
def browser(browser_of: KratosBrowser, session: Session) -> SiteBrowser:
    return browser_of(session)


@pytest.fixture
def ended(listen: Listen) -> list[dict[str, Any]]:
    return listen(login_session_ended)


# Requests without a credential


def test_public_pages_make_no_call_and_do_not_vary(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, without_login_wall: None, django_assert_num_queries: Any
) -> None:
    anonymous = browser_of()

    with django_assert_num_queries(0):
        answer = anonymous.get("/")

    assert answer.status_code == 200
    assert "Vary" not in answer.headers
    assert not answer.cookies
    assert kratos_network.calls == []


def test_public_pages_make_no_call_for_an_old_session(
    browser: SiteBrowser, kratos_network: KratosNetwork, without_login_wall: None, django_assert_num_queries: Any
) -> None:
    assert browser.user
    del browser.cookies[COOKIE]
    calls = len(kratos_network.calls)

    with django_assert_num_queries(0):
        answer = browser.get("/")

    assert "Vary" not in answer.headers
    assert len(kratos_network.calls) == calls
    assert LoginSession.objects.exists(), "it ends when a view reads the session"
    assert browser.user is None
    assert not LoginSession.objects.exists()


def test_an_anonymous_session_works_without_a_call(browser_of: KratosBrowser, whoami_calls: Calls) -> None:
    anonymous = browser_of()

    assert anonymous.get("/private/").status_code == 302
    assert anonymous.user is None

    assert whoami_calls() == 0


def test_pages_vary_by_the_cookie(browser: SiteBrowser, without_login_wall: None) -> None:
    assert browser.get("/")["Vary"] == "Cookie"


def test_without_kratos_in_the_settings_nothing_happens(
    browser: SiteBrowser, settings: Any, kratos_network: KratosNetwork
) -> None:
    registration = {"ISSUER": "https://op.example", "CLIENT_ID": "x", "TOKEN_ENDPOINT_AUTH_METHOD": "none"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": registration}}

    assert browser.user is None

    assert kratos_network.calls == []


# A middleware that runs before ours


def look_first(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware that reads the session before ours finds that there is no credential."""

    def middleware(request: Any) -> Any:
        request.session.get("language")
        return get_response(request)

    return middleware


@pytest.fixture
def read_before(settings: Any) -> None:
    place = settings.MIDDLEWARE.index(MIDDLEWARE)
    look = f"{__name__}.look_first"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], look, *settings.MIDDLEWARE[place:]]


@pytest.mark.parametrize("how", ["middleware", "csrf"])
def test_a_session_that_was_read_before_ends_without_a_credential(
    how: str, request: pytest.FixtureRequest, settings: Any, browser: SiteBrowser, ended: list[dict[str, Any]]
) -> None:
    if how == "csrf":
        settings.CSRF_USE_SESSIONS = True
    else:
        request.getfixturevalue("read_before")
    assert browser.user
    del browser.cookies[COOKIE]

    assert browser.get("/private/").status_code == 302

    assert browser.key is None
    assert [event["reason"] for event in ended] == [EndReason.KRATOS]
    assert not LogoutReceipt.objects.exists()


def look_first_async(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware that calls ``request.auser()``, as asynchronous code does."""

    async def middleware(request: Any) -> Any:
        await request.auser()
        return await get_response(request)

    return middleware


look_first_async.async_capable, look_first_async.sync_capable = True, False  # type: ignore[attr-defined]


@pytest.fixture
def asked_before(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.kratos.urls"
    place = settings.MIDDLEWARE.index(MIDDLEWARE)
    look = f"{__name__}.look_first_async"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], look, *settings.MIDDLEWARE[place:]]


def who(browser: SiteBrowser, **headers: str) -> Any:
    client = AsyncClient()
    client.cookies = browser.cookies
    return async_to_sync(client.get)("/who/", secure=True, headers=headers)


def test_user_and_auser_are_the_same(
    asked_before: None, browser_of: KratosBrowser, kratos: Kratos, session: Session
) -> None:
    anonymous = browser_of()
    assert who(anonymous).json() == {"user": "AnonymousUser", "auser": "AnonymousUser"}
    anonymous.cookies[COOKIE] = session.cookie
    assert who(anonymous).json() == dict.fromkeys(("user", "auser"), LoginSession.objects.get().user.username)
    birch = kratos.sign_in(kratos.identity("birch@example.org"))

    by_token = who(anonymous, **{"x-session-token": birch.token}).json()

    assert by_token == dict.fromkeys(("user", "auser"), LoginSession.objects.get(sid=birch.id).user.username)
    del anonymous.cookies[COOKIE]
    assert who(anonymous).json() == {"user": "AnonymousUser", "auser": "AnonymousUser"}


def test_user_and_auser_belong_to_the_first_session(browser: SiteBrowser, rf: RequestFactory) -> None:
    """After the answer, the session of the cookie is back."""
    name = browser.user["username"]
    request: Any = rf.get("/")
    request.session = browser.session
    request_user.reset_user(request)

    request.session = SiteBrowser().session

    assert request.user.get_username() == name
    assert async_to_sync(request.auser)().get_username() == name


def test_auser_is_anonymous_while_kratos_does_not_answer(rf: RequestFactory) -> None:
    request: Any = rf.get("/")
    request._acached_user = "amber"

    request_user.set_anonymous(request)

    assert not request.user.is_authenticated
    assert not async_to_sync(request.auser)().is_authenticated
    assert not hasattr(request, "_acached_user")


def test_a_session_of_another_user_that_was_read_before_stays(read_before: None, browser_of: KratosBrowser) -> None:
    anonymous = browser_of()
    assert anonymous.get("/private/").status_code == 302
    anonymous.force_login(User.objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert anonymous.user["username"] == "cedar"


# The refusal


@pytest.mark.parametrize("by", ["cookie", "token"])
@pytest.mark.parametrize(
    ("case", "kind", "code"),
    [
        ("nothing", "NoneType", None),
        ("dead", "KratosError", "session_inactive"),
        ("second factor", "SecondFactorRequired", "session_aal2_required"),
        ("unknown user", "SignInRefused", "user_refused"),
        ("logged out here", "LoggedOutMeanwhile", "logged_out_here"),
    ],
)
def test_views_learn_why_nobody_is_signed_in(
    case: str,
    kind: str,
    code: str | None,
    by: str,
    browser: SiteBrowser,
    native_client_of: KratosBrowser,
    kratos: Kratos,
    session: Session,
    settings: Any,
) -> None:
    settings.ROOT_URLCONF = "tests.kratos.urls"
    if case == "dead":
        kratos.end(session.id)
    if case == "second factor":
        kratos.required_aal, session.identity.totp_secret = "highest_available", "JBSWY3DPEHPK3PXP"
    if case == "unknown user":
        default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {**default, "CREATE_USERS": False}}}
    if case == "logged out here":
        record_logout(PUBLIC_URL, session.id)
    client = browser if by == "cookie" else native_client_of(session)

    for _ in range(2):
        assert client.get("/refusal/").json() == {"class": kind, "code": code}
    assert (client.user is None) == (code is not None)


def test_views_find_no_refusal_without_a_credential(browser_of: KratosBrowser, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.kratos.urls"

    assert browser_of().get("/refusal/").json() == {"class": "NoneType", "code": None}


# Requests that cannot be decided now


def status_after(body: bytes | None) -> int:
    """500 if waiting does not help, because another server answers in place of Kratos."""
    return 500 if body in {b"garbage", b"{}", b"<html>Forbidden</html>"} else 503


@pytest.mark.parametrize(("fault", "body"), UNDECIDED)
def test_a_browser_gets_a_page_that_says_try_again(
    browser: SiteBrowser, kratos_network: KratosNetwork, logged: Logged, fault: Any, body: bytes | None
) -> None:
    break_whoami(kratos_network, fault, body)

    answer = browser.get("/private/?a=b", headers={"accept": "text/html"})

    assert_refused(answer, status_after(body), "/private/?a=b")
    assert len(logged()) == 1
    assert logged()[0].startswith("sign-in failed: ")


@pytest.mark.parametrize(("fault", "body"), UNDECIDED)
@pytest.mark.parametrize("by", ["cookie", "token"])
def test_a_program_gets_503_as_json(
    browser: SiteBrowser,
    native_client_of: KratosBrowser,
    session: Session,
    kratos_network: KratosNetwork,
    logged: Logged,
    fault: Any,
    body: bytes | None,
    by: str,
) -> None:
    break_whoami(kratos_network, fault, body)
    client = browser if by == "cookie" else native_client_of(session)

    answer = client.get("/private/", headers={"accept": "application/json" if by == "cookie" else "text/html"})

    assert answer.status_code == status_after(body)
    assert answer.headers.get("Retry-After") == (None if answer.status_code == 500 else "5")
    assert "no-store" in answer["Cache-Control"]
    assert set(answer.json()) == {"error"}
    assert len(logged()) == 1
    assert logged()[0].startswith(f"sign-in failed: {answer.json()['error']}")


@pytest.mark.parametrize(("fault", "body"), UNDECIDED)
@pytest.mark.parametrize("by", ["cookie", "token"])
def test_an_undecided_request_logs_nobody_out(
    browser: SiteBrowser,
    native_client_of: KratosBrowser,
    session: Session,
    kratos_network: KratosNetwork,
    clock: Clock,
    ended: list[dict[str, Any]],
    fault: Any,
    body: bytes | None,
    by: str,
) -> None:
    client = browser if by == "cookie" else native_client_of(session)
    before = client.user
    key = client.key
    row = LoginSession.objects.get()
    break_whoami(kratos_network, fault, body)
    assert client.user == before, "the answer is still kept"
    clock.advance(11)

    answer = client.get("/auth/whoami/")

    assert answer.status_code == status_after(body)
    assert not answer.cookies
    assert ended == []
    kratos_network.mend()
    clock.advance(6)
    assert client.user == before
    assert client.key == key
    assert LoginSession.objects.get() == row


def test_one_bad_credential_does_not_lock_out_other_users(
    browser: SiteBrowser, native_client_of: KratosBrowser, kratos_network: KratosNetwork
) -> None:
    kratos_network.replace("/sessions/whoami", b'{"error": {"code": 500}}', status=500)
    assert native_client_of("unknown-token").get("/").status_code == 503
    kratos_network.mend()

    assert browser.user


def test_other_requests_do_not_notice(
    browser: SiteBrowser, browser_of: KratosBrowser, session: Session, kratos_network: KratosNetwork
) -> None:
    by_password = browser_of(session)
    by_password.force_login(User.objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")
    kratos_network.down()

    assert browser.get("/").status_code == 503
    assert browser_of().get("/").status_code == 200
    assert by_password.user["username"] == "cedar"


def test_without_the_cache_nothing_is_decided(
    browser: SiteBrowser, cache_down: Callable[[], None], settings: Any, whoami_calls: Calls
) -> None:
    caches, before = settings.CACHES, browser.user
    assert whoami_calls() == 1
    cache_down()

    answer = browser.get("/auth/whoami/")

    assert_refused(answer, 503, "/auth/whoami/", WAIT)
    assert whoami_calls() == 0
    settings.CACHES = caches
    assert browser.user == before


def test_without_the_database_nothing_is_decided(browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OperationalError

    before = browser.user
    index._seen.clear()
    monkeypatch.setattr(index, "confirm_alive", fail)

    assert browser.get("/private/").status_code == 503

    monkeypatch.undo()
    assert browser.user == before


def test_an_error_page_of_the_site_shows_nobody_signed_in(
    browser: SiteBrowser, settings: Any, kratos_network: KratosNetwork, clock: Clock
) -> None:
    """The page may read the user, but the app cannot know it now."""
    own = {"ory_logout/error.html": "{{ user.is_authenticated }}"}
    options = {**settings.TEMPLATES[0]["OPTIONS"], "loaders": [("django.template.loaders.locmem.Loader", own)]}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "APP_DIRS": False, "OPTIONS": options}]
    assert browser.user
    clock.advance(11)
    kratos_network.down()

    assert browser.get("/private/").text == "False"


# Views that end sessions


@pytest.mark.parametrize(
    ("method", "path", "data", "statuses"),
    [
        ("get", "/auth/logout/", {}, {200}),
        ("post", "/auth/logout/", {}, {200, 302}),
        ("get", "/auth/logout/callback/", {}, {200}),
        ("get", "/auth/logout/frontchannel/", {"iss": PUBLIC_URL, "sid": "x"}, {400}),
        ("post", "/auth/logout/backchannel/", {"logout_token": "x"}, {400}),
        ("post", "/auth/logout/backchannel", {"logout_token": "x"}, {400}),
        ("get", "/auth/callback/", {}, {400}),
    ],
)
@pytest.mark.parametrize("fault", ["down", "slow"])
def test_views_that_end_sessions_do_not_wait_for_kratos(
    browser: SiteBrowser,
    kratos_network: KratosNetwork,
    clock: Clock,
    whoami_calls: Calls,
    method: str,
    path: str,
    data: dict[str, str],
    statuses: set[int],
    fault: str,
) -> None:
    assert browser.user
    assert whoami_calls() == 1
    clock.advance(11)
    getattr(kratos_network, fault)()

    assert getattr(browser, method)(path, data).status_code in statuses

    if (method, path) != ("post", "/auth/logout/"):
        assert whoami_calls() == 0


def test_logout_ends_the_session_while_kratos_is_down(
    browser: SiteBrowser, kratos_network: KratosNetwork, clock: Clock, session: Session
) -> None:
    assert browser.user
    clock.advance(11)
    kratos_network.down()

    assert browser.post("/auth/logout/").status_code == 200

    assert not LoginSession.objects.exists()
    kratos_network.mend()
    clock.advance(11)
    browser.cookies[COOKIE] = session.cookie
    assert browser.user is None


def test_logout_without_the_kratos_cookie_is_a_full_logout(
    browser: SiteBrowser, session: Session, ended: list[dict[str, Any]]
) -> None:
    """The browser lost the cookie, and the session at Kratos may still be active."""
    assert browser.user
    del browser.cookies[COOKIE]

    browser.post("/auth/logout/")

    assert [event["reason"] for event in ended] == [EndReason.RP_INITIATED]
    assert LogoutReceipt.objects.exists()
    browser.cookies[COOKIE] = session.cookie
    assert browser.user is None


def test_a_missing_page_is_handled_like_any_page(browser: SiteBrowser, whoami_calls: Calls) -> None:
    assert browser.get("/nowhere/").status_code == 404

    assert whoami_calls() == 1


def test_the_urlconf_of_the_request_decides_which_view_it_is(
    browser: SiteBrowser, whoami_calls: Calls, settings: Any, without_login_wall: None
) -> None:
    """A middleware sets ``request.urlconf`` for one of several hosts."""
    place = settings.MIDDLEWARE.index(MIDDLEWARE)
    chosen = f"{__name__}.choose_urls"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], chosen, *settings.MIDDLEWARE[place:]]

    assert browser.get("/auth/logout/").status_code == 200

    assert whoami_calls() == 1


def choose_urls(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        request.urlconf = _OfOneHost
        return get_response(request)

    return middleware


class _OfOneHost:
    """This host has other views at our paths."""

    urlpatterns = [path("auth/logout/", lambda request: HttpResponse("another page"))]


# Asynchronous views, and Django's LoginRequiredMiddleware


def test_async_views_see_the_user(browser: SiteBrowser, session: Session, kratos: Kratos, clock: Clock) -> None:
    client = AsyncClient()
    anonymous = async_to_sync(client.get)("/private-async/")
    client.cookies[COOKIE] = session.cookie

    signed_in = async_to_sync(client.get)("/private-async/")

    assert anonymous.status_code == 302
    assert signed_in.status_code == 200
    row = LoginSession.objects.get()
    assert signed_in.content.decode() == row.user.username
    assert async_to_sync(client.get)("/private-async/").content == signed_in.content
    assert LoginSession.objects.get() == row
    kratos.end(session.id)
    clock.advance(11)
    assert async_to_sync(client.get)("/private-async/").status_code == 302
    assert not LoginSession.objects.exists()


def test_async_views_see_the_user_of_a_token(kratos_network: KratosNetwork, session: Session) -> None:
    client = AsyncClient()
    headers = {"x-session-token": session.token}

    answers = [async_to_sync(client.get)("/private-async/", headers=headers) for _ in range(2)]

    row = LoginSession.objects.get()
    assert [answer.content.decode() for answer in answers] == [row.user.username] * 2
    assert not client.cookies


def test_async_views_without_a_credential_have_no_session(browser: SiteBrowser) -> None:
    assert browser.user
    client = AsyncClient()
    client.cookies = browser.cookies
    del client.cookies[COOKIE]

    assert async_to_sync(client.get)("/private-async/").status_code == 302
    assert not LoginSession.objects.exists()


def test_the_middleware_is_async_between_async_middleware() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise AssertionError("never called")

    assert iscoroutinefunction(KratosMiddleware(view))
    assert not iscoroutinefunction(KratosMiddleware(lambda request: HttpResponse()))


def test_login_required_middleware_redirects_to_the_login_page_and_lets_users_in(
    browser: SiteBrowser, browser_of: KratosBrowser
) -> None:
    assert browser_of().get("/private/")["Location"] == "/auth/login/?next=/private/"

    assert browser.get("/private/").status_code == 200


def test_login_required_middleware_before_ours_lets_users_in_too(browser: SiteBrowser, settings: Any) -> None:
    """Django's middleware decides in ``process_view``, after all middleware has seen the request."""
    settings.MIDDLEWARE = sorted(settings.MIDDLEWARE, key=lambda name: "LoginRequired" not in name)
    wall = settings.MIDDLEWARE.pop(0)
    place = settings.MIDDLEWARE.index(AUTHENTICATION) + 1
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], wall, *settings.MIDDLEWARE[place:]]
    assert settings.MIDDLEWARE.index(wall) < settings.MIDDLEWARE.index(MIDDLEWARE)

    assert browser.get("/private/").status_code == 200


# Malformed requests


@pytest.fixture
def anybody(browser_of: KratosBrowser) -> SiteBrowser:
    return browser_of()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1), header=st.sampled_from(["cookie", "x-session-token"]))
@example(text="ory_st_" + "x" * 9000, header="x-session-token")
@example(text='"a\\073b"', header="cookie")
@example(text="a; ory_kratos_session=b", header="cookie")
@example(text="\x00\r\n", header="x-session-token")
def test_no_request_causes_a_fault(anybody: SiteBrowser, text: str, header: str) -> None:
    sent = text.encode().decode("latin-1")
    value = f"{COOKIE}={sent}" if header == "cookie" else sent

    answer = anybody.get("/auth/whoami/", headers={header: value})

    assert answer.status_code == 401
    assert not LoginSession.objects.exists()
    cache.clear()


@pytest.mark.parametrize(
    ("url", "again"),
    [
        ("/private/", "5; url=/private/?retried=1"),
        ("/private/?page=2", "5; url=/private/?page=2&retried=1"),
        ("/private/?retried=1", None),
    ],
)
def test_the_page_of_a_kratos_that_is_down_tries_again_once(
    browser: SiteBrowser, kratos_network: KratosNetwork, url: str, again: str | None
) -> None:
    kratos_network.down()

    answer = browser.get(url)

    assert (answer.status_code, answer.get("Refresh")) == (503, again)
    assert browser.post(url).get("Refresh") is None


def test_the_page_of_a_kratos_that_is_down_leads_to_no_other_host(
    browser: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    kratos_network.down()

    answer = browser.get("/", PATH_INFO="//evil.example/x")

    assert answer.status_code == 503
    assert answer["Refresh"] == "5; url=/%2Fevil.example/x?retried=1"
    assert 'href="/%2Fevil.example/x"' in answer.text


def test_a_session_without_a_credential_whose_end_cannot_be_stored_has_a_page(
    read_before: None, browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert browser.user
    del browser.cookies[COOKIE]
    with monkeypatch.context() as patch:
        patch.setattr(index, "mark_ended", Mock(side_effect=OperationalError("away")))
        answer = browser.get("/")

    assert answer.status_code == 503
    assert "Your logout is not confirmed yet" in answer.text
    assert browser.user is None


def test_a_session_store_that_fails_at_a_sign_in_is_503(browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LoginSessionStore, "store", Mock(side_effect=TemporaryError("session_store_fault")))
        answer = browser.get("/auth/whoami/", headers={"accept": "application/json"})

    assert (answer.status_code, answer.json()) == (503, {"error": "session_store_fault"})
    assert browser.user
