"""A site's own session store, asking the index whether what it loaded is still signed in.

It works when the session is read and not before: public pages cost nothing.
"""

import logging
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import SessionBase
from django.views.decorators.debug import sensitive_variables

from . import conf, engines, revocation, sessions
from .models import EndReason
from .sessions import LOGIN, MARK

logger = logging.getLogger("django_ory_logout")

#: Browsers keep 4096 bytes of name, value and attributes.
MAX_COOKIE_BYTES = 4000


class LoginSessionStore(SessionBase):
    """Mixed into the site's ``SessionStore`` by :func:`indexed`."""

    #: The site's own store.
    engine: type[SessionBase]
    #: What :meth:`flush` gives as the reason.
    end_reason = EndReason.USER
    #: A Kratos whose cookie did not come with the request: a session that it opened is not signed in without.
    not_carried = ""

    @sensitive_variables()
    def load(self) -> dict[str, Any]:
        data: dict[str, Any] = super().load()
        mark = data.get(MARK)
        if mark is None or (self._signed_in(mark) and self._carried(data)):
            return data
        self.delete(self.session_key)
        self._session_key = None
        return {}

    @sensitive_variables()
    def save(self, must_create: bool = False) -> None:
        # Reading the mark loads the session first: one that has ended is saved as a new, anonymous one.
        mark = None if must_create else self.get(MARK)
        super().save(must_create)
        if mark:
            sessions.slide(mark["id"], self.get_expiry_age())
        if not engines.has_keys(self.engine) and len(self.session_key or "") > MAX_COOKIE_BYTES:
            logger.error("session_cookie_too_large: browsers drop it; choose another SESSION_ENGINE")

    @sensitive_variables()
    def flush(self) -> None:
        mark, login = self.get(MARK), self.get(LOGIN)
        row = sessions.rows().filter(pk=mark["id"]) if mark else sessions.rows().none()
        receipt = sessions.record_logout(login, self.end_reason)
        sessions.mark_ended(row, self.end_reason)
        left = revocation.left_by(login, self.end_reason)
        super().flush()
        sessions.finish(row)
        if receipt:
            sessions.work_off(receipt, self.end_reason)
        sessions.revoke_after_commit(left)

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    async def acycle_key(self) -> None:
        await sync_to_async(self.cycle_key)()

    def _signed_in(self, mark: dict[str, Any]) -> bool:
        if engines.has_keys(self.engine) and mark["key"] != self.session_key:
            return self._adopted(mark)
        return sessions.confirm_alive(mark["id"], self._recheck_seconds())

    def _carried(self, data: dict[str, Any]) -> bool:
        if not self.not_carried or data[LOGIN]["issuer"] != self.not_carried:
            return True
        sessions.end_row(data[MARK]["id"], EndReason.KRATOS)
        return False

    def _recheck_seconds(self) -> float:
        if not engines.has_keys(self.engine):
            return 0
        if engines.deleted_stay_deleted(self.engine):
            return sessions.LAST_SEEN_SECONDS
        return conf.get().session_recheck_seconds

    def _adopted(self, mark: dict[str, Any]) -> bool:
        """Somebody rotated the session key. Whoever comes first tells the index; who comes later is still served."""
        key = self.session_key or ""
        if not sessions.rekey(mark, key):
            row = sessions.living_row(mark["id"])
            if row is None:
                return False
            if row.session_key != key:
                return True

        def adopt() -> None:
            mark["key"] = key
            self.modified = True

        # A transaction around the view may yet be rolled back, and with it what the index was told.
        sessions.after_commit(adopt)
        return True


@cache
def indexed(store: type[SessionBase]) -> type[LoginSessionStore]:
    """``store`` with :class:`LoginSessionStore` before it. ``__qualname__`` stays: it salts the signature."""
    return type(
        store.__name__,
        (LoginSessionStore, store),
        {"__module__": store.__module__, "__qualname__": store.__qualname__, "engine": store},
    )
