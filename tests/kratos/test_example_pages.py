"""The example project's pages for Kratos: what they request, and what they show if Kratos does not answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_ory_logout.testing import KratosNetwork
from django_ory_logout.testing.kratos import Session
from example_project import kratos as pages

from ..conftest import SiteBrowser
from .conftest import COOKIE, PUBLIC_URL

TEMPLATES = Path(pages.__file__).parent / "templates"
FLOW = "/self-service/settings/flows"
ERRORS = "/self-service/errors"
PAGES = {FLOW: "/kratos/settings/", ERRORS: "/kratos/error/"}

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.kratos.example_urls")]
each_page = pytest.mark.parametrize("path", PAGES)


@pytest.fixture(autouse=True)
def _example(settings: Any, without_login_wall: None) -> None:
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [TEMPLATES]}]


@pytest.fixture
def browser(browser_of: Callable[..., SiteBrowser], session: Session) -> SiteBrowser:
    """A browser with the cookies of the site and of Kratos."""
    browser = browser_of(session)
    browser.cookies["sessionid"] = browser.cookies["csrftoken"] = "the site's"
    browser.cookies["csrf_token_of_kratos"] = "kratos'"
    return browser


@each_page
def test_kratos_receives_only_its_own_cookies(
    browser: SiteBrowser, kratos_network: KratosNetwork, session: Session, path: str
) -> None:
    browser.get(PAGES[path], {"flow": "unknown"})

    (call,) = [call for call in kratos_network.calls if call.url.startswith(PUBLIC_URL + path)]
    cookies = dict(pair.split("=", 1) for pair in call.headers["Cookie"].split("; "))
    assert cookies == {COOKIE: session.cookie, "csrf_token_of_kratos": "kratos'"}


def test_a_page_without_a_flow_starts_one(browser: SiteBrowser) -> None:
    answer = browser.get(PAGES[FLOW], {"flow": "unknown"})

    assert (answer.status_code, answer["Location"]) == (302, f"{PUBLIC_URL}/self-service/settings/browser")


@each_page
@pytest.mark.parametrize("fault", ["down", "slow", "fault", "no document"])
def test_a_page_reports_that_kratos_does_not_answer(
    browser: SiteBrowser, kratos_network: KratosNetwork, path: str, fault: str
) -> None:
    faults: dict[str, Callable[[], None]] = {
        "down": lambda: kratos_network.down(path),
        "slow": lambda: kratos_network.slow(path),
        "fault": lambda: kratos_network.replace(path, b"{}", status=502),
        "no document": lambda: kratos_network.replace(path, b"<html>"),
    }
    faults[fault]()

    answer = browser.get(PAGES[path], {"flow": "any"})

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert pages.UNAVAILABLE["reason"] in answer.content.decode()
