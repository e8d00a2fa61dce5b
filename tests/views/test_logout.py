"""RP-initiated logout: first here, then at the provider, and back."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.cache import cache

from django_ory_logout.flows.logout import new_state
from django_ory_logout.models import LoginSession
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Network, Person, Provider

from ..conftest import Clock, Configure, Connect, Logged, NewBrowser, SiteBrowser, query_of
from .pages import assert_page

pytestmark = pytest.mark.django_db

END_SESSION = "https://op.example/oauth2/sessions/logout"


def back(browser: SiteBrowser, state: str) -> Any:
    return browser.get("/auth/logout/callback/", {"state": state})


# To the provider


def test_get_shows_a_question(signed_in: SiteBrowser) -> None:
    answer = signed_in.get("/auth/logout/", {"next": "/bye/?a=1&b"})

    assert_page(answer, 200, "Do you want to log out?")
    assert "of the service that you signed in with" in answer.text
    assert '<form method="post" action="/auth/logout/">' in answer.text
    assert '<input type="hidden" name="next" value="/bye/?a=1&amp;b">' in answer.text
    assert signed_in.user


@pytest.mark.parametrize("method", ["get", "head"])
def test_the_question_ends_nothing(signed_in: SiteBrowser, method: str) -> None:
    assert getattr(signed_in, method)("/auth/logout/").status_code == 200
    assert signed_in.user


def test_the_question_drops_a_next_on_another_site(signed_in: SiteBrowser) -> None:
    assert "evil.example" not in signed_in.get("/auth/logout/", {"next": "//evil.example"}).text


def test_an_anonymous_user_gets_no_question(browser: SiteBrowser) -> None:
    answer = browser.get("/auth/logout/")

    assert_page(answer, 200, "You are not signed in")
    assert "<form" not in answer.text


def test_post_ends_the_session_here_and_goes_to_the_provider(signed_in: SiteBrowser) -> None:
    id_token, key = signed_in.session[LOGIN_KEY]["id_token"], signed_in.key

    answer = signed_in.post("/auth/logout/", {"next": "/bye/"})

    assert answer.status_code == 302
    assert "no-store" in answer["Cache-Control"]
    assert answer["Location"].startswith(f"{END_SESSION}?")
    asked = query_of(answer["Location"])
    assert asked.pop("state")
    assert asked == {
        "id_token_hint": id_token,
        "client_id": "django-site",
        "post_logout_redirect_uri": "https://rp.example/auth/logout/callback/",
    }
    assert LoginSession.objects.count() == 0
    assert signed_in.key is None
    replayed = SiteBrowser()
    replayed.cookies["sessionid"] = str(key)
    assert replayed.user is None


def test_a_registered_redirect_uri_of_its_own_is_sent(signed_in: SiteBrowser, configure: Configure) -> None:
    configure(POST_LOGOUT_REDIRECT_URI="https://rp.example/goodbye")

    answer = signed_in.post("/auth/logout/")

    assert query_of(answer["Location"])["post_logout_redirect_uri"] == "https://rp.example/goodbye"


def test_an_expired_hint_is_sent(signed_in: SiteBrowser, clock: Clock) -> None:
    clock.advance(20 * 60 * 60)

    assert signed_in.post("/auth/logout/")["Location"].startswith(f"{END_SESSION}?id_token_hint=")


def test_csrf_is_enforced(new_browser: NewBrowser) -> None:
    browser = new_browser(enforce_csrf_checks=True)
    browser.sign_in()

    assert browser.post("/auth/logout/").status_code == 403
    assert browser.user

    page = browser.get("/auth/logout/")
    token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    referer = "https://testserver/auth/logout/"
    answer = browser.post_form("/auth/logout/", {"csrfmiddlewaretoken": token}, headers={"referer": referer})

    assert answer.status_code == 302
    assert browser.user is None


def test_csrf_is_enforced_without_the_middleware(new_browser: NewBrowser, settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "CsrfViewMiddleware" not in name]
    browser = new_browser(enforce_csrf_checks=True)
    browser.sign_in()

    assert browser.post("/auth/logout/").status_code == 403
    assert browser.user


def not_told(network: Network, provider: Provider, settings: Any) -> dict[str, Callable[[], None]]:
    """Reasons why the browser cannot go to the provider, as functions that cause them."""
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]

    def no_endpoint() -> None:
        provider.metadata["end_session_endpoint"] = None
        cache.clear()

    def removed() -> None:
        other = {**default, "CLIENT_ID": "another-site"}
        settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": other}}

    def down() -> None:
        cache.clear()
        network.down()

    return {"no endpoint": no_endpoint, "removed": removed, "down": down}


@pytest.mark.parametrize(
    ("happens", "line"),
    [
        ("no endpoint", "end_session_endpoint_missing: the provider announces none"),
        ("removed", "provider_unknown: its registration is no longer configured"),
        ("down", "unreachable: GET https://op.example/.well-known/openid-configuration: ConnectionError"),
    ],
)
def test_the_session_ends_here_if_the_browser_cannot_go_to_the_provider(
    signed_in: SiteBrowser,
    network: Network,
    provider: Provider,
    settings: Any,
    logged: Logged,
    happens: str,
    line: str,
) -> None:
    not_told(network, provider, settings)[happens]()

    answer = signed_in.post("/auth/logout/", {"next": "/bye/"})

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert '<a class="button" href="/bye/">' in answer.text
    assert logged() == [f"logout at the provider left out: {line}"]
    assert signed_in.user is None
    assert LoginSession.objects.count() == 0


def test_a_logout_with_a_full_cache_needs_no_provider(signed_in: SiteBrowser, network: Network) -> None:
    network.down()
    network.calls.clear()

    assert signed_in.post("/auth/logout/")["Location"].startswith(END_SESSION)
    assert network.calls == []


def test_old_metadata_is_used_while_the_provider_is_down(
    signed_in: SiteBrowser, network: Network, clock: Clock
) -> None:
    network.down()
    clock.advance(2 * 60 * 60)

    assert signed_in.post("/auth/logout/")["Location"].startswith(END_SESSION)


def test_the_session_has_ended_before_the_provider_is_called(signed_in: SiteBrowser, network: Network) -> None:
    cache.clear()
    seen: list[int] = []

    def look(document: dict[str, Any]) -> dict[str, Any]:
        seen.append(LoginSession.objects.count())
        return document

    network.change("/.well-known/openid-configuration", look)

    signed_in.post("/auth/logout/")

    assert seen == [0]


def assert_posts_to_provider(answer: Any) -> dict[str, str]:
    """The page has a form for the end session endpoint. Return its fields."""
    assert_page(answer, 200, "You are logged out here")
    assert f'<form id="end-session" method="post" action="{END_SESSION}">' in answer.text
    assert "csrfmiddlewaretoken" not in answer.text
    return {
        name: unescape(answer.text.partition(f'name="{name}" value="')[2].partition('"')[0])
        for name in ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")
    }


def test_a_form_is_used_if_a_setting_asks_for_post(signed_in: SiteBrowser, configure: Configure) -> None:
    configure(END_SESSION_REQUEST_METHOD="POST")
    id_token = signed_in.session[LOGIN_KEY]["id_token"]

    fields = assert_posts_to_provider(signed_in.post("/auth/logout/", {"next": "/bye/"}))

    assert fields["id_token_hint"] == id_token
    assert fields["client_id"] == "django-site"
    assert fields["post_logout_redirect_uri"] == "https://rp.example/auth/logout/callback/"
    assert back(signed_in, fields["state"])["Location"] == "/bye/"
    assert signed_in.user is None


def test_a_form_is_used_if_the_url_would_be_too_long(browser: SiteBrowser, provider: Provider) -> None:
    provider.add_person(Person("amber", {"name": "a" * 4096}))
    browser.sign_in("amber")

    fields = assert_posts_to_provider(browser.post("/auth/logout/"))

    assert len(fields["id_token_hint"]) > 4096
    assert browser.user is None


def test_the_endpoint_may_have_a_query(browser: SiteBrowser, provider: Provider) -> None:
    provider.metadata["end_session_endpoint"] = f"{END_SESSION}?tenant=a"
    browser.sign_in()

    asked = query_of(browser.post("/auth/logout/")["Location"])

    assert asked["tenant"] == "a"
    assert asked["id_token_hint"]


def test_a_session_that_no_provider_opened_ends_here_only(
    browser: SiteBrowser, network: Network, settings: Any
) -> None:
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")
    assert "of the service" not in browser.get("/auth/logout/").text

    answer = browser.post("/auth/logout/")

    assert_page(answer, 200, "You are logged out")
    assert browser.user is None
    assert network.calls == []


@pytest.mark.parametrize(
    ("next_url", "location"), [("/bye/", "/bye/"), ("//evil.example", "/auth/sessions/"), ("", "/auth/sessions/")]
)
def test_a_local_logout_redirects_to_next_or_logout_redirect_url(
    browser: SiteBrowser, settings: Any, next_url: str, location: str
) -> None:
    settings.LOGOUT_REDIRECT_URL = "ory_logout:sessions"

    assert browser.post("/auth/logout/", {"next": next_url})["Location"] == location


def test_a_second_post_changes_nothing(signed_in: SiteBrowser) -> None:
    signed_in.post("/auth/logout/")

    assert_page(signed_in.post("/auth/logout/"), 200, "You are logged out")


def test_a_receiver_that_raises_does_not_stop_the_logout(signed_in: SiteBrowser, connect_receiver: Connect) -> None:
    def fail(**_arguments: Any) -> None:
        raise RuntimeError("of the site's own")

    key = signed_in.key
    connect_receiver(user_logged_out, fail)

    answer = signed_in.post("/auth/logout/")

    assert answer["Location"].startswith("https://op.example/oauth2/sessions/logout?")
    assert LoginSession.objects.count() == 0
    signed_in.cookies["sessionid"] = str(key)
    assert signed_in.user is None


@pytest.mark.parametrize("method", ["put", "delete"])
def test_other_methods_are_refused(signed_in: SiteBrowser, method: str) -> None:
    answer = getattr(signed_in, method)("/auth/logout/")

    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, POST"
    assert signed_in.user


# Back from the provider


def test_the_return_redirects_to_next(signed_in: SiteBrowser) -> None:
    state = query_of(signed_in.post("/auth/logout/", {"next": "/bye/?a=1"})["Location"])["state"]

    answer = back(signed_in, state)

    assert answer.status_code == 302
    assert answer["Location"] == "/bye/?a=1"
    assert "no-store" in answer["Cache-Control"]


def test_the_return_redirects_to_logout_redirect_url(signed_in: SiteBrowser, settings: Any) -> None:
    settings.LOGOUT_REDIRECT_URL = "/bye/"
    state = query_of(signed_in.post("/auth/logout/", {"next": "https://evil.example"})["Location"])["state"]

    assert back(signed_in, state)["Location"] == "/bye/"


def test_the_return_shows_a_page_without_either(signed_in: SiteBrowser) -> None:
    state = query_of(signed_in.post("/auth/logout/")["Location"])["state"]

    answer = back(signed_in, state)

    assert_page(answer, 200, "You are logged out")
    assert "Thank you for your visit." in answer.text
    assert 'href="/auth/login/"' in answer.text


def test_the_return_reports_an_unconfirmed_logout(browser: SiteBrowser, settings: Any) -> None:
    settings.LOGOUT_REDIRECT_URL = "/bye/"

    answer = back(browser, new_state("/on/", incomplete=True))

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert '<a class="button" href="/on/">' in answer.text


def test_the_return_drops_a_host_that_is_no_longer_allowed(signed_in: SiteBrowser, settings: Any) -> None:
    before = settings.ORY_LOGOUT
    settings.ORY_LOGOUT = {**before, "NEXT_ALLOWED_HOSTS": ["other.example"]}
    answer = signed_in.post("/auth/logout/", {"next": "https://other.example/"})
    settings.ORY_LOGOUT = before

    assert_page(back(signed_in, query_of(answer["Location"])["state"]), 200, "You are logged out")


@pytest.mark.parametrize("query", ["", "?state=", "?state=made-up", "?state=%00%ED%A0%80", "?error=x"])
def test_an_unknown_state_ends_nothing_and_is_reported(signed_in: SiteBrowser, query: str) -> None:
    answer = signed_in.get(f"/auth/logout/callback/{query}")

    assert_page(answer, 200, "You are still signed in here")
    assert '<form method="post" action="/auth/logout/">' in answer.text
    assert signed_in.user


def test_an_unknown_state_is_no_error_for_an_anonymous_user(browser: SiteBrowser) -> None:
    answer = back(browser, "made-up")

    assert_page(answer, 200, "You are logged out")
    assert "was not started on this site" in answer.text


def test_an_expired_state_redirects_nowhere(signed_in: SiteBrowser, clock: Clock) -> None:
    state = query_of(signed_in.post("/auth/logout/", {"next": "/bye/"})["Location"])["state"]
    clock.advance(24 * 60 * 60 + 1)

    answer = back(signed_in, state)

    assert_page(answer, 200, "You are logged out")
    assert "was not started on this site" in answer.text


def test_the_state_of_the_link_ends_the_session_on_return(signed_in: SiteBrowser, settings: Any) -> None:
    settings.LOGOUT_REDIRECT_URL = "/bye/"

    answer = back(signed_in, signed_in.session[LOGIN_KEY]["logout_state"])

    assert answer["Location"] == "/bye/"
    assert signed_in.user is None
    assert LoginSession.objects.count() == 0


def test_the_state_of_the_link_lasts_as_long_as_the_session(signed_in: SiteBrowser, clock: Clock) -> None:
    clock.advance(7 * 24 * 60 * 60)

    assert_page(back(signed_in, signed_in.session[LOGIN_KEY]["logout_state"]), 200, "You are logged out")
    assert signed_in.user is None


def test_the_state_of_another_browser_ends_nothing(signed_in: SiteBrowser, new_browser: NewBrowser) -> None:
    other = new_browser()
    other.sign_in("amber")

    answer = back(signed_in, other.session[LOGIN_KEY]["logout_state"])

    assert_page(answer, 200, "You are still signed in here")
    assert signed_in.user
    assert other.user


def test_the_state_of_another_logout_ends_nothing(signed_in: SiteBrowser, new_browser: NewBrowser) -> None:
    other = new_browser()
    other.sign_in("amber")
    state = query_of(other.post("/auth/logout/")["Location"])["state"]

    back(signed_in, state)

    assert signed_in.user


def test_the_return_refuses_post(signed_in: SiteBrowser) -> None:
    assert signed_in.post("/auth/logout/callback/").status_code == 405
    assert signed_in.user
