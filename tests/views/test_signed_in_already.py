"""A signed-in user who may not open a page gets an explanation, and no redirect loop."""

from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required, permission_required, user_passes_test
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.generic import RedirectView

from django_ory_logout.models import LoginSession
from django_ory_logout.testing import Client, Network, Provider

from ..conftest import SITE, SiteBrowser, query_of
from ..urls import urlpatterns as own
from .pages import assert_page

TITLE = "You are signed in already"

pytestmark = pytest.mark.django_db


@permission_required("auth.change_user")
def needs_permission(request: HttpRequest) -> HttpResponse:
    return HttpResponse("permitted")


@user_passes_test(lambda user: user.is_staff, login_url="/auth/login/?provider=default", redirect_field_name=None)
def needs_staff_without_next(request: HttpRequest) -> HttpResponse:
    return HttpResponse("staff")


@user_passes_test(lambda user: user.is_staff, login_url="/auth/login/?provider=second")
def needs_the_second_provider(request: HttpRequest) -> HttpResponse:
    return HttpResponse("staff")


@login_not_required
def admin_login_of_its_own(request: HttpRequest) -> HttpResponse:
    return redirect("ory_logout:login")


def urlconf(*patterns: Any) -> ModuleType:
    module = ModuleType("urlconf")
    vars(module)["urlpatterns"] = [*patterns, *own]
    return module


@pytest.fixture(autouse=True)
def urls(settings: Any) -> None:
    admin_login = login_not_required(RedirectView.as_view(pattern_name="ory_logout:login", query_string=True))
    settings.ROOT_URLCONF = urlconf(
        path("permission/", needs_permission),
        path("staff/", needs_staff_without_next),
        path("second/", needs_the_second_provider),
        path("admin/login/", admin_login),
        path("back-office/login/", admin_login_of_its_own),
    )


def journey(browser: SiteBrowser, network: Network, url: str) -> tuple[list[str], Any]:
    """Open ``url`` as a browser does, always as the same user. Return the redirects and the last page."""
    seen: list[str] = []
    answer = browser.visit(url)
    while answer.status_code == 302:
        assert len(seen) < 20, seen
        seen.append(answer["Location"])
        target = answer["Location"]
        answer = browser.visit(network.follow(target) if target.startswith(django_settings.ISSUER) else target)
    return seen, answer


def sign_ins(seen: list[str]) -> int:
    return sum(url.startswith(django_settings.ISSUER) for url in seen)


@pytest.mark.parametrize("url", ["/permission/", "/staff/", "/admin/", "/admin/auth/user/?q=a&p=1"])
@pytest.mark.parametrize("landing", ["/", "/permission/", "/staff/", "/admin/"])
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_a_refused_page_causes_no_redirect_loop(
    browser: SiteBrowser, network: Network, settings: Any, url: str, landing: str, is_signed_in: bool
) -> None:
    settings.LOGIN_REDIRECT_URL = landing
    if is_signed_in:
        browser.sign_in()

    seen, answer = journey(browser, network, url)

    if (url, landing, is_signed_in) == ("/staff/", "/", False):  # the redirect has no next
        assert answer.text == "home"
    else:
        assert_page(answer, 403, TITLE)
    assert sign_ins(seen) == (0 if is_signed_in else 1)


def test_an_admin_whose_login_drops_next_causes_no_loop(browser: SiteBrowser, network: Network, settings: Any) -> None:
    settings.LOGIN_REDIRECT_URL = "/back-office/login/"

    seen, answer = journey(browser, network, "/back-office/login/")

    assert_page(answer, 403, TITLE)
    assert sign_ins(seen) == 1


def test_the_page_says_what_to_do(browser: SiteBrowser) -> None:
    browser.sign_in()

    answer = browser.get("/auth/login/", {"next": "/permission/?a=1&b"})

    assert_page(answer, 403, TITLE)
    assert '<a class="button" href="/permission/?a=1&amp;b">Continue</a>' in answer.text
    assert '<a class="button quiet" href="/auth/logout/">Log out</a>' in answer.text
    assert '<input type="hidden" name="provider" value="default">' in answer.text
    assert '<input type="hidden" name="next" value="/permission/?a=1&amp;b">' in answer.text
    assert not answer.cookies


@pytest.mark.parametrize("next_url", ["", "//evil.example", "https://evil.example/"])
def test_a_next_on_another_site_is_dropped(browser: SiteBrowser, settings: Any, next_url: str) -> None:
    settings.LOGIN_REDIRECT_URL = "ory_logout:sessions"
    browser.sign_in()

    answer = browser.get("/auth/login/", {"next": next_url})

    assert_page(answer, 403, TITLE)
    assert '<a class="button" href="/auth/sessions/">Continue</a>' in answer.text


def test_the_button_signs_in_again_and_a_new_permission_counts(browser: SiteBrowser, network: Network) -> None:
    browser.sign_in()
    assert_page(browser.get("/auth/login/", {"next": "/admin/"}), 403, TITLE)
    User.objects.update(is_staff=True)

    answer = browser.post_form("/auth/login/", {"provider": "default", "next": "/admin/"})

    assert browser.visit(network.follow(answer["Location"]))["Location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize("parameters", [{"iss": "https://op.example"}, {"login_hint": "birch"}])
def test_a_third_party_can_start_a_sign_in_for_a_signed_in_user(
    browser: SiteBrowser, parameters: dict[str, str]
) -> None:
    browser.sign_in()

    target = {**parameters, "target_link_uri": "https://rp.example/permission/"}

    assert browser.get("/auth/login/", target)["Location"].startswith("https://op.example/")
    assert_page(browser.get("/auth/login/", {**parameters, "next": "/permission/"}), 403, TITLE)


def test_a_password_session_counts_as_signed_in(browser: SiteBrowser) -> None:
    browser.force_login(User.objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert_page(browser.get("/auth/login/", {"next": "/permission/"}), 403, TITLE)
    assert browser.get("/auth/login/", {"next": "/permission/", "provider": "default"}).status_code == 302


def test_an_inactive_user_is_refused_by_the_sign_in(browser: SiteBrowser, network: Network) -> None:
    browser.sign_in()
    User.objects.update(is_active=False)

    seen, answer = journey(browser, network, "/permission/")

    assert_page(answer, 403, "You were not signed in")
    assert sign_ins(seen) == 1


@pytest.fixture
def second(provider: Provider, settings: Any) -> None:
    uris = [f"{SITE}/callback/default/", f"{SITE}/callback/second/"]
    for client_id in ("django-site", "second-client"):
        provider.register(Client.of_site(SITE, client_id, settings.CLIENT_SECRET, redirect_uris=uris))
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    providers = {"default": default, "second": {**default, "CLIENT_ID": "second-client"}}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": providers}


def test_another_provider_is_tried_once(second: None, browser: SiteBrowser, network: Network) -> None:
    browser.sign_in()
    assert LoginSession.objects.get().client_id == "django-site"

    seen, answer = journey(browser, network, "/second/")

    assert_page(answer, 403, TITLE)
    assert [query_of(url)["client_id"] for url in seen if url.startswith("https://op.example")] == ["second-client"]
    assert '<input type="hidden" name="provider" value="second">' in answer.text


def test_pages_of_two_providers_cause_no_redirect_loop(second: None, browser: SiteBrowser, network: Network) -> None:
    for url in ("/staff/", "/second/", "/staff/", "/second/"):
        seen, _ = journey(browser, network, url)
        assert sign_ins(seen) <= 1
