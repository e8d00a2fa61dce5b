"""Hydra and Kratos without a socket: they give prepared answers and record their requests."""

import io
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from django_ory_logout.ory.hydra import HydraAdmin
from django_ory_logout.ory.kratos import KratosAdmin, KratosPublic

ADMIN_URL = "http://hydra.example:4445"
KRATOS_URL = "https://kratos.example"
KRATOS_ADMIN_URL = "http://kratos.example:4434"


class Model(Protocol):
    """One of the models of Ory's client."""

    def to_dict(self) -> dict[str, Any]: ...


class Asked(NamedTuple):
    """The parts of a request."""

    method: str
    url: str
    query: dict[str, str]
    body: object


def asked(method: str, url: str, body: object) -> Asked:
    parts = urlsplit(url)
    return Asked(method, parts._replace(query="").geturl(), dict(parse_qsl(parts.query, keep_blank_values=True)), body)


class FakeServer(BaseAdapter):
    """Stands between ``requests`` and the network. It gives its prepared answers in order."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self._answers: list[tuple[int, bytes, HTTPHeaderDict]] = []

    def answers(self, document: object, status: int = 200, **headers: str) -> None:
        """Prepare an answer with this document, which is a model of Ory's client or JSON."""
        self.answers_bytes(json.dumps(_plain(document), default=datetime.isoformat).encode(), status, **headers)

    def answers_bytes(self, body: bytes = b"", status: int = 204, cookies: Sequence[str] = (), **headers: str) -> None:
        """Prepare this answer. ``cookies`` are ``Set-Cookie`` headers."""
        all_headers = HTTPHeaderDict(headers)
        for cookie in cookies:
            all_headers.add("Set-Cookie", cookie)
        self._answers.append((status, body, all_headers))

    @property
    def asked(self) -> Asked:
        """The only request that came."""
        (request,) = self.requests
        return asked(str(request.method), str(request.url), _body(request))

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        self.requests.append(request)
        status, body, headers = self._answers.pop(0)
        raw = HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        """There is nothing to close."""


def without_query(server: FakeServer) -> str:
    """The URL of the first request."""
    return str(server.requests[0].url).partition("?")[0]


def _plain(document: Any) -> Any:
    if isinstance(document, list):
        return [_plain(item) for item in document]
    return document.to_dict() if hasattr(document, "to_dict") else document


def _body(request: requests.PreparedRequest) -> object:
    text = request.body.decode() if isinstance(request.body, bytes) else request.body
    if not text:
        return None
    return json.loads(text) if request.headers["Content-Type"] == "application/json" else dict(parse_qsl(str(text)))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    with patch.object(requests.Session, "get_adapter", lambda _session, url: fake):
        yield fake


@pytest.fixture
def hydra(server: FakeServer) -> FakeServer:
    return server


@pytest.fixture
def admin(hydra: FakeServer) -> HydraAdmin:
    return HydraAdmin(ADMIN_URL)


@pytest.fixture
def kratos(server: FakeServer) -> FakeServer:
    return server


@pytest.fixture
def public(kratos: FakeServer) -> KratosPublic:
    return KratosPublic(KRATOS_URL)


@pytest.fixture
def kratos_admin(kratos: FakeServer) -> KratosAdmin:
    return KratosAdmin(KRATOS_ADMIN_URL)
