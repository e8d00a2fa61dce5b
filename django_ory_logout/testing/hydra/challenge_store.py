"""Challenges and verifiers: words that stand for what was under way when they were given."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import OAuth2Error

SECONDS = 30 * 60


class ChallengeStore:
    """Values that travel as opaque words. Opening a word changes nothing, as Hydra's hold their value encrypted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: dict[tuple[str, str], tuple[float, Any]] = {}

    def seal(self, purpose: str, value: object) -> str:
        word = str(generate_token(64))
        self._values[purpose, word] = self._clock(), value
        return word

    def open(self, purpose: str, word: str) -> Any:
        """The value. Raises Authlib's ``OAuth2Error``: 404 for an unknown word, 401 for one of half an hour ago."""
        if (purpose, word) not in self._values:
            raise unknown()
        since, value = self._values[purpose, word]
        if self._clock() > since + SECONDS:
            raise expired(purpose)
        return value

    def use(self, purpose: str, word: str) -> Any:
        """The value, once."""
        value = self.open(purpose, word)
        del self._values[purpose, word]
        return value


def unknown() -> OAuth2Error:
    description = "Unable to locate the requested resource"
    return OAuth2Error(description, error="Not Found", status_code=HTTPStatus.NOT_FOUND)


def expired(what: str) -> OAuth2Error:
    description = f"The request could not be authorized. The {what.replace('_', ' ')} has expired, please try again."
    return OAuth2Error(description, error="request_unauthorized", status_code=HTTPStatus.UNAUTHORIZED)
