"""Two databases, of which the one that is read lags behind: what has logged out stays out when it catches up."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, connections, transaction

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions import index
from django_ory_logout.sessions.engines import site_store
from django_ory_logout.sessions.store import indexed
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Provider

from ..conftest import NewBrowser, SiteBrowser
from .conftest import copy_of

pytestmark = pytest.mark.django_db(transaction=True)


class ReadsEverything:
    """Reads from the replica, and writes to the database that it is a copy of."""

    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return "replica"

    def db_for_write(self, model: Any, **_hints: Any) -> str:
        return "default"

    def allow_relation(self, *_objects: Any, **_hints: Any) -> bool:
        return True


class ReadsSessions(ReadsEverything):
    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "sessions" else None


class ReadsTheIndex(ReadsEverything):
    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "django_ory_logout" else None


@pytest.fixture(params=["db", "cached_db"])
def engine(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    return str(request.param)


class Replica:
    """A second database: on SQLite in memory, on PostgreSQL a schema of its own, on MariaDB a database."""

    def __init__(self) -> None:
        configured = connections.settings["default"]
        self._schema = "replica" if connection.vendor == "postgresql" else f"{configured['NAME']}_replica"
        changed: dict[str, dict[str, Any]] = {
            "sqlite": {"NAME": ":memory:"},
            "postgresql": {"OPTIONS": {"options": "-c search_path=replica"}},
            "mysql": {"NAME": self._schema},
        }
        if connection.vendor != "sqlite":
            like = "(LIKE {0})" if connection.vendor == "postgresql" else "LIKE {0}"
            with connection.cursor() as cursor:
                self._tables = connection.introspection.table_names(cursor)
                cursor.execute(f"CREATE SCHEMA {self._schema}")
                for table in self._tables:
                    cursor.execute(f"CREATE TABLE {self._schema}.{table} {like.format(table)}")
        connections.settings["replica"] = configured | changed[connection.vendor]
        connections["replica"].connect()  # a test may else open only what it was set up with

    def catch_up(self) -> None:
        """Get what was written until now. Until the next call, the replica gets nothing more."""
        if connection.vendor == "sqlite":
            connection.connection.backup(connections["replica"].connection)
            return
        with connection.cursor() as cursor, transaction.atomic():
            for table in self._tables:
                cursor.execute(f"DELETE FROM {self._schema}.{table}")  # noqa: S608
                cursor.execute(f"INSERT INTO {self._schema}.{table} SELECT * FROM {table}")  # noqa: S608

    def drop(self) -> None:
        if connection.vendor == "sqlite":
            connections["replica"].connection.close()  # Django leaves a database in memory open
        connections["replica"].close()
        del connections["replica"], connections.settings["replica"]
        if connection.vendor != "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"DROP SCHEMA {self._schema} {'CASCADE' if connection.vendor == 'postgresql' else ''}")


@pytest.fixture(params=[ReadsEverything, ReadsSessions, ReadsTheIndex])
def replica(request: pytest.FixtureRequest, engine: str, settings: Any) -> Iterator[Replica]:
    replica = Replica()
    replica.catch_up()
    settings.DATABASE_ROUTERS = [request.param()]
    yield replica
    settings.DATABASE_ROUTERS = []
    replica.drop()


class Readers:
    """A browser whose user the replica knows, signed in so lately that it does not know the session."""

    def __init__(self, new_browser: NewBrowser, replica: Replica) -> None:
        self._new_browser, self.catch_up = new_browser, replica.catch_up
        for subject in ("amber", "birch"):
            new_browser().sign_in(subject)
        LoginSession.objects.filter(subject="amber").delete()
        self.catch_up()
        self.other = new_browser()
        self.other.sign_in("birch")
        self.sign_in()

    def sign_in(self) -> SiteBrowser:
        self.browser = self._new_browser()
        assert self.browser.sign_in("amber").status_code == 302
        self.copy = copy_of(self.browser, self._new_browser)
        self.row = LoginSession.objects.using("default").filter(subject="amber").latest("created_at")
        return self.browser

    def moments(self) -> Iterator[None]:
        """Now, when the cache has forgotten what it knew, when the replica has caught up, and both."""
        for has_caught_up in (False, True):
            if has_caught_up:
                self.catch_up()
            index._seen.clear()
            yield
            cache.clear()
            index._seen.clear()
            yield

    def assert_out(self) -> None:
        for _ in self.moments():
            assert self.browser.user is None
            assert self.copy.user is None
        assert self.other.user


@pytest.fixture
def readers(new_browser: NewBrowser, replica: Replica) -> Readers:
    return Readers(new_browser, replica)


def test_signed_in_before_the_replica_knows(readers: Readers) -> None:
    for _ in readers.moments():
        assert readers.browser.user["subject"] == "amber"
        assert readers.copy.user


def test_log_out_right_after_the_sign_in(readers: Readers, provider: Provider) -> None:
    for _ in range(10):
        answer = readers.sign_in().post("/auth/logout/")

        assert answer.status_code == 302
        assert answer["Location"].startswith(f"{provider.issuer}/")
        readers.assert_out()


def test_log_out_without_the_cache(readers: Readers) -> None:
    """``cached_db`` then reads the database, as ``db`` does."""
    cache.clear()

    assert readers.browser.post("/auth/logout/").status_code == 302

    readers.assert_out()


def test_log_out_when_the_replica_keeps_the_session_for_a_while(readers: Readers) -> None:
    readers.catch_up()
    assert readers.browser.user

    assert readers.browser.post("/auth/logout/").status_code == 302

    readers.assert_out()


def test_a_notice_right_after_the_sign_in(readers: Readers, provider: Provider, new_browser: NewBrowser) -> None:
    assert new_browser().deliver(provider.end(str(readers.row.sid))) == [200]

    readers.assert_out()


def test_a_notice_about_the_person(readers: Readers, provider: Provider, new_browser: NewBrowser) -> None:
    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    readers.assert_out()


def test_a_frame_right_after_the_sign_in(readers: Readers, new_browser: NewBrowser) -> None:
    frame = {"iss": readers.row.issuer, "sid": str(readers.row.sid)}

    assert new_browser().get("/auth/logout/frontchannel/", frame).status_code == 200

    readers.assert_out()


def test_the_link_right_after_the_sign_in(readers: Readers) -> None:
    state = indexed(site_store())(readers.browser.key)[LOGIN_KEY]["logout_state"]

    assert readers.browser.get("/auth/logout/callback/", {"state": state}).status_code == 200

    readers.assert_out()


def test_a_second_sign_in_ends_the_first(readers: Readers) -> None:
    first = readers.copy

    assert readers.browser.sign_in("amber").status_code == 302

    for _ in readers.moments():
        assert readers.browser.user
        assert first.user is None


def test_ended_from_the_page_of_sessions(readers: Readers) -> None:
    other, copy = readers.browser, readers.copy
    here = readers.sign_in()

    assert here.post("/auth/sessions/", {"end": "others"}).status_code == 302

    for _ in readers.moments():
        assert here.user
        assert other.user is None
        assert copy.user is None
