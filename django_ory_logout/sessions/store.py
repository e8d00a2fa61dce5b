"""The site's own session store. When it loads a session, it asks the index whether that session is still signed in.

It does nothing until the session is read, so public pages cost nothing.
"""

import logging
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any, Self, cast

from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import CreateError, SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFault
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import LazyObject
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import TemporaryError, fault_name
from ..models import EndReason, SessionName
from . import ending, engines, index
from .index import INDEX_KEY
from .stored_login import LOGIN_KEY, StoredLogin

logger = logging.getLogger("django_ory_logout")

#: Browsers accept 4096 bytes for name, value and attributes together.
MAX_COOKIE_BYTES = 4000


class LoginSessionStore(SessionBase):
    """A mixin for the site's ``SessionStore``. :func:`indexed` makes the combined class."""

    if TYPE_CHECKING:  # missing in the stubs of Django
        _session: dict[str, Any]

        def _get_new_session_key(self) -> str: ...

    #: The site's own store.
    engine: type[SessionBase]
    #: The issuer of a Kratos whose cookie is not in the request. A session that it opened is not signed in then.
    issuer_without_cookie = ""

    #: Whether the engine or the index failed while the session was loaded.
    has_failed = False
    #: Our two entries in the session data, the mark and the login, as they were loaded or attached in this request.
    _login_entries: dict[str, Any] | None = None
    #: The key that the browser sent. The engines drop it when they find no session, and when they fail.
    _sent_key: str | None = None
    #: Whether the engine found nothing under a key that has an active row, for example because its cache is down.
    _missing_in_engine = False
    #: The work that :meth:`end` leaves to :meth:`flush`.
    _cleanup: ending.Cleanup | None = None
    #: The name of the session that was flushed without a logout.
    _flushed_name: SessionName | None = None
    #: Whether the key is new and nothing is stored under it yet.
    _has_new_key = False
    #: The data that :meth:`store` stored. The same data is not saved twice.
    _stored: bytes | None = None

    @classmethod
    def install_on(cls, value: Any) -> Self:
        """Change the class of ``value``, the session that the site's middleware created, so that it asks the index.

        Raises ``ImproperlyConfigured`` if ``value`` is not a session store of Django's.
        """
        session = _unwrap(value)
        if isinstance(session, cls):
            return session  # the middleware is listed twice
        if not session.modified:
            vars(session).pop("_session_cache", None)  # it was loaded without asking the index
        session.__class__ = indexed(type(session))
        installed: Self = session  # type: ignore[assignment]
        if "_session_cache" in vars(session):
            installed._session_cache = installed._data_if_signed_in(installed._session_cache)
        return installed

    @classmethod
    def of(cls, request: HttpRequest) -> "LoginSessionStore":
        """The session of ``request``. Raises ``ImproperlyConfigured`` if it does not ask the index."""
        if not isinstance(request.session, LoginSessionStore):
            raise ImproperlyConfigured(
                "request.session is not the one of LoginSessionMiddleware. In MIDDLEWARE, put LoginSessionMiddleware "
                "directly after the last middleware that sets request.session."
            )
        return request.session

    def unloaded_copy(self, session_key: str | None = None) -> Self:
        """A session of the same store under ``session_key``, not loaded yet."""
        other = copy(self)
        for name in ("_session_cache", *vars(LoginSessionStore)):
            vars(other).pop(name, None)
        other.accessed = other.modified = False
        other._session_key = session_key
        return other

    def transfer_to(self, session: SessionBase) -> Self:
        """Prepare ``session`` for :meth:`reattach_or_end`. Other code has replaced this session with ``session``."""
        other = self.install_on(session)
        other._login_entries, other._flushed_name = self.login_entries, self.name
        return other

    def new_session_for(self, user: AbstractBaseUser) -> Self:
        """A session for ``user`` with a new key and the data that Django's ``login()`` keeps. Nothing is stored yet."""
        new = self.unloaded_copy()
        dropped = {INDEX_KEY, LOGIN_KEY, SESSION_KEY}
        new._session_cache = {name: value for name, value in self._data_kept_for(user).items() if name not in dropped}
        if engines.has_keys(self.engine):
            with engines.translate_faults():
                new._session_key = new._get_new_session_key()
        new._has_new_key = new.accessed = new.modified = True
        return new

    def _data_kept_for(self, user: AbstractBaseUser) -> dict[str, Any]:
        data: dict[str, Any] = self._session
        if SESSION_KEY not in data:
            return data
        same_user = data[SESSION_KEY] == user._meta.pk.value_to_string(user)
        same_hash = constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
        return data if same_user and same_hash else {}

    # Loading

    @sensitive_variables()
    def load(self) -> dict[str, Any]:
        try:
            return self._load()
        except Exception:
            self.has_failed = True
            raise

    @sensitive_variables()
    def _load(self) -> dict[str, Any]:
        self._sent_key = self.session_key
        with engines.translate_faults():
            data: dict[str, Any] = super().load() or engines.load_from_writer(self, self._sent_key)
        if not data:
            self._missing_in_engine = self._has_active_row()
        if data or self._missing_in_engine:
            self._session_key = self._sent_key
        return self._data_if_signed_in(data)

    def _has_active_row(self) -> bool:
        """Whether the key that the browser sent has an active row. Called when the engine found no session under it.

        Some engines report no faults. Without this check Django would delete the cookie, and the session would be lost.
        """
        if not self._sent_key or not engines.has_keys(self.engine):
            return False
        try:
            return index.rows().filter(session_key=self._sent_key, ended_at=None).exists()
        except DatabaseFault:
            return True

    @sensitive_variables()
    def _data_if_signed_in(self, data: dict[str, Any]) -> dict[str, Any]:
        """``data`` if its login session is active. Otherwise delete the stored session and return nothing."""
        if INDEX_KEY not in data:
            return data
        self._login_entries = {INDEX_KEY: data[INDEX_KEY], LOGIN_KEY: data.get(LOGIN_KEY)}
        if self._confirm_row(data[INDEX_KEY]) and self._confirm_cookie(data):
            return data
        self._login_entries = None
        self._delete_ended()
        return {}

    def _delete_ended(self) -> None:
        try:
            self.delete(self.session_key)
        except Exception as error:
            # It stays signed out: each load asks the index.
            logger.warning("stored session not deleted: %s", fault_name(error))
        self._session_key = None

    def _confirm_row(self, mark: dict[str, Any]) -> bool:
        if engines.has_keys(self.engine) and mark["key"] != self.session_key:
            return self._accept_rotated_key(mark)
        return index.confirm_alive(mark["id"], self._recheck_seconds())

    def _confirm_cookie(self, data: dict[str, Any]) -> bool:
        if not self.issuer_without_cookie or data[LOGIN_KEY]["issuer"] != self.issuer_without_cookie:
            return True
        ending.end_row(data[INDEX_KEY]["id"], EndReason.KRATOS)
        return False

    def _recheck_seconds(self) -> float:
        if not engines.has_keys(self.engine):
            return 0
        if engines.deleted_stay_deleted(self.engine):
            return index.LAST_SEEN_SECONDS
        return conf.get().session_recheck_seconds

    def _accept_rotated_key(self, mark: dict[str, Any]) -> bool:
        """Other code rotated the session key: write the new key to the row. Return whether the row is active.

        If another rotation was first, the row keeps its key. This session is still signed in.
        """
        key = self.session_key or ""
        if not index.update_key(mark, key):
            row = index.get_active(mark["id"])
            if row is None:
                return False
            if row.session_key != key:
                return True

        def adopt() -> None:
            mark["key"] = key
            self.modified = True

        # If the view's transaction is rolled back, the row keeps the old key. Then the mark must keep the old key too.
        index.after_commit(adopt)
        return True

    # Opening and saving

    def attach(self, mark: dict[str, Any], login: StoredLogin) -> None:
        """Attach this session to the login session of ``mark``."""
        self._login_entries = {INDEX_KEY: mark, LOGIN_KEY: login.as_dict()}
        self.update(self._login_entries)

    @sensitive_variables()
    def store(self) -> None:
        """Save now. The later save by ``SessionMiddleware`` is skipped if nothing has changed since.

        Raises :exc:`TemporaryError` (``session_store_fault``), or the fault of the database.
        """
        try:
            self.save()
        except CreateError as error:  # not because the key is taken: it is new
            raise TemporaryError("session_store_fault", type(error).__name__) from error
        if not engines.is_stored(self):
            raise TemporaryError("session_store_fault", "the engine stored nothing and raised no error")
        self._stored = self._serialized()

    def _serialized(self) -> bytes:
        dumped: bytes = self.serializer().dumps(self._session)
        return dumped

    @sensitive_variables()
    def save(self, must_create: bool = False) -> None:
        if self._stored and self._stored == self._serialized():
            return
        if self._missing_in_engine and not must_create:
            if not self._session:
                return
            self._session_key = None  # do not overwrite the session that may be stored under that key
            self._missing_in_engine = False
        # Reading the mark loads the session first. A session that has ended is saved as a new, anonymous one.
        mark = None if must_create else self.get(INDEX_KEY)
        self._reattach()
        creates = must_create or self._has_new_key
        with engines.translate_faults():
            super().save(creates)
        if mark and not creates:
            index.extend_expiry(mark["id"], self.get_expiry_age())
        self._has_new_key = False
        if not engines.has_keys(self.engine) and len(self.session_key or "") > MAX_COOKIE_BYTES:
            logger.error("session_cookie_too_large: browsers drop it; choose another SESSION_ENGINE")

    def clear(self) -> None:
        self.login_entries  # noqa: B018 - load them before the data is cleared
        super().clear()

    def delete(self, session_key: str | None = None) -> None:
        if session_key is None:
            self.login_entries  # noqa: B018 - load them before the stored session is deleted
        super().delete(session_key)

    def cycle_key(self) -> None:
        if not self._has_new_key:
            super().cycle_key()

    # Ending

    @property
    def login_entries(self) -> dict[str, Any] | None:
        """The mark and the login of this session, even when the index cannot confirm them now. Raises nothing."""
        if "_session_cache" not in vars(self):
            try:
                self.keys()
            except Exception as error:
                logger.warning("session not read: %s", fault_name(error))
        return self._login_entries

    @property
    def login(self) -> StoredLogin | None:
        """The stored login of this session, if the session can be read. Raises nothing."""
        return StoredLogin.read(self.login_entries or {})

    @property
    def may_have_login_session(self) -> bool:
        """Whether a provider opened this session. Also true if the session cannot be read."""
        return self.login_entries is not None or self._missing_in_engine or "_session_cache" not in vars(self)

    @property
    def name(self) -> SessionName:
        """The row id and the key that find the row of this session, even if it cannot be read. Raises nothing."""
        entries = self.login_entries
        key = (self.session_key or self._sent_key) if engines.has_keys(self.engine) else None
        return SessionName(entries[INDEX_KEY]["id"] if entries else None, key)

    def belongs_to(self, row_id: str) -> bool:
        """Whether ``row_id`` is the row of this session, even if the session cannot be read now."""
        entries = self.login_entries
        if entries:
            return bool(entries[INDEX_KEY]["id"] == row_id)
        key = self.name.key
        return key is not None and index.rows().filter(pk=row_id, session_key=key).exists()

    @sensitive_variables()
    def end(self, reason: EndReason) -> bool:
        """End the login session of this session. Return whether there was one.

        After this call the session is not signed in, whatever fails later. Raises :exc:`LogoutUnconfirmed`.
        """
        if self._cleanup is None:
            self._cleanup = ending.end_session(self.name, self.login, reason)
            self._login_entries = None
        return self._cleanup.count > 0

    @sensitive_variables()
    def flush(self) -> None:
        """Delete the stored session. After :meth:`end`, also do the rest of its work, and raise nothing.

        Without :meth:`end` this may be the ``flush()`` in Django's ``login()``, which signs in another user.
        :meth:`reattach_or_end` decides that later.
        """
        cleanup, self._cleanup = self._cleanup, None
        if cleanup is None:
            self._flushed_name = self.name if any(self.name) else None
            super().flush()
            return
        try:
            super().flush()
        except Exception as error:
            logger.warning("stored session not deleted: %s", fault_name(error))
        self._session_cache: dict[str, Any] = {}
        self._session_key = self._sent_key = self._login_entries = self._flushed_name = None
        ending.clean_up(cleanup)

    @property
    def is_detached(self) -> bool:
        """Whether the session was emptied, and its login session is still open, but not attached to it."""
        data = getattr(self, "_session_cache", {INDEX_KEY: None})
        was_cleared = self._login_entries is not None and INDEX_KEY not in data and not self._missing_in_engine
        return was_cleared or self._flushed_name is not None

    def reattach_or_end(self) -> None:
        """After ``flush()`` or ``clear()``: attach the login session to the user who is signed in now, or end it.

        A logout notice for the first user then also ends the session of the second one, in the same browser.
        Raises :exc:`LogoutUnconfirmed`.
        """
        self._reattach()
        if self.is_detached:
            name, was_cleared = self._flushed_name or self.name, self._flushed_name is None
            self._flushed_name = self._login_entries = None
            ending.clean_up(ending.end_session(name, None, EndReason.USER))
            if was_cleared:  # the data that is left is anonymous, and the old key has ended
                self._session_key, self.modified = None, True

    def _reattach(self) -> None:
        data = getattr(self, "_session_cache", None)
        if data and self._login_entries and SESSION_KEY in data:
            if INDEX_KEY not in data:
                self.update(self._login_entries)
            self._flushed_name = None

    # The same methods for async views

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    async def acycle_key(self) -> None:
        await sync_to_async(self.cycle_key)()


def _unwrap(session: Any) -> SessionBase:
    """The session store inside ``session``, if middleware of the site wrapped it in a ``SimpleLazyObject``."""
    is_session = isinstance(session, SessionBase)  # creates what a lazy object wraps
    while isinstance(session, LazyObject):
        session = vars(session)["_wrapped"]
    if not is_session:
        kind = f"{type(session).__module__}.{type(session).__qualname__}"
        raise ImproperlyConfigured(
            f"request.session is a {kind}, which is not a session of Django's. In MIDDLEWARE, put "
            "LoginSessionMiddleware directly after the middleware that sets request.session."
        )
    return cast(SessionBase, session)


@cache
def indexed(store: type[SessionBase]) -> type[LoginSessionStore]:
    """A subclass of :class:`LoginSessionStore` and ``store``. Both sign with one salt, ``__qualname__``."""
    return type(
        store.__name__,
        (LoginSessionStore, store),
        {"__module__": store.__module__, "__qualname__": store.__qualname__, "engine": store},
    )


def end_at_logout(*, request: Any, **_kwargs: Any) -> None:
    """Receive ``user_logged_out``, which Django sends before ``flush()``. Raises :exc:`LogoutUnconfirmed`."""
    session = getattr(request, "session", None)
    if isinstance(session, LoginSessionStore):
        session.end(EndReason.USER)
