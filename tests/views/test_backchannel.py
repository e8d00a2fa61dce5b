"""Back-channel logout, as the provider calls it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.db import OperationalError, connections
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.oidc.messages import FORM
from django_ory_logout.sessions import index, receipts
from django_ory_logout.testing import Client, Network, Provider
from django_ory_logout.views.notices import MAX_BODY_BYTES

from ..conftest import SITE, Clock, Configure, Logged, NewBrowser, SiteBrowser
from .conftest import channels_and_codes

pytestmark = pytest.mark.django_db

PATH = "/auth/logout/backchannel/"
JWKS = "https://op.example/.well-known/jwks.json"
MISSING = "logout_token_missing: the body has no logout_token, or an empty one"
REPEATED = "logout_token_repeated: the body has more than one logout_token"


@pytest.fixture
def claims(provider: Provider, sid: str) -> dict[str, Any]:
    """The claims of a logout token that ends the session of ``signed_in``."""
    return provider.logout_token_claims("django-site", sid=sid)


@pytest.fixture
def token(provider: Provider, claims: dict[str, Any]) -> str:
    return provider.sign(claims)


@pytest.fixture
def post(new_browser: NewBrowser) -> Callable[[str], Any]:
    """Post a logout token."""
    return lambda token: new_browser().post_form(PATH, {"logout_token": token})


def assert_done(answer: Any) -> None:
    assert answer.status_code == 200
    assert answer.content == b""
    assert "no-store" in answer["Cache-Control"]


def assert_wrong(answer: Any, code: str) -> None:
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {"error": "invalid_request", "error_description": code}
    assert "no-store" in answer["Cache-Control"]
    assert "Retry-After" not in answer


def assert_try_again(answer: Any) -> None:
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {"error": "temporarily_unavailable"}
    assert answer["Retry-After"] == "5"
    assert "no-store" in answer["Cache-Control"]


# Accepted notices


def test_ends_the_session(post: Any, token: str, signed_in: SiteBrowser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "django_ory_logout")

    assert_done(post(token))

    assert signed_in.user is None
    assert caplog.messages[-2] == "back-channel logout accepted: 1 login sessions ended"


def test_repeated_delivery_is_success(post: Any, token: str, signed_in: SiteBrowser) -> None:
    assert_done(post(token))
    assert_done(post(token))

    assert LogoutReceipt.objects.count() == 1


def test_unknown_session_is_success(post: Any, provider: Provider, signed_in: SiteBrowser) -> None:
    assert_done(post(provider.logout_token("django-site", sid="of nobody")))

    assert signed_in.user


@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/")])
@pytest.mark.parametrize("append_slash", [True, False])
def test_the_url_works_with_and_without_a_slash(
    token: str, signed_in: SiteBrowser, new_browser: NewBrowser, settings: Any, path: str, append_slash: bool
) -> None:
    settings.APPEND_SLASH = append_slash

    assert_done(new_browser().post_form(path, {"logout_token": token}))

    assert signed_in.user is None


def test_needs_no_csrf_token(token: str, signed_in: SiteBrowser, new_browser: NewBrowser) -> None:
    assert_done(new_browser(enforce_csrf_checks=True).post_form(PATH, {"logout_token": token}))

    assert signed_in.user is None


def test_other_parameters_are_ignored(token: str, signed_in: SiteBrowser, new_browser: NewBrowser) -> None:
    form = {"logout_token": token, "extra": ["a", "b"], "iss": "https://evil.example"}

    assert_done(new_browser().post_form(f"{PATH}?logout_token=x", form))

    assert signed_in.user is None


def test_charset_and_case_of_the_content_type_do_not_matter(
    token: str, signed_in: SiteBrowser, new_browser: NewBrowser
) -> None:
    body = urlencode({"logout_token": token})
    content_type = "Application/X-WWW-Form-UrlEncoded; charset=UTF-8"

    assert_done(new_browser().post(PATH, body, content_type=content_type))

    assert signed_in.user is None


def test_the_largest_allowed_body_is_accepted(token: str, signed_in: SiteBrowser, new_browser: NewBrowser) -> None:
    body = f"{urlencode({'logout_token': token})}&padding="

    assert_done(new_browser().post(PATH, body.ljust(MAX_BODY_BYTES, "a"), content_type=FORM))

    assert signed_in.user is None


def test_a_notice_with_a_full_cache_makes_no_call(post: Any, token: str, network: Network) -> None:
    network.calls.clear()

    assert_done(post(token))

    assert network.calls == []


def test_a_notice_with_an_empty_cache_reads_the_providers_documents(
    post: Any, token: str, network: Network, signed_in: SiteBrowser
) -> None:
    cache.clear()
    network.calls.clear()

    assert_done(post(token))

    assert [call.url for call in network.calls] == ["https://op.example/.well-known/openid-configuration", JWKS]
    assert signed_in.user is None


def test_the_callers_own_session_stays(token: str, new_browser: NewBrowser) -> None:
    caller = new_browser()
    caller.sign_in("birch")

    assert_done(caller.post_form(PATH, {"logout_token": token}))

    assert caller.user


@pytest.mark.django_db(transaction=True)
def test_the_view_runs_in_no_transaction(
    post: Any, token: str, signed_in: SiteBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    assert_done(post(token))

    assert signed_in.user is None
    assert LogoutReceipt.objects.get().completed_at


def test_each_of_several_providers_can_send_a_notice(
    post: Any, provider: Provider, signing_key: Any, signed_in: SiteBrowser, settings: Any
) -> None:
    row = LoginSession.objects.get()
    LoginSession.objects.update(issuer="https://other.example")
    row.refresh_from_db()
    row.save()
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {**default, "ISSUER": "https://other.example", "ID_TOKEN_SIGNED_RESPONSE_ALG": "HS256"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "other": other}}

    assert_done(post(provider.logout_token("django-site", sid=str(row.sid))))
    assert signed_in.user, "a sid is unique only within its issuer"

    at_other = Provider("https://other.example")
    at_other.register(Client.of_site(SITE, "django-site", settings.CLIENT_SECRET, id_token_signed_response_alg="HS256"))
    assert_done(post(at_other.logout_token("django-site", sid=str(row.sid))))
    assert signed_in.user is None


def test_each_of_two_clients_at_one_issuer_can_receive_a_notice(
    post: Any, provider: Provider, new_browser: NewBrowser, settings: Any
) -> None:
    second = {"CLIENT_ID": "second-client", "CLIENT_SECRET": "another"}
    uris = [f"{SITE}/callback/second/"]
    provider.register(Client.of_site(SITE, "second-client", "another", redirect_uris=uris))
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    providers = {"default": default, "second": {**default, **second}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}
    browser = new_browser()
    browser.sign_in("amber", provider="second")

    assert_done(post(provider.logout_token("second-client", sid=str(LoginSession.objects.get().sid))))

    assert browser.user is None


def test_an_encrypted_token_is_accepted(
    encrypted: None, post: Any, provider: Provider, claims: Any, signed_in: SiteBrowser
) -> None:
    token = provider.sign_for(claims, "django-site")
    assert token.count(".") == 4

    assert_done(post(token))

    assert signed_in.user is None


def test_an_unencrypted_token_is_refused_if_encryption_is_registered(
    encrypted: None, post: Any, token: str, signed_in: SiteBrowser
) -> None:
    assert_wrong(post(token), "not_encrypted")

    assert signed_in.user


# Wrong notices: the answer is 400, and no session ends


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"iss": "https://evil.example"}, "issuer_unknown: iss is no configured issuer"),
        ({"iss": "https://op.example/"}, "issuer_unknown: iss is no configured issuer"),
        ({"iss": None}, "issuer_unknown: iss is no configured issuer"),
        ({"iss": {"a": []}}, "issuer_unknown: iss is no configured issuer"),
        ({"aud": ["another-site"]}, "aud_mismatch: aud contains no client of this site at that issuer"),
        ({"aud": None}, "aud_mismatch: aud contains no client of this site at that issuer"),
        ({"iat": 1}, "iat_too_old: the token was issued too long ago"),
        ({"iat": None}, "iat_missing: the token has no iat"),
        ({"jti": None}, "jti_missing: a logout token needs a jti"),
        ({"events": {}}, "events_missing: events does not contain the back-channel logout event"),
        ({"nonce": "n"}, "nonce_present: a logout token must not have a nonce"),
        ({"sid": None}, "sub_and_sid_missing: a logout token needs sub or sid"),
    ],
)
def test_a_wrong_claim_is_refused(
    post: Any,
    provider: Provider,
    claims: dict[str, Any],
    signed_in: SiteBrowser,
    network: Network,
    logged: Logged,
    refused: list[dict[str, str]],
    changes: dict[str, Any],
    line: str,
) -> None:
    network.calls.clear()
    changed = {name: value for name, value in {**claims, **changes}.items() if value is not None}

    answer = post(provider.sign(changed))

    code = line.partition(":")[0]
    assert_wrong(answer, code)
    assert logged() == [f"back-channel logout refused: {line}"]
    assert channels_and_codes(refused) == [("back-channel", code)]
    assert network.calls == []
    assert signed_in.user
    assert LogoutReceipt.objects.count() == 0


def raw(provider: Provider, payload: str) -> str:
    """A validly signed token with exactly this ``payload``."""
    key = provider.signing_key()
    message = b".".join(urlsafe_b64encode(part.encode()) for part in (json.dumps({"alg": "RS256"}), payload))
    return (message + b"." + urlsafe_b64encode(JWSRegistry.algorithms["RS256"].sign(message, key))).decode()


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("json_member_repeated", lambda claims: '{"iss": "https://evil.example", ' + claims[1:]),
        ("json_encoding_invalid", lambda claims: "\ufeff" + claims),
        ("json_number_invalid", lambda claims: '{"extra": NaN, ' + claims[1:]),
        ("json_too_deep", lambda claims: '{"extra": ' + "[" * 936 + "]" * 936 + ", " + claims[1:]),
        ("aud_invalid", lambda claims: claims.replace('"aud": ["django-site"]', '"aud": ["django-site", null]')),
    ],
)
def test_a_signed_token_that_parsers_read_differently_is_refused(
    post: Any,
    provider: Provider,
    claims: dict[str, Any],
    signed_in: SiteBrowser,
    code: str,
    change: Callable[[str], str],
) -> None:
    assert_wrong(post(raw(provider, change(json.dumps(claims)))), code)
    assert signed_in.user

    assert_done(post(raw(provider, json.dumps(claims))))


@pytest.mark.parametrize(
    ("code", "header"),
    [
        ("crit_invalid", {"crit": []}),
        ("crit_invalid", {"crit": ["alg"]}),
        ("crit_unsupported", {"crit": ["exp"], "exp": 1}),
        ("header_invalid", {"x5c": "a certificate"}),
        ("header_invalid", {"cty": 7}),
        ("payload_unencoded", {"b64": False}),
    ],
)
def test_a_header_that_is_not_allowed_is_refused(
    post: Any, provider: Provider, claims: dict[str, Any], signed_in: SiteBrowser, code: str, header: dict[str, Any]
) -> None:
    assert_wrong(post(provider.sign(claims, header=header)), code)

    assert signed_in.user


@pytest.mark.parametrize("depth", [65, 936, 5000])
def test_a_deeply_nested_header_is_refused(post: Any, signed_in: SiteBrowser, provider: Provider, depth: int) -> None:
    header = urlsafe_b64encode(b'{"alg": "RS256", "x": ' + b"[" * depth + b"]" * depth + b"}").decode()
    _, payload, signature = provider.logout_token("django-site", sub="amber").split(".")

    assert_wrong(post(f"{header}.{payload}.{signature}"), "json_too_deep")

    assert signed_in.user


def test_exp_is_required_if_a_setting_says_so(
    post: Any, token: str, configure: Configure, logged: Logged, signed_in: SiteBrowser
) -> None:
    configure(LOGOUT_TOKEN_EXP_REQUIRED=True)

    assert_wrong(post(token), "exp_missing")

    assert logged() == ["back-channel logout refused: exp_missing: the token has no exp"]
    assert signed_in.user


def test_a_signature_with_another_key_is_refused(
    post: Any, claims: dict[str, Any], provider: Provider, signed_in: SiteBrowser, logged: Logged
) -> None:
    forger = Provider("https://op.example")

    assert_wrong(post(forger.sign(claims, header={"kid": provider.signing_key().kid})), "signature_invalid")

    assert logged() == ["back-channel logout refused: signature_invalid: no key of the issuer verifies the signature"]
    assert signed_in.user


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "a.b.c.d.e", "." * 4000])
def test_a_missing_token_is_refused(post: Any, refused: list[dict[str, str]], network: Network, token: str) -> None:
    assert_wrong(post(token), "malformed")

    assert channels_and_codes(refused) == [("back-channel", "malformed")]
    assert network.calls == []


def test_an_id_token_is_refused(post: Any, provider: Provider, sid: str, signed_in: SiteBrowser) -> None:
    assert_wrong(post(provider.id_token(provider.login_sessions[sid], "django-site")), "events_missing")

    assert signed_in.user


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ([("iss", "https://op.example")], MISSING),
        ([("logout_token", "")], MISSING),
        ([("token", "TOKEN")], MISSING),
        ([("logout_token", "TOKEN"), ("logout_token", "TOKEN")], REPEATED),
        ([("logout_token", ""), ("logout_token", "TOKEN")], REPEATED),
        ([("logout_token", ""), ("logout_token", "")], REPEATED),
        ([("logout_token", "TOKEN"), *[("a", "")] * 1000], "body_invalid: TooManyFieldsSent"),
    ],
)
def test_several_tokens_in_a_form_are_refused(
    token: str,
    signed_in: SiteBrowser,
    new_browser: NewBrowser,
    logged: Logged,
    form: list[tuple[str, str]],
    line: str,
) -> None:
    body = urlencode(form).replace("TOKEN", token)

    answer = new_browser().post(PATH, body, content_type=FORM)

    assert_wrong(answer, line.partition(":")[0])
    assert logged() == [f"back-channel logout refused: {line}"]
    assert signed_in.user


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=a", "text/plain", ""])
def test_another_content_type_is_refused(
    token: str, signed_in: SiteBrowser, new_browser: NewBrowser, logged: Logged, content_type: str
) -> None:
    answer = new_browser().post(PATH, urlencode({"logout_token": token}), content_type=content_type)

    assert_wrong(answer, "content_type_invalid")
    assert logged() == [f"back-channel logout refused: content_type_invalid: the body is not {FORM}"]
    assert signed_in.user


def test_a_body_that_is_too_large_is_refused(
    token: str, signed_in: SiteBrowser, new_browser: NewBrowser, logged: Logged
) -> None:
    body = f"{urlencode({'logout_token': token})}&padding=".ljust(MAX_BODY_BYTES + 1, "a")

    answer = new_browser().post(PATH, body, content_type=FORM)

    assert_wrong(answer, "body_too_large")
    assert logged() == ["back-channel logout refused: body_too_large: the body is larger than 65536 bytes"]
    assert signed_in.user


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options"])
def test_other_methods_are_refused(signed_in: SiteBrowser, token: str, method: str) -> None:
    answer = getattr(signed_in, method)(f"{PATH}?logout_token={token}")

    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert "no-store" in answer["Cache-Control"]
    assert signed_in.user


# Undecided notices: the answer is 503, and the next delivery succeeds


def test_an_unknown_kid_within_the_cool_down_is_undecided(
    post: Any,
    provider: Provider,
    claims: dict[str, Any],
    signed_in: SiteBrowser,
    clock: Clock,
    logged: Logged,
    refused: list[dict[str, str]],
) -> None:
    def signed_with_another_key() -> str:
        provider.rotate_keys()
        token = provider.sign(claims)
        provider.keys.pop(0)
        return token

    assert_wrong(post(signed_with_another_key()), "kid_unknown")
    refused.clear()
    provider.rotate_keys()
    token = provider.sign(claims)

    assert_try_again(post(token))

    assert logged()[1:] == [
        f"back-channel logout cannot be decided now: cooling_down: {JWKS} was asked less than 5 s ago",
    ]
    assert refused == []
    assert signed_in.user
    clock.advance(5)
    assert_done(post(token))
    assert signed_in.user is None


def test_an_unknown_kid_is_refused_after_the_keys_were_fetched(
    post: Any, claims: dict[str, Any], signed_in: SiteBrowser, network: Network, clock: Clock, logged: Logged
) -> None:
    forged = Provider("https://op.example").sign(claims)
    clock.advance(5)
    network.calls.clear()

    assert_wrong(post(forged), "kid_unknown")
    assert_try_again(post(forged))

    assert [call.url for call in network.calls] == [JWKS]
    assert logged()[0] == (
        "back-channel logout refused: kid_unknown: the issuer's JWKS has no fitting RS256 key for this token"
    )
    assert signed_in.user


def test_a_notice_while_the_provider_is_unreachable_is_undecided(
    post: Any, token: str, signed_in: SiteBrowser, network: Network, logged: Logged, clock: Clock
) -> None:
    cache.clear()
    network.down()

    assert_try_again(post(token))

    assert logged() == [
        "back-channel logout cannot be decided now: "
        "unreachable: GET https://op.example/.well-known/openid-configuration: ConnectionError"
    ]
    network.mend()
    clock.advance(5)
    assert_done(post(token))
    assert signed_in.user is None


@pytest.mark.parametrize("step", ["record", "mark_ended", "delete_ended", "complete"])
def test_a_database_fault_at_any_step_is_undecided(
    post: Any,
    token: str,
    signed_in: SiteBrowser,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("the database is gone")

    with monkeypatch.context() as broken:
        broken.setattr(receipts if step in {"record", "complete"} else index, step, fail)
        assert_try_again(post(token))

    [record] = [record for record in caplog.records if record.name == "django_ory_logout"]
    assert record.getMessage() == "back-channel logout cannot be decided now: database_fault: OperationalError"
    assert not LogoutReceipt.objects.exclude(completed_at=None).exists()
    assert_done(post(token))
    assert signed_in.user is None
    assert LogoutReceipt.objects.get().completed_at
