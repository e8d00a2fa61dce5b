"""A fault at each statement: a page that is ours, and what it says of the session here is true."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import Client

from django_ory_logout import sessions as index
from django_ory_logout.hydra_ui import sessions
from django_ory_logout.models import LoginSession
from django_ory_logout.stores import end_at_logout

from .. import settings as relying_party
from .conftest import Logged, SignIn, query_of
from .fake import PUBLIC, FakeHydra

pytestmark = pytest.mark.django_db(transaction=True)

ACCEPT = {"answer": "accept"}
FORM = {"username": "amber", "password": "pw", "remember": "on"}
ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


class Statements:
    """Counts what goes to the database, and fails at one statement, or at all from there on."""

    def __init__(self, failing: int, *, and_all_after: bool) -> None:
        self.failing, self.and_all_after, self.count = failing, and_all_after, 0

    def __call__(self, execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        number, self.count = self.count, self.count + 1
        if number == self.failing or (self.and_all_after and number > self.failing):
            raise OperationalError("the database has gone away")
        return execute(sql, *args)

    @property
    def has_failed(self) -> bool:
        return self.count > self.failing


def is_signed_in(browser: Client) -> bool:
    """Whether a copy of the browser's cookies opens the login page's session."""
    copied = Client()
    copied.cookies = SimpleCookie({name: morsel.value for name, morsel in browser.cookies.items() if morsel.value})
    return "_auth_user_id" in copied.session


@pytest.fixture(params=["alone", "indexed"])
def _beside(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """The pages alone, and on a site that is a relying party too."""
    if request.param == "alone":
        yield
        return
    with indexed_site(settings):
        yield


@contextmanager
def indexed_site(settings: Any) -> Iterator[None]:
    """The login page is on a site that is a relying party too."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_ory_logout"]
    middleware = "django_ory_logout.middleware.LoginSessionMiddleware"
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], middleware, *settings.MIDDLEWARE[1:]]
    settings.ROOT_URLCONF = "tests.hydra_ui.site.urls_of_both"
    settings.ORY_LOGOUT = relying_party.ORY_LOGOUT
    yield
    user_logged_out.disconnect(dispatch_uid="ory_logout_end_at_logout")


def each_fault(url: Callable[[], str], form: dict[str, str] | None, prepare: Callable[[], Client]) -> Iterator[Any]:
    """Do it with a fault at each statement, and then once with none. Gives browser, copied browser and answer."""
    for and_all_after in (False, True):
        for failing in range(100):
            browser, at = prepare(), url()
            kept = Client()
            kept.cookies = SimpleCookie({name: morsel.value for name, morsel in browser.cookies.items()})
            statements = Statements(failing, and_all_after=and_all_after)
            with connection.execute_wrapper(statements):
                answer = browser.get(at) if form is None else browser.post(at, form)
            yield browser, kept, answer
            if not statements.has_failed:
                break
        else:
            raise AssertionError("it never ends")


def assert_ours(answer: Any) -> None:
    """No bare page of Django's."""
    assert answer.status_code in {200, 302, 503}
    if answer.status_code != 302:
        assert '<meta name="viewport"' in answer.content.decode()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("_beside")
def test_logout(hydra: FakeHydra, amber: User, settings: Any, tmp_path: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)

    def prepare() -> Client:
        browser = Client(raise_request_exception=False)
        assert browser.post(hydra.login(), FORM).status_code == 302
        hydra.answered.clear()
        return browser

    for browser, kept, answer in each_fault(lambda: hydra.logout(str(amber.pk)), ACCEPT, prepare):
        assert_ours(answer)
        if answer.status_code == 302:
            assert answer["Location"] == f"{PUBLIC}/logout/accept"
            assert engine == "signed_cookies" or not is_signed_in(kept)
            assert not is_signed_in(browser)
        else:
            assert not hydra.answered
            assert "Try again" in answer.content.decode()
            assert "not logged out yet" in answer.content.decode() or "not confirmed yet" in answer.content.decode()
            # Trying again ends it.
            browser.post(hydra.logout(str(amber.pk)), ACCEPT)
            assert engine == "signed_cookies" or not is_signed_in(kept)
            assert not is_signed_in(browser)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("_beside")
def test_sign_in(hydra: FakeHydra, amber: User, settings: Any, tmp_path: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)

    for browser, _kept, answer in each_fault(hydra.login, FORM, lambda: Client(raise_request_exception=False)):
        assert_ours(answer)
        assert is_signed_in(browser) is (answer.status_code == 302)


@pytest.mark.usefixtures("_beside")
@pytest.mark.parametrize("page", ["login", "consent", "logout"])
def test_pages(hydra: FakeHydra, amber: User, page: str) -> None:
    def prepare() -> Client:
        browser = Client(raise_request_exception=False)
        browser.post(hydra.login(), FORM)
        return browser

    url = {
        "login": lambda: hydra.login(str(amber.pk)),
        "consent": lambda: hydra.consent(str(amber.pk)),
        "logout": lambda: hydra.logout(str(amber.pk)),
    }[page]
    for _browser, _kept, answer in each_fault(url, None, prepare):
        assert_ours(answer)


@pytest.mark.parametrize("engine", ["cache", "cached_db"])
def test_the_cache_is_down_and_the_session_is_not_taken_for_a_strangers(
    hydra: FakeHydra, amber: User, browser: Client, sign_in: SignIn, settings: Any, engine: str
) -> None:
    """Django's cache store swallows the fault, and loads an empty session."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    sign_in(amber)
    url, up = hydra.logout(str(amber.pk)), settings.CACHES
    hydra.before = lambda: pytest.fail("Hydra is asked")
    settings.CACHES = {"default": {"BACKEND": "tests.caches.DownCache"}}

    answer = browser.post(url, ACCEPT)

    assert answer.status_code == 503
    assert "You are not logged out yet" in answer.content.decode()
    hydra.before = lambda: None
    settings.CACHES = up
    assert browser.post(url, ACCEPT).status_code == 302
    assert not is_signed_in(browser)
