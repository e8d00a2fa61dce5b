"""The shared cache: its own keys, and errors without their text."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError, ProgrammingError

from django_ory_logout.cache import SharedCache
from django_ory_logout.exceptions import ProviderUnavailable, SetupError, TemporaryError

from .caches import ADDRESS, DownCache, FailingCache
from .conftest import Clock


@pytest.fixture
def backend() -> Iterator[BaseCache]:
    backend = LocMemCache("tests.test_cache", {})
    yield backend
    backend.clear()


def test_a_stored_value_is_read(backend: BaseCache) -> None:
    cache = SharedCache(backend)

    assert cache.get("key") is None
    cache.set("key", {"a": [1]}, 10)
    assert cache.get("key") == {"a": [1]}
    cache.set("key", "another", 10)
    assert cache.get("key") == "another"


def test_keys_do_not_collide_with_those_of_the_site(backend: BaseCache) -> None:
    backend.set("key", "of the site")
    cache = SharedCache(backend)

    assert cache.get("key") is None
    assert cache.add("key", "ours", 10)
    assert backend.get("key") == "of the site"
    assert backend.get("ory_logout:key") == "ours"


def test_add_does_not_replace_a_value(backend: BaseCache) -> None:
    cache = SharedCache(backend)

    assert cache.add("key", "first", 10) is True
    assert cache.add("key", "second", 10) is False
    assert cache.get("key") == "first"


@pytest.mark.parametrize("method", ["set", "add"])
def test_an_entry_expires(backend: BaseCache, clock: Clock, method: str) -> None:
    cache = SharedCache(backend)
    getattr(cache, method)("key", "value", 10)

    clock.advance(9)
    assert cache.get("key") == "value"
    clock.advance(2)
    assert cache.get("key") is None


@pytest.mark.parametrize(
    "call",
    [
        lambda cache: cache.get("key"),
        lambda cache: cache.set("key", "value", 10),
        lambda cache: cache.add("key", "value", 10),
    ],
    ids=["get", "set", "add"],
)
def test_a_cache_that_does_not_answer_is_a_temporary_error(call: Callable[[SharedCache], Any]) -> None:
    with pytest.raises(TemporaryError) as caught:
        call(SharedCache(DownCache()))

    assert str(caught.value) == "cache_fault: ConnectionError"
    assert not isinstance(caught.value, ProviderUnavailable)
    assert ADDRESS not in "".join(traceback.format_exception_only(caught.value))


class AuthenticationError(ConnectionError):
    """As that of Redis, which is a ``ConnectionError`` too."""


TABLE = "Run: python manage.py createcachetable"
SERVER = "compare LOCATION and OPTIONS in CACHES with the server"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationalError("no such table: cache_table"), f"OperationalError. {TABLE}"),
        (ProgrammingError('relation "cache_table" does not exist'), f"ProgrammingError. {TABLE}"),
        (ValueError(ADDRESS), f"ValueError: {SERVER}"),
        (AuthenticationError(ADDRESS), f"AuthenticationError: {SERVER}"),
    ],
)
def test_a_cache_that_is_set_up_wrongly(error: Exception, said: str) -> None:
    with pytest.raises(SetupError) as caught:
        SharedCache(FailingCache(error)).get("key")

    assert str(caught.value) == f"cache_unusable: {said}"


def test_a_database_cache_that_does_not_answer_may_pass() -> None:
    with pytest.raises(TemporaryError, match="cache_fault: OperationalError") as caught:
        SharedCache(FailingCache(OperationalError("database is locked"))).get("key")

    assert not isinstance(caught.value, SetupError)
