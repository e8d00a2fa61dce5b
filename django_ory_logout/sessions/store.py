"""A site's own session store, which asks the index whether the session that it loaded is still signed in.

It works when the session is read and not before: public pages cost nothing.
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
from . import ending as local_logout
from . import engines, index
from .index import INDEX_KEY
from .stored_login import LOGIN_KEY, StoredLogin

logger = logging.getLogger("django_ory_logout")

#: Browsers keep 4096 bytes of name, value and attributes.
MAX_COOKIE_BYTES = 4000


class LoginSessionStore(SessionBase):
    """Mixed into the site's ``SessionStore`` by :func:`indexed`."""

    if TYPE_CHECKING:  # what the stubs of Django leave out
        _session: dict[str, Any]

        def _get_new_session_key(self) -> str: ...

    #: The site's own store.
    engine: type[SessionBase]
    #: A Kratos whose cookie did not come with the request: a session that it opened is not signed in without.
    refused_issuer = ""

    #: Whether the engine or the index failed when the session was to be read.
    has_failed = False
    #: Mark and login that the session was loaded with, or was opened with in this request.
    _opened: dict[str, Any] | None = None
    #: The key that the browser sent. The engines forget it when they find nothing, or cannot look.
    _sent_key: str | None = None
    #: Whether the engine found nothing under a key that the index knows, as when its cache is down.
    _unread = False
    #: The end of the login session that :meth:`end` began and :meth:`flush` completes.
    _ending: local_logout.Ending | None = None
    #: The name of a session that was flushed, although nobody logged out.
    _flushed: SessionName | None = None
    #: Whether the key is new and nothing is stored under it yet.
    _unstored = False
    #: What :meth:`store` has stored, so that saving it again can be left out.
    _stored: bytes | None = None

    @classmethod
    def adopt(cls, found: Any) -> Self:
        """Make ``found``, as the site's middleware made it, a session of this kind.

        Raises ``ImproperlyConfigured`` for what is no session store of Django's.
        """
        session = _unwrapped(found)
        if isinstance(session, cls):
            return session  # the middleware is listed twice
        if not session.modified:
            vars(session).pop("_session_cache", None)  # read before anybody asked the index
        session.__class__ = indexed(type(session))
        adopted: Self = session  # type: ignore[assignment]
        if "_session_cache" in vars(session):
            adopted._session_cache = adopted._checked(adopted._session_cache)
        return adopted

    @classmethod
    def of(cls, request: HttpRequest) -> "LoginSessionStore":
        """The session of ``request``. Raises ``ImproperlyConfigured`` where it would not ask the index."""
        if not isinstance(request.session, LoginSessionStore):
            raise ImproperlyConfigured(
                "request.session is not the one of LoginSessionMiddleware. In MIDDLEWARE, put LoginSessionMiddleware "
                "directly after the last middleware that sets request.session."
            )
        return request.session

    def another(self, session_key: str | None = None) -> Self:
        """A session of the same store under another key. Nothing of it is loaded."""
        other = copy(self)
        for name in ("_session_cache", *vars(LoginSessionStore)):
            vars(other).pop(name, None)
        other.accessed = other.modified = False
        other._session_key = session_key
        return other

    def replaced_by(self, session: SessionBase) -> Self:
        """``session``, which other code put in place of this one: :meth:`settle` ties it to the same login session."""
        other = self.adopt(session)
        other._opened, other._flushed = self.opened, self.name
        return other

    def successor(self, user: AbstractBaseUser) -> Self:
        """A session for ``user`` with a new key and the data that Django's ``login()`` keeps. Nothing is stored yet."""
        new = self.another()
        dropped = {INDEX_KEY, LOGIN_KEY, SESSION_KEY}
        new._session_cache = {name: value for name, value in self._kept_for(user).items() if name not in dropped}
        if engines.has_keys(self.engine):
            with engines.faults():
                new._session_key = new._get_new_session_key()
        new._unstored = new.accessed = new.modified = True
        return new

    def _kept_for(self, user: AbstractBaseUser) -> dict[str, Any]:
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
        with engines.faults():
            data: dict[str, Any] = super().load() or self._load_from_writer()
        if not data:
            self._unread = self._has_living_row()
        if data or self._unread:
            self._session_key = self._sent_key
        return self._checked(data)

    def _load_from_writer(self) -> dict[str, Any]:
        """The session where a replica knows of none, perhaps not yet."""
        return engines.load_from_writer(self, self._sent_key)

    def _has_living_row(self) -> bool:
        """Whether the index knows the key that the browser sent, although the engine found nothing under it.

        Some engines keep their faults to themselves. Django would take the cookie away, and with it the way back.
        """
        if not self._sent_key or not engines.has_keys(self.engine):
            return False
        try:
            return index.rows().filter(session_key=self._sent_key, ended_at=None).exists()
        except DatabaseFault:
            return True

    @sensitive_variables()
    def _checked(self, data: dict[str, Any]) -> dict[str, Any]:
        """``data`` if it is signed in; otherwise nothing, and it is deleted."""
        if INDEX_KEY not in data:
            return data
        self._opened = {INDEX_KEY: data[INDEX_KEY], LOGIN_KEY: data.get(LOGIN_KEY)}
        if self._signed_in(data[INDEX_KEY]) and self._may_sign_in(data):
            return data
        self._opened = None
        self._delete_dead()
        return {}

    def _delete_dead(self) -> None:
        try:
            self.delete(self.session_key)
        except Exception as error:
            # The index says at each load that it has ended.
            logger.warning("stored session not deleted: %s", fault_name(error))
        self._session_key = None

    def _signed_in(self, mark: dict[str, Any]) -> bool:
        if engines.has_keys(self.engine) and mark["key"] != self.session_key:
            return self._adopted(mark)
        return index.confirm_alive(mark["id"], self._recheck_seconds())

    def _may_sign_in(self, data: dict[str, Any]) -> bool:
        if not self.refused_issuer or data[LOGIN_KEY]["issuer"] != self.refused_issuer:
            return True
        local_logout.end_row(data[INDEX_KEY]["id"], EndReason.KRATOS)
        return False

    def _recheck_seconds(self) -> float:
        if not engines.has_keys(self.engine):
            return 0
        if engines.deleted_stay_deleted(self.engine):
            return index.LAST_SEEN_SECONDS
        return conf.get().session_recheck_seconds

    def _adopted(self, mark: dict[str, Any]) -> bool:
        """Somebody rotated the session key. Whoever comes first tells the index; who comes later is still served."""
        key = self.session_key or ""
        if not index.rekey(mark, key):
            row = index.get_active(mark["id"])
            if row is None:
                return False
            if row.session_key != key:
                return True

        def adopt() -> None:
            mark["key"] = key
            self.modified = True

        # A transaction around the view may yet be rolled back, and with it what the index was told.
        index.after_commit(adopt)
        return True

    # Opening and saving

    def attach(self, mark: dict[str, Any], login: StoredLogin) -> None:
        """From here on, this session belongs to the login session of ``mark``."""
        self._opened = {INDEX_KEY: mark, LOGIN_KEY: login.as_dict()}
        self.update(self._opened)

    @sensitive_variables()
    def store(self) -> None:
        """Save now. The middleware's own save is left out if nothing changes after this one.

        Raises :exc:`TemporaryError` (``session_store_fault``), or the fault of the database.
        """
        try:
            self.save()
        except CreateError as error:  # its key is new, so the engine took nothing
            raise TemporaryError("session_store_fault", type(error).__name__) from error
        if not engines.is_stored(self):
            raise TemporaryError("session_store_fault", "the engine kept nothing, and did not say why")
        self._stored = self._dumped()

    def _dumped(self) -> bytes:
        dumped: bytes = self.serializer().dumps(self._session)
        return dumped

    @sensitive_variables()
    def save(self, must_create: bool = False) -> None:
        if self._stored and self._stored == self._dumped():
            return
        if self._unread and not must_create:
            if not self._session:
                return
            self._session_key = None  # what is stored under that key is not ours to write over
            self._unread = False
        # Reading the mark loads the session first: one that has ended is saved as a new, anonymous one.
        mark = None if must_create else self.get(INDEX_KEY)
        self._keep_tie()
        creates = must_create or self._unstored
        with engines.faults():
            super().save(creates)
        if mark and not creates:
            index.slide(mark["id"], self.get_expiry_age())
        self._unstored = False
        if not engines.has_keys(self.engine) and len(self.session_key or "") > MAX_COOKIE_BYTES:
            logger.error("session_cookie_too_large: browsers drop it; choose another SESSION_ENGINE")

    def clear(self) -> None:
        self.opened  # noqa: B018 - what is thrown away unread has to be known
        super().clear()

    def delete(self, session_key: str | None = None) -> None:
        if session_key is None:
            self.opened  # noqa: B018 - as above
        super().delete(session_key)

    def cycle_key(self) -> None:
        if not self._unstored:  # its key is new already
            super().cycle_key()

    # Ending

    @property
    def opened(self) -> dict[str, Any] | None:
        """Mark and login of this session, also where the rest cannot be confirmed now. Raises nothing."""
        if "_session_cache" not in vars(self):
            try:
                self.keys()
            except Exception as error:
                logger.warning("session not read: %s", fault_name(error))
        return self._opened

    @property
    def login(self) -> StoredLogin | None:
        """What this session keeps of its sign-in, if it can be read. Raises nothing."""
        return StoredLogin.read(self.opened or {})

    @property
    def may_be_opened(self) -> bool:
        """Whether a provider opened this session, or nobody can say because it cannot be read."""
        return self.opened is not None or self._unread or "_session_cache" not in vars(self)

    @property
    def name(self) -> SessionName:
        """How the index knows this session, also where it cannot be read. Raises nothing."""
        opened = self.opened
        key = (self.session_key or self._sent_key) if engines.has_keys(self.engine) else None
        return SessionName(opened[INDEX_KEY]["id"] if opened else None, key)

    def belongs_to(self, row_id: str) -> bool:
        """Whether this is the session of the login session ``row_id``, also where it cannot be read now."""
        if self.opened:
            return bool(self.opened[INDEX_KEY]["id"] == row_id)
        key = self.name.key
        return key is not None and index.rows().filter(pk=row_id, session_key=key).exists()

    @sensitive_variables()
    def end(self, reason: EndReason) -> bool:
        """End the login session of this session; says whether there was one.

        It is not signed in any more then, whatever fails later. Raises :exc:`LogoutUnconfirmed`.
        """
        if self._ending is None:
            self._ending = local_logout.begin(self.name, self.login, reason)
            self._opened = None
        return self._ending.count > 0

    @sensitive_variables()
    def flush(self) -> None:
        """Delete the stored session. If :meth:`end` came before, complete what it began; that never raises.

        Without it, somebody else may be signed in to the same session now, as by ``login()``: :meth:`settle` decides.
        """
        ending, self._ending = self._ending, None
        if ending is None:
            self._flushed = self.name if any(self.name) else None
            super().flush()
            return
        try:
            super().flush()
        except Exception as error:
            logger.warning("stored session not deleted: %s", fault_name(error))
        self._session_cache: dict[str, Any] = {}
        self._session_key = self._sent_key = self._opened = self._flushed = None
        local_logout.complete(ending)

    @property
    def needs_settling(self) -> bool:
        """Whether the session was emptied, and nobody has said yet what becomes of its login session."""
        data = getattr(self, "_session_cache", {INDEX_KEY: None})
        cut_off = self._opened is not None and INDEX_KEY not in data and not self._unread
        return cut_off or self._flushed is not None

    def settle(self) -> None:
        """Tie what came after a ``flush()`` or ``clear()`` to the same login session; end that if nothing came.

        A notice for the person whom the provider signed in then ends whatever is signed in in their browser. Raises
        :exc:`LogoutUnconfirmed`.
        """
        self._keep_tie()
        if self.needs_settling:
            name, was_cleared = self._flushed or self.name, self._flushed is None
            self._flushed = self._opened = None
            local_logout.complete(local_logout.begin(name, None, EndReason.USER))
            if was_cleared:  # what it has now is nobody's, and the key that it was stored under has ended
                self._session_key, self.modified = None, True

    def _keep_tie(self) -> None:
        data = getattr(self, "_session_cache", None)
        if data and self._opened and SESSION_KEY in data:
            if INDEX_KEY not in data:
                self.update(self._opened)
            self._flushed = None

    # The same for async views

    async def aload(self) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    async def asave(self, must_create: bool = False) -> None:
        await sync_to_async(self.save)(must_create)

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    async def acycle_key(self) -> None:
        await sync_to_async(self.cycle_key)()


def _unwrapped(session: Any) -> SessionBase:
    """The store itself, where middleware of the site put a ``SimpleLazyObject`` around it."""
    while isinstance(session, LazyObject):
        session.__class__  # noqa: B018 - makes it
        session = vars(session)["_wrapped"]
    if not issubclass(type(session), SessionBase):
        kind = f"{type(session).__module__}.{type(session).__qualname__}"
        raise ImproperlyConfigured(
            f"request.session is a {kind}, and no session of Django's. In MIDDLEWARE, put LoginSessionMiddleware "
            "directly after the middleware that sets request.session."
        )
    return cast(SessionBase, session)


@cache
def indexed(store: type[SessionBase]) -> type[LoginSessionStore]:
    """``store`` with :class:`LoginSessionStore` before it. ``__qualname__`` stays: it salts the signature."""
    return type(
        store.__name__,
        (LoginSessionStore, store),
        {"__module__": store.__module__, "__qualname__": store.__qualname__, "engine": store},
    )


def end_at_logout(*, request: Any, **_kwargs: Any) -> None:
    """Receive ``user_logged_out``, which Django sends before it flushes. Raises :exc:`LogoutUnconfirmed`."""
    session = getattr(request, "session", None)
    if isinstance(session, LoginSessionStore):
        session.end(EndReason.USER)
