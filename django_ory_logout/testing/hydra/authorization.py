"""The authorization endpoint without its pages (OpenID Connect Core, 3.1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnsupportedResponseTypeError,
)
from authlib.oauth2.rfc7636.challenge import CODE_CHALLENGE_PATTERN

from .provider import Provider
from .records import Client, Consent, LoginSession

STATE_LENGTH = 8
RESPONSE_MODES = ("query", "form_post")
#: The parameters that a browser brings back from the login and consent pages.
VERIFIERS = ("login_verifier", "consent_verifier")


@dataclass(frozen=True)
class AuthorizationRequest:
    """A valid authorization request."""

    client: Client
    redirect_uri: str
    response_mode: str
    scope: str
    state: str
    nonce: str
    code_challenge: str
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str
    #: All parameters, unchanged.
    query: Mapping[str, str]

    def accepts(self, login_session: LoginSession | None, now: float) -> bool:
        """Whether ``login_session`` is enough for this request, so that the user need not sign in."""
        if login_session is None or not login_session.remembered or "login" in self.prompt:
            return False
        return self.max_age is None or now - login_session.auth_time <= self.max_age


def parse(provider: Provider, query: Mapping[str, str]) -> AuthorizationRequest:
    """Check an authorization request.

    Raises Authlib's ``OAuth2Error``. With a ``redirect_uri``, the error goes to the client, else to the error page.
    """
    client = provider.clients.get(query.get("client_id", ""))
    if client is None:
        raise InvalidClientError("The requested client does not exist.")
    redirect_uri = query.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise InvalidRequestError("The redirect_uri is not one of the client.")
    try:
        return _parse(client, redirect_uri, query)
    except OAuth2Error as error:
        error.redirect_uri, error.state = redirect_uri, query.get("state")
        raise


def _parse(client: Client, redirect_uri: str, query: Mapping[str, str]) -> AuthorizationRequest:
    if query.get("response_type") != "code":
        raise UnsupportedResponseTypeError("code")
    if "openid" not in query.get("scope", "").split():
        raise InvalidScopeError("The scope must contain openid.")
    if len(query.get("state", "")) < STATE_LENGTH:
        raise OAuth2Error(f"The state must have at least {STATE_LENGTH} characters.", error="invalid_state")
    if query.get("response_mode", "query") not in RESPONSE_MODES:
        raise InvalidRequestError("The response_mode must be query or form_post.")
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        response_mode=query.get("response_mode", "query"),
        scope=query["scope"],
        state=query["state"],
        nonce=query.get("nonce", ""),
        code_challenge=_code_challenge(query),
        prompt=frozenset(query.get("prompt", "").split()),
        max_age=_max_age(query.get("max_age", "")),
        login_hint=query.get("login_hint", ""),
        query={name: value for name, value in query.items() if name not in VERIFIERS},
    )


def _code_challenge(query: Mapping[str, str]) -> str:
    challenge = query.get("code_challenge", "")
    if challenge and query.get("code_challenge_method") != "S256":
        raise InvalidRequestError("The code_challenge_method must be S256.")
    if challenge and not CODE_CHALLENGE_PATTERN.match(challenge):
        raise InvalidRequestError("The code_challenge is malformed.")
    return challenge


def _max_age(value: str) -> int | None:
    if value and not (value.isascii() and value.isdigit()):
        raise InvalidRequestError("The max_age must be a number of seconds.")
    return int(value) if value else None


def respond(provider: Provider, request: AuthorizationRequest, login_session: LoginSession) -> dict[str, str]:
    """Grant all requested scopes. Returns the parameters for the ``redirect_uri``."""
    consent = Consent(login_session, request.client.client_id, request.scope, provider.clock())
    return grant(provider, request, provider.consent(consent))


def grant(provider: Provider, request: AuthorizationRequest, consent: Consent) -> dict[str, str]:
    """Issue the code. Returns the parameters for the ``redirect_uri``."""
    code = provider.grants.new_code(
        consent, redirect_uri=request.redirect_uri, nonce=request.nonce, code_challenge=request.code_challenge
    )
    announced = provider.metadata.get("authorization_response_iss_parameter_supported")
    issuer = {"iss": provider.issuer} if announced else {}
    return {"code": code, "scope": consent.scope, "state": request.state, **issuer}
