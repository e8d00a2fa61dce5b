"""Logs and mails about a logout at Kratos contain no cookie, session token or logout token."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_ory_logout import http
from django_ory_logout.kratos import logout, token_sessions, whoami
from django_ory_logout.models import LoginSession
from django_ory_logout.ory.kratos import KratosPublic
from django_ory_logout.sessions import index, receipts
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Session
from django_ory_logout.views import responses

from ..conftest import Clock, SiteBrowser
from ..test_secrecy import Mails, fail
from .conftest import COOKIE, KratosBrowser

pytestmark = pytest.mark.django_db

Act = Callable[[SiteBrowser, Kratos], Any]
Shown = Callable[[str], list[str]]


@pytest.fixture
def browser(browser_of: KratosBrowser, session: Session) -> SiteBrowser:
    """A signed-in browser that receives error pages. The user has a second session at Kratos."""
    browser = browser_of(session, raise_request_exception=False)
    assert browser.user
    return browser


@pytest.fixture
def shown(kratos: Kratos, browser: SiteBrowser) -> Shown:
    """Return the secrets in a text, whole or in part."""
    key = str(browser.key)

    def shown(text: str) -> list[str]:
        own = [secret for held in kratos.sessions.values() for secret in (held.cookie, held.token, held.logout_token)]
        return [secret for secret in (key, *own) if secret[7:30] in text]

    return shown


@pytest.fixture
def mails() -> Iterator[list[str]]:
    """The mails that administrators get for each answer with status 500 or above."""
    handler, logger = Mails(), logging.getLogger("django.request")
    handler.setLevel(logging.ERROR)
    logger.addHandler(handler)
    yield handler.sent
    logger.removeHandler(handler)


def session_of(kratos: Kratos) -> Session:
    return next(iter(kratos.sessions.values()))


def post(browser: SiteBrowser, _kratos: Kratos) -> Any:
    return browser.post("/auth/logout/")


def follow(browser: SiteBrowser, kratos: Kratos) -> Any:
    path = f"/auth/kratos/logout/?token={session_of(kratos).logout_token}"
    return browser.get(path, REQUEST_URI=path, RAW_URI=path, headers={"referer": f"https://rp.example{path}"})


def complete(browser: SiteBrowser, kratos: Kratos) -> Any:
    query = {"token": session_of(kratos).logout_token}
    return browser.get("/auth/kratos/logout/", query, headers={"accept": "application/json"})


def begin(browser: SiteBrowser, _kratos: Kratos) -> Any:
    return browser.get("/auth/kratos/logout/browser/")


def look(browser: SiteBrowser, _kratos: Kratos) -> Any:
    return browser.get("/tags/")


def end_natively(browser: SiteBrowser, kratos: Kratos) -> Any:
    document = {"session_token": session_of(kratos).token}
    return browser.delete("/auth/kratos/logout/api/", document, content_type="application/json")


def end_others(browser: SiteBrowser, kratos: Kratos) -> Any:
    kratos.sign_in(session_of(kratos).identity)
    return browser.delete("/auth/kratos/sessions/")


def end_one(browser: SiteBrowser, kratos: Kratos) -> Any:
    other = kratos.sign_in(session_of(kratos).identity)
    return browser.post("/auth/sessions/", {"end": other.id})


@pytest.mark.parametrize(
    ("act", "where", "what"),
    [
        (post, KratosPublic, "logout_flow"),
        (post, KratosPublic, "log_out"),
        (post, http, "_read"),
        (post, whoami, "delete_cached"),
        (post, logout, "SimpleCookie"),
        (post, responses, "render"),
        (follow, logout, "constant_time_compare"),
        (follow, KratosPublic, "log_out"),
        (complete, http, "_read"),
        (begin, KratosPublic, "logout_flow"),
        (begin, logout, "urlencode"),
        (look, logout, "urlencode"),
        (look, http, "_read"),
        (end_natively, token_sessions, "find_or_create"),
        (end_natively, whoami, "fetch"),
        (end_natively, receipts, "record_logout"),
        (end_natively, KratosPublic, "log_out_natively"),
        (end_natively, http, "_read"),
        (end_others, receipts, "record"),
        (end_others, KratosPublic, "end_other_sessions"),
        (end_one, KratosPublic, "end_session"),
        (end_one, http, "_read"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__.rpartition(".")[2],
)
def test_a_report_of_a_fault_shows_no_secret(
    browser: SiteBrowser,
    kratos: Kratos,
    mails: list[str],
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
    act: Act,
    where: Any,
    what: str,
) -> None:
    monkeypatch.setattr(where, what, fail)

    assert act(browser, kratos).status_code == 500

    assert len(mails) == 3
    assert "a fault that nobody thought of" in mails[1]
    assert [shown(mail) for mail in mails] == [[], [], []]


@pytest.mark.parametrize(
    ("where", "what", "status"),
    [(receipts, "record", 503), (index, "mark_ended", 503), (index, "delete_ended", 200)],
    ids=["receipt", "row", "rest"],
)
def test_a_logout_that_continues_after_a_fault_shows_no_secret(
    browser: SiteBrowser,
    kratos: Kratos,
    caplog: pytest.LogCaptureFixture,
    mails: list[str],
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    what: str,
    status: int,
) -> None:
    monkeypatch.setattr(where, what, fail)

    assert post(browser, kratos).status_code == status

    assert "RuntimeError" in caplog.text
    assert shown(caplog.text) == []
    assert [shown(mail) for mail in mails] == [[] for _mail in mails]


def test_a_report_of_a_site_without_the_middleware_omits_the_kratos_cookie(
    kratos: Kratos,
    kratos_network: KratosNetwork,
    mails: list[str],
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    """Users sign in with Hydra only, and log out at Kratos too."""
    browser = SiteBrowser(raise_request_exception=False)
    browser.cookies[COOKIE] = session_of(kratos).cookie
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "KratosMiddleware" not in name]
    monkeypatch.setattr(KratosPublic, "log_out", fail)

    assert post(browser, kratos).status_code == 500

    assert [shown(mail) for mail in mails] == [[], [], []]


@pytest.mark.parametrize("act", [follow, complete, begin, end_natively, end_others], ids=lambda act: act.__name__)
def test_an_answer_of_503_shows_no_secret(
    browser: SiteBrowser, kratos_network: KratosNetwork, mails: list[str], shown: Shown, clock: Clock, act: Act
) -> None:
    if act in (follow, complete):
        browser.cookies.pop("sessionid")
    kratos_network.down()

    assert act(browser, kratos_network.kratos).status_code == 503

    assert len(mails) == 3
    assert [shown(mail) for mail in mails] == [[], [], []]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(
    "act",
    [post, follow, complete, begin, look, end_natively, end_others, end_one],
    ids=lambda act: act.__name__,
)
def test_no_log_line_shows_a_secret(
    browser: SiteBrowser,
    kratos_network: KratosNetwork,
    shown: Shown,
    caplog: pytest.LogCaptureFixture,
    act: Act,
    down: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    if down:
        kratos_network.down()

    act(browser, kratos_network.kratos)

    lines = [logging.Formatter("%(name)s %(message)s %(args)s").format(record) for record in caplog.records]
    assert shown("\n".join(lines)) == []
    assert lines or not down


def test_the_search_finds_secrets(browser: SiteBrowser, kratos: Kratos, shown: Shown) -> None:
    session = session_of(kratos)

    for text in (session.cookie, session.token, session.logout_token, LoginSession.objects.get().session_key):
        assert shown(f"of {text} and so on") == [text]
