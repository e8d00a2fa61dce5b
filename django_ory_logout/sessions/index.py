"""The session index: the Django sessions that a provider opened, and how they end.

The row decides. A session whose row has ended is not signed in, even if its engine still has it. But a process asks
the index about a session only from time to time (:func:`confirm_alive`), so the stored session is deleted too. Each
statement commits by itself, in this order:

    sign-in  choose a new session key; insert the row; store the session with :data:`INDEX_KEY`; refuse if a receipt
             names the row
    notice   insert the receipt; mark the rows as ended; read them; delete the stored sessions; delete the rows;
             complete the receipt
    load     see :mod:`.store`
    purge    process the receipts that are not complete; then delete ended and expired rows as a notice does

``docs/explanation/session-index.md`` explains why the order must not change.
"""

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
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

#: The entry of the Django session with its mark ``{id, key}``: the id of its row, and the session key in that row.
INDEX_KEY = "_ory_logout_mark"

CHUNK = 500
#: The log level of the line about each ended login session. A purge may end very many.
_ended_log_level = ContextVar("ended_log_level", default=logging.INFO)
#: How exact ``last_seen_at`` is. If :func:`.engines.deleted_stay_deleted`, a process asks the index
#: about a session only once in this time.
LAST_SEEN_SECONDS = 5 * 60

#: The rows that this process recently found active. Each entry has its own timeout.
_seen = LocMemCache("django_ory_logout.seen", {"OPTIONS": {"MAX_ENTRIES": 20_000}})


def rows() -> LoginSessionQuerySet:
    """The index, read from the writing database: a replica may lag behind a logout."""
    return LoginSession.objects.using(router.db_for_write(LoginSession))


# Ending


def end(notice: LogoutNotice, reason: EndReason, progress: "Progress | None" = None) -> int:
    """End the login sessions that ``notice`` names. Return their number. Safe to repeat and to run in parallel."""
    named = rows().named_by(notice)
    mark_ended(named, reason)
    step = partial(progress, "login sessions of one notice") if progress and named.count() >= CHUNK else None
    return delete_ended(named, step)


def process(receipt: LogoutReceipt, reason: EndReason, progress: "Progress | None" = None) -> int:
    """End the login sessions that ``receipt`` names, and complete the receipt. Return the number of sessions ended."""
    ended = end(receipt.notice, reason, progress)
    receipts.complete(receipt)
    return ended


def forget_seen(row_id: str | None) -> None:
    """Ask the index again about this row at its next load. Without ``row_id``: about all rows."""
    if row_id:
        _seen.delete(row_id)
    else:
        _seen.clear()


def mark_ended(login_sessions: LoginSessionQuerySet, reason: EndReason) -> int:
    """Mark ``login_sessions`` as ended, so that none is signed in any more. Return the number of rows changed."""
    return login_sessions.filter(ended_at=None).update(ended_at=timezone.now(), end_reason=reason)


@sensitive_variables()
def delete_ended(login_sessions: LoginSessionQuerySet, progress: Callable[[int, int], None] | None = None) -> int:
    """Delete the stored sessions of those ``login_sessions`` that have ended, then their rows. Return their number.

    ``progress`` is called with the number so far, and the total number.
    """
    store = engines.site_store()
    ended = login_sessions.exclude(ended_at=None).order_by("pk")
    total = ended.count() if progress else 0
    count, to_revoke = 0, list[token_revocation.TokensToRevoke]()
    while chunk := list(ended[:CHUNK]):
        to_revoke += [tokens for row in chunk for tokens in _tokens_to_revoke(store, row)]
        engines.delete_stored(store, [row.session_key for row in chunk if row.session_key])
        rows().filter(pk__in=[row.pk for row in chunk]).delete()
        _seen.delete_many([str(row.pk) for row in chunk])
        count += len(chunk)
        for row in chunk:
            _report_ended(row)
        events.note_ended(chunk)
        if progress:
            progress(count, max(count, total))  # other processes can end sessions meanwhile
    after_commit(partial(token_revocation.revoke, to_revoke))
    return count


@sensitive_variables()
def _tokens_to_revoke(store: type[SessionBase], row: LoginSession) -> list[token_revocation.TokensToRevoke]:
    """The tokens to revoke of the stored session of ``row``. Loads it only if a setting asks to revoke tokens."""
    if not row.session_key or not token_revocation.revoking_config(row.issuer, row.client_id):
        return []
    try:
        login = StoredLogin.read(engines.session_without_request(store, row.session_key).load())
        return token_revocation.tokens_of(login, row.end_reason)
    except Exception:
        # The session has to end, even if its stored data is broken.
        logger.exception("tokens not revoked: session_unreadable")
        return []


def _report_ended(row: LoginSession) -> None:
    reason = EndReason(row.end_reason or EndReason.USER)
    logger.log(_ended_log_level.get(), "login session %s ended: %s", row.pk, reason)
    after_commit(partial(login_session_ended.send_robust, LoginSession, login_session=row, reason=reason))


# Called by the session store (store.py)


@sensitive_variables()
def update_key(mark: Mapping[str, Any], key: str) -> bool:
    """Write ``key`` to the row of ``mark``. ``False``: the row has ended, or another rotation was first."""
    return bool(rows().filter(pk=mark["id"], session_key=mark["key"], ended_at=None).update(session_key=key))


def get_active(row_id: str) -> LoginSession | None:
    """The row, unless it has ended or is deleted."""
    return rows().filter(pk=row_id, ended_at=None).first()


def confirm_alive(row_id: str, recheck_seconds: float) -> bool:
    """Whether the row is active. Asks the database once in ``recheck_seconds`` and updates ``last_seen_at``."""
    if _seen.get(row_id):
        return True
    row = get_active(row_id)
    if row is None:
        return False
    if recheck_seconds > 0:
        _seen.set(row_id, True, recheck_seconds)
    now = timezone.now()
    if row.last_seen_at < now - timedelta(seconds=LAST_SEEN_SECONDS):
        # Not in the transaction of a view: a notice would have to wait for this row until that ends.
        after_commit(lambda: rows().filter(pk=row_id, ended_at=None).update(last_seen_at=now))
    return True


def current(request: HttpRequest) -> LoginSession | None:
    """The login session of ``request``; ``None`` if no provider opened its session, or it has ended."""
    mark = request.session.get(INDEX_KEY)
    return get_active(mark["id"]) if mark else None


def extend_expiry(row_id: str, age: int) -> None:
    """Extend the row after a save of its session, which now expires in ``age`` seconds. The row must not expire first.

    A row lasts 10 % longer than its session, so that a save seldom has to update the row.
    """
    now = timezone.now()
    too_early = rows().filter(pk=row_id, ended_at=None, expires_at__lt=now + timedelta(seconds=age))
    too_early.update(expires_at=row_expiry(now, age))


def row_expiry(now: datetime, age: int) -> datetime:
    return now + timedelta(seconds=age * 1.1)


# Purge


@dataclass(frozen=True)
class Purged:
    """The counts of a purge: completed receipts, ended and expired login sessions, deleted and failed receipts."""

    completed: int
    ended: int
    expired: int
    deleted: int
    failed: int = 0


#: Called with the name of a step, the number that is done, and the total number.
Progress = Callable[[str, int, int], None]


def purge(progress: Progress | None = None) -> Purged:
    """Complete the work that faults interrupted, then remove expired rows. Safe to run at any time, also in parallel.

    The log gets one line with the counts. The lines about single login sessions have the level ``DEBUG``.
    """
    log_level = _ended_log_level.set(logging.DEBUG)
    try:
        purged = _purge(progress)
    finally:
        _ended_log_level.reset(log_level)
    logger.info(
        "purge: %(completed)d notices worked off, %(failed)d not, %(ended)d login sessions ended, %(expired)d expired, "
        "%(deleted)d old receipts removed",
        asdict(purged),
    )
    return purged


def _purge(progress: Progress | None) -> Purged:
    now = timezone.now()
    incomplete = list(receipts.rows().filter(completed_at=None))
    ended = failed = 0
    for number, receipt in enumerate(incomplete, start=1):
        try:
            ended += process(receipt, EndReason.BACK_CHANNEL, progress)
        except Exception as error:
            # Go on with the other receipts. Many failures mostly have one cause, so only the first is an ERROR.
            level = logging.DEBUG if failed else logging.ERROR
            logger.log(level, "receipt %s not worked off: %s", receipt.pk, fault_name(error))
            failed += 1
        if progress:
            progress("notices", number, len(incomplete))
    ended += delete_ended(rows(), partial(progress, "ended login sessions") if progress else None)
    expired = rows().filter(expires_at__lt=now)
    mark_ended(expired, EndReason.EXPIRED)
    expired_count = delete_ended(expired, partial(progress, "expired login sessions") if progress else None)
    events.purge()
    deleted, _ = receipts.rows().filter(expires_at__lt=now).exclude(completed_at=None).delete()
    return Purged(len(incomplete) - failed, ended, expired_count, deleted, failed)


def after_commit(act: Callable[[], object]) -> None:
    """Call ``act`` after the current transaction of the index commits; at once if there is none."""
    transaction.on_commit(act, using=rows().db)
