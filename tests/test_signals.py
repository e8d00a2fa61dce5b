"""Signals: their arguments. A receiver that raises has no effect."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_ory_logout.models import EndReason, LoginSession
from django_ory_logout.sessions import index
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.signals import login_session_ended, login_session_opened, logout_notice_refused
from django_ory_logout.testing import Provider

from .conftest import Connect, Listen, NewBrowser, SiteBrowser

pytestmark = pytest.mark.django_db(transaction=True)


def fail(**_arguments: Any) -> None:
    raise RuntimeError("of the site's own")


@pytest.fixture(autouse=True)
def _another_receiver_raises(connect_receiver: Connect) -> None:
    for signal in (login_session_opened, login_session_ended, logout_notice_refused):
        connect_receiver(signal, fail)


def reasons(ended: list[dict[str, Any]]) -> list[EndReason]:
    return [arguments["reason"] for arguments in ended]


def test_opened_has_request_and_login_session(browser: SiteBrowser, listen: Listen) -> None:
    opened = listen(login_session_opened)

    assert browser.sign_in("amber").status_code == 302

    [arguments] = opened
    assert arguments["sender"] is LoginSession
    assert arguments["login_session"] == LoginSession.objects.get()
    assert arguments["request"].path == "/auth/callback/"
    assert arguments["request"].user == LoginSession.objects.get().user


def test_ended_has_login_session_and_reason(browser: SiteBrowser, listen: Listen) -> None:
    ended = listen(login_session_ended)
    browser.sign_in("amber")
    row = LoginSession.objects.get()
    assert ended == []

    browser.post("/auth/logout/")

    [arguments] = ended
    assert arguments["sender"] is LoginSession
    assert arguments["login_session"].pk == row.pk
    assert arguments["login_session"].subject == "amber"
    assert arguments["reason"] is EndReason.RP_INITIATED


def test_a_refused_sign_in_sends_neither_opened_nor_ended(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider, listen: Listen
) -> None:
    opened, ended = listen(login_session_opened), listen(login_session_ended)
    provider.before_token_response = lambda session: new_browser().deliver(provider.end(session.sid))

    assert browser.sign_in("amber").status_code == 409

    assert opened == ended == []


def test_ended_is_sent_for_another_sign_in(browser: SiteBrowser, listen: Listen) -> None:
    ended = listen(login_session_ended)
    browser.sign_in("amber")

    browser.sign_in("amber")

    assert reasons(ended) == [EndReason.SUPERSEDED]


def test_ended_is_sent_for_each_session_of_a_back_channel_notice(
    new_browser: NewBrowser, provider: Provider, listen: Listen
) -> None:
    ended = listen(login_session_ended)
    for _ in range(2):
        new_browser().sign_in("amber")

    new_browser().deliver(provider.end_subject("amber"))

    assert reasons(ended) == [EndReason.BACK_CHANNEL] * 2


def test_ended_is_sent_for_a_front_channel_notice(browser: SiteBrowser, listen: Listen) -> None:
    ended = listen(login_session_ended)
    browser.sign_in("amber")

    browser.get("/auth/logout/frontchannel/", {"iss": "https://op.example", "sid": str(LoginSession.objects.get().sid)})

    assert reasons(ended) == [EndReason.FRONT_CHANNEL]


def test_ended_is_sent_when_the_browser_returns_from_the_logout_link(browser: SiteBrowser, listen: Listen) -> None:
    ended = listen(login_session_ended)
    browser.sign_in("amber")

    browser.get("/auth/logout/callback/", {"state": browser.session[LOGIN_KEY]["logout_state"]})

    assert reasons(ended) == [EndReason.RP_INITIATED]


def test_ended_is_sent_from_the_sessions_page(new_browser: NewBrowser, listen: Listen) -> None:
    ended = listen(login_session_ended)
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")

    first.post("/auth/sessions/", {"end": "others"})

    assert reasons(ended) == [EndReason.USER]
    assert second.user is None


def test_ended_is_sent_when_a_session_expires(browser: SiteBrowser, listen: Listen) -> None:
    ended = listen(login_session_ended)
    browser.sign_in("amber")
    LoginSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    index.purge()

    assert reasons(ended) == [EndReason.EXPIRED]


def test_refused_has_channel_and_code(browser: SiteBrowser, listen: Listen) -> None:
    refused = listen(logout_notice_refused)

    assert browser.post_form("/auth/logout/backchannel/", {}).status_code == 400
    assert browser.get("/auth/logout/frontchannel/").status_code == 400

    assert [(arguments["channel"], arguments["code"]) for arguments in refused] == [
        ("back-channel", "content_type_invalid"),
        ("front-channel", "iss_and_sid_required"),
    ]
