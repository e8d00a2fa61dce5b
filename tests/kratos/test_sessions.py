"""My sessions at Kratos: as JSON in its shapes, and on the page beside those of this site. Ended here first."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.sessions import receipts
from django_ory_logout.testing import Kratos, KratosNetwork
from django_ory_logout.testing.kratos import Identity, Session
from django_ory_logout.testing.kratos.records import Device
from django_ory_logout.testing.kratos.totp import new_secret

from ..conftest import Clock, Logged, SiteBrowser, query_of
from ..views.pages import assert_page
from .conftest import PUBLIC_URL, KratosBrowser
from .test_logout import asked

pytestmark = pytest.mark.django_db

PAGE = "/auth/sessions/"
JSON = "/auth/kratos/sessions/"
OTHERS = "/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(autouse=True, params=["db", "cache"])
def _engine(request: pytest.FixtureRequest, settings: Any) -> None:
    """Who has ended is out at once, although requests ask the index now and then only."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"


@pytest.fixture
def phone(kratos: Kratos, amber: Identity) -> Session:
    """Another session of amber's, in which nobody has come to this site."""
    return kratos.sign_in(amber, device=Device("203.0.113.7:4711", FIREFOX))


@pytest.fixture
def stranger(kratos: Kratos) -> Session:
    return kratos.sign_in(kratos.identity("birch@example.org"))


@pytest.fixture
def browser(browser_of: KratosBrowser, wire: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's; Kratos has been asked nothing since."""
    browser = browser_of(session)
    assert browser.user["sid"] == session.id
    wire.calls.clear()
    return browser


@pytest.fixture
def other(browser_of: KratosBrowser, kratos: Kratos, amber: Identity, browser: SiteBrowser) -> SiteBrowser:
    """Another of amber's, in which she came to this site too."""
    other = browser_of(kratos.sign_in(amber))
    assert other.user
    return other


@pytest.fixture
def of_stranger(browser_of: KratosBrowser, stranger: Session) -> SiteBrowser:
    browser = browser_of(stranger)
    assert browser.user
    return browser


def sid_of(browser: SiteBrowser) -> str:
    return str(browser.user["sid"])


def row_of(browser: SiteBrowser) -> LoginSession:
    return LoginSession.objects.get(sid=sid_of(browser))


# As JSON


def test_lists_the_others(
    browser: SiteBrowser, session: Session, phone: Session, stranger: Session, other: SiteBrowser
) -> None:
    answer = browser.get(JSON)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    assert {one["id"] for one in answer.json()} == {phone.id, sid_of(other)}
    described = next(one for one in answer.json() if one["id"] == phone.id)
    assert set(described) == {"id", "authenticated_at", "expires_at", "devices"}
    assert described["authenticated_at"].endswith("Z")
    assert described["devices"] == [{"user_agent": FIREFOX, "location": "", "ip_address": "203.0.113.7:4711"}]


def test_lists_nothing_of_traits(browser: SiteBrowser, phone: Session) -> None:
    assert "amber" not in browser.get(JSON).text


def test_lists_none(browser: SiteBrowser, stranger: Session) -> None:
    assert browser.get(JSON).json() == []


@pytest.mark.parametrize(
    ("method", "path"), [("get", JSON), ("delete", JSON), ("delete", f"{JSON}0b6c4f0e-7d0f-4f4e-9a51-000000000000/")]
)
def test_nobody_has_none(browser_of: KratosBrowser, wire: KratosNetwork, method: str, path: str) -> None:
    answer = getattr(browser_of(), method)(path)

    assert (answer.status_code, answer.json()) == (401, {"error": "session_inactive"})
    assert wire.calls == []


@pytest.mark.parametrize(
    ("method", "path"), [("get", JSON), ("delete", JSON), ("delete", f"{JSON}0b6c4f0e-7d0f-4f4e-9a51-000000000000/")]
)
def test_session_of_this_site_alone_has_none(browser_of: KratosBrowser, method: str, path: str) -> None:
    browser = browser_of()
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert getattr(browser, method)(path).status_code == 401


def test_refusals_are_told_apart(
    browser_of: KratosBrowser, kratos: Kratos, amber: Identity, session: Session, settings: Any, wire: KratosNetwork
) -> None:
    def refused() -> tuple[int, str]:
        answer = browser_of(session).get(JSON)
        return answer.status_code, answer.json()["error"]

    kratos.required_aal, amber.totp_secret = "highest_available", new_secret()
    assert refused() == (403, "session_aal2_required")
    kratos.required_aal = "aal1"
    session = kratos.sign_in(amber)
    receipts.record_logout(PUBLIC_URL, session.id)
    assert refused() == (401, "logged_out_here")
    session = kratos.sign_in(amber)
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert refused() == (500, "backend_missing")
    assert refused() == (500, "backend_missing"), "the verdict is held"


def test_ends_one(browser: SiteBrowser, phone: Session, other: SiteBrowser) -> None:
    answer = browser.delete(f"{JSON}{phone.id}/")

    assert (answer.status_code, answer.content) == (204, b"")
    assert not phone.active
    assert receipts.is_logged_out(PUBLIC_URL, phone.id), "should somebody come with a verdict that is still held"
    assert browser.user
    assert other.user


def test_another_browser_is_out_at_once_although_its_verdict_is_held(
    browser: SiteBrowser, other: SiteBrowser, wire: KratosNetwork
) -> None:
    assert browser.delete(f"{JSON}{sid_of(other)}/").status_code == 204
    wire.calls.clear()

    assert other.user is None
    assert wire.calls == [], "its verdict still says that it lives"
    assert LoginSession.objects.get() == row_of(browser)
    assert LoginSession.objects.get().ended_at is None


def test_session_of_somebody_else_stays_everywhere(
    browser: SiteBrowser, stranger: Session, of_stranger: SiteBrowser
) -> None:
    assert browser.delete(f"{JSON}{stranger.id}/").status_code == 204

    assert stranger.active
    assert of_stranger.user
    assert not LogoutReceipt.objects.exists()


def test_unknown_session_is_none(browser: SiteBrowser) -> None:
    assert browser.delete(f"{JSON}{uuid4()}/").status_code == 204
    assert browser.delete(f"{JSON}not-a-uuid/").status_code == 404
    assert not LogoutReceipt.objects.exists()


def test_current_session_logs_out_instead(browser: SiteBrowser, session: Session, wire: KratosNetwork) -> None:
    answer = browser.delete(f"{JSON}{session.id}/")

    assert (answer.status_code, answer.json()) == (400, {"error": "session_is_current"})
    assert session.active
    assert browser.user
    assert wire.calls == []


def test_ends_all_others(
    browser: SiteBrowser,
    session: Session,
    phone: Session,
    other: SiteBrowser,
    stranger: Session,
    of_stranger: SiteBrowser,
) -> None:
    answer = browser.delete(JSON)

    assert (answer.status_code, answer.json()) == (200, {"count": 2})
    assert not phone.active
    assert other.user is None
    assert receipts.is_logged_out(PUBLIC_URL, phone.id)
    assert session.active
    assert browser.user
    assert stranger.active
    assert of_stranger.user


def test_other_methods(browser: SiteBrowser, phone: Session) -> None:
    assert browser.post(JSON).status_code == 405
    assert browser.get(f"{JSON}{phone.id}/").status_code == 405
    assert phone.active


def test_csrf_token_is_needed_with_the_cookie(browser_of: KratosBrowser, session: Session, phone: Session) -> None:
    browser = browser_of(session, enforce_csrf_checks=True)
    assert browser.user

    assert browser.delete(JSON).status_code == 403
    assert browser.delete(f"{JSON}{phone.id}/").status_code == 403
    assert phone.active

    page = browser.get(PAGE).text
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    headers = {"x-csrftoken": token, "referer": "https://testserver/"}
    assert browser.delete(f"{JSON}{phone.id}/", headers=headers).status_code == 204
    assert not phone.active


def test_csrf_token_is_not_needed_with_a_session_token(
    native_client_of: KratosBrowser, session: Session, phone: Session
) -> None:
    client = native_client_of(session, enforce_csrf_checks=True)

    assert [one["id"] for one in client.get(JSON).json()] == [phone.id]
    assert client.delete(f"{JSON}{phone.id}/").status_code == 204
    assert client.delete(JSON).json() == {"count": 1}
    assert not phone.active


def test_session_token_that_is_dead_is_no_way_around_the_csrf_token(
    browser_of: KratosBrowser, session: Session, phone: Session
) -> None:
    browser = browser_of(session, enforce_csrf_checks=True)

    answer = browser.delete(JSON, headers={"x-session-token": "ory_st_made_up"})

    assert answer.status_code == 403
    assert phone.active


def test_native_application_is_listed_and_ended_too(
    browser: SiteBrowser, native_client_of: KratosBrowser, kratos: Kratos, amber: Identity
) -> None:
    client = native_client_of(kratos.sign_in(amber))
    assert client.user

    assert browser.delete(f"{JSON}{sid_of(client)}/").status_code == 204

    assert client.user is None


@pytest.mark.parametrize("fails", ["the list", "the end"])
@pytest.mark.parametrize("how", ["down", "slow", "500"])
@pytest.mark.parametrize("which", ["one", "others"])
def test_what_kratos_was_not_told_of_has_ended_here(
    browser: SiteBrowser, other: SiteBrowser, wire: KratosNetwork, clock: Clock, which: str, how: str, fails: str
) -> None:
    sid = sid_of(other)
    at_kratos = wire.kratos.sessions[sid]
    path = JSON if which == "others" else f"{JSON}{sid}/"
    fault = OTHERS if fails == "the list" or which == "others" else f"{OTHERS}/{sid}"
    if how == "500":
        wire.replace(fault, b'{"error": {"code": 500}}', status=500)
    else:
        getattr(wire, how)(fault)

    answer = browser.delete(path)

    assert answer.status_code == 503
    assert answer.json() == {"error": "kratos_fault" if how == "500" else "unreachable"}
    assert answer["Retry-After"] == "5"
    assert at_kratos.active
    assert other.user is None
    wire.mend()
    clock.advance(11)
    assert other.user is None, "although Kratos says that the session lives"
    assert browser.user
    assert browser.delete(path).status_code in (200, 204), "sent again, Kratos is told"
    assert not at_kratos.active


def test_who_does_not_answer_is_not_asked_by_the_next(
    browser: SiteBrowser, other: SiteBrowser, phone: Session, wire: KratosNetwork
) -> None:
    wire.slow(OTHERS)
    wire.calls.clear()

    for _ in range(2):
        assert browser.get(JSON).status_code == 503
        assert browser.delete(f"{JSON}{phone.id}/").status_code == 503
        assert browser.delete(JSON).status_code == 503
        assert "alert" in browser.get(PAGE).text

    assert asked(wire) == [("GET", OTHERS)]
    assert other.user is None


def test_second_factor_brings_the_browser_back(
    browser_of: KratosBrowser, kratos: Kratos, amber: Identity, session: Session
) -> None:
    kratos.required_aal, amber.totp_secret = "highest_available", new_secret()

    url = browser_of(session).get(JSON, {"return_to": "/private/"}).json()["redirect_browser_to"]

    assert query_of(url)["aal"] == "aal2"
    assert query_of(query_of(url)["return_to"])["next"] == "/private/"


# On the page


def test_page_leaves_out_what_kratos_has_ended(
    browser: SiteBrowser, other: SiteBrowser, kratos: Kratos, amber: Identity, of_stranger: SiteBrowser
) -> None:
    """A session of the same person's by another account at Kratos, which this one's list has not, stays."""
    third, theirs = kratos.sign_in(amber), row_of(of_stranger)
    LoginSession.objects.filter(pk=theirs.pk).update(user_id=row_of(browser).user_id)
    kratos.end(sid_of(other))

    page = browser.get(PAGE)

    assert {row.sid for row in page.context["login_sessions"]} == {sid_of(browser), theirs.sid}
    assert [one.id for one in page.context["kratos_sessions"]] == [third.id]


def test_page_has_those_here_and_those_elsewhere(
    browser: SiteBrowser, session: Session, phone: Session, other: SiteBrowser, stranger: Session
) -> None:
    answer = browser.get(PAGE)

    assert_page(answer, 200, "Where you are signed in")
    here, _, elsewhere = answer.text.partition("<h2>Other sessions of the same account</h2>")
    assert here.count("This browser") == 1
    assert f'value="{row_of(other).pk}"' in here
    assert f'value="{phone.id}"' in elsewhere
    assert "Firefox on Linux" in elsewhere
    assert 'aria-label="End the session in Firefox on Linux"' in elsewhere
    assert sid_of(other) not in answer.text, "it is listed once"
    assert session.id not in answer.text
    assert stranger.id not in answer.text
    assert 'value="others"' in elsewhere


def test_page_shows_a_location_where_kratos_knows_one(
    browser: SiteBrowser, wire: KratosNetwork, phone: Session
) -> None:
    document = (
        f'[{{"id": "{phone.id}", "active": true, "identity": {{"id": "{uuid4()}"}},'
        ' "devices": [{"user_agent": "<b>curl</b>", "location": "Berlin, DE"}]}]'
    )
    wire.replace(OTHERS, document.encode())

    page = browser.get(PAGE).text

    assert "<small>Berlin, DE</small>" in page
    assert "&lt;b&gt;curl&lt;/b&gt;" in page
    assert "<b>curl" not in page


def test_page_with_a_session_elsewhere_of_no_device(browser: SiteBrowser, kratos: Kratos, phone: Session) -> None:
    phone.devices.clear()

    assert "Unknown browser" in browser.get(PAGE).text.partition("<h2>")[2]


def test_page_without_others(browser: SiteBrowser) -> None:
    page = browser.get(PAGE).text

    assert "Other sessions" not in page
    assert 'name="end"' not in page
    assert 'role="alert"' not in page


@pytest.mark.parametrize("which", ["one", "others"])
def test_page_ends_those_elsewhere(browser: SiteBrowser, phone: Session, session: Session, which: str) -> None:
    answer = browser.post(PAGE, {"end": phone.id if which == "one" else "others"})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert not phone.active
    assert receipts.is_logged_out(PUBLIC_URL, phone.id)
    assert session.active
    assert browser.user


@pytest.mark.parametrize("which", ["one", "others"])
def test_page_ends_those_here_and_at_kratos(
    browser: SiteBrowser, other: SiteBrowser, kratos: Kratos, which: str
) -> None:
    row = row_of(other)

    answer = browser.post(PAGE, {"end": row.pk if which == "one" else "others"})

    assert answer.status_code == 302
    assert other.user is None
    assert not kratos.sessions[str(row.sid)].active
    assert LoginSession.objects.get() == row_of(browser)


def test_page_does_not_end_somebody_elses(browser: SiteBrowser, stranger: Session, of_stranger: SiteBrowser) -> None:
    for chosen in (stranger.id, row_of(of_stranger).pk):
        assert browser.post(PAGE, {"end": chosen}).status_code == 302

    assert stranger.active
    assert of_stranger.user
    assert not LogoutReceipt.objects.exists()


def test_page_does_not_end_ones_own_here(browser: SiteBrowser, session: Session) -> None:
    for chosen in (session.id, row_of(browser).pk):
        assert browser.post(PAGE, {"end": chosen}).status_code == 302

    assert session.active
    assert browser.user


def test_page_works_while_kratos_does_not(
    browser: SiteBrowser, other: SiteBrowser, wire: KratosNetwork, logged: Logged
) -> None:
    wire.down()

    answer = browser.get(PAGE)

    assert_page(answer, 200, "Where you are signed in")
    assert '<p role="alert">' in answer.text
    assert f'value="{row_of(other).pk}"' in answer.text
    assert logged() == [f"sessions at Kratos: unreachable: GET {PUBLIC_URL}{OTHERS}: ConnectionError"]


@pytest.mark.parametrize("which", ["one", "others"])
def test_page_ends_those_here_while_kratos_does_not_answer_and_says_so(
    browser: SiteBrowser, other: SiteBrowser, wire: KratosNetwork, clock: Clock, which: str
) -> None:
    row = row_of(other)
    wire.down()

    answer = browser.post(PAGE, {"end": row.pk if which == "one" else "others"})

    assert_page(answer, 503, "Where you are signed in")
    assert '<p role="alert">' in answer.text
    assert f'value="{row.pk}"' not in answer.text
    assert 'value="others"' in answer.text, "to try again by, when nothing is listed"
    assert other.user is None
    wire.mend()
    clock.advance(11)
    assert other.user is None
    assert wire.kratos.sessions[str(row.sid)].active


def test_page_of_a_session_that_this_site_opened_asks_no_kratos(
    browser_of: KratosBrowser, wire: KratosNetwork, other: SiteBrowser
) -> None:
    browser = browser_of()
    browser.force_login(row_of(other).user, "django.contrib.auth.backends.ModelBackend")
    row = row_of(other)
    wire.calls.clear()

    assert "Other sessions" not in browser.get(PAGE).text
    assert browser.post(PAGE, {"end": row.pk}).status_code == 302

    assert asked(wire) == []
    assert other.user is None
    assert wire.kratos.sessions[str(row.sid)].active, "its cookie is refused here, and Kratos not told"
    assert receipts.is_logged_out(PUBLIC_URL, str(row.sid))


# A browser whose first requests came at once


@pytest.fixture
def twice(browser_of: KratosBrowser, browser: SiteBrowser, session: Session) -> LoginSession:
    """The row of another of its first requests, whose Django session the browser does not hold."""
    again = browser_of(session)
    assert again.user["sid"] == session.id
    return LoginSession.objects.get(session_key=again.key)


def test_one_session_at_kratos_is_listed_once(browser: SiteBrowser, twice: LoginSession, other: SiteBrowser) -> None:
    again = LoginSession.objects.get(session_key=other.key)
    again.pk, again.session_key = uuid4(), None
    again.save(force_insert=True)

    listed = browser.get(PAGE).context["login_sessions"]

    assert len(listed) == 2
    assert {row.sid for row in listed} == {sid_of(browser), sid_of(other)}
    assert next(row for row in listed if row.sid == sid_of(browser)).session_key == browser.key


@pytest.mark.parametrize("end", ["others", "that one"])
def test_own_session_at_kratos_is_none_of_the_others(
    browser: SiteBrowser, twice: LoginSession, end: str, kratos: Kratos, session: Session
) -> None:
    browser.post(PAGE, {"end": end if end == "others" else str(twice.pk)})

    assert browser.user["sid"] == session.id
    assert kratos.is_active(session)
    assert not receipts.is_logged_out(PUBLIC_URL, session.id)
