"""Clients that send a session token: one Django session for many requests, no cookie, and no CSRF token."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as StoredSession
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from django_ory_logout import conf
from django_ory_logout.cache import SharedCache
from django_ory_logout.exceptions import TemporaryError
from django_ory_logout.kratos import token_sessions
from django_ory_logout.models import EndReason, LoginSession
from django_ory_logout.ory.kratos import Credential
from django_ory_logout.sessions import ending, index, receipts
from django_ory_logout.signals import login_session_ended
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Identity, Session

from ..conftest import Clock, Listen, Logged, SiteBrowser
from .conftest import PUBLIC_URL, KratosBrowser

pytestmark = pytest.mark.django_db(transaction=True)

Calls = Callable[[], int]


@pytest.fixture(autouse=True)
def _views(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.kratos.urls"


@pytest.fixture
def client(native_client_of: KratosBrowser, session: Session) -> SiteBrowser:
    return native_client_of(session)


@pytest.fixture
def ended(listen: Listen) -> list[dict[str, Any]]:
    return listen(login_session_ended)


def write(client: SiteBrowser, **headers: str) -> str:
    answer = client.get("/write/", headers=headers)
    assert answer.status_code == 200
    return str(answer.text)


# Sign-in


def test_a_token_signs_in(client: SiteBrowser, session: Session) -> None:
    assert client.user["sid"] == session.id
    row = LoginSession.objects.get()
    assert (row.issuer, row.client_id, row.subject, row.sid) == (PUBLIC_URL, "", session.identity.id, session.id)
    assert client.get("/private/").text == client.user["username"]


def test_many_requests_use_one_session(
    engine: str, client: SiteBrowser, clock: Clock, whoami_calls: Calls, session: Session
) -> None:
    assert [write(client) for _ in range(3)] == ["1", "2", "3"]
    assert whoami_calls() == 1
    clock.advance(11)
    assert write(client) == "4"
    assert whoami_calls() == 1

    assert LoginSession.objects.get().sid == session.id
    assert not client.cookies


def test_no_cookie_is_set_and_the_answer_varies(client: SiteBrowser) -> None:
    for path in ("/", "/private/", "/write/", "/form/", "/auth/whoami/", "/log-out/", "/auth/login/"):
        answer = client.get(path)

        assert not answer.cookies, path
        assert "Set-Cookie" not in answer.headers
        assert answer["Vary"].split(", ")[0] == "X-Session-Token", path
        assert "Cookie" not in answer["Vary"], path


def test_an_unchanged_session_is_not_stored_again(client: SiteBrowser) -> None:
    write(client)

    with CaptureQueriesContext(connection) as queries:
        assert client.user

    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}


def test_a_page_with_a_form_sets_the_csrf_cookie(browser_of: KratosBrowser, session: Session) -> None:
    assert "csrftoken" in browser_of(session).get("/form/").cookies


def test_each_token_has_its_own_session(
    native_client_of: KratosBrowser, client: SiteBrowser, kratos: Kratos, amber: Identity
) -> None:
    other = native_client_of(kratos.sign_in(amber))
    birch = native_client_of(kratos.sign_in(kratos.identity("birch@example.org")))

    assert [write(sender) for sender in (client, other, birch, client)] == ["1", "1", "1", "2"]
    assert LoginSession.objects.count() == 3
    assert client.user["username"] == other.user["username"] != birch.user["username"]


def test_a_cookie_of_the_same_kratos_session_has_another_session_here(
    client: SiteBrowser, browser_of: KratosBrowser, session: Session
) -> None:
    assert client.user
    assert browser_of(session).user
    assert LoginSession.objects.filter(sid=session.id).count() == 2


# A token together with a cookie


def test_a_token_wins_over_the_cookie_whose_session_stays(
    browser_of: KratosBrowser, kratos: Kratos, session: Session
) -> None:
    browser = browser_of(kratos.sign_in(kratos.identity("birch@example.org")))
    of_the_cookie, key = browser.user, browser.key
    headers = {"x-session-token": session.token}

    answer = browser.get("/auth/whoami/", headers=headers)

    assert answer.json()["sid"] == session.id
    assert not answer.cookies
    assert browser.key == key
    assert browser.user == of_the_cookie


def test_a_bad_token_wins_over_a_good_cookie_whose_session_stays(
    browser_of: KratosBrowser, session: Session, ended: list[dict[str, Any]]
) -> None:
    browser = browser_of(session)
    of_the_cookie, key = browser.user, browser.key

    answer = browser.get("/auth/whoami/", headers={"x-session-token": "bad"})

    assert answer.status_code == 401
    assert not answer.cookies
    assert browser.get("/private/", headers={"x-session-token": "bad"}).status_code == 302
    assert ended == []
    assert browser.key == key
    assert browser.user == of_the_cookie


def look_first(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware that reads the user before Kratos' middleware."""

    def middleware(request: Any) -> Any:
        request.seen = request.user.is_authenticated
        return get_response(request)

    return middleware


def test_a_token_wins_over_the_cookie_that_a_middleware_has_read(
    browser_of: KratosBrowser, kratos: Kratos, session: Session, settings: Any, native_client_of: KratosBrowser
) -> None:
    amber = native_client_of(session).user["username"]
    browser = browser_of(kratos.sign_in(kratos.identity("birch@example.org")))
    assert browser.user["username"] != amber
    place = next(place for place, name in enumerate(settings.MIDDLEWARE) if "KratosMiddleware" in name)
    look = f"{__name__}.look_first"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], look, *settings.MIDDLEWARE[place:]]
    again = SiteBrowser()
    again.cookies = browser.cookies
    headers = {"x-session-token": session.token}

    assert [again.get("/private/", headers=headers).text for _ in range(2)] == [amber, amber]


@pytest.fixture
def told(settings: Any) -> list[str]:
    """The users that a middleware before Kratos' middleware sees after the answer."""
    place = next(place for place, name in enumerate(settings.MIDDLEWARE) if "KratosMiddleware" in name)
    look = f"{__name__}.look_last"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], look, *settings.MIDDLEWARE[place:]]
    _told.clear()
    return _told


_told: list[str] = []


def look_last(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        response = get_response(request)
        _told.append(str(request.user))
        return response

    return middleware


def test_the_user_of_a_request_is_known_after_the_answer(
    browser_of: KratosBrowser,
    kratos: Kratos,
    client: SiteBrowser,
    session: Session,
    told: list[str],
    without_login_wall: None,
) -> None:
    amber = client.user["username"]
    browser = browser_of(kratos.sign_in(kratos.identity("birch@example.org")))
    birch = browser.user["username"]
    told.clear()

    client.get("/")
    browser.get("/", headers={"x-session-token": session.token})
    browser.get("/")

    assert told == [amber, amber, birch]


# Sessions that Kratos did not open


@pytest.mark.parametrize("token", ["living", "dead", "made up"])
def test_a_token_cannot_open_a_session_of_another_sign_in(
    native_client_of: KratosBrowser, kratos: Kratos, session: Session, token: str
) -> None:
    User.objects.create_user("cedar")
    named = "made up" if token == "made up" else session.token
    if token == "dead":
        kratos.end(session.id)

    assert native_client_of(named).get("/log-in/").status_code == 200

    assert not StoredSession.objects.exists()
    again = native_client_of(named, enforce_csrf_checks=True)
    if token == "living":
        # A sign-in in another way logs out first.
        assert receipts.is_logged_out(PUBLIC_URL, session.id)
    assert again.get("/private/").status_code == 302
    assert again.post("/write/").status_code == 403


def test_a_token_does_not_sign_in_a_session_that_kratos_did_not_open(
    client: SiteBrowser, browser_of: KratosBrowser, session: Session
) -> None:
    """It does not matter how the token and the session came together."""
    anonymous = browser_of()
    anonymous.force_login(User.objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")
    kratos = conf.get().kratos[0]
    kratos.cache.set(token_sessions._key(kratos, Credential(session.token)), anonymous.key, 60)

    assert client.user["sid"] == session.id
    assert anonymous.user["username"] == "cedar"


# CSRF


def test_a_bad_token_does_not_change_the_csrf_check(native_client_of: KratosBrowser) -> None:
    """Django's test client skips this check by default."""
    assert native_client_of("bad").post("/write/").status_code == 200


@pytest.fixture
def strict(native_client_of: KratosBrowser) -> Callable[[Session | str], SiteBrowser]:
    return lambda session: native_client_of(session, enforce_csrf_checks=True)


def test_a_good_token_needs_no_csrf_token(strict: Callable[..., SiteBrowser], session: Session) -> None:
    client = strict(session)

    assert [client.post("/write/").text for _ in range(2)] == ["1", "2"]
    assert not client.cookies


def test_a_bad_token_does_not_avoid_the_csrf_check(
    strict: Callable[..., SiteBrowser], kratos: Kratos, session: Session
) -> None:
    kratos.end(session.id)

    for token in ("bad", session):
        assert strict(token).post("/write/").status_code == 403


def test_a_bad_token_with_a_cookie_does_not_avoid_the_csrf_check(browser_of: KratosBrowser, session: Session) -> None:
    browser = browser_of(session, enforce_csrf_checks=True)
    assert browser.user

    assert browser.post("/write/").status_code == 403
    assert browser.post("/write/", headers={"x-session-token": "bad"}).status_code == 403


def test_a_refused_token_does_not_avoid_the_csrf_check(strict: Callable[..., SiteBrowser], session: Session) -> None:
    receipts.record_logout(PUBLIC_URL, session.id)

    assert strict(session).post("/write/").status_code == 403


def test_an_undecided_token_does_not_avoid_the_csrf_check(
    strict: Callable[..., SiteBrowser], session: Session, kratos_network: KratosNetwork
) -> None:
    kratos_network.down()

    assert strict(session).post("/write/").status_code == 503


# The end of a session


def test_an_ended_token_ends_its_session(
    engine: str, client: SiteBrowser, kratos: Kratos, session: Session, clock: Clock, ended: list[dict[str, Any]]
) -> None:
    assert write(client) == "1"
    kratos.end(session.id)
    clock.advance(11)

    assert client.user is None

    assert not LoginSession.objects.exists()
    assert [event["reason"] for event in ended] == [EndReason.KRATOS]
    assert write(client) == "1"


def test_logout_ends_the_session(
    engine: str, client: SiteBrowser, session: Session, kratos: Kratos, native_client_of: KratosBrowser
) -> None:
    assert client.user

    answer = SiteBrowser().delete(
        "/auth/kratos/logout/api/", {"session_token": session.token}, content_type="application/json"
    )

    assert answer.status_code == 204
    assert not kratos.is_active(session)
    assert not LoginSession.objects.exists()
    assert client.user is None


def test_logout_by_the_site_ends_the_session(client: SiteBrowser, session: Session, kratos: Kratos) -> None:
    """The view does not know Kratos. The session at Kratos stays active, but it signs nobody in here again."""
    assert client.user

    client.get("/log-out/")

    assert kratos.is_active(session)
    assert receipts.is_logged_out(PUBLIC_URL, session.id)
    assert client.user is None


def test_logout_ends_the_session_whatever_kratos_answers(
    engine: str,
    client: SiteBrowser,
    session: Session,
    kratos_network: KratosNetwork,
    clock: Clock,
    ended: list[dict[str, Any]],
) -> None:
    """Kratos cannot say whose token it is."""
    assert client.user
    clock.advance(11)
    kratos_network.down()

    answer = SiteBrowser().delete(
        "/auth/kratos/logout/api/", {"session_token": session.token}, content_type="application/json"
    )

    assert answer.status_code == 503
    assert not LoginSession.objects.exists()
    assert [event["reason"] for event in ended] == [EndReason.RP_INITIATED]
    kratos_network.mend()
    clock.advance(11)
    assert client.user is None


def test_a_session_that_ended_meanwhile_is_not_stored_again(
    client: SiteBrowser, settings: Any, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    assert write(client) == "1"
    save = token_sessions.save

    def save_late(*args: Any) -> None:
        ending.end_rows(index.rows(), EndReason.FORCED)
        save(*args)

    monkeypatch.setattr(token_sessions, "save", save_late)

    assert client.get("/write/").status_code == 200

    monkeypatch.undo()
    assert logged() == ["session of a token not saved: UpdateError"]
    assert not StoredSession.objects.exists()
    assert client.user is None, "it was logged out"


def test_a_failed_view_stores_nothing(client: SiteBrowser) -> None:
    client.raise_request_exception = False
    assert write(client) == "1"

    answer = client.get("/fail/")

    assert answer.status_code == 500
    assert not answer.cookies
    assert write(client) == "2"


# The cache


def test_a_cleared_cache_gives_a_new_session(client: SiteBrowser, session: Session) -> None:
    assert write(client) == "1"
    cache.clear()

    assert write(client) == "1"

    assert LoginSession.objects.filter(sid=session.id).count() == 2


def test_without_the_cache_nothing_is_decided(
    client: SiteBrowser, cache_down: Callable[[], None], whoami_calls: Calls, settings: Any
) -> None:
    caches = settings.CACHES
    assert write(client) == "1"
    assert whoami_calls() == 1
    cache_down()

    answer = client.get("/write/")

    assert answer.status_code == 503
    assert answer.json() == {"error": "cache_fault"}
    assert answer["Retry-After"] == "5"
    assert whoami_calls() == 0
    settings.CACHES = caches
    assert write(client) == "2"


@pytest.mark.parametrize("path", ["/write/", "/log-out/"])
def test_a_cache_that_fails_after_the_view_does_not_change_the_answer(
    client: SiteBrowser, monkeypatch: pytest.MonkeyPatch, logged: Logged, path: str
) -> None:
    assert client.user
    fault = TemporaryError("cache_fault")

    def fail(cache: SharedCache, key: str, *_args: object) -> None:
        if "session:" in key:
            raise fault

    monkeypatch.setattr(SharedCache, "set", fail)
    monkeypatch.setattr(SharedCache, "delete", fail)

    assert client.get(path).status_code == 200

    assert logged() == ["session of a token not saved: TemporaryError"]


def test_without_the_database_nothing_is_decided(client: SiteBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OperationalError

    assert write(client) == "1"
    monkeypatch.setattr(index, "confirm_alive", fail)
    index._seen.clear()

    answer = client.get("/write/")

    assert answer.status_code == 503
    assert answer.json() == {"error": "database_fault"}
    monkeypatch.undo()
    assert write(client) == "2"


def test_the_cache_key_does_not_show_the_token(session: Session) -> None:
    assert session.token not in token_sessions._key(conf.get().kratos[0], Credential(session.token))
