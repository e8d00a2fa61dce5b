"""``urls.login``: which users sign in, with or without the form, and the answer to Hydra."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.sessions.backends import signed_cookies
from django.http import HttpRequest
from django.test import Client

from django_ory_logout.hydra_ui import hydra_logins
from django_ory_logout.hydra_ui.hooks import AuthenticationContext
from django_ory_logout.hydra_ui.hydra_logins import KEY
from django_ory_logout.ory.hydra import LoginRequest

from .conftest import Advance, Configure, Logged, SignIn, query_of
from .fake import PUBLIC, FakeHydra

FORM = {"username": "amber", "password": "pw", "remember": "on"}


def accepted(hydra: FakeHydra) -> dict[str, Any]:
    what, document = hydra.answer
    assert what == "login/accept"
    return document


def sids(browser: Client) -> list[str]:
    return list(browser.session[KEY]["sids"])


# The form


def test_an_anonymous_user_sees_the_form(hydra: FakeHydra, browser: Client) -> None:
    answer = browser.get(hydra.login())

    assert answer.status_code == 200
    assert 'name="password"' in answer.content.decode()
    assert not hydra.answered


def test_the_form_names_the_application_escaped(hydra: FakeHydra, browser: Client) -> None:
    assert "The &lt;em&gt;site&lt;/em&gt;" in browser.get(hydra.login()).content.decode()


def test_login_hint_fills_the_form(hydra: FakeHydra, browser: Client) -> None:
    assert 'value="amber"' in browser.get(hydra.login(hint="amber")).content.decode()


def test_remember_is_ticked_and_explained(hydra: FakeHydra, browser: Client) -> None:
    page = browser.get(hydra.login()).content.decode()

    assert 'name="remember" aria-describedby="id_remember_helptext" id="id_remember" checked' in page
    assert 'id="id_remember_helptext">Untick this on a computer that others use' in page


def test_the_right_password_is_accepted(hydra: FakeHydra, browser: Client, amber: User) -> None:
    answer = browser.post(hydra.login(), FORM)

    assert answer["Location"] == f"{PUBLIC}/login/accept"
    assert accepted(hydra) == {
        "subject": str(amber.pk),
        "remember": True,
        "remember_for": settings.SESSION_COOKIE_AGE,
        "acr": "",
        "amr": ["pwd"],
        "identity_provider_session_id": "",
        "context": None,
    }
    assert browser.session["_auth_user_id"] == str(amber.pk)
    assert sids(browser) == ["sid-1"]


def test_a_wrong_password_is_reported(hydra: FakeHydra, browser: Client, amber: User) -> None:
    answer = browser.post(hydra.login(), FORM | {"password": "wrong"})

    assert "Please enter a correct" in answer.content.decode()
    assert not hydra.answered
    assert "_auth_user_id" not in browser.session


def test_without_remember_the_session_ends_with_the_browser_and_hydra_remembers_it(
    hydra: FakeHydra, browser: Client, amber: User
) -> None:
    browser.post(hydra.login(), {"username": "amber", "password": "pw"})

    assert browser.session.get_expire_at_browser_close()
    assert accepted(hydra)["remember"] is True
    assert sids(browser) == ["sid-1"]


def test_with_remember_the_session_outlives_the_browser(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.post(hydra.login(), FORM)

    assert not browser.session.get_expire_at_browser_close()


def test_remember_for_is_sent_to_hydra(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(REMEMBER_FOR=3600)

    browser.post(hydra.login(), FORM)

    assert accepted(hydra)["remember_for"] == 3600


def test_the_session_key_changes(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)
    before = browser.session.session_key

    browser.post(hydra.login(prompt="login"), FORM)

    assert browser.session.session_key != before


def test_a_form_without_csrf_token_is_refused(hydra: FakeHydra, amber: User) -> None:
    assert Client(enforce_csrf_checks=True).post(hydra.login(), FORM).status_code == 403
    assert not hydra.answered


class CodeForm(AuthenticationForm):
    """A form of the site: it asks for a code too, and has no field for remember."""

    code = forms.CharField(widget=forms.HiddenInput, initial="7")


def test_the_site_can_use_its_own_form(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(LOGIN_FORM=f"{__name__}.CodeForm")

    assert 'name="code"' in browser.get(hydra.login()).content.decode()
    assert browser.post(hydra.login(), FORM | {"code": "7"}).status_code == 302
    assert accepted(hydra)["remember"] is True


def authentication(request: HttpRequest, *, login: LoginRequest) -> AuthenticationContext:
    return AuthenticationContext(acr=f"{request.user} at {login.client.client_id}", amr=("otp", "pwd"))


def test_the_site_can_choose_acr_and_amr(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(AUTHENTICATION=f"{__name__}.authentication")

    browser.post(hydra.login(), FORM)

    assert accepted(hydra)["acr"] == "amber at rp"
    assert accepted(hydra)["amr"] == ["otp", "pwd"]


def test_the_pages_cannot_be_framed_or_cached(hydra: FakeHydra, browser: Client) -> None:
    answer = browser.get(hydra.login())

    assert answer["X-Frame-Options"] == "DENY"
    assert "no-store" in answer["Cache-Control"]


def subject_of(user: User) -> str:
    return f"{user.username}'s"


def test_the_site_can_choose_the_subject(hydra: FakeHydra, browser: Client, amber: User, configure: Configure) -> None:
    configure(SUBJECT=f"{__name__}.subject_of")

    browser.post(hydra.login(), FORM)

    assert accepted(hydra)["subject"] == "amber's"


# Users who are signed in to this site already


def test_a_signed_in_user_is_accepted_without_the_form(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    answer = browser.get(hydra.login())

    assert answer["Location"] == f"{PUBLIC}/login/accept"
    assert accepted(hydra)["subject"] == str(amber.pk)
    assert sids(browser) == ["sid-1"]


def test_a_user_who_signed_in_elsewhere_on_the_site_has_no_amr(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    browser.get(hydra.login())

    assert accepted(hydra)["amr"] == []


@pytest.mark.parametrize(
    "parameters", [{"prompt": "login"}, {"prompt": "select_account consent"}, {"request": "a.b.c"}]
)
def test_prompt_login_shows_the_form_to_a_signed_in_user(
    hydra: FakeHydra, browser: Client, amber: User, parameters: Mapping[str, str]
) -> None:
    browser.force_login(amber)

    answer = browser.get(hydra.login(**parameters))

    assert 'name="password"' in answer.content.decode()
    assert not hydra.answered


def test_prompt_consent_does_not_show_the_form(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    assert browser.get(hydra.login(prompt="consent")).status_code == 302


@pytest.mark.parametrize(
    ("max_age", "asked"), [("60", False), ("10", True), ("0", True), ("much", True), ("9" * 5000, True)]
)
def test_max_age_counts_from_the_sign_in(
    hydra: FakeHydra, browser: Client, amber: User, advance: Advance, max_age: str, asked: bool
) -> None:
    browser.force_login(amber)
    advance(30)

    assert (browser.get(hydra.login(max_age=max_age)).status_code == 200) is asked


def test_max_age_shows_the_form_if_the_time_of_the_sign_in_is_unknown(
    hydra: FakeHydra, browser: Client, amber: User
) -> None:
    browser.force_login(amber)
    session = browser.session
    del session[KEY]
    session.save()

    assert browser.get(hydra.login(max_age="86400")).status_code == 200


def test_prompt_login_accepts_after_the_form(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)

    assert browser.post(hydra.login(sid="sid-2", prompt="login"), FORM).status_code == 302
    assert accepted(hydra)["subject"] == str(amber.pk)
    assert sids(browser) == ["sid-1", "sid-2"]
    assert not hydra.revoked


def test_another_user_at_the_form_ends_the_earlier_session(
    hydra: FakeHydra, browser: Client, amber: User, birch: User, sign_in: SignIn
) -> None:
    sign_in(birch)

    browser.post(hydra.login(sid="sid-2", prompt="login"), FORM)

    assert hydra.revoked == ["sid-1"]
    assert sids(browser) == ["sid-2"]


def test_the_form_counts_although_another_tab_signed_in_meanwhile(
    hydra: FakeHydra, browser: Client, amber: User, birch: User
) -> None:
    browser.force_login(birch)

    browser.post(hydra.login(), FORM)

    assert accepted(hydra)["subject"] == str(amber.pk)


@pytest.mark.parametrize(("engine", "bound"), [("db", 3), ("cached_db", 3), ("signed_cookies", 2)])
def test_the_number_of_sids_is_limited_and_the_log_names_dropped_ones(
    hydra: FakeHydra,
    browser: Client,
    amber: User,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
    settings: Any,
    engine: str,
    bound: int,
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    monkeypatch.setattr(hydra_logins, "MAX_SIDS", 3)
    monkeypatch.setattr(hydra_logins, "MAX_SIDS_IN_COOKIE", 2)
    browser.force_login(amber)
    for number in range(bound):
        browser.get(hydra.login(sid=f"sid-{number}"))
    browser.get(hydra.login(sid="sid-0"))
    assert not logged()

    browser.get(hydra.login(sid="another"))

    assert sids(browser) == [*(f"sid-{number}" for number in range(2, bound)), "sid-0", "another"]
    dropped = "login session at Hydra no longer ends with the one here: sid_dropped: ory_force_logout --sid sid-1"
    assert logged() == [dropped]
    assert not hydra.revoked


def test_sids_in_a_cookie_leave_space_for_the_rest(hydra: FakeHydra) -> None:
    session = signed_cookies.SessionStore()
    for _ in range(hydra_logins.MAX_SIDS_IN_COOKIE + 2):
        hydra_logins.keep_sid(session, str(uuid.uuid4()))

    session.save()

    assert len(str(session.session_key)) < 2048


@pytest.mark.parametrize("status", [401, 404])
def test_a_login_that_hydra_refuses_is_not_stored(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, status: int
) -> None:
    sign_in(amber)
    hydra.refuses("login/accept", status)

    assert browser.get(hydra.login(sid="sid-2")).status_code in {404, 410}
    assert sids(browser) == ["sid-1"]


def test_prompt_none_without_a_remembered_login_is_refused(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    assert browser.get(hydra.login(prompt="none"))["Location"] == f"{PUBLIC}/login/reject"
    assert hydra.answer.document["error"] == "login_required"


# Logins that Hydra remembers


def test_skip_is_accepted_with_the_same_subject(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    browser.get(hydra.login(str(amber.pk)))

    assert accepted(hydra)["subject"] == str(amber.pk)
    assert accepted(hydra)["amr"] == ["pwd"]
    assert sids(browser) == ["sid-1"]


def test_skip_is_accepted_by_post_too(
    hydra: FakeHydra, browser: Client, amber: User, birch: User, sign_in: SignIn
) -> None:
    sign_in(birch)

    browser.post(hydra.login(str(birch.pk)), FORM)

    assert accepted(hydra)["subject"] == str(birch.pk)


def forgotten(hydra: FakeHydra, browser: Client, url: str) -> None:
    """Hydra must forget ``sid-1`` and is asked again."""
    assert browser.get(url)["Location"] == f"{PUBLIC}/oauth2/auth?client_id=rp"
    assert hydra.revoked == ["sid-1"]
    assert not hydra.answered


def test_skip_of_an_inactive_user_is_forgotten(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)
    User.objects.update(is_active=False)

    forgotten(hydra, browser, hydra.login(str(amber.pk)))


def test_skip_of_an_inactive_user_is_forgotten_although_a_backend_accepts_it(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    sign_in(amber)
    User.objects.update(is_active=False)

    forgotten(hydra, browser, hydra.login(str(amber.pk)))


def test_skip_of_a_deleted_user_is_forgotten(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)
    subject = str(amber.pk)
    amber.delete()

    forgotten(hydra, browser, hydra.login(subject))


def test_skip_of_another_user_than_the_signed_in_one_is_forgotten(
    hydra: FakeHydra, browser: Client, amber: User, birch: User, sign_in: SignIn
) -> None:
    sign_in(birch)

    forgotten(hydra, browser, hydra.login(str(amber.pk)))


def test_skip_after_the_session_here_ended_is_forgotten(hydra: FakeHydra, browser: Client, amber: User) -> None:
    forgotten(hydra, browser, hydra.login(str(amber.pk)))


def test_skip_by_a_login_of_another_session_is_forgotten(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber, sid="sid-2")

    forgotten(hydra, browser, hydra.login(str(amber.pk)))


def test_skip_is_refused_if_hydra_cannot_forget(hydra: FakeHydra, browser: Client, amber: User) -> None:
    hydra.refuses("sessions", 503)

    assert browser.get(hydra.login(str(amber.pk))).status_code == 503
    assert not hydra.answered


def test_skip_with_prompt_none_is_accepted(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)

    assert browser.get(hydra.login(str(amber.pk), prompt="none"))["Location"] == f"{PUBLIC}/login/accept"


def test_skip_with_prompt_none_without_a_session_here_ends_nothing(
    hydra: FakeHydra, browser: Client, amber: User
) -> None:
    """The request may come from a frame, and the browser sends no cookie to it."""
    browser.get(hydra.login(str(amber.pk), prompt="none"))

    assert hydra.answer.what == "login/reject"
    assert hydra.answer.document["error"] == "login_required"
    assert not hydra.revoked


def test_skip_with_prompt_select_account_requires_a_new_sign_in(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    location = browser.get(hydra.login(str(amber.pk), prompt="select_account", state="x"))["Location"]

    assert query_of(location) == {"client_id": "rp", "prompt": "login", "state": "x"}
    assert not hydra.answered
    assert not hydra.revoked


def test_a_user_who_signs_in_again_still_sees_the_consent_question(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    location = browser.get(hydra.login(str(amber.pk), prompt="consent select_account"))["Location"]

    assert query_of(location)["prompt"] == "login consent"


def test_skip_of_an_old_sign_in_requires_a_new_one(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, advance: Advance
) -> None:
    sign_in(amber)
    advance(30)

    assert query_of(browser.get(hydra.login(str(amber.pk), max_age="10"))["Location"])["prompt"] == "login"


def test_skip_of_an_old_sign_in_with_prompt_none_is_refused(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, advance: Advance
) -> None:
    sign_in(amber)
    advance(30)

    browser.get(hydra.login(str(amber.pk), max_age="10", prompt="none"))

    assert hydra.answer.what == "login/reject"
    assert not hydra.revoked


def test_skip_with_a_request_object_is_left_to_hydra(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    browser.get(hydra.login(str(amber.pk), request="a.b.c", prompt="select_account"))

    assert hydra.answer.what == "login/accept"


def test_any_login_sets_the_time_of_the_sign_in(hydra: FakeHydra, browser: Client, amber: User) -> None:
    browser.force_login(amber)

    assert abs(browser.session[KEY]["signed_in_at"] - time.time()) < 5
