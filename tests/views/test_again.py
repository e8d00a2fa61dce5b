"""Pages that try again by themselves: once, only if that can help, and with ``next``."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.db import OperationalError, connection

from django_ory_logout.flows import login as journey
from django_ory_logout.models import LoginSession
from django_ory_logout.testing import Network, Provider

from ..conftest import Clock, Configure, Logged, NewBrowser, SiteBrowser
from .pages import assert_page, assert_refused
from .test_callback import claims_of

AGAIN = "/auth/login/?next=%2Fprivate%2F%3Fa%3D1%26b&provider=default&retried=1"
RETRY = "/auth/login/?next=%2Fprivate%2F%3Fa%3D1%26b&amp;provider=default"
METADATA = "/.well-known/openid-configuration"
SUBJECT = "sign-in failed: subject_logged_out: a back-channel notice ended all sessions of this subject"

pytestmark = pytest.mark.django_db


def assert_tries_again(answer: Any, status: int, seconds: int) -> str:
    """The page says that it tries again. Return the URL."""
    assert_refused(answer, status, RETRY)
    assert answer["Refresh"] == f"{seconds}; url={AGAIN}"
    assert f"This page tries again by itself in {seconds} seconds." in unescape(answer.text)
    return AGAIN


def assert_does_not_try_again(answer: Any, status: int, retry_url: str = RETRY) -> None:
    assert_refused(answer, status, retry_url)
    assert "Refresh" not in answer
    assert "by itself" not in answer.text


def sign_in(browser: SiteBrowser) -> Any:
    return browser.sign_in("amber", next="/private/?a=1&b")


@pytest.fixture
def end_all_sessions(provider: Provider, new_browser: NewBrowser) -> Callable[[], None]:
    """The provider ends all sessions of Amber with a notice that names no sid, as Keycloak does."""

    def end_all_sessions() -> None:
        token = provider.logout_token("django-site", sub="amber")
        assert new_browser().post_form("/auth/logout/backchannel/", {"logout_token": token}).status_code == 200

    return end_all_sessions


def test_a_sign_in_right_after_a_notice_by_subject_tries_again(
    browser: SiteBrowser,
    network: Network,
    end_all_sessions: Callable[[], None],
    clock: Clock,
    logged: Logged,
) -> None:
    end_all_sessions()

    again = assert_tries_again(sign_in(browser), 409, 3)

    assert logged() == [SUBJECT]
    assert browser.user is None
    clock.advance(3)
    answer = browser.visit(network.follow(browser.get(again)["Location"]))
    assert answer["Location"] == "/private/?a=1&b"
    assert browser.get("/auth/whoami/").json()["subject"] == "amber"


@pytest.mark.parametrize("seconds_ago", [0, 0.9, 1, 1.9, 2, 2.9])
def test_the_page_tries_again_after_the_refusal_has_ended(
    browser: SiteBrowser, network: Network, end_all_sessions: Callable[[], None], clock: Clock, seconds_ago: float
) -> None:
    end_all_sessions()
    clock.advance(seconds_ago)
    answer = sign_in(browser)
    if answer.status_code == 409:
        clock.advance(int(answer["Refresh"].partition(";")[0]))
        answer = browser.visit(network.follow(browser.get(AGAIN)["Location"]))

    assert answer.status_code == 302


def test_the_page_tries_again_only_once(
    browser: SiteBrowser, network: Network, end_all_sessions: Callable[[], None], clock: Clock
) -> None:
    end_all_sessions()
    again = assert_tries_again(sign_in(browser), 409, 3)
    clock.advance(3)
    end_all_sessions()

    answer = browser.visit(network.follow(browser.get(again)["Location"]))

    assert_does_not_try_again(answer, 409)


def test_the_page_tries_again_although_another_user_is_signed_in(
    browser: SiteBrowser, network: Network, end_all_sessions: Callable[[], None], clock: Clock
) -> None:
    browser.sign_in("cedar")
    end_all_sessions()
    again = assert_tries_again(sign_in(browser), 409, 3)
    clock.advance(3)

    assert browser.get(again)["Location"].startswith("https://op.example/")


def test_a_sign_in_without_sid_tries_again_too(
    browser: SiteBrowser, network: Network, provider: Provider, new_browser: NewBrowser
) -> None:
    def without_sid(document: dict[str, Any]) -> dict[str, Any]:
        claims = {name: value for name, value in claims_of(document["id_token"]).items() if name != "sid"}
        return {**document, "id_token": provider.sign(claims)}

    network.change("/oauth2/token", without_sid)
    token = provider.logout_token("django-site", sub="amber", sid="of another session")
    new_browser().post_form("/auth/logout/backchannel/", {"logout_token": token})

    assert_tries_again(sign_in(browser), 409, 3)


@pytest.mark.parametrize("names", [{"sid"}, {"sid", "sub"}])
def test_a_session_that_the_provider_ended_does_not_try_again(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider, names: set[str]
) -> None:
    def end(session: Any) -> None:
        named = {name: value for name, value in (("sid", session.sid), ("sub", "amber")) if name in names}
        token = provider.logout_token("django-site", **named)
        new_browser().post_form("/auth/logout/backchannel/", {"logout_token": token})

    provider.before_token_response = end

    assert_does_not_try_again(sign_in(browser), 409)


# 503


@pytest.mark.parametrize("path", ["/oauth2/token", "/.well-known/jwks.json", "/userinfo"])
def test_a_callback_while_the_provider_is_down_tries_again(
    browser: SiteBrowser, network: Network, configure: Configure, clock: Clock, path: str
) -> None:
    configure(USERINFO=True)
    network.down(path)
    again = assert_tries_again(sign_in(browser), 503, 5)

    clock.advance(5)
    assert_does_not_try_again(browser.visit(network.follow(browser.get(again)["Location"])), 503)

    network.mend()
    clock.advance(5)
    answer = browser.visit(network.follow(browser.get(again)["Location"]))
    assert answer["Location"] == "/private/?a=1&b"


def test_the_login_page_while_the_provider_is_down_tries_again(
    browser: SiteBrowser, network: Network, clock: Clock
) -> None:
    network.down(METADATA)
    again = assert_tries_again(browser.get("/auth/login/", {"next": "/private/?a=1&b"}), 503, 5)

    assert_does_not_try_again(browser.get(again), 503)

    network.mend()
    clock.advance(6)
    assert browser.get(again).status_code == 302


def test_the_login_page_while_the_database_is_down_tries_again(
    browser: SiteBrowser, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(journey, "begin", fail)

    answer = browser.get("/auth/login/", {"next": "/private/?a=1&b"})

    assert_page(answer, 503, "Please wait a moment")
    assert answer["Refresh"] == f"5; url={AGAIN}"


def test_a_permanent_fault_does_not_try_again(browser: SiteBrowser, network: Network) -> None:
    network.change(METADATA, lambda document: {**document, "issuer": "https://elsewhere.example"})

    answer = browser.get("/auth/login/", {"next": "/private/?a=1&b"})

    assert "Refresh" not in answer
    assert "by itself" not in answer.text


def test_a_wrong_answer_does_not_try_again(browser: SiteBrowser, network: Network) -> None:
    network.replace("/oauth2/token", b'{"error": "invalid_grant"}', status=400)

    assert_does_not_try_again(sign_in(browser), 400)


@pytest.mark.parametrize("next_url", ["/a;b, c/?x='\"<>", "/ä/", "/%0d%0aSet-Cookie:a=b"])
def test_next_cannot_inject_a_header(browser: SiteBrowser, network: Network, next_url: str) -> None:
    network.down("/oauth2/token")

    refresh = browser.sign_in("amber", next=next_url)["Refresh"]

    assert refresh.startswith("5; url=/auth/login/?next=%2F")
    assert not {'"', "'", "<", ">", ",", " ", "\r", "\n"} & set(refresh.removeprefix("5; "))
    assert refresh.count(";") == 1
    network.mend()
    answer = browser.visit(network.follow(browser.get(refresh.partition("url=")[2])["Location"]))
    assert answer.status_code == 302
    assert LoginSession.objects.count() == 1


def test_the_page_of_the_sessions_tries_again_once(browser: SiteBrowser) -> None:
    browser.sign_in("amber")

    def fail(*_args: Any) -> Any:
        raise OperationalError("away")

    with connection.execute_wrapper(fail):
        first = browser.get("/auth/sessions/")
        second = browser.get("/auth/sessions/?retried=1")

    assert (first.status_code, first["Refresh"]) == (503, "5; url=/auth/sessions/?retried=1")
    assert (second.status_code, second.get("Refresh")) == (503, None)
