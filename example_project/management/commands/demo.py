"""``manage.py demo``: the example site, a development provider for it, and a line for each event."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from django_ory_logout.models import LoginSession
from django_ory_logout.signals import login_session_ended, login_session_opened, logout_notice_refused
from django_ory_logout.testing.server.serve import serve
from example_project import provider

ADDRESS = "127.0.0.1"
SECONDS_TO_START = 15.0
#: The port of the provider that runs together with a development Kratos.
PROVIDER_PORT = 4444
#: For sign-in by Kratos alone. Kratos must have the site's host: otherwise browsers do not send its cookie to the site.
BY_KRATOS = {"KRATOS_PUBLIC_URL": "http://localhost:4433", "KRATOS_ADMIN_URL": "http://127.0.0.1:4434"}


class Command(BaseCommand):
    help = "Run the example site and, unless OIDC_ISSUER or KRATOS_PUBLIC_URL is set, a development provider for it."
    #: A new database has no tables yet. The checks run after the migrations.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kratos", action="store_true", help="sign in by a development Kratos instead")

    def handle(self, *args: Any, kratos: bool = False, **options: Any) -> None:
        if kratos and not provider.is_kratos_alone():
            _start_over({**os.environ, "OIDC_ISSUER": "", **BY_KRATOS})
        signal.signal(signal.SIGTERM, _stop)
        call_command("migrate", verbosity=0)
        if not options.get("skip_checks"):
            self.check()
        is_embedded = kratos or not (provider.is_kratos_alone() or os.environ.get("OIDC_ISSUER"))
        with suppress(KeyboardInterrupt), _site_server() as server, _provider() if is_embedded else nullcontext():
            # This command writes a line for each event, so hide the app's own lines below warnings.
            logging.getLogger("django_ory_logout").setLevel(logging.WARNING)
            for name in ("django.server", "django.request"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            self._announce("for development only" if is_embedded else "")
            self._report()
            server.serve_forever()
        self.stdout.write("\nStopped.")

    def _announce(self, note: str) -> None:
        label = "Its Kratos" if provider.is_kratos_alone() else "Its provider"
        self.stdout.write(f"\n  The example site   {self.style.SUCCESS(_site_url())}   open this")
        self.stdout.write(f"  {label:<16}   {provider.url()}   {note}")
        self.stdout.write("\n  Ctrl-C stops it. Events:\n\n")
        self.stdout.flush()

    def _report(self) -> None:
        """Write a line for each sign-in and logout. This command holds the receivers."""
        login_session_opened.connect(self._opened)
        login_session_ended.connect(self._ended)
        logout_notice_refused.connect(self._refused)

    def _opened(self, *, login_session: LoginSession, **_kwargs: Any) -> None:
        self._line("signed in", _named(login_session))

    def _ended(self, *, login_session: LoginSession, reason: str, **_kwargs: Any) -> None:
        self._line("logged out", f"{_named(login_session)}   {reason}")

    def _refused(self, *, channel: str, code: str, **_kwargs: Any) -> None:
        self._line("refused", f"{channel} notice: {code}")

    def _line(self, event: str, details: str) -> None:
        self.stdout.write(f"  {datetime.now():%H:%M:%S}   {event:<10}   {details}")
        self.stdout.flush()


def _named(login_session: LoginSession) -> str:
    sid = f"sid {login_session.sid[:8]}…" if login_session.sid else "no sid"
    return f"{login_session.subject:<12} {sid}"


def _start_over(environment: dict[str, str]) -> None:
    """Restart this command with ``environment``: the settings read it at their import."""
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def _site_url() -> str:
    url: str = settings.ORY_LOGOUT["SITE_URL"]
    return url


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _site_server() -> Iterator[ThreadedWSGIServer]:
    """The site's server, already bound: a port in use is found before anything else starts."""
    port = urlsplit(_site_url()).port or 8000
    try:
        server = ThreadedWSGIServer((ADDRESS, port), WSGIRequestHandler)
    except OSError as error:
        raise CommandError(f"Port {port} is taken. Stop the program there, or set SITE_URL to another port.") from error
    with server:
        server.set_app(StaticFilesHandler(get_wsgi_application()))
        yield server


@contextmanager
def _provider() -> Iterator[None]:
    """Run the development provider in its own process."""
    arguments = _arguments()
    ports = [port for name, port in arguments.items() if name.endswith("port")]
    for port in ports:
        _require_free(port)
    # Requests to this machine must not go through a proxy.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), ADDRESS, "localhost"]))
    process = get_context("spawn").Process(target=serve, kwargs=arguments, daemon=True)
    process.start()
    try:
        for port in ports:
            _await(process, port)
        yield
    finally:
        process.terminate()
        process.join()


def _arguments() -> dict[str, Any]:
    """The arguments for :func:`serve`: the provider of the settings, or the Kratos together with a provider."""
    entry, arguments = provider.entry(), {"site_url": _site_url(), "port": urlsplit(provider.url()).port}
    if not provider.is_kratos_alone():
        return {**arguments, "client_id": entry["CLIENT_ID"], "client_secret": entry["CLIENT_SECRET"]}
    admin_port = urlsplit(entry["KRATOS"]["ADMIN_URL"] or BY_KRATOS["KRATOS_ADMIN_URL"]).port
    return {**arguments, "port": PROVIDER_PORT, "kratos_port": arguments["port"], "kratos_admin_port": admin_port}


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} is taken. Stop the program there. If it is your own provider, set OIDC_ISSUER, "
                "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, or KRATOS_PUBLIC_URL."
            ) from error


def _await(process: BaseProcess, port: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.is_alive() and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
            return
        time.sleep(0.05)
    raise CommandError("The development provider did not start.")
