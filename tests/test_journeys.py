"""The whole journeys through the test site, on every session engine."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.testing import Network, Provider

from .conftest import SiteBrowser

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
NewBrowser = Callable[[], SiteBrowser]

pytestmark = pytest.mark.django_db


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    with override_settings(
        SESSION_ENGINE=f"django.contrib.sessions.backends.{request.param}", SESSION_FILE_PATH=str(tmp_path)
    ):
        yield request.param


def deliver(browser: SiteBrowser, deliveries: list[Any]) -> list[int]:
    """Bring ``deliveries`` to the site; the answers' statuses."""
    path = "/auth/logout/backchannel/"
    return [browser.post(path, delivery.form, **FORM).status_code for delivery in map(_encoded, deliveries)]


FORM: dict[str, Any] = {"content_type": "application/x-www-form-urlencoded"}


def _encoded(delivery: Any) -> Any:
    from types import SimpleNamespace
    from urllib.parse import urlencode

    return SimpleNamespace(form=urlencode(delivery.form))


def test_sign_in(browser: SiteBrowser, network: Network) -> None:
    answer = browser.sign_in("amber", next="/private/")

    assert answer.status_code == 302, answer.content
    assert answer["Location"] == "/private/"
    assert browser.user is not None
    assert browser.user["subject"] == "amber"
    assert LoginSession.objects.count() == 1


def test_warm_sign_in_makes_one_call(browser: SiteBrowser, new_browser: NewBrowser, network: Network) -> None:
    browser.sign_in()
    network.calls.clear()

    new_browser().sign_in()

    assert [call.url for call in network.calls] == ["https://op.example/oauth2/token"]


def test_back_channel_by_sid_ends_that_session_alone(new_browser: NewBrowser, provider: Provider) -> None:
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")
    assert first.user
    assert second.user

    statuses = deliver(new_browser(), provider.end(first.user["sid"]))

    assert statuses == [200]
    assert first.user is None
    assert second.user
    assert LogoutReceipt.objects.get().completed_at


def test_back_channel_by_subject_ends_all_of_that_person(new_browser: NewBrowser, provider: Provider) -> None:
    first, second, other = new_browser(), new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")
    other.sign_in("birch")

    assert deliver(new_browser(), provider.end_subject("amber")) == [200]

    assert first.user is None
    assert second.user is None
    assert other.user


def test_rp_initiated(new_browser: NewBrowser, provider: Provider) -> None:
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")

    answer = first.post("/auth/logout/", {"next": "/bye/"})

    assert answer.status_code == 302
    assert answer["Location"].startswith("https://op.example/oauth2/sessions/logout?id_token_hint=")
    assert first.user is None
    assert second.user


def test_overtaken_sign_in_is_refused(browser: SiteBrowser, new_browser: NewBrowser, provider: Provider) -> None:
    provider.before_token_response = lambda session: deliver(new_browser(), provider.end(session.sid))

    answer = browser.sign_in("amber")

    assert answer.status_code == 409
    assert browser.user is None
    assert LoginSession.objects.count() == 0


def test_front_channel(browser: SiteBrowser, new_browser: NewBrowser) -> None:
    browser.sign_in("amber")
    assert browser.user

    answer = new_browser().get("/auth/logout/frontchannel/", {"iss": "https://op.example", "sid": browser.user["sid"]})

    assert answer.status_code == 200
    assert answer["Content-Security-Policy"] == "frame-ancestors https://op.example"
    assert "X-Frame-Options" not in answer
    assert browser.user is None


def test_async_view(browser: SiteBrowser) -> None:
    browser.sign_in()

    assert browser.get("/private-async/").status_code == 200
