"""A sign-in over an earlier one, with a fault at each single operation: one of the two stands, never both or none."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession, RefusalCount

from ..conftest import Configure, SiteBrowser, query_of
from .conftest import Stage
from .injection import KINDS

pytestmark = pytest.mark.django_db(transaction=True)


def test_callback(stage: Stage, engine: str, kind: str, onward: bool) -> None:
    def run() -> None:
        browser, copy, other = stage.reset()
        callback = stage.network.follow(browser.start(), "cedar")
        answer = stage.act(lambda one: one.visit(callback), browser)
        if answer.status_code == 302:
            assert browser.user["subject"] == "cedar", stage.faults.failed
            assert copy.user is None, "replaced, and signed in"
        else:
            assert browser.user["subject"] == "amber", "a failed sign-in ended the earlier session"
            assert copy.user
            assert set(RefusalCount.objects.values_list("code", flat=True)) <= codes(stage)
        assert other.user
        assert browser.sign_in("cedar").status_code == 302
        assert browser.user["subject"] == "cedar"
        assert copy.user is None

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 302


@pytest.mark.parametrize("kind", ["sql"])
def test_callback_by_form_post_with_the_cookie(
    stage: Stage, engine: str, kind: str, onward: bool, configure: Configure
) -> None:
    """As with ``SESSION_COOKIE_SAMESITE`` ``"None"``: the earlier session is named twice, and ends once."""
    configure(RESPONSE_MODE="form_post")

    def run() -> None:
        browser, copy = stage.new_browser(), stage.new_browser()
        stage.reset()
        callback = stage.network.follow(browser.start(), "amber")
        browser.post_form("/auth/callback/", query_of(callback))
        copy = stage.copy_of(browser)
        again = query_of(stage.network.follow(browser.start(), "cedar"))
        answer = stage.act(lambda one: one.post_form("/auth/callback/", again), browser)
        if answer.status_code == 302:
            assert copy.user is None
        else:
            assert copy.user, "a failed sign-in ended the earlier session"

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] == 302


def codes(stage: Stage) -> set[str]:
    of = {"sql": {"database_fault"}, "cache": {"cache_fault", "session_store_fault"}, "file": {"session_store_fault"}}
    return set().union(*(of[kind] for kind in KINDS if stage.faults.kind in (kind, "everything")))


def start(browser: SiteBrowser) -> Any:
    return browser.get("/auth/login/")


def confirm(browser: SiteBrowser) -> Any:
    return browser.get("/auth/logout/")


def list_sessions(browser: SiteBrowser) -> Any:
    return browser.get("/auth/sessions/")


def end_others(browser: SiteBrowser) -> Any:
    return browser.post("/auth/sessions/", {"end": "others"})


def whoami(browser: SiteBrowser) -> Any:
    """401 where the engine keeps its fault to itself: Django's own pages take that for nobody, too."""
    return browser.get("/auth/whoami/", headers={"accept": "text/html"})


@pytest.mark.parametrize("act", [start, confirm, list_sessions, end_others, whoami])
def test_pages(stage: Stage, engine: str, kind: str, onward: bool, act: Any) -> None:
    """No bare 500, nobody is signed out by a fault, and nobody is told that there is nothing to log out of."""

    def run() -> None:
        browser, _copy, other = stage.reset()
        answer = stage.act(act, browser)
        assert "nothing to log out of" not in answer.text
        assert browser.user
        assert other.user
        assert LoginSession.objects.filter(ended_at=None).count() == 2

    stage.sweep(kind, onward=onward, run=run)
    assert stage.answers[-1] in (200, 302, 403), "who is signed in is not sent to sign in"
