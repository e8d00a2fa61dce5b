"""Kratos without HTTP: identities, their sessions, and how these begin and end."""

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
    """An identity server with Ory Kratos' ways. Its configuration are its attributes, which can be set at any time."""

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
        #: By id, oldest first. One that was ended is still here, inactive.
        self.sessions: dict[str, Session] = {}
        self.flows: dict[str, Flow] = {}
        #: What is said at the error page, by id.
        self.errors: dict[str, Json] = {}
        #: The Hydra whose login page this is.
        self.hydra: Provider | None = None
        #: Where browsers may be sent back to, beside the default.
        self.allowed_return_urls = list(allowed_return_urls)
        self.default_return_url = self.url("/welcome")
        self.error_url = self.url("/error")
        self.login_url = self.url("/login")
        self.logged_out_url = self.url("/signed-out")
        self.cookie_name = "ory_kratos_session"
        #: Whether the cookie outlives the browser. Where it does not, Hydra remembers no login that is made here.
        self.persistent = True
        #: Seconds that a session lasts.
        self.lifespan: float = DAY
        #: With ``highest_available``, who has a second factor has to show it.
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
        """A new identity, whose traits are ``email`` and ``traits``; with ``totp_secret`` it has a second factor."""
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

    def called(self, identifier: str) -> Identity | None:
        """The identity that signs in by ``identifier``, in whatever case."""
        for identity in list(self.identities.values()):
            if identifier.casefold() in (one.casefold() for one in identity.identifiers):
                return identity
        return None

    def sign_in(self, identity: Identity, *, aal: str = "aal1", device: Device | None = None) -> Session:
        """A new session; with ``aal2`` after the second factor."""
        now = self.clock()
        methods = [Method("password", now), *([Method("totp", now)] if aal == "aal2" else [])]
        session = Session(identity, now, now, now + self.lifespan, methods, [device or Device("127.0.0.1", "tests")])
        self.sessions[session.id] = session
        return session

    def prove(self, session: Session, method: str) -> Session:
        """The identity has proved itself once more: the session is prolonged, its id and tokens stay."""
        now = self.clock()
        session.methods.append(Method(method, now))
        session.authenticated_at, session.expires_at = now, now + self.lifespan
        return session

    def end(self, session_id: str) -> bool:
        """Whether there is such a session, which then is not active any more. Nobody is told, nor is Hydra."""
        session = self.sessions.get(session_id)
        if session:
            session.active = False
        return session is not None

    def lasts(self, session: Session) -> bool:
        """Whether nobody has ended it, nor time."""
        return session.active and session.expires_at > self.clock()

    def is_active(self, session: Session) -> bool:
        """Whether it lasts, and its identity may sign in. A session lives again with its identity."""
        return self.lasts(session) and session.identity.state == "active"

    def session_of_token(self, token: str) -> Session | None:
        return next((one for one in list(self.sessions.values()) if one.token == token), None)

    def sessions_of(self, identity_id: str) -> list[Session]:
        """The latest first, with those that ended."""
        return [one for one in reversed(list(self.sessions.values())) if one.identity.id == identity_id]

    def forget(self, identity_id: str) -> bool:
        """Delete the sessions of an identity; whether there was one."""
        deleted = self.sessions_of(identity_id)
        for session in deleted:
            del self.sessions[session.id]
        return bool(deleted)

    def lacks_second_factor(self, session: Session) -> bool:
        """Whether ``required_aal`` asks for more than the session has."""
        available = "aal2" if session.identity.totp_secret else "aal1"
        return self.required_aal == "highest_available" and session.aal < available
