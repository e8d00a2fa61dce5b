"""A Hydra that is running somewhere: ``HYDRA_PUBLIC_URL`` (its issuer) and ``HYDRA_ADMIN_URL``."""

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from django_ory_logout.ory.hydra import HydraAdmin

from .parties import Browser, Hydra, Listener, NewRelyingParty, RelyingParty

PUBLIC_URL = "HYDRA_PUBLIC_URL"
ADMIN_URL = "HYDRA_ADMIN_URL"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Live tests are run where ``-m`` names them, and never by accident: they write to what the environment names."""
    live = [item for item in items if item.get_closest_marker("live")]
    if "live" in config.option.markexpr:
        missing = [name for name in (PUBLIC_URL, ADMIN_URL) if name not in os.environ]
        if live and missing:
            raise pytest.UsageError(f"live tests need {' and '.join(missing)} in the environment")
        return
    config.hook.pytest_deselected(items=live)
    items[:] = [item for item in items if item not in live]


@pytest.fixture(scope="session")
def hydra() -> Hydra:
    return Hydra(os.environ[PUBLIC_URL].rstrip("/"), os.environ[ADMIN_URL].rstrip("/"))


@pytest.fixture
def admin(hydra: Hydra) -> HydraAdmin:
    return hydra.admin


@pytest.fixture
def subject(admin: HydraAdmin) -> Iterator[str]:
    """Somebody whom no other test knows."""
    subject = f"amber-{uuid4()}"
    yield subject
    admin.revoke_login_sessions(subject)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def new_rp(hydra: Hydra) -> Iterator[NewRelyingParty]:
    """Makes relying parties, each with a listener of its own; they are gone from Hydra afterwards."""
    made: list[RelyingParty] = []

    def new(**metadata: object) -> RelyingParty:
        made.append(RelyingParty(hydra, Listener(), **metadata))
        return made[-1]

    yield new
    for one in made:
        one.listener.close()
        hydra.call("DELETE", f"/clients/{one.client_id}")


@pytest.fixture
def rp(new_rp: NewRelyingParty) -> RelyingParty:
    return new_rp()


@pytest.fixture
def new_browser(hydra: Hydra) -> Callable[[], Browser]:
    return lambda: Browser(hydra)


@pytest.fixture
def browser(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser()
