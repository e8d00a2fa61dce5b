"""``ory_purge`` completes notices, ends expired sessions, and deletes old rows."""

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
from .tested_site import SiteUnderTest, logout_notice, notice

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
    """A stored session cannot be deleted."""

    def fail(*_arguments: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(engines, "delete_stored", fail)
        yield


def test_purge_keeps_active_sessions_and_new_receipts(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    receipts.complete(receipts.record(logout_notice("another sid"), "the jti"))
    age_receipts(hours=47)

    assert index.purge() == NOTHING

    assert site.is_signed_in(key)
    assert LogoutReceipt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_purge_ends_expired_sessions(site: SiteUnderTest, reasons: list[EndReason]) -> None:
    key = site.visit("/sign-in/")
    LoginSession.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert index.purge() == Purged(completed=0, ended=0, expired=1, deleted=0)

    assert not site.is_signed_in(key)
    assert not LoginSession.objects.exists()
    assert reasons == [EndReason.EXPIRED]


def test_purge_completes_a_receipt(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    receipts.record(logout_notice(), "the jti")

    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=0)

    assert not site.is_signed_in(key)
    assert LogoutReceipt.objects.get().completed_at
    assert index.purge() == NOTHING


@pytest.mark.django_db(transaction=True)
def test_purge_ends_marked_rows_only_once(
    site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch, reasons: list[EndReason]
) -> None:
    site.visit("/sign-in/")
    with broken_engine(monkeypatch), pytest.raises(ConnectionError):
        notice()

    assert site.survivors() == []
    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=0)
    assert reasons == [EndReason.BACK_CHANNEL]


def test_purge_ends_marked_rows_without_a_receipt(site: SiteUnderTest) -> None:
    """A front-channel notice, or a logout here, was interrupted."""
    site.visit("/sign-in/")
    index.mark_ended(index.rows(), EndReason.FRONT_CHANNEL)

    assert index.purge() == Purged(completed=0, ended=1, expired=0, deleted=0)

    assert not LoginSession.objects.exists()


def test_purge_deletes_old_receipts_once_they_are_completed(site: SiteUnderTest) -> None:
    receipts.complete(receipts.record(logout_notice(), "completed"))
    receipts.record(logout_notice(), "not completed")
    age_receipts(days=2, seconds=1)

    assert index.purge() == Purged(completed=1, ended=0, expired=0, deleted=2)

    assert not LogoutReceipt.objects.exists()


def test_purge_keeps_old_receipts_until_they_can_be_completed(
    site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.visit("/sign-in/")
    receipts.record(logout_notice(), "the jti")
    age_receipts(days=30)
    with broken_engine(monkeypatch), pytest.raises(ConnectionError):
        index.purge()

    assert LogoutReceipt.objects.filter(completed_at=None).exists()
    assert index.purge() == Purged(completed=1, ended=1, expired=0, deleted=1)


def test_a_receipt_that_fails_again_does_not_delay_the_others(
    site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch, logged: Logged
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


def test_the_command_prints_what_it_did(site: SiteUnderTest) -> None:
    site.visit("/sign-in/")
    receipts.record(logout_notice(), "the jti")
    said = StringIO()

    call_command("ory_purge", stdout=said)

    assert said.getvalue().startswith("1 notices worked off, 1 login sessions ended, 0 expired")
