"""The admin API on an address of its own, as WSGI application: for machines, and for no browser."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from ..admin import Admin, answer
from ..endpoints import Answer, Request

PREFIX = "/admin"
HOSTS = ("127.0.0.1", "localhost")


class StartResponse(Protocol):
    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> object: ...


class AdminApplication:
    """Answers calls below ``/admin`` and ``/health``.

    It asks for no credentials, so a page in a browser must not reach it: requests with an ``Origin`` and those for
    another host name, as rebinding of names makes them, are refused.
    """

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        given = self._answer(environ)
        status = HTTPStatus(given.status)
        headers = {**given.headers, "Content-Length": str(len(given.body))}
        start_response(f"{status.value} {status.phrase}", list(headers.items()))
        return [given.body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        host = urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname
        if host not in HOSTS or "HTTP_ORIGIN" in environ:
            return Answer.of_json({"error": "Forbidden"}, HTTPStatus.FORBIDDEN)
        if environ["PATH_INFO"].startswith("/health/"):
            return Answer.of_json({"status": "ok"})
        return answer(self.admin, _request(environ))


def _request(environ: dict[str, Any]) -> Request:
    """A call; what is not below ``/admin`` is at no path."""
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    of_form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path.removeprefix(PREFIX) if path.startswith(f"{PREFIX}/") else "",
        form=dict(parse_qsl(body.decode())) if of_form else {},
        query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
        body=body,
    )
