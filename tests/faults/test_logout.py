"""A person's own logout with a fault at each single operation: *done* is true, and nothing survives."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions.stored_login import LOGIN_KEY

from ..conftest import Configure, SiteBrowser
from .conftest import Stage

pytestmark = pytest.mark.django_db(transaction=True)


def assert_out(browser: SiteBrowser, copy: SiteBrowser, answer: Any) -> None:
    """What says *done* is true at once. What says 503 has taken the session away, and the next request ends it."""
    if answer.status_code != 503:
        assert copy.user is None, "said done, and is signed in"
    assert browser.user is None, "the browser kept its session"
    assert copy.user is None, "the note did not end it"


def test_log_out(stage: Stage, engine: str, kind: str, onward: bool) -> None:
    def run() -> None:
        browser, copy, other = stage.reset()
        answer = stage.act(lambda one: one.post("/auth/logout/"), browser)
        assert_out(browser, copy, answer)
        assert other.user
        assert not LoginSession.objects.filter(subject="amber", ended_at=None).exists()

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 302


def test_return_by_the_link(stage: Stage, engine: str, kind: str, onward: bool) -> None:
    def run() -> None:
        browser, copy, other = stage.reset()
        state = browser.session[LOGIN_KEY]["logout_state"]
        answer = stage.act(lambda one: one.get("/auth/logout/callback/", {"state": state}), browser)
        assert_out(browser, copy, answer)
        assert other.user

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 200


def test_the_frame_that_names_nobody(stage: Stage, engine: str, kind: str, onward: bool, configure: Configure) -> None:
    configure(FRONTCHANNEL_LOGOUT_SESSION_REQUIRED=False)

    def run() -> None:
        browser, copy, other = stage.reset()
        answer = stage.act(lambda one: one.get("/auth/logout/frontchannel/"), browser)
        if answer.status_code == 200:
            assert copy.user is None
        else:
            assert browser.get("/auth/logout/frontchannel/").status_code == 200
            assert copy.user is None
        assert other.user

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 200
