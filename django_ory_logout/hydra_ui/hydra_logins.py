"""What the Django session keeps of the logins that this browser has at Hydra."""

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
#: A browser opens one login session at Hydra, and another each time that somebody has to sign in anew.
MAX_SIDS = 500
#: In a cookie, of which browsers keep 4 kB, these take 1.5 kB.
MAX_SIDS_IN_COOKIE = 50


@dataclass(frozen=True)
class HydraLogins:
    """``sids``: the login sessions to revoke when this session ends. ``signed_in_at``: seconds since the epoch.

    ``by_form``: through our login form, which asked for a password.
    """

    signed_in_at: int | None = None
    by_form: bool = False
    sids: Sequence[str] = ()

    def older_than(self, seconds: int) -> bool:
        """Whether the sign-in was too long ago for ``max_age`` (Core 3.1.2.1); also if nobody knows when it was."""
        return self.signed_in_at is None or time.time() - self.signed_in_at >= seconds


def read(session: SessionBase) -> HydraLogins:
    """What ``session`` keeps."""
    return HydraLogins(**session.get(KEY, {}))


def write(session: SessionBase, kept: HydraLogins) -> None:
    """Keep this instead."""
    session[KEY] = asdict(kept)


def change(session: SessionBase, **changes: Any) -> None:
    """Keep this besides."""
    write(session, replace(read(session), **changes))


def keep_sid(session: SessionBase, sid: str) -> None:
    """Another login session at Hydra that ends with this session. With too many, the oldest no longer does."""
    bound = MAX_SIDS_IN_COOKIE if isinstance(session, signed_cookies.SessionStore) else MAX_SIDS
    sids = [*(one for one in read(session).sids if one != sid), sid]
    for dropped in sids[:-bound]:
        # It is not revoked: its applications may be in use, and whoever makes a browser sign in often would end them.
        logger.warning(
            "login session at Hydra no longer ends with the one here: sid_dropped: ory_force_logout --sid %s", dropped
        )
    change(session, sids=sids[-bound:])


def note_sign_in(*, request: Any, **_kwargs: Any) -> None:
    """Receives ``user_logged_in``: ``max_age`` goes by when this was, wherever in the site it happened."""
    session = getattr(request, "session", None)
    if session is not None:
        write(session, HydraLogins(signed_in_at=int(time.time()), sids=read(session).sids))


@sensitive_variables()
def save(session: SessionBase) -> None:
    """Save now, where a fault can still become a page. The middleware's own save is left out if nothing changes.

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


# Ending


def is_indexed(session: SessionBase) -> bool:
    """Whether the session index of ``django_ory_logout`` decides if ``session`` is signed in."""
    if not apps.is_installed("django_ory_logout"):
        return False
    from ..sessions.store import LoginSessionStore  # its models need the app

    return isinstance(session, LoginSessionStore)


@sensitive_variables()
def end(request: HttpRequest) -> None:
    """Django's own ``logout()``, after which nothing can bring the session back, whatever a receiver does.

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
        # Some engines forget the key when they cannot look. Without it the cookie would go, and with it the way to end.
        session._session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        raise TemporaryError("session_not_ended", type(error).__name__) from error
    try:
        auth.logout(request)
    except Exception:
        # A receiver of user_logged_out raised, or the user could not be read.
        logger.exception("logout goes on without what failed: internal_error")
    session.clear()
    session._session_key = None
    request.user = AnonymousUser()


@sensitive_variables()
def end_stored(request: HttpRequest) -> None:
    """End what is stored of the session of ``request``. It can still be read in this request.

    The key comes from the cookie too: an engine that cannot look forgets it, and takes the browser for a new visitor.
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
