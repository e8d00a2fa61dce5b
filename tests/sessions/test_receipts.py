"""Receipts: each notice has one, and it lasts as long as it has to refuse sign-ins."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from django_ory_logout.models import EndReason, LogoutReceipt
from django_ory_logout.sessions import index, receipts
from django_ory_logout.sessions.receipts import (
    LIFETIME,
    UNKNOWN_LIFETIME,
    is_logged_out,
    record_credential_logout,
    record_logout,
)

from .tested_site import logout_notice

pytestmark = pytest.mark.django_db

KRATOS = "https://login.example"


def lifetime(receipt: LogoutReceipt, since: datetime | None = None) -> timedelta:
    return receipt.expires_at - (since or receipt.received_at)


def test_a_notice_is_kept_for_its_lifetime() -> None:
    assert lifetime(receipts.record(logout_notice(), "the jti")) == LIFETIME


def test_a_repeated_notice_has_the_receipt_of_the_first() -> None:
    first = receipts.record(logout_notice(), "the jti")

    assert receipts.record(logout_notice("another sid"), "the jti") == first
    assert LogoutReceipt.objects.get().sid == first.sid


def test_a_logout_is_kept_longer_than_its_session_lasts() -> None:
    end = timezone.now() + timedelta(days=30)

    assert lifetime(record_logout(KRATOS, "a", end), end) == LIFETIME


@pytest.mark.parametrize("ago", [None, timedelta(0), timedelta(days=9)], ids=["unknown", "now", "past"])
def test_a_logout_of_a_session_with_unknown_end_is_kept_longer_than_any_session(ago: timedelta | None) -> None:
    """A session that is active after its known end was prolonged after the last check."""
    end = None if ago is None else timezone.now() - ago

    assert lifetime(record_logout(KRATOS, "a", end)) > UNKNOWN_LIFETIME


def test_a_refused_credential_is_kept_for_a_short_time() -> None:
    receipt = record_credential_logout(KRATOS, "its name")

    assert receipt.expires_at - LIFETIME <= receipt.received_at
    assert is_logged_out(KRATOS, "its name")


def test_a_withdrawn_receipt_refuses_nothing() -> None:
    """Other receipts stay."""
    receipts.withdraw(record_credential_logout(KRATOS, "a"))
    record_logout(KRATOS, "b")

    assert [is_logged_out(KRATOS, name) for name in ("a", "b")] == [False, True]


def test_a_logout_works_without_time_zones(settings: Any) -> None:
    settings.USE_TZ = False

    assert lifetime(record_logout(KRATOS, "a", timezone.now() + timedelta(days=1))) > timedelta(days=2)


def test_each_logout_has_its_own_receipt() -> None:
    assert record_logout(KRATOS, "a") != record_logout(KRATOS, "a")
    assert LogoutReceipt.objects.count() == 2


def test_a_logout_belongs_to_one_session_at_one_kratos() -> None:
    record_logout(KRATOS, "a")

    assert is_logged_out(KRATOS, "a")
    assert not is_logged_out(KRATOS, "A")
    assert not is_logged_out("https://another.example", "a")


def test_purge_keeps_a_logout_until_its_session_has_ended() -> None:
    receipt = record_logout(KRATOS, "a", timezone.now() + timedelta(days=30))
    index.process(receipt, EndReason.RP_INITIATED)
    assert index.purge().deleted == 0

    LogoutReceipt.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert index.purge().deleted == 1
    assert not is_logged_out(KRATOS, "a")


@pytest.mark.django_db(transaction=True)
def test_a_logout_in_a_transaction_is_rolled_back_with_it() -> None:
    with transaction.atomic():
        record_logout(KRATOS, "a")
        transaction.set_rollback(True)
    assert not is_logged_out(KRATOS, "a")

    with transaction.atomic():
        record_logout(KRATOS, "a")
    assert is_logged_out(KRATOS, "a")


def test_a_receipt_is_completed_once() -> None:
    receipt = record_logout(KRATOS, "a")
    receipts.complete(receipt)
    first = LogoutReceipt.objects.get().completed_at

    receipts.complete(receipt)

    assert first
    assert LogoutReceipt.objects.get().completed_at == first
