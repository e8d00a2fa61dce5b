"""A session that ends at this site ends at Hydra, and so in every application.

The session here ends first, even if Hydra fails. If a login session could not be revoked, Hydra still remembers it. At
its next login request, no session here knows this login session, and it is revoked (:func:`.views.login.login`).
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.contrib import auth
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..exceptions import LogoutUnconfirmed, OryLogoutError
from ..http import NO_ANSWER
from . import conf, hydra_logins

logger = logging.getLogger("django_ory_logout")

#: No call starts later than this after the first: the user waits, and the server may cancel the request.
SECONDS = 10.0


@sensitive_variables()
def sign_in(request: HttpRequest, form: AuthenticationForm) -> None:
    """Sign the user of a valid form in to this site. Another user who was signed in before is logged out."""
    session, user = request.session, form.get_user()
    before = hydra_logins.read(session).sids if request.user != user else ()
    auth.login(request, user)
    # Django keeps the session key if the same user signs in again.
    session.cycle_key()
    session.set_expiry(None if form.cleaned_data.get("remember", True) else 0)
    hydra_logins.change(session, by_form=True)
    revoke(before)


@sensitive_variables()
def sign_out(request: HttpRequest) -> Sequence[str]:
    """End only the session here. Return this browser's login sessions at Hydra.

    Raises :exc:`~..exceptions.TemporaryError` if the session could not be ended. Then Hydra must not be called.
    """
    sids = _taken_sids(request.session)
    try:
        hydra_logins.end(request)
    except LogoutUnconfirmed:
        if sids:  # the record of this logout ends the session here, and does not have these
            logger.error("login sessions at Hydra not revoked: hydra_not_told: %s", " ".join(reversed(sids)))
        raise
    return sids


def _taken_sids(session: SessionBase) -> Sequence[str]:
    """Take the login sessions out of ``session``, so that :func:`revoke_at_logout` finds none."""
    try:
        sids = hydra_logins.read(session).sids
        if sids:
            hydra_logins.change(session, sids=())
    except Exception as error:
        logger.warning("session not read: session_store_fault: %s", type(error).__name__)
        return ()
    return sids


@sensitive_variables()
def revoke_at_logout(*, request: Any, **_kwargs: Any) -> None:
    """Receive ``user_logged_out``, which Django sends before it ends the session.

    Raises only :exc:`~..exceptions.LogoutUnconfirmed`, for which ``LoginSessionMiddleware`` has a page.
    """
    session = getattr(request, "session", None)
    if session is None:
        return
    try:
        sids = hydra_logins.read(session).sids
        if sids:
            # Delete the stored session first, so that it ends also if Hydra fails. Other receivers can still read it.
            hydra_logins.end_stored(request)
            revoke(sids)
    except LogoutUnconfirmed:
        raise
    except Exception:
        logger.exception("logout_incomplete: Hydra may still remember logins")


def revoke(sids: Sequence[str]) -> None:
    """Revoke these login sessions at Hydra, the newest first. Hydra notifies their applications.

    ``sids`` has the oldest first. Raises nothing. Logs each ``sid`` that stays, because no session has it any more.
    """
    deadline = time.monotonic() + SECONDS
    left = list(sids)
    while left and time.monotonic() <= deadline:
        # Without an answer, each further call may take as long.
        if not _answered(left.pop()):
            break
    if left:
        logger.error("login sessions at Hydra not revoked: revocation_given_up: %s", " ".join(reversed(left)))


def log_left(sid: str, error: OryLogoutError) -> None:
    """Log that ``sid`` may still be live at Hydra. The failed call may have reached Hydra."""
    logger.error("login session at Hydra not revoked: %s: %s", error, sid)


def _answered(sid: str) -> bool:
    """Revoke ``sid``. Return whether Hydra answered, with a success or an error."""
    try:
        conf.get().admin.revoke_login_session(sid)
    except OryLogoutError as error:
        log_left(sid, error)
        return error.code not in NO_ANSWER
    except Exception:
        logger.exception("login session at Hydra not revoked: internal_error: %s", sid)
    return True
