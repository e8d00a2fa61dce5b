"""Serve the web face on 127.0.0.1, and nowhere else."""

import contextlib
import errno
import sys

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management.utils import get_random_secret_key
from django.core.servers import basehttp

from ..provider import Provider
from ..records import Client
from .face import Face
from .urls import URLConf

ADDRESS = "127.0.0.1"


def serve(
    *,
    port: int = 4444,
    site_url: str = "http://localhost:8000",
    mount: str = "/auth/",
    client_id: str = "example-site",
    client_secret: str = "",
) -> None:
    """Be the provider of a site, in a process that has no Django settings yet, until it is stopped.

    Exits with a sentence when the port is taken.
    """
    face = Face(Provider(f"http://{ADDRESS}:{port}"))
    face.provider.register(
        Client.of_site(
            site_url.rstrip("/") + mount, client_id, client_secret, client_name="the example site", client_uri=site_url
        )
    )
    settings.configure(**configuration(face))
    django.setup()
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


def listen(port: int) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        try:
            basehttp.run(ADDRESS, port, WSGIHandler(), threading=True)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            sys.exit(f"Port {port} is taken. Stop what runs there, or choose another.")
