"""Kratos without a socket: for unit tests, here and in sites that use this app."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ..network import Place, Wire, connected
from .kratos import Kratos
from .routes import private, public


class KratosNetwork(Wire):
    """Stands between ``requests`` and a Kratos."""

    def __init__(self, kratos: Kratos, public_url: str, admin_url: str) -> None:
        super().__init__(
            Place(public_url.rstrip("/"), partial(public, kratos)),
            Place(admin_url.rstrip("/"), partial(private, kratos)),
        )
        self.kratos = kratos


@contextmanager
def connect_kratos(
    kratos: Kratos, public_url: str = "", admin_url: str = "http://kratos-admin.test"
) -> Iterator[KratosNetwork]:
    """Let ``requests`` reach ``kratos`` at ``public_url`` and its admin API at ``admin_url``, without a socket.

    ``public_url`` is by default its own; another is for a site that reaches it at an internal address.
    """
    with connected(KratosNetwork(kratos, public_url or kratos.public_url, admin_url)) as network:
        yield network
