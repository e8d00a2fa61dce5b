"""``manage.py demo``: what it starts, what it prints, and how it ends."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.servers.basehttp import ThreadedWSGIServer

from django_ory_logout.signals import login_session_ended, login_session_opened, logout_notice_refused
from example_project.management.commands import demo

from .test_server import free_port

LOGGERS = ("django_ory_logout", "django.server", "django.request")


@pytest.fixture(autouse=True)
def _what_it_leaves_behind() -> Iterator[None]:
    """The demo normally has its own process. Here, restore what it changes in this process."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def issuer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The issuer of the embedded provider on a free port, with the site on another port."""
    monkeypatch.delenv("OIDC_ISSUER", raising=False)
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    issuer = f"http://127.0.0.1:{free_port()}"
    provider = {"ISSUER": issuer, "CLIENT_ID": "site", "CLIENT_SECRET": "secret"}
    settings.ORY_LOGOUT = {"SITE_URL": f"http://localhost:{free_port()}", "PROVIDERS": {"default": provider}}
    return issuer


@pytest.fixture
def kratos(settings: Any, monkeypatch: pytest.MonkeyPatch, issuer: str) -> dict[str, str]:
    """The embedded Kratos instead of the provider, on a free port too."""
    monkeypatch.setattr(demo, "PROVIDER_PORT", free_port())
    urls = {"PUBLIC_URL": f"http://localhost:{free_port()}", "ADMIN_URL": f"http://127.0.0.1:{free_port()}"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {"KRATOS": urls}}}
    return urls


def run(monkeypatch: pytest.MonkeyPatch, serving: Any, **options: bool) -> str:
    """Run the demo with ``serving`` in place of its server, and return the output."""
    monkeypatch.setattr(ThreadedWSGIServer, "serve_forever", lambda server: serving())
    written = StringIO()
    call_command(demo.Command(stdout=written, no_color=True), **options)
    return written.getvalue()


@pytest.mark.django_db
def test_it_runs_a_provider_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    found: list[Any] = []

    def serving() -> None:
        found.append(requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()["issuer"])
        raise KeyboardInterrupt

    written = run(monkeypatch, serving)

    assert found == [issuer]
    assert f"{issuer}   for development only" in written
    assert written.endswith("Stopped.\n")
    with pytest.raises(requests.ConnectionError):
        requests.get(issuer, timeout=5)


def test_the_checks_run_as_soon_as_there_are_tables(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    done: list[str] = []

    def interrupt(_server: ThreadedWSGIServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "call_command", lambda name, **_options: done.append(name))
    monkeypatch.setattr(demo.Command, "check", lambda _command: done.append("check"))
    monkeypatch.setattr(ThreadedWSGIServer, "serve_forever", interrupt)

    demo.Command().run_from_argv(["manage.py", "demo"])

    assert done == ["migrate", "check"]


@pytest.mark.django_db
def test_it_runs_a_kratos_if_the_settings_name_one(monkeypatch: pytest.MonkeyPatch, kratos: dict[str, str]) -> None:
    found: list[Any] = []

    def serving() -> None:
        found.append(requests.get(f"{kratos['PUBLIC_URL']}/sessions/whoami", timeout=5).status_code)
        found.append(len(requests.get(f"{kratos['ADMIN_URL']}/admin/identities", timeout=5).json()))

    written = run(monkeypatch, serving, kratos=True)

    assert found == [401, 2]
    assert f"Its Kratos         {kratos['PUBLIC_URL']}   for development only" in written


@pytest.mark.django_db
def test_it_does_not_start_a_kratos_if_another_one_runs(
    monkeypatch: pytest.MonkeyPatch, kratos: dict[str, str]
) -> None:
    def serving() -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(kratos["PUBLIC_URL"], timeout=5)

    written = run(monkeypatch, serving)

    assert f"Its Kratos         {kratos['PUBLIC_URL']}" in written
    assert "for development only" not in written


def test_it_restarts_with_the_settings_for_kratos(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setenv("OIDC_ISSUER", issuer)
    monkeypatch.setattr(sys, "argv", ["manage.py", "demo", "--kratos"])
    started: list[Any] = []

    def execve(path: str, argv: list[str], environment: dict[str, str]) -> None:
        started.append((path, argv, environment))
        raise SystemExit

    monkeypatch.setattr(os, "execve", execve)
    with pytest.raises(SystemExit):
        run(monkeypatch, pytest.fail, kratos=True)

    ((path, argv, environment),) = started
    assert (path, argv) == (sys.executable, [sys.executable, "manage.py", "demo", "--kratos"])
    assert environment.items() >= {"OIDC_ISSUER": "", "KRATOS_PUBLIC_URL": "http://localhost:4433"}.items()


@pytest.mark.django_db
def test_it_does_not_start_a_provider_if_another_one_runs(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setenv("OIDC_ISSUER", issuer)

    def serving() -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(issuer, timeout=5)

    assert "for development only" not in run(monkeypatch, serving)


@pytest.mark.django_db
def test_sigterm_ends_it_like_an_interrupt(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setenv("OIDC_ISSUER", issuer)

    assert run(monkeypatch, lambda: signal.raise_signal(signal.SIGTERM)).endswith("Stopped.\n")


@pytest.mark.django_db
def test_each_event_is_one_line(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setenv("OIDC_ISSUER", issuer)
    amber = SimpleNamespace(subject="amber", sid="0123456789")
    birch = SimpleNamespace(subject="birch", sid=None)

    def serving() -> None:
        login_session_opened.send(None, request=None, login_session=amber)
        login_session_ended.send(None, login_session=birch, reason="back-channel")
        logout_notice_refused.send(None, channel="front-channel", code="unknown_issuer")

    lines = [line.split() for line in run(monkeypatch, serving).splitlines()]

    events = [" ".join(words[1:]) for words in lines if words and words[0].count(":") == 2]
    assert events == [
        "signed in amber sid 01234567…",
        "logged out birch no sid back-channel",
        "refused front-channel notice: unknown_issuer",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(("which", "hint"), [("SITE_URL", "set SITE_URL"), ("ISSUER", "set OIDC_ISSUER")])
def test_a_used_port_is_reported(
    monkeypatch: pytest.MonkeyPatch, settings: Any, issuer: str, which: str, hint: str
) -> None:
    url = issuer if which == "ISSUER" else settings.ORY_LOGOUT["SITE_URL"]
    port = int(url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(CommandError, match=f"Port {port} .*{hint}"):
        run(monkeypatch, pytest.fail)


@pytest.mark.django_db
def test_a_provider_that_stops_is_reported(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setattr(demo, "serve", int)

    with pytest.raises(CommandError, match="did not start"):
        run(monkeypatch, pytest.fail)
