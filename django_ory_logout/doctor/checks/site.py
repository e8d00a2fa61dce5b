"""The site that uses the app: settings, sessions, cache, database, cookies."""

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

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
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import conf
from ...cache import SharedCache
from ...exceptions import TemporaryError
from ...models import LoginSession
from ...sessions import engines
from ..findings import CheckResult, check, failed, passed, warned
from ..targets import SiteTarget, describe_error

OUR_PREFIXES = ("ory_logout.", "ory_hydra_ui.")
#: A site with only one process silences this system check.
SINGLE_PROCESS_CHECK = "ory_logout.W061"


@check("site.checks", gettext_lazy("System checks"))
def system_checks(_site: SiteTarget) -> Iterator[CheckResult]:
    """Run this app's system checks, and report the errors of all other apps. A silenced error still counts."""
    messages = sorted(filter(_is_reported, _messages()), key=lambda message: (-message.level, str(message.id)))
    for message in messages:
        found = f"{message.id}: {message.msg}" if message.id else str(message.msg)
        explain = _("Run manage.py ory_doctor --explain %(id)s.") if _is_ours(message) else _("Run manage.py check.")
        verdict = failed if message.level >= checks.ERROR else warned
        yield verdict(found, str(message.hint or explain % {"id": message.id}))
    if not messages:
        yield passed(_("No problems found."))


def _messages() -> Iterator[checks.CheckMessage]:
    """The messages of all system checks. If a check raises, the others still run.

    The check ``site.database`` runs the database checks.
    """
    for system_check in registry.get_checks(include_deployment_checks=True):
        if checks.Tags.database in system_check.tags:
            continue
        try:
            yield from system_check(app_configs=None, databases=None)
        except Exception as error:
            name = f"{system_check.__module__}.{getattr(system_check, '__name__', '')}"
            text = _("The system check %(name)s itself failed: %(error)s.")
            yield checks.Error(text % {"name": name, "error": type(error).__name__})


def _is_reported(message: checks.CheckMessage) -> bool:
    is_warning = _is_ours(message) and message.level >= checks.WARNING and not message.is_silenced()
    return message.level >= checks.ERROR or is_warning


def _is_ours(message: checks.CheckMessage) -> bool:
    return (message.id or "").startswith(OUR_PREFIXES)


@check("site.sessions", gettext_lazy("Session engine"))
def session_engine(_site: SiteTarget) -> CheckResult:
    """Whether the session engine works, and all processes and servers have the same sessions."""
    name = settings.SESSION_ENGINE
    try:
        store = engines.site_store()
        engines.session_without_request(store).exists("doctor")
    except Exception as error:  # each engine has its own exceptions
        return failed(
            _("%(engine)s does not answer: %(error)s.") % {"engine": name, "error": type(error).__name__},
            _("Without it, nobody stays signed in. Fix SESSION_ENGINE, or the storage of its sessions."),
        )
    return _shared(store, {"engine": name})


def _shared(store: type[SessionBase], name: dict[str, str]) -> CheckResult:
    cache = caches[settings.SESSION_CACHE_ALIAS] if issubclass(store, cache_engine.SessionStore) else None
    copies = caches[settings.SESSION_CACHE_ALIAS] if issubclass(store, cached_db.SessionStore) else None
    if isinstance(cache, DummyCache):
        return failed(_("%(engine)s stores nothing: its cache is a dummy cache.") % name, _("Use another cache."))
    if isinstance(cache, LocMemCache):
        return (warned if _has_one_process() else failed)(
            _("%(engine)s stores sessions in the memory of each process.") % name,
            _("Use Redis, Memcached or the database as the cache for sessions, or use another engine."),
        )
    if not _has_one_process():
        if isinstance(copies, LocMemCache):
            return warned(
                _("%(engine)s stores copies in the memory of each process.") % name,
                _("Other processes use old copies for a while. Use a shared cache for SESSION_CACHE_ALIAS."),
            )
        if isinstance(cache or copies, FileBasedCache) or issubclass(store, file.SessionStore):
            return warned(
                _("%(engine)s stores sessions in files.") % name,
                _("One server can do that. Several servers need a shared directory, or another engine."),
            )
    if not engines.has_keys(store):
        return passed(_("%(engine)s stores sessions in the browser. The index ends them.") % name)
    return passed(_("%(engine)s answers.") % name)


def _has_one_process() -> bool:
    return settings.DEBUG or SINGLE_PROCESS_CHECK in settings.SILENCED_SYSTEM_CHECKS


@check("site.cache", gettext_lazy("Cache"))
def cache(site: SiteTarget) -> CheckResult:
    """Whether the cache stores values, and all processes can share it."""
    alias = {"alias": site.config.cache_alias}
    try:
        is_stored = _stores(site.config.cache)
    except TemporaryError as error:
        return failed(
            _("The cache %(alias)r does not answer: %(error)s.") % {**alias, "error": describe_error(error)},
            _("Without it, nobody can sign in. Fix the cache, or CACHES."),
        )
    if not is_stored:
        return failed(
            _("The cache %(alias)r stores nothing.") % alias,
            _("Use another cache. This one cannot stop a repeated sign-in, or limit the requests to the provider."),
        )
    if isinstance(caches[site.config.cache_alias], LocMemCache) and not _has_one_process():
        return warned(
            _("The cache %(alias)r is in the memory of one process.") % alias,
            _("If more than one process serves the site, use Redis, Memcached or the database."),
        )
    return passed(_("The cache %(alias)r stores values.") % alias)


def _stores(shared: SharedCache) -> bool:
    key = f"doctor:{secrets.token_hex(8)}"
    shared.set(key, "value", 60)
    is_stored = bool(shared.get(key) == "value")
    shared.delete(key)
    return is_stored


@check("site.database", gettext_lazy("Database of the index"))
def database(_site: SiteTarget) -> Iterator[CheckResult]:
    """Whether the index's tables match this version of the app, and the database does not lose commits."""
    alias = router.db_for_write(LoginSession)
    try:
        executor = MigrationExecutor(connections[alias])
    except (DatabaseFault, ImproperlyConfigured) as error:
        yield failed(
            _("The database %(alias)r does not answer: %(error)s.") % {"alias": alias, "error": type(error).__name__},
            _("Nobody can sign in, and notices get the answer 503. Fix the database, or DATABASES."),
        )
        return
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == LoginSession._meta.app_label]
    if executor.migration_plan(targets):
        yield failed(
            _("Migrations of the app have not run in the database %(alias)r.") % {"alias": alias},
            _("Run manage.py migrate. Without the tables, nobody can sign in, and notices get the answer 503."),
        )
        return
    models = apps.get_app_config(targets[0][0]).get_models()
    unreadable = [found for model in models if (found := _unreadable(model))]
    for found in unreadable:
        yield failed(
            found,
            _("Compare the table with manage.py sqlmigrate. Until then, sign-ins or notices fail."),
        )
    messages = checks.run_checks(tags=[checks.Tags.database], databases=[alias])
    reported = [message for message in messages if _is_ours(message) and _is_reported(message)]
    for message in reported:
        yield (failed if message.level >= checks.ERROR else warned)(f"{message.id}: {message.msg}", str(message.hint))
    if not unreadable and not reported:
        yield passed(
            _("All migrations have run in the database %(alias)r, and its tables can be read.") % {"alias": alias}
        )


def _unreadable(model: type[Model]) -> str:
    """Why the columns of ``model`` cannot be read; empty if they can."""
    try:
        model._base_manager.using(router.db_for_write(model)).first()
    except DatabaseFault as error:
        found = {"table": model._meta.db_table, "error": type(error).__name__}
        return _("The table %(table)s cannot be read: %(error)s.") % found
    return ""


@check("site.cookies", gettext_lazy("Cookies"))
def cookies(site: SiteTarget) -> Iterator[CheckResult]:
    """Whether browsers keep the session cookie and the CSRF cookie, and send both to this app's pages."""
    kinds = ["SESSION_COOKIE"] if settings.CSRF_USE_SESSIONS else ["SESSION_COOKIE", "CSRF_COOKIE"]
    problems = [result for kind in kinds for result in _cookie_problems(kind, site.config.site_url)]
    yield from problems
    if not problems:
        yield passed(_("Browsers keep them at %(url)s.") % {"url": site.config.site_url})


def _cookie_problems(kind: str, site_url: str) -> Iterator[CheckResult]:
    host = urlsplit(site_url).hostname or ""
    domain = str(_setting(kind, "DOMAIN") or "").lstrip(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        yield failed(
            _("%(name)s is %(domain)r, and the site is %(host)s.")
            % {"name": f"{kind}_DOMAIN", "domain": domain, "host": host},
            _("Browsers drop the cookie. Set a domain that contains the host of SITE_URL, or none."),
        )
    path = reverse("ory_logout:logout")
    if not path.startswith(_setting(kind, "PATH")):
        yield failed(
            _("%(name)s does not cover %(path)s.") % {"name": f"{kind}_PATH", "path": path},
            _("Browsers do not send the cookie there. Set a path above both, usually a single slash."),
        )
    yield from _secure_problems(kind, site_url)


def _secure_problems(kind: str, site_url: str) -> Iterator[CheckResult]:
    secure, name = _setting(kind, "SECURE"), {"name": f"{kind}_SECURE"}
    if str(_setting(kind, "SAMESITE")).lower() == "none" and not secure:
        yield failed(
            _("%(samesite)s is None, and %(name)s is off.") % {**name, "samesite": f"{kind}_SAMESITE"},
            _("Most browsers drop the cookie. Use Lax."),
        )
    if secure and not site_url.startswith("https:"):
        is_local = conf.is_secure(site_url)
        yield (warned if is_local else failed)(
            _("%(name)s is on, and SITE_URL is http.") % name,
            _("Safari drops such a cookie on your own machine. Switch it off for http.")
            if is_local
            else _("Browsers never send the cookie. Make SITE_URL https."),
        )


def _setting(kind: str, name: str) -> Any:
    return getattr(settings, f"{kind}_{name}")
