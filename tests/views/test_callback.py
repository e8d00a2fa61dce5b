"""The end of a sign-in: the user is signed in, or nothing changes."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.test import override_settings

from django_ory_logout.backends import ProviderBackend
from django_ory_logout.flows.login import SALT, PendingSignIn
from django_ory_logout.models import LoginSession
from django_ory_logout.sessions import engines
from django_ory_logout.sessions.index import INDEX_KEY
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Client, Network, Person, Provider
from django_ory_logout.views.cookies import DONE, PENDING

from ..conftest import SITE, Clock, Configure, Connect, Listen, Logged, NewBrowser, SiteBrowser, query_of
from .pages import REFUSED, SET_UP_WRONGLY, assert_refused, assert_still_signed_in, title_of
from .test_login import pending_cookies

TOKEN = "https://op.example/oauth2/token"
RETRY = "/auth/login/?provider=default"

pytestmark = pytest.mark.django_db

Claims = dict[str, Any]


def claims_of(token: str) -> Claims:
    """The claims of a signed token, not verified."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


@pytest.fixture
def id_token(network: Network, provider: Provider) -> Callable[..., None]:
    """Change claims of the provider's ID tokens; ``None`` removes one."""

    def change(**changes: Any) -> None:
        def changed(document: Claims) -> Claims:
            claims = {**claims_of(document["id_token"]), **changes}
            token = provider.sign({name: value for name, value in claims.items() if value is not None})
            return {**document, "id_token": token}

        network.change("/oauth2/token", changed)

    return change


def state_of(browser: SiteBrowser) -> str:
    return query_of(browser.start())["state"]


# Successful sign-ins


def test_signs_in_and_redirects_to_next(browser: SiteBrowser) -> None:
    answer = browser.sign_in("amber", next="/private/?a=1")

    assert answer.status_code == 302
    assert answer["Location"] == "/private/?a=1"
    assert "no-store" in answer["Cache-Control"]
    [spent] = [cookie for name, cookie in answer.cookies.items() if PENDING in name]
    assert (spent.value, spent["max-age"], spent["path"], spent["secure"]) == ("", 0, "/", True)
    row = LoginSession.objects.get()
    assert browser.user == {
        "authenticated": True,
        "username": row.user.get_username(),
        "provider": "default",
        "issuer": "https://op.example",
        "subject": "amber",
        "sid": row.sid,
    }
    assert row.session_key == browser.key


def test_redirects_to_login_redirect_url_without_next(browser: SiteBrowser, settings: Any) -> None:
    settings.LOGIN_REDIRECT_URL = "ory_logout:sessions"

    assert browser.sign_in()["Location"] == "/auth/sessions/"


def test_form_post_signs_in(browser: SiteBrowser, network: Network, configure: Configure) -> None:
    configure(RESPONSE_MODE="form_post")
    response = query_of(network.follow(browser.start(next="/private/")))

    answer = browser.post_form("/auth/callback/", response)

    assert answer["Location"] == "/private/"
    assert browser.user


def test_form_post_needs_no_csrf_token(new_browser: NewBrowser, network: Network) -> None:
    browser = new_browser(enforce_csrf_checks=True)
    response = query_of(network.follow(browser.start()))

    assert browser.post_form("/auth/callback/", response).status_code == 302
    assert browser.user


def come_back_by_form_post(browser: SiteBrowser, callback: str) -> Any:
    """A post from another site: the browser sends no cookie that is ``SameSite=Lax``."""
    browser.cookies.pop("sessionid", None)
    return browser.post_form("/auth/callback/", query_of(callback))


def test_form_post_ends_the_earlier_login_session_although_its_cookie_is_not_sent(
    browser: SiteBrowser, network: Network, configure: Configure
) -> None:
    configure(RESPONSE_MODE="form_post")
    come_back_by_form_post(browser, network.follow(browser.start()))
    before = SiteBrowser()
    before.cookies["sessionid"] = str(browser.key)
    assert before.user

    come_back_by_form_post(browser, network.follow(browser.start()))

    assert browser.user
    assert before.user is None
    assert LoginSession.objects.count() == 1


def test_form_post_that_is_refused_ends_nothing(browser: SiteBrowser, network: Network, configure: Configure) -> None:
    configure(RESPONSE_MODE="form_post")
    come_back_by_form_post(browser, network.follow(browser.start()))
    key = str(browser.key)
    callback = network.follow(browser.start())
    network.down()

    assert come_back_by_form_post(browser, callback).status_code == 503

    browser.cookies["sessionid"] = key
    assert browser.user


def test_several_tabs_can_come_back_in_any_order(browser: SiteBrowser, network: Network) -> None:
    first, second = browser.start(next="/first/"), browser.start(next="/second/")

    assert browser.visit(network.follow(second))["Location"] == "/second/"
    assert browser.visit(network.follow(first))["Location"] == "/first/"
    assert browser.user
    assert LoginSession.objects.count() == 1


@pytest.mark.parametrize("subject", ["amber", "birch"])
def test_session_key_changes_at_every_sign_in(browser: SiteBrowser, subject: str) -> None:
    browser.sign_in("amber")
    before, row = browser.key, LoginSession.objects.get()

    browser.sign_in(subject)

    assert browser.key
    assert browser.key != before
    assert LoginSession.objects.get() != row
    old = SiteBrowser()
    old.cookies["sessionid"] = str(before)
    assert old.user is None


def test_a_session_that_an_attacker_planted_is_not_signed_in(browser: SiteBrowser) -> None:
    browser.get("/private/")
    session = browser.session
    session["cart"] = ["apple"]
    session.save()
    planted = browser.key
    assert planted

    browser.sign_in()

    assert browser.key != planted
    assert browser.session["cart"] == ["apple"]
    attacker = SiteBrowser()
    attacker.cookies["sessionid"] = planted
    assert attacker.user is None


def test_no_data_of_the_former_user_stays(browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    session = browser.session
    session["cart"] = ["apple"]
    session.save()

    browser.sign_in("birch")

    assert "cart" not in browser.session


def test_a_password_session_is_replaced(browser: SiteBrowser) -> None:
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")
    before = browser.key

    browser.sign_in("amber")

    assert browser.user
    assert browser.user["subject"] == "amber"
    assert browser.key != before


def test_a_signal_is_sent_for_a_sign_in(browser: SiteBrowser, listen: Listen) -> None:
    logged_in = listen(user_logged_in)

    browser.sign_in()

    [arguments] = logged_in
    assert arguments["user"] == LoginSession.objects.get().user


def test_sent_secret_is_form_encoded_in_basic(
    browser: SiteBrowser, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[requests.PreparedRequest] = []
    send = network.send

    def record(request: requests.PreparedRequest, **_options: Any) -> requests.Response:
        sent.append(request)
        return send(request)

    monkeypatch.setattr(network, "send", record)

    browser.sign_in()

    credentials = base64.b64encode(b"django-site:a+secret%3A+50%25+of+it+%2B+more").decode()
    [authorization] = [request.headers["Authorization"] for request in sent if request.url == TOKEN]
    assert authorization == f"Basic {credentials}"
    assert "client_secret" not in network.calls[-1].form


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        ("client_secret_post", {"client_id": "django-site", "client_secret": "a secret: 50% of it + more"}),
        ("none", {"client_id": "django-site"}),
    ],
)
def test_client_authenticates_as_registered(
    browser: SiteBrowser, network: Network, provider: Provider, configure: Configure, method: str, sent: dict[str, str]
) -> None:
    client = Client.of_site(SITE, "django-site", sent.get("client_secret", ""), token_endpoint_auth_method=method)
    provider.register(client)
    configure(TOKEN_ENDPOINT_AUTH_METHOD=method)

    browser.sign_in()

    assert browser.user
    [form] = [call.form for call in network.calls if call.url == TOKEN]
    assert {name: form[name] for name in form if name.startswith("client_")} == sent


def test_code_is_sent_with_its_verifier_and_redirect_uri(browser: SiteBrowser, network: Network) -> None:
    back = network.follow(browser.start())

    browser.visit(back)

    [form] = [call.form for call in network.calls if call.url == TOKEN]
    assert form.pop("code_verifier")
    assert form == {
        "grant_type": "authorization_code",
        "code": query_of(back)["code"],
        "redirect_uri": "https://rp.example/auth/callback/",
    }


def test_userinfo_completes_the_claims(browser: SiteBrowser, network: Network, configure: Configure) -> None:
    configure(USERINFO=True)
    network.change("/userinfo", lambda document: {**document, "given_name": "Amber", "family_name": "Stone"})

    browser.sign_in()

    assert LoginSession.objects.get().user.get_full_name() == "Amber Stone"
    assert [call.url for call in network.calls].count("https://op.example/userinfo") == 1


def test_the_id_token_wins_over_userinfo(
    browser: SiteBrowser, network: Network, configure: Configure, id_token: Callable[..., None]
) -> None:
    configure(USERINFO=True)
    id_token(given_name="Amber", at_hash=None)
    network.change("/userinfo", lambda document: {**document, "given_name": "Mallory", "family_name": "Stone"})

    browser.sign_in()

    assert LoginSession.objects.get().user.get_full_name() == "Amber Stone"


def test_the_session_stores_what_a_logout_needs(browser: SiteBrowser) -> None:
    browser.sign_in()

    assert set(browser.session[LOGIN_KEY]) == {
        "provider", "issuer", "client_id", "subject", "sid", "id_token", "logout_state",
    }  # fmt: skip


def test_other_tokens_are_stored_if_a_setting_says_so(
    browser: SiteBrowser, network: Network, configure: Configure
) -> None:
    configure(KEEP_TOKENS=True)
    network.change("/oauth2/token", lambda document: {**document, "refresh_token": "ory_rt_1"})

    browser.sign_in()

    assert browser.session[LOGIN_KEY]["access_token"].startswith("ory_at_")
    assert browser.session[LOGIN_KEY]["refresh_token"] == "ory_rt_1"


def test_an_encrypted_id_token_is_accepted(encrypted: None, browser: SiteBrowser) -> None:
    browser.sign_in()

    assert browser.user


def test_a_correct_iss_in_the_response_is_accepted(browser: SiteBrowser, provider: Provider) -> None:
    provider.metadata["authorization_response_iss_parameter_supported"] = True

    browser.sign_in()

    assert browser.user


def test_the_second_of_two_clients_at_one_issuer_signs_in(
    browser: SiteBrowser, provider: Provider, settings: Any
) -> None:
    redirect_uris = [f"{SITE}/callback/second/"]
    provider.register(Client.of_site(SITE, "second-client", "another secret", redirect_uris=redirect_uris))
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    second = {**default, "CLIENT_ID": "second-client", "CLIENT_SECRET": "another secret"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "second": second}}

    browser.sign_in(provider="second")

    assert browser.user
    assert browser.user["provider"] == "second"
    assert LoginSession.objects.get().client_id == "second-client"


@pytest.mark.django_db(transaction=True)
def test_no_transaction_hides_a_sign_in_from_a_notice(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, connect_receiver: Connect
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    in_transaction = []

    def receiver(**_arguments: Any) -> None:
        in_transaction.append(connection.in_atomic_block)

    connect_receiver(user_logged_in, receiver)

    browser.sign_in()

    assert in_transaction == [False]
    assert browser.user


# Refused sign-ins: nobody is signed in, and an earlier session stays signed in


@pytest.fixture
def untouched(browser: SiteBrowser) -> Iterator[None]:
    """The user who was signed in before the refusal is signed in after it, in the same session."""
    browser.sign_in("cedar")
    key, row = browser.key, LoginSession.objects.get()
    yield
    assert browser.key == key
    assert LoginSession.objects.get() == row
    assert browser.user
    assert browser.user["subject"] == "cedar"


def test_a_missing_state_is_refused(browser: SiteBrowser, untouched: None, network: Network, logged: Logged) -> None:
    network.calls.clear()
    browser.start()

    answer = browser.get("/auth/callback/", {"code": "ory_ac_1"})

    assert_still_signed_in(answer)
    assert logged() == [
        "sign-in failed: state_unknown: this browser has no sign-in under way with that state",
    ]
    assert network.calls == []
    assert len(pending_cookies(browser)) == 1


def test_a_state_of_another_browser_is_refused(
    browser: SiteBrowser, untouched: None, new_browser: NewBrowser, network: Network, logged: Logged
) -> None:
    callback = network.follow(new_browser().start())
    network.calls.clear()
    browser.start()

    answer = browser.visit(callback)

    assert_still_signed_in(answer)
    assert logged() == ["sign-in failed: state_unknown: this browser has no sign-in under way with that state"]
    assert network.calls == []


TO_PRIVATE = "/auth/login/?next=%2Fprivate%2F&amp;provider=default"
STATE_USED = "sign-in failed: state_used: this sign-in came back before"


@pytest.fixture(params=["query", "form_post"])
def come_back(request: pytest.FixtureRequest, configure: Configure) -> Callable[[SiteBrowser, str], Any]:
    """Open a callback URL with the configured response mode."""
    configure(RESPONSE_MODE=request.param)
    return come_back_by_form_post if request.param == "form_post" else SiteBrowser.visit


@pytest.mark.parametrize("keeps_the_old_cookie", [True, False])
def test_a_callback_that_is_opened_again_redirects_to_next(
    browser: SiteBrowser, network: Network, logged: Logged, come_back: Any, keeps_the_old_cookie: bool
) -> None:
    start = browser.start(next="/private/")
    kept = dict(pending_cookies(browser))
    callback = network.follow(start, "amber")
    come_back(browser, callback)
    key, row = browser.key, LoginSession.objects.get()
    network.calls.clear()

    for _ in range(3):
        if keeps_the_old_cookie:
            browser.cookies.update(kept)
        answer = come_back(browser, callback)

        assert (answer.status_code, answer["Location"]) == (302, "/private/")
    assert logged() == []
    assert network.calls == []
    browser.cookies["sessionid"] = str(key)
    assert browser.user
    assert LoginSession.objects.get() == row
    assert pending_cookies(browser) == {}


def test_two_concurrent_requests_for_a_callback_both_redirect_to_next(
    browser: SiteBrowser, network: Network, provider: Provider, logged: Logged, come_back: Any
) -> None:
    callback = network.follow(browser.start(next="/private/"), "amber")
    second = SiteBrowser()
    second.cookies.update(browser.cookies)
    answers: list[Any] = []
    provider.before_token_response = lambda _session: answers.append(come_back(second, callback))

    answers.append(come_back(browser, callback))

    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, "/private/")] * 2
    assert [call.url for call in network.calls].count(TOKEN) == 1
    assert logged() == []
    assert LoginSession.objects.count() == 1
    assert browser.user


def test_a_callback_that_is_opened_again_after_a_logout_is_refused(
    browser: SiteBrowser, network: Network, logged: Logged
) -> None:
    callback = network.follow(browser.start(next="/private/"), "amber")
    browser.visit(callback)
    browser.post("/auth/logout/")
    network.calls.clear()

    assert_refused(browser.visit(callback), 400, TO_PRIVATE)

    assert logged() == [STATE_USED]
    assert network.calls == []
    assert_refused(browser.visit(callback), 400, "/auth/login/")


def test_callback_opened_again_after_another_sign_in(browser: SiteBrowser, network: Network) -> None:
    first = network.follow(browser.start(next="/private/"), "amber")
    browser.visit(first)
    browser.sign_in("birch")

    assert_still_signed_in(browser.visit(first))
    assert browser.user["subject"] == "birch"


def test_back_to_the_first_of_two_tabs(browser: SiteBrowser, network: Network) -> None:
    first = network.follow(browser.start(next="/private/"), "amber")
    second = network.follow(browser.start(), "amber")
    browser.visit(first)
    browser.visit(second)
    key = browser.key

    assert_still_signed_in(browser.visit(first))
    assert browser.key == key


def test_callback_opened_again_after_its_cookie_is_gone(browser: SiteBrowser, network: Network, logged: Logged) -> None:
    callback = network.follow(browser.start(next="/private/"), "amber")
    browser.visit(callback)
    for name in [name for name in browser.cookies if DONE in name]:
        del browser.cookies[name]

    assert_still_signed_in(browser.visit(callback))
    assert browser.get(callback.removeprefix("https://rp.example"), headers={"accept": "application/json"}).json() == {
        "error": "state_unknown"
    }
    browser.post("/auth/logout/")
    assert_refused(browser.visit(callback), 400, "/auth/login/")


def test_callback_of_another_provider_than_that_of_the_session(
    browser: SiteBrowser, untouched: None, settings: Any
) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {**default, "ISSUER": "https://other.example"}
    with override_settings(ORY_LOGOUT={**settings.ORY_LOGOUT, "PROVIDERS": {"default": default, "other": other}}):
        assert_still_signed_in(browser.get("/auth/callback/default/?state=x"))
        assert_refused(browser.get("/auth/callback/other/?state=x"), 400, "/auth/login/")
    with override_settings(ORY_LOGOUT={**settings.ORY_LOGOUT, "PROVIDERS": {"other": other}}):
        assert_refused(browser.get("/auth/callback/?state=x"), 400, "/auth/login/")


def test_a_callback_of_a_failed_sign_in_cannot_be_used_again(
    browser: SiteBrowser, untouched: None, network: Network, logged: Logged
) -> None:
    callback = network.follow(browser.start(next="/private/"), "amber")
    kept = dict(pending_cookies(browser))
    network.down("/oauth2/token")
    assert browser.visit(callback).status_code == 503
    network.mend()
    network.calls.clear()
    browser.cookies.update(kept)

    assert_refused(browser.visit(callback), 400, TO_PRIVATE)

    assert logged()[1:] == [STATE_USED]
    assert network.calls == []


def test_a_callback_that_signed_in_another_browser_is_refused(
    browser: SiteBrowser, network: Network, logged: Logged
) -> None:
    callback = network.follow(browser.start(next="/private/"), "amber")
    browser.visit(callback)

    assert_refused(SiteBrowser().visit(callback), 400, "/auth/login/")


def test_only_the_last_sign_in_is_remembered_for_ten_minutes(browser: SiteBrowser, clock: Clock) -> None:
    browser.sign_in("amber")
    answer = browser.sign_in("birch", next="/private/")

    [done] = [cookie for name, cookie in browser.cookies.items() if DONE in name]
    assert (done["max-age"], done["path"], done["secure"], done["httponly"]) == (600, "/", True, True)
    assert done.key.startswith("__Host-")
    assert done.key in answer.cookies
    assert PendingSignIn(**signing.loads(done.value, salt=SALT)).code_verifier == ""


def test_an_expired_state_is_refused(
    browser: SiteBrowser, untouched: None, network: Network, clock: Clock, logged: Logged
) -> None:
    callback = network.follow(browser.start())
    clock.advance(601)

    answer = browser.visit(callback)

    assert_refused(answer, 400, "/auth/login/")
    assert logged() == ["sign-in failed: state_expired: the sign-in began more than 600 s ago"]


def test_a_tampered_cookie_is_refused(browser: SiteBrowser, untouched: None, network: Network, logged: Logged) -> None:
    callback = network.follow(browser.start())
    [(name, cookie)] = pending_cookies(browser).items()
    browser.cookies[name] = cookie.value[::-1]

    answer = browser.visit(callback)

    assert_still_signed_in(answer)
    assert logged() == ["sign-in failed: state_unknown: the cookie of this sign-in is not ours"]


def test_a_cookie_with_the_name_of_another_sign_in_is_refused(
    browser: SiteBrowser, untouched: None, network: Network, logged: Logged
) -> None:
    browser.start()
    [(_, other)] = pending_cookies(browser).items()
    callback = network.follow(browser.start())
    [name] = pending_cookies(browser).keys() - {other.key}
    browser.cookies[name] = other.value

    answer = browser.visit(callback)

    assert_still_signed_in(answer)
    assert logged() == ["sign-in failed: state_unknown: the cookie belongs to another sign-in"]


# U+2000 and U+00A0. Django strips them from a cookie's name.
@pytest.mark.parametrize("prefix", ["", "\u2000__Host-", "\u00a0__Host-", "__host-", "__Host-__Host-", "__Secure-"])
def test_a_cookie_that_another_host_of_the_domain_can_set_is_ignored(
    browser: SiteBrowser, untouched: None, new_browser: NewBrowser, network: Network, logged: Logged, prefix: str
) -> None:
    attacker = new_browser()
    callback = network.follow(attacker.start())
    [(name, cookie)] = pending_cookies(attacker).items()
    name = prefix + name.removeprefix("__Host-")
    planted = f"sessionid={browser.key}; {name}={cookie.value}".encode().decode("latin-1")
    network.calls.clear()

    answer = browser.get(callback.removeprefix("https://rp.example"), HTTP_COOKIE=planted)

    assert_still_signed_in(answer)
    assert logged() == ["sign-in failed: state_unknown: this browser has no sign-in under way with that state"]
    assert network.calls == []


def test_the_cookie_is_found_among_others(browser: SiteBrowser, new_browser: NewBrowser, network: Network) -> None:
    callback = network.follow(browser.start())
    [(name, cookie)] = pending_cookies(browser).items()
    header = f'a="1; \t{name}={cookie.value};b; =c;'

    assert new_browser().get(callback.removeprefix("https://rp.example"), HTTP_COOKIE=header).status_code == 302


@pytest.mark.parametrize("name", ["state", "code", "iss"])
def test_a_repeated_parameter_is_refused(
    browser: SiteBrowser, untouched: None, network: Network, logged: Logged, name: str
) -> None:
    callback = network.follow(browser.start())

    answer = browser.visit(f"{callback}&{name}=x&{name}=x")

    assert_refused(answer, 400, "/auth/login/")
    assert logged() == [f"sign-in failed: parameter_repeated: a parameter came more than once: '{name}'"]


OF_ANOTHER_ISSUER = "iss_parameter_mismatch: the response comes from another issuer than the request was sent to"


@pytest.mark.parametrize(
    ("announced", "iss", "line"),
    [
        (True, None, "iss_missing: the response has no iss, but the provider's metadata announces iss"),
        (
            True,
            "https://evil.example",
            OF_ANOTHER_ISSUER,
        ),
        (
            False,
            "https://evil.example",
            OF_ANOTHER_ISSUER,
        ),
        (
            False,
            "https://op.example/",
            OF_ANOTHER_ISSUER,
        ),
        (False, "", OF_ANOTHER_ISSUER),
    ],
)
def test_a_wrong_iss_in_the_response_is_refused(
    browser: SiteBrowser,
    untouched: None,
    network: Network,
    provider: Provider,
    logged: Logged,
    clock: Clock,
    announced: bool,
    iss: str | None,
    line: str,
) -> None:
    provider.metadata["authorization_response_iss_parameter_supported"] = announced
    clock.advance(3601)
    response = {**query_of(network.follow(browser.start())), "iss": iss}
    network.calls.clear()

    answer = browser.get("/auth/callback/", {name: value for name, value in response.items() if value is not None})

    assert_refused(answer, 400, RETRY, SET_UP_WRONGLY)
    assert logged() == [f"sign-in failed: {line}"]
    assert network.calls == []


def test_an_error_of_the_provider_is_shown(
    browser: SiteBrowser, untouched: None, network: Network, logged: Logged
) -> None:
    state = state_of(browser)
    network.calls.clear()
    description = "<b>call 555</b>\r\nnow"

    answer = browser.get(
        "/auth/callback/", {"state": state, "error": "access_denied", "error_description": description}
    )

    assert_refused(answer, 403, RETRY)
    assert "555" not in answer.text
    assert "access_denied" not in answer.text
    assert logged() == [
        "sign-in failed: provider_refused: 'access_denied' '<b>call 555</b>\\r\\nnow'",
    ]
    assert network.calls == []
    assert pending_cookies(browser) == {}


def test_a_response_without_code_and_error_is_refused(browser: SiteBrowser, untouched: None, logged: Logged) -> None:
    answer = browser.get("/auth/callback/", {"state": state_of(browser)})

    assert_refused(answer, 400, RETRY, SET_UP_WRONGLY)
    assert logged() == ["sign-in failed: code_missing: the response has neither a code nor an error"]


def test_a_provider_that_is_no_longer_configured_is_refused(
    browser: SiteBrowser, untouched: None, network: Network, settings: Any, logged: Logged
) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    old, new = {"default": default}, {"other": default}
    callback = network.follow(browser.start())
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": new}

    answer = browser.visit(callback)

    assert_refused(answer, 400, RETRY)
    assert logged() == ["sign-in failed: provider_unknown: no provider 'default' in the settings"]
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": old}


def test_an_unknown_code_is_refused(browser: SiteBrowser, untouched: None, logged: Logged) -> None:
    answer = browser.get("/auth/callback/", {"state": state_of(browser), "code": "ory_ac_made_up"})

    assert_refused(answer, 400, RETRY)
    assert logged() == [
        "sign-in failed: token_request_refused: 'invalid_grant' "
        "'The code is unknown, used, expired or of another client.'"
    ]


def test_a_wrong_client_secret_is_reported(
    browser: SiteBrowser, untouched: None, network: Network, configure: Configure, logged: Logged
) -> None:
    callback = network.follow(browser.start())
    configure(CLIENT_SECRET="an old one")

    answer = browser.visit(callback)

    assert_refused(answer, 400, RETRY, SET_UP_WRONGLY)
    assert logged() == [
        "sign-in failed: client_refused: 'invalid_client' 'Client authentication failed: wrong secret.'"
    ]


def test_a_token_endpoint_that_is_down_is_reported(
    browser: SiteBrowser, untouched: None, network: Network, logged: Logged
) -> None:
    callback = network.follow(browser.start())
    network.down("/oauth2/token")

    answer = browser.visit(callback)

    assert_refused(answer, 503, RETRY)
    assert logged() == [f"sign-in failed: unreachable: POST {TOKEN}: ConnectionError"]


def test_a_slow_token_endpoint_is_reported(
    browser: SiteBrowser, untouched: None, network: Network, logged: Logged
) -> None:
    callback = network.follow(browser.start())
    network.slow("/oauth2/token")

    answer = browser.visit(callback)

    assert_refused(answer, 503, RETRY)
    assert logged() == [f"sign-in failed: unreachable: POST {TOKEN}: ReadTimeout"]


ANSWERS = f"{TOKEN} answers"
LACKS = "the token response lacks id_token or access_token"
TWICE = "has an object with a member twice"
NOT_UTF_8 = "is not UTF-8 without a byte order mark"
TOO_DEEP = "is nested more than 64 deep"
NO_NUMBER = "has a number that is NaN, infinite or too long"


@pytest.mark.parametrize(
    ("status", "body", "answered", "line"),
    [
        (
            200,
            b"<html>",
            500,
            f"not_json: the answer is not JSON; {ANSWERS} 200, Content-Type: ''",
        ),
        (
            200,
            b"[]",
            500,
            f"not_json: the answer is not a JSON object; {ANSWERS} 200, Content-Type: ''",
        ),
        (200, b"{}", 500, f"token_response_invalid: {LACKS}"),
        (200, b'{"error": "temporarily_unavailable"}', 503, "token_endpoint_fault: 'temporarily_unavailable'"),
        (200, b'{"error": "access_denied"}', 403, "provider_refused: 'access_denied'"),
        (302, b"", 500, "token_endpoint_unusable: the token endpoint answers 302"),
        (404, b"", 500, "token_endpoint_unusable: the token endpoint answers 404"),
        (500, b"", 503, "token_endpoint_fault: the token endpoint answers 500"),
        (
            400,
            b"<html>",
            500,
            f"not_json: the answer is not JSON; {ANSWERS} 400, Content-Type: ''",
        ),
        (
            200,
            b'{"id_token": "a", "id_token": "b"}',
            500,
            f"answer_member_repeated: the answer {TWICE}; {ANSWERS} 200, Content-Type: ''",
        ),
        (
            200,
            b'{"a":' * 936,
            500,
            f"answer_too_deep: the answer is nested more than 64 deep; {ANSWERS} 200, Content-Type: ''",
        ),
        (
            200,
            b'\xef\xbb\xbf{"id_token": "a"}',
            500,
            f"answer_encoding_invalid: the answer {NOT_UTF_8}; {ANSWERS} 200, Content-Type: ''",
        ),
        (
            200,
            b'{"expires_in": NaN}',
            500,
            f"answer_number_invalid: the answer {NO_NUMBER}; {ANSWERS} 200, Content-Type: ''",
        ),
        (200, b'{"id_token": "a", "access_token": "\\ud800"}', 500, f"token_response_invalid: {LACKS}"),
        (
            400,
            b'{"error": "\\ud800", "error": "b"}',
            500,
            f"answer_member_repeated: the answer {TWICE}; {ANSWERS} 400, Content-Type: ''",
        ),
    ],
)
def test_a_faulty_token_endpoint_is_reported(
    browser: SiteBrowser,
    untouched: None,
    network: Network,
    logged: Logged,
    status: int,
    body: bytes,
    answered: int,
    line: str,
) -> None:
    callback = network.follow(browser.start())
    network.replace("/oauth2/token", body, status=status, headers={"Location": "https://evil.example/"})

    answer = browser.visit(callback)

    assert_refused(answer, answered, RETRY)
    assert logged() == [f"sign-in failed: {line}"]


def test_unreachable_keys_are_reported(browser: SiteBrowser, network: Network, logged: Logged) -> None:
    callback = network.follow(browser.start())
    network.down("/.well-known/jwks.json")

    answer = browser.visit(callback)

    assert_refused(answer, 503, RETRY)
    assert logged() == ["sign-in failed: unreachable: GET https://op.example/.well-known/jwks.json: ConnectionError"]
    assert browser.user is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"iss": "https://evil.example"}, "iss_mismatch: iss is not the configured issuer"),
        ({"aud": ["another-client"]}, "aud_mismatch: aud does not contain this client"),
        ({"nonce": "another"}, "nonce_mismatch: the nonce is missing or not the one of this sign-in"),
        ({"nonce": None}, "nonce_mismatch: the nonce is missing or not the one of this sign-in"),
        ({"exp": 1}, "expired: exp has passed; compare the clocks"),
        ({"at_hash": "AAAA"}, "at_hash_mismatch: the access token is not the one that came with this ID token"),
        ({"sub": ""}, "sub_invalid: sub is not a text of 1 to 255 characters"),
        ({"sid": ""}, "sid_invalid: sid is not a printable text"),
        ({"aud": ["django-site", None]}, "aud_invalid: aud is neither a text nor a list of texts"),
        ({"padding": "x" * 130_000}, "token_too_large: the token is longer than 131072 characters"),
        ({"padding": float("nan")}, f"json_number_invalid: a part of the token {NO_NUMBER}"),
    ],
)
def test_a_wrong_id_token_is_refused(
    browser: SiteBrowser, untouched: None, id_token: Any, logged: Logged, changes: Claims, line: str
) -> None:
    id_token(**changes)

    answer = browser.sign_in("amber")

    assert_refused(answer, 400, RETRY, title_of(line))
    assert logged() == [f"sign-in failed: {line}"]


def test_a_claim_that_cannot_be_stored_does_not_stop_the_sign_in(
    browser: SiteBrowser, id_token: Any, logged: Logged
) -> None:
    id_token(given_name="Am\ud800ber", family_name="\udfff", preferred_username="\ud800", name="a" * 5000)

    for _ in range(2):
        assert browser.sign_in("amber").status_code == 302

    user = get_user_model().objects.get()
    assert (user.username, user.first_name, user.last_name) == ("amber@example.com", "Amber", "")
    assert (
        logged()
        == [
            "user updated in part: first_name cut or cleaned",
            "user updated in part: last_name left out",
        ]
        * 2
    )


# How and when the provider authenticated the user


@pytest.mark.parametrize(
    ("auth_time", "code"),
    [
        (None, "auth_time_missing: max_age was sent, and the token has no auth_time"),
        ("now", "auth_time_invalid: auth_time is not a number of seconds"),
        (1_000_000_000, "auth_time_too_old: the user was authenticated longer ago than max_age allows"),
        (32_503_680_000, "auth_time_ahead: auth_time is in the future; compare the clocks"),
    ],
)
def test_max_age_is_verified(
    browser: SiteBrowser,
    untouched: None,
    id_token: Any,
    configure: Configure,
    logged: Logged,
    auth_time: Any,
    code: str,
) -> None:
    configure(AUTHORIZATION_PARAMETERS={"max_age": "60"})
    id_token(auth_time=auth_time)

    answer = browser.sign_in("amber")

    assert_refused(answer, 400, RETRY, title_of(code))
    assert logged() == [f"sign-in failed: {code}"]


@pytest.mark.parametrize(("age", "admitted"), [(0, True), (115, True), (125, False), (-555, True), (-565, False)])
def test_max_age_counts_from_the_start_of_the_sign_in(
    browser: SiteBrowser,
    network: Network,
    clock: Clock,
    id_token: Any,
    configure: Configure,
    age: int,
    admitted: bool,
) -> None:
    """Users may stay at the provider for a while after they were authenticated, and clocks may differ by a minute."""
    configure(AUTHORIZATION_PARAMETERS={"max_age": "60"})
    id_token(auth_time=int(time.time()) - age)
    started = browser.start()
    clock.advance(500)

    browser.visit(network.follow(started))

    assert bool(browser.user) == admitted


def test_without_max_age_no_auth_time_is_needed(browser: SiteBrowser, id_token: Any) -> None:
    id_token(auth_time=None)

    browser.sign_in("amber")

    assert browser.user


@pytest.mark.parametrize("acr", [None, "0", "phr phrh", ["phr"], {}])
def test_acr_is_verified(
    browser: SiteBrowser, untouched: None, id_token: Any, configure: Configure, logged: Logged, acr: Any
) -> None:
    configure(ACR_VALUES_REQUIRED=["phr", "phrh"])
    id_token(acr=acr)

    answer = browser.sign_in("amber")

    assert_refused(answer, 400, RETRY, REFUSED[403])
    assert logged() == ["sign-in failed: acr_mismatch: acr is not one of the required values"]


def test_an_acr_from_userinfo_does_not_count(
    browser: SiteBrowser, network: Network, untouched: None, configure: Configure
) -> None:
    configure(ACR_VALUES_REQUIRED=["phr"], USERINFO=True)
    network.change("/userinfo", lambda document: {**document, "acr": "phr"})

    assert browser.sign_in("amber").status_code == 400


@pytest.mark.parametrize("acr", ["phr", "phrh"])
def test_a_required_acr_is_verified(browser: SiteBrowser, id_token: Any, configure: Configure, acr: str) -> None:
    configure(ACR_VALUES_REQUIRED=["phr", "phrh"])
    id_token(acr=acr)

    browser.sign_in("amber")

    assert browser.user


@pytest.mark.parametrize("name", ["given_name", "family_name", "email", "name", "preferred_username", "picture", "acr"])
@pytest.mark.parametrize("half", ["\ud800", "a\0b"])
def test_a_claim_that_no_database_stores_does_not_stop_the_sign_in(
    browser: SiteBrowser, id_token: Any, name: str, half: str
) -> None:
    id_token(email_verified=True, **{name: half})

    assert browser.sign_in("amber").status_code == 302
    assert browser.user


def test_an_id_token_with_an_unknown_key_is_refused(
    browser: SiteBrowser, untouched: None, network: Network, provider: Provider, clock: Clock, logged: Logged
) -> None:
    provider.rotate_keys()
    network.change("/.well-known/jwks.json", lambda document: {"keys": document["keys"][1:]})
    clock.advance(6)

    answer = browser.sign_in("amber")

    assert_refused(answer, 400, RETRY, SET_UP_WRONGLY)
    assert logged() == ["sign-in failed: kid_unknown: the issuer's JWKS has no fitting RS256 key for this token"]


def test_a_rotated_key_is_fetched(
    browser: SiteBrowser, untouched: None, new_browser: NewBrowser, provider: Provider, clock: Clock
) -> None:
    provider.rotate_keys()
    clock.advance(6)
    other = new_browser()

    other.sign_in("amber")

    assert other.user
    other.post("/auth/logout/")


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_a_notice_after_receipts_were_read_refuses_the_sign_in(
    browser: SiteBrowser,
    new_browser: NewBrowser,
    provider: Provider,
    settings: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
    engine: str,
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    store = engines.site_store()
    save = store.save
    answers: list[int] = []

    def overtaken(session: Any, must_create: bool = False) -> None:
        if INDEX_KEY in session._session_cache and not answers:
            [at_provider] = provider.login_sessions.values()
            answers.extend(new_browser().deliver(provider.end(at_provider.sid)))
        save(session, must_create)

    monkeypatch.setattr(store, "save", overtaken)

    answer = browser.sign_in("amber")

    assert answers == [200]
    assert_refused(answer, 409, RETRY)
    assert logged() == ["sign-in failed: logged_out_meanwhile: a back-channel notice overtook this sign-in"]
    assert browser.user is None
    assert LoginSession.objects.count() == 0
    assert browser.sign_in("amber").status_code == 302
    assert browser.user


def test_userinfo_about_another_user_is_refused(
    browser: SiteBrowser, untouched: None, network: Network, configure: Configure, logged: Logged
) -> None:
    configure(USERINFO=True)
    network.change("/userinfo", lambda document: {**document, "sub": "birch"})

    answer = browser.sign_in("amber")

    assert_refused(answer, 400, RETRY, SET_UP_WRONGLY)
    assert logged() == ["sign-in failed: userinfo_sub_mismatch: sub of the userinfo is not that of the ID token"]


def test_userinfo_that_is_down_is_reported(
    browser: SiteBrowser, untouched: None, network: Network, configure: Configure, logged: Logged
) -> None:
    configure(USERINFO=True)
    network.down("/userinfo")

    answer = browser.sign_in("amber")

    assert_refused(answer, 503, RETRY)
    assert logged() == ["sign-in failed: unreachable: GET https://op.example/userinfo: ConnectionError"]


def test_userinfo_of_a_provider_without_it_is_a_set_up_fault(
    browser: SiteBrowser, provider: Provider, configure: Configure, logged: Logged
) -> None:
    provider.metadata["userinfo_endpoint"] = None
    configure(USERINFO=True)

    answer = browser.sign_in("amber")

    assert_refused(answer, 500, RETRY)
    assert logged() == ["sign-in failed: userinfo_endpoint_missing: the provider has no userinfo endpoint"]
    assert browser.user is None


def test_signed_userinfo_completes_the_claims(
    browser: SiteBrowser, provider: Provider, network: Network, configure: Configure
) -> None:
    configure(USERINFO=True, USERINFO_SIGNED_RESPONSE_ALG="RS256")
    claims = {"iss": provider.issuer, "aud": ["django-site"], "sub": "amber", "given_name": "Amber"}
    jwt = {"Content-Type": "application/jwt"}
    network.replace("/userinfo", provider.sign(claims).encode(), headers=jwt)

    browser.sign_in("amber")

    assert get_user_model().objects.get().first_name == "Amber"


def test_signed_userinfo_without_the_setting_is_a_set_up_fault(
    browser: SiteBrowser, untouched: None, network: Network, configure: Configure, logged: Logged
) -> None:
    configure(USERINFO=True)
    network.replace("/userinfo", b"a.b.c", headers={"Content-Type": "application/jwt"})

    answer = browser.sign_in("amber")

    assert_refused(answer, 500, RETRY)
    assert logged() == ["sign-in failed: userinfo_format_mismatch: the response is a JWT, but no algorithm is set"]


def test_an_inactive_user_is_refused(
    browser: SiteBrowser, new_browser: NewBrowser, logged: Logged, listen: Listen
) -> None:
    browser.sign_in("amber")
    get_user_model().objects.update(is_active=False)
    failed = listen(user_login_failed)
    other = new_browser()

    answer = other.sign_in("amber")

    assert_refused(answer, 403, RETRY)
    assert logged() == [
        "sign-in refused: user_inactive",
        "sign-in failed: user_refused: user_inactive",
    ]
    assert other.user is None
    assert other.key is None
    [arguments] = failed
    assert arguments["credentials"]["id_token"] == "********************"


def test_an_unknown_user_is_refused_if_no_users_are_created(
    browser: SiteBrowser, untouched: None, configure: Configure, logged: Logged
) -> None:
    configure(CREATE_USERS=False)

    answer = browser.sign_in("amber")

    assert_refused(answer, 403, RETRY)
    assert logged() == [
        "sign-in refused: user_unknown",
        "sign-in failed: user_refused: user_unknown",
    ]
    assert get_user_model().objects.count() == 1


def test_a_sign_in_after_a_logout_notice_is_refused_and_nobody_is_signed_in(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider, logged: Logged
) -> None:
    browser.sign_in("cedar")
    before = browser.user
    provider.before_token_response = lambda session: new_browser().deliver(provider.end(session.sid))

    answer = browser.sign_in("amber")

    assert_refused(answer, 409, RETRY)
    assert logged() == ["sign-in failed: logged_out_meanwhile: a back-channel notice overtook this sign-in"]
    assert browser.user == before
    assert LoginSession.objects.get().subject == "cedar"


def test_a_receiver_that_raises_leaves_nobody_signed_in(browser: SiteBrowser, connect_receiver: Connect) -> None:
    def refuse(**_arguments: Any) -> None:
        raise PermissionDenied

    connect_receiver(user_logged_in, refuse)

    answer = browser.sign_in("amber")

    assert answer.status_code == 403
    assert browser.user is None
    assert answer.wsgi_request.user.is_anonymous
    assert LoginSession.objects.count() == 0


def test_without_the_middleware_nobody_is_signed_in(
    browser: SiteBrowser, new_browser: NewBrowser, network: Network, settings: Any, logged: Logged
) -> None:
    callback = network.follow(browser.start())
    network.calls.clear()
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LoginSessionMiddleware" not in name]
    without = new_browser()
    without.cookies = browser.cookies

    assert_refused(without.visit(callback), 500, RETRY)

    (line,) = logged()
    assert line.startswith("sign-in failed: settings_invalid: request.session is not the one of LoginSession")
    assert without.user is None
    assert network.calls == []


@pytest.mark.parametrize("method", ["head", "put"])
def test_other_methods_are_refused(browser: SiteBrowser, network: Network, method: str) -> None:
    callback = urlsplit(network.follow(browser.start()))

    answer = getattr(browser, method)(f"{callback.path}?{callback.query}")

    assert answer.status_code == 405
    assert len(pending_cookies(browser)) == 1


@pytest.mark.parametrize("text", ["%00", "%ED%A0%80", "%C3%A9" * 300, "%", "a" * 8000])
def test_any_state_gets_an_answer(browser: SiteBrowser, text: str) -> None:
    browser.start()

    answer = browser.get(f"/auth/callback/?code=x&state={text}")

    assert_refused(answer, 400, "/auth/login/")


def test_other_claims_become_user_fields(browser: SiteBrowser, provider: Provider) -> None:
    provider.add_person(Person("dune", {"email": "dune@example.com", "email_verified": False, "name": 5}))

    browser.sign_in("dune")

    assert LoginSession.objects.get().user.email == ""


@pytest.mark.parametrize(
    "settings_of_site",
    [
        {"SESSION_COOKIE_AGE": 0},
        {"SESSION_COOKIE_NAME": "sessionid", "AUTHENTICATION_BACKENDS": [f"{__name__}.ForgetfulBackend"]},
    ],
    ids=["the session expires at once", "the backend does not find its user"],
)
def test_a_browser_that_does_not_keep_its_session_is_stopped(
    browser: SiteBrowser, network: Network, settings: Any, settings_of_site: dict[str, Any], logged: Logged
) -> None:
    for name, value in settings_of_site.items():
        setattr(settings, name, value)

    for _ in range(4):
        callback = network.follow(browser.start(next="/private/"), "amber")
        assert browser.visit(callback).status_code == 302
    answer = browser.get("/auth/login/?next=/private/")

    assert answer.status_code == 500
    assert "This site is set up wrongly" in answer.text
    assert "session_not_kept" in answer.text
    assert "session_not_kept: this browser completed 4 sign-ins within seconds" in " ".join(logged())


def test_sign_ins_with_a_logout_between_them_are_not_counted(browser: SiteBrowser) -> None:
    for _ in range(6):
        assert browser.sign_in("amber").status_code == 302
        assert browser.post("/auth/logout/").status_code == 302


def test_sign_ins_with_a_logout_by_link_between_them_are_not_counted(browser: SiteBrowser) -> None:
    for _ in range(6):
        assert browser.sign_in("amber").status_code == 302
        browser.get("/auth/logout/callback/", {"state": browser.session[LOGIN_KEY]["logout_state"]})
        assert browser.user is None


def test_a_signed_in_user_can_sign_in_again_as_often_as_they_like(browser: SiteBrowser) -> None:
    for _ in range(6):
        assert browser.sign_in("amber").status_code == 302


def test_a_browser_that_tries_again_is_not_counted(browser: SiteBrowser, network: Network, settings: Any) -> None:
    settings.SESSION_COOKIE_AGE = 0
    for _ in range(4):
        browser.visit(network.follow(browser.start(), "amber"))

    assert browser.get("/auth/login/").status_code == 500
    assert browser.get("/auth/login/?retried=1").status_code == 302


def test_sign_ins_with_time_between_them_are_not_counted(
    browser: SiteBrowser, network: Network, settings: Any, clock: Clock
) -> None:
    settings.SESSION_COOKIE_AGE = 0

    for _ in range(6):
        callback = network.follow(browser.start(next="/private/"), "amber")
        browser.visit(callback)
        clock.advance(11)

    assert browser.get("/auth/login/?next=/private/").status_code == 302


class ForgetfulBackend(ProviderBackend):
    def get_user(self, user_id: Any) -> None:
        return None
