"""The site's views for Kratos: its login page, and the logouts of pages, single-page and native applications."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from django_ory_logout.kratos.whoami import COOL_DOWN_SECONDS
from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.ory.kratos import KratosPublic
from django_ory_logout.sessions import index, receipts
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Identity, Session
from django_ory_logout.testing.kratos.totp import new_secret

from ..conftest import Clock, Logged, SiteBrowser, query_of
from ..views.pages import assert_page
from .conftest import COOKIE, PUBLIC_URL, KratosBrowser
from .test_logout import FLOW, LOGOUT, NATIVE, WHOAMI, asked

pytestmark = pytest.mark.django_db

JSON = {"accept": "application/json"}
SITE = "https://rp.example"
MADE_UP = "ory_lo_made_up"


@pytest.fixture
def signed_in(browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's browser. Kratos has received no call since the sign-in."""
    browser = browser_of(session)
    assert browser.user["sid"] == session.id
    kratos_network.calls.clear()
    return browser


# The login page


def test_the_login_page_redirects_to_kratos_with_itself_as_return_url(
    browser_of: KratosBrowser, kratos_network: KratosNetwork
) -> None:
    answer = browser_of().get("/auth/login/", {"next": "/private/?a=1&b"})

    assert answer.status_code == 302
    assert "no-store" in answer["Cache-Control"]
    assert answer["Location"].startswith(f"{PUBLIC_URL}/self-service/login/browser?")
    return_to = query_of(answer["Location"])["return_to"]
    assert return_to.startswith(f"{SITE}/auth/login/?")
    assert query_of(return_to) == {"provider": "default", "next": "/private/?a=1&b", "returned": "1"}
    assert kratos_network.calls == []


def test_the_return_url_does_not_use_the_host_of_the_request(browser_of: KratosBrowser) -> None:
    location = browser_of().get("/auth/login/", headers={"host": "localhost"})["Location"]

    assert query_of(location)["return_to"].startswith(f"{SITE}/auth/login/?")


@pytest.mark.parametrize("next_url", ["//evil.example", "https://evil.example/", "javascript:alert(1)"])
def test_a_next_of_another_site_is_dropped(browser_of: KratosBrowser, next_url: str) -> None:
    location = browser_of().get("/auth/login/", {"next": next_url})["Location"]

    assert query_of(query_of(location)["return_to"])["next"] == ""


@pytest.mark.parametrize(("next_url", "location"), [("/private/", "/private/"), ("", "/"), ("//evil.example", "/")])
def test_a_signed_in_user_continues_at_next(signed_in: SiteBrowser, next_url: str, location: str) -> None:
    assert signed_in.get("/auth/login/", {"next": next_url, "returned": "1"})["Location"] == location


def test_a_user_without_an_active_session_causes_no_redirect_loop(
    browser_of: KratosBrowser, kratos: Kratos, session: Session, logged: Logged
) -> None:
    kratos.end(session.id)

    for browser in (browser_of(), browser_of(session)):
        answer = browser.get("/auth/login/", {"next": "/private/", "returned": "1"})

        assert_page(answer, 400, "This sign-in cannot be completed")
        assert 'href="/auth/login/?provider=default&amp;next=%2Fprivate%2F"' in answer.text
        assert logged()[-1].startswith("sign-in failed: kratos_cookie_missing: ")


def test_the_page_about_the_second_factor_links_to_it(
    browser_of: KratosBrowser, kratos: Kratos, amber: Identity
) -> None:
    kratos.required_aal, amber.totp_secret = "highest_available", new_secret()
    browser = browser_of(kratos.sign_in(amber))

    answer = browser.get("/auth/login/", {"next": "/private/"})

    assert_page(answer, 403, "One more step")
    link = answer.text.partition('<a class="button" href="')[2].partition('">Continue</a>')[0].replace("&amp;", "&")
    assert link.startswith(f"{PUBLIC_URL}/self-service/login/browser?")
    assert query_of(link)["aal"] == "aal2"
    assert query_of(query_of(link)["return_to"]) == {"provider": "default", "next": "/private/", "returned": "1"}


def test_a_refused_user_can_log_out_to_change_the_account(
    browser_of: KratosBrowser, session: Session, settings: Any
) -> None:
    default = settings.ORY_LOGOUT["PROVIDERS"]["default"]
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": {**default, "CREATE_USERS": False}}}
    browser = browser_of(session)

    answer = browser.get("/auth/login/")

    assert_page(answer, 403, "You were not signed in")
    assert '<a class="button" href="/auth/logout/">Log out</a>' in answer.text
    assert '<form method="post" action="/auth/logout/">' in browser.get("/auth/logout/").text
    browser.post("/auth/logout/")
    assert not session.active
    assert browser.get("/auth/login/")["Location"].startswith(PUBLIC_URL)


# Logout of a single-page application


def flow(browser: SiteBrowser, **query: str) -> Any:
    return browser.get("/auth/kratos/logout/browser/", query, headers=JSON)


def test_the_flow_has_the_fields_that_kratos_gives(signed_in: SiteBrowser, session: Session) -> None:
    answer = flow(signed_in)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    assert answer.json() == {
        "logout_url": f"{SITE}/auth/kratos/logout/?token={session.logout_token}",
        "logout_token": session.logout_token,
    }


def test_the_flow_calls_kratos_once_for_each_session(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, clock: Clock
) -> None:
    first = flow(signed_in).json()
    clock.advance(60)
    kratos_network.down(FLOW)

    assert flow(signed_in).json() == first
    assert asked(kratos_network) == [("GET", FLOW), ("GET", WHOAMI)]


@pytest.mark.parametrize(
    ("return_to", "kept"),
    [("/bye/?a=1", "/bye/?a=1"), (f"{SITE}/bye/", f"{SITE}/bye/"), ("https://evil.example", None)],
)
def test_the_flow_keeps_a_return_to_of_this_site(signed_in: SiteBrowser, return_to: str, kept: str | None) -> None:
    assert query_of(flow(signed_in, return_to=return_to).json()["logout_url"]).get("return_to") == kept


def test_the_flow_refuses_an_anonymous_user(browser_of: KratosBrowser, kratos_network: KratosNetwork) -> None:
    answer = flow(browser_of())

    assert answer.status_code == 401
    assert answer.json() == {"error": "session_inactive"}
    assert kratos_network.calls == []


def test_the_flow_refuses_a_session_that_ended_at_kratos(
    signed_in: SiteBrowser, kratos: Kratos, session: Session
) -> None:
    kratos.end(session.id)

    assert flow(signed_in).status_code == 401


def test_the_flow_answers_503_while_kratos_does_not_answer(
    signed_in: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    kratos_network.down(FLOW)

    answer = flow(signed_in)

    assert answer.status_code == 503
    assert answer.json() == {"error": "unreachable"}
    assert answer["Retry-After"] == "5"
    assert signed_in.user


def test_the_flow_refuses_post(signed_in: SiteBrowser) -> None:
    assert signed_in.post("/auth/kratos/logout/browser/").status_code == 405


def complete(browser: SiteBrowser, token: str | None, accept: str = "application/json", **query: str) -> Any:
    query |= {} if token is None else {"token": token}
    return browser.get("/auth/kratos/logout/", query, headers={"accept": accept})


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain, */*", "text/html;q=0.9, */*;q=0.8, application/json"]
)
def test_an_application_completes_its_logout(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, accept: str
) -> None:
    token = flow(signed_in).json()["logout_token"]
    kratos_network.calls.clear()

    answer = complete(signed_in, token, accept, return_to="/bye/")

    assert (answer.status_code, answer.content) == (204, b"")
    assert "no-store" in answer["Cache-Control"]
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not [name for name in answer.cookies if name.startswith("csrf_token")]
    assert asked(kratos_network) == [("GET", LOGOUT)]
    assert not session.active
    assert signed_in.user is None
    assert not LoginSession.objects.exists()


@pytest.mark.parametrize(
    "accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*", "text/html, application/json", "text/plain"]
)
def test_a_browser_that_follows_the_link_is_redirected(signed_in: SiteBrowser, session: Session, accept: str) -> None:
    url = flow(signed_in, return_to="/bye/").json()["logout_url"]

    answer = signed_in.get(url.removeprefix(SITE), headers={"accept": accept})

    assert (answer.status_code, answer["Location"]) == (302, "/bye/")
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not session.active
    assert signed_in.user is None


def test_the_link_ends_the_session_here_before_kratos_is_called(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    token, log_out = flow(signed_in).json()["logout_token"], KratosPublic.log_out

    def look(*args: Any) -> tuple[str, ...]:
        seen.append((LoginSession.objects.exists(), receipts.is_logged_out(PUBLIC_URL, session.id)))
        return log_out(*args)

    monkeypatch.setattr(KratosPublic, "log_out", look)

    assert complete(signed_in, token).status_code == 204
    assert seen == [(False, True)]


def test_the_link_does_not_redirect_to_another_site(signed_in: SiteBrowser, session: Session, settings: Any) -> None:
    answer = complete(signed_in, session.logout_token, "text/html", return_to="https://evil.example/")

    assert_page(answer, 200, "You are logged out")
    settings.LOGOUT_REDIRECT_URL = "/out/"
    assert complete(signed_in, session.logout_token, "text/html", return_to="//evil.example")["Location"] == "/out/"


@pytest.mark.parametrize("token", [None, ""])
def test_a_logout_without_a_token_ends_nothing(signed_in: SiteBrowser, session: Session, token: str | None) -> None:
    answer = complete(signed_in, token)

    assert answer.status_code == 400
    assert answer.json() == {"error": "link_token_missing"}
    page = complete(signed_in, token, "text/html")
    assert_page(page, 400, "This logout cannot be completed")
    assert '<a class="button" href="/auth/logout/">Log out</a>' in page.text
    assert session.active
    assert signed_in.user


@pytest.mark.parametrize("keeps_token", [True, False])
@pytest.mark.parametrize("token", [MADE_UP, "birch's", "täglich"])
def test_a_logout_with_a_token_of_another_user_ends_nothing(
    signed_in: SiteBrowser,
    kratos_network: KratosNetwork,
    kratos: Kratos,
    session: Session,
    token: str,
    keeps_token: bool,
) -> None:
    """Any page could make a browser send such a request."""
    if keeps_token:
        flow(signed_in)
    other = kratos.sign_in(kratos.identity("birch@example.org"))
    token = other.logout_token if token == "birch's" else token

    answer = complete(signed_in, token)
    page = complete(signed_in, token, "text/html", return_to="/bye/")

    assert answer.status_code == 403
    assert answer.json() == {"error": "logout_token_foreign"}
    assert_page(page, 403, "This logout cannot be completed")
    assert '<a class="button" href="/auth/logout/">Log out</a>' in page.text
    assert session.active
    assert other.active
    assert signed_in.user
    assert not LogoutReceipt.objects.exists()
    assert ("GET", LOGOUT) not in asked(kratos_network)


def test_head_does_not_log_out(signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session) -> None:
    """At Kratos, HEAD logs out. Here, a link preview ends nothing."""
    token = flow(signed_in).json()["logout_token"]
    kratos_network.calls.clear()

    answer = signed_in.head("/auth/kratos/logout/", {"token": token})

    assert answer.status_code == 405
    assert kratos_network.calls == []
    assert session.active
    assert signed_in.user


def test_the_logout_link_refuses_post(signed_in: SiteBrowser, session: Session) -> None:
    assert signed_in.post(f"/auth/kratos/logout/?token={session.logout_token}").status_code == 405
    assert session.active


def test_a_second_click_changes_nothing(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    token = flow(signed_in).json()["logout_token"]
    complete(signed_in, token)
    kratos_network.calls.clear()

    assert complete(signed_in, token).status_code == 401
    assert complete(signed_in, token, "text/html", return_to="/bye/")["Location"] == "/bye/"
    assert kratos_network.calls == []


def test_a_second_click_of_a_browser_that_still_has_the_cookie_changes_nothing(
    signed_in: SiteBrowser, session: Session
) -> None:
    token = flow(signed_in).json()["logout_token"]
    complete(signed_in, token)
    signed_in.cookies[COOKIE] = session.cookie

    assert complete(signed_in, token).json() == {"error": "session_inactive"}
    assert complete(signed_in, token, "text/html", return_to="/bye/")["Location"] == "/bye/"


@pytest.mark.parametrize("since", ["another", "none"])
def test_the_link_works_after_its_session_here_was_lost(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, since: str
) -> None:
    """For example, the cache was cleared. Otherwise Kratos' cookie would sign the user in again at once."""
    token = flow(signed_in).json()["logout_token"]
    signed_in.cookies.pop("sessionid")
    if since == "another":
        assert signed_in.user
    kratos_network.calls.clear()

    assert complete(signed_in, token).status_code == 204

    assert asked(kratos_network) == [("GET", FLOW), ("GET", LOGOUT)]
    assert not session.active
    assert signed_in.user is None


def test_a_token_that_cannot_be_checked_ends_nothing(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    kratos_network.down()
    browser = browser_of(session)

    answer = complete(browser, session.logout_token)
    page = complete(browser, session.logout_token, "text/html")

    assert (answer.status_code, answer.json()) == (503, {"error": "unreachable"})
    assert_page(page, 503, "Please wait a moment")
    assert '<a class="button" href="/auth/logout/">Log out</a>' in page.text
    assert not LogoutReceipt.objects.exists()


def test_an_application_gets_an_error_if_kratos_does_not_confirm_the_logout(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    token = flow(signed_in).json()["logout_token"]
    kratos_network.down()

    answer = complete(signed_in, token)

    assert (answer.status_code, answer.json()) == (503, {"error": "kratos_not_told"})
    assert answer["Retry-After"] == "5"
    assert not LoginSession.objects.exists()
    assert receipts.is_logged_out(PUBLIC_URL, session.id)
    kratos_network.mend()
    clock.advance(11)
    assert signed_in.user is None
    assert session.active

    assert complete(signed_in, token).status_code == 204, "the second request ends it at Kratos"
    assert not session.active


def test_a_browser_gets_a_page_if_kratos_does_not_confirm_the_logout(
    signed_in: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    url = flow(signed_in, return_to="/bye/").json()["logout_url"]
    kratos_network.down()

    answer = signed_in.visit(url)

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert '<a class="button" href="/bye/">' in answer.text


# Links in pages that the server renders


def test_a_link_is_fetched_once_and_logs_out(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    pages = [signed_in.get("/tags/").text for _ in range(2)]
    clock.advance(60)
    pages.append(signed_in.get("/tags/").text)

    assert asked(kratos_network).count(("GET", FLOW)) == 1
    links = {page.split("|")[1].strip() for page in pages}
    url = f"{SITE}/auth/kratos/logout/?token={session.logout_token}"
    assert links == {f'<a href="{url}">Log out</a>'}
    assert {page.split("|")[2] for page in pages} == {url}

    assert_page(signed_in.visit(url), 200, "You are logged out")
    assert not session.active
    assert signed_in.user is None


def test_without_kratos_the_link_leads_to_this_sites_page(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, logged: Logged, clock: Clock
) -> None:
    kratos_network.down(FLOW)

    _button, link, url = signed_in.get("/tags/").text.split("|")

    assert link.strip() == '<a href="/auth/logout/">Log out</a>'
    assert url == "/auth/logout/"
    assert logged() == [
        f"logout link without Kratos' token: unreachable: GET {PUBLIC_URL}{FLOW}: ConnectionError",
        "logout link without Kratos' token: cooling_down: Kratos did not answer within the last 5 s",
    ]
    kratos_network.mend()
    clock.advance(COOL_DOWN_SECONDS + 1)
    assert "/auth/kratos/logout/?token=" in signed_in.get("/tags/").text


def test_for_an_anonymous_user_the_link_leads_to_this_sites_page(
    browser_of: KratosBrowser, kratos_network: KratosNetwork
) -> None:
    assert browser_of().get("/tags/").text.split("|")[2] == "/auth/logout/"
    assert kratos_network.calls == []


# Logout of a native application


@pytest.fixture
def native(native_client_of: KratosBrowser, kratos_network: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's native application. Kratos has received no call since the sign-in."""
    client = native_client_of(session)
    assert client.user["sid"] == session.id
    kratos_network.calls.clear()
    return client


def end(body: object, client: SiteBrowser | None = None) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return (client or SiteBrowser(enforce_csrf_checks=True)).delete(
        "/auth/kratos/logout/api/", text, content_type="application/json"
    )


def test_native_logout_ends_the_session_here_and_at_kratos(
    native: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    answer = end({"session_token": session.token})

    assert (answer.status_code, answer.content) == (204, b"")
    assert not answer.cookies
    assert asked(kratos_network) == [("DELETE", NATIVE)]
    assert not session.active
    assert not LoginSession.objects.exists()
    assert native.user is None


def test_native_logout_without_the_database_is_an_error(
    native: SiteBrowser, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> int:
        raise OperationalError

    with monkeypatch.context() as faulty:
        faulty.setattr(index, "mark_ended", fail)
        answer = end({"session_token": session.token}, SiteBrowser(headers={"accept": "application/json"}))

    assert (answer.status_code, answer.json()) == (503, {"error": "database_fault"})
    assert native.user
    assert end({"session_token": session.token}).status_code == 204
    assert native.user is None


def test_native_logout_ends_the_session_here_before_kratos_is_called(
    native: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    clock.advance(11)
    seen: list[tuple[bool, bool]] = []

    def look(document: dict[str, Any]) -> dict[str, Any]:
        seen.append((LoginSession.objects.exists(), receipts.is_logged_out(PUBLIC_URL, session.id)))
        return document

    kratos_network.change(WHOAMI, look)

    assert end({"session_token": session.token}).status_code == 204
    assert seen == [(False, True)]


def test_native_logout_deletes_the_kept_answer(
    native: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    end({"session_token": session.token})
    kratos_network.calls.clear()

    assert native.user is None
    assert asked(kratos_network)[0] == ("GET", WHOAMI)


def test_native_logout_can_be_repeated(native: SiteBrowser, session: Session) -> None:
    assert [end({"session_token": session.token}).status_code for _ in range(3)] == [204, 204, 204]


def test_native_logout_works_with_the_token_in_the_header_too(native: SiteBrowser, session: Session) -> None:
    assert end({"session_token": session.token}, native).status_code == 204
    assert not session.active
    assert native.user is None


@pytest.mark.parametrize("token", ["ory_st_made_up", "ünsendable", "a\r\nb", "\ud800", "x" * 10_000])
def test_an_unknown_token_counts_as_logged_out(kratos_network: KratosNetwork, token: str) -> None:
    """It leaves nothing, because anyone can send one."""
    assert end({"session_token": token}).status_code == 204
    assert not LogoutReceipt.objects.exists()


def test_a_token_that_ended_at_kratos_leaves_nothing(
    kratos_network: KratosNetwork, kratos: Kratos, session: Session
) -> None:
    """Kratos still knows the token, and answers that its session has ended."""
    kratos.end(session.id)

    assert end({"session_token": session.token}).status_code == 204
    assert not LogoutReceipt.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "\\xff",
        "[" * 100_000,
        '{"a":' * 936,
        '{"session_token": NaN}',
        '{"session_token": "a", "session_token": "b"}',
    ],
)
def test_native_logout_needs_json(kratos_network: KratosNetwork, body: str) -> None:
    answer = end(body)

    assert answer.status_code == 400
    assert answer.json() == {"error": "body_not_json"}


@pytest.mark.parametrize("body", ["[]", "null", "7", "{}", '{"session_token": ""}', '{"session_token": 7}'])
def test_native_logout_needs_a_token(kratos_network: KratosNetwork, body: str) -> None:
    answer = end(body)

    assert answer.status_code == 400
    assert answer.json() == {"error": "session_token_missing"}
    assert kratos_network.calls == []


@pytest.mark.parametrize("method", ["get", "head", "post", "put"])
def test_native_logout_needs_delete(native: SiteBrowser, method: str) -> None:
    answer = getattr(SiteBrowser(), method)("/auth/kratos/logout/api/")

    assert answer.status_code == 405
    assert answer["Allow"] == "DELETE"


def test_native_logout_without_kratos_is_refused(settings: Any) -> None:
    entry = {"ISSUER": "https://op.example", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}

    answer = end({"session_token": "ory_st_made_up"})

    assert (answer.status_code, answer.json()) == (400, {"error": "kratos_not_configured"})


@pytest.mark.parametrize("holds_verdict", [True, False], ids=["verdict held", "no verdict held"])
@pytest.mark.parametrize("how", ["down", "slow"])
def test_a_native_logout_that_kratos_does_not_confirm_is_in_force_here(
    native: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock, how: str, holds_verdict: bool
) -> None:
    clock.advance(0 if holds_verdict else 11)
    getattr(kratos_network, how)()

    answer = end({"session_token": session.token})

    code = "unreachable" if holds_verdict else "cooling_down"
    assert (answer.status_code, answer.json()) == (503, {"error": code})
    assert answer["Retry-After"] == "5"
    assert len(kratos_network.calls) == 1, "a Kratos that does not answer is not called twice"
    assert not LoginSession.objects.exists()
    kratos_network.mend()
    clock.advance(11)
    assert native.user is None
    assert session.active
    assert end({"session_token": session.token}).status_code == 204, "the second request ends it at Kratos"
    assert not session.active


def test_native_logout_of_an_unknown_session_while_kratos_is_down_refuses_the_token(
    native_client_of: KratosBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    kratos_network.down()

    assert end({"session_token": session.token}).status_code == 503

    kratos_network.mend()
    clock.advance(11)
    assert native_client_of(session).user is None
    assert not receipts.is_logged_out(PUBLIC_URL, session.id), "the app could not know the session"


def test_native_logout_ends_nothing_of_a_cookie_in_the_same_request(
    signed_in: SiteBrowser, native: SiteBrowser, kratos_network: KratosNetwork, kratos: Kratos
) -> None:
    other = kratos.sign_in(kratos.identity("birch@example.org"))
    native_of_birch = SiteBrowser(headers={"x-session-token": other.token})
    assert native_of_birch.user
    user, key = signed_in.user, signed_in.key

    answer = end({"session_token": other.token}, signed_in)

    assert answer.status_code == 204
    assert not answer.cookies
    assert (signed_in.user, signed_in.key) == (user, key)
    assert not other.active
    assert native_of_birch.user is None


def test_native_logout_works_while_the_cache_is_down(
    native: SiteBrowser,
    kratos_network: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
) -> None:
    """The answer that the cache keeps is there again afterwards."""
    caches = settings.CACHES
    cache_down()

    assert end({"session_token": session.token}).status_code == 204

    settings.CACHES = caches
    assert not session.active
    assert native.user is None
    assert not LoginSession.objects.exists()


def test_native_logout_fails_while_cache_and_kratos_are_down(
    native: SiteBrowser,
    kratos_network: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
    clock: Clock,
) -> None:
    """The app cannot know which session the token opened here. That session ends when the app next asks Kratos."""
    caches = settings.CACHES
    kratos_network.down()
    cache_down()

    assert end({"session_token": session.token}).status_code == 503

    settings.CACHES = caches
    kratos_network.mend()
    clock.advance(11)
    assert session.active
    assert native.user is None
    assert not LoginSession.objects.exists()


def test_native_logout_is_not_confirmed_if_only_kratos_ended_the_session(
    native: SiteBrowser,
    kratos_network: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
    clock: Clock,
) -> None:
    """Kratos ended the session, but could not say whose it was."""
    caches = settings.CACHES
    kratos_network.replace(WHOAMI, b"{}", status=500)
    cache_down()

    answer = end({"session_token": session.token})

    assert (answer.status_code, answer.json()) == (503, {"error": "cache_fault"})
    assert not session.active
    settings.CACHES = caches
    kratos_network.mend()
    assert end({"session_token": session.token}).status_code == 204
    assert native.user is None


@pytest.mark.parametrize("token", ["made-up", "x" * 8000])
def test_made_up_tokens_leave_nothing_behind_a_gateway(kratos_network: KratosNetwork, token: str) -> None:
    """The gateway answers some calls in place of Kratos."""
    kratos_network.replace(WHOAMI, b"<html>", status=431)

    assert end({"session_token": token}).status_code == 204
    assert not LogoutReceipt.objects.exists()


def test_a_kratos_refusal_without_a_word_about_the_token_keeps_it_refused(
    native_client_of: KratosBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    kratos_network.replace(WHOAMI, b"{}", status=500)
    kratos_network.replace(NATIVE, b'{"error": {"code": 400}}', status=400)

    assert end({"session_token": session.token}).status_code == 204

    kratos_network.mend()
    assert session.active
    assert native_client_of(session).user is None


def test_made_up_tokens_do_not_last_while_kratos_is_down(kratos_network: KratosNetwork) -> None:
    kratos_network.down()

    for number in range(3):
        assert end({"session_token": f"made-up-{number}"}).status_code == 503

    assert LogoutReceipt.objects.count() == 3
    assert all(receipt.expires_at <= receipt.received_at + receipts.LIFETIME for receipt in LogoutReceipt.objects.all())
    assert len(kratos_network.calls) == 1


def test_native_logout_does_not_read_the_user(
    native: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    """The token in the header may have ended, or Kratos may be down."""
    clock.advance(11)
    kratos_network.down()

    assert end({"session_token": session.token}, native).status_code == 503

    assert not LoginSession.objects.exists()
    kratos_network.mend()
    clock.advance(11)
    assert native.user is None


def test_the_logout_token_is_stored_with_the_session_and_in_no_receipt(
    signed_in: SiteBrowser, session: Session
) -> None:
    flow(signed_in)
    assert signed_in.session[LOGIN_KEY]["logout_token"] == session.logout_token

    complete(signed_in, session.logout_token)

    assert session.logout_token not in str([vars(receipt) for receipt in LogoutReceipt.objects.all()])


def test_a_logout_link_is_not_tried_again_without_its_token(signed_in: SiteBrowser, session: Session) -> None:
    def fail(*_args: Any) -> Any:
        raise OperationalError("away")

    with connection.execute_wrapper(fail):
        answer = signed_in.get("/auth/kratos/logout/", {"token": session.logout_token})

    assert answer.status_code == 503
    assert "Refresh" not in answer
    assert session.logout_token not in answer.text
