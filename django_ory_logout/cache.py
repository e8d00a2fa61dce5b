"""Django's cache, which all processes share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache.backends.base import BaseCache

from .exceptions import SetupError, TemporaryError

PREFIX = "ory_logout:"


class SharedCache:
    """``cache`` with our key prefix. Each call raises :exc:`TemporaryError` (``cache_fault``) if the cache fails.

    :exc:`SetupError` (``cache_unusable``) when it never can.
    """

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache

    def get(self, key: str) -> Any:
        with _faults():
            return self._cache.get(PREFIX + key)

    def set(self, key: str, value: object, seconds: float) -> None:
        with _faults():
            self._cache.set(PREFIX + key, value, seconds)

    def delete(self, key: str) -> None:
        with _faults():
            self._cache.delete(PREFIX + key)

    def add(self, key: str, value: object, seconds: float) -> bool:
        """Add ``key`` if it is not there. Return whether it was added."""
        with _faults():
            return bool(self._cache.add(PREFIX + key, value, seconds))


@contextmanager
def _faults() -> Iterator[None]:
    # Each backend has its own exceptions. Their text can hold a URL with a password.
    try:
        yield
    except Exception as error:
        raise _fault(error) from error


def _fault(error: Exception) -> TemporaryError:
    name = type(error).__name__
    if name == "ProgrammingError" or "no such table" in str(error):  # the latter: SQLite
        return SetupError("cache_unusable", f"{name}. Run: python manage.py createcachetable")
    # A client library says that its LOCATION cannot be read, or that the server refuses the password.
    if isinstance(error, ValueError) or "Authentication" in name:
        return SetupError("cache_unusable", f"{name}: compare LOCATION and OPTIONS in CACHES with the server")
    return TemporaryError("cache_fault", name)
