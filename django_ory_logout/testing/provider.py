"""The provider without HTTP: login sessions, codes and access tokens, and whom a logout concerns."""

import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import Key

from .issuer import Issuer
from .records import Client, Delivery, Grant, LoginSession
from .tokens import Claims
from .uris import set_query

CODE_SECONDS = 600
ACCESS_TOKEN_SECONDS = 3600


class Provider(Issuer):
    """An OpenID provider with Ory Hydra's ways. Its arguments are those of :class:`~.issuer.Issuer`."""

    def __init__(
        self,
        issuer: str = "http://127.0.0.1:4444",
        clock: Callable[[], float] = time.time,
        keys: Iterable[Key] | None = None,
    ) -> None:
        super().__init__(issuer, clock, keys)
        self.login_sessions: dict[str, LoginSession] = {}
        #: Laid over the discovery document.
        self.metadata: dict[str, Any] = {}
        #: Called once, before the next token response is given: for a logout that overtakes the sign-in.
        self.before_token_response: Callable[[LoginSession], object] | None = None
        self._codes: dict[str, Grant] = {}
        self._access_tokens: dict[str, Grant] = {}

    def url(self, path: str) -> str:
        return self.issuer.rstrip("/") + path

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery 3, with what the logout specifications add."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.url("/oauth2/auth"),
            "token_endpoint": self.url("/oauth2/token"),
            "userinfo_endpoint": self.url("/userinfo"),
            "jwks_uri": self.url("/.well-known/jwks.json"),
            "end_session_endpoint": self.url("/oauth2/sessions/logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "profile", "email"],
            "claims_supported": ["sub"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
            "frontchannel_logout_supported": True,
            "frontchannel_logout_session_supported": True,
            **self.metadata,
        }

    def sign_in(self, subject: str, *client_ids: str, remember: bool = True) -> LoginSession:
        """A new login session of ``subject`` with the consent of ``client_ids``."""
        session = LoginSession(str(uuid4()), subject, int(self.clock()), remember, list(client_ids))
        self.login_sessions[session.sid] = session
        return session

    def authorize(
        self,
        login_session: LoginSession,
        client_id: str,
        *,
        redirect_uri: str,
        scope: str = "openid",
        nonce: str = "",
        code_challenge: str = "",
    ) -> str:
        """Accept the consent of ``client_id`` and give an authorization code, good once and for ten minutes."""
        login_session.accept(client_id)
        code = f"ory_ac_{generate_token(43)}"
        expires = self.clock() + CODE_SECONDS
        self._codes[code] = Grant(login_session, client_id, scope, expires, redirect_uri, nonce, code_challenge)
        return code

    def exchange(self, code: str, client_id: str, *, redirect_uri: str, code_verifier: str = "") -> dict[str, Any]:
        """The token response for ``code`` (OpenID Connect Core, 3.1.3.3). Raises Authlib's ``InvalidGrantError``."""
        grant = self._codes.pop(code, None)
        if grant is None or grant.client_id != client_id or grant.expires < self.clock():
            raise InvalidGrantError("The code is unknown, used, expired or of another client.")
        if grant.redirect_uri != redirect_uri:
            raise InvalidGrantError("The redirect_uri is not that of the authorization request.")
        if grant.code_challenge != (create_s256_code_challenge(code_verifier) if code_verifier else ""):
            raise InvalidGrantError("The code_verifier does not fit the code_challenge.")
        response = self._token_response(grant)
        hook, self.before_token_response = self.before_token_response, None
        if hook:
            hook(grant.login_session)
        return response

    def _token_response(self, grant: Grant) -> dict[str, Any]:
        access_token = f"ory_at_{generate_token(43)}"
        self._access_tokens[access_token] = grant
        session, client_id = grant.login_session, grant.client_id
        return {
            "access_token": access_token,
            "expires_in": ACCESS_TOKEN_SECONDS - 1,
            "id_token": self.id_token(
                session, client_id, scope=grant.scope, nonce=grant.nonce, access_token=access_token
            ),
            "scope": grant.scope,
            "token_type": "bearer",
        }

    def userinfo(self, access_token: str) -> Claims:
        """The person's claims, without ``sid``. A logout does not end access tokens. Raises ``InvalidTokenError``."""
        grant = self._access_tokens.get(access_token)
        if grant is None:
            raise InvalidTokenError("The access token is unknown.")
        subject = grant.login_session.subject
        return {"sub": subject, **self.person_claims(subject, grant.scope)}

    def end(self, sid: str) -> list[Delivery]:
        """End a login session and give what its clients are told; of one that was not remembered nobody is told."""
        session = self.login_sessions.pop(sid, None)
        if session is None or not session.remembered:
            return []
        return list(self._deliveries(session.clients, sid=sid))

    def end_subject(self, subject: str) -> list[Delivery]:
        """End every login session of ``subject``; the logout tokens name the ``sub`` alone, which Hydra never does."""
        ended = [session for session in list(self.login_sessions.values()) if session.subject == subject]
        for session in ended:
            self.login_sessions.pop(session.sid, None)
        client_ids = dict.fromkeys(client_id for session in ended for client_id in session.clients)
        return list(self._deliveries(client_ids, sub=subject))

    def frontchannel_uris(self, sid: str) -> list[str]:
        """What the front-channel page loads, always with ``iss`` and ``sid`` (Front-Channel Logout, 2)."""
        session = self.login_sessions.get(sid)
        uris = [client.frontchannel_logout_uri for client in self._known(session.clients)] if session else []
        return [set_query(uri, iss=self.issuer, sid=sid) for uri in uris if uri]

    def _deliveries(
        self, client_ids: Iterable[str], *, sid: str | None = None, sub: str | None = None
    ) -> Iterable[Delivery]:
        for client in self._known(client_ids):
            if client.backchannel_logout_uri:
                token = self.logout_token(client.client_id, sid=sid, sub=sub)
                yield Delivery(client.client_id, client.backchannel_logout_uri, token)

    def _known(self, client_ids: Iterable[str]) -> list[Client]:
        return [self.clients[client_id] for client_id in client_ids if client_id in self.clients]
