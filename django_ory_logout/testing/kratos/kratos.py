"""Kratos without HTTP: identities and their sessions."""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .records import Address, Device, Flow, Identity, Method, Session
from .refusals import Json

if TYPE_CHECKING:
    from ..hydra.provider import Provider

DAY = 24 * 60 * 60


class Kratos:
    """An identity server that behaves like Ory Kratos. Set its attributes at any time to configure it."""

    def __init__(
        self,
        public_url: str = "http://kratos.test",
        clock: Callable[[], float] = time.time,
        *,
        allowed_return_urls: Iterable[str] = (),
    ) -> None:
        self.public_url = public_url.rstrip("/")
        self.clock = clock
        self.identities: dict[str, Identity] = {}
        #: By id, the oldest first. Ended sessions stay here and are not active.
        self.sessions: dict[str, Session] = {}
        self.flows: dict[str, Flow] = {}
        #: The errors for the error page, by id.
        self.errors: dict[str, Json] = {}
        #: The Hydra that uses this Kratos as its login page.
        self.hydra: Provider | None = None
        #: The allowed URLs for ``return_to``, in addition to the default.
        self.allowed_return_urls = list(allowed_return_urls)
        self.default_return_url = self.url("/welcome")
        self.error_url = self.url("/error")
        self.login_url = self.url("/login")
        self.logged_out_url = self.url("/signed-out")
        self.cookie_name = "ory_kratos_session"
        #: Whether the cookie stays when the browser closes. If not, Hydra does not remember logins made here.
        self.persistent = True
        #: The lifespan of a session in seconds.
        self.lifespan: float = DAY
        #: With ``highest_available``, an identity that has a second factor must use it.
        self.required_aal = "aal1"

    def url(self, path: str) -> str:
        return self.public_url + path

    def identity(
        self,
        email: str,
        *,
        password: str = "a password for tests",
        identity_id: str = "",
        verified: bool = False,
        totp_secret: str = "",
        **traits: Any,
    ) -> Identity:
        """Add an identity with the traits ``email`` and ``traits``. With ``totp_secret`` it has a second factor."""
        identity = Identity(
            id=identity_id or str(uuid4()),
            traits={"email": email, **traits},
            identifiers=[email],
            password=password,
            verifiable_addresses=[Address(email, verified)],
            totp_secret=totp_secret,
            created_at=self.clock(),
        )
        return self.add(identity)

    def add(self, identity: Identity) -> Identity:
        self.identities[identity.id] = identity
        return identity

    def find_identity(self, identifier: str) -> Identity | None:
        """The identity that signs in by ``identifier``. Upper and lower case are the same."""
        for identity in list(self.identities.values()):
            if identifier.casefold() in (name.casefold() for name in identity.identifiers):
                return identity
        return None

    def sign_in(self, identity: Identity, *, aal: str = "aal1", device: Device | None = None) -> Session:
        """A new session. With ``aal2``, it has a second factor."""
        now = self.clock()
        methods = [Method("password", now), *([Method("totp", now)] if aal == "aal2" else [])]
        session = Session(identity, now, now, now + self.lifespan, methods, [device or Device("127.0.0.1", "tests")])
        self.sessions[session.id] = session
        return session

    def reauthenticate(self, session: Session, method: str) -> Session:
        """Add an authentication by ``method``. It extends the session. The session's id and tokens stay the same."""
        now = self.clock()
        session.methods.append(Method(method, now))
        session.authenticated_at, session.expires_at = now, now + self.lifespan
        return session

    def end(self, session_id: str) -> bool:
        """End a session. Returns whether it exists. Kratos sends no notices, also not to Hydra."""
        session = self.sessions.get(session_id)
        if session:
            session.active = False
        return session is not None

    def is_valid(self, session: Session) -> bool:
        """Whether the session was not ended and has not expired."""
        return session.active and session.expires_at > self.clock()

    def is_active(self, session: Session) -> bool:
        """Whether the session is valid and its identity is active. It is active again when its identity is."""
        return self.is_valid(session) and session.identity.state == "active"

    def session_of_token(self, token: str) -> Session | None:
        return next((session for session in list(self.sessions.values()) if session.token == token), None)

    def sessions_of(self, identity_id: str) -> list[Session]:
        """All sessions of an identity, the latest first, with ended ones."""
        return [session for session in reversed(list(self.sessions.values())) if session.identity.id == identity_id]

    def delete_sessions(self, identity_id: str) -> bool:
        """Delete the sessions of an identity. Returns whether it had one."""
        deleted = self.sessions_of(identity_id)
        for session in deleted:
            del self.sessions[session.id]
        return bool(deleted)

    def lacks_second_factor(self, session: Session) -> bool:
        """Whether ``required_aal`` is higher than the AAL of the session."""
        available = "aal2" if session.identity.totp_secret else "aal1"
        return self.required_aal == "highest_available" and session.aal < available
