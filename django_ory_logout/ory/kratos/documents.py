"""The documents that Kratos sends, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...exceptions import SetupError
from .. import documents


class Document(documents.Document):
    """A document from Kratos. Raises :exc:`SetupError` (``kratos_answer_invalid``) if it cannot be read."""

    @staticmethod
    def invalid(what: str) -> SetupError:
        return SetupError("kratos_answer_invalid", f"Kratos' answer cannot be read: {what}")


@dataclass(frozen=True)
class Address(Document):
    """An address that a user can verify. ``via`` is ``email`` or ``sms``."""

    value: str = field(repr=False)
    verified: bool
    via: str


@dataclass(frozen=True)
class Identity(Document):
    """A user at Kratos. The identity schema defines their ``traits``."""

    required = ("id",)

    id: str
    state: str
    schema_id: str
    traits: Mapping[str, Any] = field(repr=False)
    verifiable_addresses: tuple[Address, ...]
    metadata_public: object = field(repr=False)


@dataclass(frozen=True)
class Device(Document):
    """A device that used a session. ``location`` comes from a proxy in front of Kratos, and is often empty.

    If ``ip_address`` does not come from a proxy, a port follows it.
    """

    ip_address: str
    user_agent: str
    location: str


@dataclass(frozen=True)
class Session(Document):
    """A login session at Kratos."""

    required = ("id", "active")

    id: str
    active: bool
    authenticated_at: datetime | None
    expires_at: datetime | None
    issued_at: datetime | None
    #: ``aal1``, or with a second factor ``aal2``.
    authenticator_assurance_level: str
    identity: Identity
    devices: tuple[Device, ...]


@dataclass(frozen=True)
class LogoutFlow(Document):
    """The ways for a browser to log out: ``logout_url``, or the token in it. Both are valid as long as the session."""

    required = ("logout_url", "logout_token")

    logout_url: documents.URL = field(repr=False)
    logout_token: str = field(repr=False)


@dataclass(frozen=True)
class Count(Document):
    """The number of ended sessions. It includes sessions that had ended before."""

    required = ("count",)

    count: int


@dataclass(frozen=True)
class SecondFactor(Document):
    """The address where a user enters the second factor."""

    required = ("redirect_browser_to",)

    redirect_browser_to: documents.URL
