"""The receipts of logouts: what was told once is never lost, and refuses the sign-ins that it has to refuse."""

import uuid
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import IntegrityError, router, transaction
from django.utils import timezone

from ..models import LogoutNotice, LogoutReceipt, LogoutReceiptQuerySet, digest

LIFETIME = timedelta(days=2)
#: How the ``jti`` of a receipt begins that no provider sent.
OURS = "here:"
#: For which a session at Kratos may live of which we know no end.
UNKNOWN_LIFETIME = timedelta(days=400)


def rows() -> LogoutReceiptQuerySet:
    """The receipts, read and written in the writing database alone."""
    return LogoutReceipt.objects.using(router.db_for_write(LogoutReceipt))


def record_logout(issuer: str, sid: str, session_expires_at: datetime | None = None) -> LogoutReceipt:
    """The receipt of a logout here of the session ``sid`` at Kratos, kept as long as that session can live."""
    now = timezone.now()
    if session_expires_at is None or session_expires_at <= now:  # or it has been prolonged since that was said
        session_expires_at = now + UNKNOWN_LIFETIME
    return _record_here(issuer, sid, session_expires_at + LIFETIME)


def record_refusal(issuer: str, name: str) -> LogoutReceipt:
    """The receipt of a logout here of whatever session a credential, by its ``name``, stands for.

    Kept for a short time only: what strangers make up would pile up.
    """
    return _record_here(issuer, name, timezone.now() + LIFETIME)


def withdraw(receipt: LogoutReceipt) -> None:
    """There is nothing that ``receipt`` has to refuse."""
    rows().filter(pk=receipt.pk).delete()


def _record_here(issuer: str, sid: str, expires_at: datetime) -> LogoutReceipt:
    in_transaction = transaction.get_connection(rows().db).in_atomic_block
    notice = LogoutNotice(issuer, None, sid, timezone.now())
    return record(notice, f"{OURS}{uuid.uuid4()}", expires_at=expires_at, durable=not in_transaction)


def is_logged_out(issuer: str, sid: str) -> bool:
    """Whether a receipt names ``sid``: nobody signs in by it any more."""
    return rows().filter(sid_digest=digest(issuer, sid)).exists()


def prolong(issuer: str, sid: str, session_expires_at: datetime) -> None:
    """A session that was logged out here lives on at Kratos until then: no receipt that names it goes before."""
    until = session_expires_at + LIFETIME
    rows().filter(sid_digest=digest(issuer, sid), expires_at__lt=until).update(expires_at=until)


def record(
    notice: LogoutNotice, jti: str, *, expires_at: datetime | None = None, durable: bool = True
) -> LogoutReceipt:
    """The receipt of a notice, new or there already. If ``durable``, raises ``RuntimeError`` in a transaction."""
    now = timezone.now()
    receipt = LogoutReceipt(**asdict(notice), jti=jti, received_at=now, expires_at=expires_at or now + LIFETIME)
    try:
        # Inserted without a look first: in SQLite, a transaction that has read cannot always write any more.
        with transaction.atomic(using=rows().db, durable=durable):
            receipt.save(force_insert=True, using=rows().db)
    except IntegrityError:
        return rows().get(jti_digest=receipt.jti_digest)
    return receipt


def complete(receipt: LogoutReceipt) -> None:
    """All that ``receipt`` asks for is done."""
    rows().filter(pk=receipt.pk, completed_at=None).update(completed_at=timezone.now())
