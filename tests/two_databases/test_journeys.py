"""Sign-in, logout, the admin and the commands work with users and login sessions in any databases."""

import json
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import OperationalError, connections, router, transaction
from django.urls import reverse

from django_ory_logout.models import LoginSession, LogoutReceipt, Subject
from django_ory_logout.testing import Provider

from ..conftest import Connect, Logged, NewBrowser, SiteBrowser

pytestmark = pytest.mark.usefixtures("site")


class ProxyUser(User):
    """A proxy of Django's own users."""

    class Meta:
        app_label = "auth"
        proxy = True


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:ory_logout_{name}", args=args)


@pytest.fixture
def admin(new_browser: NewBrowser) -> SiteBrowser:
    browser = new_browser()
    browser.force_login(User.objects.create_superuser("root"), "django.contrib.auth.backends.ModelBackend")
    return browser


def test_the_first_and_second_sign_in_have_the_same_user(browser: SiteBrowser, new_browser: NewBrowser) -> None:
    assert browser.sign_in("amber").status_code == 302
    assert new_browser().sign_in("amber").status_code == 302

    user = User.objects.get()
    assert browser.user["subject"] == "amber"
    assert [row.user for row in LoginSession.objects.all()] == [user, user]
    assert Subject.objects.get().user == user


def test_a_notice_ends_the_session_and_leaves_a_receipt(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider
) -> None:
    browser.sign_in("amber")

    assert new_browser().deliver(provider.end_subject("amber")) == [200]

    assert browser.user is None
    assert LogoutReceipt.objects.get().completed_at
    call_command("ory_purge", stdout=StringIO())


def test_sessions_are_listed_and_logged_out(browser: SiteBrowser) -> None:
    browser.sign_in("amber")

    assert browser.get("/auth/sessions/").status_code == 200
    assert browser.post("/auth/logout/").status_code == 302
    assert browser.user is None


@pytest.mark.parametrize("model", [LoginSession, Subject])
def test_the_admin_lists_searches_shows_and_deletes(model: Any, admin: SiteBrowser, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    name, row = model._meta.model_name, model.objects.get()

    for query in ({}, {"q": "amber"}, {"o": "1.3"}):
        assert "amber" in admin.get(page(f"{name}_changelist"), query).content.decode()
    assert "amber" in admin.get(page(f"{name}_change", row.pk)).content.decode()
    assert admin.post(page(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 302
    assert not model.objects.exists()


def test_the_admin_shows_rows_of_a_deleted_user(admin: SiteBrowser, browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    delete_past_django("amber")

    assert "op.example" in admin.get(page("subject_changelist")).content.decode()
    assert admin.get(page("subject_change", Subject.objects.get().pk)).status_code == 200


def test_a_subject_can_be_added_by_hand(admin: SiteBrowser, browser: SiteBrowser) -> None:
    user = User.objects.create_user("birch")
    form = {"user": user.pk, "issuer": "https://op.example", "subject": "amber"}

    assert admin.post(page("subject_add"), form).status_code == 302
    browser.sign_in("amber")

    assert LoginSession.objects.get().user == user


def test_the_action_and_the_command_log_out_everywhere(admin: SiteBrowser, new_browser: NewBrowser) -> None:
    first, second = new_browser(), new_browser()
    first.sign_in("amber")
    chosen = {"action": "force_logout_everywhere", "_selected_action": LoginSession.objects.get().pk}
    confirmed = {**chosen, "confirmed": User.objects.get(username="amber").pk}

    assert "amber" in admin.post(page("loginsession_changelist"), chosen).content.decode()
    assert admin.post(page("loginsession_changelist"), confirmed).status_code == 200
    assert first.user is None

    second.sign_in("amber")
    call_command("ory_force_logout", user="amber", stdout=StringIO())
    assert second.user is None


def test_a_row_accepts_only_users() -> None:
    user = User.objects.create_user("amber")

    link = Subject(user=user, issuer="https://op.example", subject="amber")
    assert link.user_id == user.pk
    link.full_clean()
    link.save()
    assert list(Subject.objects.prefetch_related("user")) == [link]
    with pytest.raises(ValueError, match="must be a"):
        link.user = "amber"


def test_checks_and_doctor_report_nothing() -> None:
    said = StringIO()
    call_command("ory_doctor", only=["site.database"], json=True, stdout=said)

    assert not [message for message in run_checks() if message.id in {"ory_logout.E087", "ory_logout.E086"}]
    assert '"failed"' not in said.getvalue()
    assert json.loads(said.getvalue())


# Deleted users


def delete_past_django(name: str) -> None:
    """Delete like SQL, without a signal."""
    users = User.objects.filter(username=name)
    users._raw_delete(router.db_for_write(User))


@pytest.mark.parametrize("model", [User, ProxyUser])
def test_login_sessions_and_links_are_deleted_with_their_user(
    model: Any, browser: SiteBrowser, new_browser: NewBrowser
) -> None:
    apps.get_app_config("ory_logout").ready()  # the proxy was defined later
    browser.sign_in("amber")
    new_browser().sign_in("birch")

    model.objects.get(username="amber").delete()

    assert [row.subject for row in (*LoginSession.objects.all(), *Subject.objects.all())] == ["birch", "birch"]
    assert browser.user is None


def test_a_deletion_that_is_rolled_back_signs_nobody_out(browser: SiteBrowser) -> None:
    browser.sign_in("amber")

    with transaction.atomic(using=router.db_for_write(User)):
        User.objects.get().delete()
        transaction.set_rollback(True, using=router.db_for_write(User))

    assert browser.user


def test_a_user_deleted_by_sql_is_created_again(browser: SiteBrowser, new_browser: NewBrowser, logged: Logged) -> None:
    browser.sign_in("amber")
    delete_past_django("amber")

    assert browser.user is None
    new_browser().sign_in("amber")

    assert Subject.objects.get().user == User.objects.get()
    assert logged() == ["link of a subject deleted: its user is gone"]


# A failed sign-in leaves no user


def test_a_receiver_that_raises_leaves_no_user(browser: SiteBrowser, connect_receiver: Connect) -> None:
    def object_to(**_arguments: Any) -> None:
        raise OperationalError

    connect_receiver(user_logged_in, object_to)
    assert browser.sign_in("amber").status_code == 503

    assert not User.objects.exists()
    assert not Subject.objects.exists()


@pytest.mark.parametrize("place", ["LoginSession.save", "Subject.save", "ProviderBackend.update_user"])
def test_a_database_fault_leaves_no_user(place: str, browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError

    module = "backends" if place.startswith("Provider") else "models"
    with monkeypatch.context() as patched:
        patched.setattr(f"django_ory_logout.{module}.{place}", fail)
        assert browser.sign_in("amber").status_code == 503
    assert not User.objects.exists()
    assert not Subject.objects.exists()

    assert browser.sign_in("amber").status_code == 302
    assert User.objects.get().username == "amber"


def test_a_failed_commit_of_the_link_leaves_no_user(browser: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connections[router.db_for_write(Subject)]

    def fail() -> None:
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        assert browser.sign_in("amber").status_code == 503

    assert not User.objects.exists()


def test_a_user_that_another_sign_in_needs_stays(
    browser: SiteBrowser, new_browser: NewBrowser, connect_receiver: Connect
) -> None:
    """The same user signs in twice at the same time."""
    other = new_browser()
    failures = [OperationalError()]

    def overtaken(**_arguments: Any) -> None:
        if failures:
            failure = failures.pop()
            other.sign_in("amber")
            raise failure

    connect_receiver(user_logged_in, overtaken)
    assert browser.sign_in("amber").status_code == 503

    assert other.user
    assert User.objects.get()


def test_an_earlier_user_stays(browser: SiteBrowser, new_browser: NewBrowser, connect_receiver: Connect) -> None:
    new_browser().sign_in("amber")
    LoginSession.objects.all().delete()

    def object_to(**_arguments: Any) -> None:
        raise OperationalError

    connect_receiver(user_logged_in, object_to)
    assert browser.sign_in("amber").status_code == 503

    assert User.objects.get()


def test_a_user_who_cannot_be_deleted_stays_linked(
    browser: SiteBrowser, connect_receiver: Connect, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError

    connect_receiver(user_logged_in, fail)
    monkeypatch.setattr(User, "delete", fail)
    assert browser.sign_in("amber").status_code == 503

    assert Subject.objects.get().user == User.objects.get()
    assert "user not deleted after a failed sign-in: OperationalError" in logged()
