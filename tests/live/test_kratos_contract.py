"""What we hold true of Ory Kratos, a fact a test, against any Kratos that is running (see ``conftest.py``).

The docstring is the fact. Its default identity schema has to have ``email``, by which one signs in with a password;
methods ``password`` and ``totp`` are on. What needs more says so where it is skipped.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests

from django_ory_logout.exceptions import KratosError, SecondFactorRequired

from .kratos import COOKIE_NAME, JSON, PAGE, Kratos, Native, Person, Visitor, node, set_cookies
from .parties import TIMEOUT, query_of

pytestmark = pytest.mark.live

NOBODY = "No valid session credentials found in the request."
UNDECODABLE = {"Cookie": f"{COOKIE_NAME}=_{uuid4()}"}
EVIL = "https://evil.example/"
#: Where JSON is asked for, and where a page is.
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

    def test_a_cookie_shows_the_session(self, visitor: Visitor, amber: Person) -> None:
        """200, with the identity and its traits."""
        answer = visitor.whoami()

        assert (answer.status_code, answer.json()["id"], answer.json()["active"]) == (200, visitor.session_id, True)
        assert (answer.json()["identity"]["id"], answer.json()["identity"]["traits"]["email"]) == (
            amber.id,
            amber.email,
        )
        assert answer.headers["X-Kratos-Authenticated-Identity-Id"] == amber.id
        assert answer.json()["authenticator_assurance_level"] == "aal1"
        assert "no-store" in answer.headers["Cache-Control"]

    @pytest.mark.parametrize("credential", [token, bearer])
    def test_a_token_shows_the_session(
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
    def test_nobody_is_refused(self, kratos: Kratos, headers: dict[str, str]) -> None:
        """401 in words that have no ``id``, whatever is wrong."""
        answer = kratos.call("GET", "/sessions/whoami", headers={**JSON, **headers})

        assert (answer.status_code, error(answer).get("id"), error(answer)["reason"]) == (401, None, NOBODY)

    def test_a_session_that_has_ended_is_refused_in_the_same_words(self, kratos: Kratos, native: Native) -> None:
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        assert (native.whoami().status_code, error(native.whoami())["reason"]) == (401, NOBODY)

    @pytest.mark.parametrize("accept", [*ASKS_FOR_JSON, *ASKS_FOR_A_PAGE])
    def test_it_is_always_json(self, kratos: Kratos, accept: str) -> None:
        """401 for a browser too."""
        answer = kratos.call("GET", "/sessions/whoami", headers={"Accept": accept})

        assert (answer.status_code, error(answer)["reason"]) == (401, NOBODY)

    def test_a_bad_token_beats_a_good_cookie(self, visitor: Visitor) -> None:
        """401. An empty one counts as none."""
        assert visitor.whoami(**{"X-Session-Token": "x"}).status_code == 401
        assert visitor.whoami(**{"X-Session-Token": ""}).status_code == 200

    def test_a_good_cookie_beats_a_bad_bearer(self, visitor: Visitor) -> None:
        assert visitor.whoami(Authorization="Bearer x").status_code == 200

    def test_the_cookie_comes_before_bearer_and_after_x_session_token(
        self, kratos: Kratos, visitor: Visitor, birch: Person
    ) -> None:
        other = Native(kratos, birch)
        headers = visitor.cookie_header

        of_bearer = kratos.call("GET", "/sessions/whoami", headers={**headers, **bearer(other)})
        of_token = kratos.call("GET", "/sessions/whoami", headers={**headers, **token(other)})

        assert (of_bearer.json()["id"], of_token.json()["id"]) == (visitor.session_id, other.session_id)

    def test_the_cookie_of_a_dead_session_beats_a_good_bearer(
        self, kratos: Kratos, visitor: Visitor, native: Native
    ) -> None:
        """401."""
        kratos.manage("DELETE", f"/sessions/{visitor.session_id}")

        assert visitor.whoami(**bearer(native)).status_code == 401

    @pytest.mark.parametrize("credential", [token, bearer])
    def test_an_undecodable_cookie_beside_a_good_token_is_a_fault(
        self, kratos: Kratos, native: Native, credential: Callable[[Native], dict[str, str]]
    ) -> None:
        """500."""
        answer = kratos.call("GET", "/sessions/whoami", headers={**credential(native), **UNDECODABLE})

        assert (answer.status_code, "securecookie" in error(answer)["message"]) == (500, True)

    def test_the_first_of_two_cookies_counts(self, kratos: Kratos, visitor: Visitor, amber: Person) -> None:
        dead = Visitor(kratos).sign_in(amber)
        kratos.manage("DELETE", f"/sessions/{dead.session_id}")
        pairs = [f"{COOKIE_NAME}={one.cookie}" for one in (dead, visitor)]

        answers = [
            kratos.call("GET", "/sessions/whoami", headers={"Cookie": "; ".join(order)}).status_code
            for order in (pairs, reversed(pairs))
        ]

        assert answers == [401, 200]

    def test_an_unknown_tokenizer_is_refused(self, visitor: Visitor) -> None:
        """400."""
        assert visitor.get("/sessions/whoami", tokenize_as=f"none-{uuid4()}").status_code == 400

    def test_an_older_cookie_is_good_and_renewed(self, kratos: Kratos, visitor: Visitor, amber: Person) -> None:
        """Where the session was prolonged elsewhere, the answer sets the cookie anew; usually it does not."""
        older = visitor.cookie_header
        assert not set_cookies(visitor.whoami())

        visitor.sign_in(amber, refresh="true")

        answer = kratos.call("GET", "/sessions/whoami", headers=older)
        assert (answer.status_code, COOKIE_NAME in set_cookies(answer)) == (200, True)
        assert COOKIE_NAME not in set_cookies(visitor.whoami())

    def test_head_asks_as_get_does(self, kratos: Kratos, native: Native) -> None:
        assert kratos.call("HEAD", "/sessions/whoami", headers=token(native)).status_code == 200

    def test_of_a_deactivated_identity_no_session_is_good_until_it_is_active_again(
        self, kratos: Kratos, native: Native, amber: Person
    ) -> None:
        """Its deactivation is no logout. The admin API lists its sessions as active ones that are not active."""

        def put(state: str) -> None:
            patch = [{"op": "replace", "path": "/state", "value": state}]
            assert kratos.manage("PATCH", f"/identities/{amber.id}", json=patch).status_code == 200

        put("inactive")
        refused, listed = native.whoami(), kratos.manage("GET", f"/identities/{amber.id}/sessions?active=true").json()
        put("active")

        assert (refused.status_code, [one["active"] for one in listed]) == (401, [False])
        assert native.whoami().status_code == 200


@pytest.mark.usefixtures("above_aal1")
class TestSecondFactor:
    """``session.whoami.required_aal: highest_available``"""

    def test_who_has_none_is_not_asked_for_it(self, visitor: Visitor) -> None:
        assert visitor.whoami().status_code == 200

    def test_whoami_asks_for_it(self, kratos: Kratos, amber: Person) -> None:
        """403, with where to send the browser; a token is answered the same."""
        amber.enroll(kratos)
        visitor = Visitor(kratos).sign_in(amber)

        answers = [visitor.whoami(), Native(kratos, amber).whoami(), visitor.get("/sessions/whoami", PAGE)]

        assert [error_id(one) for one in answers] == [(403, "session_aal2_required")] * 3
        url = answers[0].json()["redirect_browser_to"]
        assert (url, query_of(url)) == (f"{kratos.public_url}/self-service/login/browser?aal=aal2", {"aal": "aal2"})

    def test_so_does_my_sessions(self, kratos: Kratos, amber: Person) -> None:
        amber.enroll(kratos)

        assert error_id(Visitor(kratos).sign_in(amber).get("/sessions")) == (403, "session_aal2_required")

    def test_the_sign_in_of_a_browser_says_where_to_go_on(self, kratos: Kratos, amber: Person) -> None:
        """422, though the session has begun and its cookie is set."""
        amber.enroll(kratos)
        visitor = Visitor(kratos)

        answer = visitor.try_to_sign_in(amber)

        assert error_id(answer) == (422, "browser_location_change_required")
        assert query_of(answer.json()["redirect_browser_to"])["aal"] == "aal2"
        assert (COOKIE_NAME in set_cookies(answer), visitor.whoami().status_code) == (True, 403)

    def test_it_raises_the_same_session(self, kratos: Kratos, amber: Person) -> None:
        """Its id and logout token stay, its cookie is new; the one from before is good, too."""
        amber.enroll(kratos)
        visitor = Visitor(kratos).sign_in(amber)
        before, logout_token = visitor.cookie_header, visitor.logout_token()

        assert visitor.step_up(amber).status_code == 200

        raised = visitor.whoami().json()
        assert (raised["id"], raised["authenticator_assurance_level"]) == (visitor.session_id, "aal2")
        assert (visitor.logout_token(), visitor.cookie_header == before) == (logout_token, False)
        assert kratos.call("GET", "/sessions/whoami", headers=before).status_code == 200

    def test_a_wrong_code_is_refused(self, kratos: Kratos, amber: Person) -> None:
        """400, the flow again."""
        amber.enroll(kratos)
        visitor = Visitor(kratos).sign_in(amber)
        flow = visitor.get("/self-service/login/browser", aal="aal2").json()

        answer = visitor.submit(flow, {"method": "totp", "totp_code": "00000x"})

        assert (answer.status_code, answer.json()["ui"]["messages"][0]["id"]) == (400, 4000008)

    def test_without_the_first_one_its_code_is_refused(self, kratos: Kratos, amber: Person) -> None:
        """401."""
        amber.enroll(kratos)
        visitor = Visitor(kratos).sign_in(amber)
        flow = visitor.get("/self-service/login/browser", aal="aal2").json()
        kratos.manage("DELETE", f"/identities/{amber.id}/sessions")

        assert error_id(visitor.submit(flow, amber.second_proof)) == (401, "session_aal1_required")

    def test_logout_does_not_ask_for_it(self, kratos: Kratos, amber: Person) -> None:
        """Nor does the ending of other sessions, be they above it."""
        raised = amber.enroll(kratos)
        visitor, other = Visitor(kratos).sign_in(amber), Native(kratos, amber)

        assert visitor.delete(f"/sessions/{raised.session_id}").status_code == 204
        assert visitor.delete("/sessions").status_code == 200
        assert visitor.get("/self-service/logout", token=visitor.logout_token()).status_code == 204
        assert other.log_out().status_code == 204

    def test_our_client_names_where_to_go(self, kratos: Kratos, amber: Person) -> None:
        amber.enroll(kratos)

        with pytest.raises(SecondFactorRequired):
            kratos.public.whoami(Native(kratos, amber).credential)


class TestSignIn:
    """``/self-service/login``"""

    def test_the_cookie_is_for_the_whole_site_and_no_script(self, visitor: Visitor) -> None:
        """``Lax``."""
        attributes = [one.strip() for one in visitor.set_cookie.split(";")[1:]]

        assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(attributes)

    def test_a_second_sign_in_is_another_session(self, kratos: Kratos, visitor: Visitor, amber: Person) -> None:
        """In a browser without the cookie; the first goes on."""
        other = Visitor(kratos).sign_in(amber)

        assert other.session_id != visitor.session_id
        assert visitor.whoami().status_code == 200

    def test_again_with_refresh_it_is_the_same_session(self, visitor: Visitor, amber: Person) -> None:
        """Its id and logout token stay; ``authenticated_at`` moves, ``issued_at`` does not."""
        before, logout_token, session_id = visitor.whoami().json(), visitor.logout_token(), visitor.session_id

        after = visitor.sign_in(amber, refresh="true").whoami().json()

        assert (after["id"], visitor.logout_token(), after["issued_at"]) == (
            session_id,
            logout_token,
            before["issued_at"],
        )
        assert after["authenticated_at"] > before["authenticated_at"]

    def test_as_somebody_else_it_is_a_new_session_and_the_first_goes_on(
        self, kratos: Kratos, visitor: Visitor, birch: Person
    ) -> None:
        """Nobody has its cookie any more."""
        first = visitor.session_id

        visitor.sign_in(birch, refresh="true")

        assert (visitor.whoami().json()["identity"]["id"], kratos.is_active(first)) == (birch.id, True)

    def test_who_is_signed_in_gets_no_flow(self, visitor: Visitor) -> None:
        """400 for JSON; a browser goes where it wants to."""
        inside = f"{visitor.kratos.public_url}/self-service/login/browser?refresh=true"

        assert error_id(visitor.get("/self-service/login/browser")) == (400, "session_already_available")
        sent = visitor.get("/self-service/login/browser", PAGE, return_to=inside)
        assert (sent.status_code, sent.headers["Location"]) == (303, inside)

    def test_a_browser_is_sent_to_the_login_page(self, kratos: Kratos, amber: Person) -> None:
        """With the flow, whose form leads on by 303."""
        visitor = Visitor(kratos)
        inside = f"{kratos.public_url}/self-service/login/browser?refresh=true"

        asked = visitor.get("/self-service/login/browser", PAGE, return_to=inside)
        signed_in = visitor.answer_login_page(asked.headers["Location"], amber)

        assert (asked.status_code, signed_in.status_code, signed_in.headers["Location"]) == (303, 303, inside)
        assert visitor.whoami().json()["identity"]["id"] == amber.id

    def test_a_wrong_password_is_refused(self, kratos: Kratos, amber: Person) -> None:
        """400, the flow again."""
        amber.password = "wrong"

        answer = Visitor(kratos).try_to_sign_in(amber)

        assert (answer.status_code, answer.json()["ui"]["messages"][0]["id"]) == (400, 4000006)

    def test_a_flow_is_of_one_browser(self, kratos: Kratos, amber: Person) -> None:
        """Another one can neither read nor answer it."""
        flow = Visitor(kratos).get("/self-service/login/browser").json()
        other = Visitor(kratos)
        other.get("/self-service/login/browser")

        read = other.get("/self-service/login/flows", id=flow["id"])

        assert error_id(read) == (403, "security_csrf_violation")
        assert error_id(other.submit(flow, amber.proof)) == (403, "security_csrf_violation")

    def test_a_wrong_password_in_a_form_leads_back_to_the_login_page(self, kratos: Kratos, amber: Person) -> None:
        """303, to the same flow, which says what is wrong."""
        visitor = Visitor(kratos)
        page = visitor.get("/self-service/login/browser", PAGE).headers["Location"]
        amber.password = "wrong"

        answer = visitor.answer_login_page(page, amber)

        assert (answer.status_code, answer.headers["Location"]) == (303, page)
        shown = visitor.get("/self-service/login/flows", id=query_of(page)["flow"]).json()
        assert shown["ui"]["messages"][0]["id"] == 4000006

    def test_an_answer_that_comes_when_one_is_signed_in_is_refused(self, kratos: Kratos, amber: Person) -> None:
        """400, and a form leads to the default. A session token counts as well."""
        visitor, native = Visitor(kratos), Native(kratos, amber)
        flow = visitor.get("/self-service/login/browser").json()

        answer = visitor.submit(flow, amber.proof, {**JSON, **token(native)})
        form = visitor.submit(flow, amber.proof, {**PAGE, **token(native)})

        assert (answer.status_code, answer.json()["ui"]["messages"][0]["id"]) == (400, 4000001)
        assert (form.status_code, COOKIE_NAME in set_cookies(form)) == (303, False)

    def test_a_flow_is_answered_with_its_token(self, kratos: Kratos, amber: Person) -> None:
        """403 where the browser itself sends another."""
        visitor = Visitor(kratos)
        flow = visitor.get("/self-service/login/browser").json()

        answer = visitor.submit(flow, {**amber.proof, "csrf_token": "x"})

        assert error_id(answer) == (403, "security_csrf_violation")

    def test_an_unknown_flow_is_not_found(self, kratos: Kratos) -> None:
        """404; no flow at all is 400."""
        visitor = Visitor(kratos)

        assert visitor.get("/self-service/login/flows", id=str(uuid4())).status_code == 404
        answers = [kratos.call("POST", f"/self-service/login{query}", json={}) for query in (f"?flow={uuid4()}", "")]
        assert [one.status_code for one in answers] == [404, 400]

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
        answer = Visitor(kratos).get("/self-service/login/browser", return_to=EVIL)

        assert error_id(answer) == (400, "self_service_flow_return_to_forbidden")


class TestLogoutFlow:
    """``GET /self-service/logout/browser``"""

    @pytest.mark.parametrize("accept", [*ASKS_FOR_JSON, *ASKS_FOR_A_PAGE])
    def test_it_is_json_for_who_is_signed_in(self, kratos: Kratos, visitor: Visitor, accept: str) -> None:
        """200, with the URL and the token, whatever is asked for."""
        answer = visitor.get("/self-service/logout/browser", {"Accept": accept})

        logout_token = answer.json()["logout_token"]
        assert (answer.status_code, logout_token.startswith("ory_lo_")) == (200, True)
        assert answer.json()["logout_url"] == f"{kratos.public_url}/self-service/logout?token={logout_token}"

    def test_the_token_is_fixed_for_the_session(self, visitor: Visitor) -> None:
        assert visitor.logout_token() == visitor.logout_token()

    @pytest.mark.parametrize("accept", ASKS_FOR_JSON)
    def test_nobody_is_refused_where_json_is_asked_for(self, kratos: Kratos, accept: str) -> None:
        """401 ``session_inactive``."""
        answer = kratos.call("GET", "/self-service/logout/browser", headers={"Accept": accept})

        assert error_id(answer) == (401, "session_inactive")

    @pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
    def test_the_content_type_asks_for_json_too(self, kratos: Kratos, content_type: str) -> None:
        """Byte for byte."""
        answer = kratos.call(
            "GET", "/self-service/logout/browser", headers={"Accept": "*/*", "Content-Type": content_type}
        )

        assert answer.status_code == (401 if content_type == "application/json" else 303)

    @pytest.mark.parametrize("accept", ASKS_FOR_A_PAGE)
    def test_nobody_is_sent_to_the_error_page_elsewhere(self, kratos: Kratos, accept: str) -> None:
        """303, and the page finds the error by its id."""
        answer = kratos.call("GET", "/self-service/logout/browser", headers={"Accept": accept})

        assert answer.status_code == 303
        shown = kratos.call("GET", "/self-service/errors", params={"id": query_of(answer.headers["Location"])["id"]})
        assert shown.json()["error"]["id"] == "session_inactive"
        assert kratos.call("GET", f"/self-service/errors?id={uuid4()}").status_code == 404

    def test_return_to_is_part_of_the_url(self, kratos: Kratos, visitor: Visitor) -> None:
        """Before the token. Kratos' own flows are always allowed."""
        inside = f"{kratos.public_url}/self-service/login/browser"

        flow = visitor.get("/self-service/logout/browser", return_to=inside).json()

        query = f"return_to={quote(inside, safe='')}&token={flow['logout_token']}"
        assert flow["logout_url"] == f"{kratos.public_url}/self-service/logout?{query}"

    def test_a_return_to_that_is_no_url_is_refused(self, visitor: Visitor) -> None:
        """400."""
        assert visitor.get("/self-service/logout/browser", return_to="http://x:y/").status_code == 400

    @pytest.mark.parametrize("url", [EVIL, "/relative", "javascript:alert(1)", "http://127.0.0.1:1@evil.example/"])
    def test_a_return_to_that_is_not_allowed_is_refused(self, visitor: Visitor, url: str) -> None:
        """400, and a 303 to the error page where a page is asked for."""
        refused = visitor.get("/self-service/logout/browser", return_to=url)
        sent = visitor.get("/self-service/logout/browser", PAGE, return_to=url)

        assert error_id(refused) == (400, "self_service_flow_return_to_forbidden")
        assert (sent.status_code, list(query_of(sent.headers["Location"]))) == (303, ["id"])


class TestLogout:
    """``GET /self-service/logout?token=``"""

    def test_by_ajax_it_is_204_and_clears_the_cookie(self, kratos: Kratos, visitor: Visitor) -> None:
        """The record stays, inactive."""
        answer = visitor.get("/self-service/logout", token=visitor.logout_token())

        assert (answer.status_code, answer.content) == (204, b"")
        cleared = set_cookies(answer)[COOKIE_NAME]
        assert ("Max-Age=0" in cleared, "Path=/" in cleared) == (True, True)
        assert (visitor.whoami().status_code, kratos.is_active(visitor.session_id)) == (401, False)

    def test_a_browser_is_sent_to_return_to(self, kratos: Kratos, visitor: Visitor) -> None:
        """303, and the cookie is cleared too."""
        inside = f"{kratos.public_url}/self-service/login/browser"
        flow = visitor.get("/self-service/logout/browser", return_to=inside).json()

        answer = visitor.get(flow["logout_url"], PAGE)

        assert (answer.status_code, answer.headers["Location"]) == (303, inside)
        assert "Max-Age=0" in set_cookies(answer)[COOKIE_NAME]

    def test_a_fetch_that_does_not_say_what_it_wants_is_sent_too(self, visitor: Visitor) -> None:
        """``*/*``: 303 to the default."""
        answer = visitor.get("/self-service/logout", {"Accept": "*/*"}, token=visitor.logout_token())

        assert (answer.status_code, visitor.whoami().status_code) == (303, 401)

    def test_no_token_is_refused(self, kratos: Kratos, visitor: Visitor) -> None:
        """400, also without a session."""
        assert visitor.get("/self-service/logout").status_code == 400
        assert visitor.get("/self-service/logout", token="").status_code == 400
        assert kratos.call("GET", "/self-service/logout").status_code == 400

    def test_no_session_is_refused(self, kratos: Kratos, visitor: Visitor) -> None:
        """401."""
        answer = kratos.call("GET", f"/self-service/logout?token={visitor.logout_token()}")

        assert error_id(answer) == (401, "session_inactive")

    def test_a_second_time_is_refused_and_the_dead_cookie_stays(self, kratos: Kratos, visitor: Visitor) -> None:
        """401, and a browser ends at the error page: not at ``return_to``."""
        cookie, path = visitor.cookie_header, f"/self-service/logout?token={visitor.logout_token()}"
        visitor.get(path)

        again = kratos.call("GET", path, headers={**JSON, **cookie})
        page = kratos.call("GET", path, headers={**PAGE, **cookie})

        assert (error_id(again), COOKIE_NAME in set_cookies(again)) == ((401, "session_inactive"), False)
        assert (page.status_code, list(query_of(page.headers["Location"]))) == (303, ["id"])

    def test_the_token_of_another_session_is_refused(self, kratos: Kratos, visitor: Visitor, birch: Person) -> None:
        """403, and both go on."""
        other = Visitor(kratos).sign_in(birch)

        answer = visitor.get("/self-service/logout", token=other.logout_token())

        assert (answer.status_code, visitor.whoami().status_code, other.whoami().status_code) == (403, 200, 200)

    @pytest.mark.parametrize("headers", [JSON, PAGE], ids=["json", "page"])
    def test_a_return_to_that_is_not_allowed_is_refused_when_the_session_is_gone(
        self, visitor: Visitor, headers: dict[str, str]
    ) -> None:
        """400 or the error page, yet the cookie is cleared."""
        answer = visitor.get("/self-service/logout", headers, token=visitor.logout_token(), return_to=EVIL)

        assert answer.status_code == (400 if headers is JSON else 303)
        assert EVIL not in answer.headers.get("Location", "")
        assert "Max-Age=0" in set_cookies(answer)[COOKIE_NAME]
        assert visitor.whoami().status_code == 401

    def test_a_session_token_alone_ends_nothing(self, native: Native) -> None:
        """204, and the session goes on."""
        logout_token = native.call("GET", "/self-service/logout/browser").json()["logout_token"]

        answer = native.call("GET", f"/self-service/logout?token={logout_token}")

        assert (answer.status_code, native.whoami().status_code) == (204, 200)

    def test_bearer_alone_ends_its_session(self, kratos: Kratos, native: Native) -> None:
        headers = {**JSON, **bearer(native)}
        logout_token = kratos.call("GET", "/self-service/logout/browser", headers=headers).json()["logout_token"]

        answer = kratos.call("GET", f"/self-service/logout?token={logout_token}", headers=headers)

        assert (answer.status_code, native.whoami().status_code) == (204, 401)
        assert COOKIE_NAME not in set_cookies(answer)

    def test_beside_the_cookie_the_session_of_bearer_ends(
        self, kratos: Kratos, visitor: Visitor, birch: Person
    ) -> None:
        """The wrong one: 204 for the cookie's token, and the cookie's session goes on."""
        other = Native(kratos, birch)

        answer = visitor.get(f"/self-service/logout?token={visitor.logout_token()}", {**JSON, **bearer(other)})

        assert (answer.status_code, visitor.whoami().status_code, other.whoami().status_code) == (204, 200, 401)

    def test_beside_the_cookie_a_session_token_decides_whose_logout_token_is_good(
        self, kratos: Kratos, visitor: Visitor, birch: Person
    ) -> None:
        """The cookie's is refused; with its own, the session of the cookie ends."""
        other = Native(kratos, birch)
        headers = {**JSON, **token(other)}
        own = other.call("GET", "/self-service/logout/browser").json()["logout_token"]

        refused = visitor.get(f"/self-service/logout?token={visitor.logout_token()}", headers)
        answer = visitor.get(f"/self-service/logout?token={own}", headers)

        assert (refused.status_code, answer.status_code) == (403, 204)
        assert (kratos.is_active(visitor.session_id), kratos.is_active(other.session_id)) == (False, True)

    def test_head_logs_out(self, visitor: Visitor, kratos: Kratos) -> None:
        path, headers = f"/self-service/logout?token={visitor.logout_token()}", {**JSON, **visitor.cookie_header}

        assert kratos.call("HEAD", path, headers=headers).status_code == 204
        assert not kratos.is_active(visitor.session_id)

    def test_a_session_that_was_ended_elsewhere_is_refused(self, kratos: Kratos, visitor: Visitor) -> None:
        """401."""
        logout_token = visitor.logout_token()
        kratos.manage("DELETE", f"/sessions/{visitor.session_id}")

        answer = visitor.get("/self-service/logout", token=logout_token)

        assert error_id(answer) == (401, "session_inactive")


class TestNativeLogout:
    """``DELETE /self-service/logout/api``"""

    def test_it_succeeds_again_and_again(self, native: Native) -> None:
        """204."""
        assert [native.log_out().status_code for _ in range(3)] == [204, 204, 204]
        assert native.whoami().status_code == 401

    def test_it_succeeds_for_a_session_that_was_ended_elsewhere(self, kratos: Kratos, native: Native) -> None:
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        assert native.log_out().status_code == 204

    def test_a_session_that_was_deleted_is_refused(self, kratos: Kratos, native: Native, amber: Person) -> None:
        """403."""
        kratos.manage("DELETE", f"/identities/{amber.id}/sessions")

        assert native.log_out().status_code == 403

    @pytest.mark.parametrize("body", [{"session_token": "ory_st_x"}, {"session_token": ""}, {}])
    def test_a_token_that_is_unknown_or_missing_is_refused(self, kratos: Kratos, body: dict[str, str]) -> None:
        """403."""
        assert kratos.call("DELETE", "/self-service/logout/api", json=body).status_code == 403

    @pytest.mark.parametrize(
        ("content_type", "data"),
        [("application/json", ""), ("application/json", "{"), ("application/json", '{"session_token": 1}')],
        ids=["no body", "not JSON", "a number"],
    )
    def test_what_is_no_such_document_is_refused(self, kratos: Kratos, content_type: str, data: str) -> None:
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
    def test_the_content_type_counts(self, kratos: Kratos, native: Native, content_type: str, status: int) -> None:
        data, headers = f'{{"session_token": "{native.token}"}}', {**JSON, "Content-Type": content_type}

        answer = kratos.call("DELETE", "/self-service/logout/api", data=data, headers=headers)

        assert answer.status_code == status

    def test_a_cookie_beside_it_means_nothing(self, kratos: Kratos, visitor: Visitor, native: Native) -> None:
        headers = {**JSON, **visitor.cookie_header}

        answer = kratos.call(
            "DELETE", "/self-service/logout/api", json={"session_token": native.token}, headers=headers
        )

        assert (answer.status_code, visitor.whoami().status_code, native.whoami().status_code) == (204, 200, 401)


class TestMySessions:
    """``/sessions``"""

    def test_the_others_are_listed_the_latest_first(self, kratos: Kratos, visitor: Visitor, amber: Person) -> None:
        """The active ones, of browsers and of native applications."""
        others: list[Native | Visitor] = [
            Native(kratos, amber),
            Visitor(kratos).sign_in(amber),
            Native(kratos, amber),
        ]
        kratos.manage("DELETE", f"/sessions/{others[0].session_id}")

        answer = visitor.get("/sessions")

        assert [one["id"] for one in answer.json()] == [others[2].session_id, others[1].session_id]
        assert (answer.json()[0]["identity"]["id"], answer.headers["X-Total-Count"]) == (amber.id, "2")

    def test_who_has_no_other_has_an_empty_list(self, visitor: Visitor) -> None:
        assert visitor.get("/sessions").json() == []

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize("headers", [JSON, PAGE], ids=["json", "page"])
    def test_nobody_is_refused(self, kratos: Kratos, method: str, headers: dict[str, str]) -> None:
        """401 in JSON, in other words than whoami's."""
        answer = kratos.call(method, "/sessions", headers=headers)

        assert (answer.status_code, error(answer)["reason"]) == (401, "No valid session cookie found.")

    def test_one_is_ended(self, kratos: Kratos, visitor: Visitor, native: Native) -> None:
        """204, and again."""
        answers = [visitor.delete(f"/sessions/{native.session_id}").status_code for _ in range(2)]

        assert (answers, native.whoami().status_code) == ([204, 204], 401)

    def test_somebody_elses_goes_on(self, kratos: Kratos, visitor: Visitor, birch: Person) -> None:
        """204 all the same, as for one that is unknown."""
        other = Native(kratos, birch)

        answers = [visitor.delete(f"/sessions/{one}").status_code for one in (other.session_id, uuid4())]

        assert (answers, other.whoami().status_code) == ([204, 204], 200)

    def test_the_own_one_is_refused(self, visitor: Visitor) -> None:
        """400, and it goes on."""
        answer = visitor.delete(f"/sessions/{visitor.session_id}")

        assert (answer.status_code, error(answer)["message"]) == (400, "cannot revoke current session")
        assert visitor.whoami().status_code == 200

    def test_what_is_no_id_is_refused(self, visitor: Visitor) -> None:
        """400."""
        assert visitor.delete("/sessions/x").status_code == 400

    def test_all_others_are_ended_and_those_that_had_ended_are_counted(
        self, kratos: Kratos, visitor: Visitor, amber: Person
    ) -> None:
        """Each time."""
        others = [Native(kratos, amber) for _ in range(3)]
        kratos.manage("DELETE", f"/sessions/{others[0].session_id}")

        counts = [visitor.delete("/sessions").json() for _ in range(2)]

        assert (counts, visitor.whoami().status_code) == ([{"count": 3}] * 2, 200)
        assert [one.whoami().status_code for one in others] == [401] * 3


class TestAdmin:
    """``/admin``"""

    def test_the_sessions_of_an_identity_are_listed_the_latest_first(
        self, kratos: Kratos, visitor: Visitor, native: Native, amber: Person
    ) -> None:
        """With those that have ended, unless ``active`` says which."""
        later = Native(kratos, amber)
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        listed = {
            query: [one["id"] for one in kratos.manage("GET", f"/identities/{amber.id}/sessions{query}").json()]
            for query in ("", "?active=true", "?active=false")
        }

        assert listed[""] == [later.session_id, native.session_id, visitor.session_id]
        assert listed["?active=true"] == [later.session_id, visitor.session_id]
        assert listed["?active=false"] == [native.session_id]

    def test_an_unknown_identity_has_an_empty_list(self, kratos: Kratos) -> None:
        answer = kratos.manage("GET", f"/identities/{uuid4()}/sessions")

        assert (answer.status_code, answer.json()) == (200, [])

    def test_what_is_no_id_is_refused(self, kratos: Kratos) -> None:
        """400."""
        paths = [("GET", "/identities/x/sessions"), ("DELETE", "/identities/x/sessions"), ("DELETE", "/sessions/x")]

        assert [kratos.manage(*one).status_code for one in paths] == [400] * 3

    def test_what_is_neither_active_nor_not_is_refused(self, kratos: Kratos, amber: Person) -> None:
        """400."""
        assert kratos.manage("GET", f"/identities/{amber.id}/sessions?active=yes").status_code == 400

    def test_pages_count_from_one(self, kratos: Kratos, amber: Person) -> None:
        """Page 0 is page 1; after the last there are empty ones. ``X-Total-Count`` is right."""
        made = [Native(kratos, amber).session_id for _ in range(5)][::-1]
        path = f"/identities/{amber.id}/sessions?per_page=2"

        pages = [kratos.manage("GET", f"{path}&page={page}") for page in range(5)]

        assert [[one["id"] for one in page.json()] for page in pages] == [
            made[0:2],
            made[0:2],
            made[2:4],
            made[4:5],
            [],
        ]
        assert {page.headers["X-Total-Count"] for page in pages} == {"5"}

    @pytest.mark.parametrize("size", ["per_page", "page_size"])
    def test_the_link_to_the_next_page_repeats_the_first_and_leaves_out_the_last(
        self, kratos: Kratos, amber: Person, size: str
    ) -> None:
        """Who follows it misses the oldest sessions."""
        made = [Native(kratos, amber).session_id for _ in range(5)][::-1]

        listed, path = [], f"/admin/identities/{amber.id}/sessions?{size}=2"
        while path:
            page = kratos.manage("GET", path.removeprefix("/admin"))
            listed.append([one["id"] for one in page.json()])
            path = page.links.get("next", {}).get("url", "")

        assert listed == [made[0:2], made[0:2], made[2:4]]

    def test_the_link_of_an_empty_list_never_ends(self, kratos: Kratos, amber: Person) -> None:
        """Each empty page has a next one."""
        path = f"/admin/identities/{amber.id}/sessions"
        for _ in range(3):
            page = kratos.manage("GET", path.removeprefix("/admin"))
            assert page.json() == []
            path = page.links["next"]["url"]

    def test_a_page_has_at_least_one(self, kratos: Kratos, amber: Person) -> None:
        """``per_page=0`` is 1."""
        made = [Native(kratos, amber).session_id for _ in range(2)]

        listed = kratos.manage("GET", f"/identities/{amber.id}/sessions?per_page=0").json()

        assert [one["id"] for one in listed] == [made[1]]

    def test_a_session_is_ended_and_its_record_stays(self, kratos: Kratos, native: Native) -> None:
        """204, and again."""
        answers = [kratos.manage("DELETE", f"/sessions/{native.session_id}").status_code for _ in range(2)]

        assert (answers, native.whoami().status_code) == ([204, 204], 401)
        assert not kratos.is_active(native.session_id)

    def test_an_unknown_session_is_not_found(self, kratos: Kratos) -> None:
        """404."""
        assert [kratos.manage(one, f"/sessions/{uuid4()}").status_code for one in ("GET", "DELETE")] == [404, 404]

    def test_one_session_is_told_without_its_identity_unless_asked_for(self, kratos: Kratos, native: Native) -> None:
        """``expand=identity``."""
        path = f"/sessions/{native.session_id}"

        told, expanded = kratos.manage("GET", path).json(), kratos.manage("GET", f"{path}?expand=identity").json()

        assert (told["identity"], told["devices"], expanded["devices"]) == (None, [], [])
        assert expanded["identity"]["id"] == native.whoami().json()["identity"]["id"]
        assert kratos.manage("GET", f"{path}?expand=x").status_code == 400

    def test_all_sessions_are_deleted_and_none_is_not_found(
        self, kratos: Kratos, native: Native, amber: Person
    ) -> None:
        """204, then 404: also where there is no such identity."""
        path = f"/identities/{amber.id}/sessions"
        kratos.manage("DELETE", f"/sessions/{native.session_id}")

        answers = [kratos.manage("DELETE", one).status_code for one in (path, path, f"/identities/{uuid4()}/sessions")]

        assert answers == [204, 404, 404]
        assert kratos.manage("GET", f"/sessions/{native.session_id}").status_code == 404

    def test_a_deleted_identity_takes_its_sessions_along(self, kratos: Kratos, native: Native, amber: Person) -> None:
        assert kratos.manage("DELETE", f"/identities/{amber.id}").status_code == 204

        assert (native.whoami().status_code, kratos.manage("GET", f"/identities/{amber.id}").status_code) == (401, 404)

    def test_an_identity_is_found_by_what_it_signs_in_with(self, kratos: Kratos, amber: Person) -> None:
        """In whatever case; nobody is an empty list."""
        found = [
            [one["id"] for one in kratos.manage("GET", "/identities", params={"credentials_identifier": email}).json()]
            for email in (amber.email, amber.email.upper(), f"nobody-{uuid4()}@example.com")
        ]

        assert found == [[amber.id], [amber.id], []]

    def test_an_identifier_is_of_one_identity(self, kratos: Kratos, amber: Person) -> None:
        """409."""
        given = {
            "schema_id": kratos.manage("GET", f"/identities/{amber.id}").json()["schema_id"],
            "traits": {"email": amber.email},
            "credentials": {"password": {"config": {"password": amber.password}}},
        }

        assert kratos.manage("POST", "/identities", json=given).status_code == 409

    @pytest.mark.parametrize("data", ["{", '{"schema_id": "default", "traits": {}}'])
    def test_what_is_no_identity_is_refused(self, kratos: Kratos, data: str) -> None:
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
    """What our client makes of it."""

    def test_a_session(self, kratos: Kratos, visitor: Visitor, amber: Person) -> None:
        session = kratos.public.whoami(visitor.credential)

        assert (session.id, session.identity.id, session.active) == (visitor.session_id, amber.id, True)
        assert session.identity.traits["email"] == amber.email
        assert session.expires_at
        assert session.authenticated_at
        assert session.expires_at > session.authenticated_at

    def test_a_logout_by_page(self, kratos: Kratos, visitor: Visitor) -> None:
        flow = kratos.public.logout_flow(visitor.credential)

        cleared = kratos.public.log_out(visitor.credential, flow.logout_token)

        assert any(line.startswith(f"{COOKIE_NAME}=") and "Max-Age=0" in line for line in cleared)
        with pytest.raises(KratosError, match="session_inactive"):
            kratos.public.whoami(visitor.credential)

    def test_a_native_logout(self, kratos: Kratos, native: Native) -> None:
        kratos.public.log_out_natively(native.token)
        kratos.public.log_out_natively(native.token)

        with pytest.raises(KratosError, match="session_unknown"):
            kratos.public.log_out_natively("ory_st_unknown")

    def test_my_sessions(self, kratos: Kratos, visitor: Visitor, amber: Person) -> None:
        public, others = kratos.public, [Native(kratos, amber) for _ in range(2)]

        assert [one.id for one in public.sessions(visitor.credential)] == [one.session_id for one in others[::-1]]
        public.end_session(visitor.credential, others[0].session_id)
        assert [one.id for one in public.sessions(visitor.credential)] == [others[1].session_id]
        assert public.end_other_sessions(visitor.credential) == 2
        assert public.sessions(visitor.credential) == []

    def test_all_pages_of_an_identitys_sessions(self, kratos: Kratos, amber: Person) -> None:
        """Each once, the oldest too."""
        made = [Native(kratos, amber).session_id for _ in range(201)]

        listed = [one.id for one in islice(kratos.admin.sessions(amber.id), 1000)]

        assert listed == made[::-1]

    def test_the_end_of_an_identitys_sessions(self, kratos: Kratos, native: Native, amber: Person) -> None:
        kratos.admin.end_session(native.session_id)
        kratos.admin.end_sessions(amber.id)
        kratos.admin.end_sessions(amber.id)

        assert list(kratos.admin.sessions(amber.id)) == []


class TestSettings:
    """``/self-service/settings``, by which a second factor is taken."""

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

    def test_the_session_that_took_it_has_shown_it(self, kratos: Kratos, amber: Person) -> None:
        assert amber.enroll(kratos).whoami().json()["authenticator_assurance_level"] == "aal2"


class TestFlowDocuments:
    """What a page for signing in reads."""

    def test_a_login_flow_says_where_and_how_to_answer(self, kratos: Kratos) -> None:
        flow = Visitor(kratos).get("/self-service/login/browser").json()

        assert flow["ui"]["action"] == f"{kratos.public_url}/self-service/login?flow={flow['id']}"
        assert flow["ui"]["method"] == "POST"
        kinds = {name: node(flow, "name", name)["type"] for name in ("csrf_token", "identifier", "password")}
        assert kinds == {"csrf_token": "hidden", "identifier": "text", "password": "password"}
