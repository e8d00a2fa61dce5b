"""A fault at each single operation in the views for Kratos: no unhandled 500, and "logged out" is always true."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session as StoredSession
from django.core.cache import cache
from django.core.signals import got_request_exception

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.sessions import events, index
from django_ory_logout.testing import Kratos
from django_ory_logout.testing.kratos import Identity

from ..conftest import SiteBrowser
from ..faults.injection import Faults, injected, sweep
from .conftest import COOKIE, KratosBrowser

pytestmark = pytest.mark.django_db(transaction=True)

Act = Callable[[SiteBrowser], Any]


@pytest.fixture
def faults(settings: Any, tmp_path: Any, engine: str) -> Iterator[Faults]:
    settings.CACHES = {"default": {"BACKEND": "tests.faults.injection.FaultyCache", "LOCATION": str(tmp_path)}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "SESSION_RECHECK_SECONDS": 0}
    with injected() as faults:
        yield faults


def enter(browser: SiteBrowser) -> Any:
    return browser.get("/auth/login/")


def ask_for_the_flow(browser: SiteBrowser) -> Any:
    return browser.get("/auth/kratos/logout/browser/", headers={"accept": "application/json"})


def list_my_sessions(browser: SiteBrowser) -> Any:
    return browser.get("/auth/kratos/sessions/", headers={"accept": "application/json"})


def log_out(browser: SiteBrowser) -> Any:
    return browser.post("/auth/logout/")


def follow_link(browser: SiteBrowser) -> Any:
    return browser.get(browser.link)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["sql", "cache", "file", "everything"])
@pytest.mark.parametrize("onward", [False, True], ids=["once", "onward"])
@pytest.mark.parametrize("act", [enter, ask_for_the_flow, list_my_sessions, log_out, follow_link])
def test_views_survive_each_fault(
    browser_of: KratosBrowser, kratos: Kratos, amber: Identity, faults: Faults, act: Act, kind: str, onward: bool
) -> None:
    bare: list[Any] = []

    def note(**_arguments: Any) -> None:
        bare.append(list(faults.failed))

    def run() -> None:
        for model in (LoginSession, LogoutReceipt, StoredSession, get_user_model()):
            model._default_manager.all().delete()
        cache.clear()
        index._seen.clear()
        events._recent_counts.clear()
        browser = browser_of(kratos.sign_in(amber), raise_request_exception=False)
        assert browser.get("/auth/whoami/").status_code == 200
        if act is follow_link:
            browser.link = ask_for_the_flow(browser).json()["logout_url"].removeprefix("https://rp.example")  # type: ignore[attr-defined]
        copy = SiteBrowser()
        copy.cookies["sessionid"], copy.cookies[COOKIE] = str(browser.key), browser.cookies[COOKIE].value
        index._seen.clear()
        with faults.on():
            answer = act(browser)
        assert bare == []
        assert answer.status_code != 500, (answer.text, faults.failed)
        if act in (log_out, follow_link) and answer.status_code in (200, 204, 302):
            assert copy.user is None
        if act not in (log_out, follow_link):
            assert browser.user

    got_request_exception.connect(note)
    try:
        sweep(faults, kind, onward=onward, run=run)
    finally:
        got_request_exception.disconnect(note)
