"""The end session endpoint without its pages. It answers each kind of logout request as Ory Hydra does."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from joserfc.errors import JoseError

from ..uris import set_query
from . import tokens
from .challenge_store import expired, unknown
from .provider import Provider
from .records import Delivery, LoginSession
from .tokens import Claims

#: How long a logout request without a relying party is valid, in seconds. Other requests never expire.
SECONDS = 30 * 60


@dataclass
class LogoutRequest:
    """A logout that a user can accept or reject. The last answer counts."""

    sid: str
    subject: str
    client_id: str
    redirect_uri: str
    rp_initiated: bool
    request_url: str = ""
    requested_at: float = 0
    expires_at: float = 0
    verifier: str = ""
    accepted: bool = False
    rejected: bool = False
    #: Whether the browser has come back with the verifier.
    handled: bool = False


def parse(provider: Provider, query: Mapping[str, str], cookie: LoginSession | None) -> LogoutRequest | str:
    """The request for the logout page, or the URI of a redirect that ends no session but looks like success.

    Reads only ``id_token_hint``, ``state`` and ``post_logout_redirect_uri``, as Hydra does. ``cookie`` is the login
    session of the browser. Raises Authlib's ``InvalidRequestError``, which only the error page shows, not the client.
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
        return provider.pages.post_logout_redirect
    now = provider.clock()
    return LogoutRequest(
        cookie.sid,
        cookie.subject,
        "",
        provider.pages.post_logout_redirect,
        rp_initiated=False,
        requested_at=now,
        expires_at=now + SECONDS,
    )


def _hint_claims(provider: Provider, hint: str) -> Claims:
    """The claims of a hint. It can be expired, but must be signed by the newest key, not by another key of the JWKS."""
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
    """The registered URI (exact string match). Without a ``post_logout_redirect_uri``, ``state`` is dropped."""
    redirect_uri = query.get("post_logout_redirect_uri", "")
    if not redirect_uri:
        return provider.pages.post_logout_redirect
    client = provider.clients.get(client_id)
    if client is None or redirect_uri not in client.post_logout_redirect_uris:
        raise InvalidRequestError(
            "Logout failed because query parameter post_logout_redirect_uri is not a whitelisted "
            "as a post_logout_redirect_uri for the client."
        )
    state = query.get("state", "")
    return set_query(redirect_uri, state=state) if state else redirect_uri


class LogoutRequests:
    """The logout requests, by challenge. Errors are Authlib's ``OAuth2Error``."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._requests: dict[str, LogoutRequest] = {}

    def add(self, request: LogoutRequest, request_url: str) -> str:
        """Store a request. Returns the challenge for the logout page."""
        challenge, request.verifier, request.request_url = str(uuid4()), str(uuid4()), request_url
        self._requests[challenge] = request
        return challenge

    def get(self, challenge: str) -> LogoutRequest:
        """The request. Raises an error if it is unknown or rejected."""
        request = self._requests.get(challenge)
        if request is None or request.rejected:
            raise unknown()
        return request

    def accept(self, challenge: str) -> str:
        """Log out. Returns the URL to send the browser to. Safe to repeat."""
        request = self._answer(challenge, accepted=True)
        return set_query(self.provider.url("/oauth2/sessions/logout"), logout_verifier=request.verifier)

    def reject(self, challenge: str) -> None:
        """Refuse the logout. The page chooses where the browser goes."""
        self._answer(challenge, accepted=False)

    def verified(self, verifier: str) -> LogoutRequest:
        """The accepted request of a browser that returns from the logout page."""
        for request in self._requests.values():
            if request.verifier == verifier and request.accepted:
                if request.expires_at and request.expires_at < self.provider.clock():
                    raise expired("logout_request")
                request.handled = True
                return request
        raise unknown()

    def _answer(self, challenge: str, *, accepted: bool) -> LogoutRequest:
        if challenge not in self._requests:
            raise unknown()
        request = self._requests[challenge]
        request.accepted, request.rejected = accepted, not accepted
        return request


@dataclass(frozen=True)
class Ended:
    """The notices to send after an accepted logout."""

    deliveries: list[Delivery]
    frontchannel_uris: list[str]


def end(provider: Provider, request: LogoutRequest, cookie: LoginSession | None) -> Ended:
    """End the login session of the request, and the login session of the browser's cookie if that is another one.

    Clients get notices only for the session of the request. A logout without a relying party ends only the sessions
    of its own browser.
    """
    if not request.rp_initiated and (cookie is None or cookie.subject != request.subject):
        return Ended([], [])
    frontchannel_uris = provider.frontchannel_uris(request.sid)
    deliveries = provider.end(request.sid)
    if cookie:
        provider.end(cookie.sid)
    return Ended(deliveries, frontchannel_uris)
