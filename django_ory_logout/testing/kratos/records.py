"""The records of Kratos: identities, their sessions, and flows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from authlib.common.security import generate_token

from . import cookies


@dataclass(frozen=True)
class Address:
    """An address that can be verified."""

    value: str
    verified: bool = False
    via: str = "email"


@dataclass(eq=False)
class Identity:
    """A user who can sign in by any of ``identifiers`` and the password."""

    id: str
    traits: Mapping[str, Any]
    identifiers: Sequence[str]
    password: str = field(default="", repr=False)
    verifiable_addresses: Sequence[Address] = ()
    #: The TOTP secret, in Base32. Without it, the identity has no second factor.
    totp_secret: str = field(default="", repr=False)
    state: str = "active"
    created_at: float = 0


@dataclass(frozen=True)
class Method:
    """One authentication of an identity: its method and time."""

    method: str
    completed_at: float

    @property
    def aal(self) -> str:
        return "aal1" if self.method == "password" else "aal2"


@dataclass(frozen=True)
class Device:
    ip_address: str
    user_agent: str
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass(eq=False)
class Session:
    """A login session. It always has both a token and a cookie, but its client gets only one of them."""

    identity: Identity
    issued_at: float
    authenticated_at: float
    expires_at: float
    methods: list[Method]
    devices: list[Device] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid4()))
    token: str = field(default_factory=lambda: f"ory_st_{generate_token(32)}", repr=False)
    logout_token: str = field(default_factory=lambda: f"ory_lo_{generate_token(32)}", repr=False)
    #: False after the session was ended. A session can be expired and still have True here.
    active: bool = True

    @property
    def aal(self) -> str:
        return max(method.aal for method in self.methods)

    @property
    def cookie(self) -> str:
        """The value of its cookie. Older values, from before an extension, stay valid."""
        return cookies.encode(self.token, self.expires_at)


#: Number and text.
Message = tuple[int, str]


@dataclass
class Flow:
    """A flow. ``name`` is ``login`` or ``settings``. ``type`` is ``browser``, for one browser's cookie, or ``api``."""

    name: str
    type: str
    issued_at: float
    request_url: str
    return_to: str = ""
    refresh: bool = False
    requested_aal: str = "aal1"
    csrf_token: str = ""
    #: The challenge of Hydra.
    login_challenge: str = ""
    #: The identifier that the user entered, or that must sign in again.
    identifier: str = ""
    #: The secret that a settings flow offers to its session.
    totp_secret: str = ""
    message: Message | None = None
    id: str = field(default_factory=lambda: str(uuid4()))
