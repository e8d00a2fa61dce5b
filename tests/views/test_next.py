"""No view redirects to a ``next`` that is no page of this site."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.urls import reverse_lazy

from django_ory_logout.testing import Network

from ..conftest import Logged, SiteBrowser, query_of
from .pages import assert_page

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


@pytest.mark.parametrize("value", ["dashboard", reverse_lazy("dashboard"), None])
def test_sign_in_where_login_redirect_url_names_no_page(
    browser: SiteBrowser, settings: Any, logged: Logged, value: Any
) -> None:
    settings.LOGIN_REDIRECT_URL = value

    assert browser.sign_in()["Location"] == "/"
    assert browser.user
    assert '<a class="button" href="/">Continue</a>' in browser.get("/auth/login/").text
    said = "'dashboard'" if isinstance(value, str) else "<lazy text>"
    expected = [] if value is None else [f"LOGIN_REDIRECT_URL is {said}, which names no page"]
    assert logged() == expected * 2


def test_logout_where_logout_redirect_url_names_no_page(signed_in: SiteBrowser, settings: Any, logged: Logged) -> None:
    settings.LOGOUT_REDIRECT_URL = "bye"
    state = query_of(signed_in.post("/auth/logout/")["Location"])["state"]

    assert_page(signed_in.get("/auth/logout/callback/", {"state": state}), 200, "You are logged out")
    assert_page(signed_in.post("/auth/logout/"), 200, "You are logged out")
    assert logged() == ["LOGOUT_REDIRECT_URL is 'bye', which names no page"] * 2


@pytest.mark.parametrize("next_url", NOWHERE)
def test_the_kratos_link_drops_it(next_url: str, browser: SiteBrowser) -> None:
    query = urlencode({"token": "a token", "return_to": next_url})

    assert not browser.get(f"/auth/kratos/logout/?{query}").headers.get("Location", "").startswith("//")
