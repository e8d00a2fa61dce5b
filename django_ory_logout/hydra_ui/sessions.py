"""What the Django session keeps of the logins that this browser has at Hydra."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase

logger = logging.getLogger("django_ory_logout")

KEY = "_ory_hydra_ui"
#: A browser opens one login session at Hydra, and another each time that somebody has to sign in anew.
MAX_SIDS = 500
#: In a cookie, of which browsers keep 4 kB, these take 1.5 kB.
MAX_SIDS_IN_COOKIE = 50


@dataclass(frozen=True)
class Kept:
    """``sids``: the login sessions to revoke when this session ends. ``signed_in_at``: seconds since the epoch.

    ``by_form``: through our login form, which asked for a password.
    """

    signed_in_at: int | None = None
    by_form: bool = False
    sids: Sequence[str] = ()

    def older_than(self, seconds: int) -> bool:
        """Whether the sign-in was too long ago for ``max_age`` (Core 3.1.2.1); also if nobody knows when it was."""
        return self.signed_in_at is None or time.time() - self.signed_in_at >= seconds


def read(session: SessionBase) -> Kept:
    """What ``session`` keeps."""
    return Kept(**session.get(KEY, {}))


def write(session: SessionBase, kept: Kept) -> None:
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
        write(session, Kept(signed_in_at=int(time.time()), sids=read(session).sids))
