"""The HTTP client of the app, with its own server on a socket."""

import base64
import datetime
import gc
import gzip
import ipaddress
import json
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ory_logout import http
from django_ory_logout.exceptions import ProviderUnavailable, SetupError

from .oidc.samples import anything, refused

Answering = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Gives prepared answers, and records the requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answering: Answering = answer(b"{}")
        self.received: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the only request."""
        assert len(self.received) == 1
        return self.received[0][2]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append((self.command, self.path, dict(self.headers), body))
        self.close_connection = True
        # The client may stop reading before the answer ends.
        try:
            self.server.answering(self)
        except OSError:
            self.server.received.append(("gave up", self.path, {}, b""))

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *args: Any) -> None:
        """Write nothing to stderr."""


def answer(body: bytes, status: int = 200, **headers: str) -> Answering:
    def answering(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answering


def drip(slow: bytes, at_once: bytes = b"HTTP/1.1 200 OK\r\n") -> Answering:
    """Send ``slow`` one byte at a time, each byte before the read timeout, and repeat it."""

    def answering(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(at_once)
        for byte in slow * 100:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.02)

    return answering


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_get_returns_the_answer(server: Server) -> None:
    server.answering = answer(b'{"a": 1}', X_Name="value")

    response = http.get(f"{server.url}/path?query=1", {"Authorization": "Bearer token"})

    assert (response.status, response.ok, response.body) == (200, True, b'{"a": 1}')
    assert response.headers["X-Name"] == "value"
    assert server.received[0][:2] == ("GET", "/path?query=1")
    assert server.headers["Authorization"] == "Bearer token"
    assert server.headers["Accept"] == "application/json"


def test_post_sends_a_form(server: Server) -> None:
    server.answering = answer(b"no", status=400)

    response = http.post(server.url, "a=1&b=%20", {"Content-Type": "application/x-www-form-urlencoded"})

    assert (response.status, response.ok, response.body) == (400, False, b"no")
    method, _, headers, body = server.received[0]
    assert (method, headers["Content-Type"], body) == ("POST", "application/x-www-form-urlencoded", b"a=1&b=%20")


def test_cookies_are_returned_separately(server: Server) -> None:
    """A date contains a comma, and headers with the same name are joined with commas."""
    cookies = ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0", "b=2; Path=/")

    def answering(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(204)
        for cookie in cookies:
            handler.send_header("Set-Cookie", cookie)
        handler.end_headers()

    server.answering = answering

    assert http.send("DELETE", server.url).set_cookies == cookies


def test_no_cookies_are_stored(server: Server) -> None:
    assert http.get(server.url).set_cookies == ()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, server: Server) -> None:
    server.answering = answer(b"", status=status, Location=f"{server.url}/elsewhere")

    assert http.get(server.url).status == status
    assert http.post(server.url, "code=1", {}).status == status
    assert [path for _, path, *_ in server.received] == ["/", "/"]


# Limits


def test_each_call_has_time_limits(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    send = requests.adapters.HTTPAdapter.send

    def recording(adapter: Any, request: Any, **options: Any) -> requests.Response:
        given.append(options["timeout"])
        return send(adapter, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", recording)
    http.get(server.url)
    http.post(server.url, "", {})

    assert given == [(3.05, 5.0), (3.05, 5.0)]


def test_a_server_that_sends_nothing_times_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.1)
    server.answering = lambda handler: time.sleep(1)

    with refused(ProviderUnavailable, "unreachable"):
        http.get(server.url)


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A call has 0.3 seconds. It must end before any other limit could end it."""
    monkeypatch.setattr(http, "TOTAL_SECONDS", 0.3)
    started, threads = time.monotonic(), threading.active_count()
    yield
    assert time.monotonic() - started >= 0.3, "the code too_slow says that the limit ended the call"
    assert threading.active_count() <= threads + 2, "only those of the server and of one name look-up"


@pytest.mark.parametrize(
    "answering",
    [
        pytest.param(drip(b" ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), id="body"),
        pytest.param(drip(b" ", b"HTTP/1.1 200 OK\r\n\r\n"), id="body without a length"),
        pytest.param(drip(b"1\r\n \r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), id="chunks"),
        pytest.param(drip(b"x"), id="one long header"),
        pytest.param(drip(b"A: b\r\n"), id="headers"),
        pytest.param(drip(b"HTTP/1.1 200 OK", b""), id="status line"),
        pytest.param(drip(b"HTTP/1.1 100 Continue\r\n\r\n", b""), id="100 Continue"),
        pytest.param(drip(b"\0", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")), id="gzip"),
    ],
)
def test_a_slow_answer_times_out(answering: Answering, server: Server, in_time: None) -> None:
    server.answering = answering

    with refused(ProviderUnavailable, "too_slow"):
        http.get(server.url)


def test_a_slow_answer_over_tls_times_out(server: Server, over_tls: None, in_time: None) -> None:
    server.answering = drip(b"A: b\r\n")

    with refused(ProviderUnavailable, "too_slow"):
        http.get(server.url.replace("http:", "https:"))


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections, reads, and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_tls_handshake_that_does_not_start_times_out(silent: str, in_time: None) -> None:
    with refused(ProviderUnavailable, "too_slow"):
        http.get(f"https://{silent}/")


def test_a_request_that_is_not_read_times_out(silent: str, in_time: None) -> None:
    with refused(ProviderUnavailable, "too_slow"):
        http.post(f"http://{silent}/", "x" * 50_000_000, {})


def test_a_slow_proxy_times_out(server: Server, in_time: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_CONNECT", Handler.do_GET, raising=False)
    monkeypatch.setenv("https_proxy", server.url)
    server.answering = drip(b"A: b\r\n")

    # Python's ssl module does not close a socket that it cannot wrap, if the connection has ended.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        with refused(ProviderUnavailable, "too_slow"):
            http.get("https://op.example/")
        gc.collect()


@pytest.mark.parametrize("found", [True, False])
def test_a_slow_name_look_up_times_out(
    found: bool, server: Server, in_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, ended = socket.getaddrinfo, threading.Event()

    def slow(*args: Any) -> Any:
        try:
            time.sleep(0.6)
            if found:
                return look_up(*args)
            raise socket.gaierror
        finally:
            ended.set()

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with refused(ProviderUnavailable, "too_slow"):
        http.get(server.url)

    assert ended.wait(1)


def test_the_size_of_an_answer_is_limited(server: Server) -> None:
    server.answering = answer(b" " * http.MAX_BYTES)
    assert len(http.get(server.url).body) == http.MAX_BYTES

    server.answering = answer(b" " * (http.MAX_BYTES + 1))
    with refused(SetupError, "too_large"):
        http.get(server.url)


def test_the_size_limit_applies_to_decompressed_answers(server: Server) -> None:
    bomb = gzip.compress(b" " * (http.MAX_BYTES + 1))
    assert len(bomb) < 5000
    server.answering = answer(bomb, Content_Encoding="gzip")

    with refused(SetupError, "too_large"):
        http.get(server.url)


def test_a_compressed_answer_is_decompressed(server: Server) -> None:
    server.answering = answer(gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")

    assert http.get(server.url).json() == {"a": 1}


# Network faults


def test_a_refused_connection_is_reported(server: Server) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]

    with pytest.raises(ProviderUnavailable) as raised:
        http.get(f"http://127.0.0.1:{port}/path?code=very-secret")

    assert str(raised.value) == f"unreachable: GET http://127.0.0.1:{port}/path: ConnectionError"
    assert http.is_connection_refused(raised.value)


def test_a_refused_connection_of_a_proxy_does_not_name_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    with pytest.raises(ProviderUnavailable) as raised:
        http.get("http://op.example/path")

    assert not http.is_connection_refused(raised.value)


@pytest.mark.parametrize(
    "answering",
    [
        pytest.param(lambda handler: None, id="nothing"),
        pytest.param(lambda handler: handler.wfile.write(b"what is this?\r\n\r\n"), id="no HTTP"),
        pytest.param(answer(b"short", Content_Length="100"), id="cut off"),
        pytest.param(answer(b"not packed", Content_Encoding="gzip"), id="not packed as announced"),
        pytest.param(answer(b"zz\r\n", Transfer_Encoding="chunked"), id="broken chunks"),
    ],
)
def test_a_broken_answer_is_reported(answering: Answering, server: Server) -> None:
    server.answering = answering

    with refused(ProviderUnavailable, "unreachable"):
        http.get(server.url)


@pytest.mark.parametrize("url", ["http://a..b/", f"https://{'a' * 64}.example/", "http://*/", "ftp://op.example/", ""])
def test_an_unusable_address_is_reported(url: str, server: Server) -> None:
    with refused(SetupError, "address_unusable"):
        http.get(url)


def test_a_broken_answer_differs_from_a_refused_connection(server: Server) -> None:
    server.answering = lambda _handler: None

    with pytest.raises(ProviderUnavailable) as raised:
        http.get(server.url)

    assert not http.is_connection_refused(raised.value)


def test_a_header_that_cannot_be_sent_is_reported(server: Server) -> None:
    with refused(ProviderUnavailable, "unreachable"):
        http.get(server.url, {"Authorization": "Bearer one\r\nX-Injected: two"})
    assert server.received == []


# The environment


def test_a_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)

    assert http.get("http://op.example/path").json() == {}

    assert server.received[0][1] == "http://op.example/path"


def test_no_proxy_of_the_environment_is_respected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert http.get(f"{server.url}/path").json() == {}


def test_netrc_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(server.url) == ("somebody", "else")

    http.get(server.url)
    http.get(server.url, {"Authorization": "Bearer token"})

    assert [headers.get("Authorization") for _, _, headers, _ in server.received] == [None, "Bearer token"]


def test_credentials_in_the_address_do_not_replace_ours(server: Server) -> None:
    credentials = base64.b64encode(b"client:secret").decode()

    http.get(server.url.replace("://", "://somebody:else@"), {"Authorization": f"Basic {credentials}"})

    assert server.headers["Authorization"] == f"Basic {credentials}"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def over_tls(server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))


def test_https_where_http_is_spoken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "handle_error", lambda request, client_address: None)

    with pytest.raises(SetupError, match=r"^tls_unusable: GET https://.*: SSLError: [A-Z_]+$"):
        http.get(server.url.replace("http:", "https:"))


def test_no_common_cipher_of_tls(server: Server, over_tls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "handle_error", lambda request, client_address: None)
    context = server.socket.context  # type: ignore[attr-defined]
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # its key is of another kind

    with pytest.raises(SetupError, match=r"^tls_unusable: GET https://.*: SSLError: [A-Z0-9_]+$"):
        http.get(server.url.replace("http:", "https:"))


@pytest.mark.parametrize("reason", ["UNEXPECTED_EOF_WHILE_READING", None])
def test_tls_that_breaks_off_may_work_again(monkeypatch: pytest.MonkeyPatch, reason: str | None) -> None:
    broken = ssl.SSLError()
    broken.reason = reason  # type: ignore[assignment]
    failed = requests.exceptions.SSLError()
    failed.__cause__ = broken
    monkeypatch.setattr(requests.Session, "request", Mock(side_effect=failed))

    with refused(ProviderUnavailable, "unreachable"):
        http.get("https://op.example/")


def test_a_ca_bundle_of_the_environment_is_used(
    server: Server, over_tls: None, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server's thread reports on stderr that a handshake failed, as intended.
    monkeypatch.setattr(server, "handle_error", lambda request, client_address: None)
    url = server.url.replace("http:", "https:")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)

    with pytest.raises(SetupError, match=r"^certificate_untrusted: GET .*: SSLError$"):
        http.get(url)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.missing")
    with refused(SetupError, "certificate_untrusted"):
        http.get(url)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert http.get(url).json() == {}


# JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b"null",
    ],
)
def test_other_text_is_no_json_object(body: bytes) -> None:
    with refused(SetupError, "not_json"):
        http.Response(200, {}, body).json()


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("answer_encoding_invalid", b"\xff"),
        ("answer_encoding_invalid", b'\xef\xbb\xbf{"a": 1}'),
        ("answer_encoding_invalid", '{"a": 1}'.encode("utf-16")),
        ("answer_too_deep", b"[" * 100_000),
        ("answer_too_deep", b'{"a":' * 100_000),
        ("answer_too_deep", b'[{"a":' * 500 + b"0" + b"}]" * 500),
        ("answer_member_repeated", b'{"issuer": "https://op.example", "issuer": "https://evil.example"}'),
        ("answer_member_repeated", b'[{"a": 1, "a": 1}]'),
        ("answer_number_invalid", b'{"a":' + b"1" * 5000 + b"}"),
        ("answer_number_invalid", b'{"a": NaN}'),
        ("answer_number_invalid", b"[1e999]"),
    ],
)
def test_json_that_parsers_read_differently_is_refused(code: str, body: bytes) -> None:
    with refused(SetupError, code):
        http.Response(200, {}, body).json()
    with refused(SetupError, code):
        http.Response(200, {}, body).objects()


@settings(max_examples=100)
@given(st.binary() | st.text().map(str.encode) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    try:
        value: object = http.Response(200, {}, body).json()
    except ProviderUnavailable:
        value = {}
    assert isinstance(value, dict)


def test_the_repr_hides_the_content() -> None:
    assert repr(http.Response(200, {"Set-Cookie": "secret"}, b"secret", ("secret",))) == "Response(status=200)"
