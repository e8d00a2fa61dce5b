"""The signed-in user, and the page of their sessions."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_ory_logout.models import LoginSession

from ..conftest import NewBrowser, SiteBrowser
from .pages import assert_page

pytestmark = pytest.mark.django_db

PATH = "/auth/sessions/"
TITLE = "Where you are signed in"


@pytest.fixture
def browsers(new_browser: NewBrowser) -> list[SiteBrowser]:
    """Three browsers of Amber, one of Birch."""
    browsers = [new_browser(headers={"user-agent": f"Browser {number}"}) for number in range(4)]
    for browser in browsers[:3]:
        browser.sign_in("amber")
    browsers[3].sign_in("birch")
    return browsers


def row_of(browser: SiteBrowser) -> LoginSession:
    return LoginSession.objects.get(session_key=browser.key)


def signed_in(browsers: list[SiteBrowser]) -> list[bool]:
    return [browser.user is not None for browser in browsers]


def test_whoami_names_no_anonymous_user(browser: SiteBrowser) -> None:
    answer = browser.get("/auth/whoami/")

    assert answer.status_code == 401
    assert answer.json() == {"authenticated": False}
    assert "no-store" in answer["Cache-Control"]


def test_whoami_names_the_user_and_the_provider(browser: SiteBrowser) -> None:
    browser.sign_in("amber")

    answer = browser.get("/auth/whoami/")

    row = LoginSession.objects.get()
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    assert answer.json() == {
        "authenticated": True,
        "username": row.user.get_username(),
        "provider": "default",
        "issuer": "https://op.example",
        "subject": "amber",
        "sid": row.sid,
    }


def test_whoami_shows_sessions_that_no_provider_opened(browser: SiteBrowser) -> None:
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert browser.user == {
        "authenticated": True,
        "username": "cedar",
        "provider": None,
        "issuer": None,
        "subject": None,
        "sid": None,
    }


def test_whoami_refuses_post(browser: SiteBrowser) -> None:
    assert browser.post("/auth/whoami/").status_code == 405


def test_the_page_needs_a_sign_in(browser: SiteBrowser) -> None:
    assert browser.get(PATH)["Location"] == f"/auth/login/?next={PATH}"


def test_the_page_lists_the_users_own_sessions(browsers: list[SiteBrowser]) -> None:
    answer = browsers[0].get(PATH)

    assert_page(answer, 200, TITLE)
    assert [f"Browser {number}" in answer.text for number in range(4)] == [True, True, True, False]
    assert answer.text.count("This browser") == 1
    assert answer.text.count('name="end"') == 3
    assert f'value="{row_of(browsers[0]).pk}"' not in answer.text


def test_the_page_omits_expired_sessions(browsers: list[SiteBrowser]) -> None:
    row = row_of(browsers[1])
    LoginSession.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    page = browsers[0].get(PATH).text

    assert "Browser 0" in page
    assert "Browser 1" not in page
    assert "Browser 2" in page


def test_the_page_of_the_only_session_has_no_button(browsers: list[SiteBrowser]) -> None:
    answer = browsers[3].get(PATH)

    assert 'name="end"' not in answer.text
    assert '<form method="post" action="/auth/logout/">' in answer.text


def test_the_page_works_for_a_session_that_no_provider_opened(browser: SiteBrowser) -> None:
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert "You signed in in another way" in browser.get(PATH).text


def test_a_browser_without_a_name_is_listed(new_browser: NewBrowser) -> None:
    browser = new_browser()
    browser.sign_in()
    new_browser().sign_in()

    answer = browser.get(PATH)

    assert answer.text.count("Unknown browser") == 3
    assert 'aria-label="End the session in Unknown browser"' in answer.text


def test_the_name_of_a_browser_is_escaped(new_browser: NewBrowser) -> None:
    browser = new_browser(headers={"user-agent": "<script>alert(1)</script>\x1b" + "x" * 300})
    browser.sign_in()

    answer = browser.get(PATH)

    assert "<script>alert" not in answer.text
    assert len(LoginSession.objects.get().user_agent) == 255


def test_the_page_ends_one_session(browsers: list[SiteBrowser]) -> None:
    answer = browsers[0].post(PATH, {"end": row_of(browsers[1]).pk})

    assert answer.status_code == 302
    assert answer["Location"] == PATH
    assert signed_in(browsers) == [True, False, True, True]


def test_the_page_ends_all_other_sessions(browsers: list[SiteBrowser]) -> None:
    assert browsers[0].post(PATH, {"end": "others"}).status_code == 302

    assert signed_in(browsers) == [True, False, False, True]


def test_the_page_does_not_end_sessions_of_another_user(browsers: list[SiteBrowser]) -> None:
    assert browsers[0].post(PATH, {"end": row_of(browsers[3]).pk}).status_code == 302

    assert signed_in(browsers) == [True, True, True, True]


def test_the_page_does_not_end_the_current_session(browsers: list[SiteBrowser]) -> None:
    """The logout button ends it, and also logs out at the provider."""
    assert browsers[0].post(PATH, {"end": row_of(browsers[0]).pk}).status_code == 302

    assert signed_in(browsers) == [True, True, True, True]


def test_a_session_that_has_ended_already_is_no_error(browsers: list[SiteBrowser]) -> None:
    assert browsers[0].post(PATH, {"end": uuid4()}).status_code == 302


@pytest.mark.parametrize("form", [{}, {"end": ""}, {"end": "all"}, {"end": "' OR 1=1"}])
def test_an_invalid_id_is_not_found(browsers: list[SiteBrowser], form: dict[str, str]) -> None:
    assert browsers[0].post(PATH, form).status_code == 404

    assert signed_in(browsers) == [True, True, True, True]


def test_a_session_that_no_provider_opened_can_end_all_others(
    browsers: list[SiteBrowser], browser: SiteBrowser
) -> None:
    browser.force_login(row_of(browsers[0]).user, "django.contrib.auth.backends.ModelBackend")

    browser.post(PATH, {"end": "others"})

    assert signed_in([*browsers, browser]) == [False, False, False, True, True]


def test_csrf_is_enforced(browsers: list[SiteBrowser], settings: Any, new_browser: NewBrowser) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "CsrfViewMiddleware" not in name]
    strict = new_browser(enforce_csrf_checks=True)
    strict.sign_in("amber")

    assert strict.post(PATH, {"end": "others"}).status_code == 403
    assert signed_in(browsers) == [True, True, True, True]


def test_other_methods_are_refused(browsers: list[SiteBrowser]) -> None:
    assert browsers[0].delete(PATH).status_code == 405
