"""The receipts of logouts. A logout that has a receipt is never lost, and sign-ins that it names are refused."""

import uuid
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import IntegrityError, router, transaction
from django.utils import timezone

from ..models import LogoutNotice, LogoutReceipt, LogoutReceiptQuerySet, digest

LIFETIME = timedelta(days=2)
#: The ``jti`` of a receipt begins with this if the logout began at this site.
LOCAL_JTI_PREFIX = "here:"
#: The assumed lifetime of a session at Kratos whose expiry is unknown.
UNKNOWN_LIFETIME = timedelta(days=400)


def rows() -> LogoutReceiptQuerySet:
    """The receipts, read from the writing database."""
    return LogoutReceipt.objects.using(router.db_for_write(LogoutReceipt))


def record_logout(issuer: str, sid: str, session_expires_at: datetime | None = None) -> LogoutReceipt:
    """Record a logout at this site of the Kratos session ``sid``. Keep the receipt while that session can live."""
    now = timezone.now()
    if session_expires_at is None or session_expires_at <= now:  # in the past: Kratos may have prolonged it since
        session_expires_at = now + UNKNOWN_LIFETIME
    return _record_local(issuer, sid, session_expires_at + LIFETIME)


def record_credential_logout(issuer: str, name: str) -> LogoutReceipt:
    """Record that a credential was logged out here, if its session is unknown. ``name``: its digest.

    The receipt is kept only for a short time: anyone can invent credentials.
    """
    return _record_local(issuer, name, timezone.now() + LIFETIME)


def withdraw(receipt: LogoutReceipt) -> None:
    """Delete ``receipt``: there is no sign-in that it has to refuse."""
    rows().filter(pk=receipt.pk).delete()


def _record_local(issuer: str, sid: str, expires_at: datetime) -> LogoutReceipt:
    in_transaction = transaction.get_connection(rows().db).in_atomic_block
    notice = LogoutNotice(issuer, None, sid, timezone.now())
    return record(notice, f"{LOCAL_JTI_PREFIX}{uuid.uuid4()}", expires_at=expires_at, durable=not in_transaction)


def is_logged_out(issuer: str, sid: str) -> bool:
    """Whether a receipt names ``sid``. Then nobody can sign in by that session."""
    return rows().filter(sid_digest=digest(issuer, sid)).exists()


def prolong(issuer: str, sid: str, session_expires_at: datetime) -> None:
    """Keep each receipt that names ``sid`` until after ``session_expires_at``, when that session ends at Kratos."""
    until = session_expires_at + LIFETIME
    rows().filter(sid_digest=digest(issuer, sid), expires_at__lt=until).update(expires_at=until)


def record(
    notice: LogoutNotice, jti: str, *, expires_at: datetime | None = None, durable: bool = True
) -> LogoutReceipt:
    """Insert and return the receipt of a notice, or return the receipt that exists already.

    If ``durable``, raises ``RuntimeError`` in a transaction.
    """
    now = timezone.now()
    receipt = LogoutReceipt(**asdict(notice), jti=jti, received_at=now, expires_at=expires_at or now + LIFETIME)
    try:
        # Insert without a SELECT before it: in SQLite, a transaction that has read cannot always write later.
        with transaction.atomic(using=rows().db, durable=durable):
            receipt.save(force_insert=True, using=rows().db)
    except IntegrityError:
        return rows().get(jti_digest=receipt.jti_digest)
    return receipt


def complete(receipt: LogoutReceipt) -> None:
    """Mark ``receipt`` as complete: all sessions that it names have ended."""
    rows().filter(pk=receipt.pk, completed_at=None).update(completed_at=timezone.now())
