"""The Django session's record of this browser's login sessions at Hydra."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseFault
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..exceptions import OryLogoutError, TemporaryError

logger = logging.getLogger("django_ory_logout")

KEY = "_ory_hydra_ui"
#: A browser opens one login session at Hydra, and another one at each repeated sign-in.
MAX_SIDS = 500
#: Browsers keep cookies of up to 4 kB. These take 1.5 kB.
MAX_SIDS_IN_COOKIE = 50


@dataclass(frozen=True)
class HydraLogins:
    """``sids``: the login sessions to revoke when this session ends. ``signed_in_at``: seconds since the epoch.

    ``by_form``: the sign-in was by the login form of these pages, with a password.
    """

    signed_in_at: int | None = None
    by_form: bool = False
    sids: Sequence[str] = ()

    def older_than(self, seconds: int) -> bool:
        """Whether the sign-in is too old for ``max_age`` (Core 3.1.2.1). True if its time is unknown."""
        return self.signed_in_at is None or time.time() - self.signed_in_at >= seconds


def read(session: SessionBase) -> HydraLogins:
    return HydraLogins(**session.get(KEY, {}))


def change(session: SessionBase, **changes: Any) -> None:
    session[KEY] = asdict(replace(read(session), **changes))


def keep_sid(session: SessionBase, sid: str) -> None:
    """Add a login session at Hydra, which then ends with this session. With too many, drop the oldest."""
    bound = MAX_SIDS_IN_COOKIE if isinstance(session, signed_cookies.SessionStore) else MAX_SIDS
    sids = [*(kept for kept in read(session).sids if kept != sid), sid]
    for dropped in sids[:-bound]:
        # Do not revoke it: its applications may be in use. A page that makes a browser sign in often could end them.
        logger.warning(
            "login session at Hydra no longer ends with the one here: sid_dropped: ory_force_logout --sid %s", dropped
        )
    change(session, sids=sids[-bound:])


def note_sign_in(*, request: Any, **_kwargs: Any) -> None:
    """Receives ``user_logged_in`` of any sign-in on the site, and records its time for ``max_age``."""
    session = getattr(request, "session", None)
    if session is not None:
        change(session, signed_in_at=int(time.time()), by_form=False)


@sensitive_variables()
def save(session: SessionBase) -> None:
    """Save the session now, so that a fault can still become a page. The middleware saves again only after a change.

    Raises a fault of the database, or :exc:`TemporaryError` (``session_store_fault``).
    """
    try:
        if is_indexed(session):
            session.store()  # type: ignore[attr-defined]
            return
        session.save()
    except (DatabaseFault, OryLogoutError):
        raise
    except Exception as error:
        raise TemporaryError("session_store_fault", type(error).__name__) from error
    saved, save_again = _dumped(session), session.save

    def save_changes(must_create: bool = False) -> None:
        if must_create or _dumped(session) != saved:
            save_again(must_create)

    vars(session)["save"] = save_changes


def _dumped(session: SessionBase) -> bytes:
    dumped: bytes = session.serializer().dumps(dict(session.items()))
    return dumped


def is_indexed(session: SessionBase) -> bool:
    """Whether the session index of ``django_ory_logout`` decides if ``session`` is signed in."""
    if not apps.is_installed("django_ory_logout"):
        return False
    from ..sessions.store import LoginSessionStore  # its models need the app

    return isinstance(session, LoginSessionStore)


@sensitive_variables()
def end(request: HttpRequest) -> None:
    """Call Django's ``logout()``, and make sure that the session stays ended, whatever a receiver does.

    Raises :exc:`TemporaryError` (``session_not_ended``), or :exc:`~..exceptions.LogoutUnconfirmed`.
    """
    session = request.session
    if is_indexed(session):
        from ..flows.logout import end_current
        from ..models import EndReason

        end_current(request, EndReason.USER)
        return
    try:
        end_stored(request)
    except Exception as error:
        # Some engines forget the key when they fail. Without it, Django deletes the cookie, which a retry needs.
        session._session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        raise TemporaryError("session_not_ended", type(error).__name__) from error
    try:
        auth.logout(request)
    except Exception:
        # A receiver of user_logged_out raised an exception, or the user could not be read.
        logger.exception("logout goes on without what failed: internal_error")
    session.clear()
    session._session_key = None
    request.user = AnonymousUser()


@sensitive_variables()
def end_stored(request: HttpRequest) -> None:
    """Delete the stored session of ``request``. It can still be read in this request.

    The key also comes from the cookie: an engine that fails forgets its key, and starts a new session.
    Raises what the engine raises, or :exc:`~..exceptions.LogoutUnconfirmed`.
    """
    session = request.session
    if is_indexed(session):
        from ..sessions.store import end_at_logout

        end_at_logout(request=request)
        return
    for key in {request.COOKIES.get(settings.SESSION_COOKIE_NAME), session.session_key} - {None}:
        with suppress(SuspiciousOperation):  # no key, so nothing is stored under it
            session.delete(key)
