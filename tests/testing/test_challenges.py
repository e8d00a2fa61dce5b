"""Login and consent, from the authorization request to the code."""

import pytest
from authlib.oauth2.rfc6749.errors import OAuth2Error

from django_ory_logout.testing import LoginSession, Provider
from django_ory_logout.testing.hydra import challenges, token_endpoint, tokens
from django_ory_logout.testing.hydra.authorization import AuthorizationRequest, parse
from django_ory_logout.testing.hydra.flow import Answer, Flow

from .conftest import Clock
from .test_authorization import VALID

BROWSER = "a browser"
AGREED: Answer = {"grant_scope": ["openid", "email"]}


@pytest.fixture
def asked(provider: Provider) -> AuthorizationRequest:
    return parse(provider, VALID | {"code_challenge": "", "code_challenge_method": ""})


def verifier_of(url: str) -> str:
    return url.partition("_verifier=")[2].partition("&")[0]


def log_in(
    provider: Provider, asked: AuthorizationRequest, known: LoginSession | None = None, **answer: object
) -> Flow:
    """Sign in as Amber on the login page."""
    challenge = challenges.begin(provider, asked, known, BROWSER)
    url = challenges.accept_login(provider, challenge, {"subject": "amber", **answer})
    return challenges.log_in(provider, verifier_of(url), BROWSER)


def agree(provider: Provider, flow: Flow, answer: Answer = AGREED) -> dict[str, str]:
    """Accept on the consent page, and return the response to the client."""
    url = challenges.accept_consent(provider, challenges.ask_consent(provider, flow), answer)
    return challenges.finish(provider, verifier_of(url), BROWSER)


def claims_of(provider: Provider, asked: AuthorizationRequest, sent: dict[str, str]) -> tokens.Claims:
    response = token_endpoint.exchange(provider, sent["code"], "site", redirect_uri=asked.redirect_uri)
    return tokens.verified_claims(response["id_token"], provider.keys[0])


@pytest.mark.parametrize("remember", [True, False])
def test_a_login_starts_a_session_that_is_remembered_if_the_page_says_so(
    provider: Provider, asked: AuthorizationRequest, remember: bool
) -> None:
    flow = log_in(provider, asked, remember=remember)

    assert provider.login_sessions[flow.sid].remembered is remember


def test_a_known_user_keeps_the_session(provider: Provider, asked: AuthorizationRequest, amber: LoginSession) -> None:
    flow = log_in(provider, asked, amber)

    assert (flow.login_skip, flow.sid, list(provider.login_sessions)) == (True, amber.sid, [amber.sid])


def test_another_subject_than_the_known_one_starts_a_new_session(
    provider: Provider, asked: AuthorizationRequest, amber: LoginSession
) -> None:
    challenge = challenges.begin(provider, asked, amber, BROWSER)

    url = challenges.accept_login(provider, challenge, {"subject": "birch"})

    assert "prompt=login" in url
    assert "login_verifier" not in url


def test_a_login_without_subject_is_refused(provider: Provider, asked: AuthorizationRequest) -> None:
    with pytest.raises(OAuth2Error, match="subject"):
        challenges.accept_login(provider, challenges.begin(provider, asked, None, BROWSER), {})


@pytest.mark.parametrize(
    ("browser", "times", "error"),
    [("another browser", 1, "request_forbidden"), (BROWSER, 2, "access_denied")],
)
def test_a_verifier_works_once_and_only_in_its_browser(
    provider: Provider, asked: AuthorizationRequest, browser: str, times: int, error: str
) -> None:
    challenge = challenges.begin(provider, asked, None, BROWSER)
    verifier = verifier_of(challenges.accept_login(provider, challenge, {"subject": "amber"}))

    for _ in range(times - 1):
        challenges.log_in(provider, verifier, browser)

    with pytest.raises(OAuth2Error) as caught:
        challenges.log_in(provider, verifier, browser)

    assert caught.value.error == error


@pytest.mark.parametrize(
    ("answer", "error", "description"),
    [
        ({"error": "access_denied", "error_description": 'not "today", é'}, "access_denied", "not 'today', ?"),
        ({}, "request_denied", ""),
    ],
)
def test_a_rejection_is_sent_to_the_client(
    provider: Provider, asked: AuthorizationRequest, answer: Answer, error: str, description: str
) -> None:
    login = challenges.reject_login(provider, challenges.begin(provider, asked, None, BROWSER), answer)
    consent = challenges.reject_consent(provider, challenges.ask_consent(provider, log_in(provider, asked)), answer)

    for url, go_on in ((login, challenges.log_in), (consent, challenges.finish)):
        with pytest.raises(OAuth2Error) as caught:
            go_on(provider, verifier_of(url), BROWSER)
        assert (caught.value.error, caught.value.description) == (error, description)


def test_consent_gives_a_code_with_the_granted_scopes(provider: Provider, asked: AuthorizationRequest) -> None:
    flow = log_in(provider, asked, remember=True, acr="2", amr=["pwd"])

    sent = agree(
        provider, flow, {"grant_scope": ["openid"], "session": {"id_token": {"sub": "birch", "sid": "x", "team": "a"}}}
    )

    response = token_endpoint.exchange(provider, sent["code"], "site", redirect_uri=asked.redirect_uri)
    claims = tokens.verified_claims(response["id_token"], provider.keys[0])
    assert sent["scope"] == "openid"
    assert token_endpoint.userinfo(provider, response["access_token"]) == {
        "sub": "amber",
        "team": "a",
        "acr": "2",
        "amr": ["pwd"],
    }
    assert (claims["sub"], claims["sid"], claims["team"]) == ("amber", flow.sid, "a")
    assert (claims["acr"], claims["amr"]) == ("2", ["pwd"])
    assert "email" not in claims
    assert len(provider.end(flow.sid)) == 1


def test_a_session_that_ended_meanwhile_stays_ended(provider: Provider, asked: AuthorizationRequest) -> None:
    flow = log_in(provider, asked, remember=True)
    provider.end(flow.sid)

    claims = claims_of(provider, asked, agree(provider, flow))

    assert (claims["sid"], provider.login_sessions) == (flow.sid, {})


@pytest.mark.parametrize(
    ("earlier", "change", "seconds", "skip"),
    [
        ({"remember": True}, {}, 0, True),
        ({"remember": False}, {}, 0, False),
        ({"remember": True, "grant_scope": ["openid"]}, {}, 0, False),
        ({"remember": True}, {"prompt": "consent"}, 0, False),
        ({"remember": True, "remember_for": 60}, {}, 60, True),
        ({"remember": True, "remember_for": 60}, {}, 61, False),
    ],
)
def test_an_earlier_consent_skips_the_question(
    provider: Provider,
    asked: AuthorizationRequest,
    clock: Clock,
    earlier: dict[str, object],
    change: dict[str, str],
    seconds: int,
    skip: bool,
) -> None:
    agree(provider, log_in(provider, asked), {**AGREED, **earlier})
    clock.now += seconds

    flow = log_in(provider, parse(provider, VALID | change))

    consent = challenges.consent_flow(provider, challenges.ask_consent(provider, flow))
    assert consent.consent_skip is skip


def test_a_reused_consent_does_not_skip_the_next_question(provider: Provider, asked: AuthorizationRequest) -> None:
    agree(provider, log_in(provider, asked), {**AGREED, "remember": True})
    agree(provider, log_in(provider, asked), {**AGREED, "remember": True})

    assert [consent.reused for consent in provider.consents] == [False, True]
    assert provider.remembered_consent("amber", "site") is provider.consents[0]


def test_prompt_none_needs_an_earlier_consent_too(provider: Provider, amber: LoginSession) -> None:
    flow = log_in(provider, parse(provider, VALID | {"prompt": "none"}), amber)

    with pytest.raises(OAuth2Error) as caught:
        challenges.ask_consent(provider, flow)

    assert caught.value.error == "consent_required"
