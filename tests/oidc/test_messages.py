"""The messages of the code flow and of RP-initiated logout."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_ory_logout.exceptions import (
    InvalidMessage,
    InvalidToken,
    OryLogoutError,
    ProviderUnavailable,
    SetupError,
    SignInRefused,
)
from django_ory_logout.http import Response
from django_ory_logout.oidc import messages
from django_ory_logout.oidc.messages import Tokens
from django_ory_logout.oidc.metadata import ProviderMetadata, Registration

from .samples import ABSENT, CLIENT_ID, CLIENT_SECRET, ISSUER, anything, changed, objects, refused

METADATA = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/oauth2/auth",
    token_endpoint=f"{ISSUER}/oauth2/token",
    jwks_uri=f"{ISSUER}/.well-known/jwks.json",
)
ANNOUNCING = replace(METADATA, authorization_response_iss_parameter_supported=True)
REGISTRATION = Registration(ISSUER, CLIENT_ID, CLIENT_SECRET)
REDIRECT_URI = "https://rp.example/auth/callback/"


# Authorization request


def authorization_request(metadata: ProviderMetadata = METADATA, **extra: str) -> str:
    return messages.authorization_request(
        metadata,
        REGISTRATION,
        redirect_uri=REDIRECT_URI,
        scope="openid profile",
        state="the state",
        nonce="the nonce",
        code_verifier="the verifier",
        extra=extra,
    )


def test_an_authorization_request_has_its_parameters() -> None:
    url, _, query = authorization_request(login_hint="amber").partition("?")

    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"the verifier").digest()).rstrip(b"=").decode()
    assert url == METADATA.authorization_endpoint
    assert parse_qs(query) == {
        "response_type": ["code"],
        "client_id": [CLIENT_ID],
        "redirect_uri": [REDIRECT_URI],
        "scope": ["openid profile"],
        "state": ["the state"],
        "nonce": ["the nonce"],
        "code_challenge": [challenge],
        "code_challenge_method": ["S256"],
        "login_hint": ["amber"],
    }


def test_query_of_the_endpoint_is_kept() -> None:
    url = authorization_request(replace(METADATA, authorization_endpoint=f"{ISSUER}/auth?tenant=one"))

    assert parse_qs(urlsplit(url).query)["tenant"] == ["one"]


# Authorization response


@pytest.mark.parametrize("metadata", [METADATA, ANNOUNCING])
def test_a_code_is_returned(metadata: ProviderMetadata) -> None:
    assert messages.authorization_code({"code": "c", "iss": ISSUER, "session_state": "ignored"}, metadata) == "c"


def test_a_code_without_iss_is_accepted_if_iss_is_not_announced() -> None:
    assert messages.authorization_code({"code": "c"}, METADATA) == "c"


def test_iss_is_required_if_it_is_announced() -> None:
    with refused(InvalidMessage, "iss_missing"):
        messages.authorization_code({"code": "c"}, ANNOUNCING)


@pytest.mark.parametrize("metadata", [METADATA, ANNOUNCING])
@pytest.mark.parametrize("iss", ["", f"{ISSUER}/", "https://attacker.example"])
def test_iss_is_always_compared(iss: str, metadata: ProviderMetadata) -> None:
    with refused(InvalidMessage, "iss_parameter_mismatch"):
        messages.authorization_code({"code": "c", "iss": iss}, metadata)


def test_an_error_of_another_issuer_does_not_count() -> None:
    with refused(InvalidMessage, "iss_parameter_mismatch"):
        messages.authorization_code({"error": "access_denied", "iss": "https://attacker.example"}, METADATA)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "provider_refused"),
        ("user_cancelled", "provider_refused"),
        ("login_required", "authorization_lost"),
        ("request_forbidden", "authorization_lost"),
        ("invalid_scope", "authorization_request_refused"),
        ("unsupported_response_type", "authorization_request_refused"),
        ("", "authorization_request_refused"),
    ],
)
def test_an_error_is_raised(error: str, code: str) -> None:
    with refused(SignInRefused, code):
        messages.authorization_code({"error": error, "code": "c"}, METADATA)


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_a_temporary_error_of_the_provider_can_be_retried(error: str) -> None:
    with refused(ProviderUnavailable, "provider_fault"):
        messages.authorization_code({"error": error}, METADATA)


def test_an_error_contains_the_providers_words_on_one_line() -> None:
    response = {"error": "access_denied", "error_description": "No\r\nINFO forged line" + "x" * 500}

    with pytest.raises(SignInRefused) as raised:
        messages.authorization_code(response, METADATA)

    assert str(raised.value).startswith(r"provider_refused: 'access_denied' 'No\r\nINFO forged line")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("response", [{}, {"code": ""}, {"state": "s"}])
def test_a_missing_code_is_refused(response: dict[str, str]) -> None:
    with refused(InvalidMessage, "code_missing"):
        messages.authorization_code(response, METADATA)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(["code", "iss", "error", "error_description", "state"]), st.text()))
def test_any_authorization_response_is_a_code_or_refused(response: dict[str, str]) -> None:
    for metadata in (METADATA, ANNOUNCING):
        try:
            said, code = "", messages.authorization_code(response, metadata)
        except (InvalidMessage, SignInRefused) as error:
            said, code = str(error), response.get("code", "")
        assert said.isprintable()
        assert code == response.get("code", "")
        assert code or said


# Token request


def token_request(**changes: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The form and the headers of a token request."""
    registration = replace(REGISTRATION, **changes)
    body, headers = messages.token_request(
        registration, code="the code", redirect_uri=REDIRECT_URI, code_verifier="the verifier"
    )
    return dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True)), headers


GRANT = {
    "grant_type": "authorization_code",
    "code": "the code",
    "redirect_uri": REDIRECT_URI,
    "code_verifier": "the verifier",
}


def test_client_secret_basic_is_sent() -> None:
    form, headers = token_request()

    credentials = base64.b64encode(b"django-site:a+secret%3A+50%25+of+it+%2B+more").decode()
    assert form == GRANT
    assert headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": f"Basic {credentials}",
    }


def test_client_secret_post_is_sent() -> None:
    form, headers = token_request(token_endpoint_auth_method="client_secret_post")

    assert form == {**GRANT, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_public_client_sends_no_secret() -> None:
    form, headers = token_request(token_endpoint_auth_method="none", client_secret="")

    assert form == {**GRANT, "client_id": CLIENT_ID}
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}


@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_basic_credentials_can_be_decoded(client_id: str, client_secret: str) -> None:
    _, headers = messages.authenticated(Registration(ISSUER, client_id, client_secret), "")

    credentials = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    assert [unquote_plus(part) for part in credentials.split(":")] == [client_id, client_secret]


# Token response


def answer(document: Any, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(document).encode())


TOKENS = {"id_token": "i.d.t", "access_token": "a", "refresh_token": "r", "token_type": "bearer", "expires_in": 3599}


def test_tokens_are_returned() -> None:
    assert messages.parse_token_response(answer(TOKENS)) == Tokens("i.d.t", "a", "r")


@pytest.mark.parametrize("value", [ABSENT, None, "", 7, "r\n"])
def test_refresh_token_may_be_missing(value: Any) -> None:
    response = answer(changed(TOKENS, {"refresh_token": value}))

    assert messages.parse_token_response(response) == Tokens("i.d.t", "a", None)


@pytest.mark.parametrize("name", ["id_token", "access_token"])
@pytest.mark.parametrize("value", [ABSENT, None, "", 7, ["a"], "a\r\nX: y", "ä", "\ud800"])
def test_a_token_response_without_a_token_is_refused(name: str, value: Any) -> None:
    with refused(SetupError, "token_response_invalid"):
        messages.parse_token_response(answer(changed(TOKENS, {name: value})))


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_token_request_is_an_error(status: int) -> None:
    with refused(InvalidMessage, "token_request_refused"):
        messages.parse_token_response(answer({"error": "invalid_grant", "error_description": "used"}, status))


def test_the_log_contains_the_words_of_the_token_endpoint() -> None:
    with pytest.raises(InvalidMessage, match=r"^client_refused: 'invalid_client' 'wrong\\nsecret'$"):
        messages.parse_token_response(answer({"error": "invalid_client", "error_description": "wrong\nsecret"}, 401))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_faulty_token_endpoint_is_an_error(status: int) -> None:
    with refused(ProviderUnavailable, "token_endpoint_fault"):
        messages.parse_token_response(answer(TOKENS, status))


@pytest.mark.parametrize("status", [201, 204, 302, 404, 405])
def test_a_permanent_fault_of_the_token_endpoint_cannot_be_retried(status: int) -> None:
    with refused(SetupError, "token_endpoint_unusable"):
        messages.parse_token_response(answer(TOKENS, status))


@pytest.mark.parametrize("status", [200, 400])
def test_a_token_response_that_is_not_json_is_refused(status: int) -> None:
    page = Response(status, {"Content-Type": "text/html"}, b"<html>", url="https://op.example/oauth2/token")
    with pytest.raises(SetupError) as raised:
        messages.parse_token_response(page)
    where = f"https://op.example/oauth2/token answers {status}, Content-Type: 'text/html'"
    assert str(raised.value) == f"not_json: the answer is not JSON; {where}"


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error"])
def test_a_temporary_fault_is_no_refusal(error: str, status: int) -> None:
    with refused(ProviderUnavailable, "token_endpoint_fault"):
        messages.parse_token_response(answer({"error": error}, status))
    with refused(ProviderUnavailable, "revocation_fault"):
        messages.check_revocation_response(answer({"error": error}, status))


@pytest.mark.parametrize("status", [404, 405, 409])
@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error"])
def test_words_that_say_try_again_count_with_any_status(error: str, status: int) -> None:
    with refused(ProviderUnavailable, "token_endpoint_fault"):
        messages.parse_token_response(answer({"error": error}, status))


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("error", ["access_denied", "user_cancelled"])
def test_person_who_is_denied_at_the_token_endpoint(error: str, status: int) -> None:
    with refused(SignInRefused, "provider_refused"):
        messages.parse_token_response(answer({"error": error}, status))


def test_tokens_are_hidden_from_their_repr() -> None:
    assert repr(Tokens("i.d.t", "a", "r")) == "Tokens()"


@settings(max_examples=100)
@given(
    st.sampled_from([200, 400, 401, 403, 500]) | st.integers(100, 599),
    anything | st.dictionaries(st.sampled_from([*TOKENS, "error", "error_description"]), anything) | objects,
)
def test_any_token_response_is_tokens_or_refused(status: int, document: Any) -> None:
    try:
        said, tokens = "", messages.parse_token_response(answer(document, status))
    except OryLogoutError as error:
        said, tokens = str(error), Tokens("i", "a")
    assert said.isprintable()
    assert tokens.id_token.isascii()
    assert tokens.access_token.isprintable()


# Userinfo response


REGISTERED = Registration(ISSUER, CLIENT_ID)
SIGNED = replace(REGISTERED, userinfo_signed_response_alg="RS256")


def claims_in(response: Response, registration: Registration = REGISTERED) -> Any:
    return messages.userinfo_claims(response, registration, lambda token: {"token": token})


def test_userinfo_is_read() -> None:
    claims = {"sub": "amber", "email": "amber@example.com"}

    assert claims_in(answer(claims)) == claims


@pytest.mark.parametrize("content_type", ["application/jwt", "application/jwt; charset=utf-8", "Application/JWT"])
def test_userinfo_as_a_jwt_is_read(content_type: str) -> None:
    response = Response(200, {"Content-Type": content_type}, b"a.b.c\n")

    assert claims_in(response, SIGNED) == {"token": "a.b.c"}


def test_userinfo_as_a_jwt_without_a_registered_algorithm_is_refused() -> None:
    with refused(SetupError, "userinfo_format_mismatch"):
        claims_in(Response(200, {"Content-Type": "application/jwt"}, b"a.b.c"))


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_userinfo_as_json_is_refused_if_an_algorithm_is_registered(headers: dict[str, str]) -> None:
    """Otherwise anyone who can answer in the provider's place could omit the signature."""
    with refused(SetupError, "userinfo_format_mismatch"):
        claims_in(Response(200, headers, b'{"sub": "amber"}'), SIGNED)


@pytest.mark.parametrize("sub", [ABSENT, None, "", "Amber", "amber ", ["amber"]])
def test_userinfo_of_another_user_is_refused(sub: Any) -> None:
    with refused(InvalidToken, "userinfo_sub_mismatch"):
        messages.check_userinfo_subject(changed({"sub": "amber"}, {"sub": sub}), "amber")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_userinfo_fault_is_an_error(status: int) -> None:
    with refused(ProviderUnavailable, "userinfo_fault"):
        claims_in(answer({"sub": "amber"}, status))


@pytest.mark.parametrize("status", [201, 302, 401, 403, 404])
def test_a_permanent_userinfo_fault_cannot_be_retried(status: int) -> None:
    with refused(SetupError, "userinfo_unusable"):
        claims_in(answer({"sub": "amber"}, status))


@settings(max_examples=100)
@given(st.sampled_from([200, 200, 401, 500]), anything | st.fixed_dictionaries({"sub": st.just("amber") | anything}))
def test_any_userinfo_is_about_the_subject_or_refused(status: int, document: Any) -> None:
    try:
        claims = claims_in(answer(document, status))
        messages.check_userinfo_subject(claims, "amber")
    except OryLogoutError:
        return
    assert claims["sub"] == "amber"


# End-session request


def end_session_request(endpoint: str, method: str = "GET", hint: str = "i.d.t") -> messages.EndSessionRequest:
    return messages.end_session_request(
        endpoint,
        method,
        id_token_hint=hint,
        client_id=CLIENT_ID,
        post_logout_redirect_uri="https://rp.example/auth/logout/callback/",
        state="the state & more",
    )


@pytest.mark.parametrize("query", ["", "?tenant=one"])
def test_an_end_session_request_has_its_parameters(query: str) -> None:
    request = end_session_request(f"{ISSUER}/oauth2/sessions/logout{query}")

    url, _, given = request.url.partition("?")
    expected = {
        "id_token_hint": "i.d.t",
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": "https://rp.example/auth/logout/callback/",
        "state": "the state & more",
    }
    assert url == f"{ISSUER}/oauth2/sessions/logout"
    assert dict(parse_qsl(given)) == expected | dict(parse_qsl(query.removeprefix("?")))
    assert request.parameters == expected


def test_an_end_session_request_uses_post_if_chosen() -> None:
    assert end_session_request(ISSUER, "POST").by_post
    assert not end_session_request(ISSUER, "GET").by_post


def test_an_end_session_request_uses_post_if_the_url_would_be_too_long() -> None:
    rest = len(end_session_request(ISSUER, hint="").url)
    longest = messages.MAX_URL_LENGTH - rest

    assert not end_session_request(ISSUER, hint="x" * longest).by_post
    assert end_session_request(ISSUER, hint="x" * (longest + 1)).by_post


def test_end_session_request_hides_its_hint_from_its_repr() -> None:
    assert "i.d.t" not in repr(end_session_request(ISSUER))
