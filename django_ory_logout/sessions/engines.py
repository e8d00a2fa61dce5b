"""Django's session engines: what each can do, and how stored sessions are deleted in bulk.

The cost of a deletion grows with the number of deleted sessions, not with the number of stored ones.
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


def session_without_request(store: type[SessionBase], key: str | None = None) -> SessionBase:
    """A session of ``store`` under ``key``, made without a request.

    If the constructor of ``store`` needs other arguments, call the first base constructor that needs only a key.
    """
    session = store.__new__(store)
    bases = [base for base in store.__mro__ if "__init__" in vars(base)]
    calls = ((base, _arguments_for_key(vars(base)["__init__"], key)) for base in bases)
    base, arguments = next((base, arguments) for base, arguments in calls if arguments is not None)
    base.__init__(session, *arguments.args[1:], **arguments.kwargs)  # type: ignore[misc]
    return session


def _arguments_for_key(constructor: Any, key: str | None) -> BoundArguments | None:
    """The arguments that call ``constructor`` with ``key`` alone; ``None`` if it needs more."""
    parameters = signature(constructor)
    try:
        if "session_key" in parameters.parameters:
            return parameters.bind(None, session_key=key)
        parameters.bind(None)
        return parameters.bind(None, key)
    except TypeError:
        return None


def has_keys(store: type[SessionBase]) -> bool:
    """Whether the engine stores sessions under a key. A signed cookie holds the session itself."""
    return not issubclass(store, signed_cookies.SessionStore)


def deleted_stay_deleted(store: type[SessionBase]) -> bool:
    """Whether a deleted session stays deleted, even if a late save comes. If so, not every load must ask the index.

    True only for Django's own database engine in the same database as the index and without a replica. With every other
    engine, a request that loaded the session before the deletion can store it again.
    """
    if not issubclass(store, db.SessionStore) or not _uses_storage_of(store, db.SessionStore):
        return False
    model = store.get_model_class()
    return router.db_for_read(model) == router.db_for_write(model) == router.db_for_write(LoginSession)


@sensitive_variables()
def is_stored(session: SessionBase) -> bool:
    """Whether ``session`` is stored now. Django's file engine raises nothing when it cannot write."""
    return not isinstance(session, file.SessionStore) or bool(file.SessionStore.load(session))


@contextmanager
def translate_faults() -> Iterator[None]:
    """Raise a fault of a session engine as the right class: a fault of the database, or ``session_store_fault``."""
    try:
        yield
    except UpdateError as error:
        # Django raises UpdateError for a deleted session, and also for any fault of the database.
        if isinstance(error.__context__, DatabaseFault) and "did not affect any rows" not in str(error.__context__):
            raise error.__context__ from None
        raise
    except (DatabaseFault, CreateError, OryLogoutError):
        raise
    except Exception as error:
        raise TemporaryError("session_store_fault", type(error).__name__) from error


@sensitive_variables()
def load_from_writer(store: SessionBase, key: str | None) -> dict[str, Any]:
    """The data under ``key`` in the writing database, if ``store`` reads from a replica, which may lag behind."""
    if not key or not isinstance(store, db.SessionStore):
        return {}
    model = store.get_model_class()
    using = router.db_for_write(model)
    if router.db_for_read(model) == using:
        return {}
    stored = model._default_manager.using(using).filter(session_key=key, expire_date__gt=timezone.now()).first()
    return store.decode(stored.session_data) if stored else {}


@sensitive_variables()
@translate_faults()
def delete_stored(store: type[SessionBase], keys: Sequence[str]) -> None:
    """Delete the sessions stored under ``keys``: first from the database, committed, then from the cache.

    Raises :exc:`TemporaryError` (``session_store_fault``), or the fault of the database.
    """
    if not keys:
        return
    if not _uses_storage_of(store, db.SessionStore, cached_db.SessionStore, cache.SessionStore):
        for key in keys:
            session_without_request(store).delete(key)
        return
    if issubclass(store, db.SessionStore):
        model = store.get_model_class()
        model._default_manager.using(router.db_for_write(model)).filter(session_key__in=keys).delete()
    if issubclass(store, cached_db.SessionStore | cache.SessionStore):
        prefix = session_without_request(store).cache_key_prefix  # type: ignore[attr-defined]
        caches[settings.SESSION_CACHE_ALIAS].delete_many([prefix + key for key in keys])


def _uses_storage_of(store: type[SessionBase], *engines: type[SessionBase]) -> bool:
    """Whether ``store`` has the storage methods of one of ``engines``. A subclass may override them."""
    return any(
        all(getattr(store, name) is getattr(engine, name) for name in ("load", "save", "delete")) for engine in engines
    )
