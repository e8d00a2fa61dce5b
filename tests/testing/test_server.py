"""The provider in its own process."""

import errno
import runpy
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
import requests
from django.conf import LazySettings

from django_ory_logout.testing.server import serve


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_command_line_names_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[dict[str, Any]] = []
    monkeypatch.setattr(serve, "serve", lambda **options: served.append(options))
    pages = ["--login-url=http://ui.example/login", "--post-logout-redirect-url=http://ui.example/bye"]
    options = [
        "--port=4545",
        "--admin-port=4546",
        *pages,
        "--site-url=http://rp.example",
        "--client-id=a",
        "--client-secret=b",
        "--kratos-port=4533",
        "--kratos-session-cookie",
    ]
    monkeypatch.setattr("sys.argv", ["testing", *options])

    runpy.run_module("django_ory_logout.testing", run_name="__main__")

    expected = {
        "port": 4545,
        "admin_port": 4546,
        "site_url": "http://rp.example",
        "mount": "/auth/",
        "client_id": "a",
        "client_secret": "b",
        "pages": {"login": "http://ui.example/login", "post_logout_redirect": "http://ui.example/bye"},
        "kratos_port": 4533,
        "kratos_admin_port": None,
        "kratos_required_aal": "aal1",
        "kratos_persistent": False,
    }
    assert served == [expected]


def test_importing_the_command_serves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "serve", pytest.fail)

    runpy.run_module("django_ory_logout.testing", run_name="imported")


def test_a_site_is_registered_for_all_three_logouts(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LazySettings()
    ports: list[int] = []
    monkeypatch.setattr(serve, "settings", settings)
    monkeypatch.setattr("django.setup", lambda: None)
    monkeypatch.setattr(serve, "listen", ports.append)

    serve.serve(port=4545, site_url="http://rp.example/", client_id="a", client_secret="b")

    urlconf: Any = settings.ROOT_URLCONF
    provider = urlconf.site.provider
    assert (ports, provider.issuer) == ([4545], "http://127.0.0.1:4545")
    client = provider.clients["a"]
    assert client.redirect_uris == ["http://rp.example/auth/callback/"]
    assert client.post_logout_redirect_uris == ["http://rp.example/auth/logout/callback/"]
    assert client.backchannel_logout_uri == "http://rp.example/auth/logout/backchannel/"
    assert client.frontchannel_logout_uri == "http://rp.example/auth/logout/frontchannel/"


def test_the_admin_api_has_its_own_port_and_the_pages_their_configured_urls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, admin_port = LazySettings(), free_port()
    documents: list[Any] = []
    url = f"http://127.0.0.1:{admin_port}/admin/clients/a"
    monkeypatch.setattr(serve, "settings", settings)
    monkeypatch.setattr("django.setup", lambda: None)
    monkeypatch.setattr(serve, "listen", lambda port: documents.append(_await(url)))

    serve.serve(port=4545, admin_port=admin_port, client_id="a", pages={"login": "http://ui.example/login"})

    urlconf: Any = settings.ROOT_URLCONF
    pages = urlconf.site.provider.pages
    assert documents[0]["client_id"] == "a"
    assert (pages.login, pages.consent) == ("http://ui.example/login", "http://127.0.0.1:4545/consent")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


@pytest.mark.parametrize(
    ("pages", "login"),
    [
        ({}, "http://localhost:{}/self-service/login/browser"),
        ({"login": "http://ui.example/login"}, "http://ui.example/login"),
    ],
)
def test_a_kratos_is_served_and_is_the_login_page_unless_another_one_is_set(
    monkeypatch: pytest.MonkeyPatch, pages: dict[str, str], login: str
) -> None:
    settings, port, admin_port = LazySettings(), free_port(), free_port()
    answers: list[Any] = []

    def listen(_: int) -> None:
        answers.append(_await(f"http://127.0.0.1:{port}/sessions/whoami"))
        answers.extend(_await(f"http://127.0.0.1:{admin_port}/admin/identities"))

    monkeypatch.setattr(serve, "settings", settings)
    monkeypatch.setattr("django.setup", lambda: None)
    monkeypatch.setattr(serve, "listen", listen)

    serve.serve(port=4545, pages=pages, kratos_port=port, kratos_admin_port=admin_port)

    urlconf: Any = settings.ROOT_URLCONF
    assert urlconf.site.provider.pages.login == login.format(port)
    assert answers[0]["error"]["code"] == 401
    assert [identity["traits"]["name"] for identity in answers[1:]] == ["Amber", "Birch"]


def test_a_used_admin_port_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "settings", LazySettings())
    monkeypatch.setattr("django.setup", lambda: None)
    monkeypatch.setattr(serve, "listen", pytest.fail)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(SystemExit, match=f"Port {port} is taken"):
            serve.serve(port=4545, admin_port=port)


def test_a_used_port_is_reported() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(SystemExit, match=f"Port {port} is taken"):
            serve.listen(port)


def test_any_other_fault_of_the_socket_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EACCES, "denied")

    monkeypatch.setattr("django.core.servers.basehttp.run", run)

    with pytest.raises(PermissionError):
        serve.listen(80)


def test_an_interrupt_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("django.core.servers.basehttp.run", run)

    serve.listen(4545)


def test_the_process_listens_only_on_127_0_0_1() -> None:
    port, admin_port = free_port(), free_port()
    options = ["--port", str(port), "--admin-port", str(admin_port)]
    with subprocess.Popen([sys.executable, "-m", "django_ory_logout.testing", *options]) as process:
        try:
            document = _await(f"http://127.0.0.1:{port}/.well-known/openid-configuration")
            client = _await(f"http://127.0.0.1:{admin_port}/admin/clients/example-site")
            for served in (port, admin_port):
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.2", served), timeout=5)
        finally:
            process.terminate()

    assert document["issuer"] == f"http://127.0.0.1:{port}"
    assert client["redirect_uris"] == ["http://localhost:8000/auth/callback/"]


def _await(url: str) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(200):
            try:
                document: dict[str, Any] = session.get(url, timeout=5).json()
            except requests.ConnectionError:
                time.sleep(0.05)
            else:
                return document
    raise AssertionError("no answer")
