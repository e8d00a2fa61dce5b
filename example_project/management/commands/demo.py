"""``manage.py demo``: the example site, a development provider for it, and a line for whatever happens."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from django_ory_logout.models import LoginSession
from django_ory_logout.signals import login_session_ended, login_session_opened, logout_notice_refused
from django_ory_logout.testing.web.server import serve

ADDRESS = "127.0.0.1"
SECONDS_TO_START = 15.0


class Command(BaseCommand):
    help = "Run the example site and, unless OIDC_ISSUER is set, a development provider for it."

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        call_command("migrate", verbosity=0)
        with suppress(KeyboardInterrupt), _site_server() as server, _provider():
            # One line for each event is ours. What the app logs as a warning stays.
            logging.getLogger("django_ory_logout").setLevel(logging.WARNING)
            for name in ("django.server", "django.request"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            self._announce()
            self._report()
            server.serve_forever()
        self.stdout.write("\nStopped.")

    def _announce(self) -> None:
        site_url, provider = _settings()
        note = "for development only" if _is_embedded() else ""
        self.stdout.write(f"\n  The example site   {self.style.SUCCESS(site_url)}   open this")
        self.stdout.write(f"  Its provider       {provider['ISSUER']}   {note}")
        self.stdout.write("\n  Ctrl-C stops it. What happens:\n\n")
        self.stdout.flush()

    def _report(self) -> None:
        """Write a line for each sign-in and logout. The receivers live as long as this command."""
        login_session_opened.connect(self._opened)
        login_session_ended.connect(self._ended)
        logout_notice_refused.connect(self._refused)

    def _opened(self, *, login_session: LoginSession, **_kwargs: Any) -> None:
        self._line("signed in", _named(login_session))

    def _ended(self, *, login_session: LoginSession, reason: str, **_kwargs: Any) -> None:
        self._line("logged out", f"{_named(login_session)}   {reason}")

    def _refused(self, *, channel: str, code: str, **_kwargs: Any) -> None:
        self._line("refused", f"{channel} notice: {code}")

    def _line(self, what: str, of_whom: str) -> None:
        self.stdout.write(f"  {datetime.now():%H:%M:%S}   {what:<10}   {of_whom}")
        self.stdout.flush()


def _named(login_session: LoginSession) -> str:
    sid = f"sid {login_session.sid[:8]}…" if login_session.sid else "no sid"
    return f"{login_session.subject:<12} {sid}"


def _is_embedded() -> bool:
    return not os.environ.get("OIDC_ISSUER")


def _settings() -> tuple[str, dict[str, Any]]:
    """The site's URL, and its one provider."""
    return settings.ORY_LOGOUT["SITE_URL"], settings.ORY_LOGOUT["PROVIDERS"]["default"]


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _site_server() -> Iterator[ThreadedWSGIServer]:
    """The site's server, bound already: a port that is taken is known before anything else starts."""
    site_url, _ = _settings()
    port = urlsplit(site_url).port or 8000
    try:
        server = ThreadedWSGIServer((ADDRESS, port), WSGIRequestHandler)
    except OSError as error:
        raise CommandError(f"Port {port} is taken. Stop what runs there, or set SITE_URL to another port.") from error
    with server:
        server.set_app(StaticFilesHandler(get_wsgi_application()))
        yield server


@contextmanager
def _provider() -> Iterator[None]:
    """The development provider, as a process of its own; nothing when OIDC_ISSUER names another."""
    if not _is_embedded():
        yield
        return
    site_url, provider = _settings()
    port = urlsplit(provider["ISSUER"]).port or 0
    _require_free(port)
    # What goes to this machine must not take a detour by a proxy.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), ADDRESS, "localhost"]))
    options = {"client_id": provider["CLIENT_ID"], "client_secret": provider["CLIENT_SECRET"]}
    arguments = {"port": port, "site_url": site_url, **options}
    process = get_context("spawn").Process(target=serve, kwargs=arguments, daemon=True)
    process.start()
    try:
        _await(process, port)
        yield
    finally:
        process.terminate()
        process.join()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} is taken. Stop what runs there; or, if it is a provider of yours, set OIDC_ISSUER, "
                "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET."
            ) from error


def _await(process: BaseProcess, port: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.is_alive() and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
            return
        time.sleep(0.05)
    raise CommandError("The development provider did not start.")
