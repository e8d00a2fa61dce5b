"""Logout of a session from Kratos: first here, then at Kratos. If Kratos fails, its session stays refused here."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from django_ory_logout.kratos import whoami
from django_ory_logout.kratos.logout import KratosLogoutResult
from django_ory_logout.kratos.whoami import COOL_DOWN_SECONDS
from django_ory_logout.models import EndReason, LoginSession, LogoutReceipt, digest
from django_ory_logout.sessions import ending, index, receipts, token_revocation
from django_ory_logout.sessions.engines import site_store
from django_ory_logout.sessions.store import indexed
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.signals import login_session_ended
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Identity, Session

from ..conftest import Clock, Listen, Logged, SiteBrowser, query_of
from ..views.pages import assert_page
from .conftest import COOKIE, PUBLIC_URL, KratosBrowser

pytestmark = pytest.mark.django_db

FLOW = "/self-service/logout/browser"
LOGOUT = "/self-service/logout"
NATIVE = "/self-service/logout/api"
WHOAMI = "/sessions/whoami"
DAY = 24 * 60 * 60


@pytest.fixture
def signed_in(browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's browser. Kratos has received no call since the sign-in."""
    browser = browser_of(session)
    assert browser.user["sid"] == session.id
    kratos_network.calls.clear()
    return browser


def asked(kratos_network: KratosNetwork) -> list[tuple[str, str]]:
    """The calls that reached Kratos: method and path."""
    return [(call.method, call.url.removeprefix(PUBLIC_URL).partition("?")[0]) for call in kratos_network.calls]


def receipt_of(sid: str) -> LogoutReceipt:
    return LogoutReceipt.objects.get(sid_digest=digest(PUBLIC_URL, sid))


# The same view as any logout


@pytest.mark.django_db(transaction=True)
def test_post_ends_the_session_here_and_at_kratos(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, listen: Listen
) -> None:
    ended, key = listen(login_session_ended), signed_in.key

    answer = signed_in.post("/auth/logout/")

    assert_page(answer, 200, "You are logged out")
    assert "Thank you for your visit." in answer.text
    assert not session.active
    assert [event["reason"] for event in ended] == [EndReason.RP_INITIATED]
    assert not LoginSession.objects.exists()
    assert asked(kratos_network) == [("GET", FLOW), ("GET", LOGOUT)]
    assert signed_in.user is None
    replayed = SiteBrowser()
    replayed.cookies["sessionid"] = str(key)
    replayed.cookies[COOKIE] = session.cookie
    assert replayed.user is None


def test_kratos_receives_only_the_cookie(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    signed_in.post("/auth/logout/", headers={"authorization": "Bearer of somebody", "accept": "text/html"})

    for call in kratos_network.calls:
        assert call.headers["Accept"] == "application/json"
        assert call.headers["Cookie"] == f"{COOKIE}={session.cookie}"
        assert "X-Session-Token" not in call.headers
        assert "Authorization" not in call.headers
    assert query_of(kratos_network.calls[-1].url) == {"token": session.logout_token}


def test_row_and_receipt_are_written_before_any_call(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    seen: list[tuple[bool, bool]] = []

    def look(document: dict[str, Any]) -> dict[str, Any]:
        seen.append((LoginSession.objects.exists(), receipts.is_logged_out(PUBLIC_URL, session.id)))
        return document

    kratos_network.change(FLOW, look)

    signed_in.post("/auth/logout/")

    assert seen == [(False, True)]


def test_only_the_removal_of_the_kratos_cookie_is_forwarded(signed_in: SiteBrowser, session: Session) -> None:
    answer = signed_in.post("/auth/logout/")

    removal = answer.cookies[COOKIE]
    assert removal.value == session.cookie, "the value that Kratos sets"
    assert removal["max-age"] == "0"
    assert removal["expires"] == "Thu, 01 Jan 1970 00:00:01 GMT"
    assert (removal["path"], removal["samesite"], removal["httponly"]) == ("/", "Lax", True)
    assert not [name for name in answer.cookies if name.startswith("csrf_token")]
    assert COOKIE not in signed_in.cookies


def test_the_removal_of_a_domain_cookie_has_its_domain() -> None:
    header = f"{COOKIE}=x; Path=/; Domain=example.org; Max-Age=0; HttpOnly; Secure; SameSite=None"
    response = KratosLogoutResult(False, (header,), COOKIE).relay(HttpResponse())

    assert response.cookies[COOKIE].OutputString() == (
        f"{COOKIE}=x; Domain=example.org; HttpOnly; Max-Age=0; Path=/; SameSite=None; Secure"
    )


@pytest.mark.parametrize(
    "header",
    [
        f"{COOKIE}=another-session; Path=/; Max-Age=3600; HttpOnly",
        f"{COOKIE}=another-session; Path=/",
        "csrf_token_0=x; Path=/; Max-Age=0",
        "sessionid=x; Path=/; Max-Age=0",
        'a"b=c; Max-Age=0',
        "a,b=c",
        "",
    ],
)
def test_other_cookies_of_kratos_are_not_forwarded(header: str) -> None:
    assert not KratosLogoutResult(False, (header,), COOKIE).relay(HttpResponse()).cookies


@pytest.mark.parametrize(
    ("next_url", "location"), [("/bye/?a=1", "/bye/?a=1"), ("//evil.example", "/out/"), ("", "/out/")]
)
def test_logout_continues_at_a_next_of_this_site(
    signed_in: SiteBrowser, settings: Any, next_url: str, location: str
) -> None:
    settings.LOGOUT_REDIRECT_URL = "/out/"

    answer = signed_in.post("/auth/logout/", {"next": next_url})

    assert (answer.status_code, answer["Location"]) == (302, location)
    assert "no-store" in answer["Cache-Control"]
    assert answer.cookies[COOKIE]["max-age"] == "0", "a redirect deletes the cookie too"


def test_the_button_sends_the_required_csrf_token(browser_of: KratosBrowser, session: Session) -> None:
    browser = browser_of(session, enforce_csrf_checks=True)
    assert browser.post("/auth/logout/").status_code == 403
    assert browser.user
    assert session.active

    button = browser.get("/tags/").text.partition("|")[0]
    token = button.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    referer = "https://testserver/tags/"
    browser.post_form("/auth/logout/", {"csrfmiddlewaretoken": token}, headers={"referer": referer})

    assert browser.user is None
    assert not session.active


@pytest.mark.parametrize("method", ["get", "head"])
def test_the_question_page_ends_nothing(signed_in: SiteBrowser, session: Session, method: str) -> None:
    assert getattr(signed_in, method)("/auth/logout/").status_code == 200
    assert session.active
    assert signed_in.user


def test_a_stored_logout_token_saves_a_call(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    signed_in.get("/auth/kratos/logout/browser/")
    kratos_network.calls.clear()

    signed_in.post("/auth/logout/")

    assert asked(kratos_network) == [("GET", LOGOUT)]
    assert not session.active


def test_a_token_of_another_session_is_fetched_again_once(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, kratos: Kratos, session: Session
) -> None:
    """The browser has the cookie of a newer session at Kratos."""
    signed_in.get("/auth/kratos/logout/browser/")
    other = kratos.sign_in(kratos.identity("birch@example.org"))
    signed_in.cookies[COOKIE] = other.cookie
    kratos_network.calls.clear()

    assert_page(signed_in.post("/auth/logout/"), 200, "You are logged out")

    assert asked(kratos_network) == [("GET", LOGOUT), ("GET", FLOW), ("GET", LOGOUT)]
    assert not other.active
    assert session.active
    assert not LoginSession.objects.exists()
    signed_in.cookies[COOKIE] = session.cookie
    assert signed_in.user is None, "the session here belonged to the first session, which is refused"


def test_logout_deletes_the_kept_answer(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    signed_in.post("/auth/logout/")
    signed_in.cookies[COOKIE] = session.cookie
    kratos_network.calls.clear()

    assert signed_in.user is None
    assert asked(kratos_network)[0] == ("GET", WHOAMI)


def test_a_session_that_ended_at_kratos_needs_no_call(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, kratos: Kratos, session: Session, logged: Logged
) -> None:
    kratos.end(session.id)

    answer = signed_in.post("/auth/logout/", {"next": "/bye/"})

    assert answer["Location"] == "/bye/"
    assert COOKIE not in answer.cookies
    assert logged() == []
    assert signed_in.user is None


# Nobody is signed in here, or a user who signed in in another way


def test_the_kratos_cookie_alone_is_enough_to_log_out(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    browser = browser_of(session)

    answer = browser.post("/auth/logout/")

    assert_page(answer, 200, "You are logged out")
    assert not session.active
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert not LoginSession.objects.exists()
    assert asked(kratos_network) == [("GET", FLOW), ("GET", LOGOUT)]


@pytest.mark.parametrize("first", ["logout", "link"])
@pytest.mark.django_db(transaction=True)
def test_a_concurrent_sign_in_does_not_survive_a_logout_by_cookie(
    browser_of: KratosBrowser, session: Session, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """One browser sends both requests at once. Kratos names the user and receives the logout."""
    late, leaving, keep = browser_of(session), browser_of(session), whoami.store

    def hold_late(*args: Any) -> None:
        monkeypatch.undo()
        if first == "logout":
            assert leaving.post("/auth/logout/").status_code == 200
        else:
            leaving.get("/auth/kratos/logout/", {"token": session.logout_token})
        assert not session.active
        keep(*args)

    monkeypatch.setattr(whoami, "store", hold_late)

    assert late.user is None
    assert late.user is None
    assert not LoginSession.objects.exists()
    assert LogoutReceipt.objects.get().completed_at


@pytest.mark.parametrize("cookie", ["whoever", "dead"])
def test_a_cookie_of_no_active_session_leaves_nothing(
    browser_of: KratosBrowser, kratos: Kratos, kratos_network: KratosNetwork, session: Session, cookie: str
) -> None:
    """Anyone can make up such a cookie."""
    kratos.end(session.id)
    browser = browser_of()
    browser.cookies[COOKIE] = session.cookie if cookie == "dead" else cookie

    assert_page(browser.post("/auth/logout/"), 200, "You are logged out")

    assert not LogoutReceipt.objects.exists()


def test_the_question_page_has_a_button_for_users_signed_in_only_at_kratos(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    """For example, the site refuses a user, who then wants to change the account."""
    answer = browser_of(session).get("/auth/logout/")

    assert_page(answer, 200, "Do you want to log out?")
    assert "and of the service that you signed in with" in answer.text
    assert '<form method="post" action="/auth/logout/">' in answer.text
    assert kratos_network.calls == []


def test_the_question_page_has_no_button_without_the_kratos_cookie(browser_of: KratosBrowser) -> None:
    answer = browser_of().get("/auth/logout/")

    assert_page(answer, 200, "You are not signed in")
    assert "<form" not in answer.text


def test_no_session_anywhere_means_no_call(browser_of: KratosBrowser, kratos_network: KratosNetwork) -> None:
    assert_page(browser_of().post("/auth/logout/"), 200, "You are logged out")
    assert kratos_network.calls == []


def test_a_second_post_changes_nothing(signed_in: SiteBrowser, kratos_network: KratosNetwork) -> None:
    signed_in.post("/auth/logout/")
    kratos_network.calls.clear()

    assert_page(signed_in.post("/auth/logout/"), 200, "You are logged out")
    assert kratos_network.calls == []


def test_a_session_that_a_password_opened_ends_with_the_session_at_kratos(
    browser_of: KratosBrowser, session: Session
) -> None:
    """Otherwise the session at Kratos would sign in here again."""
    browser = browser_of(session)
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    browser.post("/auth/logout/")

    assert not session.active
    assert browser.user is None


# Kratos does not answer


def broken(kratos_network: KratosNetwork) -> dict[str, Callable[[], None]]:
    def own_error() -> None:
        error = b'{"error": {"code": 500, "status": "Internal Server Error", "message": "oh"}}'
        kratos_network.replace(LOGOUT, error, status=500)

    def foreign() -> None:
        refusal = (
            b'{"error": {"code": 403, "status": "Forbidden", "reason": "Unable to log out because the logout token'
            b' in the URL query does not match the session cookie."}}'
        )
        kratos_network.replace(LOGOUT, refusal, status=403)

    def gateway() -> None:
        kratos_network.replace("", b"<html>who are you?", status=401)

    return {
        "down": kratos_network.down,
        "slow": kratos_network.slow,
        "500": own_error,
        "403 again": foreign,
        "gateway": gateway,
    }


HOW = ["down", "slow", "500", "403 again", "gateway"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("holds_verdict", [True, False], ids=["verdict held", "no verdict held"])
def test_a_session_that_did_not_end_at_kratos_is_refused_here(
    signed_in: SiteBrowser,
    kratos_network: KratosNetwork,
    session: Session,
    clock: Clock,
    logged: Logged,
    how: str,
    holds_verdict: bool,
) -> None:
    clock.advance(0 if holds_verdict else 11)
    broken(kratos_network)[how]()

    answer = signed_in.post("/auth/logout/", {"next": "/bye/"})

    assert_page(answer, 200, "You are logged out here")
    assert "could not notify" in answer.text
    assert '<a class="button" href="/bye/">' in answer.text
    assert COOKIE not in answer.cookies
    assert session.active
    assert not LoginSession.objects.exists()
    assert [line.partition(":")[0] for line in logged()] == ["logout at Kratos failed"]
    assert session.logout_token not in str(logged())

    for seconds in (0, COOL_DOWN_SECONDS + 1, 11):
        clock.advance(seconds)
        assert signed_in.user is None
    kratos_network.mend()
    clock.advance(11)
    assert signed_in.user is None, "although the session at Kratos is active"
    assert signed_in.get("/private/")["Location"] == "/auth/login/?next=/private/"
    assert not LoginSession.objects.exists()


@pytest.mark.parametrize("how", ["down", "slow"])
@pytest.mark.parametrize("holds_verdict", [True, False], ids=["verdict held", "no verdict held"])
def test_an_unconfirmed_logout_without_a_session_here_refuses_the_cookie(
    browser_of: KratosBrowser,
    kratos_network: KratosNetwork,
    session: Session,
    clock: Clock,
    how: str,
    holds_verdict: bool,
) -> None:
    """Without a session here, the app refuses any session of this cookie."""
    browser = browser_of(session)
    if holds_verdict:
        assert browser.user
        browser.cookies.pop("sessionid")
        LoginSession.objects.all().delete()
    broken(kratos_network)[how]()

    assert "could not notify" in browser.post("/auth/logout/").text

    kratos_network.mend()
    clock.advance(11)
    assert browser.user is None
    assert receipts.is_logged_out(PUBLIC_URL, session.id) is holds_verdict


def test_logout_works_without_the_cache(
    signed_in: SiteBrowser, session: Session, cache_down: Callable[[], None], logged: Logged
) -> None:
    cache_down()

    assert_page(signed_in.post("/auth/logout/"), 200, "You are logged out")

    assert not session.active
    assert not LoginSession.objects.exists()
    [line] = logged()
    assert line.startswith("cannot delete the cached answer of Kratos: cache_fault: ")


def test_logout_works_without_the_cache_and_kratos(
    signed_in: SiteBrowser,
    kratos_network: KratosNetwork,
    session: Session,
    cache_down: Callable[[], None],
    settings: Any,
) -> None:
    caches = settings.CACHES
    kratos_network.down()
    cache_down()

    assert_page(signed_in.post("/auth/logout/"), 200, "You are logged out here")

    settings.CACHES = caches
    kratos_network.mend()
    assert signed_in.user is None


def test_the_login_page_ends_a_refused_session_at_kratos(
    signed_in: SiteBrowser,
    kratos_network: KratosNetwork,
    kratos: Kratos,
    amber: Identity,
    session: Session,
    clock: Clock,
) -> None:
    kratos_network.down()
    signed_in.post("/auth/logout/")
    kratos_network.mend()
    clock.advance(COOL_DOWN_SECONDS + 1)

    answer = signed_in.get("/auth/login/", {"next": "/private/"})

    assert not session.active
    assert answer.cookies[COOKIE]["max-age"] == "0"
    assert answer["Location"].startswith(f"{PUBLIC_URL}/self-service/login/browser?return_to=")
    assert COOKIE not in signed_in.cookies
    anew = kratos.sign_in(amber)
    signed_in.cookies[COOKIE] = anew.cookie
    back = signed_in.visit(query_of(answer["Location"])["return_to"])
    assert back["Location"] == "/private/"
    assert signed_in.user["sid"] == anew.id


def test_the_login_page_reports_that_kratos_still_does_not_answer(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock, logged: Logged
) -> None:
    kratos_network.down()
    signed_in.post("/auth/logout/")
    kratos_network.mend()
    kratos_network.down(LOGOUT)
    clock.advance(COOL_DOWN_SECONDS + 1)

    answer = signed_in.get("/auth/login/", {"next": "/private/"})

    assert_page(answer, 503, "Please wait a moment")
    assert 'href="/auth/login/?provider=default&amp;next=%2Fprivate%2F"' in answer.text
    assert answer["Retry-After"] == "5"
    again = "/auth/login/?provider=default&next=%2Fprivate%2F&retried=1"
    assert answer["Refresh"] == f"5; url={again}"
    assert "Refresh" not in signed_in.get(again)
    assert COOKIE not in answer.cookies
    assert logged()[-1] == (
        "sign-in failed: kratos_not_told: a session that was logged out here is still active at Kratos"
    )
    assert session.active
    assert signed_in.user is None


def test_the_login_page_accepts_a_refused_session_that_has_ended_meanwhile(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, kratos: Kratos, session: Session, clock: Clock
) -> None:
    """The app still keeps its answer, so it asks Kratos to end a session that has ended."""
    kratos_network.down()
    signed_in.post("/auth/logout/")
    kratos_network.mend()
    clock.advance(COOL_DOWN_SECONDS + 1)
    kratos.end(session.id)

    answer = signed_in.get("/auth/login/")

    assert answer["Location"].startswith(f"{PUBLIC_URL}/self-service/login/browser?")
    assert COOKIE not in answer.cookies


# How long a receipt lasts


def test_a_receipt_lasts_longer_than_the_session_at_kratos(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    kratos_network.down()

    signed_in.post("/auth/logout/")

    for receipt in LogoutReceipt.objects.all():
        assert 1 <= (receipt.expires_at.timestamp() - session.expires_at) / DAY <= 3
        assert receipt.completed_at


def test_a_receipt_of_an_unknown_cookie_does_not_last(browser_of: KratosBrowser, kratos_network: KratosNetwork) -> None:
    """Anyone can make up a cookie while Kratos does not answer."""
    kratos_network.down()
    browser = browser_of()
    browser.cookies[COOKIE] = "whoever"

    browser.post("/auth/logout/")

    assert LogoutReceipt.objects.get().expires_at <= timezone.now() + receipts.LIFETIME


def test_purge_keeps_the_receipt_until_the_session_at_kratos_has_expired(
    signed_in: SiteBrowser, kratos_network: KratosNetwork, session: Session, clock: Clock
) -> None:
    kratos_network.down()
    signed_in.post("/auth/logout/")
    kratos_network.mend()

    assert index.purge().deleted == 0

    clock.advance(11)
    assert signed_in.user is None


def test_no_receipt_contains_the_cookie(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    kratos_network.down()

    browser_of(session).post("/auth/logout/")

    [receipt] = LogoutReceipt.objects.all()
    assert session.cookie not in str(vars(receipt))
    assert receipt.sid != session.id, "the app could not know the session"


# Logout by the site's own code


@pytest.fixture
def site_view(settings: Any) -> str:
    """A view that calls Django's own ``logout()``."""
    settings.ROOT_URLCONF = "tests.kratos.urls"
    return "/log-out/"


@pytest.mark.parametrize("is_atomic", [True, False], ids=["in a transaction", "without"])
@pytest.mark.django_db(transaction=True)
def test_logout_by_the_sites_own_code_is_permanent(
    signed_in: SiteBrowser,
    engine: str,
    session: Session,
    site_view: str,
    is_atomic: bool,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
) -> None:
    """Kratos receives no call and its cookie stays, but the cookie opens no session here again."""
    browser = SiteBrowser()
    browser.cookies[COOKIE] = session.cookie
    assert browser.user
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)

    assert browser.get(site_view).status_code == 200

    monkeypatch.undo()
    assert session.active
    assert browser.user is None
    clock.advance(11)
    assert browser.user is None
    assert receipt_of(session.id).completed_at
    assert not LoginSession.objects.exists()
    browser.get("/auth/login/")
    assert not session.active


def test_logout_by_the_sites_own_code_ends_other_login_sessions_of_that_session(
    signed_in: SiteBrowser, session: Session, site_view: str
) -> None:
    second = SiteBrowser()
    second.cookies[COOKIE] = session.cookie
    assert second.user

    signed_in.get(site_view)

    assert second.user is None


@pytest.mark.django_db(transaction=True)
def test_a_logout_that_is_rolled_back_has_no_effect(signed_in: SiteBrowser, session: Session, clock: Clock) -> None:
    """This follows Django's behaviour: with ``db`` the session is back."""
    request = HttpRequest()
    request.session = indexed(site_store())(signed_in.key)

    with transaction.atomic():
        auth.logout(request)
        transaction.set_rollback(True)

    assert signed_in.user
    assert not LogoutReceipt.objects.exists()


def test_flush_of_a_session_that_kratos_did_not_open_leaves_no_receipt(signed_in: SiteBrowser, settings: Any) -> None:
    """A provider sends notices itself, and may use its sid again."""
    session = indexed(site_store())(signed_in.key)
    session[LOGIN_KEY]["issuer"] = "https://op.example"

    session.end(EndReason.USER)
    session.flush()

    assert not LoginSession.objects.exists()
    assert not LogoutReceipt.objects.exists()


@pytest.mark.parametrize("reason", [reason for reason in EndReason if reason not in token_revocation.LOCAL])
def test_a_session_that_did_not_end_here_leaves_no_receipt(
    signed_in: SiteBrowser, session: Session, reason: EndReason
) -> None:
    other = SiteBrowser()
    other.cookies[COOKIE] = session.cookie
    assert other.user
    store = indexed(site_store())(other.key)

    store.end(reason)
    ending.end_row(str(LoginSession.objects.get(session_key=signed_in.key).pk), reason)
    store.flush()

    assert not LoginSession.objects.exists()
    assert not LogoutReceipt.objects.exists()


@pytest.mark.parametrize("reason", sorted(token_revocation.LOCAL))
def test_a_session_that_an_administrator_ends_here_stays_refused(
    signed_in: SiteBrowser, session: Session, reason: EndReason
) -> None:
    """For example, in Django's admin."""
    ending.end_row(str(LoginSession.objects.get().pk), reason)

    assert receipt_of(session.id).completed_at
    assert signed_in.user is None


def test_purge_completes_an_interrupted_logout(
    signed_in: SiteBrowser, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SiteBrowser()
    second.cookies[COOKIE] = session.cookie
    assert second.user
    signed_in.raise_request_exception = False

    with monkeypatch.context() as faulty:
        faulty.setattr(index, "mark_ended", lambda *_args: 1 / 0)
        assert signed_in.post("/auth/logout/").status_code == 503
    index._seen.clear()
    index.purge()

    assert second.user is None
    assert signed_in.user is None
    assert not LoginSession.objects.exists()
    assert receipts.is_logged_out(PUBLIC_URL, session.id)
    assert all(receipt.completed_at for receipt in LogoutReceipt.objects.all())


def test_a_kratos_that_does_not_answer_is_not_asked_again(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session, settings: Any
) -> None:
    browser = browser_of(session)
    kratos_network.slow(FLOW)

    browser.post("/auth/logout/")

    browser.post("/auth/logout/")

    assert asked(kratos_network) == [("GET", FLOW)]


def test_a_kratos_that_answers_with_a_fault_is_asked_for_the_session(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session
) -> None:
    """The session then stays refused when its cookie is renewed."""
    kratos_network.replace(LOGOUT, b"{}", status=500)

    assert "could not notify" in browser_of(session).post("/auth/logout/").text

    kratos_network.mend()
    old = session.cookie
    session.expires_at += 60
    assert session.cookie != old
    assert browser_of(session).user is None
    assert receipts.is_logged_out(PUBLIC_URL, session.id)


@pytest.mark.parametrize("path", ["/auth/kratos/logout/browser/", "/auth/kratos/logout/?token=x", "/tags/"])
def test_no_other_journey_asks_a_kratos_that_does_not_answer(
    signed_in: SiteBrowser, browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session, path: str
) -> None:
    kratos_network.slow(FLOW)

    for _ in range(3):
        signed_in.get(path)

    assert asked(kratos_network) == [("GET", FLOW)]
