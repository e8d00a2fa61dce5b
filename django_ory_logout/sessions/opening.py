"""A sign-in at this site: insert the row, then store the session, and only then give its key to the browser.

:mod:`.index` lists the steps and their order.
"""

import logging
from functools import partial
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..exceptions import LoggedOutMeanwhile, fault_name
from ..models import Authentication, EndReason, EventKind, LoginSession, moment
from ..signals import login_session_opened
from ..users import creation
from . import engines, events, index, receipts
from .store import LoginSessionStore
from .stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")


@sensitive_variables()
def open_login_session(
    session: LoginSessionStore,
    user: AbstractBaseUser,
    authentication: Authentication,
    login: StoredLogin,
    *,
    row_id: UUID,
    user_agent: str,
) -> LoginSession:
    """Insert the row of ``session``, in which ``user`` was just logged in. Then store ``session`` for the first time.

    Raises :exc:`LoggedOutMeanwhile` if a back-channel notice about it arrived during the sign-in. After any exception,
    the caller must call :func:`discard_login_session`.
    """
    row = _new_row(session, user, authentication, login.client_id, user_agent)
    row.pk = row_id
    session.attach({"id": str(row.pk), "key": row.session_key}, login)
    row.save(force_insert=True, using=index.rows().db)
    session.store()
    _require_no_notice(row)
    return row


def _require_no_notice(row: LoginSession) -> None:
    """Raises :exc:`LoggedOutMeanwhile`. After ``subject_logged_out``, a sign-in a few seconds later succeeds."""
    notices = receipts.rows().naming(row)
    if row.sid_digest and notices.filter(sid_digest=row.sid_digest).exists():
        raise LoggedOutMeanwhile("logged_out_meanwhile", "a back-channel notice overtook this sign-in")
    if notices.exists():
        raise LoggedOutMeanwhile("subject_logged_out", "a back-channel notice ended all sessions of this subject")


def discard_login_session(session: LoginSessionStore | None, row_id: UUID, user: AbstractBaseUser) -> None:
    """End a login session whose sign-in failed. No other process knows its key, so a failure here does no harm.

    If this sign-in created ``user``, delete that user, unless another sign-in of the same person succeeded meanwhile.
    """
    row = index.rows().filter(pk=row_id)
    try:
        index.mark_ended(row, EndReason.BACK_CHANNEL)
        try:
            if session is not None:
                session.delete()
            row.delete()
        finally:
            if not index.rows().filter(user_id=user.pk).exclude(pk=row_id).exists():
                creation.delete_if_new(user)
    except Exception as error:
        logger.warning("failed sign-in not deleted, ory_purge will delete it: %s", fault_name(error))


def send_opened_signal(request: HttpRequest, row: LoginSession) -> None:
    """Send :data:`~.signals.login_session_opened`, and store the sign-in for the doctor."""
    index.after_commit(partial(login_session_opened.send_robust, LoginSession, request=request, login_session=row))
    events.note(EventKind.SIGNED_IN, issuer=row.issuer, subject=row.subject, sid=row.sid or "")


def _new_row(
    session: LoginSessionStore, user: AbstractBaseUser, authentication: Authentication, client_id: str, user_agent: str
) -> LoginSession:
    now = timezone.now()
    return LoginSession(
        user_id=user.pk,
        issuer=authentication.issuer,
        client_id=client_id,
        subject=authentication.subject,
        sid=authentication.sid,
        session_key=session.session_key if engines.has_keys(type(session)) else None,
        iat=moment(authentication.iat),
        created_at=now,
        last_seen_at=now,
        expires_at=index.row_expiry(now, session.get_expiry_age()),
        user_agent="".join(character for character in user_agent if character.isprintable())[:255],
    )
