"""A user's own logout with a fault at each operation: "logged out" is true, and no session survives."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions.stored_login import LOGIN_KEY

from ..conftest import Configure, SiteBrowser
from .conftest import FaultySite

pytestmark = pytest.mark.django_db(transaction=True)


def assert_out(browser: SiteBrowser, copy: SiteBrowser, answer: Any) -> None:
    """After "logged out", no session is signed in. After 503, the next request ends the session."""
    if answer.status_code != 503:
        assert copy.user is None, "logged out, but still signed in"
    assert browser.user is None, "the browser kept its session"
    assert copy.user is None, "the marker did not end the session"


def test_logout_survives_each_fault(faulty_site: FaultySite, engine: str, kind: str, onward: bool) -> None:
    def run() -> None:
        browser, copy, other = faulty_site.reset()
        answer = faulty_site.act(lambda browser: browser.post("/auth/logout/"), browser)
        assert_out(browser, copy, answer)
        assert other.user
        assert not LoginSession.objects.filter(subject="amber", ended_at=None).exists()

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 302


def test_the_return_from_the_provider_survives_each_fault(
    faulty_site: FaultySite, engine: str, kind: str, onward: bool
) -> None:
    def run() -> None:
        browser, copy, other = faulty_site.reset()
        state = browser.session[LOGIN_KEY]["logout_state"]
        answer = faulty_site.act(lambda browser: browser.get("/auth/logout/callback/", {"state": state}), browser)
        assert_out(browser, copy, answer)
        assert other.user

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 200


def test_a_frame_that_names_no_session_survives_each_fault(
    faulty_site: FaultySite, engine: str, kind: str, onward: bool, configure: Configure
) -> None:
    configure(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)

    def run() -> None:
        browser, copy, other = faulty_site.reset()
        answer = faulty_site.act(lambda browser: browser.get("/auth/logout/frontchannel/"), browser)
        if answer.status_code == 200:
            assert copy.user is None
        else:
            assert browser.get("/auth/logout/frontchannel/").status_code == 200
            assert copy.user is None
        assert other.user

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 200
