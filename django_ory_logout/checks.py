"""System checks: they find settings that would make sign-ins or logouts fail, and say what to change."""

import re
import sys
from collections.abc import Iterable, Iterator
from inspect import isfunction
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFault
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host
from django.shortcuts import resolve_url
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, Resolver404, ResolverMatch, get_script_prefix, resolve, reverse
from django.utils import translation
from django.utils.module_loading import import_string

from . import conf
from .backends import ProviderBackend, require_importable
from .exceptions import SetupError
from .middleware import KratosMiddleware, LoginSessionMiddleware
from .models import LoginSession

#: The hosts that Django allows under DEBUG if ALLOWED_HOSTS is empty.
_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
#: By vendor: the setting that says whether a commit survives a crash of the server, and the line to write.
_DURABILITY = {
    "postgresql": ("SHOW synchronous_commit", ["off"], "synchronous_commit = on"),
    "mysql": ("SELECT @@innodb_flush_log_at_trx_commit", ["0", "2"], "innodb_flush_log_at_trx_commit = 1"),
}
SESSION_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
RECEIVER = "ory_logout:backchannel_logout"
BACKEND = "django_ory_logout.backends.ProviderBackend"
MIDDLEWARE = "django_ory_logout.middleware.LoginSessionMiddleware"
KRATOS_MIDDLEWARE = "django_ory_logout.middleware.KratosMiddleware"
AUTHENTICATION_MIDDLEWARE = "django.contrib.auth.middleware.AuthenticationMiddleware"


@register(Tags.security)
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """E001 to E049, E075, E076, E080, E081, E085: ``ORY_LOGOUT`` itself."""
    return [_error(problem.code, problem.message, problem.hint) for problem in conf.problems()]


@register(Tags.security)
def check_middleware(**_kwargs: Any) -> list[CheckMessage]:
    """E050, E051, W090, E091, E092, W093: ``LoginSessionMiddleware``, directly after the session middleware."""
    names = list(settings.MIDDLEWARE)
    position = next((index for index, name in enumerate(names) if _is(name, LoginSessionMiddleware)), None)
    if position is None:
        hint = f"Put it directly after {SESSION_MIDDLEWARE}."
        return [_error("E050", f"{MIDDLEWARE} is not in MIDDLEWARE{_not_imported(names)}.", hint)]
    before = names[position - 1] if position else ""
    if _sets_session(before):
        return _repeated(before, names[position], names[position + 1 :])
    session_middleware = [name for name in names if _sets_session(name)]
    seen = f"it stands directly after {before}" if before else "it is the first of MIDDLEWARE"
    if session_middleware:
        message = f"{names[position]} is in the wrong place: {seen}."
        return [_error("E051", message, f"Put it directly after {session_middleware[0]}.")]
    if not before or before.startswith(("django.", "django_ory_logout.")):
        hint = f"Put it, or another middleware that sets request.session, directly before {names[position]}."
        return [_error("E091", f"{SESSION_MIDDLEWARE} is not in MIDDLEWARE{_not_imported(names)}.", hint)]
    hint = f"Put it directly after the middleware that sets request.session. If {before} does, silence this."
    if _import(before) is None:
        seen, hint = f"{seen}, which cannot be imported", "Correct its name in MIDDLEWARE, or install its package."
    return [_warning("W090", f"It is not known whether {names[position]} is in the right place: {seen}.", hint)]


def _repeated(before: str, ours: str, later: list[str]) -> list[CheckMessage]:
    messages = []
    again = [name for name in later if name == before or _is(name, SessionMiddleware)]
    if again:
        message = f"{again[0]} is in MIDDLEWARE after {ours}, and replaces its session."
        messages.append(_error("E092", message, f"Remove {again[0]} after {ours}."))
    twice = [name for name in later if _is(name, LoginSessionMiddleware)]
    if twice:
        message = f"MIDDLEWARE has {ours}, and after it {twice[0]}, which does the same."
        messages.append(_warning("W093", message, f"Remove {twice[0]} after the first."))
    return messages


def _sets_session(name: str) -> bool:
    """Whether this middleware sets ``request.session``: Django's, a subclass of it, or one with a similar name."""
    if not name or _is(name, LoginSessionMiddleware):
        return False
    return _is(name, SessionMiddleware) or re.search("session_?middleware$", name, re.IGNORECASE) is not None


def _not_imported(names: Iterable[str]) -> str:
    """For a message: the ``names`` that cannot be imported, for example because of a typing error."""
    wrong = [repr(name) for name in names if _import(name) is None]
    return f", where {', '.join(wrong)} cannot be imported" if wrong else ""


def _import(name: str) -> Any:
    try:
        return import_string(name)
    except (ImportError, ValueError, AttributeError, TypeError):  # the latter for what is no dotted name
        return None


@register(Tags.security)
def check_kratos(**_kwargs: Any) -> list[CheckMessage]:
    """E065 to E067, W068: ``KratosMiddleware`` finds who is signed in at Kratos. It must follow authentication."""
    if conf.problems():
        return []
    names = list(settings.MIDDLEWARE)
    position = next((index for index, name in enumerate(names) if _is(name, KratosMiddleware)), None)
    if position is None:
        alone = [kratos.alias for kratos in conf.get().kratos if kratos.alias not in conf.get().providers]
        hint = f"Put {KRATOS_MIDDLEWARE} after {AUTHENTICATION_MIDDLEWARE}."
        message = "Users sign in at Kratos (%r), but MIDDLEWARE has no KratosMiddleware."
        return [_error("E065", message % alone[0], hint)] if alone else []
    if not conf.get().kratos:
        message = f"{names[position]} is in MIDDLEWARE, but no provider has KRATOS."
        return [_error("E066", message, "Add KRATOS to one of PROVIDERS.")]
    if not any(_is(name, AuthenticationMiddleware) for name in names[:position]):
        hint = f"Put it directly after {AUTHENTICATION_MIDDLEWARE}."
        return [_error("E067", f"{names[position]} is in the wrong place.", hint)]
    return _unused_kratos(conf.get())


def _unused_kratos(config: conf.Config) -> list[CheckMessage]:
    first, *others = config.kratos
    hint = f"KratosMiddleware uses only the first Kratos of PROVIDERS, which is {first.alias!r}: remove the others."
    return [
        _warning("W068", f"Nobody can sign in at the Kratos {kratos.alias!r}.", hint)
        for kratos in others
        if kratos.alias not in config.providers
    ]


def _is(name: str, base: type) -> bool:
    imported = _import(name)
    return isinstance(imported, type) and issubclass(imported, base)


@register(Tags.security)
def check_authentication(**_kwargs: Any) -> list[CheckMessage]:
    """E097: our pages need ``request.user``. A middleware that is a function may set it, so it is not reported."""
    names = settings.MIDDLEWARE
    by_name = re.compile("authentication_?middleware$", re.IGNORECASE)
    if any(by_name.search(name) or _is(name, AuthenticationMiddleware) or isfunction(_import(name)) for name in names):
        return []
    hint = f"Put it after {MIDDLEWARE}."
    return [_error("E097", f"{AUTHENTICATION_MIDDLEWARE} is not in MIDDLEWARE{_not_imported(names)}.", hint)]


@register(Tags.templates)
def check_templates(**_kwargs: Any) -> list[CheckMessage]:
    """E098: our pages, those of errors too, need our templates."""
    try:
        get_template("ory_logout/error.html")
    except TemplateDoesNotExist:
        hint = "Write in TEMPLATES: {'BACKEND': 'django.template.backends.django.DjangoTemplates', 'APP_DIRS': True}"
        return [_error("E098", "TEMPLATES does not find the templates of django_ory_logout.", hint)]
    return []


@register(Tags.security)
def check_backend(**_kwargs: Any) -> list[CheckMessage]:
    """E052: somebody has to know who a subject is, and Django imports all backends to ask one."""
    names: Any = settings.AUTHENTICATION_BACKENDS or []
    if isinstance(names, str) or any(_is(name, ProviderBackend) for name in names):
        try:
            require_importable()
        except SetupError as error:
            message, hint = error.detail, f"One of them has to be {BACKEND}, or a subclass of it."
        else:
            return []
    else:
        message = f"AUTHENTICATION_BACKENDS has no {BACKEND}{_not_imported(names)}."
        hint = f"Add it, or a subclass of it. Write: AUTHENTICATION_BACKENDS = [{BACKEND!r}, ...]"
    return [_error("E052", message, hint)]


@register(Tags.security)
def check_urls(**_kwargs: Any) -> list[CheckMessage]:
    """E053 to E055: the provider must reach the receivers, at one URL and without a redirect."""
    path = _receiver()
    if path is None:
        message = f"ROOT_URLCONF, which is {settings.ROOT_URLCONF!r}, does not include the URLs of django_ory_logout."
        return [_error("E053", message, f"Write in its urlpatterns: {conf.URLS_LINE}")]
    if len({_path_in(language) for language, _ in settings.LANGUAGES}) > 1:
        hint = "Include django_ory_logout.urls outside of i18n_patterns: a provider has no language."
        return [_error("E054", "The back-channel logout URL depends on the language.", hint)]
    match = _match(path)
    without_slash = _match(path.rstrip("/"))
    if (
        not match
        or [*match.app_names, match.url_name] != RECEIVER.split(":")
        or not without_slash
        or without_slash.func != match.func
    ):
        hint = "With and without its last slash, the URL must reach our view, or logouts are lost: move other patterns."
        return [_error("E055", "Another URL pattern takes the back-channel logout URL.", hint)]
    return []


def _receiver() -> str | None:
    try:
        return reverse(RECEIVER)
    except NoReverseMatch:
        return None


def _path_in(language: str) -> str:
    with translation.override(language):
        return reverse(RECEIVER)


def _match(path: str) -> ResolverMatch | None:
    try:
        return resolve("/" + path.removeprefix(get_script_prefix()))
    except Resolver404:
        return None


@register(Tags.security)
def check_redirect_uris(**_kwargs: Any) -> list[CheckMessage]:
    """W077: a malicious provider may want the code of another provider (mix-up attack, RFC 9700, 4.4)."""
    if _receiver() is None:
        return []
    hint = "Sign-ins there need iss (RFC 9207). Register %s at the provider and remove SHARED_REDIRECT_URI."
    return [
        _warning(
            "W077",
            f"The provider {provider.alias!r} shares its redirect URI with others.",
            hint % provider.own_redirect_uri,
        )
        for provider in _providers()
        if provider.iss_required
    ]


@register(Tags.security)
def check_parameters(**_kwargs: Any) -> list[CheckMessage]:
    """W097: anybody can take a parameter out of the URL, so the answer must be verified."""
    hint = (
        "Anybody can change the URL. Set ACR_VALUES_REQUIRED for acr, use max_age for auth_time, "
        "or verify the claim in a backend of your own."
    )
    return [
        _warning("W097", f"{name} of the provider {provider.alias!r} is requested, and nothing verifies it.", hint)
        for provider in _providers()
        for name, value in provider.authorization_parameters.items()
        if _is_unverified(provider, name, value)
    ]


def _is_unverified(provider: conf.ProviderConfig, name: str, value: str) -> bool:
    """Whether the parameter asks for ``hd``, ``auth_time`` or ``acr``, and this site does not verify the answer."""
    is_acr = name == "acr_values" or (name == "claims" and '"acr"' in value)
    is_other = name == "hd" or (name == "claims" and '"auth_time"' in value)
    return is_other or (is_acr and not provider.acr_values_required)


@register(Tags.security)
def check_ssl_redirect(**_kwargs: Any) -> list[CheckMessage]:
    """E056, W057: a redirect to https loses the provider's POST."""
    site_url = _site_url()
    if not settings.SECURE_SSL_REDIRECT or not site_url:
        return []
    if not site_url.startswith("https:"):
        hint = "The provider's POST would be redirected and lost: make SITE_URL https."
        return [_error("E056", "SITE_URL is http, and SECURE_SSL_REDIRECT is on.", hint)]
    if not settings.SECURE_PROXY_SSL_HEADER:
        hint = (
            "Behind a proxy that ends TLS, set SECURE_PROXY_SSL_HEADER, or every back-channel POST is redirected and "
            "lost. Silence this if no proxy ends TLS."
        )
        return [_warning("W057", "SECURE_SSL_REDIRECT is on without SECURE_PROXY_SSL_HEADER.", hint)]
    return []


@register(Tags.security)
def check_host(**_kwargs: Any) -> list[CheckMessage]:
    """E062, E063: Django must not redirect or refuse the provider's requests to the host of ``SITE_URL``."""
    host = urlsplit(_site_url()).hostname
    if not host:
        return []
    messages = []
    if settings.PREPEND_WWW and not host.startswith("www."):
        hint = "The provider's POST would be redirected and lost: begin the host of SITE_URL with www."
        messages.append(_error("E062", "PREPEND_WWW is on, and SITE_URL has no www.", hint))
    allowed = settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if settings.DEBUG else [])
    if not validate_host(host, allowed):
        hint = f"Django would refuse all requests to that host. Write: ALLOWED_HOSTS = [{host!r}]"
        message = f"The host of SITE_URL, {host!r}, is not in ALLOWED_HOSTS, which is {settings.ALLOWED_HOSTS!r}."
        messages.append(_error("E063", message, hint))
    return messages


@register(Tags.security)
def check_login_url(**_kwargs: Any) -> list[CheckMessage]:
    """W083: Django redirects users who must sign in to ``LOGIN_URL``."""
    url = _resolved(settings.LOGIN_URL)
    if not url and _receiver() is None:
        return []  # E053 comes first
    if url and (urlsplit(url).netloc or (url.startswith("/") and _has_page(url))):
        return []
    hint = 'Django redirects users who must sign in to this URL. Write: LOGIN_URL = "ory_logout:login"'
    return [_warning("W083", f"There is no page at LOGIN_URL, which is {conf.named(settings.LOGIN_URL)}.", hint)]


@register(Tags.security)
def check_redirect_urls(**_kwargs: Any) -> list[CheckMessage]:
    """E094: where sign-ins and logouts without ``next`` end."""
    messages = []
    for name, flows in (("LOGIN_REDIRECT_URL", "Sign-ins"), ("LOGOUT_REDIRECT_URL", "Logouts")):
        value: Any = getattr(settings, name)
        is_off = name == "LOGOUT_REDIRECT_URL" and (value is None or (isinstance(value, str) and not value))
        if not is_off and not _leads_somewhere(value):
            hint = f'{flows} without next end there. Write: {name} = "/"'
            messages.append(_error("E094", f"{name} is {conf.named(value)}, which names no page.", hint))
    return messages


def _leads_somewhere(value: Any) -> bool:
    """Whether ``value`` is the name of a view, a path from the root of the site, or a URL with a host."""
    url = _resolved(value)
    return url.startswith("/") or bool(urlsplit(url).netloc)


def _resolved(value: Any) -> str:
    """The URL that ``value`` means to Django's redirects. Empty if it names no view."""
    try:
        return resolve_url(value)
    except (NoReverseMatch, TypeError):
        return ""


def _has_page(url: str) -> bool:
    """Whether this site has a page at the path of ``url``, with or without a slash at the end if Django adds it."""
    path = urlsplit(url).path
    return any(map(_match, [path, f"{path}/"] if settings.APPEND_SLASH else [path]))


@register(Tags.security)
def check_migrations(**_kwargs: Any) -> list[CheckMessage]:
    """W084: the tables exist. This runs only under ``DEBUG``, because a build has no database."""
    return _missing_tables() if settings.DEBUG else []


@register(Tags.database)
def check_migrated_databases(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """W084 for ``check --database``. Django 5.2 also calls it without that option; then ``databases`` is empty."""
    return _missing_tables() if databases and not settings.DEBUG else []


def _missing_tables() -> list[CheckMessage]:
    """The warning if migrations are missing. ``migrate`` itself also runs the checks, but does not need it."""
    if sys.argv[1:2] == ["migrate"]:
        return []
    connection = connections[router.db_for_write(LoginSession)]
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan([key for key in executor.loader.graph.leaf_nodes() if key[0] == "ory_logout"])
    except DatabaseFault:
        return []
    if not missing:
        return []
    message = f"The database {connection.alias!r} lacks tables of django_ory_logout."
    return [_warning("W084", message, f"Run: python manage.py migrate --database {connection.alias}")]


@register(Tags.security)
def check_cookies(**_kwargs: Any) -> list[CheckMessage]:
    """E058, E059, E064, E095, W096: cookies have to come back from the provider with the browser."""
    messages = []
    if str(settings.SESSION_COOKIE_SAMESITE).lower() == "strict":
        hint = 'Use "Lax": a browser that returns from the provider does not send a strict cookie.'
        messages.append(_error("E058", 'SESSION_COOKIE_SAMESITE is "Strict".', hint))
    site_url = _site_url()
    is_in_the_clear = bool(site_url) and not conf.is_secure(site_url)
    if settings.SESSION_COOKIE_SECURE and is_in_the_clear:
        hint = "The browser would never send the cookie: make SITE_URL https."
        messages.append(_error("E059", "SESSION_COOKIE_SECURE is on, and SITE_URL is http.", hint))
    if is_in_the_clear and any(provider.response_mode == "form_post" for provider in _providers()):
        hint = "Browsers send the cookie of such a sign-in only over https: make SITE_URL https."
        messages.append(_error("E064", "RESPONSE_MODE is form_post, and SITE_URL is http.", hint))
    for kind in ["SESSION_COOKIE"] if settings.CSRF_USE_SESSIONS else ["SESSION_COOKIE", "CSRF_COOKIE"]:
        messages += _elsewhere(kind, urlsplit(site_url).hostname, _receiver() or "")
    return messages


def _elsewhere(kind: str, host: str | None, receiver: str) -> Iterator[CheckMessage]:
    domain, path = getattr(settings, f"{kind}_DOMAIN"), getattr(settings, f"{kind}_PATH")
    if domain and host and not f".{host}".endswith(f".{str(domain).lower().removeprefix('.')}"):
        message = f"{kind}_DOMAIN is {domain!r}, and the host of SITE_URL is {host!r}."
        hint = f"Browsers drop the cookie. Write: {kind}_DOMAIN = None"
        yield _error("E095", message, hint)
    ours = receiver.removesuffix("logout/backchannel/")
    if path and ours and not ours.startswith(f"{path.rstrip('/')}/"):
        message = f"{kind}_PATH is {path!r}, and the URLs of this app are below {ours!r}."
        hint = (
            f'Browsers do not send the cookie there. Write: {kind}_PATH = "/". Silence this if the server adds a path.'
        )
        yield _warning("W096", message, hint)


@register(Tags.caches)
def check_cache(**_kwargs: Any) -> list[CheckMessage]:
    """E060, W061: all processes of the site share data in the cache."""
    try:
        alias = conf.get().cache_alias
    except ImproperlyConfigured:
        return []
    backend = settings.CACHES.get(alias, {}).get("BACKEND")  # Django's own checks report a missing cache
    if backend == "django.core.cache.backends.dummy.DummyCache":
        hint = "Use a cache that stores values, or name one in ORY_LOGOUT['CACHE_ALIAS']."
        return [_error("E060", f"The cache {alias!r} stores nothing.", hint)]
    if backend == "django.core.cache.backends.locmem.LocMemCache" and not settings.DEBUG:
        hint = "Use Redis, Memcached or the database as soon as more than one process serves the site."
        return [_warning("W061", f"The cache {alias!r} is not shared by processes.", hint)]
    return []


@register(Tags.database)
def check_databases(**_kwargs: Any) -> list[CheckMessage]:
    """E086, E087: sign-ins and notices must see each other's rows, so all tables must be in one database."""
    if not apps.is_installed("django_ory_logout"):
        return []
    models = list(apps.get_app_config("ory_logout").get_models())
    databases = {model.__name__: router.db_for_write(model) for model in models}
    if len(set(databases.values())) > 1:
        seen = ", ".join(f"{name} in {alias!r}" for name, alias in databases.items())
        hint = "Let db_for_write of your router return one database for all models of the app ory_logout."
        return [_error("E087", f"The models of django_ory_logout are in several databases: {seen}.", hint)]
    alias = databases[LoginSession.__name__]
    if not all(router.allow_migrate_model(alias, model) for model in models):
        hint = f"Let allow_migrate of your router return True for the app ory_logout in the database {alias!r}."
        message = f"django_ory_logout writes to the database {alias!r}, but the router allows no tables for it there."
        return [_error("E086", message, hint)]
    return []


@register(Tags.database)
def check_durability(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """W089: the provider does not send a notice again that was answered with 200, so a crash must not lose it.

    It runs only by ``check --database`` and ``migrate``.
    """
    connection = connections[router.db_for_write(LoginSession)]
    if connection.alias not in (databases or ()) or connection.vendor not in _DURABILITY:
        return []
    query, unsafe, line = _DURABILITY[connection.vendor]
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            (value,) = cursor.fetchone()
    except DatabaseFault:
        return []
    if str(value) not in unsafe:
        return []
    message = f"A crash of the database {connection.alias!r} can lose logouts that this site has confirmed."
    hint = f"The setting is {value!r} now. Write in the configuration of the database server: {line}"
    return [_warning("W089", message, hint)]


def _providers() -> list[conf.ProviderConfig]:
    """The OpenID providers; none if the settings have an error, which :func:`check_settings` reports."""
    return [] if conf.problems() else list(conf.get().providers.values())


def _site_url() -> str:
    given = getattr(settings, "ORY_LOGOUT", None)
    site_url = given.get("SITE_URL") if isinstance(given, dict) else None
    return site_url if isinstance(site_url, str) and conf.is_origin(site_url) else ""


def _error(code: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"ory_logout.{code}")


def _warning(code: str, message: str, hint: str) -> CheckMessage:
    return checks.Warning(message, hint=hint, id=f"ory_logout.{code}")
