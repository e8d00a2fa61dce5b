"""The site around the app: settings, sessions, cache, cookies, database."""

import secrets
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends import cache as cache_engine
from django.contrib.sessions.backends import cached_db, file
from django.contrib.sessions.backends.base import SessionBase
from django.core import checks
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFault
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...cache import SharedCache
from ...exceptions import TemporaryError
from ...models import LoginSession
from ...sessions import engines
from ..findings import CheckResult, check, failed, passed, warned
from ..targets import SiteTarget, fault

OURS = ("ory_logout.", "ory_hydra_ui.")
#: Who silences this says that one process serves the site.
NOT_SHARED = "ory_logout.W061"


@check("site.checks", gettext_lazy("System checks"))
def system_checks(_site: SiteTarget) -> Iterator[CheckResult]:
    """Every system check of this app, and the errors of all others. A silenced error is an error all the same."""
    said = sorted((one for one in _messages() if _matters(one)), key=lambda one: (-one.level, str(one.id)))
    for one in said:
        words = f"{one.id}: {one.msg}" if one.id else str(one.msg)
        explain = _("Run manage.py ory_doctor --explain %(id)s.") if _is_ours(one) else _("Run manage.py check.")
        yield (failed if one.level >= checks.ERROR else warned)(words, str(one.hint or explain % {"id": one.id}))
    if not said:
        yield passed(_("All are content."))


def _messages() -> Iterator[checks.CheckMessage]:
    """What each check says; one that fails keeps no other from it. Those of databases are asked for elsewhere."""
    for one in registry.get_checks(include_deployment_checks=True):
        if checks.Tags.database in one.tags:
            continue
        try:
            yield from one(app_configs=None, databases=None)
        except Exception as error:
            name = {"name": f"{one.__module__}.{getattr(one, '__name__', '')}", "error": type(error).__name__}
            yield checks.Error(_("The system check %(name)s fails itself: %(error)s.") % name)


def _matters(one: checks.CheckMessage) -> bool:
    return one.level >= checks.ERROR or (_is_ours(one) and one.level >= checks.WARNING and not one.is_silenced())


def _is_ours(one: checks.CheckMessage) -> bool:
    return (one.id or "").startswith(OURS)


@check("site.sessions", gettext_lazy("Session engine"))
def session_engine(_site: SiteTarget) -> Iterator[CheckResult]:
    """Whether it answers, and every process and every server sees the same sessions."""
    name = settings.SESSION_ENGINE
    try:
        store = engines.site_store()
        engines.session_without_request(store).exists("doctor")
    except Exception as error:  # each engine has its own
        yield failed(
            _("%(engine)s does not answer: %(error)s.") % {"engine": name, "error": type(error).__name__},
            _("Nobody stays signed in without it: mend SESSION_ENGINE, or where it keeps sessions."),
        )
        return
    yield _shared(store, {"engine": name})


def _shared(store: type[SessionBase], name: dict[str, str]) -> CheckResult:
    cache = caches[settings.SESSION_CACHE_ALIAS] if issubclass(store, cache_engine.SessionStore) else None
    copies = caches[settings.SESSION_CACHE_ALIAS] if issubclass(store, cached_db.SessionStore) else None
    if isinstance(cache, DummyCache):
        return failed(_("%(engine)s keeps nothing: its cache is a dummy.") % name, _("Use another cache."))
    if isinstance(cache, LocMemCache):
        return (warned if _by_one_process() else failed)(
            _("%(engine)s keeps sessions in the memory of each process.") % name,
            _("Use Redis, Memcached or the database for the cache of sessions, or another engine."),
        )
    if not _by_one_process():
        if isinstance(copies, LocMemCache):
            return warned(
                _("%(engine)s keeps copies in the memory of each process.") % name,
                _("Other processes go by old copies for a while: use a shared cache for SESSION_CACHE_ALIAS."),
            )
        if isinstance(cache or copies, FileBasedCache) or issubclass(store, file.SessionStore):
            return warned(
                _("%(engine)s keeps sessions in files.") % name,
                _("Well on one server. Behind a balancer, all servers need the same directory, or another engine."),
            )
    if not engines.has_keys(store):
        return passed(_("%(engine)s keeps sessions in the browser; the index ends them.") % name)
    return passed(_("%(engine)s answers.") % name)


def _by_one_process() -> bool:
    return settings.DEBUG or NOT_SHARED in settings.SILENCED_SYSTEM_CHECKS


@check("site.cache", gettext_lazy("Cache"))
def cache(site: SiteTarget) -> Iterator[CheckResult]:
    """Whether the cache keeps what it is given, and all processes can share it."""
    alias = {"alias": site.config.cache_alias}
    try:
        kept = _keeps(site.config.cache)
    except TemporaryError as error:
        yield failed(
            _("The cache %(alias)r does not answer: %(error)s.") % {**alias, "error": fault(error)},
            _("Nobody can sign in without it: mend the cache, or see CACHES."),
        )
        return
    if not kept:
        yield failed(
            _("The cache %(alias)r keeps nothing.") % alias,
            _("Sign-ins could be used twice, and the provider asked without bound: use one that keeps what it gets."),
        )
    elif isinstance(caches[site.config.cache_alias], LocMemCache) and not _by_one_process():
        yield warned(
            _("The cache %(alias)r is the memory of one process.") % alias,
            _("Use Redis, Memcached or the database as soon as more than one process serves the site."),
        )
    else:
        yield passed(_("The cache %(alias)r keeps what it is given.") % alias)


def _keeps(shared: SharedCache) -> bool:
    probe = f"doctor:{secrets.token_hex(8)}"
    shared.set(probe, "kept", 60)
    kept = bool(shared.get(probe) == "kept")
    shared.delete(probe)
    return kept


@check("site.database", gettext_lazy("Database of the index"))
def database(_site: SiteTarget) -> Iterator[CheckResult]:
    """Whether the index's tables are there, as this version of the app wants them, and keep what is written."""
    alias = router.db_for_write(LoginSession)
    try:
        executor = MigrationExecutor(connections[alias])
    except (DatabaseFault, ImproperlyConfigured) as error:
        yield failed(
            _("The database %(alias)r does not answer: %(error)s.") % {"alias": alias, "error": type(error).__name__},
            _("Nobody can sign in, and notices are answered 503: mend it, or see DATABASES."),
        )
        return
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == LoginSession._meta.app_label]
    if executor.migration_plan(targets):
        yield failed(
            _("Migrations of the app have not run in the database %(alias)r.") % {"alias": alias},
            _("Run manage.py migrate: without its tables nobody signs in, and no notice is kept."),
        )
        return
    broken = [name for model in apps.get_app_config(targets[0][0]).get_models() if (name := _unreadable(model))]
    for one in broken:
        yield failed(
            one,
            _("Nobody can sign in, or notices are answered 503: compare the tables with manage.py sqlmigrate."),
        )
    found = checks.run_checks(tags=[checks.Tags.database], databases=[alias])
    said = [message for message in found if _is_ours(message) and _matters(message)]
    for message in said:
        yield (failed if message.level >= checks.ERROR else warned)(f"{message.id}: {message.msg}", str(message.hint))
    if not broken and not said:
        yield passed(
            _("All migrations have run in the database %(alias)r, and its tables are read.") % {"alias": alias}
        )


def _unreadable(model: type[Model]) -> str:
    """Why no row of ``model`` can be read, with all its columns; nothing if one can, or there is none."""
    try:
        model._base_manager.using(router.db_for_write(model)).first()
    except DatabaseFault as error:
        found = {"table": model._meta.db_table, "error": type(error).__name__}
        return _("The table %(table)s cannot be read: %(error)s.") % found
    return ""
