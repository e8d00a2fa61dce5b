"""The one door to the network: every call has a time limit, a size limit and no redirects."""

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
from json import dumps
from typing import Any

import requests
from django.views.decorators.debug import sensitive_variables
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, LocationValueError

from . import strict_json
from .exceptions import ProviderUnavailable, SetupError, TemporaryError

#: What one wait may take: for a connection, and for the next bytes.
CONNECT_SECONDS = 3.05
READ_SECONDS = 5.0
#: What a whole call may take, from the look-up of the name to the last byte.
TOTAL_SECONDS = 10.0
MAX_BYTES = 1024 * 1024
CHUNK_BYTES = 16 * 1024

_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_STAYS = frozenset(
    {
        HTTPStatus.NOT_IMPLEMENTED,
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED,
    }
)
#: Of what :mod:`.strict_json` refuses.
_CODES: dict[str, str] = {
    "encoding": "answer_encoding_invalid",
    "depth": "answer_too_deep",
    "member": "answer_member_repeated",
    "number": "answer_number_invalid",
    "syntax": "not_json",
}


@dataclass(frozen=True)
class Response:
    """An answer, read whole. ``body`` in bytes, decoded from its transfer and content encodings.

    ``url`` has no query. ``set_cookies`` are the values of the ``Set-Cookie`` headers, which ``headers`` folds into one
    that none can part.
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
    def may_pass(self) -> bool:
        """Whether the status is of a fault that may be over when the same is asked again."""
        if self.status in _STAYS:
            return False
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in _MAY_PASS

    @sensitive_variables()
    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises :exc:`SetupError`, with a code for each reason."""
        value = self._parsed()
        if not isinstance(value, dict):
            raise SetupError("not_json", self._said("is not a JSON object"))
        return value

    @sensitive_variables()
    def objects(self) -> list[dict[str, Any]]:
        """The body as a JSON array of objects. Raises like :meth:`json`."""
        values = self._parsed()
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise SetupError("not_json", self._said("is not a JSON array of objects"))
        return values

    def _parsed(self) -> object:
        try:
            return strict_json.parse(self.body)
        except strict_json.NotJSON as error:
            raise SetupError(_CODES[error.reason], self._said(str(error))) from error

    def _said(self, fault: str) -> str:
        """``fault`` of this answer, and what tells a wrong address: a page, where JSON was to come."""
        content_type = self.headers.get("Content-Type", "")[:100]
        return f"the answer {fault}; {self.url or 'it'} answers {self.status}, Content-Type: {content_type!r}"


@sensitive_variables()
def get(url: str, headers: Mapping[str, str] | None = None) -> Response:
    """Fetch ``url``. Raises :exc:`ProviderUnavailable` when no complete answer comes in time.

    :exc:`SetupError` when none can come: the address or the certificate is wrong, the two sides
    cannot agree on TLS, or the answer is too large.
    """
    return _send("GET", url, headers=headers)


@sensitive_variables()
def post(url: str, body: str, headers: Mapping[str, str]) -> Response:
    """Post a form-encoded ``body`` to ``url``. Raises like :func:`get`."""
    return _send("POST", url, headers=headers, body=body)


@sensitive_variables()
def send(method: str, url: str, document: object = None, headers: Mapping[str, str] | None = None) -> Response:
    """Ask ``url`` by ``method``, with ``document`` as JSON unless it is ``None``. Raises like :func:`get`."""
    if document is None:
        return _send(method, url, headers=headers)
    return _send(method, url, headers={"Content-Type": "application/json", **(headers or {})}, body=dumps(document))


@sensitive_variables()
def _send(method: str, url: str, *, headers: Mapping[str, str] | None, body: str | None = None) -> Response:
    in_time = _InTime()
    try:
        with requests.Session() as session:
            session.mount("https://", in_time)
            session.mount("http://", in_time)
            with session.request(
                method,
                url,
                data=body,
                headers={"Accept": "application/json", **(headers or {})},
                auth=_as_it_is,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                set_cookies = tuple(response.raw.headers.getlist("Set-Cookie"))
                answer = Response(
                    response.status_code, response.headers, _read(response), set_cookies, url.partition("?")[0]
                )
    except (OSError, HTTPError) as error:  # the first: all of requests' own, and a certificate file that is not there
        # The exception's own text can hold the URL with its query; its type says enough.
        detail = f"{method} {url.partition('?')[0]}: {type(error).__name__}"
        raise _failure(error, detail, is_over=in_time.is_over) from error
    if in_time.is_over:  # a body without a length ends like this too
        raise ProviderUnavailable("too_slow", f"the answer took longer than {TOTAL_SECONDS} s")
    return answer


class _InTime(HTTPAdapter):
    """Ends a call after ``TOTAL_SECONDS``, whatever it waits for: name, connection, proxy, TLS, headers or body.

    The timeouts of ``requests`` limit one wait only. An answer of one byte a second never reaches them.
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
        connection._new_conn = partial(self._opened, connection._new_conn)  # type: ignore[method-assign]
        return connection

    def _opened(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """A socket of ``connect``, which a thread shuts at the deadline. No timeout limits the look-up of a name."""
        opened: queue.SimpleQueue[socket.socket | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._watch, args=(connect, opened), daemon=True).start()
        try:
            found = opened.get(timeout=self._left())
        except queue.Empty as error:
            self.is_over = True
            raise TimeoutError from error
        if isinstance(found, Exception):
            raise found
        return found

    def _watch(
        self, connect: Callable[[], socket.socket], opened: "queue.SimpleQueue[socket.socket | Exception]"
    ) -> None:
        try:
            connected = connect()
            same = connected.dup()  # TLS takes the first one over. To shut a duplicate shuts the connection.
        except Exception as error:
            opened.put(error)
            return
        with same:
            if self.is_over:
                connected.close()
            else:
                opened.put(connected)
            if not self._done.wait(self._left()):
                self.is_over = True
                with suppress(OSError):  # the other side has closed it
                    same.shutdown(socket.SHUT_RDWR)

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


def addresses(host: str) -> list[str]:
    """The IP addresses that this machine knows for ``host``; none where it knows none."""
    try:
        return sorted({str(one[4][0]).partition("%")[0] for one in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return []


def nobody_listens(error: BaseException | None) -> bool:
    """Whether the connection was refused, by whatever ``error`` a call ended. Of a proxy it says nothing."""
    while error and not isinstance(error, ConnectionRefusedError | requests.exceptions.ProxyError):
        error = error.__cause__ or error.__context__
    return isinstance(error, ConnectionRefusedError)


def _failure(error: Exception, detail: str, *, is_over: bool) -> TemporaryError:
    if _is_untrusted(error):
        return SetupError("certificate_untrusted", detail)
    if isinstance(error, LocationValueError | InvalidURL | InvalidSchema | MissingSchema):
        return SetupError("address_unusable", detail)
    if reason := _tls_mismatch(error):
        return SetupError("tls_unusable", f"{detail}: {reason}")
    return ProviderUnavailable("too_slow" if is_over else "unreachable", detail)


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether a certificate was refused, or the file of those to trust is not there."""
    if type(error) is OSError:  # requests has classes of its own for all that happens on the network
        return True
    while error and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _tls_mismatch(error: BaseException | None) -> str:
    """Why the two sides can never agree on TLS, in OpenSSL's words: no TLS there, no common version or cipher."""
    while error and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return reason if re.search("VERSION|PROTOCOL|HANDSHAKE_FAILURE|CIPHER|HTTP|RECORD_LAYER", reason) else ""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication that does nothing, so that ``requests`` does not put one from ``~/.netrc`` in place of ours."""
    return request


def _read(response: requests.Response) -> bytes:
    body = b""
    # What has come so far, and not iter_content(): that waits for a whole chunk, however slowly it drips.
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_BYTES:
            raise SetupError("too_large", f"the answer is larger than {MAX_BYTES} bytes")
    return body
