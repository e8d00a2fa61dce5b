"""Log out everywhere, from the admin: shown first, done when confirmed."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from django_ory_logout import admin_actions
from django_ory_logout.admin_actions import force_logout_everywhere
from django_ory_logout.models import LoginSession, Subject

from .conftest import Configure, NewBrowser, SiteBrowser
from .fake_hydra import URL, FakeHydra, connect

pytestmark = pytest.mark.django_db

SESSIONS = "/admin/ory_logout/loginsession/"
USERS = "/admin/auth/user/"


@pytest.fixture
def hydra(configure: Configure) -> Iterator[FakeHydra]:
    configure(HYDRA={"ADMIN_URL": URL})
    with connect(FakeHydra(clients={django_settings.CLIENT_ID: {}})) as hydra:
        yield hydra


@pytest.fixture
def staff(new_browser: NewBrowser) -> SiteBrowser:
    browser = new_browser()
    browser.force_login(User.objects.create_superuser("root"), "django.contrib.auth.backends.ModelBackend")
    return browser


@pytest.fixture
def amber(browser: SiteBrowser, hydra: FakeHydra) -> SiteBrowser:
    browser.sign_in("amber")
    hydra.sign_in("amber", browser.user["sid"], django_settings.CLIENT_ID)
    return browser


@pytest.fixture
def _in_user_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(site.get_model_admin(User)), "actions", [force_logout_everywhere])


def choose(browser: SiteBrowser, url: str, *chosen: object, **further: str) -> Any:
    return browser.post(url, {"action": "force_logout_everywhere", "_selected_action": chosen, **further})


def test_is_shown_before_it_is_done(staff: SiteBrowser, amber: SiteBrowser, hydra: FakeHydra) -> None:
    row = LoginSession.objects.get()

    answer = choose(staff, SESSIONS, row.pk)

    assert answer.status_code == 200
    assert "would be done" in answer.text
    assert f'name="_selected_action" value="{row.pk}"' in answer.text
    assert "has no back-channel logout URI registered" in answer.text
    assert amber.user is not None
    assert not any(call.startswith("DELETE") for call in hydra.calls)


def test_confirmed_it_is_done_and_noted(staff: SiteBrowser, amber: SiteBrowser, hydra: FakeHydra) -> None:
    user = Subject.objects.get().user

    answer = choose(staff, SESSIONS, LoginSession.objects.get().pk, confirmed="yes")

    assert answer.status_code == 200
    assert "<form" not in answer.text.partition('id="content"')[2]
    assert amber.user is None
    assert hydra.logins == {}
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(user.pk), "Logged out everywhere.")


@pytest.mark.usefixtures("_in_user_admin")
def test_in_the_sites_own_admin_of_users(staff: SiteBrowser, amber: SiteBrowser) -> None:
    choose(staff, USERS, Subject.objects.get().user.pk, confirmed="yes")

    assert amber.user is None


@pytest.mark.usefixtures("_in_user_admin")
def test_who_may_not_delete_login_sessions_may_not_do_it(staff: SiteBrowser, amber: SiteBrowser) -> None:
    root = User.objects.get(username="root")
    User.objects.filter(pk=root.pk).update(is_superuser=False)
    root.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))

    answer = choose(staff, USERS, Subject.objects.get().user.pk, confirmed="yes")

    assert answer.status_code == 403
    assert amber.user is not None


def test_one_person_with_many_sessions_is_one(staff: SiteBrowser, amber: SiteBrowser, new_browser: NewBrowser) -> None:
    new_browser().sign_in("amber")

    answer = choose(staff, SESSIONS, *LoginSession.objects.values_list("pk", flat=True))

    assert len(answer.context["results"]) == 1


def test_too_many_people_are_refused(
    staff: SiteBrowser, amber: SiteBrowser, monkeypatch: pytest.MonkeyPatch, hydra: FakeHydra
) -> None:
    monkeypatch.setattr(admin_actions, "MAX_PEOPLE", 0)

    answer = choose(staff, SESSIONS, LoginSession.objects.get().pk, confirmed="yes")

    assert answer.status_code == 302
    assert "Choose at most 0 people." in staff.get(reverse("admin:ory_logout_loginsession_changelist")).text
    assert amber.user is not None
    assert hydra.calls == []
