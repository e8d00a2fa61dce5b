"""The pages of the provider, and what Hydra does at each path."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.http import HttpResponse
from django.utils.html import escape

from django_ory_logout.testing import Client, LoginSession, Provider
from django_ory_logout.testing.server.site import SESSION_COOKIE, ProviderSite

from .conftest import CALLBACK, LOGGED_OUT, Browser, Clock, Receiver, elements
from .test_authorization import VALID


def auth(browser: Browser, **change: str) -> Any:
    """Open an authorization request, and return the last answer."""
    return browser.open("/oauth2/auth", VALID | change)


def query_of(response: HttpResponse) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(response["Location"]).query))


def enter(browser: Browser, subject: str = "amber", **change: str) -> Any:
    """Sign in through the page."""
    return browser.press(auth(browser, **change), subject=subject)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/login?login_challenge=x", 400),
        ("/consent?consent_challenge=x", 400),
        ("/error?error=invalid_request&error_description=no", 400),
        ("/signed-out", 200),
        ("/logout?logout_challenge=x", 400),
        ("/nothing", 404),
    ],
)
def test_every_page_says_that_it_is_for_development_only(browser: Browser, path: str, status: int) -> None:
    page = browser.get(path)

    assert page.status_code == status
    assert "For development only" in page.content.decode()
    assert '<html lang="en">' in page.content.decode()
    assert len(list(elements(page, "h1"))) == 1


def test_machine_endpoints_answer_as_without_a_socket(browser: Browser, provider: Provider) -> None:
    answer = browser.get("/.well-known/jwks.json")

    assert answer.json() == provider.jwks()
    assert answer["Cache-Control"] == "no-store"


def test_another_host_name_is_refused(browser: Browser) -> None:
    assert browser.get("/", headers={"host": "localhost:4444"}).status_code == 400


class TestSignIn:
    def test_a_chosen_user_returns_with_a_code(self, browser: Browser, provider: Provider) -> None:
        response = enter(browser, "birch")

        assert response["Location"].startswith(CALLBACK + "?code=ory_ac_")
        assert query_of(response)["state"] == VALID["state"]
        (session,) = provider.login_sessions.values()
        assert (session.subject, session.remembered, provider.clients_of(session)) == ("birch", True, ["site"])

    def test_the_cookie_has_hydras_name(self, browser: Browser) -> None:
        enter(browser)
        cookie = browser.cookies[SESSION_COOKIE]

        assert cookie.key == "ory_hydra_session_dev"
        assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/", "Lax", True)
        assert cookie["max-age"] == 86400
        assert not cookie["secure"]

    def test_a_login_hint_selects_a_user_on_the_page(self, browser: Browser) -> None:
        page = auth(browser, login_hint="cedar@example.com")

        checked = [
            dict(element.attributes)["value"]
            for element in elements(page, "input")
            if "checked" in dict(element.attributes)
        ]
        assert checked == ["cedar", "1"]

    def test_without_remember_there_is_no_cookie(self, browser: Browser, provider: Provider) -> None:
        page = auth(browser)
        hidden = {dict(i.attributes)["name"]: dict(i.attributes).get("value") for i in elements(page, "input")}
        path = f"{page.request['PATH_INFO']}?{page.request['QUERY_STRING']}"

        browser.open(
            browser.post(path, {"csrfmiddlewaretoken": hidden["csrfmiddlewaretoken"], "subject": "amber"})["Location"]
        )

        assert SESSION_COOKIE not in browser.cookies
        (session,) = provider.login_sessions.values()
        assert not session.remembered

    def test_a_remembered_browser_is_redirected_at_once(self, browser: Browser, provider: Provider) -> None:
        enter(browser)

        response = auth(browser)

        assert response.status_code == 302
        assert "code" in query_of(response)
        assert len(provider.login_sessions) == 1

    def test_a_forged_cookie_is_ignored(self, browser: Browser, amber: LoginSession) -> None:
        browser.cookies[SESSION_COOKIE] = amber.sid

        assert auth(browser).status_code == 200

    def test_prompt_login_asks_again_and_gives_a_new_sid(self, browser: Browser, provider: Provider) -> None:
        enter(browser)

        page = auth(browser, prompt="login")
        assert "signed in as amber already" in page.content.decode()
        browser.press(page)

        assert len(provider.login_sessions) == 2

    def test_prompt_login_without_remember_ends_the_remembered_login(
        self, browser: Browser, provider: Provider
    ) -> None:
        enter(browser)

        auth(browser, prompt="login", login_hint="amber", auto="1", remember="0")

        assert [session.remembered for session in provider.login_sessions.values()] == [False]
        assert browser.cookies[SESSION_COOKIE].value == ""

    def test_an_old_login_does_not_satisfy_max_age(self, browser: Browser, clock: Clock) -> None:
        enter(browser)
        clock.now += 61

        assert auth(browser, max_age="60").status_code == 200

    def test_prompt_none_shows_no_page(self, browser: Browser) -> None:
        assert query_of(auth(browser, prompt="none"))["error"] == "login_required"
        enter(browser)

        assert "code" in query_of(auth(browser, prompt="none"))

    def test_auto_signs_in_the_hinted_user(self, browser: Browser, provider: Provider) -> None:
        response = auth(browser, login_hint="birch", auto="1")

        assert "code" in query_of(response)
        assert browser.cookies[SESSION_COOKIE].value

    def test_auto_without_a_known_hint_shows_the_page(self, browser: Browser) -> None:
        assert auth(browser, login_hint="nobody", auto="1").status_code == 200

    def test_an_authorization_request_by_post_works(self, browser: Browser) -> None:
        response = browser.post("/oauth2/auth", VALID)

        assert response["Location"].startswith("http://127.0.0.1:4444/login?login_challenge=")

    def test_a_user_can_refuse(self, browser: Browser) -> None:
        response = browser.press(auth(browser), deny="1")

        assert query_of(response)["error"] == "access_denied"
        assert query_of(response)["state"] == VALID["state"]

    def test_an_unknown_redirect_uri_ends_at_the_error_page(self, browser: Browser) -> None:
        page = auth(browser, redirect_uri="http://evil.example/")

        assert page.request["PATH_INFO"] == "/error"
        assert "The redirect_uri is not one of the client." in page.content.decode()

    def test_a_challenge_expires_after_half_an_hour(self, browser: Browser, clock: Clock) -> None:
        page = auth(browser)
        clock.now += 1801

        late = browser.press(page, subject="amber")

        assert late.status_code == 400
        assert "request_unauthorized" in late.content.decode()

    def test_a_form_without_a_user_is_an_error(self, browser: Browser) -> None:
        assert enter(browser, "nobody").status_code == 400

    def test_a_form_of_another_site_is_refused(self, browser: Browser) -> None:
        page = auth(browser)

        assert browser.post("/login?" + page.request["QUERY_STRING"], {"subject": "amber"}).status_code == 403

    def test_form_post_returns_the_code_in_a_form(self, browser: Browser) -> None:
        page = enter(browser, response_mode="form_post")

        (form,) = elements(page, "form")
        assert dict(form.attributes)["action"] == CALLBACK
        assert {dict(i.attributes)["name"] for i in elements(page, "input")} == {"code", "scope", "state"}

    def test_form_post_returns_an_error_in_a_form(self, browser: Browser) -> None:
        page = auth(browser, response_mode="form_post", prompt="none")

        sent = {dict(i.attributes)["name"]: dict(i.attributes)["value"] for i in elements(page, "input")}
        assert (sent["error"], sent["state"]) == ("login_required", VALID["state"])


class TestSignOut:
    @pytest.fixture
    def hint(self, provider: Provider, amber: LoginSession) -> str:
        return provider.id_token(amber, "site")

    @pytest.fixture(autouse=True)
    def _site(self, provider: Provider, receiver: Receiver) -> None:
        """The site's back-channel is a socket here. It has no front-channel."""
        provider.register(
            Client(
                "site",
                client_name="the site",
                client_uri="http://rp.example",
                redirect_uris=[CALLBACK],
                post_logout_redirect_uris=[LOGGED_OUT],
                backchannel_logout_uri=receiver.url + "/out/",
            )
        )

    def log_out(self, browser: Browser, **query: str) -> Any:
        """Follow the redirect of the endpoint to the question page."""
        return browser.open("/oauth2/sessions/logout", query)

    def test_the_user_confirms_and_the_browser_returns(
        self, browser: Browser, provider: Provider, receiver: Receiver, hint: str, face: ProviderSite
    ) -> None:
        page = self.log_out(browser, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT, state="st")
        assert "the site</strong> asks to sign out" in page.content.decode()
        assert provider.login_sessions

        response = browser.press(page, accept="1")

        assert response["Location"] == LOGGED_OUT + "?state=st"
        assert browser.cookies[SESSION_COOKIE].value == ""
        assert not provider.login_sessions
        _eventually(lambda: [report.attempts for report in face.backchannel.reports] == [[200]])
        assert list(receiver.received[0].form) == ["logout_token"]

    def test_a_post_from_the_site_works_without_cookie_and_csrf_token(self, browser: Browser, hint: str) -> None:
        response = browser.post("/oauth2/sessions/logout", {"id_token_hint": hint})

        assert response["Location"].startswith("http://127.0.0.1:4444/logout?logout_challenge=")

    def test_the_user_can_refuse_the_logout(self, browser: Browser, provider: Provider, hint: str) -> None:
        page = browser.press(self.log_out(browser, id_token_hint=hint), reject="1")

        assert "You are still signed in" in page.content.decode()
        assert 'href="http://rp.example"' in page.content.decode()
        assert provider.login_sessions

    def test_a_logout_at_the_provider_ends_at_the_signed_out_page(self, browser: Browser) -> None:
        enter(browser)

        page = self.log_out(browser)
        assert "You are signed in as" in page.content.decode()

        assert "You are signed out" in browser.press(page, accept="1").content.decode()

    def test_without_a_cookie_there_is_no_question(self, browser: Browser) -> None:
        assert "You are signed out" in self.log_out(browser).content.decode()

    def test_an_error_ends_at_the_error_page(self, browser: Browser) -> None:
        page = self.log_out(browser, state="st")

        assert page.status_code == 400
        assert "id_token_hint is missing" in page.content.decode()

    def test_a_client_can_skip_the_question(
        self, browser: Browser, provider: Provider, hint: str, face: ProviderSite
    ) -> None:
        browser.switch("client", client_id="site", skip_logout_consent=True, backchannel_logout_uri=None)

        page = self.log_out(browser, id_token_hint=hint)

        assert "You are signed out" in page.content.decode()
        assert not provider.login_sessions
        assert not face.backchannel.reports

    def test_a_front_channel_is_a_page_of_hidden_frames(
        self, browser: Browser, provider: Provider, amber: LoginSession, hint: str
    ) -> None:
        browser.switch(
            "client", client_id="site", frontchannel_logout_uri="http://rp.example/out", backchannel_logout_uri=""
        )

        page = browser.press(
            self.log_out(browser, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT, state="st"), accept="1"
        )

        (frame,) = elements(page, "iframe")
        assert (
            dict(frame.attributes)["src"] == f"http://rp.example/out?iss=http%3A%2F%2F127.0.0.1%3A4444&sid={amber.sid}"
        )
        assert page["Refresh"] == f"7; url={LOGGED_OUT}?state=st"
        assert escape(LOGGED_OUT + "?state=st") in page.content.decode()
        assert page.cookies[SESSION_COOKIE].value == ""


class TestHome:
    def test_it_lists_login_sessions_with_their_sid(self, browser: Browser, amber: LoginSession) -> None:
        text = browser.get("/").content.decode()

        assert amber.sid in text
        assert "08:00:00" in text

    def test_it_marks_logins_whose_logout_sends_no_notice(self, browser: Browser, provider: Provider) -> None:
        provider.sign_in("amber", remember=False)

        assert "a logout sends no notices" in browser.get("/").content.decode()

    @pytest.mark.parametrize(("field", "left"), [("sid", 1), ("subject", 0)])
    def test_buttons_end_one_session_or_all_of_a_subject(
        self, browser: Browser, provider: Provider, receiver: Receiver, field: str, left: int
    ) -> None:
        provider.register(Client("site", backchannel_logout_uri=receiver.url))
        provider.sign_in("amber", "site")
        page = browser.get("/")
        amber = provider.sign_in("amber", "site")

        browser.press(page, **{field: amber.sid if field == "sid" else "amber"})

        assert len(provider.login_sessions) == left
        assert len(receiver.received) == 1
        assert re.search(r"<td\s*>200</td>", browser.get("/").content.decode())

    def test_a_form_of_another_site_is_refused(self, browser: Browser, amber: LoginSession) -> None:
        assert browser.post("/end", {"sid": amber.sid}).status_code == 403


class TestSwitches:
    @pytest.fixture(autouse=True)
    def _site(self, provider: Provider, receiver: Receiver) -> None:
        provider.register(
            Client(
                "site", token_endpoint_auth_method="none", redirect_uris=[CALLBACK], backchannel_logout_uri=receiver.url
            )
        )

    def test_sessions_are_listed(self, browser: Browser, amber: LoginSession) -> None:
        (listed,) = browser.get("/testing/sessions").json()["sessions"]

        assert listed == {
            "sid": amber.sid,
            "subject": "amber",
            "auth_time": 1_800_000_000,
            "remembered": True,
            "identity_provider_session_id": "",
            "clients": ["site"],
        }

    @pytest.mark.parametrize("by", ["sid", "sub"])
    def test_end_sends_notices_and_returns_the_answers(
        self, browser: Browser, receiver: Receiver, amber: LoginSession, by: str
    ) -> None:
        receiver.answers = [(400, {})]

        told = browser.switch("end", **{by: amber.sid if by == "sid" else "amber"})

        expected = {"deliveries": [{"client_id": "site", "url": receiver.url, "attempts": [400]}]}
        assert told == expected
        assert browser.get("/testing/reports").json() == expected

    @pytest.mark.parametrize("by", ["sid", "sub"])
    def test_overtake_sends_notices_before_the_tokens(
        self, browser: Browser, provider: Provider, receiver: Receiver, by: str
    ) -> None:
        browser.switch("overtake", by=by)
        code = query_of(auth(browser, login_hint="amber", auto="1", code_challenge="", code_challenge_method=""))[
            "code"
        ]
        assert not receiver.received

        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": "site"}
        response = browser.post("/oauth2/token", form)

        assert response.status_code == 200
        assert len(receiver.received) == 1
        assert not provider.login_sessions

    def test_a_logout_token_is_available_without_a_logout(
        self, browser: Browser, provider: Provider, amber: LoginSession
    ) -> None:
        told = browser.switch("logout-token", client_id="site", sid=amber.sid, sub="amber")

        assert told["logout_token"].count(".") == 2
        assert amber.sid in provider.login_sessions

    @pytest.mark.parametrize(("withdraw", "kept"), [(False, 2), (True, 1)])
    def test_keys_can_be_rotated(self, browser: Browser, provider: Provider, withdraw: bool, kept: int) -> None:
        told = browser.switch("rotate-keys", withdraw=withdraw)

        assert provider.signing_key().kid == told["kid"]
        assert len(provider.jwks()["keys"]) == kept

    def test_a_fault_stops_a_path_until_it_is_removed(self, browser: Browser) -> None:
        browser.switch("fault", path="/userinfo", status=503)
        assert browser.get("/userinfo").status_code == 503

        browser.switch("fault", path="/userinfo", status=None)

        assert browser.get("/userinfo").status_code == 401

    def test_a_switch_refuses_get(self, browser: Browser) -> None:
        assert browser.get("/testing/end").status_code == 405

    def test_a_switch_refuses_forms_of_other_sites(self, browser: Browser, amber: LoginSession) -> None:
        response = browser.post("/testing/end", f'{{"sid": "{amber.sid}"}}', content_type="text/plain")

        assert response.status_code == 415


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
