"""The endpoints for machines: discovery, JWKS, tokens, userinfo. They answer over a socket and without one."""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    OAuth2Error,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc6750.errors import InvalidTokenError

from ..http import Answer, Request
from . import token_endpoint
from .provider import Provider
from .records import Client

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def answer(provider: Provider, request: Request) -> Answer:
    """Answer a request. An unknown path gets 404, a wrong method 405."""
    if request.path not in _ENDPOINTS:
        return Answer.of_json({"error": "not_found"}, HTTPStatus.NOT_FOUND)
    methods, endpoint = _ENDPOINTS[request.path]
    if request.method not in methods:
        return Answer.of_json(
            {"error": "method_not_allowed"}, HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": ", ".join(methods)}
        )
    try:
        return endpoint(provider, request)
    except OAuth2Error as error:
        return Answer.of_json(dict(error.get_body()), error.status_code, dict(error.get_headers()))


def _discovery(provider: Provider, request: Request) -> Answer:
    return Answer.of_json(provider.discovery())


def _jwks(provider: Provider, request: Request) -> Answer:
    return Answer.of_json(provider.jwks())


def _token(provider: Provider, request: Request) -> Answer:
    client = authenticate(provider, request)
    grant_type = request.form.get("grant_type", "")
    if grant_type not in _GRANTS or grant_type not in client.grant_types:
        raise UnsupportedGrantTypeError(grant_type)
    return Answer.of_json(_GRANTS[grant_type](provider, client, request.form), headers=_NO_STORE)


def _exchange(provider: Provider, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
    if "code" not in form:
        raise InvalidRequestError("The code is missing.")
    return token_endpoint.exchange(
        provider,
        form["code"],
        client.client_id,
        redirect_uri=form.get("redirect_uri", ""),
        code_verifier=form.get("code_verifier", ""),
    )


def _refresh(provider: Provider, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
    return token_endpoint.refresh(provider, form.get("refresh_token", ""), client.client_id)


_GRANTS: dict[str, Callable[[Provider, Client, Mapping[str, str]], dict[str, Any]]] = {
    "authorization_code": _exchange,
    "refresh_token": _refresh,
}


def _revoke(provider: Provider, request: Request) -> Answer:
    """Revoke a token (RFC 7009). The answer is 200 also for a token of another client, which stays valid."""
    if "Authorization" not in request.headers and "client_id" not in request.form:
        raise InvalidRequestError("The client is missing.")
    provider.grants.revoke(request.form.get("token", ""), authenticate(provider, request).client_id)
    return Answer(HTTPStatus.OK, _NO_STORE)


def _userinfo(provider: Provider, request: Request) -> Answer:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidTokenError("The request has no access token.")
    return Answer.of_json(token_endpoint.userinfo(provider, token))


_ENDPOINTS: dict[str, tuple[tuple[str, ...], Callable[[Provider, Request], Answer]]] = {
    "/.well-known/openid-configuration": (("GET",), _discovery),
    "/.well-known/jwks.json": (("GET",), _jwks),
    "/oauth2/token": (("POST",), _token),
    "/oauth2/revoke": (("POST",), _revoke),
    "/userinfo": (("GET", "POST"), _userinfo),
}
PATHS = tuple(_ENDPOINTS)


def authenticate(provider: Provider, request: Request) -> Client:
    """The client that sent ``request``, with its registered method. Raises ``InvalidClientError``."""
    method, client_id, secret = _credentials(request)
    client = provider.clients.get(client_id)
    if client is None or client.token_endpoint_auth_method != method:
        raise _invalid_client("Client authentication failed: unknown client, or a method it is not registered with.")
    if method != "none" and not secrets.compare_digest(secret.encode(), client.client_secret.encode()):
        raise _invalid_client("Client authentication failed: wrong secret.")
    return client


def _credentials(request: Request) -> tuple[str, str, str]:
    """Method, client id and secret. Authlib has a function for this, but it does not form-decode (RFC 6749, 2.3.1)."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _invalid_client("The Authorization header is malformed.") from error
        return "client_secret_basic", unquote_plus(client_id), unquote_plus(secret)
    client_id = request.form.get("client_id", "")
    if "client_secret" in request.form:
        return "client_secret_post", client_id, request.form["client_secret"]
    return "none", client_id, ""


def _invalid_client(description: str) -> InvalidClientError:
    return InvalidClientError(description, status_code=HTTPStatus.UNAUTHORIZED)
