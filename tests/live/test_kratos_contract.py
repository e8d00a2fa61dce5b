"""Facts about Ory Kratos, one fact for each test. They run against any running Kratos (see ``conftest.py``).

The docstring is the fact. The default identity schema must have ``email`` as identifier for a password, and the methods
``password`` and ``totp`` must be on. A test that needs more skips with a reason.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests

from django_ory_logout.exceptions import KratosError, SecondFactorRequired

from .kratos import COOKIE_NAME, JSON, PAGE, Kratos, KratosBrowser, Native, User, node, set_cookies
from .parties import TIMEOUT, query_of

pytestmark = pytest.mark.live

NOBODY = "No valid session credentials found in the request."
UNDECODABLE = {"Cookie": f"{COOKIE_NAME}=_{uuid4()}"}
EVIL = "https://evil.example/"
#: Endpoints and request headers for JSON and for pages.
ASKS_FOR_JSON = [
    "application/json",
    "application/json, text/plain, */*",
    "*/*, application/json",
    "application/*",
    "text/html;q=0.9, application/json",
]
ASKS_FOR_A_PAGE = [
    "*/*",
    "text/html",
    "text/plain, */*",
    "text/html, application/json",
    "application/json;q=0.5, */*",
    "application/json; charset=utf-8",
    PAGE["Accept"],
]


def error(response: requests.Response) -> dict[str, Any]:
    return dict(response.json()["error"])


def error_id(response: requests.Response) -> tuple[int, str | None]:
    return response.status_code, error(response).get("id")


def bearer(native: Native) -> dict[str, str]:
    return {"Authorization": f"Bearer {native.token}"}


def token(native: Native) -> dict[str, str]:
    return {"X-Session-Token": native.token}


class TestWhoami:
    """``GET /sessions/whoami``"""

    def test_a_cookie_identifies_the_session(self, kratos_browser: KratosBrowser, amber: User) -> None:
        """200, with the identity and its traits."""
        answer = kratos_browser.whoami()

        assert (answer.status_code, answer.json()["id"], answer.json()["active"]) == (
            200,
            kratos_browser.session_id,
            True,
        )
        assert (answer.json()["identity"]["id"], answer.json()["identity"]["traits"]["email"]) == (
            amber.id,
            amber.email,
        )
        assert answer.headers["X-Kratos-Authenticated-Identity-Id"] == amber.id
        assert answer.json()["authenticator_assurance_level"] == "aal1"
        assert "no-store" in answer.headers["Cache-Control"]

    @pytest.mark.parametrize("credential", [token, bearer])
    def test_a_token_identifies_the_session(
        self, kratos: Kratos, native: Native, credential: Callable[[Native], dict[str, str]]
    ) -> None:
        """In ``X-Session-Token`` or as Bearer."""
        answer = kratos.call("GET", "/sessions/whoami", headers=credential(native))

        assert (answer.status_code, answer.json()["id"]) == (200, native.session_id)

    @pytest.mark.parametrize(
        "headers",
        [{}, UNDECODABLE, {"X-Session-Token": f"ory_st_{uuid4().hex}"}, {"Authorization": "Bearer x"}],
        ids=["nothing", "undecodable cookie", "unknown token", "unknown bearer"],
    )
    def test_a_request_without_a_session_is_refused(self, kratos: Kratos, headers: dict[str, str]) -> None:
        """401 with an error that has no ``id``, whatever is wrong."""
        answer = kratos.call("GET", "/sessions/whoami", headers={**JSON, **headers})

        assert (answer.status_code, error(answer).get("id"), error(answer)["reason"]) == (401, None, NOBODY)

    def test_an_ended_session_is_refused_with_the_same_error(self, kratos: Kratos, native: Native) -> None:
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        assert (native.whoami().status_code, error(native.whoami())["reason"]) == (401, NOBODY)

    @pytest.mark.parametrize("accept", [*ASKS_FOR_JSON, *ASKS_FOR_A_PAGE])
    def test_the_answer_is_always_json(self, kratos: Kratos, accept: str) -> None:
        """A browser gets 401 too."""
        answer = kratos.call("GET", "/sessions/whoami", headers={"Accept": accept})

        assert (answer.status_code, error(answer)["reason"]) == (401, NOBODY)

    def test_a_bad_token_wins_over_a_good_cookie(self, kratos_browser: KratosBrowser) -> None:
        """401. An empty token counts as none."""
        assert kratos_browser.whoami(**{"X-Session-Token": "x"}).status_code == 401
        assert kratos_browser.whoami(**{"X-Session-Token": ""}).status_code == 200

    def test_a_good_cookie_wins_over_a_bad_bearer(self, kratos_browser: KratosBrowser) -> None:
        assert kratos_browser.whoami(Authorization="Bearer x").status_code == 200

    def test_the_cookie_comes_before_bearer_and_after_x_session_token(
        self, kratos: Kratos, kratos_browser: KratosBrowser, birch: User
    ) -> None:
        other = Native(kratos, birch)
        headers = kratos_browser.cookie_header

        of_bearer = kratos.call("GET", "/sessions/whoami", headers={**headers, **bearer(other)})
        of_token = kratos.call("GET", "/sessions/whoami", headers={**headers, **token(other)})

        assert (of_bearer.json()["id"], of_token.json()["id"]) == (kratos_browser.session_id, other.session_id)

    def test_the_cookie_of_an_ended_session_wins_over_a_good_bearer(
        self, kratos: Kratos, kratos_browser: KratosBrowser, native: Native
    ) -> None:
        """401."""
        kratos.manage("DELETE", f"/sessions/{kratos_browser.session_id}")

        assert kratos_browser.whoami(**bearer(native)).status_code == 401

    @pytest.mark.parametrize("credential", [token, bearer])
    def test_an_undecodable_cookie_with_a_good_token_is_a_fault(
        self, kratos: Kratos, native: Native, credential: Callable[[Native], dict[str, str]]
    ) -> None:
        """500."""
        answer = kratos.call("GET", "/sessions/whoami", headers={**credential(native), **UNDECODABLE})

        assert (answer.status_code, "securecookie" in error(answer)["message"]) == (500, True)

    def test_the_first_of_two_cookies_counts(self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User) -> None:
        dead = KratosBrowser(kratos).sign_in(amber)
        kratos.manage("DELETE", f"/sessions/{dead.session_id}")
        pairs = [f"{COOKIE_NAME}={browser.cookie}" for browser in (dead, kratos_browser)]

        answers = [
            kratos.call("GET", "/sessions/whoami", headers={"Cookie": "; ".join(order)}).status_code
            for order in (pairs, reversed(pairs))
        ]

        assert answers == [401, 200]

    def test_an_unknown_tokenizer_is_refused(self, kratos_browser: KratosBrowser) -> None:
        """400."""
        assert kratos_browser.get("/sessions/whoami", tokenize_as=f"none-{uuid4()}").status_code == 400

    def test_an_older_cookie_is_accepted_and_renewed(
        self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User
    ) -> None:
        """If the session was prolonged elsewhere, the answer sets the cookie again. Usually it does not."""
        older = kratos_browser.cookie_header
        assert not set_cookies(kratos_browser.whoami())

        kratos_browser.sign_in(amber, refresh="true")

        answer = kratos.call("GET", "/sessions/whoami", headers=older)
        assert (answer.status_code, COOKIE_NAME in set_cookies(answer)) == (200, True)
        assert COOKIE_NAME not in set_cookies(kratos_browser.whoami())

    def test_head_answers_like_get(self, kratos: Kratos, native: Native) -> None:
        assert kratos.call("HEAD", "/sessions/whoami", headers=token(native)).status_code == 200

    def test_an_inactive_identity_has_no_valid_session_until_it_is_active_again(
        self, kratos: Kratos, native: Native, amber: User
    ) -> None:
        """Its deactivation is no logout. The admin API lists its sessions as active ones that are not active."""

        def put(state: str) -> None:
            patch = [{"op": "replace", "path": "/state", "value": state}]
            assert kratos.manage("PATCH", f"/identities/{amber.id}", json=patch).status_code == 200

        put("inactive")
        refused, listed = native.whoami(), kratos.manage("GET", f"/identities/{amber.id}/sessions?active=true").json()
        put("active")

        assert (refused.status_code, [session["active"] for session in listed]) == (401, [False])
        assert native.whoami().status_code == 200


@pytest.mark.usefixtures("above_aal1")
class TestSecondFactor:
    """``session.whoami.required_aal: highest_available``"""

    def test_a_user_without_one_does_not_need_it(self, kratos_browser: KratosBrowser) -> None:
        assert kratos_browser.whoami().status_code == 200

    def test_whoami_requires_it(self, kratos: Kratos, amber: User) -> None:
        """403 with the URL for the browser. A token gets the same answer."""
        amber.enroll(kratos)
        kratos_browser = KratosBrowser(kratos).sign_in(amber)

        answers = [
            kratos_browser.whoami(),
            Native(kratos, amber).whoami(),
            kratos_browser.get("/sessions/whoami", PAGE),
        ]

        assert [error_id(answer) for answer in answers] == [(403, "session_aal2_required")] * 3
        url = answers[0].json()["redirect_browser_to"]
        assert (url, query_of(url)) == (f"{kratos.public_url}/self-service/login/browser?aal=aal2", {"aal": "aal2"})

    def test_my_sessions_requires_it_too(self, kratos: Kratos, amber: User) -> None:
        amber.enroll(kratos)

        assert error_id(KratosBrowser(kratos).sign_in(amber).get("/sessions")) == (403, "session_aal2_required")

    def test_the_sign_in_of_a_browser_names_the_next_url(self, kratos: Kratos, amber: User) -> None:
        """422, although the session has started and its cookie is set."""
        amber.enroll(kratos)
        kratos_browser = KratosBrowser(kratos)

        answer = kratos_browser.try_to_sign_in(amber)

        assert error_id(answer) == (422, "browser_location_change_required")
        assert query_of(answer.json()["redirect_browser_to"])["aal"] == "aal2"
        assert (COOKIE_NAME in set_cookies(answer), kratos_browser.whoami().status_code) == (True, 403)

    def test_it_raises_the_level_of_the_same_session(self, kratos: Kratos, amber: User) -> None:
        """Its id and logout token stay, and its cookie is new. The earlier cookie works too."""
        amber.enroll(kratos)
        kratos_browser = KratosBrowser(kratos).sign_in(amber)
        before, logout_token = kratos_browser.cookie_header, kratos_browser.logout_token()

        assert kratos_browser.step_up(amber).status_code == 200

        raised = kratos_browser.whoami().json()
        assert (raised["id"], raised["authenticator_assurance_level"]) == (kratos_browser.session_id, "aal2")
        assert (kratos_browser.logout_token(), kratos_browser.cookie_header == before) == (logout_token, False)
        assert kratos.call("GET", "/sessions/whoami", headers=before).status_code == 200

    def test_a_wrong_code_is_refused(self, kratos: Kratos, amber: User) -> None:
        """400, with the flow again."""
        amber.enroll(kratos)
        kratos_browser = KratosBrowser(kratos).sign_in(amber)
        flow = kratos_browser.get("/self-service/login/browser", aal="aal2").json()

        answer = kratos_browser.submit(flow, {"method": "totp", "totp_code": "00000x"})

        assert (answer.status_code, answer.json()["ui"]["messages"][0]["id"]) == (400, 4000008)

    def test_its_code_without_the_first_factor_is_refused(self, kratos: Kratos, amber: User) -> None:
        """401."""
        amber.enroll(kratos)
        kratos_browser = KratosBrowser(kratos).sign_in(amber)
        flow = kratos_browser.get("/self-service/login/browser", aal="aal2").json()
        kratos.manage("DELETE", f"/identities/{amber.id}/sessions")

        assert error_id(kratos_browser.submit(flow, amber.second_proof)) == (401, "session_aal1_required")

    def test_logout_does_not_require_it(self, kratos: Kratos, amber: User) -> None:
        """The end of other sessions does not either, even if they have a higher level."""
        raised = amber.enroll(kratos)
        kratos_browser, other = KratosBrowser(kratos).sign_in(amber), Native(kratos, amber)

        assert kratos_browser.delete(f"/sessions/{raised.session_id}").status_code == 204
        assert kratos_browser.delete("/sessions").status_code == 200
        assert kratos_browser.get("/self-service/logout", token=kratos_browser.logout_token()).status_code == 204
        assert other.log_out().status_code == 204

    def test_our_client_names_the_next_url(self, kratos: Kratos, amber: User) -> None:
        amber.enroll(kratos)

        with pytest.raises(SecondFactorRequired):
            kratos.public.whoami(Native(kratos, amber).credential)


class TestSignIn:
    """``/self-service/login``"""

    def test_the_cookie_is_for_the_whole_site_and_not_for_scripts(self, kratos_browser: KratosBrowser) -> None:
        """``Lax``."""
        attributes = [attribute.strip() for attribute in kratos_browser.set_cookie.split(";")[1:]]

        assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(attributes)

    def test_a_second_sign_in_is_another_session(
        self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User
    ) -> None:
        """In a browser without the cookie. The first session continues."""
        other = KratosBrowser(kratos).sign_in(amber)

        assert other.session_id != kratos_browser.session_id
        assert kratos_browser.whoami().status_code == 200

    def test_a_sign_in_with_refresh_is_the_same_session(self, kratos_browser: KratosBrowser, amber: User) -> None:
        """Its id and logout token stay. ``authenticated_at`` changes, ``issued_at`` does not."""
        before, logout_token, session_id = (
            kratos_browser.whoami().json(),
            kratos_browser.logout_token(),
            kratos_browser.session_id,
        )

        after = kratos_browser.sign_in(amber, refresh="true").whoami().json()

        assert (after["id"], kratos_browser.logout_token(), after["issued_at"]) == (
            session_id,
            logout_token,
            before["issued_at"],
        )
        assert after["authenticated_at"] > before["authenticated_at"]

    def test_another_user_gets_a_new_session_and_the_first_continues(
        self, kratos: Kratos, kratos_browser: KratosBrowser, birch: User
    ) -> None:
        """No browser has the first session's cookie any more."""
        first = kratos_browser.session_id

        kratos_browser.sign_in(birch, refresh="true")

        assert (kratos_browser.whoami().json()["identity"]["id"], kratos.is_active(first)) == (birch.id, True)

    def test_a_signed_in_user_gets_no_flow(self, kratos_browser: KratosBrowser) -> None:
        """400 for JSON. A browser is redirected to its target."""
        inside = f"{kratos_browser.kratos.public_url}/self-service/login/browser?refresh=true"

        assert error_id(kratos_browser.get("/self-service/login/browser")) == (400, "session_already_available")
        sent = kratos_browser.get("/self-service/login/browser", PAGE, return_to=inside)
        assert (sent.status_code, sent.headers["Location"]) == (303, inside)

    def test_a_browser_is_redirected_to_the_login_page(self, kratos: Kratos, amber: User) -> None:
        """With the flow, whose form redirects with 303."""
        kratos_browser = KratosBrowser(kratos)
        inside = f"{kratos.public_url}/self-service/login/browser?refresh=true"

        asked = kratos_browser.get("/self-service/login/browser", PAGE, return_to=inside)
        signed_in = kratos_browser.answer_login_page(asked.headers["Location"], amber)

        assert (asked.status_code, signed_in.status_code, signed_in.headers["Location"]) == (303, 303, inside)
        assert kratos_browser.whoami().json()["identity"]["id"] == amber.id

    def test_a_wrong_password_is_refused(self, kratos: Kratos, amber: User) -> None:
        """400, with the flow again."""
        amber.password = "wrong"

        answer = KratosBrowser(kratos).try_to_sign_in(amber)

        assert (answer.status_code, answer.json()["ui"]["messages"][0]["id"]) == (400, 4000006)

    def test_a_flow_belongs_to_one_browser(self, kratos: Kratos, amber: User) -> None:
        """Another browser can neither read nor answer it."""
        flow = KratosBrowser(kratos).get("/self-service/login/browser").json()
        other = KratosBrowser(kratos)
        other.get("/self-service/login/browser")

        read = other.get("/self-service/login/flows", id=flow["id"])

        assert error_id(read) == (403, "security_csrf_violation")
        assert error_id(other.submit(flow, amber.proof)) == (403, "security_csrf_violation")

    def test_a_wrong_password_in_a_form_redirects_to_the_login_page(self, kratos: Kratos, amber: User) -> None:
        """303, to the same flow with an error message."""
        kratos_browser = KratosBrowser(kratos)
        page = kratos_browser.get("/self-service/login/browser", PAGE).headers["Location"]
        amber.password = "wrong"

        answer = kratos_browser.answer_login_page(page, amber)

        assert (answer.status_code, answer.headers["Location"]) == (303, page)
        shown = kratos_browser.get("/self-service/login/flows", id=query_of(page)["flow"]).json()
        assert shown["ui"]["messages"][0]["id"] == 4000006

    def test_an_answer_of_a_signed_in_user_is_refused(self, kratos: Kratos, amber: User) -> None:
        """400, and a form redirects to the default URL. A session token counts as well."""
        kratos_browser, native = KratosBrowser(kratos), Native(kratos, amber)
        flow = kratos_browser.get("/self-service/login/browser").json()

        answer = kratos_browser.submit(flow, amber.proof, {**JSON, **token(native)})
        form = kratos_browser.submit(flow, amber.proof, {**PAGE, **token(native)})

        assert (answer.status_code, answer.json()["ui"]["messages"][0]["id"]) == (400, 4000001)
        assert (form.status_code, COOKIE_NAME in set_cookies(form)) == (303, False)

    def test_a_flow_needs_its_csrf_token(self, kratos: Kratos, amber: User) -> None:
        """403 if the browser itself sends another token."""
        kratos_browser = KratosBrowser(kratos)
        flow = kratos_browser.get("/self-service/login/browser").json()

        answer = kratos_browser.submit(flow, {**amber.proof, "csrf_token": "x"})

        assert error_id(answer) == (403, "security_csrf_violation")

    def test_an_unknown_flow_is_not_found(self, kratos: Kratos) -> None:
        """404. A request without a flow gets 400."""
        kratos_browser = KratosBrowser(kratos)

        assert kratos_browser.get("/self-service/login/flows", id=str(uuid4())).status_code == 404
        answers = [kratos.call("POST", f"/self-service/login{query}", json={}) for query in (f"?flow={uuid4()}", "")]
        assert [answer.status_code for answer in answers] == [404, 400]

    def test_an_unknown_level_is_refused(self, kratos: Kratos) -> None:
        """400."""
        assert kratos.call("GET", "/self-service/login/browser?aal=aal9").status_code == 400

    @pytest.mark.parametrize("kind", ["browser", "api"])
    def test_a_second_factor_needs_a_first_one(self, kratos: Kratos, kind: str) -> None:
        """401."""
        answer = kratos.call("GET", f"/self-service/login/{kind}?aal=aal2")

        assert error_id(answer) == (401, "session_aal1_required")

    def test_a_return_to_that_is_not_allowed_is_refused(self, kratos: Kratos) -> None:
        """400."""
        answer = KratosBrowser(kratos).get("/self-service/login/browser", return_to=EVIL)

        assert error_id(answer) == (400, "self_service_flow_return_to_forbidden")


class TestLogoutFlow:
    """``GET /self-service/logout/browser``"""

    @pytest.mark.parametrize("accept", [*ASKS_FOR_JSON, *ASKS_FOR_A_PAGE])
    def test_a_signed_in_user_gets_json(self, kratos: Kratos, kratos_browser: KratosBrowser, accept: str) -> None:
        """200, with the URL and the token, whatever format is requested."""
        answer = kratos_browser.get("/self-service/logout/browser", {"Accept": accept})

        logout_token = answer.json()["logout_token"]
        assert (answer.status_code, logout_token.startswith("ory_lo_")) == (200, True)
        assert answer.json()["logout_url"] == f"{kratos.public_url}/self-service/logout?token={logout_token}"

    def test_the_token_is_fixed_for_the_session(self, kratos_browser: KratosBrowser) -> None:
        assert kratos_browser.logout_token() == kratos_browser.logout_token()

    @pytest.mark.parametrize("accept", ASKS_FOR_JSON)
    def test_an_anonymous_request_for_json_is_refused(self, kratos: Kratos, accept: str) -> None:
        """401 ``session_inactive``."""
        answer = kratos.call("GET", "/self-service/logout/browser", headers={"Accept": accept})

        assert error_id(answer) == (401, "session_inactive")

    @pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
    def test_the_content_type_can_request_json_too(self, kratos: Kratos, content_type: str) -> None:
        """It must match byte for byte."""
        answer = kratos.call(
            "GET", "/self-service/logout/browser", headers={"Accept": "*/*", "Content-Type": content_type}
        )

        assert answer.status_code == (401 if content_type == "application/json" else 303)

    @pytest.mark.parametrize("accept", ASKS_FOR_A_PAGE)
    def test_an_anonymous_browser_is_redirected_to_the_error_page(self, kratos: Kratos, accept: str) -> None:
        """303. The page reads the error by its id."""
        answer = kratos.call("GET", "/self-service/logout/browser", headers={"Accept": accept})

        assert answer.status_code == 303
        shown = kratos.call("GET", "/self-service/errors", params={"id": query_of(answer.headers["Location"])["id"]})
        assert shown.json()["error"]["id"] == "session_inactive"
        assert kratos.call("GET", f"/self-service/errors?id={uuid4()}").status_code == 404

    def test_return_to_is_part_of_the_url(self, kratos: Kratos, kratos_browser: KratosBrowser) -> None:
        """It comes before the token. Kratos' own flows are always allowed."""
        inside = f"{kratos.public_url}/self-service/login/browser"

        flow = kratos_browser.get("/self-service/logout/browser", return_to=inside).json()

        query = f"return_to={quote(inside, safe='')}&token={flow['logout_token']}"
        assert flow["logout_url"] == f"{kratos.public_url}/self-service/logout?{query}"

    def test_a_return_to_that_is_no_url_is_refused(self, kratos_browser: KratosBrowser) -> None:
        """400."""
        assert kratos_browser.get("/self-service/logout/browser", return_to="http://x:y/").status_code == 400

    @pytest.mark.parametrize("url", [EVIL, "/relative", "javascript:alert(1)", "http://127.0.0.1:1@evil.example/"])
    def test_a_return_to_that_is_not_allowed_is_refused(self, kratos_browser: KratosBrowser, url: str) -> None:
        """400, and a 303 to the error page if a page is requested."""
        refused = kratos_browser.get("/self-service/logout/browser", return_to=url)
        sent = kratos_browser.get("/self-service/logout/browser", PAGE, return_to=url)

        assert error_id(refused) == (400, "self_service_flow_return_to_forbidden")
        assert (sent.status_code, list(query_of(sent.headers["Location"]))) == (303, ["id"])


class TestLogout:
    """``GET /self-service/logout?token=``"""

    def test_an_ajax_logout_gets_204_and_deletes_the_cookie(
        self, kratos: Kratos, kratos_browser: KratosBrowser
    ) -> None:
        """The record stays, inactive."""
        answer = kratos_browser.get("/self-service/logout", token=kratos_browser.logout_token())

        assert (answer.status_code, answer.content) == (204, b"")
        cleared = set_cookies(answer)[COOKIE_NAME]
        assert ("Max-Age=0" in cleared, "Path=/" in cleared) == (True, True)
        assert (kratos_browser.whoami().status_code, kratos.is_active(kratos_browser.session_id)) == (401, False)

    def test_a_browser_is_redirected_to_return_to(self, kratos: Kratos, kratos_browser: KratosBrowser) -> None:
        """303. The cookie is deleted too."""
        inside = f"{kratos.public_url}/self-service/login/browser"
        flow = kratos_browser.get("/self-service/logout/browser", return_to=inside).json()

        answer = kratos_browser.get(flow["logout_url"], PAGE)

        assert (answer.status_code, answer.headers["Location"]) == (303, inside)
        assert "Max-Age=0" in set_cookies(answer)[COOKIE_NAME]

    def test_a_request_for_any_format_is_redirected_too(self, kratos_browser: KratosBrowser) -> None:
        """``*/*``: 303 to the default URL."""
        answer = kratos_browser.get("/self-service/logout", {"Accept": "*/*"}, token=kratos_browser.logout_token())

        assert (answer.status_code, kratos_browser.whoami().status_code) == (303, 401)

    def test_a_missing_token_is_refused(self, kratos: Kratos, kratos_browser: KratosBrowser) -> None:
        """400, even without a session."""
        assert kratos_browser.get("/self-service/logout").status_code == 400
        assert kratos_browser.get("/self-service/logout", token="").status_code == 400
        assert kratos.call("GET", "/self-service/logout").status_code == 400

    def test_a_missing_session_is_refused(self, kratos: Kratos, kratos_browser: KratosBrowser) -> None:
        """401."""
        answer = kratos.call("GET", f"/self-service/logout?token={kratos_browser.logout_token()}")

        assert error_id(answer) == (401, "session_inactive")

    def test_a_second_logout_is_refused_and_the_old_cookie_stays(
        self, kratos: Kratos, kratos_browser: KratosBrowser
    ) -> None:
        """401. A browser ends at the error page, not at ``return_to``."""
        cookie, path = kratos_browser.cookie_header, f"/self-service/logout?token={kratos_browser.logout_token()}"
        kratos_browser.get(path)

        again = kratos.call("GET", path, headers={**JSON, **cookie})
        page = kratos.call("GET", path, headers={**PAGE, **cookie})

        assert (error_id(again), COOKIE_NAME in set_cookies(again)) == ((401, "session_inactive"), False)
        assert (page.status_code, list(query_of(page.headers["Location"]))) == (303, ["id"])

    def test_the_token_of_another_session_is_refused(
        self, kratos: Kratos, kratos_browser: KratosBrowser, birch: User
    ) -> None:
        """403, and both sessions continue."""
        other = KratosBrowser(kratos).sign_in(birch)

        answer = kratos_browser.get("/self-service/logout", token=other.logout_token())

        assert (answer.status_code, kratos_browser.whoami().status_code, other.whoami().status_code) == (403, 200, 200)

    @pytest.mark.parametrize("headers", [JSON, PAGE], ids=["json", "page"])
    def test_a_forbidden_return_to_after_the_session_has_ended_is_refused(
        self, kratos_browser: KratosBrowser, headers: dict[str, str]
    ) -> None:
        """400 or the error page, but the cookie is deleted."""
        answer = kratos_browser.get(
            "/self-service/logout", headers, token=kratos_browser.logout_token(), return_to=EVIL
        )

        assert answer.status_code == (400 if headers is JSON else 303)
        assert EVIL not in answer.headers.get("Location", "")
        assert "Max-Age=0" in set_cookies(answer)[COOKIE_NAME]
        assert kratos_browser.whoami().status_code == 401

    def test_a_session_token_alone_ends_nothing(self, native: Native) -> None:
        """204, and the session continues."""
        logout_token = native.call("GET", "/self-service/logout/browser").json()["logout_token"]

        answer = native.call("GET", f"/self-service/logout?token={logout_token}")

        assert (answer.status_code, native.whoami().status_code) == (204, 200)

    def test_a_bearer_token_alone_ends_its_session(self, kratos: Kratos, native: Native) -> None:
        headers = {**JSON, **bearer(native)}
        logout_token = kratos.call("GET", "/self-service/logout/browser", headers=headers).json()["logout_token"]

        answer = kratos.call("GET", f"/self-service/logout?token={logout_token}", headers=headers)

        assert (answer.status_code, native.whoami().status_code) == (204, 401)
        assert COOKIE_NAME not in set_cookies(answer)

    def test_a_bearer_token_with_a_cookie_ends_its_own_session(
        self, kratos: Kratos, kratos_browser: KratosBrowser, birch: User
    ) -> None:
        """That is the wrong one: 204 for the cookie's token, and the cookie's session continues."""
        other = Native(kratos, birch)

        answer = kratos_browser.get(
            f"/self-service/logout?token={kratos_browser.logout_token()}", {**JSON, **bearer(other)}
        )

        assert (answer.status_code, kratos_browser.whoami().status_code, other.whoami().status_code) == (204, 200, 401)

    def test_a_session_token_with_a_cookie_decides_which_logout_token_is_valid(
        self, kratos: Kratos, kratos_browser: KratosBrowser, birch: User
    ) -> None:
        """The cookie's logout token is refused. With the token's own one, the session of the cookie ends."""
        other = Native(kratos, birch)
        headers = {**JSON, **token(other)}
        own = other.call("GET", "/self-service/logout/browser").json()["logout_token"]

        refused = kratos_browser.get(f"/self-service/logout?token={kratos_browser.logout_token()}", headers)
        answer = kratos_browser.get(f"/self-service/logout?token={own}", headers)

        assert (refused.status_code, answer.status_code) == (403, 204)
        assert (kratos.is_active(kratos_browser.session_id), kratos.is_active(other.session_id)) == (False, True)

    def test_head_logs_out(self, kratos_browser: KratosBrowser, kratos: Kratos) -> None:
        path, headers = (
            f"/self-service/logout?token={kratos_browser.logout_token()}",
            {**JSON, **kratos_browser.cookie_header},
        )

        assert kratos.call("HEAD", path, headers=headers).status_code == 204
        assert not kratos.is_active(kratos_browser.session_id)

    def test_a_session_that_ended_elsewhere_is_refused(self, kratos: Kratos, kratos_browser: KratosBrowser) -> None:
        """401."""
        logout_token = kratos_browser.logout_token()
        kratos.manage("DELETE", f"/sessions/{kratos_browser.session_id}")

        answer = kratos_browser.get("/self-service/logout", token=logout_token)

        assert error_id(answer) == (401, "session_inactive")


class TestNativeLogout:
    """``DELETE /self-service/logout/api``"""

    def test_it_can_be_repeated(self, native: Native) -> None:
        """204."""
        assert [native.log_out().status_code for _ in range(3)] == [204, 204, 204]
        assert native.whoami().status_code == 401

    def test_a_session_that_ended_elsewhere_is_a_success(self, kratos: Kratos, native: Native) -> None:
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        assert native.log_out().status_code == 204

    def test_a_deleted_session_is_refused(self, kratos: Kratos, native: Native, amber: User) -> None:
        """403."""
        kratos.manage("DELETE", f"/identities/{amber.id}/sessions")

        assert native.log_out().status_code == 403

    @pytest.mark.parametrize("body", [{"session_token": "ory_st_x"}, {"session_token": ""}, {}])
    def test_an_unknown_or_missing_token_is_refused(self, kratos: Kratos, body: dict[str, str]) -> None:
        """403."""
        assert kratos.call("DELETE", "/self-service/logout/api", json=body).status_code == 403

    @pytest.mark.parametrize(
        ("content_type", "data"),
        [("application/json", ""), ("application/json", "{"), ("application/json", '{"session_token": 1}')],
        ids=["no body", "not JSON", "a number"],
    )
    def test_another_document_is_refused(self, kratos: Kratos, content_type: str, data: str) -> None:
        """400."""
        headers = {**JSON, "Content-Type": content_type}

        assert kratos.call("DELETE", "/self-service/logout/api", data=data, headers=headers).status_code == 400

    @pytest.mark.parametrize(
        ("content_type", "status"),
        [
            ("text/plain", 400),
            ("application/x-www-form-urlencoded", 400),
            ("application/json; charset=utf-8", 204),
        ],
    )
    def test_the_content_type_matters(self, kratos: Kratos, native: Native, content_type: str, status: int) -> None:
        data, headers = f'{{"session_token": "{native.token}"}}', {**JSON, "Content-Type": content_type}

        answer = kratos.call("DELETE", "/self-service/logout/api", data=data, headers=headers)

        assert answer.status_code == status

    def test_a_cookie_does_not_matter(self, kratos: Kratos, kratos_browser: KratosBrowser, native: Native) -> None:
        headers = {**JSON, **kratos_browser.cookie_header}

        answer = kratos.call(
            "DELETE", "/self-service/logout/api", json={"session_token": native.token}, headers=headers
        )

        assert (answer.status_code, kratos_browser.whoami().status_code, native.whoami().status_code) == (204, 200, 401)


class TestMySessions:
    """``/sessions``"""

    def test_the_other_sessions_are_listed_with_the_latest_first(
        self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User
    ) -> None:
        """The list has the active sessions of browsers and native applications."""
        others: list[Native | KratosBrowser] = [
            Native(kratos, amber),
            KratosBrowser(kratos).sign_in(amber),
            Native(kratos, amber),
        ]
        kratos.manage("DELETE", f"/sessions/{others[0].session_id}")

        answer = kratos_browser.get("/sessions")

        assert [session["id"] for session in answer.json()] == [others[2].session_id, others[1].session_id]
        assert (answer.json()[0]["identity"]["id"], answer.headers["X-Total-Count"]) == (amber.id, "2")

    def test_a_user_without_other_sessions_gets_an_empty_list(self, kratos_browser: KratosBrowser) -> None:
        assert kratos_browser.get("/sessions").json() == []

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize("headers", [JSON, PAGE], ids=["json", "page"])
    def test_a_request_without_a_session_is_refused(self, kratos: Kratos, method: str, headers: dict[str, str]) -> None:
        """401 in JSON, with another error than whoami's."""
        answer = kratos.call(method, "/sessions", headers=headers)

        assert (answer.status_code, error(answer)["reason"]) == (401, "No valid session cookie found.")

    def test_one_session_is_ended(self, kratos: Kratos, kratos_browser: KratosBrowser, native: Native) -> None:
        """204. A second request gets 204 too."""
        answers = [kratos_browser.delete(f"/sessions/{native.session_id}").status_code for _ in range(2)]

        assert (answers, native.whoami().status_code) == ([204, 204], 401)

    def test_a_session_of_another_user_continues(
        self, kratos: Kratos, kratos_browser: KratosBrowser, birch: User
    ) -> None:
        """204, as for an unknown session."""
        other = Native(kratos, birch)

        answers = [
            kratos_browser.delete(f"/sessions/{session_id}").status_code for session_id in (other.session_id, uuid4())
        ]

        assert (answers, other.whoami().status_code) == ([204, 204], 200)

    def test_the_current_session_is_refused(self, kratos_browser: KratosBrowser) -> None:
        """400, and the session continues."""
        answer = kratos_browser.delete(f"/sessions/{kratos_browser.session_id}")

        assert (answer.status_code, error(answer)["message"]) == (400, "cannot revoke current session")
        assert kratos_browser.whoami().status_code == 200

    def test_an_invalid_id_is_refused(self, kratos_browser: KratosBrowser) -> None:
        """400."""
        assert kratos_browser.delete("/sessions/x").status_code == 400

    def test_all_other_sessions_are_ended_and_ended_ones_are_counted_too(
        self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User
    ) -> None:
        """They are counted each time."""
        others = [Native(kratos, amber) for _ in range(3)]
        kratos.manage("DELETE", f"/sessions/{others[0].session_id}")

        counts = [kratos_browser.delete("/sessions").json() for _ in range(2)]

        assert (counts, kratos_browser.whoami().status_code) == ([{"count": 3}] * 2, 200)
        assert [other.whoami().status_code for other in others] == [401] * 3


class TestAdmin:
    """``/admin``"""

    def test_the_sessions_of_an_identity_are_listed_with_the_latest_first(
        self, kratos: Kratos, kratos_browser: KratosBrowser, native: Native, amber: User
    ) -> None:
        """Ended sessions are included, unless ``active`` filters them."""
        later = Native(kratos, amber)
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        listed = {
            query: [session["id"] for session in kratos.manage("GET", f"/identities/{amber.id}/sessions{query}").json()]
            for query in ("", "?active=true", "?active=false")
        }

        assert listed[""] == [later.session_id, native.session_id, kratos_browser.session_id]
        assert listed["?active=true"] == [later.session_id, kratos_browser.session_id]
        assert listed["?active=false"] == [native.session_id]

    def test_an_unknown_identity_has_an_empty_list(self, kratos: Kratos) -> None:
        answer = kratos.manage("GET", f"/identities/{uuid4()}/sessions")

        assert (answer.status_code, answer.json()) == (200, [])

    def test_an_invalid_id_is_refused(self, kratos: Kratos) -> None:
        """400."""
        paths = [("GET", "/identities/x/sessions"), ("DELETE", "/identities/x/sessions"), ("DELETE", "/sessions/x")]

        assert [kratos.manage(*path).status_code for path in paths] == [400] * 3

    def test_an_invalid_value_of_active_is_refused(self, kratos: Kratos, amber: User) -> None:
        """400."""
        assert kratos.manage("GET", f"/identities/{amber.id}/sessions?active=yes").status_code == 400

    def test_pages_start_at_one(self, kratos: Kratos, amber: User) -> None:
        """Page 0 is page 1. After the last page there are empty ones. ``X-Total-Count`` is correct."""
        made = [Native(kratos, amber).session_id for _ in range(5)][::-1]
        path = f"/identities/{amber.id}/sessions?per_page=2"

        pages = [kratos.manage("GET", f"{path}&page={page}") for page in range(5)]

        assert [[session["id"] for session in page.json()] for page in pages] == [
            made[0:2],
            made[0:2],
            made[2:4],
            made[4:5],
            [],
        ]
        assert {page.headers["X-Total-Count"] for page in pages} == {"5"}

    @pytest.mark.parametrize("size", ["per_page", "page_size"])
    def test_the_link_to_the_next_page_repeats_the_first_and_omits_the_last(
        self, kratos: Kratos, amber: User, size: str
    ) -> None:
        """A client that follows it misses the oldest sessions."""
        made = [Native(kratos, amber).session_id for _ in range(5)][::-1]

        listed, path = [], f"/admin/identities/{amber.id}/sessions?{size}=2"
        while path:
            page = kratos.manage("GET", path.removeprefix("/admin"))
            listed.append([session["id"] for session in page.json()])
            path = page.links.get("next", {}).get("url", "")

        assert listed == [made[0:2], made[0:2], made[2:4]]

    def test_the_link_of_an_empty_list_never_ends(self, kratos: Kratos, amber: User) -> None:
        """Each empty page has a next page."""
        path = f"/admin/identities/{amber.id}/sessions"
        for _ in range(3):
            page = kratos.manage("GET", path.removeprefix("/admin"))
            assert page.json() == []
            path = page.links["next"]["url"]

    def test_a_page_has_at_least_one_session(self, kratos: Kratos, amber: User) -> None:
        """``per_page=0`` is 1."""
        made = [Native(kratos, amber).session_id for _ in range(2)]

        listed = kratos.manage("GET", f"/identities/{amber.id}/sessions?per_page=0").json()

        assert [session["id"] for session in listed] == [made[1]]

    def test_a_session_is_ended_and_its_record_stays(self, kratos: Kratos, native: Native) -> None:
        """204. A second request gets 204 too."""
        answers = [kratos.manage("DELETE", f"/sessions/{native.session_id}").status_code for _ in range(2)]

        assert (answers, native.whoami().status_code) == ([204, 204], 401)
        assert not kratos.is_active(native.session_id)

    def test_an_unknown_session_is_not_found(self, kratos: Kratos) -> None:
        """404."""
        assert [kratos.manage(method, f"/sessions/{uuid4()}").status_code for method in ("GET", "DELETE")] == [404, 404]

    def test_one_session_has_no_identity_unless_it_is_requested(self, kratos: Kratos, native: Native) -> None:
        """With ``expand=identity``."""
        path = f"/sessions/{native.session_id}"

        told, expanded = kratos.manage("GET", path).json(), kratos.manage("GET", f"{path}?expand=identity").json()

        assert (told["identity"], told["devices"], expanded["devices"]) == (None, [], [])
        assert expanded["identity"]["id"] == native.whoami().json()["identity"]["id"]
        assert kratos.manage("GET", f"{path}?expand=x").status_code == 400

    def test_all_sessions_are_deleted_and_no_session_is_404(self, kratos: Kratos, native: Native, amber: User) -> None:
        """204, then 404. An unknown identity gets 404 too."""
        path = f"/identities/{amber.id}/sessions"
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        answers = [kratos.manage("DELETE", url).status_code for url in (path, path, f"/identities/{uuid4()}/sessions")]

        assert answers == [204, 404, 404]
        assert kratos.manage("GET", f"/sessions/{native.session_id}").status_code == 404

    def test_a_deleted_identity_loses_its_sessions(self, kratos: Kratos, native: Native, amber: User) -> None:
        assert kratos.manage("DELETE", f"/identities/{amber.id}").status_code == 204

        assert (native.whoami().status_code, kratos.manage("GET", f"/identities/{amber.id}").status_code) == (401, 404)

    def test_an_identity_is_found_by_its_identifier(self, kratos: Kratos, amber: User) -> None:
        """In upper or lower case. An unknown identifier gives an empty list."""
        found = [
            [
                identity["id"]
                for identity in kratos.manage("GET", "/identities", params={"credentials_identifier": email}).json()
            ]
            for email in (amber.email, amber.email.upper(), f"nobody-{uuid4()}@example.com")
        ]

        assert found == [[amber.id], [amber.id], []]

    def test_an_identifier_belongs_to_one_identity(self, kratos: Kratos, amber: User) -> None:
        """409."""
        given = {
            "schema_id": kratos.manage("GET", f"/identities/{amber.id}").json()["schema_id"],
            "traits": {"email": amber.email},
            "credentials": {"password": {"config": {"password": amber.password}}},
        }

        assert kratos.manage("POST", "/identities", json=given).status_code == 409

    @pytest.mark.parametrize("data", ["{", '{"schema_id": "default", "traits": {}}'])
    def test_an_invalid_identity_is_refused(self, kratos: Kratos, data: str) -> None:
        """400."""
        made = requests.post(
            f"{kratos.admin_url}/admin/identities",
            data,
            headers={"Content-Type": "application/json"},
            timeout=TIMEOUT,
        )

        assert made.status_code == 400

    def test_it_is_ready(self, kratos: Kratos) -> None:
        for url in (kratos.public_url, kratos.admin_url):
            assert requests.get(f"{url}/health/ready", timeout=TIMEOUT).json() == {"status": "ok"}


class TestOurClient:
    """How our client reads the answers."""

    def test_a_session_is_read(self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User) -> None:
        session = kratos.public.whoami(kratos_browser.credential)

        assert (session.id, session.identity.id, session.active) == (kratos_browser.session_id, amber.id, True)
        assert session.identity.traits["email"] == amber.email
        assert session.expires_at
        assert session.authenticated_at
        assert session.expires_at > session.authenticated_at

    def test_a_logout_by_page_works(self, kratos: Kratos, kratos_browser: KratosBrowser) -> None:
        flow = kratos.public.logout_flow(kratos_browser.credential)

        cleared = kratos.public.log_out(kratos_browser.credential, flow.logout_token)

        assert any(line.startswith(f"{COOKIE_NAME}=") and "Max-Age=0" in line for line in cleared)
        with pytest.raises(KratosError, match="session_inactive"):
            kratos.public.whoami(kratos_browser.credential)

    def test_a_native_logout_works(self, kratos: Kratos, native: Native) -> None:
        kratos.public.log_out_natively(native.token)
        kratos.public.log_out_natively(native.token)

        with pytest.raises(KratosError, match="session_unknown"):
            kratos.public.log_out_natively("ory_st_unknown")

    def test_my_sessions_are_listed_and_ended(self, kratos: Kratos, kratos_browser: KratosBrowser, amber: User) -> None:
        public, others = kratos.public, [Native(kratos, amber) for _ in range(2)]

        assert [session.id for session in public.sessions(kratos_browser.credential)] == [
            other.session_id for other in others[::-1]
        ]
        public.end_session(kratos_browser.credential, others[0].session_id)
        assert [session.id for session in public.sessions(kratos_browser.credential)] == [others[1].session_id]
        assert public.end_other_sessions(kratos_browser.credential) == 2
        assert public.sessions(kratos_browser.credential) == []

    def test_all_pages_of_an_identitys_sessions_are_read(self, kratos: Kratos, amber: User) -> None:
        """Each session is listed once, the oldest too."""
        made = [Native(kratos, amber).session_id for _ in range(201)]

        listed = [session.id for session in islice(kratos.admin.sessions(amber.id), 1000)]

        assert listed == made[::-1]

    def test_an_identitys_sessions_are_ended(self, kratos: Kratos, native: Native, amber: User) -> None:
        kratos.admin.end_session(native.session_id)
        kratos.admin.end_sessions(amber.id)
        kratos.admin.end_sessions(amber.id)

        assert list(kratos.admin.sessions(amber.id)) == []


class TestSettings:
    """``/self-service/settings``, where a user adds a second factor."""

    def test_it_needs_a_session(self, kratos: Kratos) -> None:
        """401."""
        assert error_id(kratos.call("GET", "/self-service/settings/api")) == (401, "session_inactive")

    def test_a_wrong_code_is_refused(self, native: Native) -> None:
        """400, and there is no second factor."""
        flow = native.call("GET", "/self-service/settings/api").json()

        answer = requests.post(
            flow["ui"]["action"],
            json={"method": "totp", "totp_code": "00000x"},
            headers=native.headers,
            timeout=TIMEOUT,
        )

        assert answer.status_code == 400
        assert native.whoami().json()["authenticator_assurance_level"] == "aal1"

    def test_the_session_that_added_it_has_the_higher_level(self, kratos: Kratos, amber: User) -> None:
        assert amber.enroll(kratos).whoami().json()["authenticator_assurance_level"] == "aal2"


class TestFlowDocuments:
    """The documents that a login page reads."""

    def test_a_login_flow_says_where_and_how_to_answer(self, kratos: Kratos) -> None:
        flow = KratosBrowser(kratos).get("/self-service/login/browser").json()

        assert flow["ui"]["action"] == f"{kratos.public_url}/self-service/login?flow={flow['id']}"
        assert flow["ui"]["method"] == "POST"
        kinds = {name: node(flow, "name", name)["type"] for name in ("csrf_token", "identifier", "password")}
        assert kinds == {"csrf_token": "hidden", "identifier": "text", "password": "password"}
