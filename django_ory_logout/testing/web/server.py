"""Serve the web face on 127.0.0.1, and nowhere else."""

import contextlib
import errno
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management.utils import get_random_secret_key
from django.core.servers import basehttp

from ..admin import Admin
from ..provider import Provider
from ..records import Client
from .admin import AdminApplication
from .face import Face
from .urls import URLConf

ADDRESS = "127.0.0.1"


def serve(
    *,
    port: int = 4444,
    admin_port: int | None = None,
    site_url: str = "http://localhost:8000",
    mount: str = "/auth/",
    client_id: str = "example-site",
    client_secret: str = "",
    pages: Mapping[str, str] | None = None,
) -> None:
    """Be the provider of a site, in a process that has no Django settings yet, until it is stopped.

    ``pages`` are those that another site serves, by the names of :class:`~..provider.Pages`. Without ``admin_port``
    there is no admin API. Exits with a sentence when a port is taken.
    """
    face = Face(Provider(f"http://{ADDRESS}:{port}"))
    face.provider.pages = replace(face.provider.pages, **(pages or {}))
    face.provider.register(
        Client.of_site(
            site_url.rstrip("/") + mount, client_id, client_secret, client_name="the example site", client_uri=site_url
        )
    )
    settings.configure(**configuration(face))
    django.setup()
    with _admin_api(face, admin_port):
        listen(port)


def configuration(face: Face) -> dict[str, object]:
    """Django's settings. The host is the address alone: ``localhost`` would share its cookies with the site."""
    return {
        "SECRET_KEY": get_random_secret_key(),
        "ALLOWED_HOSTS": [ADDRESS],
        "ROOT_URLCONF": URLConf(face),
        "MIDDLEWARE": [
            # This is what looks at the host of every request.
            "django.middleware.common.CommonMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "APPEND_SLASH": False,
        "LOGGING": {"version": 1, "loggers": {"django.server": {"level": "CRITICAL"}}},
        "USE_TZ": True,
    }


@contextlib.contextmanager
def _admin_api(face: Face, port: int | None) -> Iterator[None]:
    """Serve the admin API beside what the block does."""
    if port is None:
        yield
        return
    admin = Admin(face.provider, face.logout_requests, face.backchannel.deliver_in_background)
    with _telling_of_a_taken(port):
        server = basehttp.ThreadedWSGIServer((ADDRESS, port), basehttp.WSGIRequestHandler)
    with server:
        server.daemon_threads = True
        server.set_app(AdminApplication(admin))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def listen(port: int) -> None:
    with contextlib.suppress(KeyboardInterrupt), _telling_of_a_taken(port):
        basehttp.run(ADDRESS, port, WSGIHandler(), threading=True)


@contextlib.contextmanager
def _telling_of_a_taken(port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"Port {port} is taken. Stop what runs there, or choose another.")
