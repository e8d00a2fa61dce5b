"""Somebody who is signed in, and what a notice about them is answered with."""

import pytest

from django_ory_logout.models import LoginSession
from django_ory_logout.signals import logout_notice_refused

from ..conftest import Listen, SiteBrowser


@pytest.fixture
def signed_in(browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    assert browser.user
    return browser


@pytest.fixture
def sid(signed_in: SiteBrowser) -> str:
    return str(LoginSession.objects.get().sid)


@pytest.fixture
def refused(listen: Listen) -> list[dict[str, str]]:
    """What the signal of refused notices brings."""
    return listen(logout_notice_refused)


def channels_and_codes(refused: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(arguments["channel"], arguments["code"]) for arguments in refused]
