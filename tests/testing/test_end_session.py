"""The cases of Hydra's end session endpoint."""

from typing import Any

import pytest
from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error

from django_ory_logout.testing import LoginSession, Provider
from django_ory_logout.testing.hydra import end_session, tokens
from django_ory_logout.testing.hydra.end_session import LogoutRequest

from .conftest import LOGGED_OUT, Clock

SIGNED_OUT = "http://127.0.0.1:4444/signed-out"


def ask(provider: Provider, cookie: LoginSession | None = None, **query: str) -> LogoutRequest | str:
    return end_session.parse(provider, query, cookie)


def refused(provider: Provider, **query: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        ask(provider, None, **query)
    return str(caught.value.description)


@pytest.mark.parametrize("parameter", ["state", "post_logout_redirect_uri"])
def test_a_parameter_without_hint_ends_at_the_error_page(provider: Provider, parameter: str) -> None:
    assert "id_token_hint is missing" in refused(provider, **{parameter: "x"})


def test_no_hint_and_no_cookie_ends_nothing(provider: Provider) -> None:
    assert ask(provider) == SIGNED_OUT


def test_no_hint_and_a_cookie_is_a_logout_at_the_provider(provider: Provider, amber: LoginSession) -> None:
    now = provider.clock()
    expected = LogoutRequest(
        amber.sid, "amber", "", SIGNED_OUT, rp_initiated=False, requested_at=now, expires_at=now + 1800
    )
    assert ask(provider, amber) == expected


def test_a_hint_works_without_a_cookie(provider: Provider, amber: LoginSession) -> None:
    hint = provider.id_token(amber, "site")

    asked = ask(provider, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT, state="st&1")

    assert asked == LogoutRequest(amber.sid, "amber", "site", LOGGED_OUT + "?state=st%261", rp_initiated=True)


def test_state_is_returned_only_with_a_redirect_uri(provider: Provider, amber: LoginSession) -> None:
    asked = ask(provider, id_token_hint=provider.id_token(amber, "site"), state="st")

    assert isinstance(asked, LogoutRequest)
    assert asked.redirect_uri == SIGNED_OUT


def test_a_redirect_uri_without_state_is_unchanged(provider: Provider, amber: LoginSession) -> None:
    hint = provider.id_token(amber, "site")

    asked = ask(provider, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT)

    assert isinstance(asked, LogoutRequest)
    assert asked.redirect_uri == LOGGED_OUT


def test_an_expired_hint_is_accepted(provider: Provider, amber: LoginSession, clock: Clock) -> None:
    hint = provider.id_token(amber, "site")
    clock.now += 7200

    assert isinstance(ask(provider, id_token_hint=hint), LogoutRequest)


def test_a_hint_of_a_rotated_key_is_refused_although_the_jwks_lists_the_key(
    provider: Provider, amber: LoginSession
) -> None:
    hint = provider.id_token(amber, "site")
    provider.rotate_keys()

    assert len(provider.jwks()["keys"]) == 2
    assert refused(provider, id_token_hint=hint) == "go-jose/go-jose: error in cryptographic primitive"


def test_a_hint_signed_with_a_key_of_another_algorithm_is_accepted(provider: Provider, amber: LoginSession) -> None:
    hint = provider.id_token(amber, "site")
    provider.rotate_keys("ES256")

    assert isinstance(ask(provider, id_token_hint=hint), LogoutRequest)


@pytest.mark.parametrize("hint", ["x", "..", "a.b.c", "a.b.c.d.e", "é", tokens.compact({"alg": "none"}, {"sid": "s"})])
def test_other_text_is_no_id_token_of_ours(provider: Provider, hint: str) -> None:
    assert refused(provider, id_token_hint=hint) == "go-jose/go-jose: error in cryptographic primitive"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"iss": "http://127.0.0.1:4444/"}, "issuer claim value", id="issuer with a slash"),
        pytest.param({"iat": 1_800_000_001}, "used before issued", id="issued in the future"),
        pytest.param({"sid": ""}, "missing sid claim", id="no sid"),
        pytest.param({"sid": 1}, "missing sid claim", id="a sid that is no text"),
    ],
)
def test_a_hint_with_one_wrong_claim_is_refused(
    provider: Provider, amber: LoginSession, change: dict[str, Any], reason: str
) -> None:
    hint = provider.sign(provider.id_token_claims(amber, "site") | change)

    assert reason in refused(provider, id_token_hint=hint)


def test_a_redirect_uri_must_match_exactly(provider: Provider, amber: LoginSession) -> None:
    hint = provider.id_token(amber, "site")

    assert "post_logout_redirect_uri" in refused(
        provider, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT.rstrip("/")
    )


def test_a_hint_for_no_client_has_no_redirect_uri(provider: Provider, amber: LoginSession) -> None:
    hint = provider.sign(provider.id_token_claims(amber, "unknown"))

    assert "post_logout_redirect_uri" in refused(provider, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT)


@pytest.mark.parametrize("remembered", [False, None], ids=["not remembered", "gone"])
def test_a_login_that_cannot_end_is_redirected_at_once(
    provider: Provider, amber: LoginSession, remembered: bool | None
) -> None:
    hint = provider.id_token(amber, "site")
    if remembered is None:
        provider.end(amber.sid)
    else:
        amber.remembered = remembered

    assert (
        ask(provider, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT, state="st") == f"{LOGGED_OUT}?state=st"
    )


def test_accept_ends_the_session_and_names_the_notified_clients(provider: Provider, amber: LoginSession) -> None:
    asked = LogoutRequest(amber.sid, "amber", "site", SIGNED_OUT, rp_initiated=True)

    ended = end_session.end(provider, asked, amber)

    assert [delivery.client_id for delivery in ended.deliveries] == ["site"]
    assert len(ended.frontchannel_uris) == 1
    assert not provider.login_sessions


@pytest.mark.parametrize("cookie", [None, "birch"])
def test_a_logout_at_the_provider_belongs_to_its_browser(
    provider: Provider, amber: LoginSession, cookie: str | None
) -> None:
    asked = LogoutRequest(amber.sid, "amber", "", SIGNED_OUT, rp_initiated=False)

    ended = end_session.end(provider, asked, provider.sign_in(cookie) if cookie else None)

    assert ended == end_session.Ended([], [])
    assert amber.sid in provider.login_sessions


def test_a_logout_at_the_provider_expires_after_half_an_hour(
    provider: Provider, amber: LoginSession, clock: Clock
) -> None:
    asked = ask(provider, amber)
    assert isinstance(asked, LogoutRequest)
    logout_requests = end_session.LogoutRequests(provider)
    verifier = logout_requests.accept(logout_requests.add(asked, "/")).partition("logout_verifier=")[2]
    assert logout_requests.verified(verifier) is asked
    clock.now += 1801

    with pytest.raises(OAuth2Error) as caught:
        logout_requests.verified(verifier)

    assert caught.value.error == "request_unauthorized"


def test_only_an_accepted_logout_has_a_valid_verifier(provider: Provider, amber: LoginSession) -> None:
    asked = ask(provider, amber)
    assert isinstance(asked, LogoutRequest)
    logout_requests = end_session.LogoutRequests(provider)
    logout_requests.add(asked, "/")

    for verifier in (asked.verifier, "unknown"):
        with pytest.raises(OAuth2Error):
            logout_requests.verified(verifier)


def test_the_other_login_of_the_cookie_ends_too_without_notices(provider: Provider, amber: LoginSession) -> None:
    birch = provider.sign_in("birch", "site")
    asked = LogoutRequest(amber.sid, "amber", "site", SIGNED_OUT, rp_initiated=True)

    ended = end_session.end(provider, asked, birch)

    (delivery,) = ended.deliveries
    assert tokens.verified_claims(delivery.logout_token, provider.keys[0])["sid"] == amber.sid
    assert not provider.login_sessions
