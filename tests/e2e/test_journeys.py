"""The central journeys, the same for both providers, every session engine, WSGI and ASGI."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .browser import Browser
from .providers import Provider, serve_embedded, serve_oidc_provider
from .world import World, open_world

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]

WORLDS = [
    pytest.param((serve_embedded, {"engine": "db"}), id="embedded-db"),
    pytest.param((serve_embedded, {"engine": "cached_db"}), id="embedded-cached_db"),
    pytest.param((serve_embedded, {"engine": "cache"}), id="embedded-cache"),
    pytest.param((serve_embedded, {"engine": "file"}), id="embedded-file"),
    pytest.param((serve_embedded, {"engine": "signed_cookies"}), id="embedded-signed_cookies"),
    pytest.param((serve_embedded, {"asgi": True}), id="embedded-asgi"),
    pytest.param((serve_oidc_provider, {"engine": "db"}), id="oidc-provider"),
]


@pytest.fixture(scope="module", params=WORLDS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[World[Provider]]:
    serve_provider, serving = request.param
    with open_world(serve_provider, tmp_path_factory.mktemp("world"), migrated, **serving) as world:
        yield world


def test_nobody_is_signed_in_before_the_first_sign_in(world: World[Provider], browser: Browser) -> None:
    assert not world.site.signed_in(browser)
    assert browser.open(world.site.path("/")).status == 200


def test_the_page_that_asked_for_sign_in_is_where_it_ends(world: World[Provider], browser: Browser) -> None:
    world.provider.choose(browser.open(world.site.path("/private/")), "amber")

    assert browser.url == world.site.path("/private/")
    assert browser.status == 200


def test_logging_out_in_one_browser_leaves_somebody_else_signed_in(world: World[Provider], browsers: Browsers) -> None:
    amber, birch = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "birch")

    world.log_out(amber)

    assert not world.site.signed_in(amber)
    assert world.site.signed_in(birch)


def test_logging_out_in_one_browser_leaves_the_same_person_signed_in_elsewhere(
    world: World[Provider], browsers: Browsers
) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")

    world.log_out(laptop)

    assert not world.site.signed_in(laptop)
    assert world.site.signed_in(phone)


def test_the_session_has_ended_before_the_provider_asks_for_confirmation(
    world: World[Provider], browser: Browser
) -> None:
    world.sign_in(browser, "amber")

    world.site.log_out(browser)

    assert browser.url.startswith(world.provider.issuer)
    assert not world.site.signed_in(browser)


def test_a_logout_at_the_provider_ends_the_session_of_its_sid_alone(world: World[Provider], browsers: Browsers) -> None:
    laptop, phone, birch = (world.sign_in(browsers(), person) for person in ("amber", "amber", "birch"))

    world.provider.log_out_there(laptop)

    assert world.site.soon_signed_out(laptop)
    assert world.site.signed_in(phone)
    assert world.site.signed_in(birch)


def test_a_logout_at_the_provider_ends_every_session_that_shares_its_sid(
    world: World[Provider], browsers: Browsers
) -> None:
    first, second = world.sign_in(browsers(), "amber"), browsers()
    second.take_cookies(first, of=world.provider.issuer)
    second.open(world.site.path("/auth/login/"))
    assert world.site.signed_in(second)

    world.provider.log_out_there(first)

    assert world.site.soon_signed_out(first)
    assert world.site.soon_signed_out(second)


def test_after_a_logout_the_same_browser_signs_in_as_somebody_else(world: World[Provider], browser: Browser) -> None:
    world.log_out(world.sign_in(browser, "amber"))

    world.sign_in(browser, "birch")

    assert world.site.signed_in(browser)
