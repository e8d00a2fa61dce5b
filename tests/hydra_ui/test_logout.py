"""``urls.logout``: who sees the question, and what ends here and at Hydra, in which order."""

import re
from http.cookies import SimpleCookie

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client
from django.urls import resolve

from .conftest import Configure, Logged, SignIn
from .fake import PUBLIC, FakeHydra

ACCEPT = {"answer": "accept"}


def is_signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


def test_a_logout_from_an_application_shows_a_question(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    page = browser.get(hydra.logout(str(amber.pk))).content.decode()

    assert "<strong>The &lt;em&gt;site&lt;/em&gt;</strong> wants to log you out." in page
    assert "signed in as <strong>amber</strong>" in page
    assert not hydra.answered
    assert is_signed_in(browser)


def test_a_logout_that_started_at_the_provider_shows_a_question(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    page = browser.get(hydra.logout(str(amber.pk), by_client=False)).content.decode()

    assert "Your browser was sent here to log you out." in page
    assert is_signed_in(browser)


def test_an_application_without_a_name_is_shown_by_its_id(hydra: FakeHydra, browser: Client) -> None:
    assert "<strong>rp</strong> wants" in browser.get(hydra.logout("1", client_name="")).content.decode()


def test_no_name_is_shown_to_an_anonymous_user(hydra: FakeHydra, browser: Client, amber: User) -> None:
    page = browser.get(hydra.logout(str(amber.pk))).content.decode()

    assert "wants to log you out." in page
    assert "amber" not in page


def test_accept_ends_both_sessions(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)

    answer = browser.post(hydra.logout(str(amber.pk)), ACCEPT)

    assert answer["Location"] == f"{PUBLIC}/logout/accept"
    assert hydra.answer.what == "logout/accept"
    assert not is_signed_in(browser)


def test_accept_leaves_the_sid_to_hydra_and_revokes_the_others(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")

    browser.post(hydra.logout(str(amber.pk), sid="sid-1"), ACCEPT)

    assert hydra.revoked == ["sid-2"]


def test_accept_ends_the_session_with_a_known_sid_of_another_subject(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)

    browser.post(hydra.logout("what amber was called before"), ACCEPT)

    assert not is_signed_in(browser)


def test_accept_works_without_a_session_here(hydra: FakeHydra, browser: Client) -> None:
    assert browser.post(hydra.logout("1"), ACCEPT)["Location"] == f"{PUBLIC}/logout/accept"


def test_accept_of_another_users_logout_keeps_the_session_here(
    hydra: FakeHydra, browser: Client, amber: User, birch: User, sign_in: SignIn
) -> None:
    """Hydra ends the login of this browser too, without notices to its applications."""
    sign_in(birch)

    browser.post(hydra.logout(str(amber.pk), sid="sid-2"), ACCEPT)

    assert hydra.answer.what == "logout/accept"
    assert not is_signed_in(browser)


@pytest.mark.parametrize("form", [{"answer": "reject"}, {}])
def test_reject_ends_nothing(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, form: dict[str, str]
) -> None:
    sign_in(amber)

    answer = browser.post(hydra.logout(str(amber.pk)), form)

    assert hydra.answer.what == "logout/reject"
    assert "You are still signed in" in answer.content.decode()
    assert "Perhaps you are logged out of The &lt;em&gt;site&lt;/em&gt;." in answer.content.decode()
    assert is_signed_in(browser)


def test_reject_of_a_logout_that_started_at_the_provider_ends_nothing(hydra: FakeHydra, browser: Client) -> None:
    answer = browser.post(hydra.logout("1", by_client=False), {"answer": "reject"})

    assert "You were not logged out anywhere." in answer.content.decode()


def test_a_post_without_csrf_token_is_refused(hydra: FakeHydra, db: None) -> None:
    assert Client(enforce_csrf_checks=True).post(hydra.logout("1"), ACCEPT).status_code == 403
    assert not hydra.answered


def token_of(page: str) -> str:
    found = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found
    return found[1]


def test_a_tab_from_before_another_sign_in_shows_the_question_again(hydra: FakeHydra, amber: User) -> None:
    """A sign-in rotates the CSRF token."""
    browser = Client(enforce_csrf_checks=True)
    url = hydra.logout(str(amber.pk))
    old = token_of(browser.get(url).content.decode())
    at = hydra.login()
    form = {"username": "amber", "password": "pw", "csrfmiddlewaretoken": token_of(browser.get(at).content.decode())}
    assert browser.post(at, form).status_code == 302

    answer = browser.post(url, {**ACCEPT, "csrfmiddlewaretoken": old})

    assert answer.status_code == 403
    assert is_signed_in(browser)
    new = token_of(answer.content.decode())
    assert browser.post(url, {**ACCEPT, "csrfmiddlewaretoken": new}).status_code == 302
    assert not is_signed_in(browser)


def test_a_form_with_an_old_token_is_accepted_if_no_question_is_needed(hydra: FakeHydra, db: None) -> None:
    url = hydra.logout("1", skip_logout_consent=True)

    assert Client(enforce_csrf_checks=True).post(url, ACCEPT)["Location"] == f"{PUBLIC}/logout/accept"


# skip_logout_consent


def test_skip_ends_both_sessions(hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn) -> None:
    sign_in(amber)

    answer = browser.get(hydra.logout(str(amber.pk), skip_logout_consent=True))

    assert answer["Location"] == f"{PUBLIC}/logout/accept"
    assert not is_signed_in(browser)


def test_skip_works_without_a_session_here(hydra: FakeHydra, browser: Client) -> None:
    browser.get(hydra.logout("1", skip_logout_consent=True))

    assert hydra.answer.what == "logout/accept"


def test_skip_does_not_apply_to_another_user(
    hydra: FakeHydra, browser: Client, amber: User, birch: User, sign_in: SignIn
) -> None:
    sign_in(birch)

    page = browser.get(hydra.logout(str(amber.pk), sid="sid-2", skip_logout_consent=True)).content.decode()

    assert "wants to log out another user" in page
    assert "signed in here as <strong>birch</strong>" in page
    assert "amber" not in page
    assert not hydra.answered


def test_skip_does_not_apply_if_no_application_started_the_logout(hydra: FakeHydra, browser: Client) -> None:
    url = hydra.logout("1", skip_logout_consent=True)
    hydra.open["logout", "logout-0"]["rp_initiated"] = False

    assert browser.get(url).status_code == 200
    assert not hydra.answered


# Faults


@pytest.mark.parametrize(("expires_at", "expired"), [("2026-01-01T00:00:00Z", True), ("2999-01-01T00:00:00Z", False)])
def test_an_expired_challenge_ends_the_session_here(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, expires_at: str, expired: bool
) -> None:
    """The user wants to log out in any case."""
    sign_in(amber)
    url = hydra.logout(str(amber.pk))
    hydra.open["logout", url.partition("=")[2]]["expires_at"] = expires_at

    assert browser.get(url).status_code == (410 if expired else 200)
    assert is_signed_in(browser)
    answer = browser.post(url, ACCEPT)

    assert answer.status_code == (410 if expired else 302)
    assert not is_signed_in(browser)
    assert bool(hydra.answered) is not expired
    assert hydra.revoked == (["sid-1"] if expired else [])


def test_the_session_here_ends_before_any_call_to_hydra(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")
    stored: list[int] = []
    hydra.before = lambda: stored.append(Session.objects.count())

    browser.post(hydra.logout(str(amber.pk)), ACCEPT)

    assert stored == [0, 0, 0]


@pytest.mark.parametrize("what", ["logout", "logout/accept", "sessions"])
@pytest.mark.parametrize("status", [None, 200, 302, 400, 401, 403, 404, 409, 410, 429, 500, 503])
def test_the_session_here_ends_whatever_hydra_answers(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, what: str, status: int | None
) -> None:
    sign_in(amber, sid="sid-1")
    sign_in(amber, sid="sid-2")
    url = hydra.logout(str(amber.pk))
    kept = SimpleCookie(browser.cookies)
    if status is None:
        hydra.is_down = True
    else:
        hydra.refuses(what, status, {"error": "as told", "redirect_to": "nowhere"})

    answer = browser.post(url, ACCEPT)

    assert answer.status_code in {302, 404, 410, 502, 503}
    assert not is_signed_in(browser)
    browser.cookies = kept
    assert not is_signed_in(browser)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_after_a_refused_request_the_sid_is_revoked_at_hydra(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, status: int
) -> None:
    sign_in(amber)
    url = hydra.logout(str(amber.pk))
    hydra.refuses("logout", status)

    browser.post(url, ACCEPT)

    assert hydra.revoked == ["sid-1"]


@pytest.mark.parametrize("status", [400, 403, 404])
def test_after_a_refused_accept_the_sid_is_revoked_at_hydra(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, status: int
) -> None:
    sign_in(amber)
    url = hydra.logout(str(amber.pk))
    hydra.refuses("logout/accept", status)

    browser.post(url, ACCEPT)

    assert hydra.revoked == ["sid-1"]


def test_the_session_here_ends_although_a_receiver_raises(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn
) -> None:
    sign_in(amber)
    url = hydra.logout(str(amber.pk))
    user_logged_out.connect(broken)
    try:
        answer = browser.post(url, ACCEPT)
    finally:
        user_logged_out.disconnect(broken)

    assert answer["Location"] == f"{PUBLIC}/logout/accept"
    assert not is_signed_in(browser)


def broken(**_kwargs: object) -> None:
    raise RuntimeError("a fault of the site's own")


def test_no_page_runs_in_a_transaction() -> None:
    """With ATOMIC_REQUESTS, Hydra would learn of a logout that is not committed."""
    for name in ("login", "consent", "logout"):
        assert resolve(f"/hydra/{name}/").func._non_atomic_requests == set(connections)  # type: ignore[attr-defined]


def test_the_session_here_ends_although_hydra_is_down_at_accept(
    hydra: FakeHydra, browser: Client, amber: User, sign_in: SignIn, logged: Logged
) -> None:
    sign_in(amber)
    url = hydra.logout(str(amber.pk))
    hydra.refuses("logout/accept", 503)

    answer = browser.post(url, ACCEPT)

    assert answer.status_code == 503
    assert f'href="{url}"' in answer.content.decode()
    assert not is_signed_in(browser)
    said = "hydra_fault: PUT /oauth2/auth/requests/logout/accept answers 503 'as told'"
    assert logged() == [f"login session at Hydra not revoked: {said}: sid-1", f"logout page: {said}"]


def test_a_user_without_subject_can_be_logged_out(
    hydra: FakeHydra, browser: Client, amber: User, configure: Configure
) -> None:
    configure(SUBJECT=f"{__name__}.nobody")
    browser.force_login(amber)

    assert browser.get(hydra.logout("1")).status_code == 200


def nobody(user: object) -> str:
    """Knows no subject."""
    return ""
