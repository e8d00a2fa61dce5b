"""Logs and error mails contain no cookie and no session token of Kratos."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import auth
from django.test import RequestFactory
from django.views.debug import get_default_exception_reporter_filter

from django_ory_logout import http
from django_ory_logout.flows import login, logout
from django_ory_logout.kratos import error_reports, token_sessions, whoami
from django_ory_logout.kratos import login as sign_in
from django_ory_logout.models import EndReason, LoginSession, LogoutReceiptQuerySet
from django_ory_logout.ory.kratos import KratosPublic
from django_ory_logout.sessions import ending, index, opening, receipts
from django_ory_logout.sessions.stored_login import StoredLogin
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Session

from ..conftest import Clock, SiteBrowser
from ..test_secrecy import Mails, fail
from .conftest import COOKIE, MIDDLEWARE, KratosBrowser

pytestmark = pytest.mark.django_db

Shown = Callable[[str], list[str]]


@pytest.fixture
def shown(session: Session, kratos: Kratos) -> Shown:
    """Return the secrets in a text, whole or in part."""

    def shown(text: str) -> list[str]:
        known = [
            *(held.cookie for held in kratos.sessions.values()),
            *(held.token for held in kratos.sessions.values()),
        ]
        known += [held.logout_token for held in kratos.sessions.values()]
        known += [str(key) for key in LoginSession.objects.values_list("session_key", flat=True)]
        return [secret for secret in known if secret[4:30] in text]

    return shown


@pytest.fixture(params=["cookie", "token"])
def client(
    request: pytest.FixtureRequest, browser_of: KratosBrowser, native_client_of: KratosBrowser, session: Session
) -> SiteBrowser:
    show = browser_of if request.param == "cookie" else native_client_of
    return show(session, raise_request_exception=False)


@pytest.fixture
def mails() -> Iterator[list[str]]:
    """The mails that administrators get for each answer with status 500 or above."""
    handler, logger = Mails(), logging.getLogger("django.request")
    handler.setLevel(logging.ERROR)
    logger.addHandler(handler)
    yield handler.sent
    logger.removeHandler(handler)


def test_the_search_finds_secrets(client: SiteBrowser, session: Session, shown: Shown) -> None:
    assert client.user

    for text in (
        f"Cookie: {session.cookie}",
        repr({"token": session.token}),
        str(LoginSession.objects.get().session_key),
    ):
        assert len(shown(text)) == 1


# Reports of faults


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (whoami, "digest"),
        (KratosPublic, "whoami"),
        (http, "_read"),
        (whoami.KratosSession, "of"),
        (whoami, "claims"),
        (whoami, "asdict"),
        (whoami, "is_logged_out"),
        (receipts, "is_logged_out"),
        (auth, "authenticate"),
        (StoredLogin, "of"),
        (logout, "new_state"),
        (login, "start_session"),
        (opening, "open_login_session"),
        (opening, "_new_row"),
        (LoginSession, "save"),
        (LogoutReceiptQuerySet, "naming"),
    ],
    ids=lambda where: where if isinstance(where, str) else where.__name__.rpartition(".")[2],
)
def test_a_report_of_a_failed_sign_in_shows_no_secret(
    client: SiteBrowser, mails: list[str], shown: Shown, monkeypatch: pytest.MonkeyPatch, where: Any, what: str
) -> None:
    monkeypatch.setattr(where, what, fail)

    assert client.get("/private/").status_code == 500

    assert len(mails) == 3
    assert "a fault that nobody thought of" in mails[1]
    assert [shown(mail) for mail in mails] == [[], [], []]


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (index, "confirm_alive"),
        (whoami, "WhoamiResult"),
        (StoredLogin, "read"),
        (sign_in, "_extend_expiry"),
        (logout, "end_current"),
    ],
    ids=lambda where: where if isinstance(where, str) else where.__name__.rpartition(".")[2],
)
def test_a_report_of_a_fault_while_signed_in_shows_no_secret(
    client: SiteBrowser,
    kratos: Kratos,
    session: Session,
    mails: list[str],
    shown: Shown,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    what: str,
) -> None:
    assert client.get("/private/").status_code == 200
    if what == "end_current":
        kratos.end(session.id)
    clock.advance(11)
    index._seen.clear()
    monkeypatch.setattr(where, what, fail)

    status = client.get("/private/").status_code

    assert status == 500
    assert len(mails) == 3
    assert "a fault that nobody thought of" in mails[1]
    assert [shown(mail) for mail in mails] == [[], [], []]


def test_a_report_of_a_fault_while_a_token_session_is_stored_shows_no_secret(
    native_client_of: KratosBrowser,
    session: Session,
    mails: list[str],
    shown: Shown,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = native_client_of(session, raise_request_exception=False)
    monkeypatch.setattr(token_sessions, "save", fail)

    assert client.get("/private/").status_code == 500

    assert [shown(mail) for mail in mails] == [[], [], []]


def test_a_report_of_a_fault_of_the_site_shows_no_secret(
    client: SiteBrowser, mails: list[str], shown: Shown, settings: Any
) -> None:
    """Django's reports contain the request's cookies. A reader could use this one to act as the user."""
    settings.ROOT_URLCONF = "tests.kratos.urls"

    assert client.get("/fail/").status_code == 500

    assert "the view is broken" in mails[1]
    assert [shown(mail) for mail in mails] == [[], [], []]


def test_an_answer_of_503_sends_no_mail(
    client: SiteBrowser, kratos_network: KratosNetwork, mails: list[str], shown: Shown
) -> None:
    kratos_network.down()

    assert client.get("/private/").status_code == 503

    assert len(mails) == 3
    assert [shown(mail) for mail in mails] == [[], [], []]


def test_reports_omit_only_the_kratos_cookie() -> None:
    request = RequestFactory().post("/?a=b", {"password": "x"}, headers={"cookie": f"{COOKIE}=value; language=de"})
    error_reports.hide_cookies(request, COOKIE)

    found = request.exception_reporter_filter

    assert found.get_safe_cookies(request) == {COOKIE: "*" * 20, "language": "de"}
    own = get_default_exception_reporter_filter()
    assert found.get_post_parameters(request) == own.get_post_parameters(request)
    assert found.cleansed_substitute == own.cleansed_substitute


def test_reports_omit_the_kratos_cookie_if_nobody_signs_in_by_it(
    browser_of: KratosBrowser, session: Session, settings: Any, mails: list[str], shown: Shown
) -> None:
    """Here Kratos is only the login page of a Hydra."""
    settings.ROOT_URLCONF = "tests.kratos.urls"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]

    answer = browser_of(session, raise_request_exception=False).get("/fail/")

    assert answer.status_code == 500
    assert any(COOKIE in mail for mail in mails)
    assert [shown(mail) for mail in mails] == [[], [], []]


def test_reports_name_no_cookie_that_the_request_lacks() -> None:
    request = RequestFactory().get("/", headers={"cookie": "language=de"})
    error_reports.hide_cookies(request, COOKIE)

    assert request.exception_reporter_filter.get_safe_cookies(request) == {"language": "de"}


# Logs


@pytest.mark.parametrize("case", ["signed in", "dead", "down", "fault", "logged out here", "logged out", "refused"])
def test_no_log_line_shows_a_secret(
    client: SiteBrowser,
    kratos_network: KratosNetwork,
    kratos: Kratos,
    session: Session,
    shown: Shown,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
    case: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    if case == "refused":
        default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {**default, "CREATE_USERS": False}}}
    client.get("/private/")
    keys = list(LoginSession.objects.values_list("session_key", flat=True))
    clock.advance(11)
    if case == "dead":
        kratos.end(session.id)
    if case == "down":
        kratos_network.down()
    if case == "fault":
        kratos_network.replace("/sessions/whoami", session.cookie.encode(), status=500)
    if case == "logged out here":
        ending.end_rows(index.rows(), EndReason.USER)
    if case == "logged out":
        client.post("/auth/logout/")
    for path in ("/private/", "/auth/whoami/", "/auth/login/", "/nowhere/"):
        client.get(path)

    lines = "\n".join(logging.Formatter("%(name)s %(message)s %(args)s").format(record) for record in caplog.records)
    assert lines
    assert shown(lines) == []
    assert [key for key in keys if str(key) in lines] == []
