"""Each system check fails once and passes once."""

import ast
import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core import checks as registry
from django.core.management import call_command
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import clear_url_caches, include, path, re_path, reverse_lazy
from django.urls.base import set_script_prefix

from django_ory_logout import checks, conf
from django_ory_logout.backends import ProviderBackend
from django_ory_logout.conf import settings as conf_settings
from django_ory_logout.middleware import KratosMiddleware, LoginSessionMiddleware

from .oidc.samples import changed

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
OURS = "django_ory_logout.middleware.LoginSessionMiddleware"
KRATOS = "django_ory_logout.middleware.KratosMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
LOCAL = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
DUMMY = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
SHARED = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}}


class OtherMiddleware(LoginSessionMiddleware):
    """A site's own middleware."""


class OtherKratosMiddleware(KratosMiddleware):
    """A site's own middleware."""


class OtherBackend(ProviderBackend):
    """A site's own backend."""


def site(**changes: Any) -> dict[str, Any]:
    return changed(settings.ORY_LOGOUT, changes)


def found(check: Callable[..., list[registry.CheckMessage]], **options: Any) -> list[str | None]:
    """The ids that ``check`` reports with these settings. Each has a hint and is registered."""
    registered: set[object] = {*registry.registry.registry.get_checks()}
    assert check in registered
    with override_settings(**options):
        messages = check()
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


@pytest.mark.parametrize("given", [None, {}, site(SITE_URL="rp.example")])
def test_each_problem_of_the_settings_is_an_error(given: Any) -> None:
    with override_settings(ORY_LOGOUT=given):
        expected = [(f"ory_logout.{problem.code}", problem.message, problem.hint) for problem in conf.problems()]
        reported = checks.check_settings()

    assert [(message.id, message.msg, message.hint) for message in reported] == expected != []
    assert {message.level for message in reported} == {registry.ERROR}


def test_the_settings_of_the_tests_pass() -> None:
    assert found(checks.check_settings) == []


# Middleware


class OwnSessionMiddleware(SessionMiddleware):
    """A site's own middleware."""


def test_middleware_after_a_subclass_of_djangos_passes() -> None:
    own = f"{__name__}.OwnSessionMiddleware"
    assert found(checks.check_middleware, MIDDLEWARE=[own, OURS]) == []


def test_missing_middleware_is_reported() -> None:
    assert found(checks.check_middleware, MIDDLEWARE=[SESSIONS, COMMON]) == ["ory_logout.E050"]


def test_misspelt_middleware_and_backend_are_named() -> None:
    with override_settings(MIDDLEWARE=[SESSIONS, f"{OURS}s"], AUTHENTICATION_BACKENDS=[f"{checks.BACKEND}s"]):
        (middleware,), (backend,) = checks.check_middleware(), checks.check_backend()

    assert middleware.msg == f"{OURS} is not in MIDDLEWARE, where '{OURS}s' cannot be imported."
    assert (
        backend.msg == f"AUTHENTICATION_BACKENDS has no {checks.BACKEND}, where '{checks.BACKEND}s' cannot be imported."
    )


# Like the middleware of django-user-sessions, it is no subclass of Django's.
USER_SESSIONS = f"{__name__.rpartition('.')[0]}.members.middleware.SessionMiddleware"
OF_A_SITE = f"{__name__.rpartition('.')[0]}.members.middleware.Visits"


@pytest.mark.parametrize("session", [USER_SESSIONS, "a.site.session_middleware", "a.site.OurSessionMiddleware"])
def test_middleware_after_another_one_that_sets_the_session_passes(session: str) -> None:
    assert found(checks.check_middleware, MIDDLEWARE=[COMMON, session, OURS]) == []
    assert found(checks.check_middleware, MIDDLEWARE=[session, COMMON, OURS]) == ["ory_logout.E051"]


def test_middleware_after_an_unknown_one_is_reported() -> None:
    with override_settings(MIDDLEWARE=[COMMON, OF_A_SITE, OURS]):
        (message,) = checks.check_middleware()

    assert (message.id, message.level) == ("ory_logout.W090", registry.WARNING)
    assert message.msg.endswith(f"in the right place: it stands directly after {OF_A_SITE}.")
    assert found(checks.check_middleware, MIDDLEWARE=[SESSIONS, OF_A_SITE, OURS]) == ["ory_logout.E051"]


def test_middleware_after_one_that_cannot_be_imported() -> None:
    with override_settings(MIDDLEWARE=[COMMON, "site.middleware.Nothing", OURS]):
        (message,) = checks.check_middleware()

    assert message.id == "ory_logout.W090"
    assert message.msg.endswith("it stands directly after site.middleware.Nothing, which cannot be imported.")
    assert message.hint == "Correct its name in MIDDLEWARE, or install its package."


def test_middleware_in_the_wrong_place_is_told_where_it_is() -> None:
    with override_settings(MIDDLEWARE=[OURS, USER_SESSIONS]):
        (message,) = checks.check_middleware()

    assert message.msg == f"{OURS} is in the wrong place: it is the first of MIDDLEWARE."
    assert message.hint == f"Put it directly after {USER_SESSIONS}."


@pytest.mark.parametrize(
    "middleware",
    [[OURS, SESSIONS], [SESSIONS, COMMON, OURS], [COMMON, OURS, SESSIONS]],
)
def test_middleware_in_the_wrong_place_is_reported(middleware: list[str]) -> None:
    assert found(checks.check_middleware, MIDDLEWARE=middleware) == ["ory_logout.E051"]


@pytest.mark.parametrize("middleware", [[OURS], [COMMON, OURS], [OURS, OURS]])
def test_session_middleware_missing(middleware: list[str]) -> None:
    assert found(checks.check_middleware, MIDDLEWARE=middleware) == ["ory_logout.E091"]


@pytest.mark.parametrize("again", [SESSIONS, f"{__name__}.OwnSessionMiddleware"])
def test_session_middleware_again_after_ours(again: str) -> None:
    with override_settings(MIDDLEWARE=[SESSIONS, OURS, COMMON, again]):
        (message,) = checks.check_middleware()

    assert (message.id, message.hint) == ("ory_logout.E092", f"Remove {again} after {OURS}.")
    assert found(checks.check_middleware, MIDDLEWARE=[USER_SESSIONS, OURS, USER_SESSIONS]) == ["ory_logout.E092"]


def test_middleware_of_ours_twice() -> None:
    twice = [SESSIONS, OURS, f"{__name__}.OtherMiddleware"]
    assert found(checks.check_middleware, MIDDLEWARE=twice) == ["ory_logout.W093"]
    both = [SESSIONS, OURS, SESSIONS, OURS]
    assert found(checks.check_middleware, MIDDLEWARE=both) == ["ory_logout.E092", "ory_logout.W093"]


@pytest.mark.parametrize("ours", [OURS, f"{__name__}.OtherMiddleware"])
def test_middleware_in_its_place_passes(ours: str) -> None:
    assert found(checks.check_middleware, MIDDLEWARE=[COMMON, SESSIONS, ours, COMMON]) == []


def test_middleware_next_to_functions_passes() -> None:
    function = "django.utils.decorators.make_middleware_decorator"

    assert found(checks.check_middleware, MIDDLEWARE=[SESSIONS, OURS, function]) == []


# Kratos

AT_KRATOS = {"KRATOS": {"PUBLIC_URL": "https://login.example"}}
KRATOS_ALONE = site(PROVIDERS={"people": AT_KRATOS})
HYDRA_WITH_KRATOS = site(PROVIDERS={"default": {**settings.ORY_LOGOUT["PROVIDERS"]["default"], **AT_KRATOS}})

OF_HYDRA = HYDRA_WITH_KRATOS["PROVIDERS"]["default"]
OTHER_KRATOS = {"KRATOS": {"PUBLIC_URL": "https://partners.example"}}
TWO_KRATOS = site(PROVIDERS={"default": OF_HYDRA, "partners": OTHER_KRATOS})
TWO_KRATOS_OF_WHICH_ONE_IS_HYDRAS = site(PROVIDERS={"partners": OTHER_KRATOS, "default": OF_HYDRA})


@pytest.mark.parametrize(
    ("expected", "given", "middleware"),
    [
        ([], KRATOS_ALONE, [AUTHENTICATION, KRATOS]),
        ([], KRATOS_ALONE, [AUTHENTICATION, COMMON, f"{__name__}.OtherKratosMiddleware"]),
        ([], HYDRA_WITH_KRATOS, [AUTHENTICATION, KRATOS]),
        ([], HYDRA_WITH_KRATOS, [AUTHENTICATION]),
        ([], settings.ORY_LOGOUT, [AUTHENTICATION]),
        (["ory_logout.E065"], KRATOS_ALONE, [AUTHENTICATION]),
        (["ory_logout.E066"], settings.ORY_LOGOUT, [AUTHENTICATION, KRATOS]),
        (["ory_logout.E067"], KRATOS_ALONE, [KRATOS]),
        (["ory_logout.E067"], KRATOS_ALONE, [KRATOS, AUTHENTICATION]),
        (["ory_logout.E067"], HYDRA_WITH_KRATOS, [COMMON, KRATOS, AUTHENTICATION]),
        (["ory_logout.W068"], TWO_KRATOS, [AUTHENTICATION, KRATOS]),
        ([], TWO_KRATOS_OF_WHICH_ONE_IS_HYDRAS, [AUTHENTICATION, KRATOS]),
        ([], site(SITE_URL=""), [KRATOS]),
        ([], None, []),
    ],
)
def test_kratos_settings_are_checked(expected: list[str], given: Any, middleware: list[str]) -> None:
    assert found(checks.check_kratos, ORY_LOGOUT=given, MIDDLEWARE=middleware) == expected


def test_a_kratos_without_its_middleware_is_named() -> None:
    with override_settings(ORY_LOGOUT=KRATOS_ALONE):
        (message,) = checks.check_kratos()

    assert message.msg == "Users sign in at Kratos ('people'), but MIDDLEWARE has no KratosMiddleware."


def test_a_kratos_that_cannot_sign_in_is_named() -> None:
    with override_settings(ORY_LOGOUT=TWO_KRATOS, MIDDLEWARE=[AUTHENTICATION, KRATOS]):
        (message,) = checks.check_kratos()

    assert message.msg == "Nobody can sign in at the Kratos 'partners'."
    assert message.level == registry.WARNING
    assert "'default'" in str(message.hint)


# Authentication


class OwnAuthentication(AuthenticationMiddleware):
    """A site's own."""


def function_that_sets_the_user(get_response: Any) -> Any:
    return get_response


@pytest.mark.parametrize(
    ("expected", "middleware"),
    [
        ([], [SESSIONS, OURS, AUTHENTICATION]),
        ([], [SESSIONS, OURS, f"{__name__}.OwnAuthentication"]),
        ([], [SESSIONS, OURS, "a.site.authentication_middleware"]),
        ([], [SESSIONS, OURS, f"{__name__}.function_that_sets_the_user"]),
        (["ory_logout.E097"], [SESSIONS, OURS, COMMON]),
    ],
)
def test_authentication_middleware(expected: list[str], middleware: list[str]) -> None:
    assert found(checks.check_authentication, MIDDLEWARE=middleware) == expected


# Templates


@pytest.mark.parametrize("templates", [[], [{**settings.TEMPLATES[0], "APP_DIRS": False, "DIRS": []}]])
def test_templates_that_are_not_found(templates: list[Any]) -> None:
    assert found(checks.check_templates, TEMPLATES=templates) == ["ory_logout.E098"]
    assert found(checks.check_templates) == []


# Backend


@pytest.mark.parametrize("backends", [[], [f"{ModelBackend.__module__}.ModelBackend"]])
def test_a_missing_backend_is_reported(backends: list[str]) -> None:
    assert found(checks.check_backend, AUTHENTICATION_BACKENDS=backends) == ["ory_logout.E052"]


@pytest.mark.parametrize("backend", [checks.BACKEND, f"{__name__}.OtherBackend"])
def test_a_configured_backend_passes(backend: str) -> None:
    assert found(checks.check_backend, AUTHENTICATION_BACKENDS=[backend]) == []


@pytest.mark.parametrize(
    ("backends", "said"),
    [
        (checks.BACKEND, f"AUTHENTICATION_BACKENDS = [{checks.BACKEND!r}]"),
        ("ModelBackend", "AUTHENTICATION_BACKENDS = ['ModelBackend']"),
        ([checks.BACKEND, "axes.backends.Missing"], "'axes.backends.Missing', which cannot be imported"),
        ([checks.BACKEND, f"{__name__}.Missing"], f"'{__name__}.Missing', which cannot be imported"),
        ([checks.BACKEND, ".x.Y"], "'.x.Y', which cannot be imported"),
        ([checks.BACKEND, ""], "'', which cannot be imported"),
        ([None, checks.BACKEND], "None, which cannot be imported"),
        ([None, ".x.Y", "."], "where None, '.x.Y', '.' cannot be imported"),
    ],
)
def test_backends_that_cannot_be_imported(backends: Any, said: str) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=backends):
        (message,) = checks.check_backend()

    assert message.id == "ory_logout.E052"
    assert said in message.msg


# URLs


class URLs:
    """A root URLconf with these patterns."""

    def __init__(self, *patterns: Any) -> None:
        self.urlpatterns = list(patterns)


def another(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    raise AssertionError("never called")


INCLUDED = path("auth/", include("django_ory_logout.urls"))


def test_missing_urls_are_reported() -> None:
    assert found(checks.check_urls, ROOT_URLCONF=URLs(path("", another))) == ["ory_logout.E053"]


def test_urls_that_depend_on_the_language_are_reported() -> None:
    assert found(checks.check_urls, ROOT_URLCONF=URLs(*i18n_patterns(INCLUDED))) == ["ory_logout.E054"]


@pytest.mark.parametrize("pattern", [path("auth/logout/backchannel", another), re_path(r"^.*[^/]$", another)])
def test_a_receiver_url_that_fails_without_its_last_slash_is_reported(pattern: Any) -> None:
    assert found(checks.check_urls, ROOT_URLCONF=URLs(pattern, INCLUDED)) == ["ory_logout.E055"]


def test_a_receiver_url_below_a_prefix_that_fails_without_its_last_slash_is_reported() -> None:
    set_script_prefix("/below/")
    try:
        urls = URLs(path("auth/logout/backchannel", another), INCLUDED)
        assert found(checks.check_urls, ROOT_URLCONF=urls) == ["ory_logout.E055"]
        assert found(checks.check_urls, ROOT_URLCONF=URLs(INCLUDED)) == []
    finally:
        set_script_prefix("/")
        clear_url_caches()


def test_a_receiver_url_of_the_sites_own_patterns_is_checked() -> None:
    with_slash = path("logout/backchannel/", another, name="backchannel_logout")
    without = path("logout/backchannel", another)
    for patterns, expected in (([with_slash], ["ory_logout.E055"]), ([with_slash, without], [])):
        urls = URLs(path("auth/", include((patterns, "ory_logout"))))
        assert found(checks.check_urls, ROOT_URLCONF=urls) == expected


def test_receiver_in_a_namespace_of_the_site() -> None:
    named = path("auth/", include("django_ory_logout.urls", namespace="sso"))

    assert found(checks.check_urls, ROOT_URLCONF=URLs(named)) == []
    taken = path("auth/logout/backchannel/", another, name="backchannel_logout")
    assert found(checks.check_urls, ROOT_URLCONF=URLs(taken, named)) == ["ory_logout.E055"]


def test_urls_pass() -> None:
    assert found(checks.check_urls) == []


# TLS


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        ([], {"SECURE_SSL_REDIRECT": False, "ORY_LOGOUT": site(SITE_URL="http://rp.example")}),
        (["ory_logout.E056"], {"SECURE_SSL_REDIRECT": True, "ORY_LOGOUT": site(SITE_URL="http://rp.example")}),
        (["ory_logout.W057"], {"SECURE_SSL_REDIRECT": True}),
        ([], {"SECURE_SSL_REDIRECT": True, "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}),
        ([], {"SECURE_SSL_REDIRECT": True, "ORY_LOGOUT": None}),
        ([], {"SECURE_SSL_REDIRECT": True, "ORY_LOGOUT": site(SITE_URL=7)}),
    ],
)
def test_a_redirect_to_https_is_checked(expected: list[str], options: dict[str, Any]) -> None:
    assert found(checks.check_ssl_redirect, **options) == expected


# The host


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        (["ory_logout.E062"], {"PREPEND_WWW": True}),
        ([], {"PREPEND_WWW": False}),
        ([], {"PREPEND_WWW": True, "ALLOWED_HOSTS": ["*"], "ORY_LOGOUT": site(SITE_URL="https://www.rp.example")}),
        (["ory_logout.E063"], {"ALLOWED_HOSTS": ["localhost"]}),
        (["ory_logout.E063"], {"ALLOWED_HOSTS": []}),
        (["ory_logout.E063"], {"ALLOWED_HOSTS": [], "DEBUG": True}),
        ([], {"ALLOWED_HOSTS": [], "DEBUG": True, "ORY_LOGOUT": site(SITE_URL="http://localhost:8000")}),
        ([], {"ALLOWED_HOSTS": ["rp.example"]}),
        ([], {"ALLOWED_HOSTS": [".example"]}),
        ([], {"ALLOWED_HOSTS": ["rp.example"], "ORY_LOGOUT": site(SITE_URL="https://rp.example:8443")}),
        (["ory_logout.E062", "ory_logout.E063"], {"PREPEND_WWW": True, "ALLOWED_HOSTS": ["www.rp.example"]}),
        ([], {"PREPEND_WWW": True, "ALLOWED_HOSTS": [], "ORY_LOGOUT": None}),
        ([], {"PREPEND_WWW": True, "ALLOWED_HOSTS": [], "ORY_LOGOUT": site(SITE_URL="http://[")}),
    ],
)
def test_the_host_is_checked(expected: list[str], options: dict[str, Any]) -> None:
    assert found(checks.check_host, **options) == expected


def test_a_host_outside_allowed_hosts_is_named() -> None:
    with override_settings(ALLOWED_HOSTS=["localhost"]):
        (message,) = checks.check_host()

    assert message.msg == "The host of SITE_URL, 'rp.example', is not in ALLOWED_HOSTS, which is ['localhost']."
    assert str(message.hint).endswith("Write: ALLOWED_HOSTS = ['rp.example']")


# The login page and the tables


@pytest.mark.parametrize(
    ("expected", "url"),
    [
        ([], "ory_logout:login"),
        ([], "/auth/login/?a=b"),
        ([], "https://login.example/"),
        ([], "/auth/login"),
        (["ory_logout.W083"], "/accounts/login/"),
        (["ory_logout.W083"], "auth/login/"),
        (["ory_logout.W083"], "ory_logout:logn"),
        (["ory_logout.W083"], None),
        (["ory_logout.W083"], 7),
        (["ory_logout.W083"], reverse_lazy("ory_logout:logn")),
        ([], reverse_lazy("ory_logout:login")),
    ],
)
def test_login_url_is_checked(expected: list[str], url: Any) -> None:
    assert found(checks.check_login_url, LOGIN_URL=url) == expected


@pytest.mark.parametrize("url", ["ory_logout:login", reverse_lazy("ory_logout:login")])
def test_login_url_where_our_urls_are_not_included(url: Any) -> None:
    urls = URLs(path("", another))

    assert found(checks.check_login_url, ROOT_URLCONF=urls, LOGIN_URL=url) == []
    assert found(checks.check_login_url, ROOT_URLCONF=urls, LOGIN_URL="/accounts/login/") == ["ory_logout.W083"]


@pytest.mark.parametrize("name", ["LOGIN_REDIRECT_URL", "LOGOUT_REDIRECT_URL"])
@pytest.mark.parametrize(
    ("expected", "url"),
    [
        ([], "/"),
        ([], "ory_logout:login"),
        ([], "https://www.example/"),
        (["ory_logout.E094"], "dashboard"),
        (["ory_logout.E094"], "home/"),
        (["ory_logout.E094"], 7),
        (["ory_logout.E094"], reverse_lazy("dashboard")),
    ],
)
def test_redirect_urls(name: str, expected: list[str], url: Any) -> None:
    assert found(checks.check_redirect_urls, **{name: url}) == expected


def test_redirect_urls_of_none() -> None:
    assert found(checks.check_redirect_urls, LOGOUT_REDIRECT_URL=None) == []
    assert found(checks.check_redirect_urls, LOGOUT_REDIRECT_URL="") == []
    with override_settings(LOGIN_REDIRECT_URL=None):
        (message,) = checks.check_redirect_urls()

    assert (message.id, message.msg) == ("ory_logout.E094", "LOGIN_REDIRECT_URL is None, which names no page.")
    assert message.hint == 'Sign-ins without next end there. Write: LOGIN_REDIRECT_URL = "/"'


@pytest.mark.django_db
def test_missing_tables_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(checks.check_migrations, DEBUG=True) == []
    monkeypatch.setattr("django.db.migrations.recorder.MigrationRecorder.applied_migrations", lambda _self: {})

    assert found(checks.check_migrations) == []
    assert found(checks.check_migrations, DEBUG=True) == ["ory_logout.W084"]
    assert [message.id for message in checks.check_migrated_databases(databases=["default"])] == ["ory_logout.W084"]
    assert found(checks.check_migrated_databases) == []
    monkeypatch.setattr("sys.argv", ["manage.py", "migrate"])
    assert found(checks.check_migrations, DEBUG=True) == []


def test_tables_of_a_database_that_does_not_answer_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_connection: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(checks, "MigrationExecutor", fail)

    assert found(checks.check_migrations, DEBUG=True) == []


class Answering:
    """A database connection and its cursor. Each statement has this answer."""

    alias = "default"

    def __init__(self, vendor: str, answer: object) -> None:
        self.vendor, self.answer, self.asked = vendor, answer, list[str]()

    def cursor(self) -> "Answering":
        return self

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *_error: object) -> None:
        """There is nothing to close."""

    def execute(self, statement: str) -> None:
        self.asked.append(statement)
        if isinstance(self.answer, Exception):
            raise self.answer

    def fetchone(self) -> tuple[object]:
        return (self.answer,)


@pytest.mark.parametrize(
    ("expected", "vendor", "answer"),
    [
        (["ory_logout.W089"], "postgresql", "off"),
        ([], "postgresql", "on"),
        ([], "postgresql", "local"),
        (["ory_logout.W089"], "mysql", 0),
        (["ory_logout.W089"], "mysql", 2),
        ([], "mysql", 1),
        ([], "postgresql", OperationalError("away")),
        ([], "oracle", "off"),
    ],
)
def test_commits_that_a_crash_can_lose_are_reported(
    monkeypatch: pytest.MonkeyPatch, expected: list[str], vendor: str, answer: object
) -> None:
    connection = Answering(vendor, answer)
    monkeypatch.setattr(checks, "connections", {"default": connection})

    assert found(checks.check_durability) == []
    assert connection.asked == []
    assert checks.check_durability(databases=["other"]) == []
    assert connection.asked == []
    messages = checks.check_durability(databases=["default"])
    assert [message.id for message in messages] == expected
    for message in messages:
        assert f"is {answer!r} now" in str(message.hint)


def test_an_app_that_is_not_installed_is_reported() -> None:
    lines = [
        "import django",
        "from django.conf import settings",
        "settings.configure(INSTALLED_APPS=['django.contrib.auth', 'django.contrib.contenttypes'])",
        "django.setup()",
        "import django_ory_logout.urls",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)

    assert 'Write: INSTALLED_APPS = [..., "django_ory_logout"]' in done.stderr


# Cookies


def form_post(site_url: str, **changes: Any) -> dict[str, Any]:
    default = {**settings.ORY_LOGOUT["PROVIDERS"]["default"], "RESPONSE_MODE": "form_post", **changes}
    return site(SITE_URL=site_url, PROVIDERS={"default": default})


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        (["ory_logout.E064"], form_post("http://rp.example")),
        ([], form_post("http://rp.example", RESPONSE_MODE="query")),
        ([], form_post("https://rp.example")),
        ([], form_post("http://localhost:8000")),
        ([], form_post("http://rp.example", ISSUER="")),
    ],
)
def test_form_post_needs_https(expected: list[str], given: dict[str, Any]) -> None:
    assert found(checks.check_cookies, ORY_LOGOUT=given) == expected


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        (["ory_logout.E058"], {"SESSION_COOKIE_SAMESITE": "Strict"}),
        (["ory_logout.E058"], {"SESSION_COOKIE_SAMESITE": "strict"}),
        ([], {"SESSION_COOKIE_SAMESITE": "Lax"}),
        ([], {"SESSION_COOKIE_SAMESITE": "None"}),
        ([], {"SESSION_COOKIE_SAMESITE": False}),
        (["ory_logout.E059"], {"SESSION_COOKIE_SECURE": True, "ORY_LOGOUT": site(SITE_URL="http://rp.example")}),
        ([], {"SESSION_COOKIE_SECURE": False, "ORY_LOGOUT": site(SITE_URL="http://rp.example")}),
        ([], {"SESSION_COOKIE_SECURE": True, "ORY_LOGOUT": site(SITE_URL="http://localhost:8000")}),
        ([], {"SESSION_COOKIE_SECURE": True}),
        ([], {"SESSION_COOKIE_SECURE": True, "ORY_LOGOUT": {}}),
        ([], {"SESSION_COOKIE_SECURE": True, "ORY_LOGOUT": site(SITE_URL="http://[")}),
        (
            ["ory_logout.E058", "ory_logout.E059"],
            {
                "SESSION_COOKIE_SAMESITE": "Strict",
                "SESSION_COOKIE_SECURE": True,
                "ORY_LOGOUT": site(SITE_URL="http://rp.example"),
            },
        ),
    ],
)
def test_cookies_are_checked(expected: list[str], options: dict[str, Any]) -> None:
    assert found(checks.check_cookies, **options) == expected


@pytest.mark.parametrize("kind", ["SESSION_COOKIE", "CSRF_COOKIE"])
@pytest.mark.parametrize(
    ("expected", "options"),
    [
        (["ory_logout.E095"], {"DOMAIN": ".other.example"}),
        (["ory_logout.E095"], {"DOMAIN": "p.example"}),
        (["ory_logout.E095"], {"DOMAIN": "www.rp.example"}),
        ([], {"DOMAIN": "RP.example"}),
        ([], {"DOMAIN": ".rp.example"}),
        ([], {"DOMAIN": "example"}),
        (["ory_logout.W096"], {"PATH": "/app"}),
        (["ory_logout.W096"], {"PATH": "/auth/sessions/"}),
        (["ory_logout.W096"], {"PATH": "/au"}),
        ([], {"PATH": "/auth"}),
        ([], {"PATH": "/auth/"}),
    ],
)
def test_cookies_that_do_not_come_back(kind: str, expected: list[str], options: dict[str, Any]) -> None:
    given = {f"{kind}_{name}": value for name, value in options.items()}

    assert found(checks.check_cookies, **given) == expected
    in_session = expected if kind == "SESSION_COOKIE" else []
    assert found(checks.check_cookies, CSRF_USE_SESSIONS=True, **given) == in_session


def test_cookies_that_do_not_come_back_are_named() -> None:
    with override_settings(SESSION_COOKIE_DOMAIN=".other.example", SESSION_COOKIE_PATH="/app"):
        domain, where = checks.check_cookies()

    assert domain.msg == "SESSION_COOKIE_DOMAIN is '.other.example', and the host of SITE_URL is 'rp.example'."
    assert domain.hint == "Browsers drop the cookie. Write: SESSION_COOKIE_DOMAIN = None"
    assert where.msg == "SESSION_COOKIE_PATH is '/app', and the URLs of this app are below '/auth/'."


def test_cookies_where_site_or_urls_are_not_known() -> None:
    wrong = {"SESSION_COOKIE_DOMAIN": "other.example", "SESSION_COOKIE_PATH": "/app"}

    assert found(checks.check_cookies, ORY_LOGOUT=None, **wrong) == ["ory_logout.W096"]
    assert found(checks.check_cookies, ROOT_URLCONF=URLs(path("", another)), **wrong) == ["ory_logout.E095"]


# Cache


@pytest.mark.parametrize(
    ("expected", "options"),
    [
        (["ory_logout.E060"], {"CACHES": DUMMY}),
        (["ory_logout.E060"], {"CACHES": DUMMY, "DEBUG": True}),
        (["ory_logout.W061"], {"CACHES": LOCAL}),
        ([], {"CACHES": LOCAL, "DEBUG": True}),
        ([], {"CACHES": SHARED}),
        ([], {"CACHES": {**DUMMY, "other": SHARED["default"]}, "ORY_LOGOUT": site(CACHE_ALIAS="other")}),
        ([], {"CACHES": DUMMY, "ORY_LOGOUT": None}),
    ],
)
def test_the_cache_is_checked(expected: list[str], options: dict[str, Any]) -> None:
    assert found(checks.check_cache, **options) == expected


# All checks together


def test_ids_of_warnings_and_errors_start_with_w_and_e() -> None:
    with override_settings(SECURE_SSL_REDIRECT=True, CACHES=LOCAL, SESSION_COOKIE_SAMESITE="Strict"):
        messages = [*checks.check_ssl_redirect(), *checks.check_cache(), *checks.check_cookies()]

    levels = {message.id: message.level for message in messages}
    assert levels == {
        "ory_logout.W057": registry.WARNING,
        "ory_logout.W061": registry.WARNING,
        "ory_logout.E058": registry.ERROR,
    }


def _ids_given_in(module: Any) -> list[object]:
    """The first argument of each ``Problem``, ``Setting``, ``_error`` and similar call, where an id is given."""
    givers = {"Problem", "Setting", "_choice", "_switch", "_error", "_warning"}
    return [
        node.args[0].value
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in givers
        and isinstance(node.args[0], ast.Constant)
    ]


def test_each_error_has_its_own_id() -> None:
    given = [*_ids_given_in(conf_settings), *_ids_given_in(checks)]

    assert len(given) > 40
    assert [code for code, times in Counter(given).items() if times > 1] == []


def test_the_command_reports_only_the_local_cache() -> None:
    output = StringIO()

    with override_settings(CACHES=LOCAL):
        call_command("check", stderr=output)

    assert "ory_logout.W061" in output.getvalue()
    assert "System check identified some issues" in output.getvalue()
    assert output.getvalue().count("HINT") == 1


def test_the_command_reports_nothing_with_a_shared_cache() -> None:
    output = StringIO()

    with override_settings(CACHES=SHARED):
        call_command("check", stdout=output, stderr=output)

    assert output.getvalue() == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("parameters", "required", "ids"),
    [
        ({"hd": "example.org"}, (), ["ory_logout.W097"]),
        ({"hd": "example.org"}, ("phr",), ["ory_logout.W097"]),
        ({"acr_values": "phr"}, (), ["ory_logout.W097"]),
        ({"claims": '{"id_token": {"auth_time": {"essential": true}}}'}, ("phr",), ["ory_logout.W097"]),
        ({"acr_values": "phr"}, ("phr",), []),
        ({"claims": '{"id_token": {"acr": {"essential": true, "values": ["phr"]}}}'}, (), ["ory_logout.W097"]),
        ({"claims": '{"id_token": {"acr": {"essential": true, "values": ["phr"]}}}'}, ("phr",), []),
        ({"claims": '{"userinfo": {"picture": null}}', "prompt": "login", "max_age": "60"}, (), []),
    ],
)
def test_guarantees_that_are_only_requested(
    parameters: dict[str, str], required: tuple[str, ...], ids: list[str]
) -> None:
    provider = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    default = {**provider, "AUTHORIZATION_PARAMETERS": parameters, "ACR_VALUES_REQUIRED": required}

    assert found(checks.check_parameters, ORY_LOGOUT=site(PROVIDERS={"default": default})) == ids


def test_guarantees_of_settings_that_cannot_be_read() -> None:
    assert found(checks.check_parameters, ORY_LOGOUT={}) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"SESSION_COOKIE_PATH": None},
        {"CSRF_COOKIE_PATH": None},
        {"SESSION_COOKIE_DOMAIN": ["x"]},
        {"AUTHENTICATION_BACKENDS": None},
        {"CACHES": {"other": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_no_check_ends_with_a_traceback(odd: dict[str, Any]) -> None:
    with override_settings(**odd):
        for check in (checks.check_cookies, checks.check_backend, checks.check_cache):
            check()
