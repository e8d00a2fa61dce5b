"""A Hydra and a Kratos that run somewhere.

``HYDRA_PUBLIC_URL`` (its issuer) and ``HYDRA_ADMIN_URL``, ``KRATOS_PUBLIC_URL`` and ``KRATOS_ADMIN_URL``, or one pair.
"""

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from django_ory_logout.ory.hydra import HydraAdmin

from .kratos import Kratos, KratosBrowser, Native, User
from .parties import Browser, Hydra, Listener, NewRelyingParty, RelyingParty

#: The environment variables that each fixture needs.
VARIABLES = {
    "hydra": ("HYDRA_PUBLIC_URL", "HYDRA_ADMIN_URL"),
    "kratos": ("KRATOS_PUBLIC_URL", "KRATOS_ADMIN_URL"),
}
LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run live tests only if ``-m`` names them, because they write to the configured servers."""
    live = [item for item in items if item.get_closest_marker("live")]
    absent = set(VARIABLES)
    if "live" in config.option.markexpr and live:
        absent = _absent()
    left_out = [item for item in live if absent & set(_fixtures(item))]
    config.stash[LEFT_OUT] = [
        f"No {name.title()} is given, so nothing that needs it is tried." for name in sorted(absent)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    return config.stash.get(LEFT_OUT, []) if "live" in config.option.markexpr else []


def _absent() -> set[str]:
    """Fixtures without environment variables. No variables at all, or one of two URLs, is an error."""
    missing = {
        name: [variable for variable in variables if variable not in os.environ]
        for name, variables in VARIABLES.items()
    }
    half = [variable for name, those in missing.items() if len(those) < len(VARIABLES[name]) for variable in those]
    if half:
        raise pytest.UsageError(f"live tests need {' and '.join(half)} in the environment too")
    absent = {name for name, those in missing.items() if those}
    if absent == set(VARIABLES):
        pairs = " or ".join(" and ".join(variables) for variables in VARIABLES.values())
        raise pytest.UsageError(f"live tests need {pairs} in the environment")
    return absent


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def hydra() -> Hydra:
    return Hydra(*(os.environ[name].rstrip("/") for name in VARIABLES["hydra"]))


@pytest.fixture
def admin(hydra: Hydra) -> HydraAdmin:
    return hydra.admin


@pytest.fixture
def subject(admin: HydraAdmin) -> Iterator[str]:
    """A subject that no other test uses."""
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
    """Make relying parties, each with its own listener. Delete them from Hydra afterwards."""
    made: list[RelyingParty] = []

    def new(**metadata: object) -> RelyingParty:
        made.append(RelyingParty(hydra, Listener(), **metadata))
        return made[-1]

    yield new
    for relying_party in made:
        relying_party.listener.close()
        hydra.call("DELETE", f"/clients/{relying_party.client_id}")


@pytest.fixture
def rp(new_rp: NewRelyingParty) -> RelyingParty:
    return new_rp()


@pytest.fixture
def new_browser(hydra: Hydra) -> Callable[[], Browser]:
    return lambda: Browser(hydra)


@pytest.fixture
def browser(new_browser: Callable[[], Browser]) -> Browser:
    return new_browser()


# Kratos


@pytest.fixture(scope="session")
def kratos() -> Kratos:
    return Kratos(*(os.environ[name].rstrip("/") for name in VARIABLES["kratos"]))


@pytest.fixture
def new_user(kratos: Kratos) -> Iterator[Callable[[str], User]]:
    """Make identities that no other test uses. Delete them from Kratos afterwards."""
    made: list[User] = []

    def new(name: str) -> User:
        made.append(User.make(kratos, name))
        return made[-1]

    yield new
    for user in made:
        kratos.manage("DELETE", f"/identities/{user.id}")


@pytest.fixture
def amber(new_user: Callable[[str], User]) -> User:
    return new_user("amber")


@pytest.fixture
def birch(new_user: Callable[[str], User]) -> User:
    return new_user("birch")


@pytest.fixture
def kratos_browser(kratos: Kratos, amber: User) -> KratosBrowser:
    """Amber's browser, signed in."""
    return KratosBrowser(kratos).sign_in(amber)


@pytest.fixture
def native(kratos: Kratos, amber: User) -> Native:
    """Amber's native application, signed in."""
    return Native(kratos, amber)


@pytest.fixture
def above_aal1(kratos: Kratos, new_user: Callable[[str], User]) -> None:
    """Skip if whoami accepts one factor."""
    if not kratos.requires_second_factor(new_user("cedar")):
        pytest.skip("this Kratos is configured without session.whoami.required_aal: highest_available")
