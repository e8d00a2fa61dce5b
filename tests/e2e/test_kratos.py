"""A site that signs in by Kratos alone: people in browsers, and a program without one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from .browser import SECONDS, Browser
from .kratos import KratosWorld, open_kratos_world
from .processes import ROOT, environment

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]

WORLDS = [
    pytest.param({"engine": "db"}, id="db"),
    pytest.param({"engine": "signed_cookies", "asgi": True}, id="signed_cookies-asgi"),
]


@pytest.fixture(scope="module", params=WORLDS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[KratosWorld]:
    with open_kratos_world(tmp_path_factory.mktemp("world"), migrated, **request.param) as world:
        yield world


# Sign-in


def test_the_page_that_asked_for_sign_in_is_where_it_ends(world: KratosWorld, browser: Browser) -> None:
    world.kratos.choose(browser.open(world.site.path("/private/")), "amber")

    assert browser.url == world.site.path("/private/")
    assert "You are Amber" in browser.text


def test_who_signed_in_at_kratos_is_signed_in_here(world: KratosWorld, browser: Browser) -> None:
    world.kratos.choose(browser.open(f"{world.kratos.url}/self-service/login/browser"), "birch")

    assert "Birch" in browser.open(world.site.path("/")).text


def test_a_second_factor_is_asked_for_and_then_the_page_is_shown(world: KratosWorld, browser: Browser) -> None:
    shown = world.kratos.order("second-factor", identifier="birch@example.com")
    world.sign_in(browser, "birch")
    session = world.session_of(browser)
    with world.kratos.asking_for_a_second_factor():
        assert world.site.soon_refused(browser) == "session_aal2_required"

        browser.open(world.site.path("/private/")).follow("Continue")
        browser.press("Continue", totp_code=shown["totp_code"])

        assert browser.url == world.site.path("/private/")
        assert world.session_of(browser) == session


# Logout


def test_the_logout_button_ends_the_session_here_and_at_kratos_and_nobody_elses(
    world: KratosWorld, browsers: Browsers
) -> None:
    laptop, phone, birch = (world.sign_in(browsers(), person) for person in ("amber", "amber", "birch"))

    world.site.log_out(laptop)

    assert "Nobody is signed in" in laptop.text
    assert not world.site.signed_in(laptop)
    assert not world.kratos.is_signed_in(laptop)
    assert world.site.signed_in(phone)
    assert world.site.signed_in(birch)
    assert "Sign in at Kratos" in laptop.open(world.site.path("/private/")).text


def test_the_logout_link_ends_both_too(world: KratosWorld, browsers: Browsers) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")

    laptop.open(world.site.path("/")).follow("Log out by a plain link")

    assert not world.site.signed_in(laptop)
    assert not world.kratos.is_signed_in(laptop)
    assert world.site.signed_in(phone)


def test_a_logout_at_kratos_alone_ends_the_session_here(world: KratosWorld, browsers: Browsers) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")

    laptop.open(f"{world.kratos.url}/welcome").follow("Sign out at Kratos alone")

    assert not world.site.signed_in(laptop)
    assert world.site.signed_in(phone)


def test_a_session_that_an_administrator_disables_ends_here_and_no_other(
    world: KratosWorld, browsers: Browsers
) -> None:
    laptop, phone = world.sign_in(browsers(), "amber"), world.sign_in(browsers(), "amber")

    world.kratos.end(world.session_of(laptop))

    assert world.site.soon_signed_out(laptop)
    assert world.site.signed_in(phone)


def test_a_logout_that_kratos_does_not_hear_of_ends_here_and_stays_ended(world: KratosWorld, browser: Browser) -> None:
    world.sign_in(browser, "amber")

    with world.kratos.answering(503):
        world.site.log_out(browser)
        assert "could not notify" in browser.text

    assert world.kratos.is_signed_in(browser)
    assert not world.site.signed_in(browser)
    assert "Sign in at Kratos" in browser.open(world.site.path("/private/")).text
    assert not world.kratos.is_signed_in(browser)
    world.kratos.choose(browser, "amber")
    assert world.site.signed_in(browser)


def test_while_kratos_is_silent_nobody_is_signed_out_by_that(world: KratosWorld, browser: Browser) -> None:
    world.sign_in(browser, "amber")

    with world.kratos.answering(503, "/sessions/whoami"):
        assert world.site.soon_unavailable(browser)

    assert world.site.signed_in(browser)


# My sessions


def test_one_other_session_is_ended_from_the_list(world: KratosWorld, browsers: Browsers) -> None:
    laptop, phone = world.sign_in(browsers(), "birch"), world.sign_in(browsers(), "birch")
    laptop.open(world.site.path("/auth/sessions/")).press("End all others")
    assert not world.site.signed_in(phone)
    world.sign_in(phone, "birch")

    laptop.open(world.site.path("/auth/sessions/")).press("End")

    assert not world.site.signed_in(phone)
    assert not world.kratos.is_signed_in(phone)
    assert world.site.signed_in(laptop)


def test_a_session_that_only_kratos_has_is_in_the_list_too(world: KratosWorld, browsers: Browsers) -> None:
    laptop, phone = world.sign_in(browsers(), "birch"), browsers()
    laptop.open(world.site.path("/auth/sessions/")).press("End all others")
    world.kratos.choose(phone.open(f"{world.kratos.url}/self-service/login/browser"), "birch")

    laptop.open(world.site.path("/auth/sessions/"))
    assert "Other sessions of the same account" in laptop.text
    laptop.press("End")

    assert not world.kratos.is_signed_in(phone)


# Without a browser


def native(world: KratosWorld, password: str) -> subprocess.CompletedProcess[str]:
    urls = ["--site-url", world.site.url, "--kratos-url", world.kratos.url]
    command = [sys.executable, "-m", "example_project.native", "amber@example.com", *urls]
    env = environment(KRATOS_PASSWORD=password)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_native_example_signs_in_and_out_and_ends_nobody_elses_session(
    world: KratosWorld, browser: Browser
) -> None:
    world.sign_in(browser, "amber")

    run = native(world, "amber")

    assert (run.returncode, run.stderr) == (0, "")
    assert "Amber" in run.stdout
    assert "The token             is dead" in run.stdout
    newest = world.kratos.order("sessions")["sessions"][-1]
    assert newest["devices"][0]["user_agent"].startswith("python-requests/")
    assert newest["id"] in run.stdout
    assert newest["active"] is False
    assert world.site.signed_in(browser)


def test_the_native_example_says_what_kratos_says(world: KratosWorld) -> None:
    run = native(world, "wrong")

    assert run.returncode == 1
    assert run.stderr.startswith("The provided credentials are invalid")


def test_the_native_example_fails_where_the_token_outlives_the_logout(world: KratosWorld) -> None:
    with world.kratos.answering(503, "/self-service/logout/api"):
        run = native(world, "amber")

    assert run.returncode == 1
    assert run.stderr == f"{world.site.path('/auth/kratos/logout/api/')} answers 503, not 204.\n"


def test_a_token_is_answered_without_cookies(world: KratosWorld) -> None:
    flow = requests.get(f"{world.kratos.url}/self-service/login/api", timeout=SECONDS).json()
    answer = {"method": "password", "identifier": "amber@example.com", "password": "amber"}
    token = requests.post(flow["ui"]["action"], json=answer, timeout=SECONDS).json()["session_token"]

    response = requests.get(world.site.path("/profile/"), headers={"X-Session-Token": token}, timeout=SECONDS)

    assert response.status_code == requests.codes.ok
    assert response.cookies.get_dict() == {}


# The example's own pages for Kratos


def own_page(world: KratosWorld, browser: Browser, url: str) -> Browser:
    """The site's page in place of the embedded Kratos' own, for the same flow."""
    return browser.open(world.site.path(f"/kratos/login/?{browser.open(url).query}"))


def test_a_person_signs_in_by_the_sites_own_page_for_kratos(world: KratosWorld, browser: Browser) -> None:
    own_page(world, browser, world.site.path("/private/"))
    browser.press("Sign in", identifier="amber@example.com", password="wrong")
    browser.open(world.site.path(f"/kratos/login/?{browser.query}"))
    assert "The provided credentials are invalid" in browser.text

    browser.press("Sign in", identifier="amber@example.com", password="amber")

    assert browser.url == world.site.path("/private/")


def test_a_flow_of_another_browser_is_not_shown(world: KratosWorld, browsers: Browsers) -> None:
    mine, other = browsers(), browsers()
    own_page(world, mine, f"{world.kratos.url}/self-service/login/browser")

    other.open(mine.url)

    assert other.url.startswith(f"{world.kratos.url}/login?flow=")
    assert other.query != mine.query


def test_what_kratos_refuses_is_shown(world: KratosWorld, browser: Browser) -> None:
    browser.open(f"{world.kratos.url}/self-service/login/browser?return_to=https://elsewhere.example/")

    browser.open(world.site.path(f"/kratos/error/?{browser.query}"))

    assert browser.status == requests.codes.bad_request
    assert "is not allowed" in browser.text
