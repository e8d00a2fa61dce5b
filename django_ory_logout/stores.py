"""A site's own session store, asking the index whether what it loaded is still signed in.

It works when the session is read and not before: public pages cost nothing.
"""

from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import SessionBase

from . import conf, engines, revocation, sessions
from .models import EndReason
from .sessions import LOGIN, MARK


class LoginSessionStore(SessionBase):
    """Mixed into the site's ``SessionStore`` by :func:`indexed`."""

    #: What :meth:`flush` gives as the reason.
    end_reason = EndReason.USER

    def load(self) -> dict[str, Any]:
        data: dict[str, Any] = super().load()
        mark = data.get(MARK)
        if mark is None or self._signed_in(mark):
            return data
        self.delete(self.session_key)
        self._session_key = None
        return {}

    def save(self, must_create: bool = False) -> None:
        # Reading the mark loads the session first: one that has ended is saved as a new, anonymous one.
        mark = None if must_create else self.get(MARK)
        super().save(must_create)
        if mark:
            sessions.slide(mark["id"], self.get_expiry_age())

    def flush(self) -> None:
        row = sessions.rows().filter(pk=self.get(MARK, {}).get("id"))
        sessions.mark_ended(row, self.end_reason)
        left = revocation.left_by(self.get(LOGIN), self.end_reason)
        super().flush()
        sessions.finish(row)
        sessions.revoke_after_commit(left)

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    def _signed_in(self, mark: dict[str, Any]) -> bool:
        if engines.has_keys(type(self)) and mark["key"] != self.session_key:
            return self._adopted(mark)
        if not sessions.touch(mark["id"]):
            return False
        if engines.deleted_stay_deleted(type(self)):
            return True
        recheck_seconds = conf.get().session_recheck_seconds if engines.has_keys(type(self)) else 0
        return sessions.confirm_alive(mark["id"], recheck_seconds)

    def _adopted(self, mark: dict[str, Any]) -> bool:
        """Somebody rotated the session key. Whoever comes first tells the index; who comes later is still served."""
        key = self.session_key or ""
        if not sessions.rekey(mark, key):
            row = sessions.living_row(mark["id"])
            if row is None:
                return False
            if row.session_key != key:
                return True
        mark["key"] = key
        self.modified = True
        return True


@cache
def indexed(store: type[SessionBase]) -> type[LoginSessionStore]:
    """``store`` with :class:`LoginSessionStore` before it. ``__qualname__`` stays: it salts the signature."""
    return type(
        store.__name__,
        (LoginSessionStore, store),
        {"__module__": store.__module__, "__qualname__": store.__qualname__},
    )
