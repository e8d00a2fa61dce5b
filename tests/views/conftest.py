"""A signed-in user, and the answers to a notice about that user."""

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
    """Calls of the signal for refused notices."""
    return listen(logout_notice_refused)


def channels_and_codes(refused: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(arguments["channel"], arguments["code"]) for arguments in refused]
