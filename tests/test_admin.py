"""The admin: staff can read it, and a deleted row ends its session."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_ory_logout.models import EventKind, LoginSession, LogoutEvent, LogoutReceipt, RefusalCount, Subject
from django_ory_logout.sessions import events
from django_ory_logout.testing import Kratos, Provider, connect_kratos

from .conftest import Configure, NewBrowser, SiteBrowser

pytestmark = pytest.mark.django_db

MODELS = ["loginsession", "logoutreceipt", "subject", "logoutevent", "refusalcount"]


@pytest.fixture
def admin(new_browser: NewBrowser) -> SiteBrowser:
    browser = new_browser()
    superuser = User.objects.create_superuser("root")
    browser.force_login(superuser, "django.contrib.auth.backends.ModelBackend")
    return browser


@pytest.fixture
def amber(browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    return browser


@pytest.fixture
def rows(amber: SiteBrowser, provider: Provider) -> dict[str, Any]:
    """One row of each model."""
    amber.post_form("/auth/logout/backchannel/", {"logout_token": "none"})
    amber.deliver(provider.end_subject("birch") or provider.end(provider.sign_in("birch", "django-site").sid))
    return {
        "loginsession": LoginSession.objects.get(),
        "logoutreceipt": LogoutReceipt.objects.get(),
        "subject": Subject.objects.get(),
        "logoutevent": LogoutEvent.objects.get(),
        "refusalcount": RefusalCount.objects.get(),
    }


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:ory_logout_{name}", args=args)


@pytest.mark.parametrize("model", MODELS)
def test_rows_are_listed_searched_and_shown(admin: SiteBrowser, rows: dict[str, Any], model: str) -> None:
    assert admin.get(page(f"{model}_changelist")).status_code == 200
    assert admin.get(page(f"{model}_changelist"), {"q": "amber"}).status_code == 200
    assert admin.get(page(f"{model}_change", rows[model].pk)).status_code == 200


def test_the_marker_of_ory_doctor_follow_is_not_listed(admin: SiteBrowser, rows: dict[str, Any]) -> None:
    with events.follow(60):
        listed = admin.get(page("logoutevent_changelist")).context["cl"].result_list

    assert [event.kind for event in listed] == [EventKind.BACK_CHANNEL]


@pytest.mark.parametrize("model", ["logoutevent", "refusalcount"])
def test_the_log_cannot_be_deleted(admin: SiteBrowser, rows: dict[str, Any], model: str) -> None:
    assert admin.post(page(f"{model}_delete", rows[model].pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", ["loginsession", "logoutreceipt", "logoutevent", "refusalcount"])
def test_rows_cannot_be_added(admin: SiteBrowser, model: str) -> None:
    assert admin.get(page(f"{model}_add")).status_code == 403


def test_a_subject_is_linked_with_a_user_who_can_then_sign_in(
    admin: SiteBrowser, browser: SiteBrowser, configure: Configure
) -> None:
    configure(CREATE_USERS=False)
    user = User.objects.create_user("somebody")
    assert browser.sign_in("amber").status_code == 403
    form = admin.get(page("subject_add"))
    assert form.status_code == 200
    assert list(form.context["adminform"].form.fields) == ["user", "issuer", "subject"]

    answer = admin.post(page("subject_add"), {"user": user.pk, "issuer": "https://op.example", "subject": "amber"})

    assert answer.status_code == 302
    assert Subject.objects.get().user == user
    assert browser.sign_in("amber").status_code == 302
    assert browser.user
    assert browser.user["username"] == "somebody"


def test_staff_without_permission_cannot_link_subjects(admin: SiteBrowser) -> None:
    User.objects.filter(username="root").update(is_superuser=False)

    assert admin.get(page("subject_add")).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_rows_cannot_be_changed(admin: SiteBrowser, rows: dict[str, Any], model: str) -> None:
    assert admin.post(page(f"{model}_change", rows[model].pk), {"subject": "birch"}).status_code == 403

    rows[model].refresh_from_db()
    assert "birch" not in str(vars(rows[model]).get("subject"))


@pytest.mark.parametrize("model", MODELS)
def test_session_keys_are_not_shown(admin: SiteBrowser, amber: SiteBrowser, rows: dict[str, Any], model: str) -> None:
    shown = admin.get(page(f"{model}_change", rows[model].pk)).text

    assert str(amber.key) not in shown
    assert "eyJ" not in shown


def test_deleting_a_login_session_ends_it(admin: SiteBrowser, amber: SiteBrowser, rows: dict[str, Any]) -> None:
    answer = admin.post(page("loginsession_delete", rows["loginsession"].pk), {"post": "yes"})

    assert answer.status_code == 302
    assert amber.user is None
    assert LoginSession.objects.count() == 0


def test_deleting_a_login_session_of_kratos_refuses_its_cookie(
    admin: SiteBrowser, configure: Configure, settings: Any
) -> None:
    kratos, amber = Kratos("https://login.example"), SiteBrowser()
    configure(KRATOS={"PUBLIC_URL": kratos.public_url})
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django_ory_logout.middleware.KratosMiddleware"]
    amber.cookies["ory_kratos_session"] = kratos.sign_in(kratos.identity("amber@example.org")).cookie
    with connect_kratos(kratos):
        assert amber.user

        admin.post(page("loginsession_delete", LoginSession.objects.get().pk), {"post": "yes"})

        assert amber.user is None


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache"])
def test_deleting_many_login_sessions_ends_them(
    admin: SiteBrowser, new_browser: NewBrowser, settings: Any, engine: str
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    admin.force_login(User.objects.get(), "django.contrib.auth.backends.ModelBackend")
    browsers = [new_browser() for _ in range(3)]
    for browser in browsers:
        browser.sign_in("amber")
    chosen = [LoginSession.objects.get(session_key=browser.key).pk for browser in browsers[:2]]

    answer = admin.post(
        page("loginsession_changelist"), {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    )

    assert answer.status_code == 302
    assert [browser.user is not None for browser in browsers] == [False, False, True]


def test_deleting_a_user_ends_their_login_sessions(
    admin: SiteBrowser, amber: SiteBrowser, rows: dict[str, Any]
) -> None:
    url = reverse("admin:auth_user_delete", args=[rows["subject"].user.pk])
    question = re.sub(r"\s+", " ", admin.get(url).text)
    assert "your account doesn't have permission" not in question
    assert "Login session" in question or "login session" in question

    assert admin.post(url, {"post": "yes"}).status_code == 302

    assert amber.user is None
    assert LoginSession.objects.count() == 0
    assert Subject.objects.count() == 0


def test_staff_who_cannot_delete_users_cannot_end_sessions(admin: SiteBrowser, rows: dict[str, Any]) -> None:
    User.objects.filter(username="root").update(is_superuser=False)

    assert admin.get(page("loginsession_changelist")).status_code == 403
    assert admin.post(page("loginsession_delete", rows["loginsession"].pk), {"post": "yes"}).status_code == 403
    assert LoginSession.objects.count() == 1
