"""The session index: which Django sessions a provider opened, and how exactly they end.

The row is the truth and deleting the stored session is the quick way: a session whose row has ended is not signed in,
whatever its engine still holds. Each statement commits by itself, in this order:

    sign-in  new session key; row; session stored with its mark; a receipt that names the row refuses it
    notice   receipt; mark the rows ended; read them; delete the stored sessions; delete the rows; complete the receipt
    load     see :mod:`.stores`
    purge    the receipts not completed, then rows that ended or expired, as a notice does

``docs/explanation/session-index.md`` argues why no other order will do.
"""

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.core.cache.backends.locmem import LocMemCache
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..exceptions import fault_name
from ..models import EndReason, LoginSession, LoginSessionQuerySet, LogoutNotice, LogoutReceipt
from ..signals import login_session_ended
from . import engines, events, receipts, token_revocation
from .stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

#: The key of the Django session for its mark ``{id, key}``: our row, and the session key under which it is indexed.
INDEX_KEY = "_ory_logout_mark"

CHUNK = 500
#: The level of the line about a login session that ended. A purge may end very many.
_told_at = ContextVar("told_at", default=logging.INFO)
#: How exact ``last_seen_at`` is, and how often a session that cannot come back asks whether it lives.
LAST_SEEN_SECONDS = 5 * 60

#: Rows that this process lately saw alive, each for the time that its entry was given.
_seen = LocMemCache("django_ory_logout.seen", {"OPTIONS": {"MAX_ENTRIES": 20_000}})


def rows() -> LoginSessionQuerySet:
    """The index, read and written in the writing database alone: a replica may lag behind a logout."""
    return LoginSession.objects.using(router.db_for_write(LoginSession))


# Ending


def end(notice: LogoutNotice, reason: EndReason, progress: "Progress | None" = None) -> int:
    """End the login sessions that ``notice`` names; says how many. Safe to repeat, and to run beside itself."""
    named = rows().named_by(notice)
    mark_ended(named, reason)
    return finish(named, _of_many(progress, named) if progress else None)


def process(receipt: LogoutReceipt, reason: EndReason, progress: "Progress | None" = None) -> int:
    """Do what ``receipt`` asks for; says how many login sessions ended."""
    ended = end(receipt.notice, reason, progress)
    receipts.complete(receipt)
    return ended


def forget_seen(row_id: str | None) -> None:
    """Ask the index about this row at its next load, or about all rows where nobody knows which one it is."""
    if row_id:
        _seen.delete(row_id)
    else:
        _seen.clear()


def mark_ended(these: LoginSessionQuerySet, reason: EndReason) -> int:
    """From here on, none of ``these`` is signed in; says how many had not ended before."""
    return these.filter(ended_at=None).update(ended_at=timezone.now(), end_reason=reason)


@sensitive_variables()
def finish(these: LoginSessionQuerySet, progress: Callable[[int], None] | None = None) -> int:
    """Delete the stored sessions of those that have ended, then their rows. ``progress`` is told how many."""
    store = engines.site_store()
    ended = these.exclude(ended_at=None).order_by("pk")
    count, left = 0, list[token_revocation.TokensToRevoke]()
    while chunk := list(ended[:CHUNK]):
        left += [one for row in chunk for one in _left_by(store, row)]
        engines.delete_stored(store, [row.session_key for row in chunk if row.session_key])
        rows().filter(pk__in=[row.pk for row in chunk]).delete()
        _seen.delete_many([str(row.pk) for row in chunk])
        count += len(chunk)
        for row in chunk:
            _tell_ended(row)
        events.note_ended(chunk)
        if progress:
            progress(count)
    revoke_after_commit(left)
    return count


@sensitive_variables()
def revoke_after_commit(left: list[token_revocation.TokensToRevoke]) -> None:
    """Revoke the tokens of sessions once nothing can bring these back."""
    transaction.on_commit(lambda: token_revocation.revoke(left), using=rows().db)


@sensitive_variables()
def _left_by(store: type[SessionBase], row: LoginSession) -> list[token_revocation.TokensToRevoke]:
    """What of the tokens in the stored session of ``row`` is to be revoked; it is read only where a setting says so."""
    if not row.session_key or not token_revocation.asked_for(row.issuer, row.client_id):
        return []
    try:
        login = StoredLogin.read(engines.without_request(store, row.session_key).load())
        return token_revocation.tokens_of(login, row.end_reason)
    except Exception:
        # Whatever is wrong with the stored session, it has to end.
        logger.exception("tokens not revoked: session_unreadable")
        return []


def _tell_ended(row: LoginSession) -> None:
    reason = EndReason(row.end_reason or EndReason.USER)
    logger.log(_told_at.get(), "login session %s ended: %s", row.pk, reason)
    after_commit(partial(login_session_ended.send_robust, LoginSession, login_session=row, reason=reason))


# What a stored session asks of the index (store.py)


@sensitive_variables()
def rekey(mark: Mapping[str, Any], key: str) -> bool:
    """Index the marked session under ``key`` instead, unless it has ended or another rotation came first."""
    return bool(rows().filter(pk=mark["id"], session_key=mark["key"], ended_at=None).update(session_key=key))


def get_active(row_id: str) -> LoginSession | None:
    """The row, unless it is gone or has ended."""
    return rows().filter(pk=row_id, ended_at=None).first()


def confirm_alive(row_id: str, recheck_seconds: float) -> bool:
    """Whether the row lives, asked no more often than every ``recheck_seconds``. Notes now and then that it is used."""
    if _seen.get(row_id):
        return True
    row = get_active(row_id)
    if row is None:
        return False
    if recheck_seconds > 0:
        _seen.set(row_id, True, recheck_seconds)
    now = timezone.now()
    if row.last_seen_at < now - timedelta(seconds=LAST_SEEN_SECONDS):
        # Not within the transaction of a view: until its end, a notice would have to wait for this row.
        after_commit(lambda: rows().filter(pk=row_id, ended_at=None).update(last_seen_at=now))
    return True


def current(request: HttpRequest) -> LoginSession | None:
    """The login session of ``request``, unless none is signed in here through a provider."""
    mark = request.session.get(INDEX_KEY)
    return get_active(mark["id"]) if mark else None


def slide(row_id: str, age: int) -> None:
    """The stored session was saved and now expires in ``age`` seconds: no row may expire before its session.

    Rows are given a tenth more, so that one save in many writes.
    """
    now = timezone.now()
    sooner = rows().filter(pk=row_id, ended_at=None, expires_at__lt=now + timedelta(seconds=age))
    sooner.update(expires_at=row_expiry(now, age))


def row_expiry(now: datetime, age: int) -> datetime:
    return now + timedelta(seconds=age * 1.1)


# Purge


@dataclass(frozen=True)
class Purged:
    """What a purge did: receipts worked off, login sessions ended and expired, receipts deleted; and what failed."""

    completed: int
    ended: int
    expired: int
    deleted: int
    failed: int = 0


#: Told the name of a step, how many are done of it, and of how many.
Progress = Callable[[str, int, int], None]


def purge(progress: Progress | None = None) -> Purged:
    """Work off what faults have left undone, then remove what expired. Safe to run at any time, beside anything.

    The log gets one line with the counts; a line for each login session has the level ``DEBUG``.
    """
    told_at = _told_at.set(logging.DEBUG)
    try:
        purged = _purge(progress)
    finally:
        _told_at.reset(told_at)
    logger.info(
        "purge: %d notices worked off, %d not, %d login sessions ended, %d expired, %d old receipts removed",
        purged.completed,
        purged.failed,
        purged.ended,
        purged.expired,
        purged.deleted,
    )
    return purged


def _purge(progress: Progress | None) -> Purged:
    now = timezone.now()
    left_undone = list(receipts.rows().filter(completed_at=None))
    worked_off = list[int]()
    failed = 0
    for number, receipt in enumerate(left_undone, start=1):
        try:
            worked_off.append(process(receipt, EndReason.BACK_CHANNEL, progress))
        except Exception as error:
            # It must not keep the others waiting, and a thousand of them have one cause.
            logger.log(
                logging.DEBUG if failed else logging.ERROR,
                "receipt %s not worked off: %s",
                receipt.pk,
                fault_name(error),
            )
            failed += 1
        if progress:
            progress("notices", number, len(left_undone))
    ended = sum(worked_off) + finish(rows(), _of(progress, "ended login sessions", rows().exclude(ended_at=None)))
    expired = rows().filter(expires_at__lt=now)
    mark_ended(expired, EndReason.EXPIRED)
    expired_count = finish(expired, _of(progress, "expired login sessions", expired))
    events.purge()
    deleted, _ = receipts.rows().filter(expires_at__lt=now).exclude(completed_at=None).delete()
    return Purged(len(worked_off), ended, expired_count, deleted, failed)


def _of(progress: Progress | None, step: str, these: LoginSessionQuerySet) -> Callable[[int], None] | None:
    return counted(partial(progress, step), these.count()) if progress else None


def _of_many(progress: Progress, these: LoginSessionQuerySet) -> Callable[[int], None]:
    """A notice has a line of its own only if it ends more sessions than one statement deletes."""
    totals: list[int] = []

    def told(count: int) -> None:
        if not totals and count >= CHUNK:
            totals.append(count + these.exclude(ended_at=None).count())
        if totals:
            progress("login sessions of one notice", count, max(count, *totals))

    return told


def counted(progress: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    """``progress``, told how many of ``total``; others can end sessions meanwhile."""
    return lambda count: progress(count, max(count, total))


def after_commit(act: Callable[[], object]) -> None:
    """Call ``act`` when what the index was told is there to stay: now, or after the transaction that we are in."""
    transaction.on_commit(act, using=rows().db)
