"""Caches for the tests' site."""

from typing import Any, NoReturn

from django.core.cache.backends.base import BaseCache

ADDRESS = "redis://:the-password-of-the-cache@cache.example:6379"


class DownCache(BaseCache):
    """Every call fails. The exception contains the address, like exceptions of real clients."""

    def __init__(self, _location: str = "", params: dict[str, Any] | None = None) -> None:
        super().__init__(params or {})

    def get(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise ConnectionError(ADDRESS)

    set = add = get


class FailingCache(BaseCache):
    """Raises ``error``."""

    def __init__(self, error: Exception) -> None:
        super().__init__({})
        self.error = error

    def get(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise self.error
