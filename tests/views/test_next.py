"""No view redirects to a ``next`` that is no page of this site."""

from typing import Any
from urllib.parse import urlencode

import pytest

from django_ory_logout.testing import Network

from ..conftest import SiteBrowser, query_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _start_pages(settings: Any) -> None:
    settings.LOGIN_REDIRECT_URL, settings.LOGOUT_REDIRECT_URL = "/in/", "/out/"


NOWHERE = ["//", "///", "////", "///x", "/\\", "/\\x", "\\/", "\\\\", " //", "/\t/x", "\x00//", "//?", "//#", "/\r\n/x"]


@pytest.mark.parametrize("next_url", NOWHERE)
@pytest.mark.parametrize("parameter", ["next", "target_link_uri"])
def test_sign_in_drops_it(parameter: str, next_url: str, browser: SiteBrowser, network: Network) -> None:
    callback = network.follow(browser.start(**{parameter: next_url}), "amber")

    assert browser.visit(callback)["Location"] == "/in/"


@pytest.mark.parametrize("next_url", NOWHERE)
def test_logout_without_a_provider_drops_it(next_url: str, browser: SiteBrowser) -> None:
    assert browser.post("/auth/logout/", {"next": next_url})["Location"] == "/out/"


@pytest.mark.parametrize("next_url", NOWHERE)
def test_logout_at_the_provider_drops_it(next_url: str, signed_in: SiteBrowser) -> None:
    state = query_of(signed_in.post("/auth/logout/", {"next": next_url})["Location"])["state"]

    answer = signed_in.get("/auth/logout/callback/", {"state": state})

    assert answer["Location"] == "/out/"


@pytest.mark.parametrize("next_url", NOWHERE)
def test_the_kratos_link_drops_it(next_url: str, browser: SiteBrowser) -> None:
    query = urlencode({"token": "a token", "return_to": next_url})

    assert not browser.get(f"/auth/kratos/logout/?{query}").headers.get("Location", "").startswith("//")
