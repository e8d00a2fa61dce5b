"""The provider without HTTP: its keys, clients and persons, its tokens, and its login sessions and consents."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, Self
from uuid import uuid4

from authlib.oidc.core.util import create_half_hash
from joserfc.jwk import Key, OctKey

from ..uris import set_query
from . import discovery, tokens
from .challenge_store import ChallengeStore
from .grants import Grants
from .keys import public_jwk
from .keys import signing_key as new_signing_key
from .records import Client, Consent, Delivery, LoginSession, Person
from .tokens import Claims


@dataclass(frozen=True)
class Pages:
    """The pages for browsers: Hydra's ``urls``."""

    login: str
    consent: str
    logout: str
    error: str
    post_logout_redirect: str

    @classmethod
    def at(cls, issuer: str) -> Self:
        """The pages of the provider itself."""
        paths = ("/login", "/consent", "/logout", "/error", "/signed-out")
        return cls(*(issuer.rstrip("/") + path for path in paths))


class IdentityProvider(Protocol):
    """The server with the login page: Hydra's ``urls.identity_provider``."""

    def end(self, session_id: str, /) -> object:
        """End a session at this server."""


class Provider:
    """An OpenID provider that behaves like Ory Hydra.

    ``clock`` returns the time in seconds since the epoch. With ``keys``, it does not have to generate an RSA key.
    """

    def __init__(
        self,
        issuer: str = "http://127.0.0.1:4444",
        clock: Callable[[], float] = time.time,
        keys: Iterable[Key] | None = None,
    ) -> None:
        self.issuer = issuer
        self.clock = clock
        #: The newest first. The JWKS contains all of them. The first key for an algorithm signs.
        self.keys: list[Key] = [new_signing_key()] if keys is None else list(keys)
        self.clients: dict[str, Client] = {}
        self.persons: dict[str, Person] = {name: Person.demo(name) for name in ("amber", "birch", "cedar")}
        self.login_sessions: dict[str, LoginSession] = {}
        self.consents: list[Consent] = []
        self.grants = Grants(self.clock)
        self.challenge_store = ChallengeStore(self.clock)
        self.pages = Pages.at(issuer)
        #: Members that replace those of the discovery document.
        self.metadata: dict[str, Any] = {}
        self.identity_provider: IdentityProvider | None = None
        #: Called once, before the next token response: for a logout that overtakes the sign-in.
        self.before_token_response: Callable[[LoginSession], object] | None = None

    def url(self, path: str) -> str:
        return self.issuer.rstrip("/") + path

    def discovery(self) -> dict[str, Any]:
        """The discovery document, with the members of :attr:`metadata` instead of its own."""
        return {**discovery.document(self.issuer), **self.metadata}

    # Clients, persons and keys

    def register(self, client: Client) -> Client:
        """Add ``client``, or replace the client with its ``client_id``."""
        self.clients[client.client_id] = client
        return client

    def add_person(self, person: Person) -> Person:
        self.persons[person.subject] = person
        return person

    def find_person(self, hint: str) -> Person | None:
        """The person that a ``login_hint`` names."""
        return next((person for person in self.persons.values() if person.matches(hint)), None)

    def rotate_keys(self, alg: str = "RS256") -> Key:
        """Sign with a new key from now on. The old keys stay in the JWKS until you remove them from :attr:`keys`."""
        self.keys.insert(0, new_signing_key(alg))
        return self.keys[0]

    def current_keys(self) -> dict[str | None, Key]:
        """The newest signing key of each algorithm."""
        return {key.alg: key for key in reversed(self.keys) if key.is_private and key.get("use") == "sig"}

    def signing_key(self, alg: str = "RS256") -> Key:
        """The key that signs with ``alg``. Raises :exc:`KeyError` if there is none: :meth:`rotate_keys` makes one."""
        return self.current_keys()[alg]

    def jwks(self) -> dict[str, Any]:
        return {"keys": [public_jwk(key) for key in self.keys]}

    # Tokens

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
        """The claims of an ID token for :meth:`sign`, as Hydra sets them (OpenID Connect Core, 2).

        ``more`` are additional claims. They do not replace claims of the provider.
        """
        now = int(self.clock())
        claims = {
            **(more or {}),
            "aud": [client_id],
            "auth_time": login_session.auth_time,
            "exp": now + self._client(client_id).id_token_seconds,
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
            claims["at_hash"] = create_half_hash(
                access_token, self._client(client_id).id_token_signed_response_alg
            ).decode()
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
        return self.sign_for(claims, client_id)

    def logout_token_claims(self, client_id: str, *, sid: str | None = None, sub: str | None = None) -> Claims:
        """The claims of a logout token for :meth:`sign`, as in Hydra without ``exp`` (Back-Channel Logout, 2.4)."""
        target = {"sid": sid, "sub": sub}
        return {
            "aud": [client_id],
            "events": {tokens.BACKCHANNEL_LOGOUT_EVENT: {}},
            "iat": int(self.clock()),
            "iss": self.issuer,
            "jti": str(uuid4()),
            **{name: value for name, value in target.items() if value is not None},
        }

    def logout_token(self, client_id: str, *, sid: str | None = None, sub: str | None = None) -> str:
        """A valid logout token. Hydra's contain only the ``sid``, those of other providers the ``sub`` or both."""
        claims = self.logout_token_claims(client_id, sid=sid, sub=sub)
        return self.sign_for(claims, client_id)

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
        alg: str = "",
    ) -> str:
        """A token with any claims. By default it is signed like a valid token. See :func:`.tokens.sign`."""
        return tokens.sign(claims, key or self.signing_key(), header=header, alg=alg)

    def sign_for(self, claims: Mapping[str, Any], client_id: str) -> str:
        """A token with any claims, signed with the algorithm of ``client_id``, and encrypted if the client wants it."""
        client = self._client(client_id)
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
        """The ``sub`` for a client. With pairwise subjects, each client has another (Core, 8.1)."""
        if self._client(client_id).subject_type != "pairwise":
            return subject
        return sha256(f"{self.issuer}|{client_id}|{subject}".encode()).hexdigest()

    def _client(self, client_id: str) -> Client:
        """The client. An unknown client has the default metadata."""
        return self.clients.get(client_id) or Client(client_id)

    # Login sessions and consents

    def sign_in(
        self, subject: str, *client_ids: str, remember: bool = True, identity_provider_session_id: str = ""
    ) -> LoginSession:
        """A new login session of ``subject`` with the consent of ``client_ids``."""
        sid, now = str(uuid4()), int(self.clock())
        session = self.add_login_session(LoginSession(sid, subject, now, remember, identity_provider_session_id))
        for client_id in client_ids:
            self.consent(Consent(session, client_id, handled_at=self.clock()))
        return session

    def add_login_session(self, login_session: LoginSession) -> LoginSession:
        self.login_sessions[login_session.sid] = login_session
        return login_session

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
        """Store a consent for ``client_id``. Returns an authorization code."""
        consent = self.consent(Consent(login_session, client_id, scope, self.clock()))
        return self.grants.new_code(consent, redirect_uri=redirect_uri, nonce=nonce, code_challenge=code_challenge)

    def consent(self, consent: Consent) -> Consent:
        """Store a consent."""
        self.consents.append(consent)
        return consent

    def remembered_consent(self, subject: str, client_id: str) -> Consent | None:
        """The latest remembered consent."""
        remembered = [
            consent
            for consent in list(self.consents)
            if (consent.login_session.subject, consent.client_id) == (subject, client_id)
            and consent.remember
            and not consent.reused
            and consent.is_valid(self.clock())
        ]
        return remembered[-1] if remembered else None

    def revoke_consents(self, is_chosen: Callable[[Consent], bool]) -> None:
        """Delete consents and their tokens. Their clients get no notice of a later logout."""
        for consent in [consent for consent in self.consents if is_chosen(consent)]:
            self.consents.remove(consent)
            self.grants.end_tokens(consent)

    def clients_of(self, login_session: LoginSession) -> list[str]:
        """The ids of the clients with a consent in a login session."""
        consents = [consent for consent in self.consents if consent.login_session is login_session]
        return list(dict.fromkeys(consent.client_id for consent in consents))

    def end(self, sid: str) -> list[Delivery]:
        """End a login session, if it is remembered. Returns the deliveries for its clients."""
        session = self.login_sessions.get(sid)
        if session is None or not session.remembered:
            return []
        self.login_sessions.pop(sid, None)
        if self.identity_provider and session.identity_provider_session_id:
            self.identity_provider.end(session.identity_provider_session_id)
        return list(self._deliveries(self.clients_of(session), sid=sid))

    def delete_login_sessions(self, subject: str) -> list[LoginSession]:
        """Delete all login sessions of ``subject``. No client gets a notice, now or later."""
        ended = [session for session in list(self.login_sessions.values()) if session.subject == subject]
        for session in ended:
            self.login_sessions.pop(session.sid, None)
        return ended

    def end_subject(self, subject: str) -> list[Delivery]:
        """End all login sessions of ``subject``. The logout tokens contain only the ``sub``, which Hydra never does."""
        ended = self.delete_login_sessions(subject)
        client_ids = dict.fromkeys(client_id for session in ended for client_id in self.clients_of(session))
        return list(self._deliveries(client_ids, sub=subject))

    def frontchannel_uris(self, sid: str) -> list[str]:
        """The URIs of the front-channel page, always with ``iss`` and ``sid`` (Front-Channel Logout, 2)."""
        session = self.login_sessions.get(sid)
        uris = [client.frontchannel_logout_uri for client in self._known(self.clients_of(session))] if session else []
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
