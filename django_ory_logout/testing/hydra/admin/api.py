"""Common parts of all calls of the admin API."""

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
    """The objects that the calls use."""

    provider: Provider
    logout_requests: LogoutRequests
    #: Delivers logout tokens.
    deliver: Callable[[list[Delivery]], object]


Call = Callable[[Admin, Request], Answer]


def parameter(request: Request, name: str) -> str:
    """A required parameter of the query."""
    if not request.query.get(name):
        raise InvalidRequestError(f"Query parameter {name} is not defined but should have been.")
    return request.query[name]


def document(request: Request) -> Any:
    """The JSON document of the request."""
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise InvalidRequestError("Unable to decode body.") from error
