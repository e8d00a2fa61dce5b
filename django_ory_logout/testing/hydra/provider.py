"""The provider without HTTP: login sessions, consents, and whom a logout concerns."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self
from uuid import uuid4

from joserfc.jwk import Key

from ..uris import set_query
from .challenge_store import ChallengeStore
from .grants import TokenIssuer
from .issuer import Issuer
from .records import Client, Consent, Delivery, LoginSession


@dataclass(frozen=True)
class Pages:
    """Where browsers are sent to be asked or told: Hydra's ``urls``."""

    login: str
    consent: str
    logout: str
    error: str
    post_logout_redirect: str

    @classmethod
    def of(cls, issuer: Issuer) -> Self:
        """The provider's own."""
        return cls(*map(issuer.url, ("/login", "/consent", "/logout", "/error", "/signed-out")))


class IdentityProvider(Protocol):
    """Whose login page is used: Hydra's ``urls.identity_provider``."""

    def end(self, session_id: str, /) -> object:
        """End a session of it."""


class Provider(TokenIssuer):
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
        self.consents: list[Consent] = []
        self.sealed = ChallengeStore(self.clock)
        self.pages = Pages.of(self)
        self.identity_provider: IdentityProvider | None = None

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery 3, with what the logout specifications add."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.url("/oauth2/auth"),
            "token_endpoint": self.url("/oauth2/token"),
            "userinfo_endpoint": self.url("/userinfo"),
            "jwks_uri": self.url("/.well-known/jwks.json"),
            "revocation_endpoint": self.url("/oauth2/revoke"),
            "end_session_endpoint": self.url("/oauth2/sessions/logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public", "pairwise"],
            "scopes_supported": ["openid", "offline_access", "profile", "email"],
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

    def sign_in(
        self, subject: str, *client_ids: str, remember: bool = True, identity_provider_session_id: str = ""
    ) -> LoginSession:
        """A new login session of ``subject`` with the consent of ``client_ids``."""
        sid, now = str(uuid4()), int(self.clock())
        session = self.open(LoginSession(sid, subject, now, remember, identity_provider_session_id))
        for client_id in client_ids:
            self.consent(Consent(session, client_id, handled_at=self.clock()))
        return session

    def open(self, login_session: LoginSession) -> LoginSession:
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
        """Accept the consent of ``client_id`` and give an authorization code."""
        consent = self.consent(Consent(login_session, client_id, scope, self.clock()))
        return self.code_for(consent, redirect_uri=redirect_uri, nonce=nonce, code_challenge=code_challenge)

    def consent(self, consent: Consent) -> Consent:
        """Remember that a person agreed."""
        self.consents.append(consent)
        return consent

    def remembered_consent(self, subject: str, client_id: str) -> Consent | None:
        """The latest consent that spares the question."""
        given = [
            one
            for one in list(self.consents)
            if (one.login_session.subject, one.client_id) == (subject, client_id)
            and one.remember
            and not one.reused
            and one.lasts(self.clock())
        ]
        return given[-1] if given else None

    def withdraw(self, chosen: Callable[[Consent], bool]) -> None:
        """Forget consents; the tokens that came of them end. Their applications cannot be told of a logout later."""
        for consent in [one for one in self.consents if chosen(one)]:
            self.consents.remove(consent)
            self.end_tokens(consent)

    def clients_of(self, login_session: LoginSession) -> list[str]:
        """The clients with an accepted consent for a login session."""
        return list(dict.fromkeys(one.client_id for one in self.consents if one.login_session is login_session))

    def end(self, sid: str) -> list[Delivery]:
        """End a login session and give what its clients are told. One that was not remembered is left as it is."""
        session = self.login_sessions.get(sid)
        if session is None or not session.remembered:
            return []
        self.login_sessions.pop(sid, None)
        if self.identity_provider and session.identity_provider_session_id:
            self.identity_provider.end(session.identity_provider_session_id)
        return list(self._deliveries(self.clients_of(session), sid=sid))

    def forget(self, subject: str) -> list[LoginSession]:
        """End every login session of ``subject``. Nobody is told, now or later."""
        ended = [session for session in list(self.login_sessions.values()) if session.subject == subject]
        for session in ended:
            self.login_sessions.pop(session.sid, None)
        return ended

    def end_subject(self, subject: str) -> list[Delivery]:
        """End every login session of ``subject``; the logout tokens name the ``sub`` alone, which Hydra never does."""
        ended = self.forget(subject)
        client_ids = dict.fromkeys(client_id for session in ended for client_id in self.clients_of(session))
        return list(self._deliveries(client_ids, sub=subject))

    def frontchannel_uris(self, sid: str) -> list[str]:
        """What the front-channel page loads, always with ``iss`` and ``sid`` (Front-Channel Logout, 2)."""
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
