"""The provider without a socket: for unit tests, here and in sites that use this app."""

import http.client
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import Any, NamedTuple, TypeVar
from unittest.mock import Mock, patch
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from .http import Answer, Request
from .hydra import admin, authorization, endpoints
from .hydra.admin import Admin
from .hydra.end_session import LogoutRequests
from .hydra.provider import Provider
from .hydra.records import Delivery, LoginSession
from .uris import set_query

Change = Callable[[dict[str, Any]], dict[str, Any]]


class Call(NamedTuple):
    """One request that reached the other side."""

    method: str
    url: str
    form: dict[str, str]
    headers: Mapping[str, str] = {}


class Place(NamedTuple):
    """Who answers below ``url``."""

    url: str
    answer: Callable[[Request], Answer]
    #: With what the path has to begin.
    prefix: str = "/"

    def has(self, url: str) -> bool:
        return bool(self.url) and url.startswith(self.url + self.prefix)


class Wire(BaseAdapter):
    """Stands between ``requests`` and who is at ``places``: records what is asked, and can do what networks do."""

    def __init__(self, *places: Place) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._places = places
        self._faults: dict[str, requests.RequestException | Answer | Change] = {}

    def down(self, path: str = "") -> None:
        """Nobody answers, at ``path`` or at all."""
        self._faults[path] = requests.ConnectionError("refused")

    def slow(self, path: str = "") -> None:
        """The answer does not come in time."""
        self._faults[path] = requests.ReadTimeout("timed out")

    def replace(
        self, path: str, body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer this at ``path``."""
        self._faults[path] = Answer(status, headers or {"Content-Type": "application/json"}, body)

    def change(self, path: str, change: Change) -> None:
        """Answer at ``path`` with the own JSON document after ``change``."""
        self._faults[path] = change

    def mend(self) -> None:
        """Take every fault back."""
        self._faults.clear()

    def reaches(self, url: str) -> bool:
        return any(place.has(url) for place in self._places)

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        url, method = str(request.url), str(request.method)
        of_json = request.headers.get("Content-Type") == "application/json"
        form = {} if of_json else dict(parse_qsl(_text(request.body), keep_blank_values=True))
        self.calls.append(Call(method, url, form, request.headers))
        place = next(place for place in self._places if place.has(url))
        parts = urlsplit(url.removeprefix(place.url))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Request(method, parts.path, request.headers, form, query, _text(request.body).encode())
        return _response(request, self._answer(asked, place))

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, request: Request, place: Place) -> Answer:
        fault = self._faults.get(request.path, self._faults.get(""))
        if isinstance(fault, requests.RequestException):
            raise fault
        if isinstance(fault, Answer):
            return fault
        answer = place.answer(request)
        return answer.with_change(fault) if fault else answer


class Network(Wire):
    """Stands between ``requests`` and a provider."""

    def __init__(self, provider: Provider, admin_url: str = "") -> None:
        super().__init__(
            Place(admin_url.rstrip("/"), self._admin_answer, "/admin/"),
            Place(provider.issuer.rstrip("/"), partial(endpoints.answer, provider)),
        )
        self.provider = provider
        #: The logout tokens that the admin API sent: nobody takes them to their clients.
        self.deliveries: list[Delivery] = []
        self._admin = Admin(provider, LogoutRequests(provider), self.deliveries.extend)

    def follow(
        self, authorization_request: str, subject: str = "amber", *, login_session: LoginSession | None = None
    ) -> str:
        """Be ``subject`` at the provider, newly or in ``login_session``: the URI to which the browser returns.

        Raises Authlib's ``OAuth2Error`` where the authorization request is wrong.
        """
        asked = authorization.parse(self.provider, dict(parse_qsl(urlsplit(authorization_request).query)))
        parameters = authorization.respond(self.provider, asked, login_session or self.provider.sign_in(subject))
        return set_query(asked.redirect_uri, **parameters)

    def _admin_answer(self, request: Request) -> Answer:
        return admin.answer(self._admin, replace(request, path=request.path.removeprefix("/admin")))


Reached = TypeVar("Reached", bound=Wire)


@contextmanager
def connected(wire: Reached) -> Iterator[Reached]:
    """Let ``requests`` go through ``wire`` to what it reaches, and to other addresses as before."""
    elsewhere = requests.Session.get_adapter

    def get_adapter(session: requests.Session, url: str) -> BaseAdapter:
        return wire if wire.reaches(url) else elsewhere(session, url)

    with patch.object(requests.Session, "get_adapter", get_adapter):
        yield wire


@contextmanager
def connect(provider: Provider, admin_url: str = "") -> Iterator[Network]:
    """Let ``requests`` reach ``provider`` at its issuer, in this process and without a socket.

    With ``admin_url`` its admin API is reached there, as Hydra's is at another port.
    Other addresses are reached as before; several providers can be connected, one inside the other.
    """
    with connected(Network(provider, admin_url)) as network:
        yield network


def _text(body: bytes | str | Any) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    headers = HTTPHeaderDict(answer.headers)
    headers.setdefault("Date", formatdate(usegmt=True))
    # Where sessions look for cookies.
    received = Mock(http.client.HTTPResponse, msg=http.client.HTTPMessage())
    for name, value in headers.items():
        received.msg.add_header(name, value)
    raw = HTTPResponse(
        io.BytesIO(answer.body), headers, answer.status, preload_content=False, original_response=received
    )
    return HTTPAdapter().build_response(request, raw)
