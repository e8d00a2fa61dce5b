"""A site with Kratos only: users in browsers, and a program without a browser."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from .browser import SECONDS, Browser
from .kratos import KratosDeployment, open_kratos_deployment
from .processes import ROOT, environment

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]

WORLDS = [
    pytest.param({"engine": "db"}, id="db"),
    pytest.param({"engine": "signed_cookies", "asgi": True}, id="signed_cookies-asgi"),
]


@pytest.fixture(scope="module", params=WORLDS)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[KratosDeployment]:
    with open_kratos_deployment(tmp_path_factory.mktemp("deployment"), migrated, **request.param) as deployment:
        yield deployment


# Sign-in


def test_a_sign_in_returns_to_the_page_that_required_it(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.kratos.choose(browser.open(deployment.site.path("/private/")), "amber")

    assert browser.url == deployment.site.path("/private/")
    assert "you are signed in as Amber" in browser.text


def test_a_user_signed_in_at_kratos_is_signed_in_here(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.kratos.choose(browser.open(f"{deployment.kratos.url}/self-service/login/browser"), "birch")

    assert "Birch" in browser.open(deployment.site.path("/")).text


def test_a_second_factor_is_required_and_then_the_page_is_shown(deployment: KratosDeployment, browser: Browser) -> None:
    shown = deployment.kratos.order("second-factor", identifier="birch@example.com")
    deployment.sign_in(browser, "birch")
    session = deployment.session_of(browser)
    with deployment.kratos.asking_for_a_second_factor():
        assert deployment.site.soon_refused(browser) == "session_aal2_required"

        browser.open(deployment.site.path("/private/")).follow("Continue")
        browser.press("Continue", totp_code=shown["totp_code"])

        assert browser.url == deployment.site.path("/private/")
        assert deployment.session_of(browser) == session


# Logout


def test_the_logout_button_ends_only_this_session_here_and_at_kratos(
    deployment: KratosDeployment, browsers: Browsers
) -> None:
    laptop, phone, birch = (deployment.sign_in(browsers(), user) for user in ("amber", "amber", "birch"))

    deployment.site.log_out(laptop)

    assert "Nobody is signed in" in laptop.text
    assert not deployment.site.signed_in(laptop)
    assert not deployment.kratos.is_signed_in(laptop)
    assert deployment.site.signed_in(phone)
    assert deployment.site.signed_in(birch)
    assert "Sign in at Kratos" in laptop.open(deployment.site.path("/private/")).text


def test_the_logout_link_ends_both_sessions_too(deployment: KratosDeployment, browsers: Browsers) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")

    laptop.open(deployment.site.path("/")).follow("Log out by a plain link")

    assert not deployment.site.signed_in(laptop)
    assert not deployment.kratos.is_signed_in(laptop)
    assert deployment.site.signed_in(phone)


def test_a_logout_at_kratos_ends_the_session_here(deployment: KratosDeployment, browsers: Browsers) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")

    laptop.open(f"{deployment.kratos.url}/welcome").follow("Sign out only at Kratos")

    assert not deployment.site.signed_in(laptop)
    assert deployment.site.signed_in(phone)


def test_only_a_session_that_an_administrator_disables_ends_here(
    deployment: KratosDeployment, browsers: Browsers
) -> None:
    laptop, phone = deployment.sign_in(browsers(), "amber"), deployment.sign_in(browsers(), "amber")

    deployment.kratos.end(deployment.session_of(laptop))

    assert deployment.site.soon_signed_out(laptop)
    assert deployment.site.signed_in(phone)


def test_a_logout_that_kratos_does_not_confirm_is_in_force_here(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.sign_in(browser, "amber")

    with deployment.kratos.answering(503):
        deployment.site.log_out(browser)
        assert "could not notify" in browser.text

    assert deployment.kratos.is_signed_in(browser)
    assert not deployment.site.signed_in(browser)
    assert "Sign in at Kratos" in browser.open(deployment.site.path("/private/")).text
    assert not deployment.kratos.is_signed_in(browser)
    deployment.kratos.choose(browser, "amber")
    assert deployment.site.signed_in(browser)


def test_nobody_is_signed_out_while_kratos_does_not_answer(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.sign_in(browser, "amber")

    with deployment.kratos.answering(503, "/sessions/whoami"):
        assert deployment.site.soon_unavailable(browser)

    assert deployment.site.signed_in(browser)


# My sessions


def test_another_session_is_ended_from_the_list(deployment: KratosDeployment, browsers: Browsers) -> None:
    laptop, phone = deployment.sign_in(browsers(), "birch"), deployment.sign_in(browsers(), "birch")
    laptop.open(deployment.site.path("/auth/sessions/")).press("End all others")
    assert not deployment.site.signed_in(phone)
    deployment.sign_in(phone, "birch")

    laptop.open(deployment.site.path("/auth/sessions/")).press("End")

    assert not deployment.site.signed_in(phone)
    assert not deployment.kratos.is_signed_in(phone)
    assert deployment.site.signed_in(laptop)


def test_a_session_that_exists_only_at_kratos_is_listed_too(deployment: KratosDeployment, browsers: Browsers) -> None:
    laptop, phone = deployment.sign_in(browsers(), "birch"), browsers()
    laptop.open(deployment.site.path("/auth/sessions/")).press("End all others")
    deployment.kratos.choose(phone.open(f"{deployment.kratos.url}/self-service/login/browser"), "birch")

    laptop.open(deployment.site.path("/auth/sessions/"))
    assert "Other sessions of the same account" in laptop.text
    laptop.press("End")

    assert not deployment.kratos.is_signed_in(phone)


# Without a browser


def native(deployment: KratosDeployment, password: str) -> subprocess.CompletedProcess[str]:
    urls = ["--site-url", deployment.site.url, "--kratos-url", deployment.kratos.url]
    command = [sys.executable, "-m", "example_project.native", "amber@example.com", *urls]
    env = environment(KRATOS_PASSWORD=password)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_native_example_signs_in_and_out_and_ends_no_other_session(
    deployment: KratosDeployment, browser: Browser
) -> None:
    deployment.sign_in(browser, "amber")

    run = native(deployment, "amber")

    assert (run.returncode, run.stderr) == (0, "")
    assert "Amber" in run.stdout
    assert "The token             is not accepted" in run.stdout
    newest = deployment.kratos.order("sessions")["sessions"][-1]
    assert newest["devices"][0]["user_agent"].startswith("python-requests/")
    assert newest["id"] in run.stdout
    assert newest["active"] is False
    assert deployment.site.signed_in(browser)


def test_the_native_example_prints_the_error_of_kratos(deployment: KratosDeployment) -> None:
    run = native(deployment, "wrong")

    assert run.returncode == 1
    assert run.stderr.startswith("The provided credentials are invalid")


def test_the_native_example_fails_if_the_token_is_active_after_the_logout(deployment: KratosDeployment) -> None:
    with deployment.kratos.answering(503, "/self-service/logout/api"):
        run = native(deployment, "amber")

    assert run.returncode == 1
    assert run.stderr == f"{deployment.site.path('/auth/kratos/logout/api/')} answers 503, not 204.\n"


def test_a_request_with_a_token_gets_no_cookie(deployment: KratosDeployment) -> None:
    flow = requests.get(f"{deployment.kratos.url}/self-service/login/api", timeout=SECONDS).json()
    answer = {"method": "password", "identifier": "amber@example.com", "password": "amber"}
    token = requests.post(flow["ui"]["action"], json=answer, timeout=SECONDS).json()["session_token"]

    response = requests.get(deployment.site.path("/profile/"), headers={"X-Session-Token": token}, timeout=SECONDS)

    assert response.status_code == requests.codes.ok
    assert response.cookies.get_dict() == {}


# The example's own pages for Kratos


def own_page(deployment: KratosDeployment, browser: Browser, url: str) -> Browser:
    """The site's page for the same flow, in place of the embedded Kratos' page."""
    return browser.open(deployment.site.path(f"/kratos/login/?{browser.open(url).query}"))


def test_a_user_signs_in_with_the_sites_own_page_for_kratos(deployment: KratosDeployment, browser: Browser) -> None:
    own_page(deployment, browser, deployment.site.path("/private/"))
    browser.press("Sign in", identifier="amber@example.com", password="wrong")
    browser.open(deployment.site.path(f"/kratos/login/?{browser.query}"))
    assert "The provided credentials are invalid" in browser.text

    browser.press("Sign in", identifier="amber@example.com", password="amber")

    assert browser.url == deployment.site.path("/private/")


def test_a_flow_of_another_browser_is_not_shown(deployment: KratosDeployment, browsers: Browsers) -> None:
    mine, other = browsers(), browsers()
    own_page(deployment, mine, f"{deployment.kratos.url}/self-service/login/browser")

    other.open(mine.url)

    assert other.url.startswith(f"{deployment.kratos.url}/login?flow=")
    assert other.query != mine.query


def test_an_error_of_kratos_is_shown(deployment: KratosDeployment, browser: Browser) -> None:
    browser.open(f"{deployment.kratos.url}/self-service/login/browser?return_to=https://elsewhere.example/")

    browser.open(deployment.site.path(f"/kratos/error/?{browser.query}"))

    assert browser.status == requests.codes.bad_request
    assert "is not allowed" in browser.text
