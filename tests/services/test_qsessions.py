"""django-qsessions: each session keeps its address and browser, and a logout ends it."""

from collections.abc import Iterator
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from qsessions import IP_SESSION_KEY, USER_AGENT_SESSION_KEY

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions.engines import site_store
from django_ory_logout.sessions.store import LoginSessionStore
from django_ory_logout.testing import Provider

from ..conftest import NewBrowser, SiteBrowser

pytestmark = pytest.mark.django_db(transaction=True)

MOSS: Any
FERN: Any
MOSS, FERN = (
    {"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": "Moss 1.0"},
    {
        "REMOTE_ADDR": "2001:db8::8",
        "HTTP_USER_AGENT": "Fern 2.0",
    },
)


@pytest.fixture(params=["db", "cached_db"], autouse=True)
def table(request: pytest.FixtureRequest, db: None, settings: Any) -> Iterator[Any]:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "qsessions"]
    settings.SESSION_ENGINE = f"qsessions.backends.{request.param}"
    ours = [name for name in settings.MIDDLEWARE if not name.endswith(".sessions.middleware.SessionMiddleware")]
    settings.MIDDLEWARE = ["qsessions.middleware.SessionMiddleware", *ours]
    model = import_module("qsessions.models").Session
    with connection.schema_editor() as editor:
        editor.create_model(model)
    yield model.objects
    with connection.schema_editor() as editor:
        editor.delete_model(model)


@pytest.fixture
def browser(new_browser: NewBrowser) -> SiteBrowser:
    return new_browser(**MOSS)


def seen(table: Any) -> list[tuple[Any, Any, Any]]:
    """User, address and browser in the table. The stored session must have the same values."""
    rows = list(table.order_by("created_at"))
    stored = [site_store()(row.session_key).load() for row in rows]
    assert [(session.get(IP_SESSION_KEY), session.get(USER_AGENT_SESSION_KEY)) for session in stored] == [
        (row.ip, row.user_agent) for row in rows
    ]
    return [(row.user_id, row.ip, row.user_agent) for row in rows]


def test_address_and_browser_are_stored_at_sign_in(browser: SiteBrowser, table: Any) -> None:
    browser.sign_in("amber")

    row = LoginSession.objects.get()
    assert seen(table) == [(row.user_id, "192.0.2.7", "Moss 1.0")]
    assert table.get().session_key == row.session_key


def test_address_and_browser_follow_the_browser(browser: SiteBrowser, table: Any) -> None:
    browser.sign_in("amber")

    assert browser.get("/private/", **FERN).status_code == 200

    assert seen(table) == [(LoginSession.objects.get().user_id, "2001:db8::8", "Fern 2.0")]


def test_address_and_browser_are_kept_after_another_sign_in_or_a_rotation(
    browser: SiteBrowser, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("amber")
    browser.sign_in("birch")
    assert seen(table) == [(LoginSession.objects.get().user_id, "192.0.2.7", "Moss 1.0")]

    load, rotated = LoginSessionStore.load, list[bool]()

    def rotate(store: LoginSessionStore) -> dict[str, Any]:
        data = load(store)
        if not rotated:
            rotated.append(True)
            store._session_cache = data
            store.cycle_key()
        return data

    monkeypatch.setattr(LoginSessionStore, "load", rotate)
    assert browser.get("/private/").status_code == 200
    assert browser.get("/private/").status_code == 200
    assert seen(table) == [(LoginSession.objects.get().user_id, "192.0.2.7", "Moss 1.0")]


def test_each_session_has_its_own_values(browser: SiteBrowser, new_browser: NewBrowser, table: Any) -> None:
    browser.sign_in("amber")
    new_browser(**FERN).sign_in("amber")

    user = LoginSession.objects.filter(subject="amber")[0].user_id
    assert seen(table) == [(user, "192.0.2.7", "Moss 1.0"), (user, "2001:db8::8", "Fern 2.0")]


def test_notice_logout_and_purge_end_the_sessions(
    browser: SiteBrowser, new_browser: NewBrowser, table: Any, provider: Provider
) -> None:
    browser.sign_in("amber")
    assert new_browser().deliver(provider.end_subject("amber")) == [200]
    assert browser.user is None
    assert not table.exclude(user_id=None).exists()

    browser.sign_in("birch")
    assert browser.post("/auth/logout/").status_code == 302
    assert browser.user is None

    browser.sign_in("cedar")
    LoginSession.objects.update(expires_at="2001-01-01T00:00Z")
    call_command("ory_purge", stdout=StringIO())
    assert browser.user is None
    assert not table.exclude(user_id=None).exists()
