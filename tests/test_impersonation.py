"""Whoever else calls ``login()``, ``flush()`` or ``cycle_key()``: what the provider opened ends all of that browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path

from django_ory_logout.models import LoginSession
from django_ory_logout.sessions import index
from django_ory_logout.sessions.engines import site_store
from django_ory_logout.testing import Provider

from . import urls
from .conftest import NewBrowser, SiteBrowser

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
BACKEND = "django.contrib.auth.backends.ModelBackend"

pytestmark = pytest.mark.django_db(transaction=True)


# The site's other code


def person(name: str) -> Any:
    user, _ = get_user_model().objects.get_or_create(username=name)
    return user


def login(request: HttpRequest, name: str) -> HttpResponse:
    auth.login(request, person(name), BACKEND)
    return HttpResponse()


def login_again(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    auth.login(request, user, BACKEND)
    return HttpResponse()


def flush_and_login(request: HttpRequest, name: str) -> HttpResponse:
    request.session.flush()
    return login(request, name)


def clear_unread_and_login(request: HttpRequest, name: str) -> HttpResponse:
    """Before anything has read the session, as middleware that is lazy leaves it."""
    vars(request.session).pop("_session_cache", None)
    vars(request.session).pop("_opened", None)
    return clear_and_login(request, name)


def delete_and_login(request: HttpRequest, name: str) -> HttpResponse:
    vars(request.session).pop("_session_cache", None)
    vars(request.session).pop("_opened", None)
    request.session.delete()
    return login(request, name)


def replace_and_login(request: HttpRequest, name: str) -> HttpResponse:
    """A store of the site's own in place of the middleware's."""
    request.session = site_store()()
    return login(request, name)


def replace(request: HttpRequest) -> HttpResponse:
    request.session = site_store()()
    request.session["cart"] = "full"
    return HttpResponse()


def clear_and_login(request: HttpRequest, name: str) -> HttpResponse:
    request.session.clear()
    return login(request, name)


def login_saving_often(request: HttpRequest, name: str) -> HttpResponse:
    """As code does that wants to know the new key at once."""
    request.session.save()
    login(request, "dogwood")
    request.session.save()
    login(request, name)
    request.session.save()
    request.session.cycle_key()
    return HttpResponse()


def login_and_crash(request: HttpRequest, name: str) -> HttpResponse:
    login(request, name)
    raise RuntimeError


def cycle_key(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse()


def change_password(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    user.set_password("another")
    user.save()
    auth.update_session_auth_hash(request, user)
    return HttpResponse()


def log_out_and_login(request: HttpRequest, name: str) -> HttpResponse:
    auth.logout(request)
    return login(request, name)


@login_not_required
def flush(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse()


def clear(request: HttpRequest) -> HttpResponse:
    request.session.clear()
    return HttpResponse()


def flush_and_remember(request: HttpRequest) -> HttpResponse:
    """The session goes on, with nobody signed in."""
    request.session.flush()
    request.session["basket"] = ["plums"]
    return HttpResponse()


def flush_and_crash(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    raise RuntimeError


async def alogin(request: HttpRequest, name: str) -> HttpResponse:
    user, _ = await get_user_model().objects.aget_or_create(username=name)
    await auth.alogin(request, user, BACKEND)
    return HttpResponse()


async def aflush_and_alogin(request: HttpRequest, name: str) -> HttpResponse:
    await request.session.aflush()
    return await alogin(request, name)


async def acycle_key(request: HttpRequest) -> HttpResponse:
    await request.session.acycle_key()
    return HttpResponse()


async def aflush(request: HttpRequest) -> HttpResponse:
    await request.session.aflush()
    return HttpResponse()


View = Callable[..., Any]
OF_ONE: list[View] = [
    clear_unread_and_login,
    delete_and_login,
    replace_and_login,
    login,
    flush_and_login,
    clear_and_login,
    login_saving_often,
    alogin,
    aflush_and_alogin,
]
OF_THE_SAME: list[View] = [login_again, cycle_key, change_password, acycle_key]
OF_NOBODY: list[View] = [flush, clear, replace, flush_and_remember, flush_and_crash, aflush]
urlpatterns = [
    *urls.urlpatterns,
    *(path(f"{view.__name__}/<name>/", view) for view in (*OF_ONE, login_and_crash, log_out_and_login)),
    *(path(f"{view.__name__}/", view) for view in (*OF_THE_SAME, *OF_NOBODY)),
]

#: Where a browser goes after a sign-in, and who is signed in then: one path or several, one after the other.
WAYS: dict[str, tuple[list[str], str]] = {
    **{view.__name__: ([f"/{view.__name__}/birch/"], "birch") for view in OF_ONE},
    **{view.__name__: ([f"/{view.__name__}/"], "") for view in OF_THE_SAME},
    "one after the other": (["/login/birch/", "/login/cedar/", "/flush_and_login/dogwood/"], "dogwood"),
    "taken on in an async view": (["/alogin/birch/", "/login/cedar/", "/aflush_and_alogin/birch/"], "birch"),
    "with a rotated key": (["/login/birch/", "/cycle_key/", "/change_password/", "/acycle_key/"], "birch"),
    "released": (["/login/birch/", "/login/{me}/"], ""),
    "released twice": (["/login/birch/", "/login/cedar/", "/login/birch/", "/login/{me}/"], ""),
    "released after new passwords": (["/change_password/", "/login/birch/", "/change_password/", "/login/{me}/"], ""),
}


SOME = pytest.mark.parametrize("way", ["login", "released"], indirect=True)


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.ROOT_URLCONF = "tests.test_impersonation"
    return str(request.param)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[list[str], str]:
    return WAYS[request.param]


Copy = Callable[[SiteBrowser], SiteBrowser]


@pytest.fixture
def copy_of(new_browser: NewBrowser) -> Copy:
    """Another browser with the same cookies."""

    def copy_of(browser: SiteBrowser) -> SiteBrowser:
        copy = new_browser()
        copy.cookies.load({name: morsel.value for name, morsel in browser.cookies.items()})
        return copy

    return copy_of


def name_in(browser: SiteBrowser) -> str | None:
    """Who is signed in, as the site's own view sees it."""
    answer = browser.get("/private/")
    return answer.text if answer.status_code == 200 else None


class Crowd:
    """A browser in which a provider's sign-in was followed by ``way``, its copies, and one of somebody else."""

    def __init__(self, new_browser: NewBrowser, copy_of: Copy) -> None:
        self.browser, self.other = new_browser(raise_request_exception=False), new_browser()
        self.browser.sign_in("amber")
        self.other.sign_in("hazel")
        self.me = name_in(self.browser) or ""
        self.row = LoginSession.objects.get(subject="amber")
        self._copy_of = copy_of
        self.copies: list[SiteBrowser] = [copy_of(self.browser)]

    def go(self, way: tuple[list[str], str], *, looks: bool = True) -> None:
        paths, signed_in = way
        for path in paths:
            assert self.browser.get(path.format(me=self.me)).status_code == 200
            self.copies.append(self._copy_of(self.browser))
        if looks:
            assert name_in(self.browser) == (signed_in or self.me)
            self.copies.append(self._copy_of(self.browser))

    def assert_all_out(self) -> None:
        assert [name_in(browser) for browser in (self.browser, *self.copies)] == [None] * (len(self.copies) + 1)
        assert name_in(self.other)
        assert [row.subject for row in LoginSession.objects.filter(ended_at=None)] == ["hazel"]


@pytest.fixture
def crowd(new_browser: NewBrowser, copy_of: Copy) -> Crowd:
    return Crowd(new_browser, copy_of)


def test_the_providers_notice_ends_all(
    crowd: Crowd, way: tuple[list[str], str], provider: Provider, new_browser: NewBrowser
) -> None:
    crowd.go(way, looks=False)

    assert new_browser().deliver(provider.end(str(crowd.row.sid))) == [200]

    crowd.assert_all_out()


def test_logging_out_ends_all_and_goes_to_the_provider(
    crowd: Crowd, way: tuple[list[str], str], provider: Provider
) -> None:
    crowd.go(way)

    answer = crowd.browser.post("/auth/logout/")

    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{provider.issuer}/")
    crowd.assert_all_out()


@SOME
def test_a_notice_about_the_person_ends_all(
    crowd: Crowd, way: tuple[list[str], str], provider: Provider, new_browser: NewBrowser
) -> None:
    crowd.go(way)

    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    crowd.assert_all_out()


@SOME
def test_a_frame_ends_all(crowd: Crowd, way: tuple[list[str], str]) -> None:
    crowd.go(way)

    answer = crowd.browser.get("/auth/logout/frontchannel/", {"iss": crowd.row.issuer, "sid": str(crowd.row.sid)})

    assert answer.status_code == 200
    crowd.assert_all_out()


@SOME
def test_a_new_sign_in_ends_all(crowd: Crowd, way: tuple[list[str], str]) -> None:
    crowd.go(way)

    crowd.browser.sign_in("elder")

    assert crowd.browser.user["subject"] == "elder"
    assert [name_in(copy) for copy in crowd.copies] == [None] * len(crowd.copies)


def test_a_notice_about_who_was_taken_on_ends_only_their_own(
    crowd: Crowd, provider: Provider, new_browser: NewBrowser
) -> None:
    crowd.other.sign_in("birch")
    crowd.go((["/login/birch/"], "birch"))

    assert new_browser().deliver(provider.end_subject("birch")) == [200]

    assert name_in(crowd.other) is None
    assert name_in(crowd.browser) == "birch"


@pytest.mark.parametrize("view", [view.__name__ for view in OF_NOBODY])
@pytest.mark.parametrize("before", [[], ["/login/birch/"]], ids=["", "taken on"])
def test_a_session_that_is_emptied_ends_the_row(crowd: Crowd, view: str, before: list[str]) -> None:
    crowd.go((before, "birch" if before else ""))

    assert crowd.browser.get(f"/{view}/").status_code == (500 if "crash" in view else 200)

    crowd.assert_all_out()
    crowd.browser.get("/flush/")
    assert name_in(crowd.other)


def test_a_crash_after_login_leaves_nothing_that_a_notice_does_not_end(
    crowd: Crowd, provider: Provider, new_browser: NewBrowser
) -> None:
    assert crowd.browser.get("/login_and_crash/birch/").status_code == 500

    assert new_browser().deliver(provider.end(str(crowd.row.sid))) == [200]

    crowd.assert_all_out()


def test_who_logs_out_and_signs_in_as_another_is_not_the_providers(
    crowd: Crowd, provider: Provider, new_browser: NewBrowser
) -> None:
    sid = str(crowd.row.sid)
    crowd.browser.get("/log_out_and_login/cedar/")

    assert [name_in(copy) for copy in crowd.copies] == [None]
    assert not LoginSession.objects.filter(subject="amber").exists()
    assert new_browser().deliver(provider.end(sid)) == [200]
    assert name_in(crowd.browser) == "cedar"
    assert crowd.browser.post("/auth/logout/").status_code == 200
    assert name_in(crowd.browser) is None


def test_a_password_that_was_changed_elsewhere_ends_the_row(crowd: Crowd) -> None:
    user = person(crowd.me)
    user.set_password("another")
    user.save()

    crowd.assert_all_out()


@SOME
def test_within_a_transaction_around_each_view(
    crowd: Crowd, way: tuple[list[str], str], provider: Provider, new_browser: NewBrowser, monkeypatch: Any
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    crowd.go(way)

    assert new_browser().deliver(provider.end(str(crowd.row.sid))) == [200]

    crowd.assert_all_out()


@pytest.mark.parametrize("way", ["alogin", "acycle_key", "taken on in an async view"], indirect=True)
def test_under_asgi(crowd: Crowd, way: tuple[list[str], str], provider: Provider, new_browser: NewBrowser) -> None:
    asgi = AsyncClient()
    asgi.cookies = crowd.browser.cookies
    for path in way[0]:
        assert async_to_sync(asgi.get)(path.format(me=crowd.me), secure=True).status_code == 200
    assert name_in(crowd.browser) == (way[1] or crowd.me)

    assert new_browser().deliver(provider.end(str(crowd.row.sid))) == [200]

    crowd.assert_all_out()


def test_emptied_under_asgi(crowd: Crowd) -> None:
    asgi = AsyncClient()
    asgi.cookies = crowd.browser.cookies

    async_to_sync(asgi.get)("/aflush/", secure=True)

    crowd.assert_all_out()


def test_a_session_that_is_emptied_while_the_database_fails(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> int:
        raise OperationalError

    with monkeypatch.context() as faulty:
        faulty.setattr(index, "mark_ended", fail)
        answer = crowd.browser.get("/flush/")

    assert answer.status_code == 503
    crowd.assert_all_out()
