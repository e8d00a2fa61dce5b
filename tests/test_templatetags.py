"""``logout_button``, ``logout_link``, ``logout_url``."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.cache import cache
from django.http import HttpRequest
from django.template import Context, RequestContext, Template
from django.test import RequestFactory

from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.templatetags.ory_logout import browser_name
from django_ory_logout.testing import Network, Person, Provider

from .conftest import Clock, Configure, Logged, NewBrowser, SiteBrowser, query_of

pytestmark = pytest.mark.django_db

OWN_PAGE = "/auth/logout/"


@pytest.fixture
def signed_in(browser: SiteBrowser) -> SiteBrowser:
    browser.sign_in("amber")
    return browser


def rendered(browser: SiteBrowser) -> tuple[str, str, str]:
    """Button, link and URL on the test site's page."""
    button, link, url = browser.get("/tags/").text.split("|")
    return button, link, unescape(url)


def url_of(browser: SiteBrowser) -> str:
    return rendered(browser)[2]


def test_the_url_is_the_providers_with_hint_redirect_uri_and_state(signed_in: SiteBrowser) -> None:
    login = signed_in.session[LOGIN_KEY]

    url = url_of(signed_in)

    assert url.startswith("https://op.example/oauth2/sessions/logout?")
    assert query_of(url) == {
        "id_token_hint": login["id_token"],
        "client_id": "django-site",
        "post_logout_redirect_uri": "https://rp.example/auth/logout/callback/",
        "state": login["logout_state"],
    }


def test_the_url_is_our_own_page_if_the_browser_would_not_return(signed_in: SiteBrowser, configure: Configure) -> None:
    configure(POST_LOGOUT_REDIRECT_URI="https://elsewhere.example/bye")

    assert url_of(signed_in) == OWN_PAGE


def test_the_link_has_the_url(signed_in: SiteBrowser) -> None:
    _, link, url = rendered(signed_in)

    assert unescape(link).strip() == f'<a href="{url}">Log out</a>'
    assert "&amp;state=" in link


def test_the_state_is_the_same_at_every_rendering(signed_in: SiteBrowser) -> None:
    assert url_of(signed_in) == url_of(signed_in)


def test_another_session_has_another_state(signed_in: SiteBrowser, new_browser: NewBrowser) -> None:
    other = new_browser()
    other.sign_in("amber")

    assert query_of(url_of(signed_in))["state"] != query_of(url_of(other))["state"]


def test_the_session_ends_when_the_browser_returns(signed_in: SiteBrowser) -> None:
    state = query_of(url_of(signed_in))["state"]
    assert signed_in.user

    answer = signed_in.get("/auth/logout/callback/", {"state": state})

    assert "You are logged out" in answer.text
    assert signed_in.user is None


def test_rendering_makes_no_call_and_logs_nothing(
    signed_in: SiteBrowser, network: Network, clock: Clock, logged: Logged
) -> None:
    network.down()
    network.calls.clear()
    clock.advance(2 * 60 * 60)

    assert url_of(signed_in).startswith("https://op.example/")
    cache.clear()
    assert url_of(signed_in) == OWN_PAGE

    assert network.calls == []
    assert logged() == []


def test_a_provider_without_end_session_endpoint_gives_the_url_of_this_sites_page(
    browser: SiteBrowser, provider: Provider
) -> None:
    provider.metadata["end_session_endpoint"] = None
    browser.sign_in()

    assert url_of(browser) == OWN_PAGE


def test_a_url_that_is_too_long_is_replaced_by_this_sites_page(browser: SiteBrowser, provider: Provider) -> None:
    provider.add_person(Person("amber", {"name": "a" * 4096}))
    browser.sign_in("amber")

    assert url_of(browser) == OWN_PAGE


def test_post_to_the_provider_gives_the_url_of_this_sites_page(signed_in: SiteBrowser, configure: Configure) -> None:
    configure(END_SESSION_REQUEST_METHOD="POST")

    assert url_of(signed_in) == OWN_PAGE


def test_a_session_that_no_provider_opened_gives_the_url_of_this_sites_page(browser: SiteBrowser) -> None:
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert url_of(browser) == OWN_PAGE


def test_an_anonymous_user_gets_the_url_of_this_sites_page(browser: SiteBrowser) -> None:
    assert url_of(browser) == OWN_PAGE


def test_the_button_posts_a_csrf_token(new_browser: NewBrowser) -> None:
    browser = new_browser(enforce_csrf_checks=True)
    browser.sign_in()
    button, _, _ = rendered(browser)
    assert '<form method="post" action="/auth/logout/">' in button
    assert '<button type="submit">Log out</button>' in button
    assert 'name="next"' not in button

    token = button.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    answer = browser.post_form(
        "/auth/logout/", {"csrfmiddlewaretoken": token}, headers={"referer": "https://testserver/tags/"}
    )

    assert answer.status_code == 302
    assert browser.user is None


@pytest.fixture
def without_processors(settings: Any) -> Callable[[], None]:
    """From the call on, templates get only the values of their view and the CSRF token."""

    def without_processors() -> None:
        settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

    return without_processors


def test_without_the_request_tags_lead_to_this_sites_page(
    signed_in: SiteBrowser, without_processors: Callable[[], None]
) -> None:
    without_processors()

    button, link, url = rendered(signed_in)

    assert "csrfmiddlewaretoken" in button
    assert link.strip() == f'<a href="{OWN_PAGE}">Log out</a>'
    assert url == OWN_PAGE


@pytest.mark.parametrize("who", ["somebody", "nobody"])
@pytest.mark.parametrize("path", [OWN_PAGE, "/auth/logout/callback/", "/auth/sessions/", "/auth/login/?provider=x"])
def test_pages_are_the_same_without_the_request(
    signed_in: SiteBrowser, without_processors: Callable[[], None], path: str, who: str
) -> None:
    if who == "nobody":
        signed_in.post(OWN_PAGE)

    def shown() -> str:
        """Remove the parts that always differ: the CSRF token, and the reference and time of an error."""
        return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"|<small>[^<]*</small>', "", signed_in.get(path).text)

    with_request = shown()
    without_processors()

    assert shown() == with_request


@pytest.fixture
def anonymous_request(rf: RequestFactory) -> HttpRequest:
    request = rf.get("/")
    request.session = SessionStore()
    return request


def render(request: HttpRequest, tag: str, **context: Any) -> str:
    return Template("{% load ory_logout %}{% " + tag + " %}").render(RequestContext(request, context))


def test_the_button_has_label_and_next(anonymous_request: HttpRequest) -> None:
    button = render(anonymous_request, "logout_button label=label next=next", label="<Leave>", next="/bye/?a&b")

    assert '<button type="submit">&lt;Leave&gt;</button>' in button
    assert '<input type="hidden" name="next" value="/bye/?a&amp;b">' in button


def test_button_without_csrf_token_in_the_context_has_no_token(anonymous_request: HttpRequest) -> None:
    button = Template("{% load ory_logout %}{% logout_button %}").render(Context({"request": anonymous_request}))

    assert "csrfmiddlewaretoken" not in button


def test_the_link_has_a_label(anonymous_request: HttpRequest) -> None:
    link = render(anonymous_request, "logout_link label=label", label="<Leave>")

    assert link.strip() == '<a href="/auth/logout/">&lt;Leave&gt;</a>'


def test_the_url_can_be_stored_in_a_variable(anonymous_request: HttpRequest) -> None:
    template = Template("{% load ory_logout %}{% logout_url as url %}[{{ url }}]")

    assert template.render(RequestContext(anonymous_request)) == "[/auth/logout/]"


APPLE_AND_KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {APPLE_AND_KHTML} Chrome/126.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) {APPLE_AND_KHTML} Chrome/126.0 Safari/537 Edg/126",
            "Edge on Mac",
        ),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {APPLE_AND_KHTML} Safari/604.1", "Safari on iPhone"),
        (
            f"Mozilla/5.0 (Linux; Android 10; K) {APPLE_AND_KHTML} Chrome/126.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("Firefox", "Firefox"),
        ("Linux", "Linux"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 100, "x" * 60),
        ("", "Unknown browser"),
    ],
)
def test_browsers_have_their_common_names(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
