"""The token endpoint and the userinfo endpoint without HTTP (OpenID Connect Core, 3.1.3 and 5.3)."""

from typing import Any

from authlib.oauth2.rfc6750.errors import InvalidTokenError

from .grants import ACCESS_TOKEN_SECONDS
from .provider import Provider
from .records import Consent, Grant
from .tokens import Claims


def exchange(
    provider: Provider, code: str, client_id: str, *, redirect_uri: str, code_verifier: str = ""
) -> dict[str, Any]:
    """The token response for ``code``. Raises Authlib's ``InvalidGrantError``."""
    grant = provider.grants.use_code(code, client_id, redirect_uri=redirect_uri, code_verifier=code_verifier)
    response = _token_response(provider, grant)
    hook, provider.before_token_response = provider.before_token_response, None
    if hook:
        hook(grant.consent.login_session)
    return response


def refresh(provider: Provider, refresh_token: str, client_id: str) -> dict[str, Any]:
    """The token response for a refresh token, which is valid once. Raises Authlib's ``InvalidGrantError``."""
    return _token_response(provider, provider.grants.use_refresh_token(refresh_token, client_id))


def userinfo(provider: Provider, access_token: str) -> Claims:
    """The claims of the person, without ``sid``. A logout does not end access tokens. Raises ``InvalidTokenError``."""
    use, grant = provider.grants.grant_of(access_token) or ("", None)
    if grant is None or use != "access_token":
        raise InvalidTokenError("The access token is unknown.")
    consent, subject = grant.consent, grant.consent.login_session.subject
    claims = {**consent.claims, **provider.person_claims(subject, consent.scope)}
    return {**claims, "sub": provider.subject_for(consent.client_id, subject)}


def _token_response(provider: Provider, grant: Grant) -> dict[str, Any]:
    consent = grant.consent
    access_token = provider.grants.new_access_token(grant)
    response = {
        "access_token": access_token,
        "expires_in": ACCESS_TOKEN_SECONDS - 1,
        "id_token": provider.id_token(
            consent.login_session,
            consent.client_id,
            scope=consent.scope,
            nonce=grant.nonce,
            access_token=access_token,
            more=consent.claims,
        ),
        "scope": consent.scope,
        "token_type": "bearer",
    }
    if _may_refresh(provider, consent):
        response["refresh_token"] = provider.grants.new_refresh_token(grant)
    return response


def _may_refresh(provider: Provider, consent: Consent) -> bool:
    client = provider.clients.get(consent.client_id)
    registered = client is not None and "refresh_token" in client.grant_types
    return registered and "offline_access" in consent.scope.split()
