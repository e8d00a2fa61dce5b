"""Kratos without a socket, for unit tests of this app and of sites that use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ..network import FakeNetwork, Route, connected
from .kratos import Kratos
from .routes import private, public


class KratosNetwork(FakeNetwork):
    """Takes the requests of the library ``requests`` to a Kratos."""

    def __init__(self, kratos: Kratos, public_url: str, admin_url: str) -> None:
        super().__init__(
            Route(public_url.rstrip("/"), partial(public, kratos)),
            Route(admin_url.rstrip("/"), partial(private, kratos)),
        )
        self.kratos = kratos


@contextmanager
def connect_kratos(
    kratos: Kratos, public_url: str = "", admin_url: str = "http://kratos-admin.test"
) -> Iterator[KratosNetwork]:
    """Send the requests for ``public_url`` and ``admin_url`` to ``kratos`` and its admin API, without a socket.

    By default, ``public_url`` is the public URL of ``kratos``. Give another one if the site uses an internal address.
    """
    with connected(KratosNetwork(kratos, public_url or kratos.public_url, admin_url)) as network:
        yield network
