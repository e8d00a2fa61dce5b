"""``LoginSessionMiddleware`` replaces the session, costs nothing on public pages, and works under WSGI and ASGI."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.sessions.backends.base import CreateError
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from django_ory_logout.middleware import LoginSessionMiddleware
from django_ory_logout.models import EndReason, LoginSession
from django_ory_logout.sessions import ending, engines, index
from django_ory_logout.sessions.store import LoginSessionStore, indexed

from .conftest import SiteBrowser

pytestmark = pytest.mark.django_db


def request_with_session(key: str | None = None) -> HttpRequest:
    request = HttpRequest()
    request.session = SessionStore(key)
    return request


def test_the_session_reads_the_index_and_keeps_key_and_class_name() -> None:
    request = request_with_session("a key that is long enough")

    LoginSessionMiddleware(lambda request: HttpResponse())(request)

    assert isinstance(request.session, LoginSessionStore)
    assert isinstance(request.session, SessionStore)
    assert type(request.session).__qualname__ == "SessionStore"
    assert type(request.session).__module__ == SessionStore.__module__
    assert request.session.session_key == "a key that is long enough"


@pytest.mark.parametrize(("session", "kind"), [(None, "NoneType"), ({}, "dict")])
def test_another_object_than_a_session_store_is_refused(session: object, kind: str) -> None:
    request = HttpRequest()
    if session is not None:
        request.session = session  # type: ignore[assignment]

    with pytest.raises(
        ImproperlyConfigured, match=rf"request\.session is a builtins\.{kind}, which is not a session of"
    ):
        LoginSessionMiddleware(lambda request: HttpResponse())(request)


def test_a_session_inside_a_lazy_object_is_found() -> None:
    request = HttpRequest()
    request.session = SimpleLazyObject(lambda: SimpleLazyObject(lambda: SessionStore("a key that is long enough")))  # type: ignore[assignment]

    LoginSessionMiddleware(lambda request: HttpResponse())(request)

    assert type(request.session) is indexed(SessionStore)
    assert request.session.session_key == "a key that is long enough"


def test_session_middleware_that_is_no_subclass_of_djangos_works(browser: SiteBrowser, settings: Any) -> None:
    settings.MIDDLEWARE = ["tests.members.middleware.SessionMiddleware", *settings.MIDDLEWARE[1:]]

    browser.sign_in("amber")
    assert browser.user is not None
    LoginSession.objects.update(ended_at=timezone.now())
    cache.clear()
    index.forget_seen(None)
    assert browser.user is None


@pytest.mark.parametrize("again", [[], ["django.contrib.sessions.middleware.SessionMiddleware"]])
def test_middleware_that_is_listed_twice(browser: SiteBrowser, settings: Any, again: list[str]) -> None:
    first, ours, *rest = settings.MIDDLEWARE
    settings.MIDDLEWARE = [first, ours, *again, ours, *rest]

    browser.sign_in("amber")
    assert browser.user is not None
    browser.post("/auth/logout/")
    assert browser.user is None
    assert not LoginSession.objects.filter(ended_at=None).exists()


def test_all_requests_use_one_class() -> None:
    first, second = request_with_session(), request_with_session()
    middleware = LoginSessionMiddleware(lambda request: HttpResponse())

    middleware(first)
    middleware(second)

    assert type(first.session) is type(second.session) is indexed(SessionStore)


def test_the_middleware_reads_nothing(django_assert_num_queries: Any) -> None:
    request = request_with_session("a key that is long enough")

    with django_assert_num_queries(0):
        LoginSessionMiddleware(lambda request: HttpResponse())(request)

    assert not request.session.accessed


def test_the_answer_is_that_of_the_view() -> None:
    answer = HttpResponse()

    assert LoginSessionMiddleware(lambda request: answer)(request_with_session()) is answer


def test_the_middleware_is_async_between_async_middleware() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        assert isinstance(request.session, LoginSessionStore)
        return HttpResponse()

    middleware = LoginSessionMiddleware(view)

    assert iscoroutinefunction(middleware)
    assert async_to_sync(middleware)(request_with_session()).status_code == 200
    assert not iscoroutinefunction(LoginSessionMiddleware(lambda request: HttpResponse()))


def test_public_pages_read_nothing_and_do_not_vary(
    browser: SiteBrowser, settings: Any, django_assert_num_queries: Any
) -> None:
    browser.sign_in()
    # Django's LoginRequiredMiddleware reads the user before it checks whether the page is public.
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LoginRequired" not in name]
    new_browser = SiteBrowser()
    new_browser.cookies = browser.cookies

    with django_assert_num_queries(0):
        answer = new_browser.get("/")

    assert answer.status_code == 200
    assert "Cookie" not in answer.headers.get("Vary", "")
    assert not answer.cookies


def position(queries: CaptureQueriesContext, *words: str) -> int:
    """The position of the only statement that contains all of ``words``."""
    [place] = [place for place, query in enumerate(queries) if all(word in query["sql"] for word in words)]
    return place


@pytest.mark.django_db(transaction=True)
def test_last_seen_is_updated_after_the_pages_transaction(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LoginRequired" not in name]
    browser.sign_in("amber")
    long_ago = timezone.now() - timedelta(minutes=6)
    LoginSession.objects.update(last_seen_at=long_ago)
    index._seen.clear()
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    with CaptureQueriesContext(connection) as queries:
        browser.get("/tags/")

    asked = position(queries, "SELECT", "ory_logout_loginsession")
    noted = position(queries, "UPDATE", "ory_logout_loginsession", "last_seen_at")
    assert position(queries, "BEGIN") < asked < position(queries, "COMMIT") < noted
    assert LoginSession.objects.get().last_seen_at > long_ago


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_the_process_that_ends_a_session_refuses_it_at_once(
    browser: SiteBrowser, settings: Any, tmp_path: Any, engine: str
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    browser.sign_in("amber")
    stored = dict(browser.session)
    assert browser.user

    ending.end_row(str(LoginSession.objects.get().pk), EndReason.USER)
    brought_back = engines.site_store()()
    brought_back.update(stored)
    brought_back._session_key = browser.key
    brought_back.save(must_create=True)

    assert browser.user is None


def test_private_pages_vary(browser: SiteBrowser) -> None:
    browser.sign_in()

    assert "Cookie" in browser.get("/private/")["Vary"]


def test_async_views_see_the_user(browser: SiteBrowser) -> None:
    browser.sign_in()
    client = AsyncClient()

    anonymous = async_to_sync(client.get)("/private-async/")
    client.cookies = browser.cookies
    signed_in = async_to_sync(client.get)("/private-async/")

    assert anonymous.status_code == 302
    assert signed_in.status_code == 200


# Faults of an engine


def test_an_ended_session_that_cannot_be_deleted_is_refused(
    browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    browser.sign_in("amber")
    index._seen.clear()
    LoginSession.objects.update(ended_at=timezone.now())

    def fail(*_args: object) -> None:
        raise OperationalError

    monkeypatch.setattr(engines.site_store(), "delete", fail)

    assert browser.user is None
    assert "stored session not deleted: OperationalError" in caplog.messages


def test_a_key_in_use_refuses_the_sign_in(browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(_session: object, must_create: bool = False) -> None:
        raise CreateError

    with monkeypatch.context() as faulty:
        faulty.setattr(engines.site_store(), "save", save)
        answer = browser.sign_in("amber")

    assert answer.status_code == 503
    assert "session_store_fault" in answer.text
    assert browser.user is None


def test_a_session_that_cannot_be_read_is_not_overwritten(browser: SiteBrowser, settings: Any) -> None:
    """After the fault, the cache still has the session."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    browser.sign_in("amber")
    key, prefix = str(browser.key), engines.site_store()().cache_key_prefix  # type: ignore[attr-defined]
    kept = cache.get(prefix + key)
    cache.delete(prefix + key)
    session = indexed(engines.site_store())(key)

    assert dict(session.items()) == {}
    session.save()
    assert session.session_key == key
    session["cart"] = "full"
    session.save()

    assert session.session_key not in (None, key)
    cache.set(prefix + key, kept)
    assert browser.user
