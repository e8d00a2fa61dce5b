"""The Kratos server: its pages in a browser, and its switches."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.test.html import Element, parse_html

from django_ory_logout.testing import Kratos, Provider
from django_ory_logout.testing.kratos import Identity, Session
from django_ory_logout.testing.server import serve
from django_ory_logout.testing.server.kratos import KratosSite, admin_application, demo, public_application

from ..test_server import free_port

PAGE = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
#: Seconds.
TIMEOUT = 5


class Browser:
    """Follows redirects, and submits the forms of its pages."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(PAGE)
        self.page = requests.Response()

    def open(self, path: str) -> str:
        self.page = self.session.get(self.url + path, timeout=TIMEOUT)
        return self.page.text

    def send(self, button: str, **fields: str) -> str:
        """Press ``button``, a part of the form's text, with these ``fields``."""
        form = next(form for form in _forms(parse_html(self.page.text)) if button in str(form))
        inputs = [_attributes(element) for element in _elements(form) if element.name in ("input", "button")]
        data = {field["name"]: field.get("value", "") for field in inputs}
        action = _attributes(form)["action"]
        url = action if action.startswith("http") else self.url + action
        self.page = self.session.post(url, {**data, **fields}, timeout=TIMEOUT)
        return self.page.text

    def switch(self, name: str, **order: Any) -> Any:
        return self.session.post(f"{self.url}/testing/{name}", json=order, timeout=TIMEOUT).json()


def _elements(element: Element) -> Iterator[Element]:
    for child in element.children:
        if isinstance(child, Element):
            yield child
            yield from _elements(child)


def _attributes(element: Element) -> dict[str, str]:
    return {name: value or "" for name, value in element.attributes}


def _forms(element: Element) -> Iterator[Element]:
    return (element for element in _elements(element) if element.name == "form")


@pytest.fixture
def face(provider: Provider) -> KratosSite:
    return KratosSite(demo.demo(f"http://localhost:{free_port()}", "http://rp.example", provider))


@pytest.fixture
def kratos(face: KratosSite) -> Kratos:
    return face.kratos


@pytest.fixture
def amber(kratos: Kratos) -> Identity:
    identity = kratos.find_identity("amber@example.com")
    assert identity
    return identity


@pytest.fixture
def session(kratos: Kratos, amber: Identity) -> Session:
    return kratos.sign_in(amber)


@pytest.fixture
def browser(face: KratosSite) -> Iterator[Browser]:
    with serve.served(int(face.kratos.public_url.rpartition(":")[2]), public_application(face)):
        yield Browser(face.kratos.public_url)


@pytest.fixture
def admin_url(face: KratosSite) -> Iterator[str]:
    port = free_port()
    with serve.served(port, admin_application(face)):
        yield f"http://127.0.0.1:{port}"


class TestPages:
    def test_a_user_can_be_chosen(self, browser: Browser) -> None:
        assert "Sign in at Kratos" in browser.open("/self-service/login/browser")

        text = browser.send("As Amber")

        assert ("You are signed in" in text, "amber@example.com" in text) == (True, True)

    def test_an_address_and_a_password_can_be_typed(self, browser: Browser) -> None:
        browser.open("/self-service/login/browser")

        wrong = browser.send("With a password", identifier="birch@example.com", password="amber")
        right = browser.send("With a password", identifier="birch@example.com", password="birch")

        assert ('role="alert"' in wrong, 'value="birch@example.com"' in wrong) == (True, True)
        assert "birch@example.com" in right

    def test_a_second_sign_in_offers_no_other_user(self, browser: Browser) -> None:
        browser.open("/self-service/login/browser")
        browser.send("As Amber")

        text = browser.open("/self-service/login/browser?refresh=true")

        assert ("As Amber" in text, "As Birch" in text, "readonly" in text) == (True, False, True)

    def test_a_second_factor_is_required_and_its_code_shown(self, browser: Browser) -> None:
        browser.switch("second-factor", identifier="amber@example.com")
        browser.switch("configure", required_aal="highest_available")
        browser.open("/self-service/login/browser")

        asked = browser.send("As Amber")
        code = re.search(r"<code>(\d{6})</code>", asked)
        wrong = browser.send("Second factor", totp_code="x")

        assert code
        assert 'role="alert"' in wrong
        assert "aal2" in browser.send("Second factor", totp_code=code[1])

    def test_the_page_of_a_second_factor_without_a_session_shows_no_code(
        self, browser: Browser, kratos: Kratos
    ) -> None:
        browser.open("/self-service/login/browser")
        browser.send("As Amber")
        browser.open("/self-service/login/browser?aal=aal2")
        for session in kratos.sessions.values():
            kratos.end(session.id)

        assert "No user with an authenticator is signed in." in browser.open(browser.page.url.removeprefix(browser.url))

    def test_the_login_page_without_a_flow_starts_one(self, browser: Browser) -> None:
        browser.open("/login")

        assert "/login?flow=" in browser.page.url

    def test_the_logout_page_logs_out(self, browser: Browser, kratos: Kratos) -> None:
        browser.open("/self-service/login/browser")
        link = re.search(r'href="([^"]*token=[^"]*)"', browser.send("As Amber"))

        assert link
        assert "You are signed out" in browser.open(link[1])
        assert "You are not signed in" in browser.open("/welcome")
        assert [session.active for session in kratos.sessions.values()] == [False]

    def test_an_error_is_explained(self, browser: Browser) -> None:
        text = browser.open("/self-service/logout/browser")

        assert (browser.page.status_code, "session_inactive" in text) == (400, True)
        assert "There is no such error." in browser.open("/error?id=x")

    def test_sessions_are_listed_and_ended(self, browser: Browser, session: Session) -> None:
        assert session.id in browser.open("/")

        text = browser.send("End")

        assert (session.active, "End this session" in text) == (False, False)

    def test_nobody_is_signed_in_at_first(self, browser: Browser) -> None:
        assert "Nobody is signed in." in browser.open("/")

    @pytest.mark.parametrize("token", ["", "x"])
    def test_a_form_of_another_site_ends_nothing(self, browser: Browser, session: Session, token: str) -> None:
        form = {"session_id": session.id, "csrf_token": token}

        answer = browser.session.post(f"{browser.url}/end", form, timeout=TIMEOUT)

        assert (answer.status_code, session.active) == (403, True)

    def test_no_other_site_can_frame_the_pages(self, browser: Browser) -> None:
        browser.open("/")

        assert browser.page.headers["X-Frame-Options"] == "DENY"


class TestApis:
    def test_the_cookie_identifies_the_session(self, browser: Browser) -> None:
        browser.open("/self-service/login/browser")
        browser.send("As Amber")

        whoami = browser.session.get(f"{browser.url}/sessions/whoami", timeout=TIMEOUT).json()

        assert whoami["identity"]["traits"] == {"email": "amber@example.com", "name": "Amber"}

    def test_head_has_no_body(self, browser: Browser) -> None:
        answer = browser.session.head(f"{browser.url}/sessions/whoami", timeout=TIMEOUT)

        assert (answer.status_code, answer.content) == (401, b"")

    def test_the_admin_api_refuses_browsers(self, browser: Browser, admin_url: str, session: Session) -> None:
        url = f"{admin_url}/admin/sessions/{session.id}"

        statuses = [
            browser.session.get(url, headers=headers, timeout=TIMEOUT).status_code
            for headers in ({}, {"Origin": browser.url}, {"Host": "kratos.example"})
        ]

        assert statuses == [200, 403, 403]

    def test_another_host_is_refused(self, browser: Browser) -> None:
        answer = browser.session.get(f"{browser.url}/", headers={"Host": "kratos.example"}, timeout=TIMEOUT)

        assert answer.status_code == 403

    def test_the_ids_are_always_the_same(self, amber: Identity, provider: Provider) -> None:
        again = demo.demo("http://localhost:4433", "http://rp.example", provider).find_identity("amber@example.com")

        assert again
        assert (again.id, again.verifiable_addresses) == (amber.id, amber.verifiable_addresses)

    def test_a_provider_can_use_the_identities(self, provider: Provider, kratos: Kratos) -> None:
        kratos.identity("nobody@example.com")

        demo.use(provider, kratos)

        known = [provider.persons.get(identity.id) for identity in kratos.identities.values()]
        assert [identity and identity.claims["name"] for identity in known] == ["Amber", "Birch", None]
        assert provider.pages.login == f"{kratos.public_url}/self-service/login/browser"


class TestSwitches:
    def test_sessions_are_listed_and_ended(self, browser: Browser, session: Session) -> None:
        (listed,) = browser.switch("sessions")["sessions"]

        assert (listed["id"], listed["active"]) == (session.id, True)
        assert browser.switch("end", session_id=session.id) == {"ended": True}
        assert not session.active

    def test_it_can_be_configured(self, browser: Browser, kratos: Kratos) -> None:
        browser.switch("configure", persistent=False, lifespan=10)

        assert (kratos.persistent, kratos.lifespan, kratos.required_aal) == (False, 10, "aal1")

    def test_an_identity_gets_a_second_factor(self, browser: Browser, amber: Identity) -> None:
        given = browser.switch("second-factor", identifier="amber@example.com")

        assert (amber.totp_secret, len(given["totp_code"])) == (given["totp_secret"], 6)

    def test_an_unknown_identity_gets_none(self, browser: Browser, kratos: Kratos) -> None:
        browser.switch("second-factor", identifier="nobody@example.com")

        assert {identity.totp_secret for identity in kratos.identities.values()} == {""}

    def test_one_path_or_all_paths_can_fail(self, browser: Browser, admin_url: str) -> None:
        urls = [f"{browser.url}/sessions/whoami", f"{browser.url}/welcome", f"{admin_url}/admin/identities"]

        def statuses() -> list[int]:
            return [browser.session.get(url, timeout=TIMEOUT).status_code for url in urls]

        browser.switch("fault", path="/sessions/whoami", status=502)
        assert statuses() == [502, 200, 200]
        browser.switch("fault", path="", status=503)
        assert statuses() == [502, 503, 503]
        browser.switch("fault", path="", status=None)
        browser.switch("fault", path="/sessions/whoami", status=None)
        assert statuses() == [401, 200, 200]

    def test_a_page_of_another_site_cannot_use_a_switch(self, browser: Browser) -> None:
        url = f"{browser.url}/testing/sessions"

        statuses = [
            browser.session.get(url, timeout=TIMEOUT).status_code,
            browser.session.post(url, "{}", headers={"Content-Type": "text/plain"}, timeout=TIMEOUT).status_code,
        ]

        assert statuses == [405, 415]
