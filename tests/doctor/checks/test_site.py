"""The section ``site``: each row is green on a healthy site and red for each wrong setting."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from django_ory_logout.doctor.checks import site
from django_ory_logout.models import LoginSession, RefusalCount

from ..conftest import looked, red, row

LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
DUMMY = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
DOWN = {"default": {"BACKEND": "tests.caches.DownCache"}}
FILES = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "not there"}}
ENGINES = "django.contrib.sessions.backends"

Register = Callable[..., None]


@pytest.fixture
def register() -> Iterator[Register]:
    """Register a system check that reports these messages, or raises the exception."""
    registered = []

    def register(*said: checks.CheckMessage | Exception, tag: str = "security") -> None:
        def check(**_kwargs: Any) -> list[checks.CheckMessage]:
            for message in said:
                if isinstance(message, Exception):
                    raise message
            return [message for message in said if isinstance(message, checks.CheckMessage)]

        registry.register(check, tag)
        registered.append(check)

    yield register
    registry.registered_checks.difference_update(registered)


# site.checks


@pytest.mark.django_db
def test_a_healthy_site_is_green() -> None:
    assert red("site") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"]}, "E050"),
        ({"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"]}, "E052"),
        ({"ROOT_URLCONF": "tests.hydra_ui.empty_urls"}, "E053"),
        ({"SECURE_SSL_REDIRECT": True}, "W057"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "E058"),
        ({"PREPEND_WWW": True}, "E062"),
        ({"ALLOWED_HOSTS": ["other.example"]}, "E063"),
    ],
)
def test_a_failed_system_check_turns_its_row_red(settings: Any, broken: dict[str, Any], code: str) -> None:
    for name, value in broken.items():
        setattr(settings, name, value)

    said = [
        finding for finding in looked("site.checks")["site.checks"] if finding.found.startswith(f"ory_logout.{code}: ")
    ]

    assert [str(finding.verdict) for finding in said] == ["fail" if code[0] == "E" else "warn"]
    assert said[0].todo


def test_errors_of_other_apps_count_and_their_warnings_do_not(register: Register) -> None:
    register(checks.Error("Broken.", id="other.E001"), checks.Warning("Careless.", id="other.W001"))

    finding = row("site.checks")

    assert (finding.verdict, finding.found) == ("fail", "other.E001: Broken.")
    assert finding.todo == "Run manage.py check."


def test_a_message_without_id_or_hint_is_shown(register: Register) -> None:
    register(checks.Error("Broken."), checks.Info("By the way.", id="ory_logout.I001"))

    assert row("site.checks").found == "Broken."


def test_our_message_without_a_hint_links_to_its_explanation(register: Register) -> None:
    register(checks.Warning("Careless.", id="ory_hydra_ui.W030"))

    assert row("site.checks").todo == "Run manage.py ory_doctor --explain ory_hydra_ui.W030."


def test_silenced_warnings_are_hidden_and_silenced_errors_are_not(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = settings.PREPEND_WWW = True
    settings.SILENCED_SYSTEM_CHECKS = ["ory_logout.W057", "ory_logout.E062"]

    assert row("site.checks").found.startswith("ory_logout.E062: ")


def test_errors_come_first(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = settings.PREPEND_WWW = True

    assert [str(finding.verdict) for finding in looked("site.checks")["site.checks"]] == ["fail", "warn"]


def test_a_check_that_raises_does_not_hide_the_others(register: Register, settings: Any) -> None:
    settings.PREPEND_WWW = True
    register(RuntimeError("a password"))

    said = {finding.found for finding in looked("site.checks")["site.checks"]}

    assert any(text.startswith("ory_logout.E062: ") for text in said)
    assert "The system check tests.doctor.checks.test_site.check itself failed: RuntimeError." in said


def test_checks_of_databases_are_left_out(register: Register) -> None:
    register(checks.Error("Slow.", id="other.E001"), tag=checks.Tags.database)

    assert row("site.checks").verdict == "pass"


@pytest.mark.django_db
def test_settings_that_cannot_be_read_still_produce_rows(settings: Any) -> None:
    settings.ORY_LOGOUT = {"SITE_URL": 7}

    verdicts = red()

    assert set(verdicts.pop("site.checks")) == {"fail"}
    assert {verdict for said in verdicts.values() for verdict in said} == {"unknown"}
    assert {finding.found for rows in looked().values() for finding in rows if finding.verdict == "unknown"} == {
        "See site.checks."
    }
    assert {"site.cache", "site.cookies", "provider.discovery", "receiver.frontchannel"} <= set(verdicts)


@pytest.mark.django_db
def test_missing_urls_leave_the_other_rows_unknown(settings: Any, healthy: None) -> None:
    settings.ROOT_URLCONF = "tests.hydra_ui.empty_urls"

    verdicts = red()

    assert verdicts.pop("site.checks") == ["fail"]
    assert verdicts == {
        name: ["unknown"]
        for name in (
            "site.cookies",
            "receiver.inside",
            "receiver.backchannel",
            "receiver.slash",
            "receiver.logout",
            "receiver.frontchannel",
        )
    }


# site.sessions


@pytest.mark.django_db
@pytest.mark.parametrize("engine", ["db", "cache", "cached_db", "signed_cookies"])
def test_shared_session_engines_are_green(settings: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"{ENGINES}.{engine}"

    assert red("site") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("engine", "caches", "verdict"),
    [
        ("cache", DUMMY, "fail"),
        ("cache", LOCMEM, "fail"),
        ("cached_db", LOCMEM, "warn"),
        ("cache", FILES, "warn"),
        ("cached_db", FILES, "warn"),
        ("file", LOCMEM, "warn"),
        ("cache", DOWN, "fail"),
        ("no_such_engine", LOCMEM, "fail"),
    ],
)
def test_session_engines_that_are_not_shared_turn_red(
    settings: Any, engine: str, caches: dict[str, Any], verdict: str, tmp_path: Path
) -> None:
    settings.SESSION_ENGINE, settings.SESSION_FILE_PATH = f"{ENGINES}.{engine}", str(tmp_path)
    settings.CACHES = {"default": {**caches["default"], **({"LOCATION": str(tmp_path)} if caches is FILES else {})}}

    finding = row("site.sessions")

    assert (str(finding.verdict), bool(finding.todo)) == (verdict, True)
    assert finding.found.startswith(f"{ENGINES}.{engine} ")


@pytest.mark.django_db
@pytest.mark.parametrize("by", ["DEBUG", "silence"])
def test_a_local_engine_is_green_with_one_process(settings: Any, by: str, tmp_path: Path) -> None:
    settings.CACHES, settings.SESSION_FILE_PATH = LOCMEM, str(tmp_path)
    if by == "DEBUG":
        settings.DEBUG = True
    else:
        settings.SILENCED_SYSTEM_CHECKS = ["ory_logout.W061"]

    for engine, verdict in (("cached_db", "pass"), ("file", "pass"), ("cache", "warn")):
        settings.SESSION_ENGINE = f"{ENGINES}.{engine}"
        assert str(row("site.sessions").verdict) == verdict, engine
    assert row("site.cache").verdict == "pass"


@pytest.mark.django_db
def test_an_engine_without_its_table_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_arguments: Any) -> None:
        raise OperationalError("no such table, and a password")

    monkeypatch.setattr(f"{ENGINES}.db.SessionStore.exists", missing)

    assert red("site") == {"site.sessions": ["fail"]}
    assert row("site.sessions").found == f"{ENGINES}.db does not answer: OperationalError."


# site.cache


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("caches", "verdict", "also"),
    [(DOWN, "fail", {}), (DUMMY, "fail", {"site.checks": ["fail"]}), (LOCMEM, "warn", {"site.checks": ["warn"]})],
)
def test_a_cache_that_does_not_store_turns_red(
    settings: Any, caches: Any, verdict: str, also: dict[str, list[str]]
) -> None:
    settings.CACHES = caches

    assert red("site") == {"site.cache": [verdict], **also}


def test_the_check_does_not_change_the_cache(settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {"default": {**FILES["default"], "LOCATION": str(tmp_path)}}

    assert row("site.cache").verdict == "pass"
    assert list(tmp_path.iterdir()) == []


# site.cookies


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"SESSION_COOKIE_DOMAIN": ".example", "CSRF_COOKIE_DOMAIN": "RP.example"},
        {"SESSION_COOKIE_PATH": "/auth/"},
        {"SESSION_COOKIE_SECURE": True, "CSRF_COOKIE_SECURE": True},
        {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
        {"CSRF_COOKIE_DOMAIN": "other.example", "CSRF_USE_SESSIONS": True},
    ],
)
def test_cookies_that_browsers_keep_are_green(settings: Any, given: dict[str, Any]) -> None:
    for name, value in given.items():
        setattr(settings, name, value)

    assert red("site") == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value", "site_url", "verdict"),
    [
        ("SESSION_COOKIE_DOMAIN", "other.example", "", "fail"),
        ("SESSION_COOKIE_DOMAIN", "p.example", "", "fail"),
        ("CSRF_COOKIE_DOMAIN", "www.rp.example", "", "fail"),
        ("SESSION_COOKIE_PATH", "/shop/", "", "fail"),
        ("CSRF_COOKIE_PATH", "/auth/login/", "", "fail"),
        ("CSRF_COOKIE_SAMESITE", "None", "", "fail"),
        ("SESSION_COOKIE_SAMESITE", "none", "", "fail"),
        ("CSRF_COOKIE_SECURE", True, "http://rp.example", "fail"),
        ("CSRF_COOKIE_SECURE", True, "http://localhost:8000", "warn"),
        ("SESSION_COOKIE_SECURE", True, "http://localhost:8000", "warn"),
    ],
)
def test_cookies_that_browsers_drop_turn_red(settings: Any, name: str, value: Any, site_url: str, verdict: str) -> None:
    setattr(settings, name, value)
    if site_url:
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SITE_URL": site_url}

    assert red("site")["site.cookies"] == [verdict]
    assert name in row("site.cookies").found


# site.database


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("a password"), InterfaceError("x"), ImproperlyConfigured("x")])
def test_a_database_that_does_not_answer_turns_red(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(site, "MigrationExecutor", lambda _connection: (_ for _ in ()).throw(error))

    assert red("site") == {"site.database": ["fail"]}
    assert row("site.database").found == f"The database 'default' does not answer: {type(error).__name__}."


@pytest.mark.django_db
@pytest.mark.parametrize("model", [LoginSession, RefusalCount])
def test_a_table_that_cannot_be_read_turns_red(model: type[Model]) -> None:
    """Migrations were faked, or the table was changed by hand. The migration records do not show it."""
    from django.db import connection

    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO moved")

    assert red("site") == {"site.database": ["fail"]}
    assert row("site.database").found == f"The table {table} cannot be read: OperationalError."


@pytest.mark.django_db
def test_a_missing_column_turns_red() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {LoginSession._meta.db_table} RENAME COLUMN end_reason TO moved")

    assert red("site") == {"site.database": ["fail"]}


@pytest.mark.django_db
def test_missing_migrations_turn_red(django_db_setup: None) -> None:
    from django.db import connection

    MigrationRecorder(connection).record_unapplied("ory_logout", "0001_initial")

    assert red("site") == {"site.database": ["fail"]}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "silenced", "expected"),
    [
        (checks.Warning, [], ["warn"]),
        (checks.Warning, ["ory_logout.W000"], []),
        (checks.Error, ["ory_logout.W000"], ["fail"]),
        (checks.Info, [], []),
    ],
)
def test_our_database_checks_appear_as_rows(
    register: Register,
    settings: Any,
    kind: Callable[..., checks.CheckMessage],
    silenced: list[str],
    expected: list[str],
) -> None:
    register(kind("A crash can lose logouts.", hint="Switch it on.", id="ory_logout.W000"), tag=checks.Tags.database)
    settings.SILENCED_SYSTEM_CHECKS = silenced

    assert red("site") == ({"site.database": expected} if expected else {})
    if expected:
        assert row("site.database").found == "ory_logout.W000: A crash can lose logouts."
