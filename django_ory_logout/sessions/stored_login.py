"""The data about a sign-in that a Django session stores: one value, with its only reader and writer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from django.contrib.sessions.backends.base import SessionBase
from django.views.decorators.debug import sensitive_variables

from ..models import Authentication

#: The entry of the Django session that holds the value.
LOGIN_KEY = "_ory_logout_login"


@dataclass(frozen=True)
class StoredLogin:
    """The sign-in at a provider, or at Kratos.

    Each field has a default, because a session that an earlier version stored may lack it.
    """

    #: The alias of the provider, or of the Kratos.
    provider: str = ""
    #: The issuer, or the public URL of Kratos.
    issuer: str = ""
    #: This site's ``client_id`` at the provider; empty for Kratos.
    client_id: str = ""
    #: ``sub``, or the id of the identity at Kratos.
    subject: str = ""
    #: ``sid``, or the id of the session at Kratos; ``None`` if the provider sent none.
    sid: str | None = None
    #: When the session at Kratos expires, in seconds since the epoch; 0 for a provider.
    expires_at: float = 0
    #: The ``state`` of ``logout_link``: signed, and the same for the whole session.
    logout_state: str = field(default="", repr=False)
    #: The logout token of Kratos. A page that needs it asks Kratos for it once.
    logout_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    #: The other tokens and their scope, only with ``KEEP_TOKENS``.
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    scope: str = ""

    @classmethod
    @sensitive_variables()
    def of(cls, authentication: Authentication, *, provider: str, **more: Any) -> Self:
        """The value to store for ``authentication``, a verified ID token or a session at Kratos."""
        return cls(
            provider=provider,
            issuer=authentication.issuer,
            subject=authentication.subject,
            sid=authentication.sid,
            **more,
        )

    @classmethod
    @sensitive_variables()
    def read(cls, session: SessionBase | Mapping[str, Any]) -> Self | None:
        """Read the value from ``session`` or from a session's data; ``None`` if no provider opened that session."""
        stored = session.get(LOGIN_KEY)
        if not isinstance(stored, Mapping):
            return None
        return cls(**{name: stored[name] for name in _NAMES if name in stored})

    @classmethod
    @sensitive_variables()
    def read_if_opened_by(cls, session: SessionBase | Mapping[str, Any], issuer: str) -> Self | None:
        """Like :meth:`read`, but also ``None`` if a provider other than ``issuer`` opened the session."""
        login = cls.read(session)
        return login if login and login.issuer == issuer else None

    @sensitive_variables()
    def as_dict(self) -> dict[str, Any]:
        """As data for the session, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value}


_NAMES = [field.name for field in fields(StoredLogin)]
