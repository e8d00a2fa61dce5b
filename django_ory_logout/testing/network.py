"""The provider without a socket, for unit tests of this app and of sites that use it."""

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
    """A request that was sent."""

    method: str
    url: str
    form: dict[str, str]
    headers: Mapping[str, str] = {}


class Route(NamedTuple):
    """The function that answers requests below ``url``."""

    url: str
    answer: Callable[[Request], Answer]
    #: The start of each path.
    prefix: str = "/"

    def matches(self, url: str) -> bool:
        return bool(self.url) and url.startswith(self.url + self.prefix)


class FakeNetwork(BaseAdapter):
    """Takes the requests of the library ``requests`` to ``routes``. Records them, and can produce network faults."""

    def __init__(self, *routes: Route) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._routes = routes
        self._faults: dict[str, requests.RequestException | Answer | Change] = {}

    def down(self, path: str = "") -> None:
        """Refuse connections at ``path``, or at all paths."""
        self._faults[path] = requests.ConnectionError("refused")

    def slow(self, path: str = "") -> None:
        """Answer too late at ``path``, or at all paths."""
        self._faults[path] = requests.ReadTimeout("timed out")

    def replace(
        self, path: str, body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with this at ``path``."""
        self._faults[path] = Answer(status, headers or {"Content-Type": "application/json"}, body)

    def change(self, path: str, change: Change) -> None:
        """Change the JSON document of the answer at ``path``."""
        self._faults[path] = change

    def mend(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def reaches(self, url: str) -> bool:
        return any(route.matches(url) for route in self._routes)

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        url, method = str(request.url), str(request.method)
        is_json = request.headers.get("Content-Type") == "application/json"
        form = {} if is_json else dict(parse_qsl(_text(request.body), keep_blank_values=True))
        self.calls.append(Call(method, url, form, request.headers))
        route = next(route for route in self._routes if route.matches(url))
        parts = urlsplit(url.removeprefix(route.url))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        received = Request(method, parts.path, request.headers, form, query, _text(request.body).encode())
        return _response(request, self._answer(received, route))

    def close(self) -> None:
        """There is no connection to close."""

    def _answer(self, request: Request, route: Route) -> Answer:
        fault = self._faults.get(request.path, self._faults.get(""))
        if isinstance(fault, requests.RequestException):
            raise fault
        if isinstance(fault, Answer):
            return fault
        answer = route.answer(request)
        return answer.with_change(fault) if fault else answer


class Network(FakeNetwork):
    """Takes the requests of the library ``requests`` to a provider."""

    def __init__(self, provider: Provider, admin_url: str = "") -> None:
        super().__init__(
            Route(admin_url.rstrip("/"), self._admin_answer, "/admin/"),
            Route(provider.issuer.rstrip("/"), partial(endpoints.answer, provider)),
        )
        self.provider = provider
        #: The logout tokens that the admin API sent. They are not delivered to the clients.
        self.deliveries: list[Delivery] = []
        self._admin = Admin(provider, LogoutRequests(provider), self.deliveries.extend)

    def follow(
        self, authorization_request: str, subject: str = "amber", *, login_session: LoginSession | None = None
    ) -> str:
        """Sign ``subject`` in at the provider, or use ``login_session``. Returns the URI that the browser returns to.

        Raises Authlib's ``OAuth2Error`` if the authorization request is wrong.
        """
        parsed = authorization.parse(self.provider, dict(parse_qsl(urlsplit(authorization_request).query)))
        parameters = authorization.respond(self.provider, parsed, login_session or self.provider.sign_in(subject))
        return set_query(parsed.redirect_uri, **parameters)

    def _admin_answer(self, request: Request) -> Answer:
        return admin.answer(self._admin, replace(request, path=request.path.removeprefix("/admin")))


AnyNetwork = TypeVar("AnyNetwork", bound=FakeNetwork)


@contextmanager
def connected(network: AnyNetwork) -> Iterator[AnyNetwork]:
    """Send the requests for the routes of ``network`` to it. Requests for other addresses go out as before."""
    original = requests.Session.get_adapter

    def get_adapter(session: requests.Session, url: str) -> BaseAdapter:
        return network if network.reaches(url) else original(session, url)

    with patch.object(requests.Session, "get_adapter", get_adapter):
        yield network


@contextmanager
def connect(provider: Provider, admin_url: str = "") -> Iterator[Network]:
    """Send the requests for the issuer of ``provider`` to it, in this process and without a socket.

    With ``admin_url``, requests for that URL go to its admin API. Hydra too has its admin API at another port.
    Requests for other addresses go out as before. Several providers can be connected, one inside the other.
    """
    with connected(Network(provider, admin_url)) as network:
        yield network


def _text(body: bytes | str | Any) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    headers = HTTPHeaderDict(answer.headers)
    headers.setdefault("Date", formatdate(usegmt=True))
    # requests.Session reads cookies from here.
    received = Mock(http.client.HTTPResponse, msg=http.client.HTTPMessage())
    for name, value in headers.items():
        received.msg.add_header(name, value)
    raw = HTTPResponse(
        io.BytesIO(answer.body), headers, answer.status, preload_content=False, original_response=received
    )
    return HTTPAdapter().build_response(request, raw)
