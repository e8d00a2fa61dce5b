"""The single-page example in a real Chromium. The other devices of the same users are requests sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .browser import Browser
from .chromium import Chromium, chromium
from .kratos import KratosDeployment, open_kratos_deployment

pytestmark = [pytest.mark.e2e, pytest.mark.chromium]

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[KratosDeployment]:
    with open_kratos_deployment(tmp_path_factory.mktemp("deployment"), migrated) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as process:
        yield process


@pytest.fixture
def user_browser(process: Chromium, deployment: KratosDeployment) -> Iterator[Chromium]:
    """A Chromium without cookies. Afterwards, its console must show no error."""
    process.open(deployment.site.path("/spa/"))
    process.driver.delete_all_cookies()
    process.open(deployment.site.path("/spa/"))
    yield process
    assert process.complaints() == []


@pytest.fixture
def amber(user_browser: Chromium, deployment: KratosDeployment) -> Chromium:
    """Chromium on the page, signed in as Amber. From here on, the page must not reload."""
    sign_in(user_browser)
    user_browser.mark()
    return user_browser


def sign_in(user_browser: Chromium) -> None:
    user_browser.press("Sign in")
    user_browser.press("As Amber")
    user_browser.waits_for("Signed in as Amber")


def session_of(deployment: KratosDeployment, user_browser: Chromium) -> str:
    """The session at Kratos of Chromium's cookie."""
    newest = deployment.kratos.order("sessions")["sessions"][-1]
    assert user_browser.sees(newest["id"])
    return str(newest["id"])


def test_nobody_is_signed_in_and_the_button_signs_in(user_browser: Chromium, deployment: KratosDeployment) -> None:
    user_browser.waits_for("Nobody is signed in")

    sign_in(user_browser)

    assert user_browser.driver.current_url == deployment.site.path("/spa/")
    assert user_browser.sees("You have no other sessions.")


def test_a_logout_is_shown_without_a_reload(amber: Chromium, deployment: KratosDeployment) -> None:
    session = session_of(deployment, amber)

    amber.press("Log out")

    amber.waits_for("Nobody is signed in")
    assert amber.sees("You are logged out.")
    assert amber.marked()
    assert [
        listed["active"] for listed in deployment.kratos.order("sessions")["sessions"] if listed["id"] == session
    ] == [False]
    assert amber.driver.get_cookie("ory_kratos_session") is None
    sign_in(amber)


def test_another_session_is_ended_and_then_all_others(
    amber: Chromium, deployment: KratosDeployment, browsers: Browsers
) -> None:
    phone, tablet, desk = (deployment.sign_in(browsers(), "amber") for _ in range(3))
    birch = deployment.sign_in(browsers(), "birch")
    amber.looks_again()
    assert amber.sees("Elsewhere\npython-requests")

    amber.press("End")

    assert amber.sees("That session has ended.")
    assert [deployment.site.signed_in(browser) for browser in (phone, tablet, desk)] == [True, True, False]
    amber.press("End all others")
    assert amber.sees("All others have ended.")
    assert not any(deployment.site.signed_in(browser) for browser in (phone, tablet))
    assert deployment.site.signed_in(birch)
    assert amber.sees("You have no other sessions.")
    assert amber.marked()


def test_a_session_that_ended_elsewhere_is_shown_at_the_next_request(
    amber: Chromium, deployment: KratosDeployment, browsers: Browsers
) -> None:
    phone = deployment.sign_in(browsers(), "amber")
    amber.open(deployment.site.path("/spa/"))
    amber.mark()
    assert amber.sees("python-requests")
    phone.open(deployment.site.path("/auth/sessions/")).press("End all others")

    amber.press("End")

    amber.waits_for("Nobody is signed in")
    assert amber.sees("Your session has ended.")
    assert amber.marked()


def test_a_missing_second_factor_is_a_link_that_returns(amber: Chromium, deployment: KratosDeployment) -> None:
    session = session_of(deployment, amber)
    code = deployment.kratos.order("second-factor", identifier="amber@example.com")["totp_code"]
    with deployment.kratos.asking_for_a_second_factor():
        amber.looks_again_until(lambda: amber.heading == "One more step")
        # Kratos may have reported this for the list, a moment before the page asks it for the user.
        amber.looks_again_until(lambda: amber.link("Continue").startswith(deployment.kratos.url))
        amber.press("Continue")
        amber.fill("totp_code", code)
        amber.press("Continue")

        amber.waits_for("Signed in as Amber")
        assert amber.driver.current_url == deployment.site.path("/spa/")
        assert amber.sees(session)


def test_the_page_says_that_kratos_does_not_answer_and_tries_again(
    amber: Chromium, deployment: KratosDeployment
) -> None:
    with deployment.kratos.answering(503):
        amber.looks_again_until(lambda: amber.heading == "The sign-in service cannot be reached")

    amber.press("Try again")

    amber.waits_for("Signed in as Amber")
    assert amber.marked()


def test_a_logout_ends_the_session_here_while_kratos_does_not_answer(
    amber: Chromium, deployment: KratosDeployment
) -> None:
    with deployment.kratos.answering(503):
        amber.press("Log out")
        assert amber.sees("could not notify")

    amber.open(deployment.site.path("/spa/"))
    amber.waits_for("Nobody is signed in")
    sign_in(amber)


def test_a_logout_that_kratos_does_not_confirm_is_reported(amber: Chromium, deployment: KratosDeployment) -> None:
    with deployment.kratos.answering(503, "/self-service/logout"):
        amber.press("Log out")

        amber.waits_for("Nobody is signed in")
        assert amber.sees("The sign-in service could not be told")
        assert amber.marked()
