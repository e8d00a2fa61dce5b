"""Challenges and verifiers: random strings that each stand for the state of a flow."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import OAuth2Error

SECONDS = 30 * 60


class ChallengeStore:
    """Values by challenge. Reading a challenge changes nothing: Hydra's challenges contain their value, encrypted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: dict[tuple[str, str], tuple[float, Any]] = {}

    def add(self, purpose: str, value: object) -> str:
        challenge = str(generate_token(64))
        self._values[purpose, challenge] = self._clock(), value
        return challenge

    def get(self, purpose: str, challenge: str) -> Any:
        """The value. Raises Authlib's ``OAuth2Error``: 404 for an unknown challenge, 401 after half an hour."""
        if (purpose, challenge) not in self._values:
            raise unknown()
        since, value = self._values[purpose, challenge]
        if self._clock() > since + SECONDS:
            raise expired(purpose)
        return value

    def pop(self, purpose: str, challenge: str) -> Any:
        """The value. The challenge is unknown afterwards."""
        value = self.get(purpose, challenge)
        del self._values[purpose, challenge]
        return value


def unknown() -> OAuth2Error:
    description = "Unable to locate the requested resource"
    return OAuth2Error(description, error="Not Found", status_code=HTTPStatus.NOT_FOUND)


def expired(what: str) -> OAuth2Error:
    description = f"The request could not be authorized. The {what.replace('_', ' ')} has expired, please try again."
    return OAuth2Error(description, error="request_unauthorized", status_code=HTTPStatus.UNAUTHORIZED)
