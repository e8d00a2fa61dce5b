"""The admin action that logs users out everywhere: a page shows them first, and a second request confirms."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from django_ory_logout import admin
from django_ory_logout.admin import force_logout_everywhere
from django_ory_logout.models import LoginSession, Subject
from django_ory_logout.testing import Kratos, connect_kratos

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


def choose(browser: SiteBrowser, url: str, *chosen: object, **further: object) -> Any:
    return browser.post(url, {"action": "force_logout_everywhere", "_selected_action": chosen, **further})


def confirm(browser: SiteBrowser, url: str, shown: Any) -> Any:
    """Press the button of the page ``shown``."""
    fields = defaultdict(list)
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', shown.text):
        fields[name].append(value)
    return browser.post(url, fields)


def test_the_users_are_shown_first(staff: SiteBrowser, amber: SiteBrowser, hydra: FakeHydra) -> None:
    row = LoginSession.objects.get()

    answer = choose(staff, SESSIONS, row.pk)

    assert answer.status_code == 200
    assert "would be done" in answer.text
    assert f'name="_selected_action" value="{row.pk}"' in answer.text
    assert "has no back-channel logout URI registered" in answer.text
    assert amber.user is not None
    assert not any(call.startswith("DELETE") for call in hydra.calls)


def test_a_confirmed_action_is_done_and_logged(staff: SiteBrowser, amber: SiteBrowser, hydra: FakeHydra) -> None:
    user = Subject.objects.get().user

    answer = confirm(staff, SESSIONS, choose(staff, SESSIONS, LoginSession.objects.get().pk))

    assert answer.status_code == 200
    assert "<form" not in answer.text.partition('id="content"')[2]
    assert amber.user is None
    assert hydra.logins == {}
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(user.pk), "Logged out everywhere.")


@pytest.mark.usefixtures("_in_user_admin")
def test_sessions_at_kratos_end_too(staff: SiteBrowser, configure: Configure) -> None:
    kratos = Kratos("https://login.example")
    identity = kratos.identity("amber@example.org")
    cedar = User.objects.create_user("cedar")
    Subject.objects.create(user=cedar, issuer=kratos.public_url, subject=identity.id)
    configure(KRATOS={"PUBLIC_URL": kratos.public_url, "ADMIN_URL": "http://kratos:4434"})
    session = kratos.sign_in(identity)

    with connect_kratos(kratos, admin_url="http://kratos:4434"):
        shown = choose(staff, USERS, cedar.pk)
        assert "all sessions at Kratos" in shown.text
        assert kratos.is_active(session)

        done = confirm(staff, USERS, shown)

    assert "no notices when a session ends" in done.text
    assert kratos.sessions_of(identity.id) == []


@pytest.mark.usefixtures("_in_user_admin")
def test_the_action_works_in_the_sites_own_user_admin(staff: SiteBrowser, amber: SiteBrowser) -> None:
    confirm(staff, USERS, choose(staff, USERS, Subject.objects.get().user.pk))

    assert amber.user is None


def usernames(answer: Any) -> list[str]:
    return [user.get_username() for user, _ in answer.context["results"]]


@pytest.mark.usefixtures("_in_user_admin")
def test_select_all_means_the_users_that_were_shown(
    staff: SiteBrowser, amber: SiteBrowser, new_browser: NewBrowser
) -> None:
    shown = choose(staff, USERS, Subject.objects.get().user.pk, select_across="1")
    birch = new_browser()
    birch.sign_in("birch")

    done = confirm(staff, USERS, shown)

    assert sorted(usernames(done)) == sorted(usernames(shown))
    assert amber.user is None
    assert birch.user is not None


def test_all_sessions_means_those_of_the_users_that_were_shown(
    staff: SiteBrowser, amber: SiteBrowser, new_browser: NewBrowser
) -> None:
    shown = choose(staff, SESSIONS, LoginSession.objects.get().pk, select_across="1")
    birch = new_browser()
    birch.sign_in("birch")

    confirm(staff, SESSIONS, shown)

    assert amber.user is None
    assert birch.user is not None


def test_other_users_than_shown_are_shown_again(
    staff: SiteBrowser, amber: SiteBrowser, new_browser: NewBrowser, hydra: FakeHydra
) -> None:
    birch = new_browser()
    birch.sign_in("birch")
    shown = choose(staff, SESSIONS, *LoginSession.objects.values_list("pk", flat=True))
    LoginSession.objects.filter(subject="birch").delete()

    answer = confirm(staff, SESSIONS, shown)

    assert "these users are not the same as on the page before" in answer.text
    assert "would be done" in answer.text
    assert amber.user is not None
    assert not any(call.startswith("DELETE") for call in hydra.calls)

    confirm(staff, SESSIONS, answer)
    assert amber.user is None


def test_no_user_is_no_success(staff: SiteBrowser, amber: SiteBrowser, hydra: FakeHydra) -> None:
    shown = choose(staff, SESSIONS, LoginSession.objects.get().pk)
    LoginSession.objects.all().delete()

    answer = confirm(staff, SESSIONS, shown)

    assert answer.status_code == 302
    (message,) = staff.get(answer["Location"]).context["messages"]
    assert (message.level_tag, str(message)) == (
        "error",
        "No user was logged out: the selected entries no longer exist.",
    )
    assert not any(call.startswith("DELETE") for call in hydra.calls)


@pytest.mark.usefixtures("_in_user_admin")
def test_numbers_are_sent_unchanged(staff: SiteBrowser, amber: SiteBrowser, settings: Any) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    cedar = User.objects.create_user("cedar", pk=1234567)

    shown = choose(staff, USERS, cedar.pk)

    assert shown.text.count('value="1234567"') == 2


@pytest.mark.usefixtures("_in_user_admin")
def test_staff_who_cannot_delete_login_sessions_cannot_use_the_action(staff: SiteBrowser, amber: SiteBrowser) -> None:
    root = User.objects.get(username="root")
    User.objects.filter(pk=root.pk).update(is_superuser=False)
    root.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))

    amber_pk = Subject.objects.get().user.pk
    answer = choose(staff, USERS, amber_pk, confirmed=amber_pk)

    assert answer.status_code == 403
    assert amber.user is not None


def test_one_user_with_many_sessions_is_shown_once(
    staff: SiteBrowser, amber: SiteBrowser, new_browser: NewBrowser
) -> None:
    new_browser().sign_in("amber")

    answer = choose(staff, SESSIONS, *LoginSession.objects.values_list("pk", flat=True))

    assert len(answer.context["results"]) == 1


def test_too_many_users_are_refused(
    staff: SiteBrowser, amber: SiteBrowser, monkeypatch: pytest.MonkeyPatch, hydra: FakeHydra
) -> None:
    monkeypatch.setattr(admin, "MAX_USERS", 0)

    row = LoginSession.objects.get()
    answer = choose(staff, SESSIONS, row.pk, confirmed=row.user_id)

    assert answer.status_code == 302
    assert "Select at most 0 users." in staff.get(reverse("admin:ory_logout_loginsession_changelist")).text
    assert amber.user is not None
    assert hydra.calls == []
