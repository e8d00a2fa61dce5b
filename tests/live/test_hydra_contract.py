"""What we hold true of Ory Hydra, a fact a test, against any Hydra that is running (see ``conftest.py``).

The docstring is the fact. Where releases differ, it says how, and the test takes either.
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
    """The code with which Hydra refuses ``call``."""
    with pytest.raises(HydraError) as caught:
        call()
    return caught.value.code


def outcome(call: Callable[[], T]) -> T | HydraError:
    """What ``call`` gives, or the refusal."""
    try:
        return call()
    except HydraError as error:
        return error


def alive(admin: HydraAdmin, tokens: Tokens) -> tuple[bool, bool]:
    """Whether the access and the refresh token live."""
    return admin.introspect(tokens.access_token).active, admin.introspect(tokens.refresh_token).active


class TestLoginSessions:
    """``DELETE /admin/oauth2/auth/sessions/login``"""

    def test_by_sid_tells_the_applications_of_that_session(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """Back-channel logout is sent for the session that is named, and the person's other session lives on."""
        here, there = new_browser().sign_in(rp, subject), new_browser()
        other = there.sign_in(rp, subject)

        admin.revoke_login_session(here.sid)

        assert [call.claims["sid"] for call in rp.listener.wait()] == [here.sid]
        request = admin.login_request(there.challenge("login", rp.authorization_url()))
        assert (request.skip, request.session_id) == (True, other.sid)

    def test_by_sid_tells_nobody_of_a_login_that_was_not_remembered(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """204 all the same."""
        tokens = browser.sign_in(rp, subject, remember=False)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()

    def test_by_an_unknown_sid_succeeds(self, admin: HydraAdmin) -> None:
        """204, so success is no proof that there was one."""
        admin.revoke_login_session(str(uuid4()))

    def test_by_an_empty_sid_is_refused(self, admin: HydraAdmin) -> None:
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

    def test_by_subject_ends_all_and_tells_nobody(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """The browsers have to log in again, the applications are not told."""
        browsers = [new_browser(), new_browser()]
        for one in browsers:
            one.sign_in(rp, subject)

        admin.revoke_login_sessions(subject)

        requests_ = [admin.login_request(one.challenge("login", rp.authorization_url())) for one in browsers]
        assert [one.skip for one in requests_] == [False, False]
        assert rp.listener.silent()

    def test_by_subject_makes_a_later_revocation_by_sid_silent(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """So each ``sid`` first, the subject last."""
        tokens = browser.sign_in(rp, subject)
        admin.revoke_login_sessions(subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()

    def test_the_subject_that_a_pairwise_client_knows_is_not_the_one_meant(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, rp: RelyingParty, subject: str
    ) -> None:
        """204, and nothing happens. Introspection and the consents name the subject that is."""
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
        """A refresh gives an ID token with the dead ``sid``."""
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert alive(admin, tokens) == (True, True)
        assert rp.refresh(tokens).sid == tokens.sid


class TestConsentSessions:
    """``GET`` and ``DELETE /admin/oauth2/auth/sessions/consent``"""

    def test_the_list_has_the_sid(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """As ``consent_request.login_session_id``."""
        tokens = browser.sign_in(rp, subject)

        (session,) = admin.consent_sessions(subject)

        assert session.consent_request.login_session_id == tokens.sid
        assert session.consent_request.client.client_id == rp.client_id
        assert session.consent_request.subject == subject
        assert session.grant_scope == tuple(SCOPE.split())

    def test_the_sid_is_empty_once_the_login_session_is_gone(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The consent itself stays."""
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert [one.consent_request.login_session_id for one in admin.consent_sessions(subject)] == [""]

    def test_the_list_has_logins_that_were_not_remembered(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """They have a ``sid`` too, though no logout for it is ever sent."""
        tokens = browser.sign_in(rp, subject, remember=False)

        assert [one.consent_request.login_session_id for one in admin.consent_sessions(subject)] == [tokens.sid]

    def test_flows_that_reused_a_remembered_consent_are_not_listed(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """Their ``sid`` is in no listing."""
        first = new_browser()
        agreed = admin.accept_consent_request(
            first.consent(rp, subject), grant_scope=SCOPE.split(), remember=True, remember_for=600
        )
        listed = rp.redeem(first.leave(agreed))
        second = new_browser()
        challenge = second.consent(rp, subject)
        skipped = admin.consent_request(challenge).skip
        unlisted = rp.redeem(second.leave(admin.accept_consent_request(challenge, grant_scope=SCOPE.split())))

        found = [one.consent_request.login_session_id for one in admin.consent_sessions(subject)]

        assert skipped
        assert found == [listed.sid]
        assert unlisted.sid != listed.sid

    def test_consents_past_their_remember_for_are_not_listed(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The session and the tokens that came of them live on, and a logout still reaches the application."""
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
        """``rel="next"`` carries a ``page_token``; the last page has none."""
        monkeypatch.setattr(admin_module, "PAGE_SIZE", 2)
        for _ in range(5):
            browser.sign_in(rp, subject)

        listed = [one.consent_request_id for one in admin.consent_sessions(subject)]

        assert len(set(listed)) == len(listed) == 5

    def test_the_list_can_be_of_one_login_session(
        self, admin: HydraAdmin, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """``login_session_id=`` selects."""
        tokens = new_browser().sign_in(rp, subject)
        new_browser().sign_in(rp, subject)

        found = [one.consent_request.login_session_id for one in admin.consent_sessions(subject, sid=tokens.sid)]

        assert found == [tokens.sid]

    def test_nobody_has_an_empty_list(self, admin: HydraAdmin) -> None:
        """200, not 404."""
        assert list(admin.consent_sessions(str(uuid4()))) == []

    def test_revoked_for_one_client_end_its_tokens_alone(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Access and refresh tokens."""
        one, other = new_rp(), new_rp()
        gone, kept = browser.sign_in(one, subject), browser.sign_in(other, subject)

        admin.revoke_consents(subject, one.client_id)

        assert (alive(admin, gone), alive(admin, kept)) == ((False, False), (True, True))

    def test_revoked_for_all_clients_end_all_tokens(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Also those of flows that reused a consent."""
        held = [browser.sign_in(new_rp(), subject) for _ in range(2)]

        admin.revoke_all_consents(subject)

        assert [alive(admin, one) for one in held] == [(False, False)] * 2
        assert list(admin.consent_sessions(subject)) == []

    def test_revoked_by_request_id_end_the_tokens_of_one_flow(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """From v25.4 on."""
        gone = browser.sign_in(rp, subject)
        (session,) = admin.consent_sessions(subject)
        kept = browser.sign_in(rp, subject)

        admin.revoke_consent(session.consent_request_id)

        assert (alive(admin, gone), alive(admin, kept)) == ((False, False), (True, True))

    @pytest.mark.parametrize("revoke", ["client", "all", "id"])
    def test_revoking_what_is_unknown_succeeds(self, admin: HydraAdmin, revoke: str) -> None:
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
        """400; ``all`` counts only as exactly ``true``."""
        response = hydra.call("DELETE", "/oauth2/auth/sessions/consent", params={"subject": str(uuid4()), **more})

        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")

    def test_revoked_first_they_make_the_logout_silent(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Whom to tell is found by the consents, so they come last."""
        tokens = browser.sign_in(rp, subject)
        admin.revoke_all_consents(subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.silent()


class TestTokens:
    """``DELETE /admin/oauth2/tokens``, ``POST /admin/oauth2/introspect`` and ``POST /oauth2/revoke``"""

    def test_deleting_those_of_a_client_leaves_its_refresh_tokens(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Which give new ones."""
        one, other = new_rp(), new_rp()
        tokens, kept = browser.sign_in(one, subject), browser.sign_in(other, subject)

        admin.delete_access_tokens(one.client_id)

        assert (alive(admin, tokens), alive(admin, kept)) == ((False, True), (True, True))
        assert alive(admin, one.refresh(tokens)) == (True, True)

    def test_deleting_those_of_an_unknown_client_succeeds(self, admin: HydraAdmin) -> None:
        """204."""
        admin.delete_access_tokens(str(uuid4()))

    def test_introspection_tells_access_from_refresh_tokens(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """``token_use``, and of what is unknown only that it is not active."""
        tokens = browser.sign_in(rp, subject)

        access, refresh = admin.introspect(tokens.access_token), admin.introspect(tokens.refresh_token)

        assert (access.active, access.sub, access.client_id) == (True, subject, rp.client_id)
        assert (access.token_use, refresh.token_use) == ("access_token", "refresh_token")
        assert admin.introspect("unknown").raw == {"active": False}

    @pytest.mark.parametrize("which", ["access_token", "refresh_token"])
    def test_revoking_one_ends_the_other(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str, which: str
    ) -> None:
        """RFC 7009, either way."""
        tokens = browser.sign_in(rp, subject)

        assert rp.revoke(getattr(tokens, which)).status_code == 200

        assert alive(admin, tokens) == (False, False)

    def test_revoking_another_clients_token_is_answered_200(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """And the token lives: 200 is no proof."""
        tokens = browser.sign_in(new_rp(), subject)

        assert new_rp().revoke(tokens.refresh_token).status_code == 200

        assert alive(admin, tokens) == (True, True)

    def test_revoking_as_nobody_is_refused(self, hydra: Hydra, rp: RelyingParty) -> None:
        """401 ``invalid_client`` for a wrong secret, 400 without a client."""
        url, form = hydra.public_url + "/oauth2/revoke", {"token": "any"}
        wrong = requests.post(url, data=form, auth=(rp.client_id, "wrong"), timeout=TIMEOUT)
        nobody = requests.post(url, data=form, timeout=TIMEOUT)

        assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
        assert nobody.status_code == 400


class TestClients:
    """``/admin/clients``"""

    def test_empty_and_false_fields_are_absent(self, admin: HydraAdmin, new_rp: NewRelyingParty) -> None:
        """``skip_logout_consent`` is ``null`` where it was never set."""
        rp = new_rp(post_logout_redirect_uris=[], backchannel_logout_uri="", frontchannel_logout_session_required=False)

        client = admin.client(rp.client_id)

        absent = ("post_logout_redirect_uris", "backchannel_logout_uri", "frontchannel_logout_session_required")
        assert not client.raw.keys() & set(absent)
        assert client.raw.get("skip_logout_consent") is None
        assert (client.post_logout_redirect_uris, client.backchannel_logout_uri) == ((), "")
        assert not client.skip_logout_consent

    def test_the_secret_is_said_once(self, admin: HydraAdmin, hydra: Hydra) -> None:
        """In the answer to the creation, where Hydra chose it."""
        client_id = f"contract-{uuid4()}"
        created = admin.create_client(client_id, ClientMetadata(redirect_uris=["https://rp.example/callback"]))
        again = admin.client(client_id)
        hydra.call("DELETE", f"/clients/{client_id}")

        assert created.client_secret
        assert (again.client_secret, again.raw.get("client_secret")) == ("", None)

    def test_an_update_changes_what_it_names(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """JSON Patch leaves the rest as it was, the secret too, and takes empty and false values."""
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

    def test_put_keeps_the_secret_and_drops_the_rest(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Whatever the document leaves out is gone."""
        kept = ("redirect_uris", "grant_types", "response_types", "scope")
        document = {name: admin.client(rp.client_id).raw[name] for name in kept}

        hydra.call("PUT", f"/clients/{rp.client_id}", json=document)

        client = admin.client(rp.client_id)
        assert (client.backchannel_logout_uri, client.post_logout_redirect_uris) == ("", ())
        assert browser.sign_in(rp, subject).sid

    def test_removing_by_patch_what_is_not_there_is_a_fault(self, hydra: Hydra, rp: RelyingParty) -> None:
        """500, and an empty field is not there: set it to its empty value instead."""
        patch = [{"op": "remove", "path": "/frontchannel_logout_uri"}]

        assert hydra.call("PATCH", f"/clients/{rp.client_id}", json=patch).status_code == 500

    def test_where_to_go_after_logout_shares_its_origin_with_a_redirect_uri(
        self, admin: HydraAdmin, rp: RelyingParty
    ) -> None:
        """Scheme, host and port; 400 ``invalid_client_metadata`` otherwise."""
        change = ClientMetadata(post_logout_redirect_uris=["https://elsewhere.example/bye"])

        assert refusal(lambda: admin.update_client(rp.client_id, change)) == "client_metadata_invalid"

    @pytest.mark.parametrize("name", ["backchannel_logout_uri", "frontchannel_logout_uri"])
    def test_a_logout_uri_may_be_any_text(self, admin: HydraAdmin, rp: RelyingParty, name: str) -> None:
        """It is not looked at (but for private addresses, where those are forbidden)."""
        change: dict[str, Any] = {name: "no address at all"}

        client = admin.update_client(rp.client_id, ClientMetadata(**change))

        assert getattr(client, name) == "no address at all"

    def test_unknown_and_existing_ones_are_told(self, admin: HydraAdmin, rp: RelyingParty) -> None:
        """404 and 409."""
        unknown = f"contract-{uuid4()}"

        assert refusal(lambda: admin.client(unknown)) == "client_unknown"
        assert refusal(lambda: admin.update_client(unknown, ClientMetadata(client_name="x"))) == "client_unknown"
        assert refusal(lambda: admin.create_client(rp.client_id, ClientMetadata())) == "client_exists"


class TestLogoutRequests:
    """``/admin/oauth2/auth/requests/logout``"""

    def test_with_a_hint_it_is_the_relying_partys(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Subject, ``sid`` and client; its ``request_url`` is a path, and holds the hint."""
        tokens = browser.sign_in(rp, subject)

        request = admin.logout_request(browser.challenge("logout", rp.logout_url(tokens.id_token)))

        assert (request.rp_initiated, request.subject, request.sid) == (True, subject, tokens.sid)
        assert request.client is not None
        assert request.client.client_id == rp.client_id
        assert request.request_url.startswith("/oauth2/sessions/logout?id_token_hint=")

    def test_without_a_hint_it_is_the_providers(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """By the cookie; there is no client, and it expires."""
        tokens = browser.sign_in(rp, subject)

        request = admin.logout_request(browser.challenge("logout", hydra.public_url + "/oauth2/sessions/logout"))

        assert (request.rp_initiated, request.subject, request.sid) == (False, subject, tokens.sid)
        assert request.client is None
        assert request.expires_at
        assert request.requested_at
        assert request.expires_at > request.requested_at

    @pytest.mark.parametrize("challenge", ["unknown", ""])
    def test_unknown_and_missing_challenges_are_told(self, admin: HydraAdmin, challenge: str) -> None:
        """404."""
        assert refusal(lambda: admin.logout_request(challenge)) == "challenge_unknown"
        assert refusal(lambda: admin.accept_logout_request(challenge)) == "challenge_unknown"
        assert refusal(lambda: admin.reject_logout_request(challenge)) == "challenge_unknown"

    def test_accepted_it_ends_the_session_and_brings_the_browser_back(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """With ``state``, put into the address's own query, sorted; the cookie is gone."""
        tokens = browser.sign_in(rp, subject)

        response = browser.log_out(rp.logout_url(tokens.id_token))

        assert response.headers["Location"] == f"{rp.listener.url}/bye?state=bye&x=1"
        assert rp.listener.wait()[0].claims["sid"] == tokens.sid
        assert not admin.login_request(browser.challenge("login", rp.authorization_url())).skip

    def test_accepted_it_is_open_until_the_browser_comes(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """It can be read and accepted again, and nobody is logged out yet."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        admin.accept_logout_request(challenge)

        assert admin.logout_request(challenge).sid == tokens.sid
        assert admin.accept_logout_request(challenge)
        assert rp.listener.silent()

    def test_handled_it_says_so_or_is_answered_again(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """410 with ``redirect_to`` (the ``request_url``, a path) to v26.2; 200 where challenges are stateless."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        browser.open(admin.accept_logout_request(challenge))

        again = outcome(lambda: admin.logout_request(challenge))
        assert isinstance(again, LogoutRequest | ChallengeHandled)
        if isinstance(again, ChallengeHandled):
            assert again.redirect_to.startswith("/oauth2/sessions/logout?id_token_hint=")

    def test_handled_and_accepted_again_it_brings_the_browser_back_again(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """A form that is sent twice does no harm: the same address, and the application is told once."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        first = browser.leave(admin.accept_logout_request(challenge))
        rp.listener.wait()

        assert browser.leave(admin.accept_logout_request(challenge)) == first
        time.sleep(SILENCE_SECONDS)
        assert len(rp.listener.calls) == 1

    def test_rejected_nobody_is_logged_out(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """204. Reading it again: 404 to v26.2, 200 where challenges are stateless."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))

        admin.reject_logout_request(challenge)

        assert admin.login_request(browser.challenge("login", rp.authorization_url())).session_id == tokens.sid
        assert rp.listener.silent()
        again = outcome(lambda: admin.logout_request(challenge))
        assert isinstance(again, LogoutRequest) or again.code == "challenge_unknown"

    def test_rejected_it_can_still_be_accepted(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The last answer counts."""
        tokens = browser.sign_in(rp, subject)
        challenge = browser.challenge("logout", rp.logout_url(tokens.id_token))
        admin.reject_logout_request(challenge)

        browser.open(admin.accept_logout_request(challenge))

        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    def test_skip_logout_consent_is_the_pages_to_honour(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """Hydra sends the browser to the page all the same, and says it of the client."""
        rp = new_rp(skip_logout_consent=True)
        tokens = browser.sign_in(rp, subject)

        request = admin.logout_request(browser.challenge("logout", rp.logout_url(tokens.id_token)))

        assert request.client is not None
        assert request.client.skip_logout_consent


class TestLoginRequests:
    """``/admin/oauth2/auth/requests/login``"""

    def test_it_says_who_asks_for_what(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty) -> None:
        """The parameters that Core has for the page come apart; the others, as ``prompt``, in ``request_url``."""
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

    def test_who_is_remembered_is_skipped(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """With the subject and the ``sid`` that the ID token gets again."""
        tokens = browser.sign_in(rp, subject)

        request = admin.login_request(browser.challenge("login", rp.authorization_url()))

        assert (request.skip, request.subject, request.session_id) == (True, subject, tokens.sid)
        assert browser.sign_in(rp, subject).sid == tokens.sid

    def test_accepted_as_another_than_the_remembered_one_begins_anew(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """200, but back to the authorization request, with ``prompt=login``."""
        browser.sign_in(rp, subject)
        challenge = browser.challenge("login", rp.authorization_url())

        url = admin.accept_login_request(challenge, subject="somebody else")

        assert query_of(url)["prompt"] == "login"
        assert "login_verifier" not in query_of(url)

    def test_acr_and_amr_are_in_the_id_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """And ``context`` comes with the consent request."""
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

    def test_without_subject_it_is_refused(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty) -> None:
        """400."""
        challenge = browser.challenge("login", rp.authorization_url())

        assert refusal(lambda: admin.accept_login_request(challenge, subject="")) == "hydra_refused"

    def test_rejected_the_application_hears_why(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty) -> None:
        """As error response (RFC 6749, 4.1.2.1), with its ``state``."""
        challenge = browser.challenge("login", rp.authorization_url())

        callback = query_of(browser.leave(admin.reject_login_request(challenge, "access_denied", "not today")))

        assert (callback["error"], callback["state"]) == ("access_denied", "state-of-enough-length")
        assert "not today" in callback["error_description"]

    def test_unknown_challenges_are_told(self, admin: HydraAdmin) -> None:
        """404; 400 for none."""
        assert refusal(lambda: admin.login_request("unknown")) == "challenge_unknown"
        assert refusal(lambda: admin.login_request("")) == "hydra_refused"

    def test_a_challenge_keeps_no_record_of_its_answer(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """It is the request itself, sealed: 200 again, and no 410, when the browser has long gone on."""
        challenge = browser.challenge("login", rp.authorization_url())
        browser.challenge("consent", admin.accept_login_request(challenge, subject=subject))

        assert not admin.login_request(challenge).skip
        assert admin.accept_login_request(challenge, subject=subject)

    def test_the_verifier_belongs_to_the_browser(
        self, admin: HydraAdmin, browser: Browser, new_browser: NewBrowser, rp: RelyingParty, subject: str
    ) -> None:
        """Another one cannot go on with it."""
        challenge = browser.challenge("login", rp.authorization_url())

        answer = new_browser().leave(admin.accept_login_request(challenge, subject=subject))

        assert query_of(answer)["error"] == "request_forbidden"


class TestConsentRequests:
    """``/admin/oauth2/auth/requests/consent``"""

    def test_it_says_who_is_asked_for_what(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """With the ``sid`` to be."""
        challenge = browser.consent(rp, subject)
        request = admin.consent_request(challenge)
        tokens = rp.redeem(browser.leave(admin.accept_consent_request(challenge, grant_scope=SCOPE.split())))

        assert (request.subject, request.skip, request.client.client_id) == (subject, False, rp.client_id)
        assert request.requested_scope == tuple(SCOPE.split())
        assert request.login_session_id == tokens.sid

    def test_accepted_its_claims_are_in_the_id_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """But not those that are Hydra's own."""
        agreed = admin.accept_consent_request(
            browser.consent(rp, subject),
            grant_scope=SCOPE.split(),
            id_token={"email": "amber@example.com", "sub": "somebody else", "sid": "another"},
        )
        claims = rp.redeem(browser.leave(agreed)).claims

        assert (claims["email"], claims["sub"]) == ("amber@example.com", subject)
        assert claims["sid"] != "another"

    def test_rejected_the_application_hears_why(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """As error response."""
        challenge = browser.consent(rp, subject)

        callback = query_of(browser.leave(admin.reject_consent_request(challenge, "access_denied")))

        assert callback["error"] == "access_denied"

    def test_unknown_challenges_are_told(self, admin: HydraAdmin) -> None:
        """404."""
        assert refusal(lambda: admin.consent_request("unknown")) == "challenge_unknown"


class TestEndSessionEndpoint:
    """``/oauth2/sessions/logout``"""

    @pytest.mark.parametrize("parameter", ["state", "post_logout_redirect_uri"])
    def test_state_or_address_without_hint_is_an_error(
        self, hydra: Hydra, browser: Browser, rp: RelyingParty, subject: str, parameter: str
    ) -> None:
        """At Hydra's error page; the relying party never hears."""
        browser.sign_in(rp, subject)

        url = browser.leave(f"{hydra.public_url}/oauth2/sessions/logout?{parameter}=http://rp.example/")

        assert query_of(url)["error"] == "invalid_request"
        assert not url.startswith(rp.listener.url)

    def test_a_stranger_goes_where_hydra_is_told(self, hydra: Hydra, browser: Browser) -> None:
        """No hint, no cookie: to ``urls.post_logout_redirect``, without a challenge."""
        url = browser.leave(f"{hydra.public_url}/oauth2/sessions/logout")

        assert query_of(url) == {}

    def test_an_unregistered_address_is_an_error(self, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """The address is compared as text."""
        tokens = browser.sign_in(rp, subject)

        url = browser.leave(rp.logout_url(tokens.id_token, post_logout_redirect_uri=rp.post_logout_redirect_uri + "&"))

        assert query_of(url)["error"] == "invalid_request"

    def test_an_expired_hint_is_accepted(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """An old ID token is worth sending."""
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
    def test_without_a_session_it_looks_like_success(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str, why: str
    ) -> None:
        """A login that was not remembered, or whose row is gone: back with ``state`` at once, no page, nobody told."""
        tokens = browser.sign_in(rp, subject, remember=why != "not remembered")
        if why == "gone":
            admin.revoke_login_sessions(subject)

        assert browser.leave(rp.logout_url(tokens.id_token)) == f"{rp.listener.url}/bye?state=bye&x=1"

        assert rp.listener.silent()
        assert alive(admin, tokens) == (True, True)

    def test_a_new_login_has_a_new_sid_and_its_logout_does_not_tell_of_the_old(
        self, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """After ``prompt=login``; who holds the old ``sid`` is not told."""
        old = browser.sign_in(rp, subject)
        new = browser.sign_in(rp, subject, prompt="login")

        browser.log_out(rp.logout_url(new.id_token))
        rp.listener.wait()
        time.sleep(SILENCE_SECONDS)

        assert new.sid != old.sid
        assert [call.claims["sid"] for call in rp.listener.calls] == [new.sid]

    def test_another_logins_cookie_ends_too_and_only_the_hints_applications_are_told(
        self, admin: HydraAdmin, browser: Browser, new_browser: NewBrowser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """The browser's own login ends unheard."""
        hinted, own = new_rp(), new_rp()
        tokens = new_browser().sign_in(hinted, subject)
        browser.sign_in(own, f"{subject}-2")

        browser.log_out(hinted.logout_url(tokens.id_token))

        assert [call.claims["sid"] for call in hinted.listener.wait()] == [tokens.sid]
        assert own.listener.silent()
        assert not admin.login_request(browser.challenge("login", own.authorization_url())).skip

    def test_it_takes_a_posted_form(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Which keeps the ID token out of addresses."""
        tokens = browser.sign_in(rp, subject)
        form = query_of(rp.logout_url(tokens.id_token))

        response = browser.open(f"{hydra.public_url}/oauth2/sessions/logout", "POST", **form)

        request = admin.logout_request(query_of(response.headers["Location"])["logout_challenge"])
        assert (request.sid, request.rp_initiated) == (tokens.sid, True)
        assert tokens.id_token not in request.request_url


class TestBackChannel:
    def test_the_logout_token_is_one_that_we_accept(
        self, hydra: Hydra, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """A form with ``logout_token`` alone, ``typ`` JWT, no ``exp``, no ``sub``, ``aud`` a list."""
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

    def test_an_accepted_consent_is_enough_to_be_told(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """The code need not have been exchanged."""
        browser.callback(rp, subject)
        (session,) = admin.consent_sessions(subject)

        admin.revoke_login_session(session.consent_request.login_session_id)

        assert rp.listener.wait()

    def test_each_application_is_told_once_at_its_current_address(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str
    ) -> None:
        """However often it asked for a sign-in."""
        one, other = new_rp(), new_rp()
        tokens = [browser.sign_in(rp, subject) for rp in (one, other, one)]
        admin.update_client(one.client_id, ClientMetadata(backchannel_logout_uri=f"{one.listener.url}/moved"))

        admin.revoke_login_session(tokens[0].sid)

        assert [call.path for call in one.listener.wait()] == ["/moved"]
        assert [call.path for call in other.listener.wait()] == ["/backchannel"]

    @pytest.mark.parametrize("required", [True, False])
    def test_session_required_is_ignored(
        self, admin: HydraAdmin, browser: Browser, new_rp: NewRelyingParty, subject: str, required: bool
    ) -> None:
        """The ``sid`` is there anyway."""
        rp = new_rp(backchannel_logout_session_required=required)
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        assert rp.listener.wait()[0].claims["sid"] == tokens.sid

    def test_a_fault_is_tried_again_with_the_same_token(
        self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str
    ) -> None:
        """Three times, after one and two more seconds."""
        rp.listener.answers = [(503, {}), (500, {}), (503, {})]
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        first, second, third = rp.listener.wait(3, 6.0)
        assert first.form == second.form == third.form
        assert (round(second.at - first.at), round(third.at - second.at)) == (1, 2)
        assert len(rp.listener.calls) == 3

    def test_retry_after_is_obeyed(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """0: at once."""
        rp.listener.answers = [(503, {"Retry-After": "0"})]
        tokens = browser.sign_in(rp, subject)

        admin.revoke_login_session(tokens.sid)

        first, second = rp.listener.wait(2)
        assert second.at - first.at < 0.5

    def test_a_refusal_is_final(self, admin: HydraAdmin, browser: Browser, rp: RelyingParty, subject: str) -> None:
        """400 is not tried again."""
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
        """301, 302 and 303 become a GET without body, and its 200 is success; 307 and 308 keep the POST."""
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
        """Then on to the address after logout. The query of its own is kept, sorted."""
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
        """There is no browser to use it with."""
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
        """Also of logins that are not remembered."""
        tokens = browser.sign_in(rp, subject, remember=remember)
        bearer = {"Authorization": f"Bearer {tokens.access_token}"}

        userinfo: dict[str, Any] = requests.get(f"{hydra.public_url}/userinfo", headers=bearer, timeout=TIMEOUT).json()

        assert tokens.sid
        assert (userinfo["sub"], userinfo.get("sid")) == (subject, None)

    def test_discovery_says_that_logout_is_supported(self, hydra: Hydra) -> None:
        """All of it, whatever the configuration."""
        discovery = requests.get(hydra.public_url + "/.well-known/openid-configuration", timeout=TIMEOUT).json()

        assert all(
            discovery[f"{channel}_logout_{what}supported"]
            for channel in ("backchannel", "frontchannel")
            for what in ("", "session_")
        )


def test_the_public_address_has_no_admin_api(hydra: Hydra) -> None:
    """404 in words that are not an OAuth error, so that a wrong ``ADMIN_URL`` is told from an unknown client."""
    assert refusal(lambda: HydraAdmin(hydra.public_url).client("any")) == "hydra_not_found"
    assert refusal(lambda: HydraAdmin(hydra.public_url).logout_request("any")) == "hydra_not_found"
    assert refusal(lambda: HydraAdmin(hydra.public_url).revoke_login_session("any")) == "hydra_not_found"
    assert refusal(lambda: HydraAdmin(hydra.admin_url + "/admin").client("any")) == "hydra_not_found"


def test_the_admin_api_shows_the_ids_of_the_keys_in_the_jwks(hydra: Hydra, admin: HydraAdmin) -> None:
    """By them two Hydras are told apart: for ids that it does not know, each answers 204."""
    jwks = requests.get(f"{hydra.public_url}/.well-known/jwks.json", timeout=TIMEOUT).json()

    assert admin.id_token_key_ids() & {key["kid"] for key in jwks["keys"]}
