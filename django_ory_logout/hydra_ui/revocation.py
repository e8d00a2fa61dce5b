"""A session that ends at this site ends at Hydra, and so in every application.

The session here ends first, and nothing that Hydra does is in its way. What Hydra could not be told it is told when it
next takes somebody for signed in by a login that no session here knows (:func:`.views.login.login`).
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
from . import conf, hydra_logins

logger = logging.getLogger("django_ory_logout")

#: No call begins later than this after the first: somebody waits, and a server out of patience would say nothing.
SECONDS = 10.0
#: The codes of whoever does not answer at all. A fault or a refusal is an answer.
SILENCE = frozenset({"unreachable", "too_slow"})


@sensitive_variables()
def sign_in(request: HttpRequest, form: AuthenticationForm) -> None:
    """Sign in to this site whom our form let in. Whoever was signed in before leaves, as by a logout."""
    session, user = request.session, form.get_user()
    before = hydra_logins.read(session).sids if request.user != user else ()
    auth.login(request, user)
    # Django keeps the session key when the same person signs in again.
    session.cycle_key()
    session.set_expiry(None if form.cleaned_data.get("remember", True) else 0)
    hydra_logins.change(session, by_form=True)
    revoke(before)


@sensitive_variables()
def sign_out(request: HttpRequest) -> Sequence[str]:
    """End the session here, and nothing else. Return the login sessions that this browser has at Hydra.

    Raises :exc:`~..exceptions.TemporaryError` when the session could not be ended: Hydra must not be asked then.
    """
    sids = _taken_sids(request.session)
    try:
        hydra_logins.end(request)
    except LogoutUnconfirmed:
        if sids:  # the note of this logout ends the session here, and does not know these
            logger.error("login sessions at Hydra not revoked: hydra_not_told: %s", " ".join(reversed(sids)))
        raise
    return sids


def _taken_sids(session: SessionBase) -> Sequence[str]:
    """The login sessions that ``session`` keeps. :func:`revoke_at_logout` finds none afterwards."""
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

    Raises only :exc:`~..exceptions.LogoutUnconfirmed`, which ``LoginSessionMiddleware`` answers.
    """
    session = getattr(request, "session", None)
    if session is None:
        return
    try:
        sids = hydra_logins.read(session).sids
        if sids:
            # What is stored goes first, so that no fault at Hydra saves it; the other receivers can still read it.
            hydra_logins.end_stored(request)
            revoke(sids)
    except LogoutUnconfirmed:
        raise
    except Exception:
        logger.exception("logout_incomplete: Hydra may still remember logins")


def revoke(sids: Sequence[str]) -> None:
    """End these login sessions at Hydra, the newest first, whose applications are told. ``sids``: the oldest first.

    Raises nothing. What is not revoked is logged by its ``sid``: no session here knows it any more.
    """
    deadline = time.monotonic() + SECONDS
    left = list(sids)
    while left and time.monotonic() <= deadline:
        # Each further call may take as long as one without an answer.
        if not _answered(left.pop()):
            break
    if left:
        logger.error("login sessions at Hydra not revoked: revocation_given_up: %s", " ".join(reversed(left)))


def log_left(sid: str, error: OryLogoutError) -> None:
    """Say that ``sid`` lives on at Hydra, or may: the call that failed can have been heard."""
    logger.error("login session at Hydra not revoked: %s: %s", error, sid)


def _answered(sid: str) -> bool:
    """End ``sid``; says whether Hydra answered, whatever it said."""
    try:
        conf.get().admin.revoke_login_session(sid)
    except OryLogoutError as error:
        log_left(sid, error)
        return error.code not in SILENCE
    except Exception:
        logger.exception("login session at Hydra not revoked: internal_error: %s", sid)
    return True
