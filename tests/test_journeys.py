"""Complete sign-ins and logouts on the test site, with every session engine."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.testing import Network, Provider

from .conftest import Clock, NewBrowser, SiteBrowser, query_of

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]

pytestmark = pytest.mark.django_db


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    engine = f"django.contrib.sessions.backends.{request.param}"
    with override_settings(SESSION_ENGINE=engine, SESSION_FILE_PATH=str(tmp_path)):
        yield request.param


def test_sign_in_opens_a_login_session(browser: SiteBrowser) -> None:
    answer = browser.sign_in("amber", next="/private/")

    assert answer.status_code == 302
    assert answer["Location"] == "/private/"
    assert browser.user is not None
    assert browser.user["subject"] == "amber"
    assert LoginSession.objects.count() == 1


def test_a_sign_in_with_a_full_cache_makes_only_one_call(
    browser: SiteBrowser, new_browser: NewBrowser, network: Network
) -> None:
    browser.sign_in()
    network.calls.clear()

    other = new_browser()
    start = other.start()
    assert network.calls == []
    other.visit(network.follow(start))

    assert [call.url for call in network.calls] == ["https://op.example/oauth2/token"]


#: Numbers of statements for a sign-in of a known user, and for a logout. Two engines use the database too.
STATEMENTS = {"db": (9, 13), "cached_db": (9, 11), "cache": (7, 8), "file": (7, 8), "signed_cookies": (7, 8)}


def statements(queries: CaptureQueriesContext) -> list[str]:
    """Statements without the start and end of transactions, which some databases do not record."""
    return [query["sql"] for query in queries if query["sql"].startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]


@pytest.mark.django_db(transaction=True)
def test_the_number_of_statements_is_fixed(new_browser: NewBrowser, network: Network, engine: str) -> None:
    new_browser().sign_in("amber")
    browser = new_browser()
    callback = network.follow(browser.start(), "amber")

    with CaptureQueriesContext(connection) as sign_in:
        browser.visit(callback)
    with CaptureQueriesContext(connection) as logout:
        browser.post("/auth/logout/")

    assert (len(statements(sign_in)), len(statements(logout))) == STATEMENTS[engine]
    saves = [
        statement
        for statement in statements(sign_in)
        if "django_session" in statement and statement.startswith(("INSERT", "UPDATE"))
    ]
    assert len(saves) == (1 if engine in ("db", "cached_db") else 0), "a sign-in saves its session once"


def test_another_sign_in_ends_the_earlier_login_session(browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    before, row = browser.key, LoginSession.objects.get()

    browser.sign_in("birch")

    assert browser.user is not None
    assert browser.user["subject"] == "birch"
    assert browser.key != before
    assert LoginSession.objects.get() != row


def test_back_channel_by_sid_ends_only_that_session(new_browser: NewBrowser, provider: Provider) -> None:
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")
    assert first.user
    assert second.user

    assert new_browser().deliver(provider.end(first.user["sid"])) == [200]

    assert first.user is None
    assert second.user
    assert LogoutReceipt.objects.get().completed_at


def test_back_channel_by_subject_ends_all_sessions_of_that_user(new_browser: NewBrowser, provider: Provider) -> None:
    first, second, other = new_browser(), new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")
    other.sign_in("birch")

    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    assert first.user is None
    assert second.user is None
    assert other.user


@pytest.mark.parametrize("time_zone", ["UTC", "Asia/Tokyo", "America/Chicago"])
def test_a_site_without_time_zones_works(
    new_browser: NewBrowser, provider: Provider, settings: Any, clock: Clock, time_zone: str
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, time_zone
    first, second, third = new_browser(), new_browser(), new_browser()
    for browser in (first, second):
        browser.sign_in("amber")
    by_subject = provider.end_subject("amber")
    clock.advance(3)
    third.sign_in("amber")
    assert first.get("/auth/sessions/").status_code == 200
    assert third.user

    assert new_browser().deliver(provider.end(third.user["sid"])) == [200]
    assert [bool(browser.user) for browser in (first, second, third)] == [True, True, False]

    third.sign_in("amber")
    assert new_browser().deliver(by_subject) == [200]
    assert [bool(browser.user) for browser in (first, second, third)] == [False, False, True]

    assert third.post("/auth/logout/").status_code == 302
    assert third.user is None
    call_command("ory_purge", stdout=StringIO())
    assert LoginSession.objects.count() == 0


def test_rp_initiated_logout_ends_here_first_and_returns(new_browser: NewBrowser) -> None:
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    second.sign_in("amber")

    answer = first.post("/auth/logout/", {"next": "/"})

    assert answer.status_code == 302
    assert answer["Location"].startswith("https://op.example/oauth2/sessions/logout?id_token_hint=")
    assert first.user is None
    assert second.user
    asked = query_of(answer["Location"])
    back = first.visit(f"{asked['post_logout_redirect_uri']}?state={asked['state']}")
    assert back.status_code == 302
    assert back["Location"] == "/"


def test_a_back_channel_notice_can_come_before_the_browser_returns(browser: SiteBrowser, provider: Provider) -> None:
    browser.sign_in("amber")
    asked = query_of(browser.post("/auth/logout/")["Location"])
    [session] = provider.login_sessions.values()
    assert SiteBrowser().deliver(provider.end(session.sid)) == [200]

    back = browser.visit(f"{asked['post_logout_redirect_uri']}?state={asked['state']}")

    assert back.status_code == 200
    assert "You are logged out" in back.text
    assert browser.user is None


def test_a_sign_in_after_its_logout_notice_is_refused(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider
) -> None:
    provider.before_token_response = lambda session: new_browser().deliver(provider.end(session.sid))

    answer = browser.sign_in("amber")

    assert answer.status_code == 409
    assert "You were logged out meanwhile" in answer.text
    assert browser.user is None
    assert LoginSession.objects.count() == 0


def test_front_channel_ends_the_session(browser: SiteBrowser, new_browser: NewBrowser) -> None:
    browser.sign_in("amber")
    assert browser.user

    answer = new_browser().get("/auth/logout/frontchannel/", {"iss": "https://op.example", "sid": browser.user["sid"]})

    assert answer.status_code == 200
    assert browser.user is None


def test_an_async_view_sees_the_user(browser: SiteBrowser) -> None:
    assert browser.get("/private-async/").status_code == 302

    browser.sign_in()

    assert browser.get("/private-async/").status_code == 200


def test_purge_completes_an_interrupted_notice(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider
) -> None:
    browser.sign_in("amber")
    other = new_browser()
    other.sign_in("birch")
    assert browser.user
    browser.deliver(provider.end(browser.user["sid"]))
    LogoutReceipt.objects.update(completed_at=None)
    LoginSession.objects.update(expires_at="2001-01-01T00:00Z")
    output = StringIO()

    call_command("ory_purge", stdout=output)

    assert output.getvalue() == "1 notices worked off, 0 login sessions ended, 1 expired, 0 old receipts removed\n"
    assert other.user is None
