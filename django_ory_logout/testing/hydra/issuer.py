"""Who issues tokens: a name, keys, and the clients and persons that the tokens speak of."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any
from uuid import uuid4

from authlib.oidc.core.util import create_half_hash
from joserfc.jwk import Key, OctKey

from . import tokens
from .keys import public_jwk
from .keys import signing_key as new_signing_key
from .records import Client, LoginSession, Person
from .tokens import Claims

ID_TOKEN_SECONDS = 3600
#: The member of a registration that says otherwise, as a duration of Go's.
ID_TOKEN_LIFESPAN = "authorization_code_grant_id_token_lifespan"
_SECONDS_OF = {"h": 3600, "m": 60, "s": 1}


class Issuer:
    """Makes ID tokens and logout tokens as Ory Hydra does.

    ``clock`` tells the time in seconds since the epoch; ``keys`` spares the making of an RSA key.
    """

    def __init__(
        self,
        issuer: str = "http://127.0.0.1:4444",
        clock: Callable[[], float] = time.time,
        keys: Iterable[Key] | None = None,
    ) -> None:
        self.issuer = issuer
        self.clock = clock
        #: Newest first. All of them stand in the JWKS; the first that fits an algorithm signs.
        self.keys: list[Key] = [new_signing_key()] if keys is None else list(keys)
        self.clients: dict[str, Client] = {}
        self.persons: dict[str, Person] = {name: Person.demo(name) for name in ("amber", "birch", "cedar")}

    def url(self, path: str) -> str:
        return self.issuer.rstrip("/") + path

    def register(self, client: Client) -> Client:
        """Add ``client``, or put it in place of the one with its ``client_id``."""
        self.clients[client.client_id] = client
        return client

    def add_person(self, person: Person) -> Person:
        self.persons[person.subject] = person
        return person

    def person_called(self, hint: str) -> Person | None:
        """Whom a ``login_hint`` means."""
        return next((person for person in self.persons.values() if person.is_called(hint)), None)

    def rotate_keys(self, alg: str = "RS256") -> Key:
        """Sign with a new key from now on. The old ones stay in the JWKS until they are taken out of :attr:`keys`."""
        self.keys.insert(0, new_signing_key(alg))
        return self.keys[0]

    def current_keys(self) -> dict[str | None, Key]:
        """The newest signing key of each algorithm."""
        return {key.alg: key for key in reversed(self.keys) if key.is_private and key.get("use") == "sig"}

    def signing_key(self, alg: str = "RS256") -> Key:
        """The key that signs with ``alg``. Raises :exc:`KeyError` before a :meth:`rotate_keys` for it."""
        return self.current_keys()[alg]

    def jwks(self) -> dict[str, Any]:
        return {"keys": [public_jwk(key) for key in self.keys]}

    def id_token_claims(
        self,
        login_session: LoginSession,
        client_id: str,
        *,
        scope: str = "openid",
        nonce: str = "",
        access_token: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> Claims:
        """The claims of an ID token, for :meth:`sign`, as Hydra sets them (OpenID Connect Core, 2).

        ``more`` are claims from elsewhere, which do not replace the provider's own.
        """
        now = int(self.clock())
        claims = {
            **(more or {}),
            "aud": [client_id],
            "auth_time": login_session.auth_time,
            "exp": now + self._id_token_seconds(client_id),
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid4()),
            "rat": now,
            "sid": login_session.sid,
            "sub": self.subject_for(client_id, login_session.subject),
            **self.person_claims(login_session.subject, scope),
        }
        if nonce:
            claims["nonce"] = nonce
        if access_token:
            claims["at_hash"] = create_half_hash(access_token, self._alg_of(client_id)).decode()
        return claims

    def id_token(
        self,
        login_session: LoginSession,
        client_id: str,
        *,
        scope: str = "openid",
        nonce: str = "",
        access_token: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> str:
        """A valid ID token."""
        claims = self.id_token_claims(
            login_session, client_id, scope=scope, nonce=nonce, access_token=access_token, more=more
        )
        return self.seal(claims, client_id)

    def logout_token_claims(self, client_id: str, *, sid: str | None = None, sub: str | None = None) -> Claims:
        """The claims of a logout token, for :meth:`sign`, as Hydra sets them: no ``exp`` (Back-Channel Logout, 2.4)."""
        named = {"sid": sid, "sub": sub}
        return {
            "aud": [client_id],
            "events": {tokens.BACKCHANNEL_LOGOUT_EVENT: {}},
            "iat": int(self.clock()),
            "iss": self.issuer,
            "jti": str(uuid4()),
            **{name: value for name, value in named.items() if value is not None},
        }

    def logout_token(self, client_id: str, *, sid: str | None = None, sub: str | None = None) -> str:
        """A valid logout token. Hydra names the ``sid`` alone; other providers the ``sub``, or both."""
        claims = self.logout_token_claims(client_id, sid=sid, sub=sub)
        return self.seal(claims, client_id)

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
        alg: str = "",
    ) -> str:
        """Any claims, signed by default as a valid token is. See :func:`.tokens.sign`."""
        return tokens.sign(claims, key or self.signing_key(), header=header, alg=alg)

    def seal(self, claims: Mapping[str, Any], client_id: str) -> str:
        """Any claims, signed as ``client_id`` registered it, and encrypted if it registered that."""
        client = self.clients.get(client_id) or Client(client_id)
        alg = client.id_token_signed_response_alg
        key = OctKey.import_key(client.client_secret) if alg.startswith("HS") else self.signing_key(alg)
        token = self.sign(claims, key=key, alg=alg)
        if client.encryption_key is None:
            return token
        return tokens.encrypt(
            token,
            client.encryption_key,
            alg=client.id_token_encrypted_response_alg,
            enc=client.id_token_encrypted_response_enc,
        )

    def person_claims(self, subject: str, scope: str) -> Claims:
        person = self.persons.get(subject)
        return person.claims_for(scope) if person else {}

    def subject_for(self, client_id: str, subject: str) -> str:
        """The ``sub`` that a client knows: its own with pairwise subjects (Core, 8.1)."""
        client = self.clients.get(client_id)
        if client is None or client.subject_type != "pairwise":
            return subject
        return sha256(f"{self.issuer}|{client_id}|{subject}".encode()).hexdigest()

    def _id_token_seconds(self, client_id: str) -> int:
        client = self.clients.get(client_id)
        lifespan = client.more.get(ID_TOKEN_LIFESPAN) if client else None
        parts = re.findall(r"(\d+)([hms])", lifespan or f"{ID_TOKEN_SECONDS}s")
        return sum(int(number) * _SECONDS_OF[unit] for number, unit in parts)

    def _alg_of(self, client_id: str) -> str:
        client = self.clients.get(client_id)
        return client.id_token_signed_response_alg if client else "RS256"
