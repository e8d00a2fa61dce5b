"""A site that signs in at a Hydra whose login page Kratos is: one logout for all three."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from .browser import Browser
from .kratos import KratosWorld, open_kratos_world
from .site import CLIENT_ID, eventually

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[KratosWorld]:
    with open_kratos_world(tmp_path_factory.mktemp("world"), migrated, through_hydra=True) as world:
        # A client of one's own: Hydra's logout page does not ask.
        world.kratos.hydra.order("client", client_id=CLIENT_ID, skip_logout_consent=True)
        yield world


def log_out(world: KratosWorld, browser: Browser) -> None:
    """One click, and back at the site."""
    world.site.log_out(browser)
    world.kratos.hydra.leave(browser)
    assert browser.url == world.site.path("/"), f"{browser.url} ({browser.status}):\n{browser.text}"
    assert browser.status == requests.codes.ok


def is_asked_for_the_password(world: KratosWorld, browser: Browser) -> bool:
    """By the next sign-in at the site, in the same browser."""
    return "Sign in at Kratos" in browser.open(world.site.path("/auth/login/")).text


def test_the_site_knows_the_person_by_hydra_and_the_subject_is_the_identity(
    world: KratosWorld, browser: Browser
) -> None:
    world.sign_in(browser, "amber")

    whoami = world.site.whoami(browser)
    assert whoami
    assert whoami["issuer"] == world.kratos.hydra.issuer
    (session,) = world.kratos.order("sessions")["sessions"]
    assert whoami["subject"] == session["identity"]["id"]
    assert whoami["sid"] != session["id"]


def test_one_click_ends_the_session_here_at_kratos_and_at_hydra_and_nobody_elses(
    world: KratosWorld, browsers: Browsers
) -> None:
    laptop, phone, birch = (world.sign_in(browsers(), person) for person in ("amber", "amber", "birch"))

    log_out(world, laptop)

    assert not world.site.signed_in(laptop)
    assert not world.kratos.is_signed_in(laptop)
    assert is_asked_for_the_password(world, laptop)
    assert all(world.site.signed_in(browser) for browser in (phone, birch))
    assert all(world.kratos.is_signed_in(browser) for browser in (phone, birch))
    world.kratos.choose(laptop, "birch")
    assert world.site.signed_in(laptop)


def test_a_kratos_session_that_hydra_does_not_know_ends_with_the_click_too(
    world: KratosWorld, browser: Browser
) -> None:
    """After a logout at Kratos alone and a new sign-in, Hydra would end the Kratos session that is dead already."""
    world.sign_in(browser, "amber")
    browser.open(f"{world.kratos.url}/welcome").follow("Sign out at Kratos alone")
    world.kratos.choose(browser.open(world.site.path("/auth/login/")).press("Sign in again"), "amber")
    assert world.site.signed_in(browser)
    assert world.kratos.is_signed_in(browser)

    log_out(world, browser)

    assert not world.kratos.is_signed_in(browser)
    assert is_asked_for_the_password(world, browser)


def test_while_kratos_is_away_the_click_ends_the_rest_and_the_person_is_told(
    world: KratosWorld, browser: Browser
) -> None:
    world.sign_in(browser, "amber")

    with world.kratos.answering(503):
        world.site.log_out(browser)
        world.kratos.hydra.leave(browser)
        assert "could not notify" in browser.text

    assert not world.site.signed_in(browser)
    assert is_asked_for_the_password(world, browser)


def test_a_logout_at_hydra_ends_the_session_here_and_at_kratos(world: KratosWorld, browser: Browser) -> None:
    world.sign_in(browser, "amber")

    world.kratos.hydra.log_out_there(browser)

    assert world.site.soon_signed_out(browser)
    assert eventually(lambda: not world.kratos.is_signed_in(browser))


def test_a_logout_at_kratos_alone_is_told_to_nobody(world: KratosWorld, browser: Browser) -> None:
    world.sign_in(browser, "amber")

    browser.open(f"{world.kratos.url}/welcome").follow("Sign out at Kratos alone")

    assert world.site.signed_in(browser)
