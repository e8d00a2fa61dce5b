"""How stored sessions end on each engine of Django and of others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import cache, cached_db, db, file, signed_cookies
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connections

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions import engines, index, receipts
from django_ory_logout.sessions.engines import delete_stored, deleted_stay_deleted, has_keys, site_store

from .engines import custom_db, memory, own_cache
from .tested_site import ENGINES, SUBJECT, SiteUnderTest, notice

ALL = [f"django.contrib.sessions.backends.{engine}" for engine in ENGINES] + [
    f"{engines.__name__}" for engines in (custom_db, memory, own_cache)
]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=ALL)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    memory.stored.clear()
    own_cache.copies.clear()


def is_stored(key: str) -> bool:
    return SESSION_KEY in site_store()(key).load()


def test_a_notice_ends_the_stored_session(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")
    assert site.is_signed_in(key)

    assert notice() == 1

    assert not site.is_signed_in(key)
    assert not LoginSession.objects.exists()
    if has_keys(site_store()):
        assert not is_stored(key)


def test_a_notice_ends_a_session_whose_key_was_rotated(site: SiteUnderTest) -> None:
    old = site.visit("/sign-in/")
    key = site.visit("/rotate/", old)
    assert site.is_signed_in(key)

    assert notice() == 1

    if has_keys(site_store()):
        assert not is_stored(key)
    assert site.survivors() == []


def test_a_notice_before_the_first_request_with_a_rotated_key_ends_it(site: SiteUnderTest) -> None:
    site.visit("/rotate/", site.visit("/sign-in/"))

    assert notice() == 1

    assert site.survivors() == []


def test_a_restored_stored_session_is_not_signed_in(site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late save, or a cache that is filled again, restores it. This tests every engine where that is possible."""
    if deleted_stay_deleted(site_store()):
        return
    key = site.visit("/sign-in/")
    monkeypatch.setattr(engines, "delete_stored", lambda store, keys: None)
    assert is_stored(key)

    assert notice() == 1

    assert not site.is_signed_in(key)


@pytest.mark.parametrize("engine", [f"django.contrib.sessions.backends.{name}" for name in ENGINES[:-1]], indirect=True)
def test_only_the_named_sessions_are_deleted_at_once(site: SiteUnderTest) -> None:
    keys = [site.visit("/sign-in/") for _ in range(5)]

    delete_stored(site_store(), [*keys[:3], "gone" * 8])

    assert [is_stored(key) for key in keys] == [False, False, False, True, True]


@pytest.mark.parametrize("engine", ["django.contrib.sessions.backends.cached_db"], indirect=True)
def test_the_database_is_cleared_before_the_cache(site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a request in between would fill the cache again from the database."""
    key = site.visit("/sign-in/")
    backend = type(caches["default"])
    delete_many = backend.delete_many
    still_stored: list[str] = []

    def look_and_delete_many(cache: Any, keys: Any, *args: Any, **kwargs: Any) -> None:
        still_stored.extend(Session.objects.values_list("session_key", flat=True))
        delete_many(cache, keys, *args, **kwargs)

    monkeypatch.setattr(backend, "delete_many", look_and_delete_many)

    delete_stored(site_store(), [key])

    assert still_stored == []
    assert not is_stored(key)


def test_no_key_deletes_nothing(site: SiteUnderTest, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        delete_stored(site_store(), [])


def test_engines_with_keys_are_known() -> None:
    assert [has_keys(module.SessionStore) for module in (db, cached_db, cache, file, memory)] == [True] * 5
    assert not has_keys(signed_cookies.SessionStore)


@pytest.mark.parametrize(
    ("module", "stays_deleted"),
    [
        (db, True),
        (custom_db, True),
        (own_cache, False),
        (cached_db, False),
        (cache, False),
        (file, False),
        (signed_cookies, False),
        (memory, False),
    ],
)
def test_engines_where_deleted_sessions_stay_deleted_are_known(module: Any, stays_deleted: bool) -> None:
    assert deleted_stay_deleted(module.SessionStore) is stays_deleted


class Replica:
    """Django reads everything from a replica. The index would too, if it used the router."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


@pytest.fixture
def replica(settings: Any) -> Iterator[None]:
    settings.DATABASE_ROUTERS = [Replica()]
    connections["replica"] = connections["default"]
    yield
    del connections["replica"]


def test_a_replica_may_still_have_deleted_sessions(replica: None) -> None:
    assert not deleted_stay_deleted(db.SessionStore)


def test_the_index_is_read_from_the_database_that_it_writes(replica: None) -> None:
    assert index.rows().db == receipts.rows().db == "default"


@pytest.mark.parametrize("engine", ["django.contrib.sessions.backends.db"], indirect=True)
def test_a_session_that_the_replica_still_has_is_not_signed_in(
    replica: None, site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = site.visit("/sign-in/")
    assert site.is_signed_in(key)
    monkeypatch.setattr(engines, "delete_stored", lambda store, keys: None)

    assert notice(sid=None, subject=SUBJECT) == 1

    assert not site.is_signed_in(key)


def test_the_stored_session_has_the_sites_own_format(site: SiteUnderTest) -> None:
    """A site can remove the app, or read sessions elsewhere."""
    key = site.visit("/sign-in/")
    data = site_store()(key).load()

    assert data[SESSION_KEY]
    assert data[index.INDEX_KEY]["id"] == str(LoginSession.objects.get().pk)


@pytest.mark.parametrize("engine", ["django.contrib.sessions.backends.file"], indirect=True)
def test_session_files_are_in_the_sites_directory(site: SiteUnderTest, tmp_path: Path) -> None:
    key = site.visit("/sign-in/")

    assert [stored.name for stored in tmp_path.iterdir()] == [f"sessionid{key}"]
