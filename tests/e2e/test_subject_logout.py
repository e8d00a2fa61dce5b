"""oidc-provider without ``sid`` in its tokens: a logout token names the subject, and means all of their sessions."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .browser import Browser
from .providers import OidcProvider, serve_oidc_provider
from .world import World, open_world

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[World[OidcProvider]]:
    without_sid = partial(serve_oidc_provider, with_sid=False)
    with open_world(without_sid, tmp_path_factory.mktemp("world"), migrated) as world:
        yield world


def test_a_logout_at_the_provider_ends_all_sessions_of_its_subject_and_nobody_elses(
    world: World[OidcProvider], browsers: Browsers
) -> None:
    laptop, phone, birch = (world.sign_in(browsers(), person) for person in ("amber", "amber", "birch"))
    signed_in = world.site.whoami(phone)
    assert signed_in
    assert signed_in["sid"] is None

    world.provider.log_out_there(laptop)

    assert world.site.soon_signed_out(laptop)
    assert world.site.soon_signed_out(phone)
    assert world.site.signed_in(birch)
