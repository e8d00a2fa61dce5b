"""A logout that begins at this site: the row ends first, and everything that comes after it may fail."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import Error as DatabaseFault
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import LogoutUnconfirmed, TemporaryError, fault_name
from ..models import EndReason, LoginSessionQuerySet, LogoutReceipt, SessionName, moment
from . import engines, index, receipts, token_revocation
from .stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

#: The reasons of a logout that began at this site.
LOCAL = frozenset({EndReason.USER, EndReason.RP_INITIATED, EndReason.FORCED})


#: Told how many are done so far, and how many there will be.
Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """Nobody wants to know how far it is."""


@dataclass(frozen=True)
class Ending:
    """The end of login sessions whose rows have ended. What remains is to delete and to revoke."""

    rows: LoginSessionQuerySet
    reason: EndReason
    #: How many of the rows had not ended before.
    count: int = 0
    receipts: Sequence[LogoutReceipt] = ()
    tokens: Sequence[token_revocation.TokensToRevoke] = field(default=(), repr=False)


@sensitive_variables()
def begin(name: SessionName, login: StoredLogin | None, reason: EndReason) -> Ending:
    """End the row of the session ``name``, in which ``login`` was kept: wholly, or not at all.

    Raises :exc:`LogoutUnconfirmed`.
    """
    rows = index.rows().named_as(name)
    try:
        written = _record(login, rows, reason)
        if engines.deleted_stay_deleted(engines.site_store()):
            count = _end_with_stored(name, rows, reason)
        else:
            count = index.mark_ended(rows, reason)
            index.forget_seen(name.row_id)
            # Without a row, a session is signed in for as long as it is stored.
            if name.key and not (count or name.row_id or rows.exists()):
                engines.delete_stored(engines.site_store(), [name.key])
    except DatabaseFault as error:
        raise LogoutUnconfirmed("database_fault", type(error).__name__, name=name, reason=reason) from error
    except Exception as error:
        raise LogoutUnconfirmed(
            "session_store_fault" if isinstance(error, TemporaryError) else "internal_error",
            error.detail if isinstance(error, TemporaryError) else type(error).__name__,
            name=name,
            reason=reason,
        ) from error
    return Ending(rows, reason, count, written, token_revocation.tokens_of(login, reason))


@sensitive_variables()
def _end_with_stored(name: SessionName, rows: LoginSessionQuerySet, reason: EndReason) -> int:
    """Mark the row and delete the stored session in one transaction: the index is not asked at each load there."""
    with transaction.atomic(using=rows.db):
        keys = {name.key, *rows.values_list("session_key", flat=True)}
        count = index.mark_ended(rows, reason)
        index.forget_seen(name.row_id)
        engines.delete_stored(engines.site_store(), [key for key in keys if key])
    return count


@sensitive_variables()
def complete(ending: Ending, ended: Callable[[int], None] | None = None, refused: Progress = _silent) -> None:
    """Delete what is stored of ``ending``, and revoke its tokens. Raises nothing: ``ory_purge`` does what fails."""
    try:
        index.finish(ending.rows, ended)
        for number, receipt in enumerate(ending.receipts, start=1):
            index.process(receipt, ending.reason)
            refused(number, len(ending.receipts))
    except Exception as error:
        index.forget_seen(None)
        logger.error("logout not completed, ory_purge will: %s", fault_name(error))
    index.revoke_after_commit(list(ending.tokens))


def end_row(row_id: str, reason: EndReason) -> None:
    """End one login session by the id of its row."""
    end_rows(index.rows().filter(pk=row_id), reason)


def end_rows(
    rows: LoginSessionQuerySet, reason: EndReason, ended: Progress | None = None, refused: Progress = _silent
) -> int:
    """End login sessions because somebody here says so; says how many.

    ``ended`` is told how many have ended, ``refused`` of how many Kratos' cookie is refused, first and once again.

    What ``rows`` are chosen by must not change with that: by ``ended_at`` they would be marked, and then not found.
    """
    told = index.counted(ended, rows.count()) if ended else None
    written = _record(None, rows, reason, refused)
    count = index.mark_ended(rows, reason)
    if engines.deleted_stay_deleted(engines.site_store()):
        index.finish(rows, told)
    complete(Ending(rows, reason, count, written), told, refused)
    return count


@sensitive_variables()
def _record(
    login: StoredLogin | None, rows: LoginSessionQuerySet, reason: EndReason, progress: Progress = _silent
) -> Sequence[LogoutReceipt]:
    """Receipts for sessions that Kratos opened: it sends no notice, and its cookie would sign in again.

    How long such a session lives at Kratos is known from its ``login`` alone.
    """
    at_kratos = {kratos.issuer for kratos in conf.get().kratos}
    if reason not in LOCAL or not at_kratos:
        return []
    if login:
        if login.issuer not in at_kratos:
            return []
        return [receipts.record_logout(login.issuer, login.sid or "", moment(login.expires_at))]
    names = {(issuer, sid) for issuer, sid in rows.filter(issuer__in=at_kratos).values_list("issuer", "sid") if sid}
    written = []
    for issuer, sid in names:
        written.append(receipts.record_logout(issuer, sid))
        progress(len(written), len(names))
    return written
