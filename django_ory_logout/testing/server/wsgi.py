"""What answers requests, as WSGI application."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from django.http.request import HttpHeaders

from ..http import Answer, Request

HOSTS = ("127.0.0.1", "localhost")


class StartResponse(Protocol):
    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> object: ...


class Application:
    """``answer`` over HTTP. Requests for another host name, as rebinding of names makes them, are refused."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        refused = Answer.of_json({"error": "Forbidden"}, HTTPStatus.FORBIDDEN)
        given = self._answer(request_of(environ)) if self.accepts(environ) else refused
        status = HTTPStatus(given.status)
        headers = [*given.headers.items(), ("Content-Length", str(len(given.body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [given.body]

    def accepts(self, environ: dict[str, Any]) -> bool:
        return urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname in HOSTS


class MachineApplication(Application):
    """For what asks for no credentials, which a page in a browser must not reach: no ``Origin`` is let in."""

    def accepts(self, environ: dict[str, Any]) -> bool:
        return super().accepts(environ) and "HTTP_ORIGIN" not in environ


def request_of(environ: dict[str, Any]) -> Request:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    of_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        headers=HttpHeaders(environ),
        form=dict(parse_qsl(body.decode())) if of_form else {},
        query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
        body=body,
    )
