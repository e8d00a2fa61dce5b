"""My sessions at Kratos: as JSON with Kratos' fields, and on the page with the site sessions. They end here first."""

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
    """An ended session is refused at once, even with a long ``SESSION_RECHECK_SECONDS``."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"


@pytest.fixture
def phone(kratos: Kratos, amber: Identity) -> Session:
    """Another session of Amber at Kratos, which never came to this site."""
    return kratos.sign_in(amber, device=Device("203.0.113.7:4711", FIREFOX))


@pytest.fixture
def birch_session(kratos: Kratos) -> Session:
    return kratos.sign_in(kratos.identity("birch_session@example.org"))


@pytest.fixture
def browser(browser_of: KratosBrowser, kratos_network: KratosNetwork, session: Session) -> SiteBrowser:
    """Amber's browser. Kratos has received no call since the sign-in."""
    browser = browser_of(session)
    assert browser.user["sid"] == session.id
    kratos_network.calls.clear()
    return browser


@pytest.fixture
def other(browser_of: KratosBrowser, kratos: Kratos, amber: Identity, browser: SiteBrowser) -> SiteBrowser:
    """Another browser of Amber, which came to this site too."""
    other = browser_of(kratos.sign_in(amber))
    assert other.user
    return other


@pytest.fixture
def browser_of_birch(browser_of: KratosBrowser, birch_session: Session) -> SiteBrowser:
    browser = browser_of(birch_session)
    assert browser.user
    return browser


def sid_of(browser: SiteBrowser) -> str:
    return str(browser.user["sid"])


def row_of(browser: SiteBrowser) -> LoginSession:
    return LoginSession.objects.get(sid=sid_of(browser))


# As JSON


def test_json_lists_the_other_sessions(
    browser: SiteBrowser, session: Session, phone: Session, birch_session: Session, other: SiteBrowser
) -> None:
    answer = browser.get(JSON)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]
    assert {listed["id"] for listed in answer.json()} == {phone.id, sid_of(other)}
    described = next(listed for listed in answer.json() if listed["id"] == phone.id)
    assert set(described) == {"id", "authenticated_at", "expires_at", "devices"}
    assert described["authenticated_at"].endswith("Z")
    assert described["devices"] == [{"user_agent": FIREFOX, "location": "", "ip_address": "203.0.113.7:4711"}]


def test_json_contains_no_traits(browser: SiteBrowser, phone: Session) -> None:
    assert "amber" not in browser.get(JSON).text


def test_json_lists_no_other_session(browser: SiteBrowser, birch_session: Session) -> None:
    assert browser.get(JSON).json() == []


@pytest.mark.parametrize(
    ("method", "path"), [("get", JSON), ("delete", JSON), ("delete", f"{JSON}0b6c4f0e-7d0f-4f4e-9a51-000000000000/")]
)
def test_json_refuses_an_anonymous_user(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, method: str, path: str
) -> None:
    answer = getattr(browser_of(), method)(path)

    assert (answer.status_code, answer.json()) == (401, {"error": "session_inactive"})
    assert kratos_network.calls == []


@pytest.mark.parametrize(
    ("method", "path"), [("get", JSON), ("delete", JSON), ("delete", f"{JSON}0b6c4f0e-7d0f-4f4e-9a51-000000000000/")]
)
def test_json_refuses_a_session_of_this_site_only(browser_of: KratosBrowser, method: str, path: str) -> None:
    browser = browser_of()
    browser.force_login(get_user_model().objects.create_user("cedar"), "django.contrib.auth.backends.ModelBackend")

    assert getattr(browser, method)(path).status_code == 401


def test_each_refusal_has_its_own_code(
    browser_of: KratosBrowser,
    kratos: Kratos,
    amber: Identity,
    session: Session,
    settings: Any,
    kratos_network: KratosNetwork,
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
    assert refused() == (500, "backend_missing"), "the answer is still kept"


def test_delete_ends_one_session(browser: SiteBrowser, phone: Session, other: SiteBrowser) -> None:
    answer = browser.delete(f"{JSON}{phone.id}/")

    assert (answer.status_code, answer.content) == (204, b"")
    assert not phone.active
    assert receipts.is_logged_out(PUBLIC_URL, phone.id), "a kept answer must not sign it in again"
    assert browser.user
    assert other.user


def test_another_browser_is_logged_out_at_once_despite_its_kept_answer(
    browser: SiteBrowser, other: SiteBrowser, kratos_network: KratosNetwork
) -> None:
    assert browser.delete(f"{JSON}{sid_of(other)}/").status_code == 204
    kratos_network.calls.clear()

    assert other.user is None
    assert kratos_network.calls == [], "its kept answer still says active"
    assert LoginSession.objects.get() == row_of(browser)
    assert LoginSession.objects.get().ended_at is None


def test_a_session_of_another_user_does_not_end(
    browser: SiteBrowser, birch_session: Session, browser_of_birch: SiteBrowser
) -> None:
    assert browser.delete(f"{JSON}{birch_session.id}/").status_code == 204

    assert birch_session.active
    assert browser_of_birch.user
    assert not LogoutReceipt.objects.exists()


def test_an_unknown_session_changes_nothing(browser: SiteBrowser) -> None:
    assert browser.delete(f"{JSON}{uuid4()}/").status_code == 204
    assert browser.delete(f"{JSON}not-a-uuid/").status_code == 404
    assert not LogoutReceipt.objects.exists()


def test_the_current_session_cannot_be_ended_this_way(
    browser: SiteBrowser, session: Session, kratos_network: KratosNetwork
) -> None:
    answer = browser.delete(f"{JSON}{session.id}/")

    assert (answer.status_code, answer.json()) == (400, {"error": "session_is_current"})
    assert session.active
    assert browser.user
    assert kratos_network.calls == []


def test_delete_ends_all_other_sessions(
    browser: SiteBrowser,
    session: Session,
    phone: Session,
    other: SiteBrowser,
    birch_session: Session,
    browser_of_birch: SiteBrowser,
) -> None:
    answer = browser.delete(JSON)

    assert (answer.status_code, answer.json()) == (200, {"count": 2})
    assert not phone.active
    assert other.user is None
    assert receipts.is_logged_out(PUBLIC_URL, phone.id)
    assert session.active
    assert browser.user
    assert birch_session.active
    assert browser_of_birch.user


def test_other_methods_are_refused(browser: SiteBrowser, phone: Session) -> None:
    assert browser.post(JSON).status_code == 405
    assert browser.get(f"{JSON}{phone.id}/").status_code == 405
    assert phone.active


def test_a_request_with_the_cookie_needs_a_csrf_token(
    browser_of: KratosBrowser, session: Session, phone: Session
) -> None:
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


def test_a_request_with_a_session_token_needs_no_csrf_token(
    native_client_of: KratosBrowser, session: Session, phone: Session
) -> None:
    client = native_client_of(session, enforce_csrf_checks=True)

    assert [listed["id"] for listed in client.get(JSON).json()] == [phone.id]
    assert client.delete(f"{JSON}{phone.id}/").status_code == 204
    assert client.delete(JSON).json() == {"count": 1}
    assert not phone.active


def test_an_ended_session_token_does_not_avoid_the_csrf_check(
    browser_of: KratosBrowser, session: Session, phone: Session
) -> None:
    browser = browser_of(session, enforce_csrf_checks=True)

    answer = browser.delete(JSON, headers={"x-session-token": "ory_st_made_up"})

    assert answer.status_code == 403
    assert phone.active


def test_native_applications_are_listed_and_ended_too(
    browser: SiteBrowser, native_client_of: KratosBrowser, kratos: Kratos, amber: Identity
) -> None:
    client = native_client_of(kratos.sign_in(amber))
    assert client.user

    assert browser.delete(f"{JSON}{sid_of(client)}/").status_code == 204

    assert client.user is None


@pytest.mark.parametrize("fails", ["the list", "the end"])
@pytest.mark.parametrize("how", ["down", "slow", "500"])
@pytest.mark.parametrize("which", ["one", "others"])
def test_a_session_that_did_not_end_at_kratos_has_ended_here(
    browser: SiteBrowser,
    other: SiteBrowser,
    kratos_network: KratosNetwork,
    clock: Clock,
    which: str,
    how: str,
    fails: str,
) -> None:
    sid = sid_of(other)
    at_kratos = kratos_network.kratos.sessions[sid]
    path = JSON if which == "others" else f"{JSON}{sid}/"
    fault = OTHERS if fails == "the list" or which == "others" else f"{OTHERS}/{sid}"
    if how == "500":
        kratos_network.replace(fault, b'{"error": {"code": 500}}', status=500)
    else:
        getattr(kratos_network, how)(fault)

    answer = browser.delete(path)

    assert answer.status_code == 503
    assert answer.json() == {"error": "kratos_fault" if how == "500" else "unreachable"}
    assert answer["Retry-After"] == "5"
    assert at_kratos.active
    assert other.user is None
    kratos_network.mend()
    clock.advance(11)
    assert other.user is None, "although the session at Kratos is active"
    assert browser.user
    assert browser.delete(path).status_code in (200, 204), "the second request ends it at Kratos"
    assert not at_kratos.active


def test_the_next_request_does_not_ask_a_kratos_that_does_not_answer(
    browser: SiteBrowser, other: SiteBrowser, phone: Session, kratos_network: KratosNetwork
) -> None:
    kratos_network.slow(OTHERS)
    kratos_network.calls.clear()

    for _ in range(2):
        assert browser.get(JSON).status_code == 503
        assert browser.delete(f"{JSON}{phone.id}/").status_code == 503
        assert browser.delete(JSON).status_code == 503
        assert "alert" in browser.get(PAGE).text

    assert asked(kratos_network) == [("GET", OTHERS)]
    assert other.user is None


def test_the_second_factor_returns_the_browser(
    browser_of: KratosBrowser, kratos: Kratos, amber: Identity, session: Session
) -> None:
    kratos.required_aal, amber.totp_secret = "highest_available", new_secret()

    url = browser_of(session).get(JSON, {"return_to": "/private/"}).json()["redirect_browser_to"]

    assert query_of(url)["aal"] == "aal2"
    assert query_of(query_of(url)["return_to"])["next"] == "/private/"


# The page


def test_the_page_omits_sessions_that_ended_at_kratos(
    browser: SiteBrowser, other: SiteBrowser, kratos: Kratos, amber: Identity, browser_of_birch: SiteBrowser
) -> None:
    """A session of the same user that another account at Kratos opened stays in the list."""
    third, theirs = kratos.sign_in(amber), row_of(browser_of_birch)
    LoginSession.objects.filter(pk=theirs.pk).update(user_id=row_of(browser).user_id)
    kratos.end(sid_of(other))

    page = browser.get(PAGE)

    assert {row.sid for row in page.context["login_sessions"]} == {sid_of(browser), theirs.sid}
    assert [listed.id for listed in page.context["kratos_sessions"]] == [third.id]


def test_the_page_shows_sessions_here_and_elsewhere(
    browser: SiteBrowser, session: Session, phone: Session, other: SiteBrowser, birch_session: Session
) -> None:
    answer = browser.get(PAGE)

    assert_page(answer, 200, "Where you are signed in")
    here, _, elsewhere = answer.text.partition("<h2>Other sessions of the same account</h2>")
    assert here.count("This browser") == 1
    assert f'value="{row_of(other).pk}"' in here
    assert f'value="{phone.id}"' in elsewhere
    assert "Firefox on Linux" in elsewhere
    assert 'aria-label="End the session in Firefox on Linux"' in elsewhere
    assert sid_of(other) not in answer.text, "each session is listed once"
    assert session.id not in answer.text
    assert birch_session.id not in answer.text
    assert 'value="others"' in elsewhere


def test_the_page_shows_a_location_that_kratos_knows(
    browser: SiteBrowser, kratos_network: KratosNetwork, phone: Session
) -> None:
    document = (
        f'[{{"id": "{phone.id}", "active": true, "identity": {{"id": "{uuid4()}"}},'
        ' "devices": [{"user_agent": "<b>curl</b>", "location": "Berlin, DE"}]}]'
    )
    kratos_network.replace(OTHERS, document.encode())

    page = browser.get(PAGE).text

    assert "<small>Berlin, DE</small>" in page
    assert "&lt;b&gt;curl&lt;/b&gt;" in page
    assert "<b>curl" not in page


def test_the_page_shows_a_session_without_a_device(browser: SiteBrowser, kratos: Kratos, phone: Session) -> None:
    phone.devices.clear()

    assert "Unknown browser" in browser.get(PAGE).text.partition("<h2>")[2]


def test_the_page_without_other_sessions_has_no_button(browser: SiteBrowser) -> None:
    page = browser.get(PAGE).text

    assert "Other sessions" not in page
    assert 'name="end"' not in page
    assert 'role="alert"' not in page


@pytest.mark.parametrize("which", ["one", "others"])
def test_the_page_ends_sessions_elsewhere(browser: SiteBrowser, phone: Session, session: Session, which: str) -> None:
    answer = browser.post(PAGE, {"end": phone.id if which == "one" else "others"})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert not phone.active
    assert receipts.is_logged_out(PUBLIC_URL, phone.id)
    assert session.active
    assert browser.user


@pytest.mark.parametrize("which", ["one", "others"])
def test_the_page_ends_sessions_here_and_at_kratos(
    browser: SiteBrowser, other: SiteBrowser, kratos: Kratos, which: str
) -> None:
    row = row_of(other)

    answer = browser.post(PAGE, {"end": row.pk if which == "one" else "others"})

    assert answer.status_code == 302
    assert other.user is None
    assert not kratos.sessions[str(row.sid)].active
    assert LoginSession.objects.get() == row_of(browser)


def test_the_page_does_not_end_sessions_of_another_user(
    browser: SiteBrowser, birch_session: Session, browser_of_birch: SiteBrowser
) -> None:
    for chosen in (birch_session.id, row_of(browser_of_birch).pk):
        assert browser.post(PAGE, {"end": chosen}).status_code == 302

    assert birch_session.active
    assert browser_of_birch.user
    assert not LogoutReceipt.objects.exists()


def test_the_page_does_not_end_the_current_session(browser: SiteBrowser, session: Session) -> None:
    for chosen in (session.id, row_of(browser).pk):
        assert browser.post(PAGE, {"end": chosen}).status_code == 302

    assert session.active
    assert browser.user


def test_the_page_works_while_kratos_does_not_answer(
    browser: SiteBrowser, other: SiteBrowser, kratos_network: KratosNetwork, logged: Logged
) -> None:
    kratos_network.down()

    answer = browser.get(PAGE)

    assert_page(answer, 200, "Where you are signed in")
    assert '<p role="alert">' in answer.text
    assert f'value="{row_of(other).pk}"' in answer.text
    assert logged() == [f"sessions at Kratos: unreachable: GET {PUBLIC_URL}{OTHERS}: ConnectionError"]


@pytest.mark.parametrize("which", ["one", "others"])
def test_the_page_ends_sessions_here_and_reports_that_kratos_does_not_answer(
    browser: SiteBrowser, other: SiteBrowser, kratos_network: KratosNetwork, clock: Clock, which: str
) -> None:
    row = row_of(other)
    kratos_network.down()

    answer = browser.post(PAGE, {"end": row.pk if which == "one" else "others"})

    assert_page(answer, 503, "Where you are signed in")
    assert '<p role="alert">' in answer.text
    assert f'value="{row.pk}"' not in answer.text
    assert 'value="others"' in answer.text, "a button to try again, although no session is listed"
    assert other.user is None
    kratos_network.mend()
    clock.advance(11)
    assert other.user is None
    assert kratos_network.kratos.sessions[str(row.sid)].active


def test_the_page_of_a_session_that_this_site_opened_asks_no_kratos(
    browser_of: KratosBrowser, kratos_network: KratosNetwork, other: SiteBrowser
) -> None:
    browser = browser_of()
    browser.force_login(row_of(other).user, "django.contrib.auth.backends.ModelBackend")
    row = row_of(other)
    kratos_network.calls.clear()

    assert "Other sessions" not in browser.get(PAGE).text
    assert browser.post(PAGE, {"end": row.pk}).status_code == 302

    assert asked(kratos_network) == []
    assert other.user is None
    assert kratos_network.kratos.sessions[str(row.sid)].active, "refused here, but active at Kratos"
    assert receipts.is_logged_out(PUBLIC_URL, str(row.sid))


# A browser whose first two requests came at the same time


@pytest.fixture
def twice(browser_of: KratosBrowser, browser: SiteBrowser, session: Session) -> LoginSession:
    """The row of the second request. The browser does not have its Django session."""
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
def test_the_current_session_at_kratos_is_not_listed_as_another(
    browser: SiteBrowser, twice: LoginSession, end: str, kratos: Kratos, session: Session
) -> None:
    browser.post(PAGE, {"end": end if end == "others" else str(twice.pk)})

    assert browser.user["sid"] == session.id
    assert kratos.is_active(session)
    assert not receipts.is_logged_out(PUBLIC_URL, session.id)
