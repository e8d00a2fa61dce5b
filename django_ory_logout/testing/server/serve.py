"""Serve the development provider, only on 127.0.0.1."""

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
#: How often a server in another thread checks whether to stop, in seconds.
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
    """Serve a provider for one site until the process stops. The process must not have Django settings yet.

    ``pages`` are the pages of another site, by the names of :class:`~..hydra.provider.Pages`. Without ``admin_port``
    there is no admin API. With ``kratos_port``, there is a Kratos too. It is the login page, unless ``pages`` has one.
    With ``kratos_admin_port``, Kratos has its admin API. Exits with a message if a port is in use.
    """
    site = ProviderSite(Provider(f"http://{ADDRESS}:{port}"))
    site.provider.pages = replace(site.provider.pages, **(pages or {}))
    site.provider.register(
        Client.of_site(
            site_url.rstrip("/") + mount, client_id, client_secret, client_name="the example site", client_uri=site_url
        )
    )
    settings.configure(**configuration(site))
    django.setup()
    applications: dict[int | None, Application] = {admin_port: hydra_admin_application(_admin(site))}
    if kratos_port is not None:
        kratos = KratosSite(demo.demo(f"http://localhost:{kratos_port}", site_url, site.provider))
        kratos.kratos.required_aal, kratos.kratos.persistent = kratos_required_aal, kratos_persistent
        if "login" not in (pages or {}):
            demo.use(site.provider, kratos.kratos)
        applications |= {kratos_port: public_application(kratos), kratos_admin_port: admin_application(kratos)}
    with contextlib.ExitStack() as stack:
        for other_port, application in applications.items():
            if other_port is not None:
                stack.enter_context(served(other_port, application))
        listen(port)


def configuration(site: ProviderSite) -> dict[str, object]:
    """Django's settings. The only host is the address, because ``localhost`` would share its cookies with the site."""
    return {
        "SECRET_KEY": get_random_secret_key(),
        "ALLOWED_HOSTS": [ADDRESS],
        "ROOT_URLCONF": URLConf(site),
        "MIDDLEWARE": [
            # This middleware checks the host of each request.
            "django.middleware.common.CommonMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "APPEND_SLASH": False,
        "LOGGING": {"version": 1, "loggers": {"django.server": {"level": "CRITICAL"}}},
        "USE_TZ": True,
    }


def _admin(site: ProviderSite) -> Admin:
    return Admin(site.provider, site.logout_requests, site.backchannel.deliver_in_background)


@contextlib.contextmanager
def served(port: int, application: Application) -> Iterator[None]:
    """Serve ``application`` in another thread until the block ends."""
    with _exit_if_port_in_use(port):
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
    with contextlib.suppress(KeyboardInterrupt), _exit_if_port_in_use(port):
        basehttp.run(ADDRESS, port, WSGIHandler(), threading=True)


@contextlib.contextmanager
def _exit_if_port_in_use(port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"Port {port} is taken. Stop what runs there, or choose another.")
