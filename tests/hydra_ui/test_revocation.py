"""A logout anywhere on this site ends the login sessions at Hydra, and no fault stops it."""

import logging
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory

from django_ory_logout.exceptions import LogoutUnconfirmed, ProviderUnavailable
from django_ory_logout.hydra_ui import hydra_logins, revocation
from django_ory_logout.hydra_ui.hydra_logins import KEY
from django_ory_logout.ory.hydra import HydraAdmin

from .conftest import Logged, SignIn
from .fake import PUBLIC, SESSIONS, FakeHydra

NOT_REVOKED = "login session at Hydra not revoked"
PATH = SESSIONS.removeprefix("/admin")
ADMIN = f"http://hydra.example:4445{SESSIONS}"


def is_signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


def test_logout_revokes_all_login_sessions_of_this_browser(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")

    browser.post("/leave/")

    assert hydra.revoked == ["sid-2", "sid-1"]
    assert not is_signed_in(browser)


def test_another_browser_keeps_its_login_session(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)
    other = Client()
    other.force_login(amber)

    other.post("/leave/")

    assert not hydra.revoked
    assert is_signed_in(browser)


def test_an_anonymous_logout_revokes_nothing(hydra: FakeHydra, browser: Client) -> None:
    assert browser.post("/leave/").status_code == 302
    assert not hydra.revoked


def test_the_stored_session_is_deleted_before_hydra_is_called(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(amber)
    stored: list[int] = []
    monkeypatch.setattr(revocation, "revoke", lambda _sids: stored.append(Session.objects.count()))

    browser.post("/leave/")

    assert stored == [0]


def test_logout_works_while_hydra_is_down(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, logged: Logged
) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")
    hydra.is_down = True

    assert browser.post("/leave/").status_code == 302

    assert not is_signed_in(browser)
    assert logged() == [
        f"{NOT_REVOKED}: unreachable: DELETE {ADMIN}: ConnectionError: sid-2",
        "login sessions at Hydra not revoked: revocation_given_up: sid-1",
    ]


@pytest.mark.parametrize("code", ["unreachable", "too_slow"])
def test_a_hydra_that_does_not_answer_is_not_called_again(
    hydra: FakeHydra, logged: Logged, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    asked: list[str] = []

    def silent(_admin: HydraAdmin, sid: str) -> None:
        asked.append(sid)
        if sid == "sid-3":
            raise ProviderUnavailable(code)

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", silent)

    revocation.revoke(["sid-1", "sid-2", "sid-3", "sid-4"])

    assert asked == ["sid-4", "sid-3"]
    assert logged() == [
        f"{NOT_REVOKED}: {code}: sid-3",
        "login sessions at Hydra not revoked: revocation_given_up: sid-2 sid-1",
    ]


@pytest.mark.parametrize(
    ("status", "code"), [(500, "hydra_fault"), (429, "hydra_fault"), (400, "hydra_refused"), (404, "hydra_not_found")]
)
def test_a_fault_does_not_stop_the_other_revocations(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, logged: Logged, status: int, code: str
) -> None:
    for number in (1, 2, 3):
        sign_in(amber, sid=f"sid-{number}")
    hydra.refuses("sessions/sid-2", status)

    browser.post("/leave/")

    assert hydra.revoked == ["sid-3", "sid-1"]
    assert logged() == [f"{NOT_REVOKED}: {code}: DELETE {PATH} answers {status} 'as told': sid-2"]


def test_revocation_has_a_time_limit(hydra: FakeHydra, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def slow(admin: HydraAdmin, sid: str) -> None:
        nonlocal now
        now += 6
        hydra.revoked.append(sid)

    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(HydraAdmin, "revoke_login_session", slow)

    revocation.revoke(["sid-1", "sid-2", "sid-3", "sid-4"])

    assert hydra.revoked == ["sid-4", "sid-3"]
    assert logged() == ["login sessions at Hydra not revoked: revocation_given_up: sid-2 sid-1"]


def test_hydra_is_called_after_the_commit(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)
    hydra.is_down = True
    browser.post("/leave/")
    hydra.is_down = False

    answer = browser.get(hydra.login(str(amber.pk)))

    assert answer["Location"].startswith(f"{PUBLIC}/oauth2/auth?")
    assert hydra.revoked == ["sid-1"]


def test_our_own_fault_does_not_stop_the_other_revocations(
    hydra: FakeHydra,
    browser: Client,
    amber: User,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")

    def broken(_admin: HydraAdmin, sid: str) -> None:
        if sid == "sid-2":
            raise OSError("anything")
        hydra.revoked.append(sid)

    monkeypatch.setattr(HydraAdmin, "revoke_login_session", broken)

    assert browser.post("/leave/").status_code == 302
    assert not is_signed_in(browser)
    assert hydra.revoked == ["sid-1"]
    (record,) = [record for record in caplog.records if record.name == "django_ory_logout"]
    assert record.getMessage() == f"{NOT_REVOKED}: internal_error: sid-2"
    assert record.levelno == logging.ERROR
    assert record.exc_info


def test_a_session_that_cannot_be_read_does_not_stop_the_logout(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, logged: Logged
) -> None:
    sign_in(amber)
    session = browser.session
    session[KEY] = {"from": "another version"}
    session.save()

    assert browser.post("/leave/").status_code == 302
    assert not is_signed_in(browser)
    assert logged() == ["logout_incomplete: Hydra may still remember logins"]


@pytest.mark.parametrize("signal", [user_logged_in, user_logged_out])
def test_a_request_without_session_logs_out(signal: Any, hydra: FakeHydra, amber: User) -> None:
    signal.send(sender=User, request=RequestFactory().get("/"), user=amber)

    assert not hydra.revoked


def test_a_logout_that_cannot_be_written_down_is_raised(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The middleware answers it: the browser has to learn that its logout is not confirmed."""
    sign_in(amber, sid="sid-1")
    request = RequestFactory().post("/leave/")
    request.session = browser.session
    monkeypatch.setattr(hydra_logins, "end_stored", Mock(side_effect=LogoutUnconfirmed("database_fault")))

    with pytest.raises(LogoutUnconfirmed):
        revocation.revoke_at_logout(request=request)

    assert hydra.revoked == []
