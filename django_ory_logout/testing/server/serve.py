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

from ..hydra.admin import Admin
from ..hydra.provider import Provider
from ..hydra.records import Client
from .admin import admin_application as hydra_admin_application
from .kratos import KratosSite, admin_application, demo, public_application
from .site import ProviderSite
from .urls import URLConf
from .wsgi import Application

ADDRESS = "127.0.0.1"
#: How long a server beside another may take to stop.
POLL_SECONDS = 0.05


def serve(
    *,
    port: int = 4444,
    admin_port: int | None = None,
    site_url: str = "http://localhost:8000",
    mount: str = "/auth/",
    client_id: str = "example-site",
    client_secret: str = "",
    pages: Mapping[str, str] | None = None,
    kratos_port: int | None = None,
    kratos_admin_port: int | None = None,
    kratos_required_aal: str = "aal1",
    kratos_persistent: bool = True,
) -> None:
    """Be the provider of a site, in a process that has no Django settings yet, until it is stopped.

    ``pages`` are those that another site serves, by the names of :class:`~..provider.Pages`. Without ``admin_port``
    there is no admin API. With ``kratos_port`` there is a Kratos, which is the login page unless another site serves
    that, and with ``kratos_admin_port`` its admin API. Exits with a sentence when a port is taken.
    """
    face = ProviderSite(Provider(f"http://{ADDRESS}:{port}"))
    face.provider.pages = replace(face.provider.pages, **(pages or {}))
    face.provider.register(
        Client.of_site(
            site_url.rstrip("/") + mount, client_id, client_secret, client_name="the example site", client_uri=site_url
        )
    )
    settings.configure(**configuration(face))
    django.setup()
    applications: dict[int | None, Application] = {admin_port: hydra_admin_application(_admin(face))}
    if kratos_port is not None:
        kratos = KratosSite(demo.demo(f"http://localhost:{kratos_port}", site_url, face.provider))
        kratos.kratos.required_aal, kratos.kratos.persistent = kratos_required_aal, kratos_persistent
        if "login" not in (pages or {}):
            demo.use(face.provider, kratos.kratos)
        applications |= {kratos_port: public_application(kratos), kratos_admin_port: admin_application(kratos)}
    with contextlib.ExitStack() as stack:
        for beside, application in applications.items():
            if beside is not None:
                stack.enter_context(served(beside, application))
        listen(port)


def configuration(face: ProviderSite) -> dict[str, object]:
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


def _admin(face: ProviderSite) -> Admin:
    return Admin(face.provider, face.logout_requests, face.backchannel.deliver_in_background)


@contextlib.contextmanager
def served(port: int, application: Application) -> Iterator[None]:
    """Serve it beside what the block does."""
    with _telling_of_a_taken(port):
        server = basehttp.ThreadedWSGIServer((ADDRESS, port), basehttp.WSGIRequestHandler)
    with server:
        server.daemon_threads = True
        server.set_app(application)
        threading.Thread(target=server.serve_forever, args=[POLL_SECONDS], daemon=True).start()
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
