"""Requests that anyone can repeat cost one log line in a minute."""

import logging
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings

from django_ory_logout.sessions import events
from django_ory_logout.testing import Network, Provider

from ..conftest import SiteBrowser

pytestmark = pytest.mark.django_db

BACK, FRONT = "/auth/logout/backchannel/", "/auth/logout/frontchannel/"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """All log lines, Django's own too."""
    caplog.set_level(logging.INFO)
    return lambda: [
        record.getMessage() for record in caplog.records if record.name in {"django.request", "django_ory_logout"}
    ]


@pytest.fixture
def browser(browser: SiteBrowser) -> SiteBrowser:
    browser.raise_request_exception = False
    return browser


def send(browser: SiteBrowser, **form: str) -> Any:
    return browser.post(BACK, urlencode(form), content_type="application/x-www-form-urlencoded")


def test_forged_notices_cost_one_line(browser: SiteBrowser, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        assert send(browser, logout_token=f"forged {number}").status_code == 400
    assert lines() == ["back-channel logout refused: malformed: not a signed JWT in compact form"]

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + events.LINE_SECONDS)
    send(browser, logout_token="forged")

    assert lines()[1:] == [
        "back-channel logout refused: malformed: not a signed JWT in compact form (and 49 more since the line before)"
    ]


def test_each_kind_of_refusal_has_its_line(browser: SiteBrowser, lines: Any) -> None:
    for _ in range(3):
        send(browser, logout_token="forged")
        send(browser)
        browser.get(FRONT, {"iss": "https://other.example", "sid": "x"})

    assert [line.partition(": ")[0] for line in lines()] == [
        "back-channel logout refused",
        "back-channel logout refused",
        "front-channel logout refused",
    ]


def test_undecided_notices_cost_one_line(
    browser: SiteBrowser, lines: Any, cache_down: Any, provider: Provider, network: Network
) -> None:
    """Their keys cannot be fetched now."""
    provider.sign_in("amber", django_settings.CLIENT_ID)
    tokens = [delivery.form["logout_token"] for delivery in provider.end_subject("amber")] * 3
    cache_down()
    network.down()

    for token in tokens:
        assert send(browser, logout_token=token).status_code == 503

    assert [line.partition(": ")[0] for line in lines()] == ["back-channel logout cannot be decided now"]


class Unread:
    """A request body that must not be read."""

    def read(self, *_args: object) -> bytes:
        pytest.fail("the body is read")

    readline = read


@pytest.mark.parametrize("length", ["65537", "9" * 5000, "many"])
def test_a_body_announced_as_too_large_is_not_read(browser: SiteBrowser, length: str) -> None:
    sent: Any = {"CONTENT_LENGTH": length, "wsgi.input": Unread()}
    answer = browser.post(BACK, content_type="application/x-www-form-urlencoded", **sent)

    assert (answer.status_code, answer.json()["error_description"]) == (400, "body_too_large")
