"""What pages, single-page and native applications ask of this site about Kratos: its login page, and their logouts."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

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
def signed_in(browser_of: KratosBrowser, wire: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's browser; Kratos has been asked nothing since."""
    browser = browser_of(session)
    assert browser.user["sid"] == session.id
    wire.calls.clear()
    return browser


# The login page


def test_login_page_sends_to_kratos_and_back_to_itself(browser_of: KratosBrowser, wire: KratosNetwork) -> None:
    answer = browser_of().get("/auth/login/", {"next": "/private/?a=1&b"})

    assert answer.status_code == 302
    assert "no-store" in answer["Cache-Control"]
    assert answer["Location"].startswith(f"{PUBLIC_URL}/self-service/login/browser?")
    return_to = query_of(answer["Location"])["return_to"]
    assert return_to.startswith(f"{SITE}/auth/login/?")
    assert query_of(return_to) == {"provider": "default", "next": "/private/?a=1&b", "returned": "1"}
    assert wire.calls == []


def test_host_of_the_request_is_not_where_kratos_sends_back_to(browser_of: KratosBrowser) -> None:
    location = browser_of().get("/auth/login/", headers={"host": "localhost"})["Location"]

    assert query_of(location)["return_to"].startswith(f"{SITE}/auth/login/?")


@pytest.mark.parametrize("next_url", ["//evil.example", "https://evil.example/", "javascript:alert(1)"])
def test_next_that_leads_elsewhere_is_left_out(browser_of: KratosBrowser, next_url: str) -> None:
    location = browser_of().get("/auth/login/", {"next": next_url})["Location"]

    assert query_of(query_of(location)["return_to"])["next"] == ""


@pytest.mark.parametrize(("next_url", "location"), [("/private/", "/private/"), ("", "/"), ("//evil.example", "/")])
def test_who_comes_back_signed_in_goes_on(signed_in: SiteBrowser, next_url: str, location: str) -> None:
    assert signed_in.get("/auth/login/", {"next": next_url, "returned": "1"})["Location"] == location


def test_who_comes_back_without_a_living_session_is_not_sent_around(
    browser_of: KratosBrowser, kratos: Kratos, session: Session, logged: Logged
) -> None:
    kratos.end(session.id)

    for browser in (browser_of(), browser_of(session)):
        answer = browser.get("/auth/login/", {"next": "/private/", "returned": "1"})

        assert_page(answer, 400, "This sign-in cannot be completed")
        assert 'href="/auth/login/?provider=default&amp;next=%2Fprivate%2F"' in answer.text
        assert logged()[-1].startswith("sign-in failed: kratos_cookie_missing: ")


def test_second_factor_is_asked_for_with_a_way_to_it(
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


def test_who_may_not_use_this_site_can_log_out_to_be_somebody_else(
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


# The logout of a page that is its own application


def flow(browser: SiteBrowser, **query: str) -> Any:
    return browser.get("/auth/kratos/logout/browser/", query, headers=JSON)


def test_flow_has_the_shape_that_kratos_gives_it(signed_in: SiteBrowser, session: Session) -> None:
    answer = flow(signed_in)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    assert answer.json() == {
        "logout_url": f"{SITE}/auth/kratos/logout/?token={session.logout_token}",
        "logout_token": session.logout_token,
    }


def test_flow_asks_kratos_once_in_a_sessions_life(signed_in: SiteBrowser, wire: KratosNetwork, clock: Clock) -> None:
    first = flow(signed_in).json()
    clock.advance(60)
    wire.down(FLOW)

    assert flow(signed_in).json() == first
    assert asked(wire) == [("GET", FLOW), ("GET", WHOAMI)]


@pytest.mark.parametrize(
    ("return_to", "kept"),
    [("/bye/?a=1", "/bye/?a=1"), (f"{SITE}/bye/", f"{SITE}/bye/"), ("https://evil.example", None)],
)
def test_flow_keeps_a_return_to_of_this_site(signed_in: SiteBrowser, return_to: str, kept: str | None) -> None:
    assert query_of(flow(signed_in, return_to=return_to).json()["logout_url"]).get("return_to") == kept


def test_flow_of_nobody(browser_of: KratosBrowser, wire: KratosNetwork) -> None:
    answer = flow(browser_of())

    assert answer.status_code == 401
    assert answer.json() == {"error": "session_inactive"}
    assert wire.calls == []


def test_flow_of_a_session_that_is_dead_at_kratos(signed_in: SiteBrowser, kratos: Kratos, session: Session) -> None:
    kratos.end(session.id)

    assert flow(signed_in).status_code == 401


def test_flow_while_kratos_does_not_answer(signed_in: SiteBrowser, wire: KratosNetwork) -> None:
    wire.down(FLOW)

    answer = flow(signed_in)

    assert answer.status_code == 503
    assert answer.json() == {"error": "unreachable"}
    assert answer["Retry-After"] == "5"
    assert signed_in.user


def test_flow_cannot_be_posted(signed_in: SiteBrowser) -> None:
    assert signed_in.post("/auth/kratos/logout/browser/").status_code == 405


def complete(browser: SiteBrowser, token: str | None, accept: str = "application/json", **query: str) -> Any:
    query |= {} if token is None else {"token": token}
    return browser.get("/auth/kratos/logout/", query, headers={"accept": accept})


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain, */*", "text/html;q=0.9, */*;q=0.8, application/json"]
)
def test_application_completes_its_logout(
    signed_in: SiteBrowser, wire: KratosNetwork, session: Session, accept: str
) -> None:
    token = flow(signed_in).json()["logout_token"]
    wire.calls.clear()

    answer = complete(signed_in, token, accept, return_to="/bye/")

    assert (answer.status_code, answer.content) == (204, b"")
    assert "no-store" in answer["Cache-Control"]
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not [name for name in answer.cookies if name.startswith("csrf_token")]
    assert asked(wire) == [("GET", LOGOUT)]
    assert not session.active
    assert signed_in.user is None
    assert not LoginSession.objects.exists()


@pytest.mark.parametrize(
    "accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*", "text/html, application/json", "text/plain"]
)
def test_browser_that_follows_the_link_goes_on(signed_in: SiteBrowser, session: Session, accept: str) -> None:
    url = flow(signed_in, return_to="/bye/").json()["logout_url"]

    answer = signed_in.get(url.removeprefix(SITE), headers={"accept": accept})

    assert (answer.status_code, answer["Location"]) == (302, "/bye/")
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not session.active
    assert signed_in.user is None


def test_link_ends_the_session_here_before_kratos_is_told(
    signed_in: SiteBrowser, wire: KratosNetwork, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    token, log_out = flow(signed_in).json()["logout_token"], KratosPublic.log_out

    def look(*args: Any) -> tuple[str, ...]:
        seen.append((LoginSession.objects.exists(), receipts.is_logged_out(PUBLIC_URL, session.id)))
        return log_out(*args)

    monkeypatch.setattr(KratosPublic, "log_out", look)

    assert complete(signed_in, token).status_code == 204
    assert seen == [(False, True)]


def test_browser_is_not_sent_elsewhere(signed_in: SiteBrowser, session: Session, settings: Any) -> None:
    answer = complete(signed_in, session.logout_token, "text/html", return_to="https://evil.example/")

    assert_page(answer, 200, "You are logged out")
    settings.LOGOUT_REDIRECT_URL = "/out/"
    assert complete(signed_in, session.logout_token, "text/html", return_to="//evil.example")["Location"] == "/out/"


@pytest.mark.parametrize("token", [None, ""])
def test_logout_without_a_token_ends_nothing(signed_in: SiteBrowser, session: Session, token: str | None) -> None:
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
def test_logout_by_a_token_that_is_not_ones_own_ends_nothing(
    signed_in: SiteBrowser, wire: KratosNetwork, kratos: Kratos, session: Session, token: str, keeps_token: bool
) -> None:
    """As any page could make a browser do."""
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
    assert ("GET", LOGOUT) not in asked(wire)


def test_head_does_not_log_out(signed_in: SiteBrowser, wire: KratosNetwork, session: Session) -> None:
    """At Kratos it does; here, who only looks at a link ends nothing."""
    token = flow(signed_in).json()["logout_token"]
    wire.calls.clear()

    answer = signed_in.head("/auth/kratos/logout/", {"token": token})

    assert answer.status_code == 405
    assert wire.calls == []
    assert session.active
    assert signed_in.user


def test_logout_link_cannot_be_posted(signed_in: SiteBrowser, session: Session) -> None:
    assert signed_in.post(f"/auth/kratos/logout/?token={session.logout_token}").status_code == 405
    assert session.active


def test_second_click_is_harmless(signed_in: SiteBrowser, wire: KratosNetwork, session: Session) -> None:
    token = flow(signed_in).json()["logout_token"]
    complete(signed_in, token)
    wire.calls.clear()

    assert complete(signed_in, token).status_code == 401
    assert complete(signed_in, token, "text/html", return_to="/bye/")["Location"] == "/bye/"
    assert wire.calls == []


def test_second_click_of_a_browser_that_kept_the_cookie(signed_in: SiteBrowser, session: Session) -> None:
    token = flow(signed_in).json()["logout_token"]
    complete(signed_in, token)
    signed_in.cookies[COOKIE] = session.cookie

    assert complete(signed_in, token).json() == {"error": "session_inactive"}
    assert complete(signed_in, token, "text/html", return_to="/bye/")["Location"] == "/bye/"


@pytest.mark.parametrize("since", ["another", "none"])
def test_link_outlives_the_session_here_that_it_was_made_in(
    signed_in: SiteBrowser, wire: KratosNetwork, session: Session, since: str
) -> None:
    """As where the cache that held it was cleared: otherwise the person would be signed in again at once."""
    token = flow(signed_in).json()["logout_token"]
    signed_in.cookies.pop("sessionid")
    if since == "another":
        assert signed_in.user
    wire.calls.clear()

    assert complete(signed_in, token).status_code == 204

    assert asked(wire) == [("GET", FLOW), ("GET", LOGOUT)]
    assert not session.active
    assert signed_in.user is None


def test_token_that_nobody_can_check_ends_nothing(
    browser_of: KratosBrowser, wire: KratosNetwork, session: Session
) -> None:
    wire.down()
    browser = browser_of(session)

    answer = complete(browser, session.logout_token)
    page = complete(browser, session.logout_token, "text/html")

    assert (answer.status_code, answer.json()) == (503, {"error": "unreachable"})
    assert_page(page, 503, "Please wait a moment")
    assert '<a class="button" href="/auth/logout/">Log out</a>' in page.text
    assert not LogoutReceipt.objects.exists()


def test_application_whose_logout_kratos_was_not_told_of(
    signed_in: SiteBrowser, wire: KratosNetwork, session: Session, clock: Clock
) -> None:
    token = flow(signed_in).json()["logout_token"]
    wire.down()

    answer = complete(signed_in, token)

    assert (answer.status_code, answer.json()) == (503, {"error": "kratos_not_told"})
    assert answer["Retry-After"] == "5"
    assert not LoginSession.objects.exists()
    assert receipts.is_logged_out(PUBLIC_URL, session.id)
    wire.mend()
    clock.advance(11)
    assert signed_in.user is None
    assert session.active

    assert complete(signed_in, token).status_code == 204, "sent again, Kratos is told"
    assert not session.active


def test_browser_whose_logout_kratos_was_not_told_of(signed_in: SiteBrowser, wire: KratosNetwork) -> None:
    url = flow(signed_in, return_to="/bye/").json()["logout_url"]
    wire.down()

    answer = signed_in.visit(url)

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert '<a class="button" href="/bye/">' in answer.text


# Links in pages that the server renders


def test_link_is_fetched_once_and_logs_out(
    signed_in: SiteBrowser, wire: KratosNetwork, session: Session, clock: Clock
) -> None:
    pages = [signed_in.get("/tags/").text for _ in range(2)]
    clock.advance(60)
    pages.append(signed_in.get("/tags/").text)

    assert asked(wire).count(("GET", FLOW)) == 1
    links = {page.split("|")[1].strip() for page in pages}
    url = f"{SITE}/auth/kratos/logout/?token={session.logout_token}"
    assert links == {f'<a href="{url}">Log out</a>'}
    assert {page.split("|")[2] for page in pages} == {url}

    assert_page(signed_in.visit(url), 200, "You are logged out")
    assert not session.active
    assert signed_in.user is None


def test_link_without_kratos_leads_to_this_sites_page(
    signed_in: SiteBrowser, wire: KratosNetwork, logged: Logged, clock: Clock
) -> None:
    wire.down(FLOW)

    _button, link, url = signed_in.get("/tags/").text.split("|")

    assert link.strip() == '<a href="/auth/logout/">Log out</a>'
    assert url == "/auth/logout/"
    assert logged() == [
        f"logout link without Kratos' token: unreachable: GET {PUBLIC_URL}{FLOW}: ConnectionError",
        "logout link without Kratos' token: cooling_down: Kratos did not answer within the last 5 s",
    ]
    wire.mend()
    clock.advance(COOL_DOWN_SECONDS + 1)
    assert "/auth/kratos/logout/?token=" in signed_in.get("/tags/").text


def test_link_for_nobody_leads_to_this_sites_page(browser_of: KratosBrowser, wire: KratosNetwork) -> None:
    assert browser_of().get("/tags/").text.split("|")[2] == "/auth/logout/"
    assert wire.calls == []


# The logout of a native application


@pytest.fixture
def native(native_client_of: KratosBrowser, wire: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's native application; Kratos has been asked nothing since."""
    client = native_client_of(session)
    assert client.user["sid"] == session.id
    wire.calls.clear()
    return client


def end(body: object, client: SiteBrowser | None = None) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return (client or SiteBrowser(enforce_csrf_checks=True)).delete(
        "/auth/kratos/logout/api/", text, content_type="application/json"
    )


def test_native_logout_ends_here_and_at_kratos(native: SiteBrowser, wire: KratosNetwork, session: Session) -> None:
    answer = end({"session_token": session.token})

    assert (answer.status_code, answer.content) == (204, b"")
    assert not answer.cookies
    assert asked(wire) == [("DELETE", NATIVE)]
    assert not session.active
    assert not LoginSession.objects.exists()
    assert native.user is None


def test_native_logout_that_cannot_be_written_down(
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


def test_native_logout_ends_here_before_kratos_is_asked(
    native: SiteBrowser, wire: KratosNetwork, session: Session, clock: Clock
) -> None:
    clock.advance(11)
    seen: list[tuple[bool, bool]] = []

    def look(document: dict[str, Any]) -> dict[str, Any]:
        seen.append((LoginSession.objects.exists(), receipts.is_logged_out(PUBLIC_URL, session.id)))
        return document

    wire.change(WHOAMI, look)

    assert end({"session_token": session.token}).status_code == 204
    assert seen == [(False, True)]


def test_native_logout_forgets_what_kratos_said(native: SiteBrowser, wire: KratosNetwork, session: Session) -> None:
    end({"session_token": session.token})
    wire.calls.clear()

    assert native.user is None
    assert asked(wire)[0] == ("GET", WHOAMI)


def test_native_logout_can_be_repeated(native: SiteBrowser, session: Session) -> None:
    assert [end({"session_token": session.token}).status_code for _ in range(3)] == [204, 204, 204]


def test_native_logout_with_the_token_in_the_header_too(native: SiteBrowser, session: Session) -> None:
    assert end({"session_token": session.token}, native).status_code == 204
    assert not session.active
    assert native.user is None


@pytest.mark.parametrize("token", ["ory_st_made_up", "ünsendable", "a\r\nb", "\ud800", "x" * 10_000])
def test_unknown_token_is_as_good_as_logged_out(wire: KratosNetwork, token: str) -> None:
    """And leaves nothing behind, as anybody can send it."""
    assert end({"session_token": token}).status_code == 204
    assert not LogoutReceipt.objects.exists()


def test_token_that_is_dead_at_kratos_leaves_nothing_behind(
    wire: KratosNetwork, kratos: Kratos, session: Session
) -> None:
    """Kratos knows it still, and says that it has ended."""
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
def test_native_logout_needs_json(wire: KratosNetwork, body: str) -> None:
    answer = end(body)

    assert answer.status_code == 400
    assert answer.json() == {"error": "body_not_json"}


@pytest.mark.parametrize("body", ["[]", "null", "7", "{}", '{"session_token": ""}', '{"session_token": 7}'])
def test_native_logout_needs_a_token(wire: KratosNetwork, body: str) -> None:
    answer = end(body)

    assert answer.status_code == 400
    assert answer.json() == {"error": "session_token_missing"}
    assert wire.calls == []


@pytest.mark.parametrize("method", ["get", "head", "post", "put"])
def test_native_logout_is_a_delete(native: SiteBrowser, method: str) -> None:
    answer = getattr(SiteBrowser(), method)("/auth/kratos/logout/api/")

    assert answer.status_code == 405
    assert answer["Allow"] == "DELETE"


def test_native_logout_where_there_is_no_kratos(settings: Any) -> None:
    entry = {"ISSUER": "https://op.example", "CLIENT_ID": "a", "CLIENT_SECRET": "b"}
    settings.ORY_LOGOUT = {**settings.ORY_LOGOUT, "PROVIDERS": {"default": entry}}

    answer = end({"session_token": "ory_st_made_up"})

    assert (answer.status_code, answer.json()) == (400, {"error": "kratos_not_configured"})


@pytest.mark.parametrize("holds_verdict", [True, False], ids=["verdict held", "no verdict held"])
@pytest.mark.parametrize("how", ["down", "slow"])
def test_native_logout_that_kratos_was_not_told_of_is_out_here_all_the_same(
    native: SiteBrowser, wire: KratosNetwork, session: Session, clock: Clock, how: str, holds_verdict: bool
) -> None:
    clock.advance(0 if holds_verdict else 11)
    getattr(wire, how)()

    answer = end({"session_token": session.token})

    code = "unreachable" if holds_verdict else "cooling_down"
    assert (answer.status_code, answer.json()) == (503, {"error": code})
    assert answer["Retry-After"] == "5"
    assert len(wire.calls) == 1, "who does not answer is not asked twice"
    assert not LoginSession.objects.exists()
    wire.mend()
    clock.advance(11)
    assert native.user is None
    assert session.active
    assert end({"session_token": session.token}).status_code == 204, "sent again, Kratos is told"
    assert not session.active


def test_native_logout_of_whom_this_site_has_never_seen_while_kratos_is_down(
    native_client_of: KratosBrowser, wire: KratosNetwork, session: Session, clock: Clock
) -> None:
    wire.down()

    assert end({"session_token": session.token}).status_code == 503

    wire.mend()
    clock.advance(11)
    assert native_client_of(session).user is None
    assert not receipts.is_logged_out(PUBLIC_URL, session.id), "whose session it is nobody could say"


def test_native_logout_ends_nothing_of_a_cookie_that_came_with_it(
    signed_in: SiteBrowser, native: SiteBrowser, wire: KratosNetwork, kratos: Kratos
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


def test_native_logout_while_the_cache_is_down(
    native: SiteBrowser,
    wire: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
) -> None:
    """The verdict that it holds is there again afterwards."""
    caches = settings.CACHES
    cache_down()

    assert end({"session_token": session.token}).status_code == 204

    settings.CACHES = caches
    assert not session.active
    assert native.user is None
    assert not LoginSession.objects.exists()


def test_native_logout_while_neither_cache_nor_kratos_answers(
    native: SiteBrowser,
    wire: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
    clock: Clock,
) -> None:
    """What the token opened here nobody can say now; it ends when Kratos is next asked."""
    caches = settings.CACHES
    wire.down()
    cache_down()

    assert end({"session_token": session.token}).status_code == 503

    settings.CACHES = caches
    wire.mend()
    clock.advance(11)
    assert session.active
    assert native.user is None
    assert not LoginSession.objects.exists()


def test_native_logout_that_kratos_alone_could_do_is_not_called_done(
    native: SiteBrowser,
    wire: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
    clock: Clock,
) -> None:
    """Kratos has ended the session, and could not say whose it was."""
    caches = settings.CACHES
    wire.replace(WHOAMI, b"{}", status=500)
    cache_down()

    answer = end({"session_token": session.token})

    assert (answer.status_code, answer.json()) == (503, {"error": "cache_fault"})
    assert not session.active
    settings.CACHES = caches
    wire.mend()
    assert end({"session_token": session.token}).status_code == 204
    assert native.user is None


@pytest.mark.parametrize("token", ["made-up", "x" * 8000])
def test_made_up_tokens_leave_nothing_behind_a_gateway(wire: KratosNetwork, token: str) -> None:
    """Which answers some calls in place of Kratos."""
    wire.replace(WHOAMI, b"<html>", status=431)

    assert end({"session_token": token}).status_code == 204
    assert not LogoutReceipt.objects.exists()


def test_refusal_of_kratos_that_says_nothing_of_the_token_keeps_it_refused(
    native_client_of: KratosBrowser, wire: KratosNetwork, session: Session
) -> None:
    wire.replace(WHOAMI, b"{}", status=500)
    wire.replace(NATIVE, b'{"error": {"code": 400}}', status=400)

    assert end({"session_token": session.token}).status_code == 204

    wire.mend()
    assert session.active
    assert native_client_of(session).user is None


def test_made_up_tokens_do_not_last_while_kratos_is_down(wire: KratosNetwork) -> None:
    wire.down()

    for number in range(3):
        assert end({"session_token": f"made-up-{number}"}).status_code == 503

    assert LogoutReceipt.objects.count() == 3
    assert all(one.expires_at <= one.received_at + receipts.LIFETIME for one in LogoutReceipt.objects.all())
    assert len(wire.calls) == 1


def test_native_logout_does_not_ask_who_is_there(
    native: SiteBrowser, wire: KratosNetwork, session: Session, clock: Clock
) -> None:
    """Its own token in the header may stand for nobody by now, or Kratos be down."""
    clock.advance(11)
    wire.down()

    assert end({"session_token": session.token}, native).status_code == 503

    assert not LoginSession.objects.exists()
    wire.mend()
    clock.advance(11)
    assert native.user is None


def test_token_is_kept_with_the_session_and_in_no_receipt(signed_in: SiteBrowser, session: Session) -> None:
    flow(signed_in)
    assert signed_in.session[LOGIN_KEY]["logout_token"] == session.logout_token

    complete(signed_in, session.logout_token)

    assert session.logout_token not in str([vars(one) for one in LogoutReceipt.objects.all()])
