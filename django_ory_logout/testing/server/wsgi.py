"""WSGI applications that answer :class:`~..http.Request` values."""

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
    """``answer`` over HTTP. Refuses requests for other host names, which protects against DNS rebinding."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        refused = Answer.of_json({"error": "Forbidden"}, HTTPStatus.FORBIDDEN)
        answer = self._answer(request_of(environ)) if self.accepts(environ) else refused
        status = HTTPStatus(answer.status)
        headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def accepts(self, environ: dict[str, Any]) -> bool:
        return urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname in HOSTS


class MachineApplication(Application):
    """An application without credentials. It refuses requests with ``Origin``, so pages in a browser cannot use it."""

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
