"""django-hijack: an administrator who takes over another user is still the user who signed in at the provider."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import include, path

from django_ory_logout.models import LoginSession
from django_ory_logout.testing import Provider

from .. import urls
from ..conftest import NewBrowser, SiteBrowser
from .conftest import copy_of, name_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("engine")]

urlpatterns = [*urls.urlpatterns, path("hijack/", include("hijack.urls"))]


class Administrator:
    """A browser in which an administrator signed in at the provider, and a copy of it after each change."""

    def __init__(self, new_browser: NewBrowser) -> None:
        self.browser, self._new_browser = new_browser(), new_browser
        self.browser.sign_in("amber")
        self.row = LoginSession.objects.get(subject="amber")
        get_user_model().objects.filter(pk=self.row.user_id).update(is_staff=True, is_superuser=True)
        self.name = name_in(self.browser)
        self.copies = [copy_of(self.browser, new_browser)]

    def take_on(self, name: str) -> None:
        user, _ = get_user_model().objects.get_or_create(username=name, is_superuser=True)
        assert self.browser.post("/hijack/acquire/", {"user_pk": user.pk}).status_code == 302
        assert name_in(self.browser) == name
        self.copies.append(copy_of(self.browser, self._new_browser))

    def release(self, name: str | None = None) -> None:
        assert self.browser.post("/hijack/release/").status_code == 302
        assert name_in(self.browser) == (name or self.name)
        self.copies.append(copy_of(self.browser, self._new_browser))

    def assert_all_out(self) -> None:
        assert [name_in(browser) for browser in (self.browser, *self.copies)] == [None] * (len(self.copies) + 1)
        assert [browser.post("/hijack/release/").status_code for browser in (self.browser, *self.copies)] == [302] * (
            len(self.copies) + 1
        )
        assert name_in(self.browser) is None
        assert not LoginSession.objects.filter(subject="amber", ended_at=None).exists()


@pytest.fixture
def administrator(settings: Any, new_browser: NewBrowser) -> Administrator:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "hijack"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "hijack.middleware.HijackUserMiddleware"]
    settings.ROOT_URLCONF = "tests.services.test_hijack"
    return Administrator(new_browser)


@pytest.fixture(params=["taken on", "two taken on", "released once", "released", "taken on again"])
def hijacked(request: pytest.FixtureRequest, administrator: Administrator) -> Administrator:
    administrator.take_on("birch")
    if request.param != "taken on":
        administrator.take_on("cedar")
    if request.param in ("released once", "released", "taken on again"):
        administrator.release("birch")
    if request.param in ("released", "taken on again"):
        administrator.release()
    if request.param == "taken on again":
        administrator.take_on("birch")
    return administrator


def test_a_notice_ends_all_sessions(hijacked: Administrator, provider: Provider, new_browser: NewBrowser) -> None:
    assert new_browser().deliver(provider.end(str(hijacked.row.sid))) == [200]

    hijacked.assert_all_out()


def test_a_notice_by_subject_ends_all_sessions(
    hijacked: Administrator, provider: Provider, new_browser: NewBrowser
) -> None:
    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    hijacked.assert_all_out()


def test_a_frame_ends_all_sessions(hijacked: Administrator, browser: SiteBrowser) -> None:
    row = hijacked.row

    assert browser.get("/auth/logout/frontchannel/", {"iss": row.issuer, "sid": str(row.sid)}).status_code == 200

    hijacked.assert_all_out()


def test_a_logout_ends_all_sessions(hijacked: Administrator, provider: Provider) -> None:
    assert hijacked.browser.get("/auth/logout/").status_code == 200

    answer = hijacked.browser.post("/auth/logout/")

    assert answer["Location"].startswith(f"{provider.issuer}/")
    hijacked.assert_all_out()
