"""A sign-in that replaces an earlier one, with a fault at each operation: exactly one of them is signed in."""

from typing import Any

import pytest

from django_ory_logout.models import LoginSession, RefusalCount

from ..conftest import Configure, SiteBrowser, query_of
from .conftest import FaultySite
from .injection import KINDS

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_callback_survives_each_fault(faulty_site: FaultySite, engine: str, kind: str, onward: bool) -> None:
    def run() -> None:
        browser, copy, other = faulty_site.reset()
        callback = faulty_site.network.follow(browser.start(), "cedar")
        answer = faulty_site.act(lambda browser: browser.visit(callback), browser)
        if answer.status_code == 302:
            assert browser.user["subject"] == "cedar", faulty_site.faults.failed
            assert copy.user is None, "replaced, but still signed in"
        else:
            assert browser.user["subject"] == "amber", "a failed sign-in ended the earlier session"
            assert copy.user
            assert set(RefusalCount.objects.values_list("code", flat=True)) <= codes(faulty_site)
        assert other.user
        assert browser.sign_in("cedar").status_code == 302
        assert browser.user["subject"] == "cedar"
        assert copy.user is None

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 302


@pytest.mark.parametrize("kind", ["sql"])
def test_a_callback_by_form_post_with_the_cookie_survives_each_fault(
    faulty_site: FaultySite, engine: str, kind: str, onward: bool, configure: Configure
) -> None:
    """With ``SESSION_COOKIE_SAMESITE`` ``"None"``, the earlier session is named twice and ends once."""
    configure(RESPONSE_MODE="form_post")

    def run() -> None:
        browser, copy = faulty_site.new_browser(), faulty_site.new_browser()
        faulty_site.reset()
        callback = faulty_site.network.follow(browser.start(), "amber")
        browser.post_form("/auth/callback/", query_of(callback))
        copy = faulty_site.copy_of(browser)
        again = query_of(faulty_site.network.follow(browser.start(), "cedar"))
        answer = faulty_site.act(lambda browser: browser.post_form("/auth/callback/", again), browser)
        if answer.status_code == 302:
            assert copy.user is None
        else:
            assert copy.user, "a failed sign-in ended the earlier session"

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] == 302


def codes(faulty_site: FaultySite) -> set[str]:
    of = {"sql": {"database_fault"}, "cache": {"cache_fault", "session_store_fault"}, "file": {"session_store_fault"}}
    return set().union(*(of[kind] for kind in KINDS if faulty_site.faults.kind in (kind, "everything")))


def start(browser: SiteBrowser) -> Any:
    return browser.get("/auth/login/")


def confirm(browser: SiteBrowser) -> Any:
    return browser.get("/auth/logout/")


def list_sessions(browser: SiteBrowser) -> Any:
    return browser.get("/auth/sessions/")


def end_others(browser: SiteBrowser) -> Any:
    return browser.post("/auth/sessions/", {"end": "others"})


def whoami(browser: SiteBrowser) -> Any:
    """401 if the engine hides its fault. Django's own pages then see an anonymous user too."""
    return browser.get("/auth/whoami/", headers={"accept": "text/html"})


@pytest.mark.parametrize("act", [start, confirm, list_sessions, end_others, whoami])
def test_pages_survive_each_fault(faulty_site: FaultySite, engine: str, kind: str, onward: bool, act: Any) -> None:
    """There is no unhandled 500, a fault signs nobody out, and no page says that there is nothing to log out of."""

    def run() -> None:
        browser, _copy, other = faulty_site.reset()
        answer = faulty_site.act(act, browser)
        assert "nothing to log out of" not in answer.text
        assert browser.user
        assert other.user
        assert LoginSession.objects.filter(ended_at=None).count() == 2

    faulty_site.sweep(kind, onward=onward, run=run)
    assert faulty_site.answers[-1] in (200, 302, 403), "a signed-in user is not sent to sign in"
