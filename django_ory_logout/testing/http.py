"""Requests and answers as values: the same code answers over a socket and without one."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """The parts of a request that matter here. ``headers`` must be a mapping that ignores the case of names."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of_json(
        cls, document: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
    ) -> "Answer":
        return cls(status, {**_JSON, **(headers or {})}, json.dumps(document).encode())

    def with_change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> "Answer":
        """The same answer with a changed JSON document: a valid answer with one fault."""
        return Answer.of_json(change(json.loads(self.body)), self.status, self.headers)
