"""What the Django session keeps of the logins that this browser has at Hydra."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

KEY = "_ory_hydra_ui"
#: A browser opens one login session at Hydra, and another each time that somebody has to sign in anew.
MAX_SIDS = 20


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
    """Another login session at Hydra that ends with this session."""
    others = [one for one in read(session).sids if one != sid]
    change(session, sids=[*others, sid][-MAX_SIDS:])


def note_sign_in(*, request: Any, **_kwargs: Any) -> None:
    """Receives ``user_logged_in``: ``max_age`` goes by when this was, wherever in the site it happened."""
    session = getattr(request, "session", None)
    if session is not None:
        write(session, Kept(signed_in_at=int(time.time()), sids=read(session).sids))
