"""What ``ory_purge`` works off and removes, and what it leaves alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_ory_logout.models import EndReason, LoginSession, LogoutNotice, LogoutReceipt
from django_ory_logout.sessions import engines, index, receipts
from django_ory_logout.sessions.index import Purged
from django_ory_logout.signals import login_session_ended

from ..conftest import Logged
from .world import World, logout_notice, notice

pytestmark = pytest.mark.django_db
NOTHING = Purged(completed=0, ended=0, expired=0, deleted=0)


@pytest.fixture
def reasons() -> Iterator[list[EndReason]]:
    told: list[EndReason] = []

    def receive(*, reason: EndReason, **_arguments: Any) -> None:
        told.append(reason)

    login_session_ended.connect(receive)
    yield told
    login_session_ended.disconnect(receive)


def age_receipts(**ago: float) -> None:
    LogoutReceipt.objects.update(expires_at=timezone.now() + receipts.LIFETIME - timedelta(**ago))


@contextmanager
def broken_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No stored session can be deleted."""

    def fail(*_arguments: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(engines, "delete_stored", fail)
        yield


def test_leaves_living_sessions_and_young_receipts(site: World) -> None:
    key = site.visit("/sign-in/")
    receipts.complete(receipts.record(logout_notice("another sid"), "the jti"))
    age_receipts(hours=47)

    assert index.purge() == NOTHING

    assert site.is_signed_in(key)
    assert LogoutReceipt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_ends_what_expired(site: World, reasons: list[EndReason]) -> None:
    key = site.visit("/sign-in/")
    LoginSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert index.purge() == Purged(completed=0, ended=0, expired=1, deleted=0)

    assert not site.is_signed_in(key)
    assert not LoginSession.objects.exists()
    assert reasons == [EndReason.EXPIRED]


def test_works_off_a_receipt_that_was_not_completed(site: World) -> None:
    key = site.visit("/sign-in/")
    receipts.record(logout_notice(), "the jti")

    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=0)

    assert not site.is_signed_in(key)
    assert LogoutReceipt.objects.get().completed_at
    assert index.purge() == NOTHING


@pytest.mark.django_db(transaction=True)
def test_ends_rows_that_were_marked_and_no_more(
    site: World, monkeypatch: pytest.MonkeyPatch, reasons: list[EndReason]
) -> None:
    site.visit("/sign-in/")
    with broken_engine(monkeypatch), pytest.raises(ConnectionError):
        notice()

    assert site.survivors() == []
    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=0)
    assert reasons == [EndReason.BACK_CHANNEL]


def test_ends_marked_rows_without_a_receipt(site: World) -> None:
    """A front-channel notice, or a logout here, that was interrupted."""
    site.visit("/sign-in/")
    index.mark_ended(index.rows(), EndReason.FRONT_CHANNEL)

    assert index.purge() == Purged(completed=0, ended=1, expired=0, deleted=0)

    assert not LoginSession.objects.exists()


def test_removes_old_receipts_once_they_are_completed(site: World) -> None:
    receipts.complete(receipts.record(logout_notice(), "completed"))
    receipts.record(logout_notice(), "not completed")
    age_receipts(days=2, seconds=1)

    assert index.purge() == Purged(completed=1, ended=0, expired=0, deleted=2)

    assert not LogoutReceipt.objects.exists()


def test_keeps_old_receipts_while_their_work_cannot_be_done(site: World, monkeypatch: pytest.MonkeyPatch) -> None:
    site.visit("/sign-in/")
    receipts.record(logout_notice(), "the jti")
    age_receipts(days=30)
    with broken_engine(monkeypatch), pytest.raises(ConnectionError):
        index.purge()

    assert LogoutReceipt.objects.filter(completed_at=None).exists()
    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=1)


def test_a_receipt_that_fails_again_keeps_no_other_waiting(
    site: World, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    site.visit("/sign-in/")
    receipts.record(logout_notice("another sid"), "fails")
    receipts.record(logout_notice(), "works")
    end = index.end

    def end_some(notice: LogoutNotice, reason: EndReason, progress: Any = None) -> int:
        if notice.sid == "another sid":
            raise ConnectionError
        return end(notice, reason, progress)

    monkeypatch.setattr(index, "end", end_some)

    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=0, failed=1)

    assert LogoutReceipt.objects.get(completed_at=None).jti == "fails"
    assert site.survivors() == []
    assert "ConnectionError" in logged()[0]


def test_the_command_says_what_it_did(site: World) -> None:
    site.visit("/sign-in/")
    receipts.record(logout_notice(), "the jti")
    said = StringIO()

    call_command("ory_purge", stdout=said)

    assert said.getvalue().startswith("1 notices worked off, 1 login sessions ended, 0 expired")
