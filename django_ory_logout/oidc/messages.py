"""Build and parse the messages of the code flow, of token revocation and of RP-initiated logout."""

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.views.decorators.debug import sensitive_variables

from ..exceptions import InvalidMessage, InvalidToken, ProviderUnavailable, SetupError, SignInRefused, TemporaryError
from ..http import Response
from .metadata import ProviderMetadata, Registration

FORM = "application/x-www-form-urlencoded"
JWT = "application/jwt"
Claims = Mapping[str, Any]
#: Errors of the provider itself, not about the user (RFC 6749, 4.1.2.1).
TRY_AGAIN = frozenset({"server_error", "temporarily_unavailable"})
#: Our code for each error of the provider about the user.
_REFUSALS: dict[str, str] = {
    # The user refused the sign-in, or the provider refused the user. Providers also send ``user_cancelled``, which is
    # not registered.
    "access_denied": "provider_refused",
    "user_cancelled": "provider_refused",
    # A new sign-in can succeed after the errors of Core 3.1.2.6, and after Hydra's own for lost cookies and timeouts.
    "account_selection_required": "authorization_lost",
    "consent_required": "authorization_lost",
    "interaction_required": "authorization_lost",
    "login_required": "authorization_lost",
    "request_forbidden": "authorization_lost",
    "request_unauthorized": "authorization_lost",
    "unmet_authentication_requirements": "authentication_unmet",
}
#: The statuses of the token and revocation endpoints that come with an error of RFC 6749, 5.2.
_TOKEN_REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: Servers and proxies often limit all request headers together to 8 KiB.
MAX_URL_LENGTH = 4096


@sensitive_variables()
def authorization_request(
    metadata: ProviderMetadata,
    registration: Registration,
    *,
    redirect_uri: str,
    scope: str,
    state: str,
    nonce: str,
    code_verifier: str,
    extra: Mapping[str, str],
) -> str:
    """The URL that sends a browser to the provider (Core 3.1.2.1, with PKCE S256 of RFC 7636)."""
    url: str = prepare_grant_uri(
        metadata.authorization_endpoint,
        registration.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=scope,
        state=state,
        nonce=nonce,
        code_challenge=create_s256_code_challenge(code_verifier),
        code_challenge_method="S256",
        **extra,
    )
    return url


@sensitive_variables()
def authorization_code(response: Mapping[str, str], metadata: ProviderMetadata, *, iss_required: bool = False) -> str:
    """The code in an authorization response (Core 3.1.2.5, RFC 9207).

    ``iss_required``: require ``iss`` even if the provider's metadata does not announce it.

    Raises :exc:`InvalidMessage` for ``iss_missing``, ``iss_parameter_mismatch`` and ``code_missing``. If the
    provider answers with an error, raises :exc:`ProviderUnavailable` (``provider_fault``) or :exc:`SignInRefused`
    (``provider_refused``, ``authorization_lost``, ``authentication_unmet``, ``authorization_request_refused``).
    """
    issuer = response.get("iss")
    if issuer is None and (iss_required or metadata.authorization_response_iss_parameter_supported):
        reason = "the redirect URI is shared" if iss_required else "the provider's metadata announces iss"
        raise InvalidMessage("iss_missing", f"the response has no iss, but {reason}")
    if issuer is not None and issuer != metadata.issuer:
        detail = "the response comes from another issuer than the request was sent to"
        raise InvalidMessage("iss_parameter_mismatch", detail)
    if response.get("error") in TRY_AGAIN:
        raise ProviderUnavailable("provider_fault", _described(response))
    if "error" in response:
        raise SignInRefused(_REFUSALS.get(response["error"], "authorization_request_refused"), _described(response))
    if not response.get("code"):
        raise InvalidMessage("code_missing", "the response has neither a code nor an error")
    return response["code"]


@dataclass(frozen=True)
class Tokens:
    """A successful token response (Core 3.1.3.3)."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    #: ``None``: the same as in the request (RFC 6749, 5.1).
    scope: str | None = field(default=None, repr=False)


@sensitive_variables()
def token_request(
    registration: Registration, *, code: str, redirect_uri: str, code_verifier: str
) -> tuple[str, dict[str, str]]:
    """Body and headers of the request that exchanges a code (Core 3.1.3.1)."""
    body = prepare_token_request(
        "authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=code_verifier
    )
    return authenticated(registration, body)


@sensitive_variables()
def authenticated(registration: Registration, body: str) -> tuple[str, dict[str, str]]:
    """``body`` and headers with the client authentication, by the registered method (Core 9)."""
    method = registration.token_endpoint_auth_method
    auth = ClientAuth(
        registration.client_id,
        registration.client_secret,
        _client_secret_basic if method == "client_secret_basic" else method,
    )
    _, headers, body = auth.prepare("POST", "", {"Content-Type": FORM}, body)
    return body, headers


def _client_secret_basic(
    client: ClientAuth, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Form-encode id and secret first (RFC 6749, 2.3.1). Authlib does not."""
    credentials = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return uri, {**headers, "Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}, body


@sensitive_variables()
def parse_token_response(response: Response) -> Tokens:
    """Read the answer to a token request.

    Raises :exc:`InvalidMessage` if the provider refuses the code (``token_request_refused``) or this client
    (``client_refused``). Raises :exc:`SignInRefused` (``provider_refused``) when it refuses the user, and
    :exc:`ProviderUnavailable` or :exc:`SetupError` if the answer is not complete.
    """
    if not response.ok and response.status not in _TOKEN_REFUSALS:
        raise _fault(response, "token_endpoint", "the token endpoint")
    document = response.json()
    error = _text(document, "error")
    if not response.ok or error:  # some providers send errors with status 200
        if error in TRY_AGAIN:
            raise ProviderUnavailable("token_endpoint_fault", _described(document))
        if error and _REFUSALS.get(error) == "provider_refused":
            raise SignInRefused("provider_refused", _described(document))
        is_code = document.get("error") == "invalid_grant"
        raise InvalidMessage("token_request_refused" if is_code else "client_refused", _described(document))
    if not _text(document, "id_token") or not _text(document, "access_token"):
        raise SetupError("token_response_invalid", "the token response lacks id_token or access_token")
    return Tokens(
        document["id_token"], document["access_token"], _text(document, "refresh_token"), _text(document, "scope")
    )


@sensitive_variables()
def userinfo_request(registration: Registration, access_token: str) -> dict[str, str]:
    """The headers of a userinfo request (Core 5.3.1)."""
    accepted = JWT if registration.userinfo_signed_response_alg else "application/json"
    return {"Authorization": f"Bearer {access_token}", "Accept": accepted}


@sensitive_variables()
def userinfo_claims(response: Response, registration: Registration, verify: Callable[[str], Claims]) -> Claims:
    """The claims of a userinfo response (Core 5.3.2): JSON, or a JWT if that is registered. ``verify`` checks the JWT.

    Raises what ``verify`` raises. Raises :exc:`ProviderUnavailable` or :exc:`SetupError` if the answer is incomplete.
    """
    if not response.ok:
        raise _fault(response, "userinfo", "the userinfo endpoint")
    is_jwt = response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == JWT
    if is_jwt != bool(registration.userinfo_signed_response_alg):
        with_jwt = "the response is a JWT, but no algorithm is set"
        without_jwt = "an algorithm is set, but the response is not a JWT"
        raise SetupError("userinfo_format_mismatch", with_jwt if is_jwt else without_jwt)
    return verify(response.body.decode("ascii", "replace").strip()) if is_jwt else response.json()


def check_userinfo_subject(claims: Claims, subject: str) -> None:
    """Raises :exc:`InvalidToken` (``userinfo_sub_mismatch``) if ``claims`` are about another subject (Core 5.3.4)."""
    if claims.get("sub") != subject:
        raise InvalidToken("userinfo_sub_mismatch", "sub of the userinfo is not that of the ID token")


def _fault(response: Response, name: str, where: str) -> TemporaryError:
    detail = f"{where} answers {response.status}"
    if response.is_temporary or _says_try_again(response):
        return ProviderUnavailable(f"{name}_fault", detail)
    return SetupError(f"{name}_unusable", detail)


def _says_try_again(response: Response) -> bool:
    with suppress(SetupError):
        return _text(response.json(), "error") in TRY_AGAIN
    return False


def revocation_request(registration: Registration, token: str, token_type_hint: str) -> tuple[str, dict[str, str]]:
    """Body and headers of the request that revokes ``token`` (RFC 7009, 2.1)."""
    return authenticated(registration, urlencode({"token": token, "token_type_hint": token_type_hint}))


def check_revocation_response(response: Response) -> None:
    """Check that the provider says that a token is revoked (RFC 7009, 2.2). It says this for an unknown token too.

    Raises :exc:`InvalidMessage` (``revocation_refused``) if it refuses, :exc:`ProviderUnavailable` for any other answer
    that is not a success.
    """
    if response.status in _TOKEN_REFUSALS:
        document = response.json()
        if _text(document, "error") in TRY_AGAIN:
            raise ProviderUnavailable("revocation_fault", _described(document))
        raise InvalidMessage("revocation_refused", _described(document))
    if not response.ok:
        raise ProviderUnavailable("revocation_fault", f"the revocation endpoint answers {response.status}")


@dataclass(frozen=True)
class EndSessionRequest:
    """A request of the browser to the end session endpoint (RP-Initiated Logout 2), by a redirect or a posted form."""

    endpoint: str
    parameters: Mapping[str, str] = field(repr=False)
    method: str = "GET"

    @property
    def url(self) -> str:
        url: str = add_params_to_uri(self.endpoint, self.parameters.items())
        return url

    @property
    def by_post(self) -> bool:
        """Whether a form has to be posted: the setting says so, or the URL is too long for some servers and proxies."""
        return self.method == "POST" or len(self.url) > MAX_URL_LENGTH


@sensitive_variables()
def end_session_request(
    endpoint: str, method: str, *, id_token_hint: str, client_id: str, post_logout_redirect_uri: str, state: str
) -> EndSessionRequest:
    """The request that logs the user out at the provider (RP-Initiated Logout 2). The ID token may have expired."""
    return EndSessionRequest(
        endpoint,
        {
            "id_token_hint": id_token_hint,
            "client_id": client_id,
            "post_logout_redirect_uri": post_logout_redirect_uri,
            "state": state,
        },
        method,
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    # RFC 6749, appendix A: tokens are printable ASCII. Other characters would fail later, in a header or a hash.
    return value if isinstance(value, str) and value and value.isascii() and value.isprintable() else None


def _described(document: Mapping[str, Any]) -> str:
    """The provider's ``error`` and ``error_description``, safe to log: on one line, without control characters."""
    texts = (document.get("error"), document.get("error_description"))
    return " ".join(repr(text[:200]) for text in texts if isinstance(text, str))
