"""What Kratos says, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...exceptions import SetupError
from .. import documents


class Document(documents.Document):
    """What Kratos says. Raises :exc:`SetupError` (``kratos_answer_invalid``) where it cannot be read."""

    @staticmethod
    def invalid(what: str) -> SetupError:
        """The error for a document that cannot be read."""
        return SetupError("kratos_answer_invalid", f"Kratos' answer cannot be read: {what}")


@dataclass(frozen=True)
class Address(Document):
    """An address that a person can prove to be theirs. ``via`` is ``email`` or ``sms``."""

    value: str = field(repr=False)
    verified: bool
    via: str


@dataclass(frozen=True)
class Identity(Document):
    """A person. ``traits`` are what this Kratos' identity schema makes of them."""

    required = ("id",)

    id: str
    state: str
    schema_id: str
    traits: Mapping[str, Any] = field(repr=False)
    verifiable_addresses: tuple[Address, ...]
    metadata_public: object = field(repr=False)


@dataclass(frozen=True)
class Device(Document):
    """What a session was used on. ``location`` is what a proxy in front of Kratos says, often nothing.

    ``ip_address`` has the port behind it where no proxy says it.
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
    """How a browser logs out: at ``logout_url``, or by the token in it. Both last as long as the session."""

    required = ("logout_url", "logout_token")

    logout_url: documents.URL = field(repr=False)
    logout_token: str = field(repr=False)


@dataclass(frozen=True)
class Count(Document):
    """How many sessions ended, with those that had ended before."""

    required = ("count",)

    count: int


@dataclass(frozen=True)
class SecondFactor(Document):
    """Where a browser gives its second factor."""

    required = ("redirect_browser_to",)

    redirect_browser_to: documents.URL
