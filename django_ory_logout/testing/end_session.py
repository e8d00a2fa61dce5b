"""The end session endpoint without its pages: what Ory Hydra does with each kind of logout request."""

from collections.abc import Mapping
from dataclasses import dataclass

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from joserfc.errors import JoseError

from . import tokens
from .provider import Provider
from .records import Delivery, LoginSession
from .tokens import Claims
from .uris import set_query

#: Where a browser goes that brought no `post_logout_redirect_uri`: Hydra's `urls.post_logout_redirect`.
SIGNED_OUT_PATH = "/signed-out"


@dataclass(frozen=True)
class LogoutRequest:
    """A logout that a person may still accept or reject."""

    sid: str
    subject: str
    client_id: str
    redirect_uri: str
    rp_initiated: bool


def parse(provider: Provider, query: Mapping[str, str], cookie: LoginSession | None) -> LogoutRequest | str:
    """What to ask the person, or the URI of an immediate redirect, which ends nothing and looks like success.

    Reads ``id_token_hint``, ``state`` and ``post_logout_redirect_uri`` alone, as Hydra does. ``cookie`` is the login
    session of the browser. Raises Authlib's ``InvalidRequestError`` for the error page; the client never hears of it.
    """
    hint = query.get("id_token_hint", "")
    if not hint:
        return _without_hint(provider, query, cookie)
    claims = _hint_claims(provider, hint)
    client_id = next((name for name in claims.get("aud", ()) if name in provider.clients), "")
    redirect_uri = _redirect_uri(provider, client_id, query)
    session = provider.login_sessions.get(claims["sid"])
    if session is None or not session.remembered:
        return redirect_uri
    return LogoutRequest(session.sid, session.subject, client_id, redirect_uri, rp_initiated=True)


def _without_hint(provider: Provider, query: Mapping[str, str], cookie: LoginSession | None) -> LogoutRequest | str:
    for parameter in ("state", "post_logout_redirect_uri"):
        if query.get(parameter):
            raise InvalidRequestError(
                f"Logout failed because query parameter {parameter} is set but id_token_hint is missing."
            )
    if cookie is None:
        return provider.url(SIGNED_OUT_PATH)
    return LogoutRequest(cookie.sid, cookie.subject, "", provider.url(SIGNED_OUT_PATH), rp_initiated=False)


def _hint_claims(provider: Provider, hint: str) -> Claims:
    """An expired hint is good. One signed with a rotated-out key is not, though the JWKS still lists that key."""
    for key in provider.current_keys().values():
        try:
            claims = tokens.verified_claims(hint, key)
        except JoseError:
            continue
        return _checked(provider, claims)
    raise InvalidRequestError("go-jose/go-jose: error in cryptographic primitive")


def _checked(provider: Provider, claims: Claims) -> Claims:
    if claims.get("iss") != provider.issuer:
        raise InvalidRequestError("Logout failed because issuer claim value from id_token_hint does not match.")
    if claims.get("iat", 0) > provider.clock():
        raise InvalidRequestError("Token used before issued")
    if not isinstance(claims.get("sid"), str) or claims["sid"] == "":
        raise InvalidRequestError("Logout failed because query parameter id_token_hint is missing sid claim.")
    return claims


def _redirect_uri(provider: Provider, client_id: str, query: Mapping[str, str]) -> str:
    """Exact string match; ``state`` comes back with a ``post_logout_redirect_uri`` only."""
    redirect_uri = query.get("post_logout_redirect_uri", "")
    if not redirect_uri:
        return provider.url(SIGNED_OUT_PATH)
    client = provider.clients.get(client_id)
    if client is None or redirect_uri not in client.post_logout_redirect_uris:
        raise InvalidRequestError(
            "Logout failed because query parameter post_logout_redirect_uri is not a whitelisted "
            "as a post_logout_redirect_uri for the client."
        )
    state = query.get("state", "")
    return set_query(redirect_uri, state=state) if state else redirect_uri


@dataclass(frozen=True)
class Ended:
    """What remains to be done once a logout was accepted."""

    deliveries: list[Delivery]
    frontchannel_uris: list[str]


def accept(provider: Provider, request: LogoutRequest, cookie: LoginSession | None) -> Ended:
    """End the login session, and that of the browser's cookie where it is another one: of that one nobody is told."""
    frontchannel_uris = provider.frontchannel_uris(request.sid)
    deliveries = provider.end(request.sid)
    if cookie:
        provider.end(cookie.sid)
    return Ended(deliveries, frontchannel_uris)
