"""What every call of the admin API has in common."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError

from ...http import Answer, Request
from ..end_session import LogoutRequests
from ..provider import Provider
from ..records import Delivery

NOTHING = Answer(HTTPStatus.NO_CONTENT)


@dataclass(frozen=True)
class Admin:
    """What the calls work on."""

    provider: Provider
    logout_requests: LogoutRequests
    #: Takes the logout tokens on their way.
    deliver: Callable[[list[Delivery]], object]


Call = Callable[[Admin, Request], Answer]


def parameter(request: Request, name: str) -> str:
    """A parameter of the query that must be there."""
    if not request.query.get(name):
        raise InvalidRequestError(f"Query parameter {name} is not defined but should have been.")
    return request.query[name]


def document(request: Request) -> Any:
    """The JSON that was sent."""
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise InvalidRequestError("Unable to decode body.") from error
