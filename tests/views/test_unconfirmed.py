"""A logout that the database could not store: the page, the marker cookie in the browser, and how it is completed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import AsyncClient, RequestFactory

from django_ory_logout.exceptions import LogoutUnconfirmed
from django_ory_logout.models import LoginSession
from django_ory_logout.sessions.engines import site_store
from django_ory_logout.sessions.store import indexed
from django_ory_logout.views import errors, unconfirmed

from ..conftest import Logged, NewBrowser, SiteBrowser
from .pages import assert_page

pytestmark = pytest.mark.django_db(transaction=True)

TITLE = "Your logout is not confirmed yet"
COOKIE = "ory_logout_unconfirmed_auth"

Down = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def down() -> Down:
    """While this context lasts, each statement fails."""

    def fail(*_args: Any) -> Any:
        raise OperationalError("away")

    @contextmanager
    def down() -> Iterator[None]:
        with connection.execute_wrapper(fail):
            yield

    return down


@pytest.fixture
def signed_in(browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    return browser


@pytest.fixture
def copy(signed_in: SiteBrowser, new_browser: NewBrowser) -> SiteBrowser:
    copy = new_browser()
    copy.cookies["sessionid"] = str(signed_in.key)
    assert copy.user
    return copy


def test_the_page_reports_it_and_the_browser_is_signed_out(
    signed_in: SiteBrowser, copy: SiteBrowser, down: Down, logged: Logged
) -> None:
    with down():
        answer = signed_in.post("/auth/logout/", {"next": "/bye/"})

    assert_page(answer, 503, TITLE)
    assert answer["Retry-After"] == "5"
    assert '<input type="hidden" name="next" value="/bye/">' in answer.text
    assert '<input type="hidden" name="was_opened" value="1">' in answer.text
    assert "sessionid" not in signed_in.cookies
    assert signed_in.cookies[COOKIE]["httponly"]
    assert signed_in.cookies[COOKIE]["secure"]
    assert "logout not confirmed: database_fault: OperationalError" in logged()


def test_a_missing_migration_is_named(signed_in: SiteBrowser, logged: Logged) -> None:
    def fail(*_args: Any) -> Any:
        raise OperationalError("no such column: ory_logout_loginsession.end_reason")

    with connection.execute_wrapper(fail):
        answer = signed_in.post("/auth/logout/")

    assert_page(answer, 503, TITLE)
    assert "not_migrated" in answer.text
    missing = "no such column: ory_logout_loginsession.end_reason. Run: python manage.py migrate"
    assert f"logout not confirmed: not_migrated: {missing}" in logged()


def test_the_button_completes_the_logout(signed_in: SiteBrowser, copy: SiteBrowser, down: Down) -> None:
    with down():
        signed_in.post("/auth/logout/")
        assert_page(signed_in.post("/auth/logout/"), 503, TITLE)

    answer = signed_in.post("/auth/logout/", {"was_opened": "1", "next": "/bye/"})
    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert COOKIE not in signed_in.cookies
    assert copy.user is None
    assert not LoginSession.objects.filter(ended_at=None).exists()


def test_the_next_request_completes_the_logout(signed_in: SiteBrowser, copy: SiteBrowser, down: Down) -> None:
    with down():
        signed_in.post("/auth/logout/")

    signed_in.get("/tags/")

    assert copy.user is None
    assert COOKIE not in signed_in.cookies


def test_a_request_to_an_async_view_completes_the_logout(signed_in: SiteBrowser, copy: SiteBrowser, down: Down) -> None:
    with down():
        signed_in.post("/auth/logout/")
    client = AsyncClient()
    client.cookies = signed_in.cookies

    from asgiref.sync import async_to_sync

    async_to_sync(client.get)("/private-async/")

    assert copy.user is None


def test_json_reports_it(signed_in: SiteBrowser, down: Down) -> None:
    with down():
        answer = signed_in.post("/auth/logout/", headers={"accept": "application/json"})

    assert answer.status_code == 503
    assert answer.json() == {"error": "database_fault"}
    assert COOKIE in signed_in.cookies


def test_the_cookie_shows_no_session_key(signed_in: SiteBrowser, down: Down, settings: Any) -> None:
    key = str(signed_in.key)
    with down():
        signed_in.post("/auth/logout/")

    note = signed_in.cookies[COOKIE].value
    assert key not in note
    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = note
    assert unconfirmed._names(request) == [[None, key, "user"]]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [settings.SECRET_KEY]
    assert unconfirmed._names(request) == [[None, key, "user"]]


@pytest.mark.parametrize("note", ["", "made up", "gAAAAA==", "ä"])
def test_a_forged_cookie_ends_nothing(signed_in: SiteBrowser, note: str) -> None:
    signed_in.cookies[COOKIE] = note

    assert signed_in.user
    assert COOKIE not in signed_in.cookies


def test_two_logouts_of_one_browser_are_both_remembered(
    signed_in: SiteBrowser, copy: SiteBrowser, new_browser: NewBrowser, down: Down
) -> None:
    other = new_browser()
    other.sign_in("birch")
    with down():
        signed_in.post("/auth/logout/")
        signed_in.cookies["sessionid"] = str(other.key)
        signed_in.post("/auth/logout/")

    signed_in.get("/tags/")

    assert copy.user is None
    assert other.user is None


def test_a_password_login_without_its_store_is_remembered(
    browser: SiteBrowser, settings: Any, monkeypatch: Any
) -> None:
    """The index does not know it. The user is signed in as long as the session is stored."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")
    copy = SiteBrowser()
    copy.cookies["sessionid"] = str(browser.key)
    assert copy.user

    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise ConnectionError

    with monkeypatch.context() as broken:
        for name in ("get", "set", "add", "delete", "delete_many"):
            broken.setattr(type(caches["default"]), name, fail)
        assert_page(browser.post("/auth/logout/"), 503, TITLE)

    assert browser.user is None
    assert copy.user is None


# Middleware of the site that reads the session before our view


def reads_the_user(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        str(request.user)
        return get_response(request)

    return middleware


@pytest.fixture
def with_such_middleware(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.reads_the_user"]


@pytest.mark.usefixtures("with_such_middleware")
def test_a_logout_that_fails_in_middleware_is_remembered(signed_in: SiteBrowser, copy: SiteBrowser, down: Down) -> None:
    signed_in.raise_request_exception = False
    with down():
        assert_page(signed_in.post("/auth/logout/"), 503, TITLE)

    assert signed_in.user is None
    assert copy.user is None


@pytest.mark.usefixtures("with_such_middleware")
@pytest.mark.parametrize("path", ["login", "logout", "sessions", "whoami", "callback"])
def test_a_page_that_fails_in_middleware_reports_it(signed_in: SiteBrowser, down: Down, path: str) -> None:
    signed_in.raise_request_exception = False
    with down():
        assert signed_in.get(f"/auth/{path}/").status_code in (200, 400, 503)

    assert signed_in.user


@pytest.mark.usefixtures("with_such_middleware")
@pytest.mark.parametrize("path", ["/tags/", "/no/such/page/"])
def test_a_page_of_the_site_shows_the_sites_own_error(signed_in: SiteBrowser, down: Down, path: str) -> None:
    signed_in.raise_request_exception = False
    with down():
        answer = signed_in.get(path)

    assert answer.status_code == 500
    assert "reference" not in answer.text


def test_csrf_tokens_in_an_unreadable_session_refuse_the_logout(
    signed_in: SiteBrowser, down: Down, settings: Any
) -> None:
    """The request cannot be checked, so it signs nobody out."""
    settings.CSRF_USE_SESSIONS = True
    signed_in.raise_request_exception = False
    with down():
        answer = signed_in.post("/auth/logout/")

    assert answer.status_code == 503
    assert signed_in.user


def test_a_page_of_the_site_whose_error_page_needs_the_session_works(
    signed_in: SiteBrowser, down: Down, settings: Any
) -> None:
    settings.CSRF_USE_SESSIONS = True
    signed_in.raise_request_exception = False
    with down(), pytest.raises(OperationalError):
        signed_in.get("/tags/")

    assert signed_in.user


def test_the_button_works_without_a_session(new_browser: NewBrowser, settings: Any, down: Down) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    browser = new_browser()
    browser.sign_in("amber")
    with down():
        browser.post("/auth/logout/")
        answer = browser.post("/auth/logout/")

    assert_page(answer, 503, TITLE)
    assert "logout_unconfirmed" in answer.text


def test_without_a_session_no_cookie_is_set(rf: RequestFactory) -> None:
    request: Any = rf.get("/")
    request.session = indexed(site_store())()
    response = HttpResponse()

    unconfirmed.replace_session(request, response, LogoutUnconfirmed("database_fault"))

    assert COOKIE not in response.cookies


def test_a_cookie_that_the_response_sets_stays() -> None:
    response = HttpResponse()
    response.set_cookie(COOKIE, "another")

    unconfirmed.delete_cookie(response)

    assert response.cookies[COOKIE].value == "another"


def test_a_page_without_a_csrf_token_works(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise OperationalError

    monkeypatch.setattr(errors, "render", fail)
    monkeypatch.setattr(errors, "get_token", fail)

    page = errors.render_safely(rf.get("/"), "ory_logout/error.html", {"title": "No"}, 503)

    assert "<h1>No</h1>" in page.text
