"""Users and browsers of the contract, and a Kratos in this process for them."""

from collections.abc import Iterator

import pytest

from django_ory_logout.testing import Kratos, KratosNetwork, connect_kratos
from tests.live import kratos as parties
from tests.live.conftest import above_aal1, amber, birch, kratos_browser, native, new_user

__all__ = ["above_aal1", "amber", "birch", "kratos_browser", "native", "new_user"]

PUBLIC_URL, ADMIN_URL = "http://kratos.test", "http://kratos-admin.test"


@pytest.fixture
def embedded() -> Kratos:
    return Kratos(PUBLIC_URL)


@pytest.fixture
def network(embedded: Kratos) -> Iterator[KratosNetwork]:
    with connect_kratos(embedded, admin_url=ADMIN_URL) as network:
        yield network


@pytest.fixture
def kratos(network: KratosNetwork) -> parties.Kratos:
    """The Kratos as the contract's users and browsers reach it."""
    return parties.Kratos(PUBLIC_URL, ADMIN_URL)
