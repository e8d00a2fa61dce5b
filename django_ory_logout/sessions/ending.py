"""A logout that begins at this site: the row ends first, and every later step may fail."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from django.db import Error as DatabaseFault
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..database import database_fault
from ..exceptions import LogoutUnconfirmed, TemporaryError, fault_name
from ..models import EndReason, LoginSessionQuerySet, LogoutReceipt, SessionName, moment
from . import engines, index, receipts, token_revocation
from .stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")


#: Called with the number that is done and the total number.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cleanup:
    """The work that is left after rows have ended: delete the stored sessions and the rows, and revoke tokens."""

    rows: LoginSessionQuerySet
    reason: EndReason
    #: The number of rows that had not ended before.
    count: int = 0
    receipts: Sequence[LogoutReceipt] = ()
    tokens: Sequence[token_revocation.TokensToRevoke] = field(default=(), repr=False)


@sensitive_variables()
def end_session(name: SessionName, login: StoredLogin | None, reason: EndReason) -> Cleanup:
    """End the row of the session ``name``, which stored ``login``. :func:`clean_up` does the rest.

    Raises :exc:`LogoutUnconfirmed` if the row did not end.
    """
    rows = index.rows().named_as(name)
    try:
        written = _record(login, rows, reason)
        if engines.deleted_stay_deleted(engines.site_store()):
            count = _end_with_stored(name, rows, reason)
        else:
            count = index.mark_ended(rows, reason)
            index.forget_seen(name.row_id)
            # A session without a row is signed in as long as it is stored.
            if name.key and not (count or name.row_id or rows.exists()):
                engines.delete_stored(engines.site_store(), [name.key])
    except DatabaseFault as error:
        raise LogoutUnconfirmed.because_of(database_fault(error), name=name, reason=reason) from error
    except TemporaryError as error:
        raise LogoutUnconfirmed.because_of(error, name=name, reason=reason) from error
    except Exception as error:
        raise LogoutUnconfirmed("internal_error", type(error).__name__, name=name, reason=reason) from error
    return Cleanup(rows, reason, count, written, token_revocation.tokens_of(login, reason))


@sensitive_variables()
def _end_with_stored(name: SessionName, rows: LoginSessionQuerySet, reason: EndReason) -> int:
    """Mark the row and delete the stored session in one transaction.

    A stored session can be loaded without asking the index, so it must not remain when its row is marked.
    """
    with transaction.atomic(using=rows.db):
        keys = {name.key, *rows.values_list("session_key", flat=True)}
        count = index.mark_ended(rows, reason)
        index.forget_seen(name.row_id)
        engines.delete_stored(engines.site_store(), [key for key in keys if key])
    return count


@sensitive_variables()
def clean_up(cleanup: Cleanup, ended: Progress | None = None, refused: Progress | None = None) -> None:
    """Delete the stored sessions and the rows, and revoke the tokens. Raises nothing: ``ory_purge`` repeats what fails.

    ``ended`` and ``refused``: see :func:`end_rows`.
    """
    try:
        index.delete_ended(cleanup.rows, ended)
        for number, receipt in enumerate(cleanup.receipts, start=1):
            index.process(receipt, cleanup.reason)
            if refused:
                refused(number, len(cleanup.receipts))
    except Exception as error:
        index.forget_seen(None)
        logger.error("logout not completed, ory_purge will: %s", fault_name(error))
    index.after_commit(partial(token_revocation.revoke, cleanup.tokens))


def end_row(row_id: str, reason: EndReason) -> None:
    """End one login session by the id of its row."""
    end_rows(index.rows().filter(pk=row_id), reason)


def end_rows(
    rows: LoginSessionQuerySet, reason: EndReason, ended: Progress | None = None, refused: Progress | None = None
) -> int:
    """End login sessions for a reason at this site. Return the number of those that had not ended before.

    ``ended`` is called with the number of sessions that are deleted. ``refused`` is called with the number of sessions
    at Kratos that this site refuses from now on: first while their receipts are recorded, and again, from 1, while
    these are processed.

    ``rows`` must not be filtered by ``ended_at``: after they are marked, the rows would not be found again.
    """
    written = _record(None, rows, reason, refused)
    count = index.mark_ended(rows, reason)
    if engines.deleted_stay_deleted(engines.site_store()):
        index.delete_ended(rows, ended)
    clean_up(Cleanup(rows, reason, count, written), ended, refused)
    return count


@sensitive_variables()
def _record(
    login: StoredLogin | None, rows: LoginSessionQuerySet, reason: EndReason, progress: Progress | None = None
) -> Sequence[LogoutReceipt]:
    """Record receipts for sessions that Kratos opened: Kratos sends no notice, and its cookie would sign in again.

    Without ``login`` it is unknown when such a session expires at Kratos.
    """
    at_kratos = {kratos.issuer for kratos in conf.get().kratos}
    if reason not in token_revocation.LOCAL or not at_kratos:
        return []
    if login:
        if login.issuer not in at_kratos:
            return []
        return [receipts.record_logout(login.issuer, login.sid or "", moment(login.expires_at))]
    names = {(issuer, sid) for issuer, sid in rows.filter(issuer__in=at_kratos).values_list("issuer", "sid") if sid}
    written = []
    for issuer, sid in names:
        written.append(receipts.record_logout(issuer, sid))
        if progress:
            progress(len(written), len(names))
    return written
