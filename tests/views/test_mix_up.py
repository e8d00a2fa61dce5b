"""Mix-up (RFC 9700, 4.4): a hostile provider makes an honest one send its code to this site, and waits for that code.

The attacker starts a sign-in at the honest provider. The victim starts one at the hostile provider, which redirects the
browser to the honest one with the attacker's parameters and the victim's ``state``. If the code reached the hostile
provider's token endpoint, the attacker could use it to finish their own sign-in as the victim.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.checks import CheckMessage

from django_ory_logout.checks import check_redirect_uris
from django_ory_logout.testing import Client, Network, Provider, connect

from ..conftest import SITE, Logged, NewBrowser, SiteBrowser, query_of
from .pages import SET_UP_WRONGLY, assert_refused
from .test_login import pending_cookies

HOSTILE = "https://mallory.example"
OF_HONEST, OF_HOSTILE, SHARED = f"{SITE}/callback/default/", f"{SITE}/callback/mallory/", f"{SITE}/callback/"
WRONG_URI = "sign-in failed: redirect_uri_mismatch: the response came to another redirect URI than the sign-in has"
NO_ISS = "sign-in failed: iss_missing: the response has no iss, but the redirect URI is shared"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def providers(settings: Any) -> dict[str, dict[str, Any]]:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    providers = {"default": default, "mallory": {**default, "ISSUER": HOSTILE}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}
    return providers


@pytest.fixture(autouse=True)
def honest(provider: Provider) -> Provider:
    """It still has the old redirect URI, as after a move to one URI for each provider."""
    provider.register(replace(provider.clients["django-site"], redirect_uris=[OF_HONEST, SHARED]))
    return provider


@pytest.fixture(autouse=True)
def hostile(network: Network, honest: Provider, settings: Any) -> Iterator[Network]:
    provider = Provider(HOSTILE, clock=lambda: time.time())
    provider.keys = honest.keys
    uris = [OF_HOSTILE, SHARED]
    provider.register(Client.of_site(SITE, settings.CLIENT_ID, settings.CLIENT_SECRET, redirect_uris=uris))
    with connect(provider) as network:
        yield network


@pytest.fixture
def configure_each(settings: Any, providers: dict[str, dict[str, Any]]) -> Any:
    def configure_each(**changes: Any) -> None:
        changed = {alias: {**entry, **changes} for alias, entry in providers.items()}
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": changed}

    return configure_each


def mixed_up_callback(network: Network, attacker: SiteBrowser, victim: SiteBrowser, **changes: str) -> str:
    """The honest provider's redirect URL for the victim's browser, with the attacker's code."""
    of_attacker, of_victim = attacker.start(), victim.start(provider="mallory")
    assert of_victim.startswith(HOSTILE)
    asked = {**query_of(of_attacker), "state": query_of(of_victim)["state"], **changes}
    return network.follow(f"https://op.example/oauth2/auth?{urlencode(asked)}", "amber")


@pytest.mark.parametrize("redirect_uri", [OF_HONEST, SHARED])
@pytest.mark.parametrize("response_mode", ["query", "form_post"])
def test_a_code_of_the_honest_provider_never_reaches_the_hostile_one(
    network: Network,
    hostile: Network,
    new_browser: NewBrowser,
    configure_each: Any,
    logged: Logged,
    redirect_uri: str,
    response_mode: str,
) -> None:
    configure_each(RESPONSE_MODE=response_mode)
    attacker, victim = new_browser(), new_browser()
    back = mixed_up_callback(network, attacker, victim, redirect_uri=redirect_uri)
    network.calls.clear()
    hostile.calls.clear()

    path = redirect_uri.removeprefix("https://rp.example")
    answer = victim.post_form(path, query_of(back)) if response_mode == "form_post" else victim.visit(back)

    assert_refused(answer, 400, "/auth/login/?provider=mallory")
    assert logged() == [WRONG_URI]
    assert (network.calls, hostile.calls) == ([], [])
    assert victim.user is None
    assert pending_cookies(victim) == {}


def test_a_shared_redirect_uri_refuses_an_honest_provider_that_sends_no_iss(
    network: Network, hostile: Network, new_browser: NewBrowser, configure_each: Any, logged: Logged
) -> None:
    configure_each(SHARED_REDIRECT_URI=True)
    victim = new_browser()
    back = mixed_up_callback(network, new_browser(), victim)
    network.calls.clear()
    hostile.calls.clear()

    assert_refused(victim.visit(back), 400, "/auth/login/?provider=mallory", SET_UP_WRONGLY)

    assert logged() == [NO_ISS]
    assert (network.calls, hostile.calls) == ([], [])


def test_a_shared_redirect_uri_compares_iss(
    network: Network, hostile: Network, honest: Provider, new_browser: NewBrowser, configure_each: Any, logged: Logged
) -> None:
    configure_each(SHARED_REDIRECT_URI=True)
    honest.metadata["authorization_response_iss_parameter_supported"] = True
    victim = new_browser()
    back = mixed_up_callback(network, new_browser(), victim)
    assert query_of(back)["iss"] == "https://op.example"
    network.calls.clear()
    hostile.calls.clear()

    assert_refused(victim.visit(back), 400, "/auth/login/?provider=mallory", SET_UP_WRONGLY)

    assert logged() == [
        "sign-in failed: iss_parameter_mismatch: the response comes from another issuer than the request was sent to"
    ]
    assert (network.calls, hostile.calls) == ([], [])


def test_an_error_for_another_provider_does_not_end_this_sign_in(browser: SiteBrowser, logged: Logged) -> None:
    state = query_of(browser.start(provider="mallory"))["state"]

    answer = browser.get("/auth/callback/default/", {"state": state, "error": "access_denied"})

    assert_refused(answer, 400, "/auth/login/?provider=mallory")
    assert logged() == [WRONG_URI]


# Responses that are accepted


@pytest.mark.parametrize(("alias", "redirect_uri"), [("default", OF_HONEST), ("mallory", OF_HOSTILE)])
def test_each_of_several_providers_signs_in_at_its_own_redirect_uri(
    browser: SiteBrowser, network: Network, hostile: Network, alias: str, redirect_uri: str
) -> None:
    asked = browser.start(provider=alias)
    assert query_of(asked)["redirect_uri"] == redirect_uri
    way = network if alias == "default" else hostile

    browser.visit(way.follow(asked))

    assert browser.user["provider"] == alias
    [form] = [call.form for call in way.calls if call.url.endswith("/oauth2/token")]
    assert form["redirect_uri"] == redirect_uri


def test_a_form_post_to_its_own_redirect_uri_needs_no_csrf_token(
    new_browser: NewBrowser, network: Network, configure_each: Any
) -> None:
    configure_each(RESPONSE_MODE="form_post")
    browser = new_browser(enforce_csrf_checks=True)

    assert browser.post_form("/auth/callback/default/", query_of(network.follow(browser.start()))).status_code == 302
    assert browser.user


def test_a_shared_redirect_uri_accepts_a_provider_that_sends_iss(
    browser: SiteBrowser, honest: Provider, configure_each: Any
) -> None:
    configure_each(SHARED_REDIRECT_URI=True)
    honest.metadata["authorization_response_iss_parameter_supported"] = True

    browser.sign_in()

    assert browser.user


def test_the_only_provider_keeps_callback_and_needs_no_iss(
    browser: SiteBrowser, settings: Any, providers: dict[str, dict[str, Any]]
) -> None:
    for alone in ({}, {"SHARED_REDIRECT_URI": True}):
        only = {"default": {**providers["default"], **alone}, "people": {"KRATOS": {"PUBLIC_URL": "https://k.example"}}}
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": only}

        assert query_of(browser.start())["redirect_uri"] == SHARED
        browser.sign_in()

        assert browser.user


@pytest.mark.parametrize("alias", ["nobody", "%00", "%0A", "..%2F", "%C3%A9", "%ED%A0%80", "a" * 3000])
def test_a_redirect_uri_of_no_provider_is_refused(browser: SiteBrowser, logged: Logged, alias: str) -> None:
    state = query_of(browser.start())["state"]

    answer = browser.get(f"/auth/callback/{alias}/?code=x&state={state}")

    assert answer.status_code in {400, 404}
    assert browser.user is None
    assert logged() in ([WRONG_URI], [])


# The check


def found() -> list[CheckMessage]:
    return check_redirect_uris()


def test_the_check_names_each_provider_that_shares_a_redirect_uri(configure_each: Any) -> None:
    assert found() == []

    configure_each(SHARED_REDIRECT_URI=True)

    assert [(message.id, message.msg) for message in found()] == [
        ("ory_logout.W077", "The provider 'default' shares its redirect URI with others."),
        ("ory_logout.W077", "The provider 'mallory' shares its redirect URI with others."),
    ]
    assert OF_HOSTILE in str(found()[1].hint)


def test_the_check_is_silent_with_one_provider_or_wrong_settings(
    settings: Any, providers: dict[str, dict[str, Any]]
) -> None:
    for only in ({"default": {**providers["default"], "SHARED_REDIRECT_URI": True}}, {}):
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": only}

        assert found() == []
