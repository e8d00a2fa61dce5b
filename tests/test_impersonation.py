"""Other code calls ``login()``, ``flush()`` or ``cycle_key()``. A logout still ends all sessions of that browser."""

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


def user_named(name: str) -> Any:
    user, _ = get_user_model().objects.get_or_create(username=name)
    return user


def login(request: HttpRequest, name: str) -> HttpResponse:
    auth.login(request, user_named(name), BACKEND)
    return HttpResponse()


def login_again(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    auth.login(request, user, BACKEND)
    return HttpResponse()


def flush_and_login(request: HttpRequest, name: str) -> HttpResponse:
    request.session.flush()
    return login(request, name)


def clear_unread_and_login(request: HttpRequest, name: str) -> HttpResponse:
    """Before anything has read the session, as lazy middleware does."""
    vars(request.session).pop("_session_cache", None)
    vars(request.session).pop("_login_entries", None)
    return clear_and_login(request, name)


def delete_and_login(request: HttpRequest, name: str) -> HttpResponse:
    vars(request.session).pop("_session_cache", None)
    vars(request.session).pop("_login_entries", None)
    request.session.delete()
    return login(request, name)


def replace_and_login(request: HttpRequest, name: str) -> HttpResponse:
    """A new store of the site replaces the middleware's store."""
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
    """Save often, like code that needs the new key at once."""
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
    """The session continues, with nobody signed in."""
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
AS_ANOTHER: list[View] = [
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
AS_THE_SAME: list[View] = [login_again, cycle_key, change_password, acycle_key]
SIGNED_OUT: list[View] = [flush, clear, replace, flush_and_remember, flush_and_crash, aflush]
urlpatterns = [
    *urls.urlpatterns,
    *(path(f"{view.__name__}/<name>/", view) for view in (*AS_ANOTHER, login_and_crash, log_out_and_login)),
    *(path(f"{view.__name__}/", view) for view in (*AS_THE_SAME, *SIGNED_OUT)),
]

#: The paths that a browser requests after a sign-in, one after another, and the user who is signed in then.
WAYS: dict[str, tuple[list[str], str]] = {
    **{view.__name__: ([f"/{view.__name__}/birch/"], "birch") for view in AS_ANOTHER},
    **{view.__name__: ([f"/{view.__name__}/"], "") for view in AS_THE_SAME},
    "one after the other": (["/login/birch/", "/login/cedar/", "/flush_and_login/dogwood/"], "dogwood"),
    "taken on in an async view": (["/alogin/birch/", "/login/cedar/", "/aflush_and_alogin/birch/"], "birch"),
    "with a rotated key": (["/login/birch/", "/cycle_key/", "/change_password/", "/acycle_key/"], "birch"),
    "released": (["/login/birch/", "/login/{me}/"], ""),
    "released twice": (["/login/birch/", "/login/cedar/", "/login/birch/", "/login/{me}/"], ""),
    "released after new passwords": (["/change_password/", "/login/birch/", "/change_password/", "/login/{me}/"], ""),
}


SOME = pytest.mark.parametrize("steps", ["login", "released"], indirect=True)


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.ROOT_URLCONF = "tests.test_impersonation"
    return str(request.param)


@pytest.fixture(params=WAYS)
def steps(request: pytest.FixtureRequest) -> tuple[list[str], str]:
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
    """The signed-in user, as the site's own view sees it."""
    answer = browser.get("/private/")
    return answer.text if answer.status_code == 200 else None


class Browsers:
    """A browser with a provider's sign-in and then ``steps``, its copies, and a browser of another user."""

    def __init__(self, new_browser: NewBrowser, copy_of: Copy) -> None:
        self.browser, self.other = new_browser(raise_request_exception=False), new_browser()
        self.browser.sign_in("amber")
        self.other.sign_in("hazel")
        self.me = name_in(self.browser) or ""
        self.row = LoginSession.objects.get(subject="amber")
        self._copy_of = copy_of
        self.copies: list[SiteBrowser] = [copy_of(self.browser)]

    def go(self, steps: tuple[list[str], str], *, looks: bool = True) -> None:
        paths, signed_in = steps
        for url in paths:
            assert self.browser.get(url.format(me=self.me)).status_code == 200
            self.copies.append(self._copy_of(self.browser))
        if looks:
            assert name_in(self.browser) == (signed_in or self.me)
            self.copies.append(self._copy_of(self.browser))

    def assert_all_out(self) -> None:
        assert [name_in(browser) for browser in (self.browser, *self.copies)] == [None] * (len(self.copies) + 1)
        assert name_in(self.other)
        assert [row.subject for row in LoginSession.objects.filter(ended_at=None)] == ["hazel"]


@pytest.fixture
def browsers(new_browser: NewBrowser, copy_of: Copy) -> Browsers:
    return Browsers(new_browser, copy_of)


def test_a_notice_of_the_provider_ends_all(
    browsers: Browsers, steps: tuple[list[str], str], provider: Provider, new_browser: NewBrowser
) -> None:
    browsers.go(steps, looks=False)

    assert new_browser().deliver(provider.end(str(browsers.row.sid))) == [200]

    browsers.assert_all_out()


def test_a_logout_ends_all_and_redirects_to_the_provider(
    browsers: Browsers, steps: tuple[list[str], str], provider: Provider
) -> None:
    browsers.go(steps)

    answer = browsers.browser.post("/auth/logout/")

    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{provider.issuer}/")
    browsers.assert_all_out()


@SOME
def test_a_notice_by_subject_ends_all(
    browsers: Browsers, steps: tuple[list[str], str], provider: Provider, new_browser: NewBrowser
) -> None:
    browsers.go(steps)

    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    browsers.assert_all_out()


@SOME
def test_a_frame_ends_all(browsers: Browsers, steps: tuple[list[str], str]) -> None:
    browsers.go(steps)

    answer = browsers.browser.get(
        "/auth/logout/frontchannel/", {"iss": browsers.row.issuer, "sid": str(browsers.row.sid)}
    )

    assert answer.status_code == 200
    browsers.assert_all_out()


@SOME
def test_a_new_sign_in_ends_all(browsers: Browsers, steps: tuple[list[str], str]) -> None:
    browsers.go(steps)

    browsers.browser.sign_in("elder")

    assert browsers.browser.user["subject"] == "elder"
    assert [name_in(copy) for copy in browsers.copies] == [None] * len(browsers.copies)


def test_a_notice_about_the_impersonated_user_ends_only_their_own_session(
    browsers: Browsers, provider: Provider, new_browser: NewBrowser
) -> None:
    browsers.other.sign_in("birch")
    browsers.go((["/login/birch/"], "birch"))

    assert new_browser().deliver(provider.end_subject("birch")) == [200]

    assert name_in(browsers.other) is None
    assert name_in(browsers.browser) == "birch"


@pytest.mark.parametrize("view", [view.__name__ for view in SIGNED_OUT])
@pytest.mark.parametrize("before", [[], ["/login/birch/"]], ids=["", "taken on"])
def test_an_emptied_session_ends_the_row(browsers: Browsers, view: str, before: list[str]) -> None:
    browsers.go((before, "birch" if before else ""))

    assert browsers.browser.get(f"/{view}/").status_code == (500 if "crash" in view else 200)

    browsers.assert_all_out()
    browsers.browser.get("/flush/")
    assert name_in(browsers.other)


def test_after_a_crash_in_login_a_notice_ends_all(
    browsers: Browsers, provider: Provider, new_browser: NewBrowser
) -> None:
    assert browsers.browser.get("/login_and_crash/birch/").status_code == 500

    assert new_browser().deliver(provider.end(str(browsers.row.sid))) == [200]

    browsers.assert_all_out()


def test_a_logout_and_another_login_do_not_belong_to_the_provider(
    browsers: Browsers, provider: Provider, new_browser: NewBrowser
) -> None:
    sid = str(browsers.row.sid)
    browsers.browser.get("/log_out_and_login/cedar/")

    assert [name_in(copy) for copy in browsers.copies] == [None]
    assert not LoginSession.objects.filter(subject="amber").exists()
    assert new_browser().deliver(provider.end(sid)) == [200]
    assert name_in(browsers.browser) == "cedar"
    assert browsers.browser.post("/auth/logout/").status_code == 200
    assert name_in(browsers.browser) is None


def test_a_password_changed_elsewhere_ends_the_row(browsers: Browsers) -> None:
    user = user_named(browsers.me)
    user.set_password("another")
    user.save()

    browsers.assert_all_out()


@SOME
def test_a_notice_ends_all_with_a_transaction_around_each_view(
    browsers: Browsers, steps: tuple[list[str], str], provider: Provider, new_browser: NewBrowser, monkeypatch: Any
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    browsers.go(steps)

    assert new_browser().deliver(provider.end(str(browsers.row.sid))) == [200]

    browsers.assert_all_out()


@pytest.mark.parametrize("steps", ["alogin", "acycle_key", "taken on in an async view"], indirect=True)
def test_a_notice_ends_all_under_asgi(
    browsers: Browsers, steps: tuple[list[str], str], provider: Provider, new_browser: NewBrowser
) -> None:
    asgi = AsyncClient()
    asgi.cookies = browsers.browser.cookies
    for url in steps[0]:
        assert async_to_sync(asgi.get)(url.format(me=browsers.me), secure=True).status_code == 200
    assert name_in(browsers.browser) == (steps[1] or browsers.me)

    assert new_browser().deliver(provider.end(str(browsers.row.sid))) == [200]

    browsers.assert_all_out()


def test_an_emptied_session_ends_the_row_under_asgi(browsers: Browsers) -> None:
    asgi = AsyncClient()
    asgi.cookies = browsers.browser.cookies

    async_to_sync(asgi.get)("/aflush/", secure=True)

    browsers.assert_all_out()


def test_a_session_emptied_during_a_database_fault_ends_later(
    browsers: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> int:
        raise OperationalError

    with monkeypatch.context() as faulty:
        faulty.setattr(index, "mark_ended", fail)
        answer = browsers.browser.get("/flush/")

    assert answer.status_code == 503
    browsers.assert_all_out()
