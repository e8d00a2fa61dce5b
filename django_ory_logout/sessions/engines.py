"""How the stored sessions of each engine are ended, many at a time.

The cost grows with the sessions that end, never with those that are stored.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import BoundArguments, signature
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends import cache, cached_db, db, file, signed_cookies
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core.cache import caches
from django.db import Error as DatabaseFault
from django.db import router
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..exceptions import OryLogoutError, TemporaryError
from ..models import LoginSession


def site_store() -> type[SessionBase]:
    """The site's own session store."""
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return store


def without_request(store: type[SessionBase], key: str | None = None) -> SessionBase:
    """A session of ``store`` under ``key``, also where its constructor wants what only the site's middleware has.

    That constructor is passed over then, for the first below it that needs no more than a key.
    """
    session = store.__new__(store)
    kinds = [kind for kind in store.__mro__ if "__init__" in vars(kind)]
    all_given = ((kind, _key_alone(vars(kind)["__init__"], key)) for kind in kinds)
    kind, given = next((kind, given) for kind, given in all_given if given is not None)
    kind.__init__(session, *given.args[1:], **given.kwargs)  # type: ignore[misc]
    return session


def _key_alone(constructor: Any, key: str | None) -> BoundArguments | None:
    """How ``constructor`` is called with nothing but ``key``; ``None`` where it needs more."""
    called = signature(constructor)
    try:
        if "session_key" in called.parameters:
            return called.bind(None, session_key=key)
        called.bind(None)
        return called.bind(None, key)
    except TypeError:
        return None


def has_keys(store: type[SessionBase]) -> bool:
    """Whether the engine stores sessions under a key; a signed cookie *is* the session."""
    return not issubclass(store, signed_cookies.SessionStore)


def deleted_stay_deleted(store: type[SessionBase]) -> bool:
    """Whether a deleted session cannot come back by a late save, so that its own absence tells enough.

    True for the plain database engine beside our index, without a replica that lags behind. Every other engine has a
    moment in which a request that read the session before writes it again.
    """
    if not issubclass(store, db.SessionStore) or not _stores_as(store, db.SessionStore):
        return False
    model = store.get_model_class()
    return router.db_for_read(model) == router.db_for_write(model) == router.db_for_write(LoginSession)


@sensitive_variables()
def is_stored(session: SessionBase) -> bool:
    """Whether ``session`` is there now. Django's file engine keeps to itself that it could not write."""
    return not isinstance(session, file.SessionStore) or bool(file.SessionStore.load(session))


@contextmanager
def faults() -> Iterator[None]:
    """Raise what really failed in a session engine: a fault of the database, or ``session_store_fault``."""
    try:
        yield
    except UpdateError as error:
        # Django raises it for a session that is gone, and for any fault of the database.
        if isinstance(error.__context__, DatabaseFault) and "did not affect any rows" not in str(error.__context__):
            raise error.__context__ from None
        raise
    except (DatabaseFault, CreateError, OryLogoutError):
        raise
    except Exception as error:
        raise TemporaryError("session_store_fault", type(error).__name__) from error


@sensitive_variables()
def load_from_writer(store: SessionBase, key: str | None) -> dict[str, Any]:
    """What the writing database has under ``key``, if ``store`` reads from another one, which may lag behind it."""
    if not key or not isinstance(store, db.SessionStore):
        return {}
    model = store.get_model_class()
    using = router.db_for_write(model)
    if router.db_for_read(model) == using:
        return {}
    stored = model._default_manager.using(using).filter(session_key=key, expire_date__gt=timezone.now()).first()
    return store.decode(stored.session_data) if stored else {}


@sensitive_variables()
def delete_stored(store: type[SessionBase], keys: Sequence[str]) -> None:
    """Delete the sessions stored under ``keys``: first from the database, committed, then from the cache.

    Raises :exc:`TemporaryError` (``session_store_fault``), or the fault of the database.
    """
    if keys:
        with faults():
            _delete_stored(store, keys)


@sensitive_variables()
def _delete_stored(store: type[SessionBase], keys: Sequence[str]) -> None:
    if not _stores_as(store, db.SessionStore, cached_db.SessionStore, cache.SessionStore):
        for key in keys:
            without_request(store).delete(key)
        return
    if issubclass(store, db.SessionStore):
        model = store.get_model_class()
        model._default_manager.using(router.db_for_write(model)).filter(session_key__in=keys).delete()
    if issubclass(store, cached_db.SessionStore | cache.SessionStore):
        prefix = without_request(store).cache_key_prefix  # type: ignore[attr-defined]
        caches[settings.SESSION_CACHE_ALIAS].delete_many([prefix + key for key in keys])


def _stores_as(store: type[SessionBase], *engines: type[SessionBase]) -> bool:
    """Whether ``store`` keeps sessions just as one of ``engines`` does; a subclass may keep copies of its own."""
    return any(
        all(getattr(store, name) is getattr(engine, name) for name in ("load", "save", "delete")) for engine in engines
    )
