"""A provider with one client, a clock that the tests move, and a browser of its pages."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
from django.test import Client as DjangoClient
from django.test import override_settings
from django.test.html import Element, parse_html
from joserfc.jwk import Key

from django_ory_logout.testing import Client, LoginSession, Provider
from django_ory_logout.testing.hydra.backchannel import BackChannel
from django_ory_logout.testing.server import serve
from django_ory_logout.testing.server.site import ProviderSite

CALLBACK = "http://rp.example/auth/callback/"
LOGGED_OUT = "http://rp.example/auth/logout/callback/"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock, signing_key: Key) -> Provider:
    provider = Provider("http://127.0.0.1:4444", clock, keys=[signing_key])
    provider.register(Client.of_site("http://rp.example/auth/", "site", "s+ %é", client_name="the site"))
    return provider


@pytest.fixture
def amber(provider: Provider) -> LoginSession:
    """A remembered login session with the client's consent."""
    return provider.sign_in("amber", "site")


class Received(NamedTuple):
    method: str
    path: str
    form: dict[str, str]


class Receiver:
    """A relying party's back-channel endpoint on a socket. It answers with ``answers``, then with 200."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.received.append(Received(self.command, self.path, dict(parse_qsl(body.decode()))))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that a back-channel slept."""
    return []


@pytest.fixture
def face(provider: Provider, pauses: list[float]) -> Iterator[ProviderSite]:
    """The provider's pages, with the configuration of the provider's own process."""
    face = ProviderSite(provider, BackChannel(sleep=pauses.append))
    with override_settings(**serve.configuration(face)):
        yield face


class Browser(DjangoClient):
    """A browser for which the provider checks CSRF tokens."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True, headers={"host": "127.0.0.1:4444"})

    def open(self, path: str, query: dict[str, str] | None = None) -> Any:
        """Follow a URL at the provider, and return the last answer: a page, or a redirect to another site."""
        return self._arrive(self.get(path, query))

    def press(self, page: Any, **fields: str) -> Any:
        """Submit the first form of ``page`` with these ``fields``, and return the last answer."""
        form = next(elements(page, "form"))
        inputs = [dict(element.attributes) for element in descendants(form, "input")]
        sent = {
            field["name"]: field.get("value", "on")
            for field in inputs
            if field["type"] == "hidden" or "checked" in field
        }
        action = dict(form.attributes).get("action") or page.request["PATH_INFO"] + "?" + page.request["QUERY_STRING"]
        return self._arrive(self.post(action, {**sent, **fields}))

    def _arrive(self, response: Any) -> Any:
        while response.status_code == 302 and response["Location"].startswith("http://127.0.0.1:4444/"):
            response = self.get(response["Location"])
        return response

    def switch(self, name: str, **order: Any) -> Any:
        """Call a switch under ``/testing/``."""
        return self.post(f"/testing/{name}", order, content_type="application/json").json()


@pytest.fixture
def new_browser(face: ProviderSite) -> Callable[[], Browser]:
    return Browser


@pytest.fixture
def browser(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser()


def elements(page: Any, name: str) -> Iterator[Element]:
    return descendants(parse_html(page.content.decode()), name)


def descendants(element: Element, name: str) -> Iterator[Element]:
    for child in element.children:
        if isinstance(child, Element):
            if child.name == name:
                yield child
            yield from descendants(child, name)
