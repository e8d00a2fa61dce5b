"""The single-page example in a real Chromium. The other devices of the same people are requests sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .browser import Browser
from .chromium import Chromium, chromium
from .kratos import KratosWorld, open_kratos_world

pytestmark = [pytest.mark.e2e, pytest.mark.chromium]

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[KratosWorld]:
    with open_kratos_world(tmp_path_factory.mktemp("world"), migrated) as world:
        yield world


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as process:
        yield process


@pytest.fixture
def person(process: Chromium, world: KratosWorld) -> Iterator[Chromium]:
    """Somebody without cookies, who finds no fault in the console afterwards."""
    process.open(world.site.path("/spa/"))
    process.driver.delete_all_cookies()
    process.open(world.site.path("/spa/"))
    yield process
    assert process.complaints() == []


@pytest.fixture
def amber(person: Chromium, world: KratosWorld) -> Chromium:
    """On the page, signed in; nothing has to be loaded anew from here on."""
    sign_in(person)
    person.mark()
    return person


def sign_in(person: Chromium) -> None:
    person.press("Sign in")
    person.press("As Amber")
    person.waits_for("Signed in as Amber")


def session_of(world: KratosWorld, person: Chromium) -> str:
    """The session at Kratos whose cookie Chromium has."""
    newest = world.kratos.order("sessions")["sessions"][-1]
    assert person.sees(newest["id"])
    return str(newest["id"])


def test_nobody_is_signed_in_and_the_button_signs_in(person: Chromium, world: KratosWorld) -> None:
    person.waits_for("Nobody is signed in")

    sign_in(person)

    assert person.driver.current_url == world.site.path("/spa/")
    assert person.sees("You are signed in nowhere else.")


def test_a_logout_shows_without_a_reload(amber: Chromium, world: KratosWorld) -> None:
    session = session_of(world, amber)

    amber.press("Log out")

    amber.waits_for("Nobody is signed in")
    assert amber.sees("You are logged out.")
    assert amber.marked()
    assert [one["active"] for one in world.kratos.order("sessions")["sessions"] if one["id"] == session] == [False]
    assert amber.driver.get_cookie("ory_kratos_session") is None
    sign_in(amber)


def test_another_session_is_ended_and_then_all_others(amber: Chromium, world: KratosWorld, browsers: Browsers) -> None:
    phone, tablet, desk = (world.sign_in(browsers(), "amber") for _ in range(3))
    birch = world.sign_in(browsers(), "birch")
    amber.looks_again()
    assert amber.sees("Elsewhere\npython-requests")

    amber.press("End")

    assert amber.sees("That session has ended.")
    assert [world.site.signed_in(one) for one in (phone, tablet, desk)] == [True, True, False]
    amber.press("End all others")
    assert amber.sees("All others have ended.")
    assert not any(world.site.signed_in(one) for one in (phone, tablet))
    assert world.site.signed_in(birch)
    assert amber.sees("You are signed in nowhere else.")
    assert amber.marked()


def test_a_session_that_ended_elsewhere_shows_as_soon_as_something_is_asked(
    amber: Chromium, world: KratosWorld, browsers: Browsers
) -> None:
    phone = world.sign_in(browsers(), "amber")
    amber.open(world.site.path("/spa/"))
    amber.mark()
    assert amber.sees("python-requests")
    phone.open(world.site.path("/auth/sessions/")).press("End all others")

    amber.press("End")

    amber.waits_for("Nobody is signed in")
    assert amber.sees("Your session has ended.")
    assert amber.marked()


def test_a_missing_second_factor_is_a_link_that_leads_back(amber: Chromium, world: KratosWorld) -> None:
    session = session_of(world, amber)
    code = world.kratos.order("second-factor", identifier="amber@example.com")["totp_code"]
    with world.kratos.asking_for_a_second_factor():
        amber.looks_again_until(lambda: amber.heading == "One more step")
        # Kratos may have said so when it was asked for the list, a moment before it is asked who it is.
        amber.looks_again_until(lambda: amber.link("Continue").startswith(world.kratos.url))
        amber.press("Continue")
        amber.fill("totp_code", code)
        amber.press("Continue")

        amber.waits_for("Signed in as Amber")
        assert amber.driver.current_url == world.site.path("/spa/")
        assert amber.sees(session)


def test_while_kratos_is_silent_the_page_says_so_and_tries_again(amber: Chromium, world: KratosWorld) -> None:
    with world.kratos.answering(503):
        amber.looks_again_until(lambda: amber.heading == "The sign-in service cannot be reached")

    amber.press("Try again")

    amber.waits_for("Signed in as Amber")
    assert amber.marked()


def test_while_kratos_is_silent_a_logout_ends_the_session_here_all_the_same(
    amber: Chromium, world: KratosWorld
) -> None:
    with world.kratos.answering(503):
        amber.press("Log out")
        assert amber.sees("could not notify")

    amber.open(world.site.path("/spa/"))
    amber.waits_for("Nobody is signed in")
    sign_in(amber)


def test_a_logout_that_kratos_does_not_hear_of_is_told(amber: Chromium, world: KratosWorld) -> None:
    with world.kratos.answering(503, "/self-service/logout"):
        amber.press("Log out")

        amber.waits_for("Nobody is signed in")
        assert amber.sees("The sign-in service could not be told")
        assert amber.marked()
