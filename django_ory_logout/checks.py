"""System checks: what would lose a sign-in or a logout later is said at start-up, with an id and what to do."""

import re
import sys
from collections.abc import Iterable, Iterator
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
    return [Error(one.message, hint=one.hint, id=f"ory_logout.{one.code}") for one in conf.problems()]


@register(Tags.security)
def check_middleware(**_kwargs: Any) -> list[CheckMessage]:
    """E050, E051, W090 to W093: ended sessions are turned away by ``LoginSessionMiddleware``."""
    names = list(settings.MIDDLEWARE)
    place = next((place for place, name in enumerate(names) if _is(name, LoginSessionMiddleware)), None)
    if place is None:
        hint = f"Put it directly after {SESSION_MIDDLEWARE}."
        return [_error("E050", f"{MIDDLEWARE} is not in MIDDLEWARE{_not_imported(names)}.", hint)]
    before = names[place - 1] if place else ""
    if _sets_session(before):
        return _repeated(before, names[place], names[place + 1 :])
    setting = [name for name in names if _sets_session(name)]
    seen = f"it stands directly after {before}" if before else "it is the first of MIDDLEWARE"
    if setting:
        message = f"{names[place]} is in the wrong place: {seen}."
        return [_error("E051", message, f"Put it directly after {setting[0]}.")]
    if not before or before.startswith(("django.", "django_ory_logout.")):
        hint = f"Put it, or another middleware that sets request.session, directly before {names[place]}."
        return [_error("E091", f"{SESSION_MIDDLEWARE} is not in MIDDLEWARE{_not_imported(names)}.", hint)]
    hint = f"Put it directly after the middleware that sets request.session. If {before} does, silence this."
    if _imported(before) is None:
        seen, hint = f"{seen}, which cannot be imported", "Correct its name in MIDDLEWARE, or install its package."
    return [_warning("W090", f"It is not known whether {names[place]} is in the right place: {seen}.", hint)]


def _repeated(before: str, ours: str, later: list[str]) -> list[CheckMessage]:
    found = []
    again = [name for name in later if name == before or _is(name, SessionMiddleware)]
    if again:
        message = f"{again[0]} is in MIDDLEWARE after {ours}, and replaces its session."
        found.append(_error("E092", message, f"Remove {again[0]} after {ours}."))
    twice = [name for name in later if _is(name, LoginSessionMiddleware)]
    if twice:
        message = f"MIDDLEWARE has {ours}, and after it {twice[0]}, which does the same."
        found.append(_warning("W093", message, f"Remove {twice[0]} after the first."))
    return found


def _sets_session(name: str) -> bool:
    """Whether this middleware sets ``request.session``: Django's and its subclasses, and others that are so called."""
    if not name or _is(name, LoginSessionMiddleware):
        return False
    return _is(name, SessionMiddleware) or re.search("session_?middleware$", name, re.IGNORECASE) is not None


def _not_imported(names: Iterable[str]) -> str:
    """For a message: which of ``names`` cannot be imported, as if they are misspelt."""
    wrong = [repr(name) for name in names if _imported(name) is None]
    return f", where {', '.join(wrong)} cannot be imported" if wrong else ""


def _imported(name: str) -> Any:
    try:
        return import_string(name)
    except (ImportError, ValueError, AttributeError, TypeError):  # the latter for what is no dotted name
        return None


@register(Tags.security)
def check_kratos(**_kwargs: Any) -> list[CheckMessage]:
    """E065 to E067, W068: who signs in at Kratos is known by ``KratosMiddleware``, after authentication."""
    if conf.problems():
        return []
    names = list(settings.MIDDLEWARE)
    kratos = next((place for place, name in enumerate(names) if _is(name, KratosMiddleware)), None)
    if kratos is None:
        alone = [one.alias for one in conf.get().kratos if one.alias not in conf.get().providers]
        hint = f"Put {KRATOS_MIDDLEWARE} after {AUTHENTICATION_MIDDLEWARE}."
        return [_error("E065", f"People sign in at Kratos ({alone[0]!r}), and nothing asks it.", hint)] if alone else []
    if not conf.get().kratos:
        return [_error("E066", f"{names[kratos]} has no Kratos to ask.", "Add KRATOS to one of PROVIDERS.")]
    if not any(_is(name, AuthenticationMiddleware) for name in names[:kratos]):
        hint = f"Put it directly after {AUTHENTICATION_MIDDLEWARE}."
        return [_error("E067", f"{names[kratos]} is in the wrong place.", hint)]
    return _further_kratos(conf.get())


def _further_kratos(config: conf.Config) -> list[CheckMessage]:
    first, *further = config.kratos
    hint = f"KratosMiddleware asks the first Kratos of PROVIDERS alone, which is {first.alias!r}: remove the others."
    return [
        _warning("W068", f"Nobody can sign in at the Kratos {one.alias!r}.", hint)
        for one in further
        if one.alias not in config.providers
    ]


def _is(name: str, kind: type) -> bool:
    middleware = _imported(name)
    return isinstance(middleware, type) and issubclass(middleware, kind)


@register(Tags.security)
def check_authentication(**_kwargs: Any) -> list[CheckMessage]:
    """E097: our pages ask who is signed in. Middleware of another class is known by its name."""
    names = settings.MIDDLEWARE
    by_name = re.compile("authentication_?middleware$", re.IGNORECASE)
    if any(by_name.search(name) or _is(name, AuthenticationMiddleware) for name in names):
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
    names: Any = settings.AUTHENTICATION_BACKENDS
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
    """E053 to E055: the provider has to find the receivers, in one place and without a redirect."""
    path = _receiver()
    if path is None:
        message = f"ROOT_URLCONF, which is {settings.ROOT_URLCONF!r}, does not include the URLs of django_ory_logout."
        return [_error("E053", message, f"Write in its urlpatterns: {conf.URLS_LINE}")]
    if len({_path_in(language) for language, _ in settings.LANGUAGES}) > 1:
        hint = "Include django_ory_logout.urls outside of i18n_patterns: a provider has no language."
        return [_error("E054", "The back-channel logout URL depends on the language.", hint)]
    found = _match(path)
    without_slash = _match(path.rstrip("/"))
    if (
        not found
        or [*found.app_names, found.url_name] != RECEIVER.split(":")
        or not without_slash
        or without_slash.func != found.func
    ):
        hint = "With and without its last slash it has to reach our view, or the logout is lost: move other patterns."
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
    """W077: a hostile provider may want the code of another (RFC 9700, 4.4)."""
    if conf.problems() or _receiver() is None:
        return []
    hint = "Sign-ins there need iss (RFC 9207). Register %s at the provider and remove SHARED_REDIRECT_URI."
    return [
        _warning(
            "W077", f"The provider {one.alias!r} shares its redirect URI with others.", hint % one.own_redirect_uri
        )
        for one in conf.get().providers.values()
        if one.iss_required
    ]


#: Parameters that ask for a guarantee, if this is in their value.
_UNVERIFIED = {"hd": "", "acr_values": "", "claims": '"acr"'}


@register(Tags.security)
def check_parameters(**_kwargs: Any) -> list[CheckMessage]:
    """W097: what is only requested, anybody can take out of the URL."""
    if conf.problems():
        return []
    hint = "Anybody can change the URL. Set ACR_VALUES_REQUIRED for acr, or verify the claim in a backend of your own."
    return [
        _warning("W097", f"{name} of the provider {one.alias!r} is requested, and nothing verifies it.", hint)
        for one in conf.get().providers.values()
        for name, value in one.authorization_parameters.items()
        if name in _UNVERIFIED and _UNVERIFIED[name] in value and (name == "hd" or not one.acr_values_required)
    ]


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
            "lost. Silence this where Django itself speaks TLS."
        )
        return [_warning("W057", "SECURE_SSL_REDIRECT is on without SECURE_PROXY_SSL_HEADER.", hint)]
    return []


@register(Tags.security)
def check_host(**_kwargs: Any) -> list[CheckMessage]:
    """E062, E063: at the host of ``SITE_URL``, neither a redirect nor a refusal may answer the provider."""
    host = urlsplit(_site_url()).hostname
    if not host:
        return []
    found = []
    if settings.PREPEND_WWW and not host.startswith("www."):
        hint = "The provider's POST would be redirected and lost: begin the host of SITE_URL with www."
        found.append(_error("E062", "PREPEND_WWW is on, and SITE_URL has no www.", hint))
    allowed = settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if settings.DEBUG else [])
    if not validate_host(host, allowed):
        hint = f"Django would refuse what browsers and the provider send there. Write: ALLOWED_HOSTS = [{host!r}]"
        message = f"The host of SITE_URL, {host!r}, is not in ALLOWED_HOSTS, which is {settings.ALLOWED_HOSTS!r}."
        found.append(_error("E063", message, hint))
    return found


@register(Tags.security)
def check_login_url(**_kwargs: Any) -> list[CheckMessage]:
    """W083: people who have to sign in are sent to ``LOGIN_URL``."""
    try:
        url = resolve_url(settings.LOGIN_URL)
    except (NoReverseMatch, TypeError):
        if _receiver() is None:
            return []  # E053 comes first
        url = ""
    path = urlsplit(url).path
    paths = [path, f"{path}/"] if settings.APPEND_SLASH else [path]
    if urlsplit(url).netloc or (url and any(_match(one) for one in paths)):
        return []
    hint = 'People who have to sign in are sent there. Write: LOGIN_URL = "ory_logout:login"'
    return [_warning("W083", f"There is no page at LOGIN_URL, which is {conf.named(settings.LOGIN_URL)}.", hint)]


@register(Tags.security)
def check_redirect_urls(**_kwargs: Any) -> list[CheckMessage]:
    """E094: where sign-ins and logouts without ``next`` end."""
    found = []
    for name, journeys in (("LOGIN_REDIRECT_URL", "Sign-ins"), ("LOGOUT_REDIRECT_URL", "Logouts")):
        value: Any = getattr(settings, name)
        try:
            if value or name == "LOGIN_REDIRECT_URL":
                resolve_url(value)
        except (NoReverseMatch, TypeError):
            hint = f'{journeys} without next end there. Write: {name} = "/"'
            found.append(_error("E094", f"{name} is {conf.named(value)}, which names no page.", hint))
    return found


@register(Tags.security)
def check_migrations(**_kwargs: Any) -> list[CheckMessage]:
    """W084: the tables are there. Asked under ``DEBUG``: a build has no database."""
    return _missing_tables() if settings.DEBUG else []


@register(Tags.database)
def check_migrated_databases(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """W084, asked by ``check --database``. Django 5.2 calls it without, too, and names no database then."""
    return _missing_tables() if databases and not settings.DEBUG else []


def _missing_tables() -> list[CheckMessage]:
    """``migrate`` itself runs the checks first, and needs no such hint."""
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
    found = []
    if str(settings.SESSION_COOKIE_SAMESITE).lower() == "strict":
        hint = 'Use "Lax": a browser that comes back from the provider does not send a strict cookie.'
        found.append(_error("E058", 'SESSION_COOKIE_SAMESITE is "Strict".', hint))
    site_url = _site_url()
    if settings.SESSION_COOKIE_SECURE and site_url.startswith("http:") and not conf.is_secure(site_url):
        hint = "The browser would never send the cookie: make SITE_URL https."
        found.append(_error("E059", "SESSION_COOKIE_SECURE is on, and SITE_URL is http.", hint))
    if site_url.startswith("http:") and not conf.is_secure(site_url) and _has_form_post():
        hint = "Browsers send the cookie of such a sign-in over https alone: make SITE_URL https."
        found.append(_error("E064", "RESPONSE_MODE is form_post, and SITE_URL is http.", hint))
    for kind in ["SESSION_COOKIE"] if settings.CSRF_USE_SESSIONS else ["SESSION_COOKIE", "CSRF_COOKIE"]:
        found += _elsewhere(kind, urlsplit(site_url).hostname, _receiver() or "")
    return found


def _elsewhere(kind: str, host: str | None, receiver: str) -> Iterator[CheckMessage]:
    domain, path = getattr(settings, f"{kind}_DOMAIN"), getattr(settings, f"{kind}_PATH")
    if domain and host and not f".{host}".endswith(f".{domain.lower().removeprefix('.')}"):
        message = f"{kind}_DOMAIN is {domain!r}, and the host of SITE_URL is {host!r}."
        hint = f"Browsers drop the cookie. Write: {kind}_DOMAIN = None"
        yield _error("E095", message, hint)
    ours = receiver.removesuffix("logout/backchannel/")
    if ours and not ours.startswith(f"{path.rstrip('/')}/"):
        message = f"{kind}_PATH is {path!r}, and the URLs of this app are below {ours!r}."
        hint = (
            f'Browsers do not send the cookie there. Write: {kind}_PATH = "/". Silence this if the server adds a path.'
        )
        yield _warning("W096", message, hint)


def _has_form_post() -> bool:
    return not conf.problems() and any(one.response_mode == "form_post" for one in conf.get().providers.values())


@register(Tags.caches)
def check_cache(**_kwargs: Any) -> list[CheckMessage]:
    """E060, W061: what all processes have to know together stands in the cache."""
    try:
        alias = conf.get().cache_alias
    except ImproperlyConfigured:
        return []
    backend = settings.CACHES[alias]["BACKEND"]
    if backend == "django.core.cache.backends.dummy.DummyCache":
        hint = "Use a cache that keeps what it is given, or name one in ORY_LOGOUT['CACHE_ALIAS']."
        return [_error("E060", f"The cache {alias!r} keeps nothing.", hint)]
    if backend == "django.core.cache.backends.locmem.LocMemCache" and not settings.DEBUG:
        hint = "Use Redis, Memcached or the database as soon as more than one process serves the site."
        return [_warning("W061", f"The cache {alias!r} is not shared by processes.", hint)]
    return []


@register(Tags.database)
def check_databases(**_kwargs: Any) -> list[CheckMessage]:
    """E086, E087: sign-in and notice have to see each other's rows, in tables that are there."""
    if not apps.is_installed("django_ory_logout"):
        return []
    models = list(apps.get_app_config("ory_logout").get_models())
    places = {model.__name__: router.db_for_write(model) for model in models}
    if len(set(places.values())) > 1:
        found = ", ".join(f"{name} in {alias!r}" for name, alias in places.items())
        hint = "Let db_for_write of your router return one database for all models of the app ory_logout."
        return [_error("E087", f"The models of django_ory_logout are in several databases: {found}.", hint)]
    alias = places[LoginSession.__name__]
    if not all(router.allow_migrate_model(alias, model) for model in models):
        hint = f"Let allow_migrate of your router return True for the app ory_logout in the database {alias!r}."
        message = f"django_ory_logout writes to the database {alias!r}, where the router allows it no tables."
        return [_error("E086", message, hint)]
    return []


@register(Tags.database)
def check_durability(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """W089: a notice that is answered 200 is not sent again. Asked by ``check --database``, and by ``migrate``."""
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


def _site_url() -> str:
    given = getattr(settings, "ORY_LOGOUT", None)
    site_url = given.get("SITE_URL") if isinstance(given, dict) else None
    return site_url if isinstance(site_url, str) and conf.is_origin(site_url) else ""


def _error(code: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"ory_logout.{code}")


def _warning(code: str, message: str, hint: str) -> CheckMessage:
    return checks.Warning(message, hint=hint, id=f"ory_logout.{code}")
