"""A site with Hydra, which has Kratos as its login page: one logout ends all three sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from .browser import Browser
from .kratos import KratosDeployment, open_kratos_deployment
from .site import CLIENT_ID, eventually

pytestmark = pytest.mark.e2e

Browsers = Callable[[], Browser]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[KratosDeployment]:
    with open_kratos_deployment(tmp_path_factory.mktemp("deployment"), migrated, through_hydra=True) as deployment:
        # A first-party client, for which Hydra's logout page shows no question.
        deployment.kratos.hydra.order("client", client_id=CLIENT_ID, skip_logout_consent=True)
        yield deployment


def log_out(deployment: KratosDeployment, browser: Browser) -> None:
    """One click on the logout button, and back at the site."""
    deployment.site.log_out(browser)
    deployment.kratos.hydra.leave(browser)
    assert browser.url == deployment.site.path("/"), f"{browser.url} ({browser.status}):\n{browser.text}"
    assert browser.status == requests.codes.ok


def is_asked_for_the_password(deployment: KratosDeployment, browser: Browser) -> bool:
    """Whether the next sign-in at the site, in the same browser, requires the password."""
    return "Sign in at Kratos" in browser.open(deployment.site.path("/auth/login/")).text


def test_hydra_signs_in_and_the_subject_is_the_identity(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.sign_in(browser, "amber")

    whoami = deployment.site.whoami(browser)
    assert whoami
    assert whoami["issuer"] == deployment.kratos.hydra.issuer
    (session,) = deployment.kratos.order("sessions")["sessions"]
    assert whoami["subject"] == session["identity"]["id"]
    assert whoami["sid"] != session["id"]


def test_one_click_ends_only_this_users_sessions_here_at_kratos_and_at_hydra(
    deployment: KratosDeployment, browsers: Browsers
) -> None:
    laptop, phone, birch = (deployment.sign_in(browsers(), user) for user in ("amber", "amber", "birch"))

    log_out(deployment, laptop)

    assert not deployment.site.signed_in(laptop)
    assert not deployment.kratos.is_signed_in(laptop)
    assert is_asked_for_the_password(deployment, laptop)
    assert all(deployment.site.signed_in(browser) for browser in (phone, birch))
    assert all(deployment.kratos.is_signed_in(browser) for browser in (phone, birch))
    deployment.kratos.choose(laptop, "birch")
    assert deployment.site.signed_in(laptop)


def test_a_kratos_session_that_hydra_does_not_know_ends_with_the_click_too(
    deployment: KratosDeployment, browser: Browser
) -> None:
    """After a logout at Kratos alone and a new sign-in, Hydra would end the Kratos session that has already ended."""
    deployment.sign_in(browser, "amber")
    browser.open(f"{deployment.kratos.url}/welcome").follow("Sign out only at Kratos")
    deployment.kratos.choose(browser.open(deployment.site.path("/auth/login/")).press("Sign in again"), "amber")
    assert deployment.site.signed_in(browser)
    assert deployment.kratos.is_signed_in(browser)

    log_out(deployment, browser)

    assert not deployment.kratos.is_signed_in(browser)
    assert is_asked_for_the_password(deployment, browser)


def test_while_kratos_is_down_the_click_ends_the_rest_and_the_page_reports_it(
    deployment: KratosDeployment, browser: Browser
) -> None:
    deployment.sign_in(browser, "amber")

    with deployment.kratos.answering(503):
        deployment.site.log_out(browser)
        deployment.kratos.hydra.leave(browser)
        assert "could not notify" in browser.text

    assert not deployment.site.signed_in(browser)
    assert is_asked_for_the_password(deployment, browser)


def test_a_logout_at_hydra_ends_the_session_here_and_at_kratos(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.sign_in(browser, "amber")

    deployment.kratos.hydra.log_out_there(browser)

    assert deployment.site.soon_signed_out(browser)
    assert eventually(lambda: not deployment.kratos.is_signed_in(browser))


def test_a_logout_at_kratos_alone_sends_no_notice(deployment: KratosDeployment, browser: Browser) -> None:
    deployment.sign_in(browser, "amber")

    browser.open(f"{deployment.kratos.url}/welcome").follow("Sign out only at Kratos")

    assert deployment.site.signed_in(browser)
