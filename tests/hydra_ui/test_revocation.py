"""A logout from this site, anywhere in it, ends the login sessions at Hydra, and nothing is in its way."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory

from django_ory_logout.hydra_ui import revocation
from django_ory_logout.ory.hydra import HydraAdmin

from .conftest import Logged, SignIn
from .fake import PUBLIC, FakeHydra


def is_signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


def test_logout_revokes_all_of_this_browser(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")

    browser.post("/leave/")

    assert hydra.revoked == ["sid-1", "sid-2"]
    assert not is_signed_in(browser)


def test_another_browser_keeps_its_own(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)
    other = Client()
    other.force_login(amber)

    other.post("/leave/")

    assert not hydra.revoked
    assert is_signed_in(browser)


def test_logout_of_nobody(hydra: FakeHydra, browser: Client) -> None:
    assert browser.post("/leave/").status_code == 302
    assert not hydra.revoked


def test_the_stored_session_is_gone_before_hydra_is_asked(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(amber)
    stored: list[int] = []
    monkeypatch.setattr(revocation, "revoke", lambda _sids: stored.append(Session.objects.count()))

    browser.post("/leave/")

    assert stored == [0]


def test_hydra_is_down(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, logged: Logged) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")
    hydra.is_down = True

    assert browser.post("/leave/").status_code == 302

    assert not is_signed_in(browser)
    (line,) = logged()
    assert line.startswith("Hydra still remembers 2 logins: unreachable: ")


def test_hydra_hears_of_it_later(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)
    hydra.is_down = True
    browser.post("/leave/")
    hydra.is_down = False

    answer = browser.get(hydra.login(str(amber.pk)))

    assert answer["Location"].startswith(f"{PUBLIC}/oauth2/auth?")
    assert hydra.revoked == ["sid-1"]


def test_any_other_fault_is_logged_too(
    hydra: FakeHydra,
    browser: Client,
    amber: User,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sign_in(amber)

    def broken(*_args: object) -> None:
        raise OSError("anything")

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", broken)

    assert browser.post("/leave/").status_code == 302
    assert not is_signed_in(browser)
    assert "logout_incomplete: Hydra may still remember logins" in caplog.messages
    assert caplog.records[-1].levelno == logging.ERROR


@pytest.mark.parametrize("signal", [user_logged_in, user_logged_out])
def test_a_request_without_session(signal: Any, hydra: FakeHydra, amber: User) -> None:
    signal.send(sender=User, request=RequestFactory().get("/"), user=amber)

    assert not hydra.revoked
