"""Facts about Ory Hydra, one fact for each test. They run against any running Hydra (see ``conftest.py``).

The docstring is the fact. If releases differ, it says how, and the test accepts each.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import requests
from django.core.cache.backends.locmem import LocMemCache

from django_ory_logout.cache import SharedCache
from django_ory_logout.exceptions import ChallengeHandled, HydraError
from django_ory_logout.oidc.metadata import Registration
from django_ory_logout.oidc.provider import Provider
from django_ory_logout.ory.hydra import ClientMetadata, HydraAdmin, LogoutRequest
from django_ory_logout.ory.hydra import admin as admin_module

from .parties import SCOPE, SILENCE_SECONDS, TIMEOUT, Browser, Hydra, NewRelyingParty, RelyingParty, Tokens, query_of

pytestmark = pytest.mark.live

T = TypeVar("T")
NewBrowser = Callable[[], Browser]


def refusal(call: Callable[[], object]) -> str:
    """The code of Hydra's refusal of ``call``."""
    with pytest.raises(HydraError) as caught:
        call()
    return caught.value.code


def outcome(call: Callable[[], T]) -> T | HydraError:
    """The result of ``call``, or the refusal."""
    try:
        return call()
    except HydraError as error:
        return error


def alive(admin: HydraAdmin, tokens: Tokens) -> tuple[bool, bool]:
    """Whether the access token and the refresh token are active."""
    return admin.introspect(tokens.access_token).active, admin.introspect(tokens.refresh_token).active


class TestLoginSessions:
    """``DELETE /admin/oauth2/auth/sessions/login``"""

    def test_an_end_by_sid_notifies_the_clients_of_that_session(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """Hydra sends back-channel notices for the named session. Another session of the user continues."""
        here, there = new_browser().sign_in(rp, subject), new_browser()
        other = there.sign_in(rp, subject)

        admin.revoke_login_session(here.sid)

        assert [call.claims["sid"] for call in rp.listener.wait()] == [here.sid]
        request = admin.login_request(there.challenge("login", rp.authorization_url()))
        assert (request.skip, request.session_id) == (True, other.sid)

    def test_an_end_by_sid_of_a_login_that_was_not_remembered_sends_no_notice(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The answer is 204 all the same."""
        tokens = browser.sign_in(rp, subject, remember=False)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()

    def test_an_end_by_an_unknown_sid_succeeds(self, admin: HydraAdmin) -> None:
        """204, so a success does not prove that the session existed."""
        admin.revoke_login_session(str(uuid4()))

    def test_an_end_by_an_empty_sid_is_refused(self, admin: HydraAdmin) -> None:
        """400."""
        assert refusal(lambda: admin.revoke_login_session("")) == "hydra_refused"

    def test_sid_wins_over_subject(
        self, hydra: Hydra, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """With both, the subject's other sessions stay."""
        named, other = new_browser().sign_in(rp, subject), new_browser()
        kept = other.sign_in(rp, subject)

        hydra.call("DELETE", "/oauth2/auth/sessions/login", params={"sid": named.sid, "subject": subject})

        assert [call.claims["sid"] for call in rp.listener.wait()] == [named.sid]
        assert admin.login_request(other.challenge("login", rp.authorization_url())).session_id == kept.sid

    def test_an_end_by_subject_ends_all_sessions_without_notices(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """The browsers must log in again. The clients get no notices."""
        browsers = [new_browser(), new_browser()]
        for signed_in in browsers:
            signed_in.sign_in(rp, subject)

        admin.revoke_login_sessions(subject)

        requests_ = [
            admin.login_request(signed_in.challenge("login", rp.authorization_url())) for signed_in in browsers
        ]
        assert [request_.skip for request_ in requests_] == [False, False]
        assert rp.listener.silent()

    def test_after_an_end_by_subject_an_end_by_sid_sends_no_notice(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """So end each ``sid`` first, and the subject last."""
        tokens = browser.sign_in(rp, subject)
        admin.revoke_login_sessions(subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()

    def test_a_pairwise_subject_ends_nothing(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, rp: RelyingParty, subject: str
    ) -> None:
        """204, and nothing happens. Introspection and the consents name the real subject."""
        discovery = requests.get(hydra.public_url + "/.well-known/openid-configuration", timeout=TIMEOUT).json()
        if "pairwise" not in discovery["subject_types_supported"]:
            pytest.skip("this Hydra is configured without pairwise subjects")
        pairwise = new_rp()
        hydra.call(
            "PATCH",
            f"/clients/{pairwise.client_id}",
            json=[{"op": "add", "path": "/subject_type", "value": "pairwise"}],
        )
        tokens = browser.sign_in(pairwise, subject)

        admin.revoke_login_sessions(tokens.claims["sub"])

        assert tokens.claims["sub"] != subject
        assert admin.introspect(tokens.access_token).sub == subject
        assert admin.login_request(browser.challenge("login", rp.authorization_url())).skip

    def test_tokens_outlive_their_login_session(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """A refresh gives an ID token with the ended ``sid``."""
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert alive(admin, tokens) == (True, True)
        assert rp.refresh(tokens).sid == tokens.sid


class TestConsentSessions:
    """``GET`` and ``DELETE /admin/oauth2/auth/sessions/consent``"""

    def test_the_list_has_the_sid(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """In ``consent_request.login_session_id``."""
        tokens = browser.sign_in(rp, subject)

        (session,) = admin.consent_sessions(subject)

        assert session.consent_request.login_session_id == tokens.sid
        assert session.consent_request.client.client_id == rp.client_id
        assert session.consent_request.subject == subject
        assert session.grant_scope == tuple(SCOPE.split())

    def test_the_sid_is_empty_after_the_login_session_has_ended(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The consent itself stays."""
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert [consent.consent_request.login_session_id for consent in admin.consent_sessions(subject)] == [""]

    def test_the_list_has_logins_that_were_not_remembered(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """They have a ``sid`` too, although Hydra never sends notices for them."""
        tokens = browser.sign_in(rp, subject, remember=False)

        assert [consent.consent_request.login_session_id for consent in admin.consent_sessions(subject)] == [tokens.sid]

    def test_flows_that_reused_a_remembered_consent_are_not_listed(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """No list contains their ``sid``."""
        first = new_browser()
        agreed = admin.accept_consent_request(
            first.consent(rp, subject), grant_scope=SCOPE.split(), remember=True, remember_for=600
        )
        listed = rp.redeem(first.leave(agreed))
        second = new_browser()
        challenge = second.consent(rp, subject)
        skipped = admin.consent_request(challenge).skip
        unlisted = rp.redeem(second.leave(admin.accept_consent_request(challenge, grant_scope=SCOPE.split())))

        found = [consent.consent_request.login_session_id for consent in admin.consent_sessions(subject)]

        assert skipped
        assert found == [listed.sid]
        assert unlisted.sid != listed.sid

    def test_consents_past_their_remember_for_are_not_listed(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Their session and tokens stay active, and the client still gets notices."""
        agreed = admin.accept_consent_request(
            browser.consent(rp, subject), grant_scope=SCOPE.split(), remember=True, remember_for=1
        )
        tokens = rp.redeem(browser.leave(agreed))
        time.sleep(2.1)

        assert list(admin.consent_sessions(subject)) == []
        assert alive(admin, tokens) == (True, True)
        admin.revoke_login_session(tokens.sid)
        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    def test_the_list_is_paginated_by_link(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``rel="next"`` has a ``page_token``. The last page has no such link."""
        monkeypatch.setattr(admin_module, "PAGE_SIZE", 2)
        for _ in range(5):
            browser.sign_in(rp, subject)

        listed = [consent.consent_request_id for consent in admin.consent_sessions(subject)]

        assert len(set(listed)) == len(listed) == 5

    def test_the_list_can_be_filtered_by_login_session(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """With ``login_session_id=``."""
        tokens = new_browser().sign_in(rp, subject)
        new_browser().sign_in(rp, subject)

        found = [
            consent.consent_request.login_session_id for consent in admin.consent_sessions(subject, sid=tokens.sid)
        ]

        assert found == [tokens.sid]

    def test_an_unknown_subject_has_an_empty_list(self, admin: HydraAdmin) -> None:
        """200, not 404."""
        assert list(admin.consent_sessions(str(uuid4()))) == []

    def test_revoked_consents_of_one_client_end_only_its_tokens(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Its access and refresh tokens."""
        revoked, other = new_rp(), new_rp()
        gone, kept = browser.sign_in(revoked, subject), browser.sign_in(other, subject)

        admin.revoke_consents(subject, revoked.client_id)

        assert (alive(admin, gone), alive(admin, kept)) == ((False, False), (True, True))

    def test_revoked_consents_of_all_clients_end_all_tokens(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Also the tokens of flows that reused a consent."""
        held = [browser.sign_in(new_rp(), subject) for _ in range(2)]

        admin.revoke_all_consents(subject)

        assert [alive(admin, tokens) for tokens in held] == [(False, False)] * 2
        assert list(admin.consent_sessions(subject)) == []

    def test_a_revoked_consent_request_ends_the_tokens_of_one_flow(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """From v25.4 on."""
        gone = browser.sign_in(rp, subject)
        (session,) = admin.consent_sessions(subject)
        kept = browser.sign_in(rp, subject)

        admin.revoke_consent(session.consent_request_id)

        assert (alive(admin, gone), alive(admin, kept)) == ((False, False), (True, True))

    @pytest.mark.parametrize("revoke", ["client", "all", "id"])
    def test_revoking_unknown_consents_succeeds(self, admin: HydraAdmin, revoke: str) -> None:
        """204."""
        unknown = str(uuid4())
        if revoke == "client":
            admin.revoke_consents(unknown, unknown)
        elif revoke == "all":
            admin.revoke_all_consents(unknown)
        else:
            admin.revoke_consent(unknown)

    @pytest.mark.parametrize("more", [{}, {"all": "1"}, {"all": "True"}])
    def test_a_subject_alone_is_refused(self, hydra: Hydra, more: dict[str, str]) -> None:
        """400. ``all`` must be exactly ``true``."""
        response = hydra.call("DELETE", "/oauth2/auth/sessions/consent", params={"subject": str(uuid4()), **more})

        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")

    def test_revoking_consents_first_stops_the_notices(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Hydra finds the clients to notify by their consents, so revoke consents last."""
        tokens = browser.sign_in(rp, subject)
        admin.revoke_all_consents(subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()


class TestTokens:
    """``DELETE /admin/oauth2/tokens``, ``POST /admin/oauth2/introspect`` and ``POST /oauth2/revoke``"""

    def test_deleting_the_access_tokens_of_a_client_keeps_its_refresh_tokens(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """The refresh tokens give new access tokens."""
        first, other = new_rp(), new_rp()
        tokens, kept = browser.sign_in(first, subject), browser.sign_in(other, subject)

        admin.delete_access_tokens(first.client_id)

        assert (alive(admin, tokens), alive(admin, kept)) == ((False, True), (True, True))
        assert alive(admin, first.refresh(tokens)) == (True, True)

    def test_deleting_the_tokens_of_an_unknown_client_succeeds(self, admin: HydraAdmin) -> None:
        """204."""
        admin.delete_access_tokens(str(uuid4()))

    def test_introspection_distinguishes_access_and_refresh_tokens(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """With ``token_use``. An unknown token is only reported as inactive."""
        tokens = browser.sign_in(rp, subject)

        access, refresh = admin.introspect(tokens.access_token), admin.introspect(tokens.refresh_token)

        assert (access.active, access.sub, access.client_id) == (True, subject, rp.client_id)
        assert (access.token_use, refresh.token_use) == ("access_token", "refresh_token")
        assert admin.introspect("unknown").raw == {"active": False}

    @pytest.mark.parametrize("which", ["access_token", "refresh_token"])
    def test_revoking_one_token_ends_the_other(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str, which: str
    ) -> None:
        """RFC 7009, in both directions."""
        tokens = browser.sign_in(rp, subject)

        assert rp.revoke(getattr(tokens, which)).status_code == 200

        assert alive(admin, tokens) == (False, False)

    def test_revoking_another_clients_token_answers_200(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """The token stays active, so 200 is no proof."""
        tokens = browser.sign_in(new_rp(), subject)

        assert new_rp().revoke(tokens.refresh_token).status_code == 200

        assert alive(admin, tokens) == (True, True)

    def test_revoking_without_authentication_is_refused(self, hydra: Hydra, rp: RelyingParty) -> None:
        """401 ``invalid_client`` for a wrong secret, 400 without a client."""
        url, form = hydra.public_url + "/oauth2/revoke", {"token": "any"}
        wrong = requests.post(url, data=form, auth=(rp.client_id, "wrong"), timeout=TIMEOUT)
        nobody = requests.post(url, data=form, timeout=TIMEOUT)

        assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
        assert nobody.status_code == 400


class TestClients:
    """``/admin/clients``"""

    def test_empty_and_false_fields_are_absent(self, admin: HydraAdmin, new_rp: NewRelyingParty) -> None:
        """``skip_logout_consent`` is ``null`` if it was never set."""
        rp = new_rp(post_logout_redirect_uris=[], backchannel_logout_uri="", frontchannel_logout_session_required=False)

        client = admin.client(rp.client_id)

        absent = ("post_logout_redirect_uris", "backchannel_logout_uri", "frontchannel_logout_session_required")
        assert not client.raw.keys() & set(absent)
        assert client.raw.get("skip_logout_consent") is None
        assert (client.post_logout_redirect_uris, client.backchannel_logout_uri) == ((), "")
        assert not client.skip_logout_consent

    def test_the_secret_is_returned_once(self, admin: HydraAdmin, hydra: Hydra) -> None:
        """In the answer to the creation, if Hydra chose it."""
        client_id = f"contract-{uuid4()}"
        created = admin.create_client(client_id, ClientMetadata(redirect_uris=["https://rp.example/callback"]))
        again = admin.client(client_id)
        hydra.call("DELETE", f"/clients/{client_id}")

        assert created.client_secret
        assert (again.client_secret, again.raw.get("client_secret")) == ("", None)

    def test_an_update_changes_only_the_named_fields(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """JSON Patch keeps all other fields, the secret too, and accepts empty and false values."""
        before = dict(admin.client(rp.client_id).raw)
        change = ClientMetadata(
            frontchannel_logout_uri=f"{rp.listener.url}/frontchannel",
            frontchannel_logout_session_required=True,
            skip_logout_consent=True,
        )
        changed = admin.update_client(rp.client_id, change)
        undo = ClientMetadata(
            frontchannel_logout_uri="",
            frontchannel_logout_session_required=False,
            skip_logout_consent=False,
            post_logout_redirect_uris=[],
        )
        after = dict(admin.update_client(rp.client_id, undo).raw)

        assert changed.frontchannel_logout_session_required
        assert changed.skip_logout_consent
        assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {
            "updated_at",
            "skip_logout_consent",
            "post_logout_redirect_uris",
        }
        assert browser.sign_in(rp, subject).sid

    def test_put_keeps_the_secret_and_deletes_the_rest(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """All fields that the document omits are deleted."""
        kept = ("redirect_uris", "grant_types", "response_types", "scope")
        document = {name: admin.client(rp.client_id).raw[name] for name in kept}

        hydra.call("PUT", f"/clients/{rp.client_id}", json=document)

        client = admin.client(rp.client_id)
        assert (client.backchannel_logout_uri, client.post_logout_redirect_uris) == ("", ())
        assert browser.sign_in(rp, subject).sid

    def test_removing_a_missing_field_by_patch_is_a_fault(self, hydra: Hydra, rp: RelyingParty) -> None:
        """500. An empty field counts as missing: set it to its empty value instead."""
        patch = [{"op": "remove", "path": "/frontchannel_logout_uri"}]

        assert hydra.call("PATCH", f"/clients/{rp.client_id}", json=patch).status_code == 500

    def test_a_post_logout_redirect_uri_needs_the_origin_of_a_redirect_uri(
        self, admin: HydraAdmin, rp: RelyingParty
    ) -> None:
        """Scheme, host and port must match. Otherwise: 400 ``invalid_client_metadata``."""
        change = ClientMetadata(post_logout_redirect_uris=["https://elsewhere.example/bye"])

        assert refusal(lambda: admin.update_client(rp.client_id, change)) == "client_metadata_invalid"

    @pytest.mark.parametrize("name", ["backchannel_logout_uri", "frontchannel_logout_uri"])
    def test_a_logout_uri_may_be_any_text(self, admin: HydraAdmin, rp: RelyingParty, name: str) -> None:
        """Hydra does not check it, except for private addresses if those are forbidden."""
        change: dict[str, Any] = {name: "no address at all"}

        client = admin.update_client(rp.client_id, ClientMetadata(**change))

        assert getattr(client, name) == "no address at all"

    def test_unknown_and_existing_clients_are_errors(self, admin: HydraAdmin, rp: RelyingParty) -> None:
        """404 and 409."""
        unknown = f"contract-{uuid4()}"

        assert refusal(lambda: admin.client(unknown)) == "client_unknown"
        assert refusal(lambda: admin.update_client(unknown, ClientMetadata(client_name="x"))) == "client_unknown"
        assert refusal(lambda: admin.create_client(rp.client_id, ClientMetadata())) == "client_exists"


class TestLogoutRequests:
    """``/admin/oauth2/auth/requests/logout``"""

    def test_a_request_with_a_hint_belongs_to_the_relying_party(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """It has subject, ``sid`` and client. Its ``request_url`` is a path that contains the hint."""
        tokens = browser.sign_in(rp, subject)

        request = admin.logout_request(browser.challenge("logout", rp.logout_url(tokens.id_token)))

        assert (request.rp_initiated, request.subject, request.sid) == (True, subject, tokens.sid)
        assert request.client is not None
        assert request.client.client_id == rp.client_id
        assert request.request_url.startswith("/oauth2/sessions/logout?id_token_hint=")

    def test_a_request_without_a_hint_belongs_to_the_provider(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Hydra finds the session by the cookie. The request has no client, and it expires."""
        tokens = browser.sign_in(rp, subject)

        request = admin.logout_request(browser.challenge("logout", hydra.public_url + "/oauth2/sessions/logout"))

        assert (request.rp_initiated, request.subject, request.sid) == (False, subject, tokens.sid)
        assert request.client is None
        assert request.expires_at
        assert request.requested_at
        assert request.expires_at > request.requested_at

    @pytest.mark.parametrize("challenge", ["unknown", ""])
    def test_unknown_and_missing_challenges_are_errors(self, admin: HydraAdmin, challenge: str) -> None:
        """404."""
        assert refusal(lambda: admin.logout_request(challenge)) == "challenge_unknown"
        assert refusal(lambda: admin.accept_logout_request(challenge)) == "challenge_unknown"
        assert refusal(lambda: admin.reject_logout_request(challenge)) == "challenge_unknown"

    def test_an_accepted_request_ends_the_session_and_redirects_the_browser(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """``state`` is added to the URL's own query, sorted. The cookie is deleted."""
        tokens = browser.sign_in(rp, subject)

        response = browser.log_out(rp.logout_url(tokens.id_token))

        assert response.headers["Location"] == f"{rp.listener.url}/bye?state=bye&x=1"
        assert rp.listener.wait()[0].claims["sid"] == tokens.sid
        assert not admin.login_request(browser.challenge("login", rp.authorization_url())).skip

    def test_an_accepted_request_stays_open_until_the_browser_returns(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """It can be read and accepted again, and the user is not logged out yet."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        admin.accept_logout_request(challenge)

        assert admin.logout_request(challenge).sid == tokens.sid
        assert admin.accept_logout_request(challenge)
        assert rp.listener.silent()

    def test_a_completed_request_is_reported_or_can_be_read_again(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """410 with ``redirect_to`` (the ``request_url``, a path) up to v26.2; 200 if challenges are stateless."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        browser.open(admin.accept_logout_request(challenge))

        again = outcome(lambda: admin.logout_request(challenge))
        assert isinstance(again, LogoutRequest | ChallengeHandled)
        if isinstance(again, ChallengeHandled):
            assert again.redirect_to.startswith("/oauth2/sessions/logout?id_token_hint=")

    def test_a_completed_request_that_is_accepted_again_redirects_again(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """A form that is sent twice changes nothing: the URL is the same, and the client gets one notice."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        first = browser.leave(admin.accept_logout_request(challenge))
        rp.listener.wait()

        assert browser.leave(admin.accept_logout_request(challenge)) == first
        time.sleep(SILENCE_SECONDS)
        assert len(rp.listener.calls) == 1

    def test_a_rejected_request_logs_nobody_out(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """204. Reading it again gives 404 up to v26.2, and 200 if challenges are stateless."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))

        admin.reject_logout_request(challenge)

        assert admin.login_request(browser.challenge("login", rp.authorization_url())).session_id == tokens.sid
        assert rp.listener.silent()
        again = outcome(lambda: admin.logout_request(challenge))
        assert isinstance(again, LogoutRequest) or again.code == "challenge_unknown"

    def test_a_rejected_request_can_still_be_accepted(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The last answer counts."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        admin.reject_logout_request(challenge)

        browser.open(admin.accept_logout_request(challenge))

        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    def test_the_page_must_respect_skip_logout_consent(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Hydra redirects the browser to the page in any case. The request's client has the field."""
        rp = new_rp(skip_logout_consent=True)
        tokens = browser.sign_in(rp, subject)

        request = admin.logout_request(browser.challenge("logout", rp.logout_url(tokens.id_token)))

        assert request.client is not None
        assert request.client.skip_logout_consent


class TestLoginRequests:
    """``/admin/oauth2/auth/requests/login``"""

    def test_a_request_contains_the_authorization_request(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty
    ) -> None:
        """Core's parameters for the page have fields. Others, such as ``prompt``, are only in ``request_url``."""
        url = rp.authorization_url(
            login_hint="amber", ui_locales="de en", acr_values="2", display="page", prompt="login"
        )

        request = admin.login_request(browser.challenge("login", url))

        assert (request.client.client_id, request.requested_scope) == (rp.client_id, tuple(SCOPE.split()))
        assert (request.skip, request.subject) == (False, "")
        context = request.oidc_context
        assert (context.login_hint, context.ui_locales, context.acr_values, context.display) == (
            "amber",
            ("de", "en"),
            ("2",),
            "page",
        )
        assert query_of(request.request_url)["prompt"] == "login"

    def test_a_remembered_user_is_skipped(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """With the subject, and the ``sid`` that the ID token gets again."""
        tokens = browser.sign_in(rp, subject)

        request = admin.login_request(browser.challenge("login", rp.authorization_url()))

        assert (request.skip, request.subject, request.session_id) == (True, subject, tokens.sid)
        assert browser.sign_in(rp, subject).sid == tokens.sid

    def test_another_subject_than_the_remembered_one_starts_again(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """200, but the URL is the authorization request with ``prompt=login``."""
        browser.sign_in(rp, subject)
        challenge = browser.challenge("login", rp.authorization_url())

        url = admin.accept_login_request(challenge, subject="somebody else")

        assert query_of(url)["prompt"] == "login"
        assert "login_verifier" not in query_of(url)

    def test_acr_and_amr_are_in_the_id_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """``context`` is in the consent request."""
        accepted = admin.accept_login_request(
            browser.challenge("login", rp.authorization_url()),
            subject=subject,
            acr="2",
            amr=["pwd", "otp"],
            context={"from": "login"},
        )
        challenge = browser.challenge("consent", accepted)
        request = admin.consent_request(challenge)
        tokens = rp.redeem(
            browser.leave(admin.accept_consent_request(challenge, grant_scope=["openid", "offline_access"]))
        )

        assert (tokens.claims["acr"], tokens.claims["amr"]) == ("2", ["pwd", "otp"])
        assert (request.acr, request.amr, request.context) == ("2", ("pwd", "otp"), {"from": "login"})

    def test_an_answer_without_subject_is_refused(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty) -> None:
        """400."""
        challenge = browser.challenge("login", rp.authorization_url())

        assert refusal(lambda: admin.accept_login_request(challenge, subject="")) == "hydra_refused"

    def test_a_rejection_is_sent_to_the_client(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty) -> None:
        """As an error response (RFC 6749, 4.1.2.1), with its ``state``."""
        challenge = browser.challenge("login", rp.authorization_url())

        callback = query_of(browser.leave(admin.reject_login_request(challenge, "access_denied", "not today")))

        assert (callback["error"], callback["state"]) == ("access_denied", "state-of-enough-length")
        assert "not today" in callback["error_description"]

    def test_unknown_challenges_are_errors(self, admin: HydraAdmin) -> None:
        """404. A missing challenge gets 400."""
        assert refusal(lambda: admin.login_request("unknown")) == "challenge_unknown"
        assert refusal(lambda: admin.login_request("")) == "hydra_refused"

    def test_a_challenge_keeps_no_record_of_its_answer(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """It is the encrypted request itself. So it gives 200 again, and not 410, long after the browser has left."""
        challenge = browser.challenge("login", rp.authorization_url())
        browser.challenge("consent", admin.accept_login_request(challenge, subject=subject))

        assert not admin.login_request(challenge).skip
        assert admin.accept_login_request(challenge, subject=subject)

    def test_the_verifier_belongs_to_the_browser(
        self, admin: HydraAdmin, browser: Browser, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """Another browser cannot continue with it."""
        challenge = browser.challenge("login", rp.authorization_url())

        answer = new_browser().leave(admin.accept_login_request(challenge, subject=subject))

        assert query_of(answer)["error"] == "request_forbidden"


class TestConsentRequests:
    """``/admin/oauth2/auth/requests/consent``"""

    def test_a_request_contains_the_user_and_the_scopes(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """With the future ``sid``."""
        challenge = browser.consent(rp, subject)
        request = admin.consent_request(challenge)
        tokens = rp.redeem(browser.leave(admin.accept_consent_request(challenge, grant_scope=SCOPE.split())))

        assert (request.subject, request.skip, request.client.client_id) == (subject, False, rp.client_id)
        assert request.requested_scope == tuple(SCOPE.split())
        assert request.login_session_id == tokens.sid

    def test_claims_of_an_accepted_request_are_in_the_id_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Except those that Hydra sets itself."""
        agreed = admin.accept_consent_request(
            browser.consent(rp, subject),
            grant_scope=SCOPE.split(),
            id_token={"email": "amber@example.com", "sub": "somebody else", "sid": "another"},
        )
        claims = rp.redeem(browser.leave(agreed)).claims

        assert (claims["email"], claims["sub"]) == ("amber@example.com", subject)
        assert claims["sid"] != "another"

    def test_a_rejection_is_sent_to_the_client(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """As an error response."""
        challenge = browser.consent(rp, subject)

        callback = query_of(browser.leave(admin.reject_consent_request(challenge, "access_denied")))

        assert callback["error"] == "access_denied"

    def test_unknown_challenges_are_errors(self, admin: HydraAdmin) -> None:
        """404."""
        assert refusal(lambda: admin.consent_request("unknown")) == "challenge_unknown"


class TestEndSessionEndpoint:
    """``/oauth2/sessions/logout``"""

    @pytest.mark.parametrize("parameter", ["state", "post_logout_redirect_uri"])
    def test_state_or_redirect_uri_without_hint_is_an_error(
        self, hydra: Hydra, browser: Browser, rp: RelyingParty, subject: str, parameter: str
    ) -> None:
        """Hydra shows its error page. The relying party does not learn of it."""
        browser.sign_in(rp, subject)

        url = browser.leave(f"{hydra.public_url}/oauth2/sessions/logout?{parameter}=http://rp.example/")

        assert query_of(url)["error"] == "invalid_request"
        assert not url.startswith(rp.listener.url)

    def test_an_anonymous_browser_is_redirected_to_the_configured_url(self, hydra: Hydra, browser: Browser) -> None:
        """Without hint and cookie: to ``urls.post_logout_redirect``, without a challenge."""
        url = browser.leave(f"{hydra.public_url}/oauth2/sessions/logout")

        assert query_of(url) == {}

    def test_an_unregistered_redirect_uri_is_an_error(self, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """Hydra compares URIs as text."""
        tokens = browser.sign_in(rp, subject)

        url = browser.leave(rp.logout_url(tokens.id_token, post_logout_redirect_uri=rp.post_logout_redirect_uri + "&"))

        assert query_of(url)["error"] == "invalid_request"

    def test_an_expired_hint_is_accepted(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """So it is useful to send an old ID token."""
        patch = {"op": "add", "path": "/authorization_code_grant_id_token_lifespan", "value": "1s"}
        hydra.call("PATCH", f"/clients/{rp.client_id}", json=[patch])
        tokens = browser.sign_in(rp, subject)
        time.sleep(max(0.0, tokens.claims["exp"] - time.time()) + 1.1)

        browser.log_out(rp.logout_url(tokens.id_token))

        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    def test_a_hint_works_without_cookie(
        self, browser: Browser, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """In any browser."""
        tokens = browser.sign_in(rp, subject)

        new_browser().log_out(rp.logout_url(tokens.id_token))

        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    @pytest.mark.parametrize("why", ["not remembered", "gone"])
    def test_a_logout_without_a_session_looks_like_success(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str, why: str
    ) -> None:
        """The login was not remembered, or its row is gone: a redirect with ``state`` at once, no page, no notice."""
        tokens = browser.sign_in(rp, subject, remember=why != "not remembered")
        if why == "gone":
            admin.revoke_login_sessions(subject)

        assert browser.leave(rp.logout_url(tokens.id_token)) == f"{rp.listener.url}/bye?state=bye&x=1"

        assert rp.listener.silent()
        assert alive(admin, tokens) == (True, True)

    def test_a_new_login_has_a_new_sid_and_its_logout_does_not_notify_clients_of_the_old_one(
        self, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """After ``prompt=login``, a client with the old ``sid`` gets no notice."""
        old = browser.sign_in(rp, subject)
        new = browser.sign_in(rp, subject, prompt="login")

        browser.log_out(rp.logout_url(new.id_token))
        rp.listener.wait()
        time.sleep(SILENCE_SECONDS)

        assert new.sid != old.sid
        assert [call.claims["sid"] for call in rp.listener.calls] == [new.sid]

    def test_the_other_login_of_the_cookie_ends_too_and_only_clients_of_the_hint_are_notified(
        self, admin: HydraAdmin, browser: Browser, new_browser: NewBrowser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """The browser's own login ends without notices."""
        hinted, own = new_rp(), new_rp()
        tokens = new_browser().sign_in(hinted, subject)
        browser.sign_in(own, f"{subject}-2")

        browser.log_out(hinted.logout_url(tokens.id_token))

        assert [call.claims["sid"] for call in hinted.listener.wait()] == [tokens.sid]
        assert own.listener.silent()
        assert not admin.login_request(browser.challenge("login", own.authorization_url())).skip

    def test_it_accepts_a_posted_form(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """A form keeps the ID token out of URLs."""
        tokens = browser.sign_in(rp, subject)
        form = query_of(rp.logout_url(tokens.id_token))

        response = browser.open(f"{hydra.public_url}/oauth2/sessions/logout", "POST", **form)

        request = admin.logout_request(query_of(response.headers["Location"])["logout_challenge"])
        assert (request.sid, request.rp_initiated) == (tokens.sid, True)
        assert tokens.id_token not in request.request_url


class TestBackChannel:
    def test_our_app_accepts_the_logout_token(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """A form with only ``logout_token``; ``typ`` JWT, no ``exp``, no ``sub``, and ``aud`` is a list."""
        tokens = browser.sign_in(rp, subject)
        admin.revoke_login_session(tokens.sid)
        (call,) = rp.listener.wait()

        registration = Registration(hydra.public_url, rp.client_id, rp.client_secret)
        provider = Provider(registration, SharedCache(LocMemCache(str(uuid4()), {})))
        token = provider.verify_logout_token(call.form["logout_token"], now=time.time(), exp_required=False)

        assert (call.method, call.content_type, set(call.form)) == (
            "POST",
            "application/x-www-form-urlencoded",
            {"logout_token"},
        )
        assert (call.header["typ"], call.header["alg"]) == ("JWT", "RS256")
        assert set(call.claims) == {"iss", "aud", "iat", "jti", "events", "sid"}
        assert call.claims["aud"] == [rp.client_id]
        assert (token.sid, token.subject) == (tokens.sid, None)

    def test_an_accepted_consent_is_enough_for_a_notice(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The code need not have been exchanged."""
        browser.callback(rp, subject)
        (session,) = admin.consent_sessions(subject)

        admin.revoke_login_session(session.consent_request.login_session_id)

        assert rp.listener.wait()

    def test_each_client_gets_one_notice_at_its_current_url(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """It does not matter how often the client requested a sign-in."""
        first, other = new_rp(), new_rp()
        tokens = [browser.sign_in(rp, subject) for rp in (first, other, first)]
        admin.update_client(first.client_id, ClientMetadata(backchannel_logout_uri=f"{first.listener.url}/moved"))

        admin.revoke_login_session(tokens[0].sid)

        assert [call.path for call in first.listener.wait()] == ["/moved"]
        assert [call.path for call in other.listener.wait()] == ["/backchannel"]

    @pytest.mark.parametrize("required", [True, False])
    def test_session_required_is_ignored(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str, required: bool
    ) -> None:
        """The ``sid`` is always there."""
        rp = new_rp(backchannel_logout_session_required=required)
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    def test_a_fault_is_retried_with_the_same_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Three attempts. The second comes after one second, the third after two more."""
        rp.listener.answers = [(503, {}), (500, {}), (503, {})]
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        first, second, third = rp.listener.wait(3, 6.0)
        assert first.form == second.form == third.form
        assert (round(second.at - first.at), round(third.at - second.at)) == (1, 2)
        assert len(rp.listener.calls) == 3

    def test_retry_after_is_respected(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """0 means at once."""
        rp.listener.answers = [(503, {"Retry-After": "0"})]
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        first, second = rp.listener.wait(2)
        assert second.at - first.at < 0.5

    def test_a_refusal_is_final(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """400 is not retried."""
        rp.listener.answers = [(400, {})]
        tokens = browser.sign_in(rp, subject)
        admin.revoke_login_session(tokens.sid)
        rp.listener.wait()

        time.sleep(1.5)

        assert len(rp.listener.calls) == 1

    @pytest.mark.parametrize(
        ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
    )
    def test_a_redirect_can_lose_the_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str, status: int, method: str
    ) -> None:
        """301, 302 and 303 become a GET without body, and its 200 is a success. 307 and 308 keep the POST."""
        rp.listener.answers = [(status, {"Location": f"{rp.listener.url}/elsewhere"})]
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        first, second = rp.listener.wait(2)
        assert (second.method, second.path) == (method, "/elsewhere")
        assert second.form == (first.form if method == "POST" else {})


class TestFrontChannel:
    def test_it_is_a_page_of_iframes_with_iss_and_sid(
        self, hydra: Hydra, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Then it redirects to the post-logout URL. The URI's own query is kept, sorted."""
        rp = new_rp(frontchannel_logout_uri="http://rp.example/frontchannel?z=1&a=2&sid=own")
        tokens = browser.sign_in(rp, subject)

        page = browser.log_out(rp.logout_url(tokens.id_token))

        issuer = tokens.claims["iss"].replace(":", "%3A").replace("/", "%2F")
        address = f"http://rp.example/frontchannel?a=2&iss={issuer}&sid={tokens.sid}&z=1"
        assert page.status_code == 200
        assert f'src="{address.replace("&", "&amp;")}"' in page.text
        assert "bye" in page.text

    def test_the_admin_api_does_not_use_it(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """There is no browser for it."""
        rp = new_rp(backchannel_logout_uri="")
        admin.update_client(rp.client_id, ClientMetadata(frontchannel_logout_uri=f"{rp.listener.url}/frontchannel"))
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()


class TestTokensOfSignIn:
    @pytest.mark.parametrize("remember", [True, False])
    def test_the_sid_is_in_every_id_token_and_not_in_userinfo(
        self, hydra: Hydra, browser: Browser, rp: RelyingParty, subject: str, remember: bool
    ) -> None:
        """Also for logins that are not remembered."""
        tokens = browser.sign_in(rp, subject, remember=remember)
        bearer = {"Authorization": f"Bearer {tokens.access_token}"}

        userinfo: dict[str, Any] = requests.get(f"{hydra.public_url}/userinfo", headers=bearer, timeout=TIMEOUT).json()

        assert tokens.sid
        assert (userinfo["sub"], userinfo.get("sid")) == (subject, None)

    def test_discovery_announces_logout(self, hydra: Hydra) -> None:
        """All of it, whatever the configuration."""
        discovery = requests.get(hydra.public_url + "/.well-known/openid-configuration", timeout=TIMEOUT).json()

        assert all(
            discovery[f"{channel}_logout_{what}supported"]
            for channel in ("backchannel", "frontchannel")
            for what in ("", "session_")
        )


def test_the_public_address_has_no_admin_api(hydra: Hydra) -> None:
    """404 that is no OAuth error. So a wrong ``ADMIN_URL`` differs from an unknown client."""
    assert refusal(lambda: HydraAdmin(hydra.public_url).client("any")) == "hydra_not_found"
    assert refusal(lambda: HydraAdmin(hydra.public_url).logout_request("any")) == "hydra_not_found"
    assert refusal(lambda: HydraAdmin(hydra.public_url).revoke_login_session("any")) == "hydra_not_found"
    assert refusal(lambda: HydraAdmin(hydra.admin_url + "/admin").client("any")) == "hydra_not_found"


def test_the_admin_api_shows_the_ids_of_the_keys_in_the_jwks(hydra: Hydra, admin: HydraAdmin) -> None:
    """They distinguish two Hydras. Each Hydra answers 204 for ids that it does not know."""
    jwks = requests.get(f"{hydra.public_url}/.well-known/jwks.json", timeout=TIMEOUT).json()

    assert admin.id_token_key_ids() & {key["kid"] for key in jwks["keys"]}
