"""The start of a sign-in."""

import base64
import hashlib
import time
from typing import Any

import pytest
from django.core import signing

from django_ory_logout.flows import login as journey
from django_ory_logout.flows.login import PendingSignIn
from django_ory_logout.testing import Network
from django_ory_logout.views.cookies import PENDING

from ..conftest import Clock, Configure, Logged, NewBrowser, SiteBrowser, query_of
from .pages import assert_refused

METADATA = "https://op.example/.well-known/openid-configuration"


def pending_cookies(browser: SiteBrowser) -> dict[str, Any]:
    return {name: cookie for name, cookie in browser.cookies.items() if PENDING in name}


def pending_sign_in(browser: SiteBrowser) -> PendingSignIn:
    [cookie] = pending_cookies(browser).values()
    return PendingSignIn(**signing.loads(cookie.value, salt=journey.SALT))


def test_sends_the_browser_with_state_nonce_and_code_challenge(browser: SiteBrowser) -> None:
    answer = browser.get("/auth/login/", {"next": "/private/"})

    pending = pending_sign_in(browser)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(pending.code_verifier.encode()).digest()).rstrip(b"=")
    assert answer.status_code == 302
    assert "no-store" in answer["Cache-Control"]
    assert answer["Location"].startswith("https://op.example/oauth2/auth?")
    assert query_of(answer["Location"]) == {
        "response_type": "code",
        "client_id": "django-site",
        "redirect_uri": "https://rp.example/auth/callback/",
        "scope": "openid profile email",
        "state": pending.state,
        "nonce": pending.nonce,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }
    assert len(pending.nonce) <= 43
    assert pending.next == "/private/"


def test_the_state_cookie_is_for_this_browser_this_host_and_ten_minutes(browser: SiteBrowser) -> None:
    browser.start()

    [cookie] = pending_cookies(browser).values()
    assert cookie.key.startswith("__Host-ory_logout_auth_")
    assert cookie["httponly"] is True
    assert cookie["secure"] is True
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 600
    assert cookie["path"] == "/"
    assert cookie["domain"] == ""


def test_the_cookie_is_sent_over_http_if_the_site_uses_http(browser: SiteBrowser, settings: Any) -> None:
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": "http://rp.example"}

    browser.start()

    [cookie] = pending_cookies(browser).values()
    assert cookie.key.startswith("ory_logout_auth_")
    assert cookie["secure"] == ""
    assert cookie["path"] == "/auth/"


def test_form_post_needs_a_cookie_that_other_sites_may_send(browser: SiteBrowser, configure: Configure) -> None:
    configure(RESPONSE_MODE="form_post")

    asked = query_of(browser.start())

    [cookie] = pending_cookies(browser).values()
    assert asked["response_mode"] == "form_post"
    assert cookie["samesite"] == "None"
    assert cookie["secure"] is True


def test_every_sign_in_has_its_own_secrets(browser: SiteBrowser) -> None:
    first, second = query_of(browser.start()), query_of(browser.start())

    assert not {first[name] for name in ("state", "nonce", "code_challenge")} & set(second.values())
    assert len(pending_cookies(browser)) == 2


def test_the_oldest_of_too_many_tabs_is_dropped(browser: SiteBrowser, clock: Clock) -> None:
    browser.start()
    [oldest] = pending_cookies(browser)
    for _ in range(7):
        clock.advance(1)
        browser.start()
    assert len(pending_cookies(browser)) == 8
    assert oldest in pending_cookies(browser)

    clock.advance(1)
    answer = browser.get("/auth/login/")

    removed = answer.cookies[oldest]
    assert (removed["max-age"], removed["path"], removed["secure"]) == (0, "/", True)
    assert len(pending_cookies(browser)) == 8
    assert oldest not in pending_cookies(browser)


def test_the_age_of_a_sign_in_is_finer_than_a_second(browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    begun: list[str] = []
    for _ in range(12):
        now += 0.000_01
        state = query_of(browser.start())["state"]
        begun.append(hashlib.sha256(state.encode()).hexdigest()[:32])

    assert {name.rpartition("_")[2] for name in pending_cookies(browser)} == set(begun[-8:])


@pytest.mark.django_db
def test_a_sign_in_that_a_user_started_stays(browser: SiteBrowser, network: Network, clock: Clock) -> None:
    mine = browser.get("/auth/login/", {"next": "/mine/"}, headers={"Sec-Fetch-User": "?1"})["Location"]
    for _ in range(20):
        clock.advance(0.01)
        newest = browser.start(next="/newest/")
    assert len(pending_cookies(browser)) == 8

    again = SiteBrowser()
    again.cookies.update(browser.cookies)
    assert browser.visit(network.follow(newest))["Location"] == "/newest/"
    assert again.visit(network.follow(mine))["Location"] == "/mine/"


def test_a_sign_in_that_a_user_started_stays_with_long_addresses(browser: SiteBrowser) -> None:
    browser.get("/auth/login/", {"next": "/a" * 100}, headers={"Sec-Fetch-User": "?1"})
    [mine] = pending_cookies(browser)

    for number in range(4):
        text = hashlib.shake_128(bytes([number])).hexdigest(journey.MAX_NEXT_LENGTH // 2 - 1)
        browser.start(next=f"/{text}")

    assert mine in pending_cookies(browser)


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*;q=0.8"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
        NAVIGATION,
        {**NAVIGATION, "Sec-Fetch-Dest": "iframe"},
        {**NAVIGATION, "Sec-Fetch-Dest": "empty"},  # through a service worker
        {**NAVIGATION, "X-Requested-With": "org.example.app"},  # a browser inside an app
        {"Sec-Fetch-Mode": "navigate"},
    ],
)
def test_opening_a_page_starts_a_sign_in(browser: SiteBrowser, headers: dict[str, str]) -> None:
    assert browser.get("/auth/login/", headers=headers).status_code == 302
    assert len(pending_cookies(browser)) == 1


IN_THE_BACKGROUND = [
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"},
    {"Sec-Fetch-Mode": "same-origin"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Accept": "image/avif,image/webp,*/*"},
    {"Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Dest": "image"},
    {**NAVIGATION, "Sec-Fetch-Dest": "embed"},
    {**NAVIGATION, "Sec-Fetch-Dest": "object"},
    {**NAVIGATION, "Sec-Purpose": "prefetch"},
    {**NAVIGATION, "Sec-Purpose": "prefetch;prerender"},
    {**NAVIGATION, "Purpose": "prefetch"},
    {"X-Requested-With": "XMLHttpRequest"},
    {"Accept": "application/json"},
    {"Accept": "application/json, text/plain, */*"},
    {"Accept": "image/png"},
]


@pytest.mark.parametrize("method", ["get", "post_form"])
@pytest.mark.parametrize("headers", IN_THE_BACKGROUND)
def test_a_request_that_cannot_sign_in_starts_nothing(
    browser: SiteBrowser, network: Network, headers: dict[str, str], method: str
) -> None:
    answer = getattr(browser, method)("/auth/login/", {"next": "/private/poll"}, headers=headers)

    assert answer.status_code == 401
    assert "no-store" in answer["Cache-Control"]
    assert answer.json() == {
        "error": "login_required",
        "login_url": "https://rp.example/auth/login/?provider=default",
    }
    assert not answer.cookies
    assert network.calls == []


def test_a_redirected_background_request_does_not_end_the_pending_sign_in(
    browser: SiteBrowser, network: Network
) -> None:
    mine = browser.start(next="/mine/")
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}

    for _ in range(10):
        sent = browser.get("/private/", headers=headers)
        assert browser.get(sent["Location"], headers=headers).status_code == 401

    assert len(pending_cookies(browser)) == 1
    assert browser.get(browser.get(sent["Location"], headers=headers).json()["login_url"]).status_code == 302
    assert network.follow(mine)


@pytest.mark.django_db
def test_a_background_request_of_a_signed_in_user_gets_403(browser: SiteBrowser) -> None:
    browser.sign_in()

    answer = browser.get("/auth/login/", {"next": "/admin/"}, headers={"Accept": "application/json"})

    assert (answer.status_code, answer.json()) == (403, {"error": "access_denied"})
    assert pending_cookies(browser) == {}


def test_a_background_request_gets_the_login_url_of_kratos(browser: SiteBrowser, settings: Any) -> None:
    kratos = {"KRATOS": {"PUBLIC_URL": "https://kratos.example"}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"people": kratos}}

    answer = browser.get("/auth/login/", headers={"Accept": "application/json"})

    assert answer.status_code == 401
    assert answer.json()["login_url"] == "https://rp.example/auth/login/?provider=people"


def test_tabs_with_long_addresses_fit_into_a_request(browser: SiteBrowser) -> None:
    for number in range(8):
        text = hashlib.shake_128(bytes([number])).hexdigest(journey.MAX_NEXT_LENGTH // 2 - 1)
        browser.start(next=f"/{text}")

    header = "; ".join(cookie.OutputString([]) for cookie in browser.cookies.values())
    assert len(header) < 8 * 1024
    assert all(len(cookie.OutputString([])) < 4096 for cookie in browser.cookies.values())


def test_a_next_too_long_for_a_cookie_is_dropped(browser: SiteBrowser) -> None:
    browser.start(next="/" + "a" * journey.MAX_NEXT_LENGTH)

    assert pending_sign_in(browser).next == ""


def test_authorization_parameters_are_added(browser: SiteBrowser, configure: Configure) -> None:
    configure(AUTHORIZATION_PARAMETERS={"prompt": "login", "acr_values": "urn:example:2 fa"})

    asked = query_of(browser.start())

    assert asked["prompt"] == "login"
    assert asked["acr_values"] == "urn:example:2 fa"


def test_required_acr_values_are_requested(browser: SiteBrowser, configure: Configure) -> None:
    configure(ACR_VALUES_REQUIRED=["phr", "phrh"])
    assert query_of(browser.start())["acr_values"] == "phr phrh"

    configure(AUTHORIZATION_PARAMETERS={"acr_values": "phrh"}, ACR_VALUES_REQUIRED=["phr", "phrh"])
    assert query_of(browser.start())["acr_values"] == "phrh"


@pytest.mark.parametrize("method", ["get", "post_form"])
def test_a_third_party_may_start_a_sign_in(browser: SiteBrowser, method: str) -> None:
    answer = getattr(browser, method)(
        "/auth/login/",
        {
            "iss": "https://op.example",
            "login_hint": "amber & co",
            "target_link_uri": "https://rp.example/private/",
        },
    )

    assert answer.status_code == 302
    assert query_of(answer["Location"])["login_hint"] == "amber & co"
    assert pending_sign_in(browser).next == "https://rp.example/private/"


@pytest.mark.parametrize("method", ["get", "post_form"])
def test_a_third_party_needs_no_csrf_token(new_browser: NewBrowser, method: str) -> None:
    browser = new_browser(enforce_csrf_checks=True)

    assert getattr(browser, method)("/auth/login/", {"iss": "https://op.example"}).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post_form"])
def test_an_unknown_issuer_starts_nothing(browser: SiteBrowser, network: Network, logged: Logged, method: str) -> None:
    answer = getattr(browser, method)("/auth/login/", {"iss": "https://op.example/", "login_hint": "amber"})

    assert_refused(answer, 400, "/auth/login/")
    assert logged() == [
        "sign-in failed: issuer_unknown: iss of the request to sign in is no configured issuer",
    ]
    assert network.calls == []
    assert not browser.cookies


def test_a_target_on_another_site_is_dropped(browser: SiteBrowser) -> None:
    browser.start(iss="https://op.example", target_link_uri="https://evil.example/")

    assert pending_sign_in(browser).next == ""


@pytest.mark.django_db
def test_an_unknown_alias_starts_nothing(browser: SiteBrowser, network: Network, logged: Logged) -> None:
    answer = browser.get("/auth/login/", {"provider": "nobody\n" + "x" * 100})

    assert_refused(answer, 400, "/auth/login/")
    [line] = logged()
    assert line == f"sign-in failed: provider_unknown: no provider 'nobody\\n{'x' * 33}' in the settings"
    assert network.calls == []


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post_form"])
def test_a_repeated_parameter_starts_nothing(browser: SiteBrowser, logged: Logged, method: str) -> None:
    answer = getattr(browser, method)("/auth/login/", {"iss": ["https://op.example", "https://op.example"]})

    assert_refused(answer, 400, "/auth/login/")
    assert logged() == ["sign-in failed: parameter_repeated: a parameter came more than once: 'iss'"]


@pytest.mark.parametrize("method", ["head", "put", "delete"])
def test_other_methods_start_nothing(browser: SiteBrowser, network: Network, method: str) -> None:
    answer = getattr(browser, method)("/auth/login/")

    assert answer.status_code == 405
    assert answer["Allow"] == "GET, POST"
    assert network.calls == []


@pytest.mark.django_db
def test_a_provider_that_is_down_gets_a_page_with_a_retry_link(
    browser: SiteBrowser, network: Network, logged: Logged
) -> None:
    network.down()

    answer = browser.get("/auth/login/", {"next": "/private/?a=b&c"})

    assert_refused(answer, 503, "/auth/login/?next=%2Fprivate%2F%3Fa%3Db%26c&amp;provider=default")
    assert logged() == [f"sign-in failed: unreachable: GET {METADATA}: ConnectionError"]
    assert not browser.cookies


@pytest.mark.django_db
def test_a_provider_with_another_issuer_is_not_used(browser: SiteBrowser, network: Network, logged: Logged) -> None:
    network.change("/.well-known/openid-configuration", lambda document: {**document, "issuer": "https://op.example/"})

    answer = browser.get("/auth/login/")

    assert_refused(answer, 500, "/auth/login/?provider=default")
    assert logged() == [
        "sign-in failed: issuer_mismatch: discovery names the issuer 'https://op.example/', and ISSUER is 'https://op.example'"
    ]


@pytest.mark.parametrize(
    ("parameters", "client_id"),
    [
        ({"provider": "second"}, "second-client"),
        ({"provider": "third"}, "third-client"),
        ({"iss": "https://op.example"}, "second-client"),
        ({}, "second-client"),
    ],
)
def test_one_of_several_providers_is_chosen(
    browser: SiteBrowser, settings: Any, parameters: dict[str, str], client_id: str
) -> None:
    of_issuer = {"ISSUER": "https://op.example", "CLIENT_SECRET": "secret"}
    settings.ORY_LOGOUT = {
        **settings.ORY_LOGOUT,
        "PROVIDERS": {
            "second": {**of_issuer, "CLIENT_ID": "second-client"},
            "third": {**of_issuer, "CLIENT_ID": "third-client"},
        },
    }

    assert query_of(browser.start(**parameters))["client_id"] == client_id


def test_the_default_provider_need_not_be_the_first(browser: SiteBrowser, settings: Any) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    other = {**default, "CLIENT_ID": "other-client"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"other": other, "default": default}}

    assert query_of(browser.start())["client_id"] == "django-site"


def test_login_required_middleware_redirects_to_the_login_view_and_exempts_it(browser: SiteBrowser) -> None:
    answer = browser.get("/private/")

    assert answer["Location"] == "/auth/login/?next=/private/"
    assert browser.get(answer["Location"])["Location"].startswith("https://op.example/oauth2/auth?")
