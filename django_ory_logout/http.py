"""All HTTP calls of this package. Each has a time limit and a size limit, and follows no redirects."""

import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import requests
from django.views.decorators.debug import sensitive_variables
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, LocationValueError

from . import strict_json
from .exceptions import ProviderUnavailable, SetupError, TemporaryError

#: How long a call waits for a connection, and for the next bytes.
CONNECT_SECONDS = 3.05
READ_SECONDS = 5.0
#: How long a whole call may take, from the DNS lookup to the last byte.
TOTAL_SECONDS = 10.0
#: The error codes if the other side does not answer at all. A fault or a refusal is an answer.
NO_ANSWER = frozenset({"unreachable", "too_slow"})
MAX_BYTES = 1024 * 1024
CHUNK_BYTES = 16 * 1024

_TEMPORARY_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_LASTING_FAULTS = frozenset(
    {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED}
)
#: The error code for each reason of :mod:`.strict_json`.
_CODES: dict[str, str] = {
    "encoding": "answer_encoding_invalid",
    "depth": "answer_too_deep",
    "member": "answer_member_repeated",
    "number": "answer_number_invalid",
    "syntax": "not_json",
}


@dataclass(frozen=True)
class Response:
    """A complete response. ``body`` is in bytes, after the transfer and content encodings are removed.

    ``url`` has no query. ``set_cookies`` are the values of the ``Set-Cookie`` headers. ``headers`` joins them into one
    text, which cannot be split again.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    set_cookies: tuple[str, ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        return self.status == HTTPStatus.OK

    @property
    def is_temporary(self) -> bool:
        """Whether the status is a fault after which trying again may help."""
        is_fault = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in _LASTING_FAULTS
        return is_fault or self.status in _TEMPORARY_STATUSES

    @sensitive_variables()
    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises :exc:`SetupError`, with a code for each reason."""
        value = self._parsed()
        if not isinstance(value, dict):
            raise SetupError("not_json", self._detail("is not a JSON object"))
        return value

    @sensitive_variables()
    def objects(self) -> list[dict[str, Any]]:
        """The body as a JSON array of objects. Raises like :meth:`json`."""
        values = self._parsed()
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise SetupError("not_json", self._detail("is not a JSON array of objects"))
        return values

    def _parsed(self) -> object:
        try:
            return strict_json.parse(self.body)
        except strict_json.NotJSON as error:
            raise SetupError(_CODES[error.reason], self._detail(str(error))) from error

    def _detail(self, fault: str) -> str:
        """``fault``, with the status and type of the response: an HTML page, for example, shows a wrong URL."""
        content_type = self.headers.get("Content-Type", "")[:100]
        return f"the answer {fault}; {self.url or 'it'} answers {self.status}, Content-Type: {content_type!r}"


@sensitive_variables()
def get(url: str, headers: Mapping[str, str] | None = None) -> Response:
    """Fetch ``url``. Raises :exc:`ProviderUnavailable` if no complete response comes in time.

    Raises :exc:`SetupError` if the URL is unusable, the certificate is not trusted, the two sides
    cannot agree on TLS, or the response is too large.
    """
    return send("GET", url, headers=headers)


@sensitive_variables()
def post(url: str, body: str, headers: Mapping[str, str]) -> Response:
    """Post a form-encoded ``body`` to ``url``. Raises like :func:`get`."""
    return send("POST", url, headers=headers, body=body)


@sensitive_variables()
def send(
    method: str, url: str, document: object = None, headers: Mapping[str, str] | None = None, body: str | None = None
) -> Response:
    """Send a request to ``url``: with ``body``, or with ``document`` as JSON, or with neither.

    Raises like :func:`get`.
    """
    adapter = _DeadlineAdapter()
    try:
        with requests.Session() as session:
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            with session.request(
                method,
                url,
                data=body,
                json=document,
                headers={"Accept": "application/json", **(headers or {})},
                auth=lambda request: request,  # without it, requests replaces our header by credentials of ~/.netrc
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                set_cookies = tuple(response.raw.headers.getlist("Set-Cookie"))
                result = Response(
                    response.status_code, response.headers, _read(response), set_cookies, url.partition("?")[0]
                )
    except (OSError, HTTPError) as error:  # OSError: all errors of requests, and a missing certificate file
        # The exception's own text can hold the URL with its query, so only its type is shown.
        detail = f"{method} {url.partition('?')[0]}: {type(error).__name__}"
        raise _failure(error, detail, is_over=adapter.is_over) from error
    if adapter.is_over:  # a body without Content-Length ends without an exception
        raise ProviderUnavailable("too_slow", f"the answer took longer than {TOTAL_SECONDS} s")
    return result


class _DeadlineAdapter(HTTPAdapter):
    """Ends a call after ``TOTAL_SECONDS``, in every phase: DNS, connection, proxy, TLS, headers and body.

    The timeouts of ``requests`` limit only a single wait. A response of one byte a second never reaches them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self._deadline = time.monotonic() + TOTAL_SECONDS
        self._done = threading.Event()

    def close(self) -> None:
        self._done.set()
        super().close()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(self._connection, pool.ConnectionCls)
        return pool

    def _connection(self, kind: type[HTTPConnection], **options: Any) -> HTTPConnection:
        connection = kind(**options)
        connection._new_conn = partial(self._open, connection._new_conn)  # type: ignore[method-assign]
        return connection

    def _open(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """The socket of ``connect``. A thread connects and closes it at the deadline: no timeout limits DNS."""
        opened: queue.SimpleQueue[socket.socket | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._watch, args=(connect, opened), daemon=True).start()
        try:
            result = opened.get(timeout=self._seconds_left())
        except queue.Empty as error:
            self.is_over = True
            raise TimeoutError from error
        if isinstance(result, Exception):
            raise result
        return result

    def _watch(
        self, connect: Callable[[], socket.socket], opened: "queue.SimpleQueue[socket.socket | Exception]"
    ) -> None:
        try:
            connected = connect()
            duplicate = connected.dup()  # TLS replaces the original. Shutting a duplicate down ends the connection.
        except Exception as error:
            opened.put(error)
            return
        with duplicate:
            if self.is_over:
                connected.close()
            else:
                opened.put(connected)
            if not self._done.wait(self._seconds_left()):
                self.is_over = True
                with suppress(OSError):  # the other side has closed it
                    duplicate.shutdown(socket.SHUT_RDWR)

    def _seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


def addresses(host: str) -> list[str]:
    """The IP addresses of ``host``, as this machine resolves it; an empty list if it cannot."""
    try:
        return sorted({str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return []


def is_connection_refused(error: BaseException) -> bool:
    """Whether ``error`` of a call comes from a refused connection, not counting a connection to a proxy."""
    return isinstance(_cause(error, ConnectionRefusedError, requests.exceptions.ProxyError), ConnectionRefusedError)


def _cause(error: BaseException, *kinds: type[Exception]) -> BaseException | None:
    """The first error of ``kinds`` in the chain of causes, which begins with ``error`` itself."""
    found: BaseException | None = error
    while found and not isinstance(found, kinds):
        found = found.__cause__ or found.__context__
    return found


def _failure(error: Exception, detail: str, *, is_over: bool) -> TemporaryError:
    # A missing file of trusted certificates is an OSError. For network errors, requests has its own classes.
    if type(error) is OSError or _cause(error, ssl.SSLCertVerificationError):
        return SetupError("certificate_untrusted", detail)
    if isinstance(error, LocationValueError | InvalidURL | InvalidSchema | MissingSchema):
        return SetupError("address_unusable", detail)
    if reason := _tls_mismatch(error):
        return SetupError("tls_unusable", f"{detail}: {reason}")
    return ProviderUnavailable("too_slow" if is_over else "unreachable", detail)


def _tls_mismatch(error: Exception) -> str:
    """Why the two sides can never agree on TLS, in OpenSSL's words: no TLS there, no common version or cipher."""
    cause = _cause(error, ssl.SSLError)
    reason = getattr(cause, "reason", None) or ""
    return reason if re.search("VERSION|PROTOCOL|HANDSHAKE_FAILURE|CIPHER|HTTP|RECORD_LAYER", reason) else ""


def _read(response: requests.Response) -> bytes:
    body = b""
    # Not iter_content(): it waits until a whole chunk has arrived, even from a very slow server.
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_BYTES:
            raise SetupError("too_large", f"the answer is larger than {MAX_BYTES} bytes")
    return body
