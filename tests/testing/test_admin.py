"""The admin API without a socket, call by call. ``tests/live`` describes Hydra's behaviour and proves it."""

import json
from typing import Any, NamedTuple

import pytest

from django_ory_logout.testing import Delivery, LoginSession, Provider
from django_ory_logout.testing.http import Request
from django_ory_logout.testing.hydra import challenges, token_endpoint
from django_ory_logout.testing.hydra.admin import Admin, answer
from django_ory_logout.testing.hydra.authorization import AuthorizationRequest, parse
from django_ory_logout.testing.hydra.end_session import LogoutRequest, LogoutRequests
from django_ory_logout.testing.hydra.records import Consent

from .conftest import CALLBACK, LOGGED_OUT, Clock
from .test_authorization import VALID

LOGIN_SESSIONS = "/oauth2/auth/sessions/login"
CONSENTS = "/oauth2/auth/sessions/consent"
REQUESTS = "/oauth2/auth/requests"


class Response(NamedTuple):
    status: int
    document: Any
    headers: dict[str, str]


class Caller:
    """Calls the admin API of a provider."""

    def __init__(self, provider: Provider) -> None:
        self.delivered: list[Delivery] = []
        self.admin = Admin(provider, LogoutRequests(provider), self.delivered.extend)

    def __call__(self, method: str, path: str, document: Any = None, /, **query: str) -> Response:
        sent = document if isinstance(document, bytes) else json.dumps(document).encode()
        given = answer(self.admin, Request(method, path, query=query, body=sent))
        return Response(given.status, json.loads(given.body) if given.body else None, dict(given.headers))

    def introspect(self, token: str) -> Any:
        request = Request("POST", "/oauth2/introspect", form={"token": token})
        return json.loads(answer(self.admin, request).body)

    def refusal(self, *args: Any, **query: str) -> tuple[int, str]:
        response = self(*args, **query)
        return response.status, response.document["error"]


def test_keys_of_id_tokens(provider: Provider) -> None:
    response = Caller(provider)("GET", "/keys/hydra.openid.id-token")

    assert [key["kid"] for key in response.document["keys"]] == [key["kid"] for key in provider.jwks()["keys"]]
    assert not any("d" in key for key in response.document["keys"])


@pytest.fixture
def call(provider: Provider) -> Caller:
    return Caller(provider)


@pytest.fixture
def asked(provider: Provider) -> AuthorizationRequest:
    return parse(provider, VALID | {"ui_locales": "de en", "login_hint": "amber"})


def tokens_of(provider: Provider, session: LoginSession, scope: str = "openid offline_access") -> dict[str, Any]:
    code = provider.authorize(session, "site", redirect_uri=CALLBACK, scope=scope)
    return token_endpoint.exchange(provider, code, "site", redirect_uri=CALLBACK)


def test_an_unknown_path_is_not_found_and_no_oauth_error(call: Caller) -> None:
    given = answer(call.admin, Request("GET", "/nothing"))

    assert (given.status, given.body) == (404, b"404 page not found\n")
    assert answer(call.admin, Request("GET", "/clients/site/secrets")).body == given.body
    assert answer(call.admin, Request("POST", "/clients/site")).body == given.body


class TestLoginSessions:
    def test_ending_a_login_by_sid_notifies_its_clients(
        self, call: Caller, provider: Provider, amber: LoginSession
    ) -> None:
        other = provider.sign_in("amber", "site")

        assert call("DELETE", LOGIN_SESSIONS, sid=amber.sid, subject="amber").status == 204

        assert [delivery.client_id for delivery in call.delivered] == ["site"]
        assert list(provider.login_sessions) == [other.sid]

    def test_a_login_that_was_not_remembered_does_not_end_by_sid(self, call: Caller, provider: Provider) -> None:
        session = provider.sign_in("amber", "site", remember=False)

        assert call("DELETE", LOGIN_SESSIONS, sid=session.sid).status == 204

        assert (call.delivered, list(provider.login_sessions)) == ([], [session.sid])

    def test_ending_logins_by_subject_notifies_no_client(
        self, call: Caller, provider: Provider, amber: LoginSession
    ) -> None:
        birch = provider.sign_in("birch", "site")

        assert call("DELETE", LOGIN_SESSIONS, subject="amber").status == 204
        assert call("DELETE", LOGIN_SESSIONS, sid=amber.sid).status == 204

        assert (call.delivered, list(provider.login_sessions)) == ([], [birch.sid])

    def test_ending_needs_a_sid_or_a_subject(self, call: Caller) -> None:
        assert call.refusal("DELETE", LOGIN_SESSIONS, sid="") == (400, "invalid_request")


class TestConsents:
    def listed(self, call: Caller, **query: str) -> list[str]:
        """The ``sid`` of each consent of Amber."""
        response = call("GET", CONSENTS, subject="amber", **query)
        return [consent["consent_request"]["login_session_id"] for consent in response.document]

    def test_a_consent_names_its_login_session_until_that_ends(
        self, call: Caller, provider: Provider, amber: LoginSession
    ) -> None:
        (consent,) = call("GET", CONSENTS, subject="amber").document
        assert consent["consent_request"]["login_session_id"] == amber.sid
        assert consent["consent_request"]["client"]["client_id"] == "site"
        assert consent["handled_at"] == "2027-01-15T08:00:00Z"

        provider.end(amber.sid)

        assert self.listed(call) == [""]

    def test_a_deleted_client_is_still_named(self, call: Caller, provider: Provider, amber: LoginSession) -> None:
        del provider.clients["site"]

        (consent,) = call("GET", CONSENTS, subject="amber").document

        assert consent["consent_request"]["client"] == {"client_id": "site"}

    def test_the_list_can_be_filtered_by_session(self, call: Caller, provider: Provider, amber: LoginSession) -> None:
        provider.sign_in("amber", "site")

        assert self.listed(call, login_session_id=amber.sid) == [amber.sid]

    def test_some_consents_are_not_listed_but_notified(self, call: Caller, provider: Provider, clock: Clock) -> None:
        past = provider.sign_in("amber")
        provider.consent(Consent(past, "site", handled_at=clock.now, remember=True, remember_for=60))
        reused = provider.sign_in("amber")
        provider.consent(Consent(reused, "site", handled_at=clock.now, reused=True))
        assert self.listed(call) == [past.sid]

        clock.now += 61

        assert self.listed(call) == []
        assert [len(provider.end(session.sid)) for session in (past, reused)] == [1, 1]

    def test_the_link_header_leads_to_the_next_page(self, call: Caller, provider: Provider) -> None:
        sids = [provider.sign_in("amber", "site").sid for _ in range(3)]

        first = call("GET", CONSENTS, subject="amber", page_size="2")
        last = call("GET", CONSENTS, subject="amber", page_size="2", page_token="2")

        said = [consent["consent_request"]["login_session_id"] for consent in first.document + last.document]
        assert said == sids[::-1]
        path = "</admin/oauth2/auth/sessions/consent?subject=amber&page_size=2&page_token"
        assert first.headers["Link"] == f'{path}=0>; rel="first",{path}=2>; rel="next"'
        assert last.headers["Link"] == f'{path}=0>; rel="first"'

    @pytest.mark.parametrize("query", [{}, {"subject": "amber", "page_token": "x"}])
    def test_the_list_needs_a_subject_and_numeric_pages(self, call: Caller, query: dict[str, str]) -> None:
        assert call.refusal("GET", CONSENTS, **query) == (400, "invalid_request")

    @pytest.mark.parametrize(
        ("query", "left"),
        [
            pytest.param({"subject": "amber", "client": "site"}, ["other", "site"], id="of a client"),
            pytest.param({"subject": "amber", "all": "true"}, ["site"], id="all"),
            pytest.param({"consent_request_id": "the first"}, ["other", "site"], id="one"),
            pytest.param({"consent_request_id": "unknown"}, ["site", "other", "site"], id="an unknown one"),
        ],
    )
    def test_consents_are_revoked(
        self, call: Caller, provider: Provider, query: dict[str, str], left: list[str]
    ) -> None:
        amber = provider.sign_in("amber")
        for consent in (
            Consent(amber, "site", consent_request_id="the first"),
            Consent(amber, "other"),
            Consent(provider.sign_in("birch"), "site"),
        ):
            provider.consent(consent)

        assert call("DELETE", CONSENTS, **query).status == 204

        assert [consent.client_id for consent in provider.consents] == left

    @pytest.mark.parametrize(
        "query",
        [
            {},
            {"subject": "amber"},
            {"subject": "amber", "all": "1"},
            {"subject": "amber", "all": "true", "client": "site"},
            {"subject": "amber", "consent_request_id": "x"},
            {"client": "site"},
            {"all": "true"},
        ],
    )
    def test_any_other_combination_is_refused(self, call: Caller, query: dict[str, str]) -> None:
        assert call.refusal("DELETE", CONSENTS, **query) == (400, "invalid_request")

    def test_revoked_consents_end_their_tokens_and_get_no_notice(
        self, call: Caller, provider: Provider, amber: LoginSession
    ) -> None:
        tokens = tokens_of(provider, amber)

        call("DELETE", CONSENTS, subject="amber", all="true")

        assert call.introspect(tokens["refresh_token"]) == {"active": False}
        assert provider.end(amber.sid) == []


class TestTokens:
    def test_introspection_names_the_subject(self, call: Caller, provider: Provider, amber: LoginSession) -> None:
        tokens = tokens_of(provider, amber)

        access, refresh = (call.introspect(tokens[name]) for name in ("access_token", "refresh_token"))

        assert (access["active"], access["sub"], access["client_id"]) == (True, "amber", "site")
        assert (access["token_use"], refresh["token_use"]) == ("access_token", "refresh_token")
        assert (access["exp"], refresh["exp"]) == (1_800_003_600, 1_802_592_000)

    def test_introspection_of_an_ended_token_says_only_inactive(
        self, call: Caller, provider: Provider, amber: LoginSession, clock: Clock
    ) -> None:
        tokens = tokens_of(provider, amber)
        clock.now += 3601

        assert call.introspect(tokens["access_token"]) == {"active": False}
        assert call.introspect(tokens["refresh_token"])["active"]

    def test_the_access_tokens_of_a_client_are_deleted(
        self, call: Caller, provider: Provider, amber: LoginSession
    ) -> None:
        tokens = tokens_of(provider, amber)

        assert call("DELETE", "/oauth2/tokens", client_id="other").status == 204
        assert call.introspect(tokens["access_token"])["active"]
        assert call("DELETE", "/oauth2/tokens", client_id="site").status == 204

        assert not call.introspect(tokens["access_token"])["active"]
        assert call.introspect(tokens["refresh_token"])["active"]


class TestClients:
    def test_the_secret_is_returned_once(self, call: Caller) -> None:
        created = call("POST", "/clients", {"redirect_uris": ["https://rp.example/callback"], "tos_uri": "x"})
        client_id = created.document["client_id"]

        read = call("GET", f"/clients/{client_id}").document

        assert (created.status, len(created.document["client_secret"])) == (201, 26)
        assert "client_secret" not in read
        assert (read["grant_types"], read["tos_uri"]) == (["authorization_code"], "x")

    def test_empty_and_false_fields_are_absent(self, call: Caller) -> None:
        absent = {
            "post_logout_redirect_uris": [],
            "backchannel_logout_uri": "",
            "frontchannel_logout_session_required": False,
        }

        document = call("POST", "/clients", {"client_id": "other", **absent}).document

        assert not document.keys() & absent.keys()
        assert (document["client_name"], document["skip_consent"], document["skip_logout_consent"]) == ("", False, None)

    def test_unknown_and_existing_clients_are_errors(self, call: Caller) -> None:
        assert call("GET", "/clients/unknown").status == 404
        assert call("POST", "/clients", {"client_id": "site"}).status == 409

    def test_put_keeps_the_secret_and_deletes_omitted_fields(self, call: Caller, provider: Provider) -> None:
        secret = provider.clients["site"].client_secret

        call("PUT", "/clients/site", {"client_id": "another", "redirect_uris": [CALLBACK], "tos_uri": None})

        client = provider.clients["site"]
        assert (client.client_secret, client.redirect_uris) == (secret, [CALLBACK])
        assert (client.backchannel_logout_uri, client.client_name) == (None, "")

    def test_a_patch_changes_only_the_named_fields(self, call: Caller, provider: Provider) -> None:
        before = provider.clients["site"]
        patch = [
            {"op": "add", "path": "/skip_logout_consent", "value": True},
            {"op": "replace", "path": "/client_name", "value": "renamed"},
            {"op": "remove", "path": "/frontchannel_logout_uri"},
        ]

        document = call("PATCH", "/clients/site", patch).document

        after = provider.clients["site"]
        assert document["skip_logout_consent"]
        assert (after.client_name, after.frontchannel_logout_uri) == ("renamed", None)
        assert (after.client_secret, after.redirect_uris) == (before.client_secret, before.redirect_uris)

    @pytest.mark.parametrize("op", ["remove", "replace"])
    def test_an_unknown_client_cannot_be_deleted_or_replaced(self, call: Caller, op: str) -> None:
        patch = [{"op": op, "path": "/backchannel_logout_session_required", "value": True}]

        assert call("PATCH", "/clients/site", patch).status == 500

    def test_a_post_logout_redirect_uri_needs_the_origin_of_a_redirect_uri(self, call: Caller) -> None:
        patch = [{"op": "add", "path": "/post_logout_redirect_uris", "value": ["https://rp.example/bye"]}]

        assert call.refusal("PATCH", "/clients/site", patch) == (400, "invalid_client_metadata")

    def test_a_deleted_client_loses_its_consents(self, call: Caller, provider: Provider, amber: LoginSession) -> None:
        assert call("DELETE", "/clients/site").status == 204

        assert (provider.clients, provider.consents) == ({}, [])

    def test_other_text_than_json_is_refused(self, call: Caller) -> None:
        assert call.refusal("POST", "/clients", b"{") == (400, "invalid_request")


class TestLoginAndConsentRequests:
    @pytest.fixture
    def challenge(self, provider: Provider, asked: AuthorizationRequest) -> str:
        return challenges.begin(provider, asked, None, "a browser")

    def test_a_login_request_contains_the_authorization_request(self, call: Caller, challenge: str) -> None:
        document = call("GET", f"{REQUESTS}/login", login_challenge=challenge).document

        assert (document["challenge"], document["skip"], document["subject"]) == (challenge, False, "")
        assert document["requested_scope"] == ["openid", "email"]
        assert document["oidc_context"] == {"ui_locales": ["de", "en"], "login_hint": "amber"}
        assert "nonce=n" in document["request_url"]

    def test_an_accepted_login_creates_a_consent_request(
        self, call: Caller, provider: Provider, challenge: str
    ) -> None:
        answered = {"subject": "amber", "acr": "2", "amr": ["pwd"], "context": {"from": "login"}}
        url = call("PUT", f"{REQUESTS}/login/accept", answered, login_challenge=challenge).document["redirect_to"]
        flow = challenges.log_in(provider, url.partition("login_verifier=")[2].partition("&")[0], "a browser")

        consent = challenges.ask_consent(provider, flow)
        document = call("GET", f"{REQUESTS}/consent", consent_challenge=consent).document

        assert (document["subject"], document["acr"], document["amr"]) == ("amber", "2", ["pwd"])
        assert (document["context"], document["login_session_id"]) == ({"from": "login"}, flow.sid)

    @pytest.mark.parametrize("answer", ["login/accept", "login/reject", "consent/accept", "consent/reject"])
    def test_unknown_and_missing_challenges_are_errors(self, call: Caller, answer: str) -> None:
        kind = answer.partition("/")[0]

        assert call("PUT", f"{REQUESTS}/{answer}", {"subject": "amber"}, **{f"{kind}_challenge": "x"}).status == 404
        assert call("PUT", f"{REQUESTS}/{answer}", {"subject": "amber"}).status == 400

    def test_a_challenge_expires(self, call: Caller, challenge: str, clock: Clock) -> None:
        clock.now += 1801

        refusal = call.refusal("GET", f"{REQUESTS}/login", login_challenge=challenge)

        assert refusal == (401, "request_unauthorized")


class TestLogoutRequests:
    def made(self, call: Caller, sid: str = "a sid", *, rp_initiated: bool = True) -> str:
        asked = LogoutRequest(sid, "amber", "site" if rp_initiated else "", LOGGED_OUT, rp_initiated)
        if not rp_initiated:
            asked.requested_at, asked.expires_at = 1_800_000_000, 1_800_001_800
        return call.admin.logout_requests.add(asked, "/oauth2/sessions/logout?x=1")

    def test_a_logout_request_names_the_user_and_the_session(self, call: Caller) -> None:
        document = call("GET", f"{REQUESTS}/logout", logout_challenge=self.made(call)).document

        assert (document["subject"], document["sid"], document["rp_initiated"]) == ("amber", "a sid", True)
        assert (document["client"]["client_id"], document["expires_at"]) == ("site", None)

    def test_a_logout_at_the_provider_has_no_client_and_expires(self, call: Caller, clock: Clock) -> None:
        challenge = self.made(call, rp_initiated=False)
        document = call("GET", f"{REQUESTS}/logout", logout_challenge=challenge).document

        assert (document["client"], document["expires_at"]) == (None, "2027-01-15T08:30:00Z")

    def test_a_completed_logout_request_is_gone(self, call: Caller) -> None:
        challenge = self.made(call)
        url = call("PUT", f"{REQUESTS}/logout/accept", logout_challenge=challenge).document["redirect_to"]
        assert call("GET", f"{REQUESTS}/logout", logout_challenge=challenge).status == 200

        call.admin.logout_requests.verified(url.partition("logout_verifier=")[2])

        response = call("GET", f"{REQUESTS}/logout", logout_challenge=challenge)
        assert (response.status, response.document) == (410, {"redirect_to": "/oauth2/sessions/logout?x=1"})

    def test_a_rejected_logout_request_is_unknown_until_it_is_accepted(self, call: Caller) -> None:
        challenge = self.made(call)

        assert call("PUT", f"{REQUESTS}/logout/reject", logout_challenge=challenge).status == 204
        assert call("GET", f"{REQUESTS}/logout", logout_challenge=challenge).status == 404
        assert call("PUT", f"{REQUESTS}/logout/accept", logout_challenge=challenge).status == 200

    @pytest.mark.parametrize(("method", "answer"), [("GET", ""), ("PUT", "/accept"), ("PUT", "/reject")])
    def test_unknown_and_missing_challenges_are_errors(self, call: Caller, method: str, answer: str) -> None:
        for query in ({}, {"logout_challenge": "x"}):
            assert call(method, f"{REQUESTS}/logout{answer}", **query).status == 404
