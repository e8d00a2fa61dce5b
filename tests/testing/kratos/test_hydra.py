"""A provider and a Kratos in this process. Kratos is the login page of the provider."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from django_ory_logout.testing import Kratos, KratosNetwork, LoginSession, Provider
from django_ory_logout.testing.hydra import authorization, challenges
from django_ory_logout.testing.kratos import Identity, Session, login_session, sign_in_by

from .conftest import PUBLIC_URL

PAGE = {"Accept": "text/html"}


@pytest.fixture
def hydra(provider: Provider, embedded: Kratos) -> Provider:
    sign_in_by(provider, embedded)
    return provider


@pytest.fixture
def amber(embedded: Kratos) -> Identity:
    return embedded.identity("amber@example.org", password="a password")


@pytest.fixture
def session(embedded: Kratos, amber: Identity) -> Session:
    return embedded.sign_in(amber)


class Browser:
    """A browser that a site sent to Hydra, and Hydra to Kratos."""

    def __init__(self, hydra: Provider) -> None:
        self.hydra = hydra
        self.session = requests.Session()

    def begin(self, known: LoginSession | None = None, **query: str) -> requests.Response:
        """Kratos' answer to a browser that Hydra redirected, or the same by AJAX."""
        asked = authorization.parse(
            self.hydra,
            {
                "client_id": "site",
                "redirect_uri": "http://rp.example/auth/callback/",
                "response_type": "code",
                "scope": "openid",
                "state": "state-of-enough-length",
            },
        )
        challenge = challenges.begin(self.hydra, asked, known, "browser")
        url = f"{self.hydra.pages.login}?{urlencode({'login_challenge': challenge, **query})}"
        return self.session.get(url, headers=PAGE, allow_redirects=False, timeout=5)

    def enter(self, page: requests.Response, accept: str = "text/html") -> requests.Response:
        """Answer the login page with Amber's password."""
        headers = {"Accept": "application/json"}
        flow_id = dict(parse_qsl(urlsplit(page.headers["Location"]).query))["flow"]
        flow = self.session.get(
            f"{PUBLIC_URL}/self-service/login/flows?id={flow_id}", headers=headers, timeout=5
        ).json()
        form = {
            "csrf_token": flow["ui"]["nodes"][0]["attributes"]["value"],
            "identifier": "amber@example.org",
            "password": "a password",
        }
        return self.session.post(
            flow["ui"]["action"], form, headers={"Accept": accept}, allow_redirects=False, timeout=5
        )

    def come_back(self, location: str) -> LoginSession:
        """The login session that Hydra stores when the browser returns there."""
        query = dict(parse_qsl(urlsplit(location).query))
        flow = challenges.log_in(self.hydra, query["login_verifier"], "browser")
        return self.hydra.login_sessions[flow.sid]


@pytest.fixture
def browser(hydra: Provider, network: KratosNetwork, amber: Identity) -> Browser:
    return Browser(hydra)


def test_a_login_has_the_identity_and_its_session(browser: Browser, embedded: Kratos, amber: Identity) -> None:
    login = browser.come_back(browser.enter(browser.begin()).headers["Location"])

    (session,) = embedded.sessions.values()
    assert (login.subject, login.identity_provider_session_id, login.remembered) == (amber.id, session.id, True)


def test_hydra_does_not_remember_a_login_if_the_cookie_ends_with_the_browser(
    browser: Browser, embedded: Kratos
) -> None:
    embedded.persistent = False

    answer = browser.enter(browser.begin())

    assert "Max-Age" not in answer.raw.headers.getlist("Set-Cookie")[1]
    assert not browser.come_back(answer.headers["Location"]).remembered


def test_an_ajax_page_gets_the_next_url(browser: Browser) -> None:
    answer = browser.enter(browser.begin(), accept="application/json")

    assert answer.status_code == 422
    assert browser.come_back(answer.json()["redirect_browser_to"])


def test_a_user_remembered_by_hydra_sees_no_form(browser: Browser) -> None:
    known = browser.come_back(browser.enter(browser.begin()).headers["Location"])

    again = browser.begin(known).headers["Location"]

    assert browser.come_back(again) is known


def test_a_user_known_only_to_kratos_sees_the_form(browser: Browser) -> None:
    browser.enter(browser.begin())

    assert "flow=" in browser.begin().headers["Location"]


def test_a_second_factor_comes_before_hydra(browser: Browser, embedded: Kratos, amber: Identity) -> None:
    embedded.required_aal, amber.totp_secret = "highest_available", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    location = browser.enter(browser.begin()).headers["Location"]

    assert "aal=aal2&login_challenge=" in location


@pytest.mark.usefixtures("network")
def test_an_unknown_challenge_is_refused(hydra: Provider) -> None:
    headers = {"Accept": "application/json"}

    answer = requests.get(f"{hydra.pages.login}?login_challenge=x", headers=headers, timeout=5)

    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "Unable to get OAuth 2.0 Login Challenge.")


def test_an_end_by_sid_ends_the_session_of_kratos(hydra: Provider, embedded: Kratos, session: Session) -> None:
    login = login_session(hydra, embedded, session, "site")

    (delivery,) = hydra.end(login.sid)

    assert (delivery.client_id, embedded.is_active(session)) == ("site", False)


def test_an_end_by_subject_keeps_the_session_of_kratos(
    hydra: Provider, embedded: Kratos, session: Session, amber: Identity
) -> None:
    login_session(hydra, embedded, session, "site")

    hydra.delete_login_sessions(amber.id)

    assert embedded.is_active(session)


def test_the_end_of_a_login_that_is_not_remembered_keeps_the_session_of_kratos(
    hydra: Provider, embedded: Kratos, session: Session
) -> None:
    embedded.persistent = False
    login = login_session(hydra, embedded, session, "site")

    assert (hydra.end(login.sid), embedded.is_active(session)) == ([], True)


def test_the_end_of_a_login_of_another_login_page_keeps_the_session_of_kratos(
    hydra: Provider, embedded: Kratos, session: Session
) -> None:
    hydra.end(hydra.sign_in("birch", "site").sid)

    assert embedded.is_active(session)


def test_the_end_at_kratos_does_not_end_the_login_at_hydra(hydra: Provider, embedded: Kratos, session: Session) -> None:
    login = login_session(hydra, embedded, session, "site")

    embedded.end(session.id)

    assert login.sid in hydra.login_sessions
