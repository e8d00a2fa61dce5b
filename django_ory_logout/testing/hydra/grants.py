"""Codes and tokens: given, exchanged, asked about, revoked."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import Key

from .issuer import Issuer
from .records import Consent, Grant, LoginSession
from .tokens import Claims

CODE_SECONDS = 600
ACCESS_TOKEN_SECONDS = 3600
REFRESH_TOKEN_SECONDS = 30 * 24 * 3600

Tokens = dict[str, Grant]


class TokenIssuer(Issuer):
    """Gives tokens for codes. They live as long as they do, whatever becomes of the login session."""

    def __init__(
        self,
        issuer: str = "http://127.0.0.1:4444",
        clock: Callable[[], float] = time.time,
        keys: Iterable[Key] | None = None,
    ) -> None:
        super().__init__(issuer, clock, keys)
        #: Called once, before the next token response is given: for a logout that overtakes the sign-in.
        self.before_token_response: Callable[[LoginSession], object] | None = None
        self._codes: Tokens = {}
        self._access_tokens: Tokens = {}
        self._refresh_tokens: Tokens = {}
        self._used_refresh_tokens: Tokens = {}

    def code_for(self, consent: Consent, *, redirect_uri: str = "", nonce: str = "", code_challenge: str = "") -> str:
        """An authorization code, good once and for ten minutes."""
        grant = Grant(consent, self.clock() + CODE_SECONDS, redirect_uri, nonce, code_challenge)
        return _keep(self._codes, "ory_ac_", grant)

    def exchange(self, code: str, client_id: str, *, redirect_uri: str, code_verifier: str = "") -> dict[str, Any]:
        """The token response for ``code`` (OpenID Connect Core, 3.1.3.3). Raises Authlib's ``InvalidGrantError``."""
        grant = self._codes.pop(code, None)
        if grant is None or grant.consent.client_id != client_id or grant.expires < self.clock():
            raise InvalidGrantError("The code is unknown, used, expired or of another client.")
        if grant.redirect_uri != redirect_uri:
            raise InvalidGrantError("The redirect_uri is not that of the authorization request.")
        if grant.code_challenge != (create_s256_code_challenge(code_verifier) if code_verifier else ""):
            raise InvalidGrantError("The code_verifier does not fit the code_challenge.")
        response = self._token_response(grant)
        hook, self.before_token_response = self.before_token_response, None
        if hook:
            hook(grant.consent.login_session)
        return response

    def refresh(self, refresh_token: str, client_id: str) -> dict[str, Any]:
        """The token response for a refresh token, good once; whoever uses it again ends all that came of it."""
        used = self._used_refresh_tokens.get(refresh_token)
        if used:
            self.end_tokens(used.consent)
        grant = self._refresh_tokens.get(refresh_token)
        if grant is None or grant.consent.client_id != client_id or grant.expires < self.clock():
            raise InvalidGrantError("The refresh token is unknown, used, expired or of another client.")
        self.end_tokens(grant.consent)
        self._used_refresh_tokens[refresh_token] = grant
        return self._token_response(grant)

    def revoke(self, token: str, client_id: str) -> None:
        """End ``token`` and what came with it (RFC 7009). Another client's is left alone, and nobody is told."""
        grant = self._access_tokens.get(token) or self._refresh_tokens.get(token)
        if grant and grant.consent.client_id == client_id:
            self.end_tokens(grant.consent)

    def end_tokens(self, consent: Consent) -> None:
        """End the access and refresh tokens that came of a consent."""
        for tokens in (self._access_tokens, self._refresh_tokens):
            for token in [token for token, grant in tokens.items() if grant.consent is consent]:
                del tokens[token]

    def delete_access_tokens(self, client_id: str) -> None:
        """End the access tokens of a client; its refresh tokens stay."""
        of_others = {t: grant for t, grant in self._access_tokens.items() if grant.consent.client_id != client_id}
        self._access_tokens = of_others

    def grant_of(self, token: str) -> tuple[str, Grant] | None:
        """What an access or refresh token that lives stands for, after what it is."""
        for use, tokens in (("access_token", self._access_tokens), ("refresh_token", self._refresh_tokens)):
            if token in tokens and self.clock() <= tokens[token].expires:
                return use, tokens[token]
        return None

    def userinfo(self, access_token: str) -> Claims:
        """The person's claims, without ``sid``. A logout does not end access tokens. Raises ``InvalidTokenError``."""
        use, grant = self.grant_of(access_token) or ("", None)
        if grant is None or use != "access_token":
            raise InvalidTokenError("The access token is unknown.")
        consent, subject = grant.consent, grant.consent.login_session.subject
        known = {**consent.claims, **self.person_claims(subject, consent.scope)}
        return {**known, "sub": self.subject_for(consent.client_id, subject)}

    def _token_response(self, grant: Grant) -> dict[str, Any]:
        consent, now = grant.consent, self.clock()
        access_token = _keep(self._access_tokens, "ory_at_", _until(grant, now + ACCESS_TOKEN_SECONDS))
        response = {
            "access_token": access_token,
            "expires_in": ACCESS_TOKEN_SECONDS - 1,
            "id_token": self.id_token(
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
        if self._may_refresh(consent):
            grant = _until(grant, now + REFRESH_TOKEN_SECONDS)
            response["refresh_token"] = _keep(self._refresh_tokens, "ory_rt_", grant)
        return response

    def _may_refresh(self, consent: Consent) -> bool:
        client = self.clients.get(consent.client_id)
        registered = client is not None and "refresh_token" in client.grant_types
        return registered and "offline_access" in consent.scope.split()


def _keep(tokens: Tokens, prefix: str, grant: Grant) -> str:
    token = f"{prefix}{generate_token(43)}"
    tokens[token] = grant
    return token


def _until(grant: Grant, expires: float) -> Grant:
    return Grant(grant.consent, expires, nonce=grant.nonce)
