"""Reads come from a replica that is behind. A session that logged out stays out when the replica catches up."""

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
    """Reads from the replica, and writes to the primary database."""

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
    """A second database: in memory on SQLite, a schema on PostgreSQL, a database on MariaDB."""

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
        connections["replica"].connect()  # otherwise a test may open only the connections of its set-up

    def catch_up(self) -> None:
        """Copy all data that was written until now. The replica then stays unchanged until the next call."""
        if connection.vendor == "sqlite":
            connection.connection.backup(connections["replica"].connection)
            return
        with connection.cursor() as cursor, transaction.atomic():
            for table in self._tables:
                cursor.execute(f"DELETE FROM {self._schema}.{table}")  # noqa: S608
                cursor.execute(f"INSERT INTO {self._schema}.{table} SELECT * FROM {table}")  # noqa: S608

    def drop(self) -> None:
        if connection.vendor == "sqlite":
            connections["replica"].connection.close()  # Django does not close a database in memory
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


class RecentSignIn:
    """A browser that signed in a moment ago. The replica knows its user, but not yet its session."""

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
        """Four moments: now, without the cache, after the replica caught up, and both."""
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
def recent(new_browser: NewBrowser, replica: Replica) -> RecentSignIn:
    return RecentSignIn(new_browser, replica)


def test_a_sign_in_works_before_the_replica_knows_it(recent: RecentSignIn) -> None:
    for _ in recent.moments():
        assert recent.browser.user["subject"] == "amber"
        assert recent.copy.user


def test_a_logout_right_after_the_sign_in_ends_the_session(recent: RecentSignIn, provider: Provider) -> None:
    for _ in range(10):
        answer = recent.sign_in().post("/auth/logout/")

        assert answer.status_code == 302
        assert answer["Location"].startswith(f"{provider.issuer}/")
        recent.assert_out()


def test_a_logout_without_the_cache_ends_the_session(recent: RecentSignIn) -> None:
    """``cached_db`` then reads the database, as ``db`` does."""
    cache.clear()

    assert recent.browser.post("/auth/logout/").status_code == 302

    recent.assert_out()


def test_a_logout_ends_the_session_although_the_replica_keeps_it(recent: RecentSignIn) -> None:
    recent.catch_up()
    assert recent.browser.user

    assert recent.browser.post("/auth/logout/").status_code == 302

    recent.assert_out()


def test_a_notice_right_after_the_sign_in_ends_the_session(
    recent: RecentSignIn, provider: Provider, new_browser: NewBrowser
) -> None:
    assert new_browser().deliver(provider.end(str(recent.row.sid))) == [200]

    recent.assert_out()


def test_a_notice_by_subject_ends_the_session(
    recent: RecentSignIn, provider: Provider, new_browser: NewBrowser
) -> None:
    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    recent.assert_out()


def test_a_frame_right_after_the_sign_in_ends_the_session(recent: RecentSignIn, new_browser: NewBrowser) -> None:
    frame = {"iss": recent.row.issuer, "sid": str(recent.row.sid)}

    assert new_browser().get("/auth/logout/frontchannel/", frame).status_code == 200

    recent.assert_out()


def test_the_link_right_after_the_sign_in_ends_the_session(recent: RecentSignIn) -> None:
    state = indexed(site_store())(recent.browser.key)[LOGIN_KEY]["logout_state"]

    assert recent.browser.get("/auth/logout/callback/", {"state": state}).status_code == 200

    recent.assert_out()


def test_a_second_sign_in_ends_the_first_session(recent: RecentSignIn) -> None:
    first = recent.copy

    assert recent.browser.sign_in("amber").status_code == 302

    for _ in recent.moments():
        assert recent.browser.user
        assert first.user is None


def test_the_page_of_sessions_ends_the_session(recent: RecentSignIn) -> None:
    other, copy = recent.browser, recent.copy
    here = recent.sign_in()

    assert here.post("/auth/sessions/", {"end": "others"}).status_code == 302

    for _ in recent.moments():
        assert here.user
        assert other.user is None
        assert copy.user is None
