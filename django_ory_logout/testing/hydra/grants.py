"""The store of authorization codes and tokens."""

from collections.abc import Callable

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from .records import Consent, Grant

CODE_SECONDS = 600
ACCESS_TOKEN_SECONDS = 3600
REFRESH_TOKEN_SECONDS = 30 * 24 * 3600

Tokens = dict[str, Grant]


class Grants:
    """Codes and tokens with their grants. Tokens stay valid when their login session ends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._codes: Tokens = {}
        self._access_tokens: Tokens = {}
        self._refresh_tokens: Tokens = {}
        self._used_refresh_tokens: Tokens = {}

    def new_code(self, consent: Consent, *, redirect_uri: str = "", nonce: str = "", code_challenge: str = "") -> str:
        """An authorization code, valid once and for ten minutes."""
        grant = Grant(consent, self._clock() + CODE_SECONDS, redirect_uri, nonce, code_challenge)
        return _add(self._codes, "ory_ac_", grant)

    def new_access_token(self, grant: Grant) -> str:
        return _add(self._access_tokens, "ory_at_", _until(grant, self._clock() + ACCESS_TOKEN_SECONDS))

    def new_refresh_token(self, grant: Grant) -> str:
        return _add(self._refresh_tokens, "ory_rt_", _until(grant, self._clock() + REFRESH_TOKEN_SECONDS))

    def use_code(self, code: str, client_id: str, *, redirect_uri: str, code_verifier: str) -> Grant:
        """The grant of ``code``, which ends. Raises Authlib's ``InvalidGrantError``."""
        grant = self._codes.pop(code, None)
        if grant is None or grant.consent.client_id != client_id or grant.expires < self._clock():
            raise InvalidGrantError("The code is unknown, used, expired or of another client.")
        if grant.redirect_uri != redirect_uri:
            raise InvalidGrantError("The redirect_uri is not that of the authorization request.")
        if grant.code_challenge != (create_s256_code_challenge(code_verifier) if code_verifier else ""):
            raise InvalidGrantError("The code_verifier does not fit the code_challenge.")
        return grant

    def use_refresh_token(self, refresh_token: str, client_id: str) -> Grant:
        """The grant of a refresh token, which ends with all tokens of its consent. Raises ``InvalidGrantError``.

        A second use of the same token ends the tokens that came from the first use.
        """
        used = self._used_refresh_tokens.get(refresh_token)
        if used:
            self.end_tokens(used.consent)
        grant = self._refresh_tokens.get(refresh_token)
        if grant is None or grant.consent.client_id != client_id or grant.expires < self._clock():
            raise InvalidGrantError("The refresh token is unknown, used, expired or of another client.")
        self.end_tokens(grant.consent)
        self._used_refresh_tokens[refresh_token] = grant
        return grant

    def revoke(self, token: str, client_id: str) -> None:
        """End all tokens of the consent of ``token`` (RFC 7009). A token of another client stays, without an error."""
        grant = self._access_tokens.get(token) or self._refresh_tokens.get(token)
        if grant and grant.consent.client_id == client_id:
            self.end_tokens(grant.consent)

    def end_tokens(self, consent: Consent) -> None:
        """End the access and refresh tokens of a consent."""
        for tokens in (self._access_tokens, self._refresh_tokens):
            for token in [token for token, grant in tokens.items() if grant.consent is consent]:
                del tokens[token]

    def delete_access_tokens(self, client_id: str) -> None:
        """End the access tokens of a client. Its refresh tokens stay."""
        of_others = {t: grant for t, grant in self._access_tokens.items() if grant.consent.client_id != client_id}
        self._access_tokens = of_others

    def grant_of(self, token: str) -> tuple[str, Grant] | None:
        """The kind and the grant of an active access or refresh token."""
        for use, tokens in (("access_token", self._access_tokens), ("refresh_token", self._refresh_tokens)):
            if token in tokens and self._clock() <= tokens[token].expires:
                return use, tokens[token]
        return None


def _add(tokens: Tokens, prefix: str, grant: Grant) -> str:
    token = f"{prefix}{generate_token(43)}"
    tokens[token] = grant
    return token


def _until(grant: Grant, expires: float) -> Grant:
    return Grant(grant.consent, expires, nonce=grant.nonce)
