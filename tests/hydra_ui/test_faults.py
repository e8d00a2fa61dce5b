"""A fault at each statement: the page is ours, and its text about the session here is true."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connection
from django.http import Http404
from django.test import Client, override_settings

from .. import settings as relying_party
from .conftest import Logged, SignIn
from .fake import PUBLIC, FakeHydra
from .site import settings as site

pytestmark = pytest.mark.django_db(transaction=True)

ACCEPT = {"answer": "accept"}
FORM = {"username": "amber", "password": "pw", "remember": "on"}
ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


@pytest.fixture(autouse=True)
def _reads_no_session_before_a_page(settings: Any) -> None:
    """Django's middleware reads ``request.user`` before each view, also before public ones. Its faults are not ours."""
    settings.MIDDLEWARE = [middleware for middleware in settings.MIDDLEWARE if "LoginRequired" not in middleware]


class Faults:
    """Counts the calls to a server. It fails at one call, or at this call and all later ones."""

    def __init__(self, failing: int, *, and_all_after: bool, error: type[Exception]) -> None:
        self.failing, self.and_all_after, self.error, self.count = failing, and_all_after, error, 0

    def __call__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        number, self.count = self.count, self.count + 1
        if number == self.failing or (self.and_all_after and number > self.failing):
            raise self.error("it does not answer")
        return call(*args, **kwargs)

    @property
    def has_failed(self) -> bool:
        return self.count > self.failing


class FaultyCache(LocMemCache):
    """Calls :attr:`faults` before each operation."""

    faults: Faults | None = None

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._asked(super().get, *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        self._asked(super().set, *args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._asked(super().add, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._asked(super().delete, *args, **kwargs)

    def _asked(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.faults(call, *args, **kwargs) if self.faults else call(*args, **kwargs)


@contextmanager
def of_the_database(faults: Faults) -> Iterator[None]:
    faults.error = OperationalError
    with connection.execute_wrapper(faults):
        yield


@contextmanager
def of_the_cache(faults: Faults) -> Iterator[None]:
    FaultyCache.faults = faults
    yield
    FaultyCache.faults = None


each_server = pytest.mark.parametrize("where", [of_the_database, of_the_cache])


def is_signed_in(browser: Client) -> bool:
    """Whether a copy of the browser's cookies opens the login page's session."""
    copied = Client()
    copied.cookies = SimpleCookie({name: morsel.value for name, morsel in browser.cookies.items() if morsel.value})
    return "_auth_user_id" in copied.session


@pytest.fixture(params=["alone", "indexed"])
def _on_both_sites(request: pytest.FixtureRequest, settings: Any) -> None:
    """The pages on their own, and on a site that is a relying party too."""
    if request.param == "indexed":
        be_indexed(settings)


def be_indexed(settings: Any) -> None:
    """The login page is on a site that is a relying party too."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_ory_logout"]
    middleware = "django_ory_logout.middleware.LoginSessionMiddleware"
    settings.MIDDLEWARE = [settings.MIDDLEWARE[0], middleware, *settings.MIDDLEWARE[1:]]
    settings.ROOT_URLCONF = "tests.hydra_ui.site.urls_of_both"
    settings.ORY_LOGOUT = relying_party.ORY_LOGOUT


def each_fault(
    where: Callable[[Faults], AbstractContextManager[None]],
    url: Callable[[], str],
    form: dict[str, str] | None,
    prepare: Callable[[], Client],
) -> Iterator[Any]:
    """Run the act with a fault at each call, then without. Yield the browser, an earlier copy, and the answer."""
    for and_all_after in (False, True):
        has_failed, failing = True, 0
        while has_failed:
            browser, at = prepare(), url()
            kept = Client()
            kept.cookies = SimpleCookie({name: morsel.value for name, morsel in browser.cookies.items()})
            faults = Faults(failing, and_all_after=and_all_after, error=ConnectionError)
            with where(faults):
                answer = browser.get(at) if form is None else browser.post(at, form)
            yield browser, kept, answer
            has_failed, failing = faults.has_failed, failing + 1


def assert_ours(answer: Any) -> None:
    """The page is not Django's own error page."""
    assert answer.status_code in {200, 302, 500, 503}
    if answer.status_code != 302:
        assert '<meta name="viewport"' in answer.content.decode()


@each_server
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("_on_both_sites")
def test_logout_survives_each_fault(
    hydra: FakeHydra, amber: User, settings: Any, tmp_path: Any, engine: str, where: Any
) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.FaultyCache"}}
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)

    def prepare() -> Client:
        browser = Client(raise_request_exception=False)
        assert browser.post(hydra.login(), FORM).status_code == 302
        hydra.answered.clear()
        return browser

    for browser, kept, answer in each_fault(where, lambda: hydra.logout(str(amber.pk)), ACCEPT, prepare):
        assert_ours(answer)
        if answer.status_code == 302:
            assert answer["Location"] == f"{PUBLIC}/logout/accept"
            assert engine == "signed_cookies" or not is_signed_in(kept)
            assert not is_signed_in(browser)
        else:
            assert not hydra.answered
            assert "Try again" in answer.content.decode()
            assert "not logged out yet" in answer.content.decode() or "not confirmed yet" in answer.content.decode()
            # A second request ends the session.
            browser.post(hydra.logout(str(amber.pk)), ACCEPT)
            assert engine == "signed_cookies" or not is_signed_in(kept)
            assert not is_signed_in(browser)


@each_server
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("_on_both_sites")
def test_sign_in_survives_each_fault(
    hydra: FakeHydra, amber: User, settings: Any, tmp_path: Any, engine: str, where: Any
) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.FaultyCache"}}
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)

    for browser, _kept, answer in each_fault(where, hydra.login, FORM, lambda: Client(raise_request_exception=False)):
        assert_ours(answer)
        assert is_signed_in(browser) is (answer.status_code == 302)


@each_server
@pytest.mark.parametrize("engine", ["cached_db", "cache"])
@pytest.mark.usefixtures("_on_both_sites")
@pytest.mark.parametrize("page", ["login", "consent", "logout"])
def test_pages_survive_each_fault(
    hydra: FakeHydra, amber: User, settings: Any, page: str, engine: str, where: Any
) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.FaultyCache"}}
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"

    def prepare() -> Client:
        browser = Client(raise_request_exception=False)
        browser.post(hydra.login(), FORM)
        return browser

    url = {
        "login": lambda: hydra.login(str(amber.pk)),
        "consent": lambda: hydra.consent(str(amber.pk)),
        "logout": lambda: hydra.logout(str(amber.pk)),
    }[page]
    for _browser, _kept, answer in each_fault(where, url, None, prepare):
        assert_ours(answer)


@pytest.mark.parametrize("engine", ["cache", "cached_db"])
def test_a_session_that_the_cache_cannot_load_is_not_taken_for_anonymous(
    hydra: FakeHydra, amber: User, browser: Client, sign_in: SignIn, settings: Any, engine: str
) -> None:
    """Django's cache store hides the fault and loads an empty session."""
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


def no_deletion(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
    if sql.startswith("DELETE"):
        raise OperationalError("it does not answer")
    return execute(sql, *args)


def test_an_unconfirmed_logout_returns_to_the_page(
    hydra: FakeHydra, amber: User, browser: Client, sign_in: SignIn, settings: Any, logged: Logged
) -> None:
    """Hydra has not been called yet."""
    be_indexed(settings)
    sign_in(amber, sid="sid-1")
    url = hydra.logout(str(amber.pk))
    hydra.before = lambda: pytest.fail("Hydra is asked")
    with connection.execute_wrapper(no_deletion):
        answer = browser.post(url, ACCEPT)
    hydra.before = lambda: None

    page = answer.content.decode()
    assert answer.status_code == 503
    assert "Your logout is not confirmed yet" in page
    assert f'value="{url}"' in page
    assert "login sessions at Hydra not revoked: hydra_not_told: sid-1" in logged()
    assert browser.post("/auth/logout/", {"next": url})["Location"] == url
    assert not is_signed_in(browser)


def test_an_unconfirmed_logout_of_the_site_does_not_call_hydra(
    hydra: FakeHydra, amber: User, browser: Client, sign_in: SignIn, settings: Any
) -> None:
    be_indexed(settings)
    sign_in(amber)
    hydra.before = lambda: pytest.fail("Hydra is asked")

    with connection.execute_wrapper(no_deletion):
        answer = browser.post("/leave/")

    assert answer.status_code == 503
    assert "Your logout is not confirmed yet" in answer.content.decode()


def test_changes_after_the_page_are_saved_too(
    hydra: FakeHydra, amber: User, browser: Client, sign_in: SignIn, settings: Any
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.changes_the_session"]

    sign_in(amber)

    assert browser.session["changed"]
    assert is_signed_in(browser)


def changes_the_session(get_response: Any) -> Callable[[Any], Any]:
    """A middleware of the site."""

    def middleware(request: Any) -> Any:
        response = get_response(request)
        request.session["changed"] = True
        return response

    return middleware


@pytest.mark.parametrize(
    ("error", "status"), [(Http404(), 404), (PermissionDenied(), 403), (SuspiciousOperation("as told"), 400)]
)
def test_an_answer_of_the_sites_own_hooks_is_kept(
    hydra: FakeHydra, amber: User, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr(f"{__name__}.raised", error)
    browser = Client(raise_request_exception=False)
    browser.force_login(amber)

    with override_settings(ORY_HYDRA_UI={**site.ORY_HYDRA_UI, "AUTHENTICATION": f"{__name__}.raises"}):
        assert browser.get(hydra.login()).status_code == status


raised: Exception = RuntimeError()


def raises(*_args: object, **_kwargs: object) -> None:
    raise raised


def test_an_error_page_needs_no_context_processor(hydra: FakeHydra, browser: Client, settings: Any) -> None:
    """A context processor may need the service that has just failed."""
    options = {"context_processors": [f"{__name__}.raises"]}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "OPTIONS": options}]

    answer = browser.get("/hydra/login/")

    assert answer.status_code == 400
    assert "This page needs an application" in answer.content.decode()
