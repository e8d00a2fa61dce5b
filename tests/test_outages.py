"""Which requests work without the cache or the database, and how the others answer."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import OperationalError, connection

from django_ory_logout.exceptions import TemporaryError
from django_ory_logout.models import LoginSession, Subject
from django_ory_logout.oidc import documents
from django_ory_logout.sessions import opening, receipts
from django_ory_logout.sessions.store import LoginSessionStore
from django_ory_logout.testing import Network, Provider

from .caches import ADDRESS
from .conftest import Logged, SiteBrowser
from .views.pages import WAIT, assert_page, assert_refused

pytestmark = pytest.mark.django_db

RETRY = "/auth/login/?provider=default"
END_SESSION = "https://op.example/oauth2/sessions/logout?"
CACHE_FAULT = "cache_fault: ConnectionError"
DATABASE_FAULT = "database_fault: OperationalError"
SESSION_KEY = "a session key that the database names"

CacheDown = Callable[[], None]


@pytest.fixture
def signed_in(browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    assert browser.user
    return browser


def forget_documents() -> None:
    """The process has just started."""
    documents._parsed.clear()


# Without the cache


def test_logout_without_the_cache_uses_the_process_copy_of_the_provider(
    signed_in: SiteBrowser, cache_down: CacheDown, network: Network
) -> None:
    cache_down()
    network.calls.clear()

    assert signed_in.post("/auth/logout/")["Location"].startswith(END_SESSION)

    assert signed_in.user is None
    assert network.calls == []


def test_logout_without_the_cache_and_a_copy_ends_the_session_and_is_unconfirmed(
    signed_in: SiteBrowser, cache_down: CacheDown, logged: Logged
) -> None:
    cache_down()
    forget_documents()

    answer = signed_in.post("/auth/logout/", {"next": "/bye/"})

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert logged() == [f"logout at the provider left out: {CACHE_FAULT}"]
    assert signed_in.user is None
    assert LoginSession.objects.count() == 0


def test_template_tags_without_the_cache_lead_to_our_page(
    signed_in: SiteBrowser, cache_down: CacheDown, logged: Logged
) -> None:
    def url() -> str:
        return unescape(signed_in.get("/tags/").text.split("|")[2])

    cache_down()

    assert url().startswith(END_SESSION)
    forget_documents()
    assert url() == "/auth/logout/"
    assert logged() == []


def test_login_without_the_cache_is_refused(browser: SiteBrowser, cache_down: CacheDown, logged: Logged) -> None:
    cache_down()

    assert_refused(browser.get("/auth/login/"), 503, RETRY, WAIT)

    assert logged() == [f"sign-in failed: {CACHE_FAULT}"]


def test_callback_without_the_cache_is_refused(
    browser: SiteBrowser, network: Network, cache_down: CacheDown, caplog: pytest.LogCaptureFixture
) -> None:
    callback = network.follow(browser.start())
    network.calls.clear()
    cache_down()

    assert_refused(browser.visit(callback), 503, RETRY, WAIT)

    assert f"sign-in failed: {CACHE_FAULT} (reference " in caplog.text
    assert ADDRESS not in caplog.text
    assert browser.user is None
    assert network.calls == []


def test_front_channel_without_the_cache_ends_the_session(signed_in: SiteBrowser, cache_down: CacheDown) -> None:
    row = LoginSession.objects.get()
    cache_down()
    forget_documents()

    answer = SiteBrowser().get("/auth/logout/frontchannel/", {"iss": row.issuer, "sid": str(row.sid)})

    assert answer.status_code == 200
    assert answer["Content-Security-Policy"] == "frame-ancestors https://op.example"
    assert signed_in.user is None


def test_back_channel_without_the_cache_uses_the_process_copy_of_the_keys(
    signed_in: SiteBrowser, provider: Provider, cache_down: CacheDown
) -> None:
    cache_down()

    assert SiteBrowser().deliver(provider.end_subject("amber")) == [200]

    assert signed_in.user is None


def test_back_channel_without_the_cache_and_a_copy_is_undecided(
    signed_in: SiteBrowser, provider: Provider, cache_down: CacheDown, logged: Logged, settings: Any
) -> None:
    deliveries, shared = provider.end_subject("amber"), settings.CACHES
    cache_down()
    forget_documents()

    assert SiteBrowser().deliver(deliveries) == [503]
    assert logged() == [f"back-channel logout cannot be decided now: {CACHE_FAULT}"]

    settings.CACHES = shared
    assert SiteBrowser().deliver(deliveries) == [200]
    assert signed_in.user is None


def test_the_cache_is_really_down(cache_down: CacheDown) -> None:
    cache_down()

    for call in (caches["default"].get, caches["default"].set, caches["default"].add):
        with pytest.raises(ConnectionError):
            call("key", "value")


# Without the database


def fail(*_args: Any, **_kwargs: Any) -> Any:
    raise OperationalError(SESSION_KEY)


def assert_no_detail(caplog: pytest.LogCaptureFixture) -> None:
    assert SESSION_KEY not in caplog.text


@pytest.mark.parametrize(
    ("where", "what"), [(User, "save"), (opening, "_new_row"), (LoginSession, "save"), (receipts, "rows")]
)
def test_a_callback_with_a_database_fault_at_any_step_is_refused(
    browser: SiteBrowser,
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: Any,
    what: str,
) -> None:
    callback = network.follow(browser.start())

    with monkeypatch.context() as broken:
        broken.setattr(where, what, fail)
        assert_refused(browser.visit(callback), 503, RETRY, WAIT)

    assert f"sign-in failed: {DATABASE_FAULT} (reference " in caplog.text
    assert_no_detail(caplog)
    assert browser.user is None
    assert browser.sign_in("amber").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_callback_without_a_database_is_refused(
    browser: SiteBrowser, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    callback = network.follow(browser.start())

    with connection.execute_wrapper(fail):
        assert_refused(browser.visit(callback), 503, RETRY, WAIT)

    assert f"sign-in failed: {DATABASE_FAULT} (reference " in caplog.text
    assert_no_detail(caplog)
    assert browser.user is None


@pytest.mark.django_db(transaction=True)
def test_front_channel_without_a_database_ends_nothing_yet(
    signed_in: SiteBrowser, caplog: pytest.LogCaptureFixture
) -> None:
    row = LoginSession.objects.get()
    notice = {"iss": row.issuer, "sid": str(row.sid)}

    with connection.execute_wrapper(fail):
        answer = SiteBrowser().get("/auth/logout/frontchannel/", notice)

    assert answer.status_code == 503
    assert "Logged out." not in answer.text
    assert answer["Content-Security-Policy"].startswith("frame-ancestors https://op.example")
    assert f"front-channel logout cannot be decided now: {DATABASE_FAULT}" in caplog.messages
    assert_no_detail(caplog)
    assert signed_in.user
    assert SiteBrowser().get("/auth/logout/frontchannel/", notice).status_code == 200
    assert signed_in.user is None


# A first sign-in that fails leaves no user: it knows what it has made when that is committed


@pytest.mark.parametrize("table", ["django_session", "ory_logout_loginsession"])
@pytest.mark.django_db(transaction=True)
def test_first_sign_in_without_a_table(table: str, browser: SiteBrowser) -> None:
    connection.cursor().execute(f"ALTER TABLE {table} RENAME TO moved")
    try:
        answer = browser.sign_in("amber")
        assert "not_migrated" in answer.text
        assert (User.objects.count(), Subject.objects.count()) == (0, 0)
    finally:
        connection.cursor().execute(f"ALTER TABLE moved RENAME TO {table}")

    assert browser.sign_in("amber").status_code == 302


@pytest.mark.django_db(transaction=True)
def test_first_sign_in_without_the_cache_of_the_sessions(browser: SiteBrowser, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "down": {"BACKEND": "tests.caches.DownCache"}}
    settings.SESSION_CACHE_ALIAS = "down"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"

    assert "session_store_fault" in browser.sign_in("amber").text

    assert (User.objects.count(), Subject.objects.count()) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_first_sign_in_whose_session_can_be_neither_stored_nor_deleted(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def fail(*_args: Any) -> None:
        raise TemporaryError("session_store_fault", "ConnectionError")

    for method in ("store", "delete"):
        monkeypatch.setattr(LoginSessionStore, method, fail)

    assert "session_store_fault" in browser.sign_in("amber").text

    assert (User.objects.count(), Subject.objects.count(), LoginSession.objects.count()) == (0, 0, 0)
    assert "failed sign-in not deleted, ory_purge will delete it: session_store_fault: ConnectionError" in logged()
