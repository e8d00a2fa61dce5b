"""What Hydra's admin API says and is told, as values. Every field bears Hydra's own name for it.

Hydra leaves empty and false fields out, or answers ``null``: both are read as the empty value of the field's type.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

from ...exceptions import ProviderUnavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """A JSON object, read. ``raw`` is all that Hydra said, for what has no field here."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)

    #: The field without which the document is none.
    required: ClassVar[str] = ""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """Read ``raw``. Raises :exc:`ProviderUnavailable` (``hydra_answer_invalid``) for another document."""
        if cls.required and raw.get(cls.required) in (None, ""):
            raise _invalid(f"{cls.required} is missing")
        known = {one.name: _read(raw.get(one.name), one.type, one.name) for one in fields(cls) if one.name != "raw"}
        return cls(raw=raw, **known)


@dataclass(frozen=True)
class OAuth2Client(Document):
    """A client as it is registered: what matters to sign-in and logout."""

    required = "client_id"

    client_id: str
    client_name: str
    #: Said in the answer to its creation, and never again.
    client_secret: str = field(repr=False)
    token_endpoint_auth_method: str
    subject_type: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str
    backchannel_logout_session_required: bool
    frontchannel_logout_uri: str
    frontchannel_logout_session_required: bool
    skip_consent: bool
    skip_logout_consent: bool


@dataclass(frozen=True)
class OpenIDConnectContext(Document):
    """What an authorization request asks of the login and consent pages (Core 3.1.2.1)."""

    acr_values: tuple[str, ...]
    display: str
    login_hint: str
    ui_locales: tuple[str, ...]
    id_token_hint_claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class LoginRequest(Document):
    """A browser that waits at the login page. ``skip``: Hydra remembers it as ``subject``, who must be accepted."""

    required = "challenge"

    challenge: str = field(repr=False)
    subject: str
    skip: bool
    session_id: str
    request_url: str = field(repr=False)
    requested_scope: tuple[str, ...]
    requested_access_token_audience: tuple[str, ...]
    oidc_context: OpenIDConnectContext
    client: OAuth2Client


@dataclass(frozen=True)
class ConsentRequest(Document):
    """A browser that waits at the consent page. ``skip``: the person agreed to the same before."""

    challenge: str = field(repr=False)
    consent_request_id: str
    subject: str
    skip: bool
    #: The ``sid``. Empty once the login session is gone.
    login_session_id: str
    acr: str
    amr: tuple[str, ...]
    context: object = field(repr=False)
    request_url: str = field(repr=False)
    requested_scope: tuple[str, ...]
    requested_access_token_audience: tuple[str, ...]
    oidc_context: OpenIDConnectContext
    client: OAuth2Client


@dataclass(frozen=True)
class ConsentSession(Document):
    """A consent that was given. ``consent_request.login_session_id`` ties it to its login session."""

    required = "consent_request"

    consent_request: ConsentRequest
    consent_request_id: str
    grant_scope: tuple[str, ...]
    grant_access_token_audience: tuple[str, ...]
    handled_at: datetime | None
    remember: bool
    remember_for: int


@dataclass(frozen=True)
class LogoutRequest(Document):
    """A browser that waits at the logout page. Without a client nobody's ID token was sent: not ``rp_initiated``."""

    required = "challenge"

    challenge: str = field(repr=False)
    subject: str
    sid: str
    rp_initiated: bool
    request_url: str = field(repr=False)
    requested_at: datetime | None
    expires_at: datetime | None
    client: OAuth2Client | None


@dataclass(frozen=True)
class Introspection(Document):
    """Whether a token is alive, and if so what it is (RFC 7662, 2.2). Of a dead token nothing is said."""

    required = "active"

    active: bool
    client_id: str
    scope: str
    sub: str
    token_use: str
    exp: int


@dataclass(frozen=True, kw_only=True)
class ClientMetadata:
    """What to write of a client (RFC 7591, 2, the logout specifications, and Hydra's own). ``None``: as it is."""

    client_name: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_endpoint_auth_method: str | None = None
    grant_types: Sequence[str] | None = None
    response_types: Sequence[str] | None = None
    scope: str | None = None
    redirect_uris: Sequence[str] | None = None
    post_logout_redirect_uris: Sequence[str] | None = None
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool | None = None
    frontchannel_logout_uri: str | None = None
    frontchannel_logout_session_required: bool | None = None
    skip_consent: bool | None = None
    skip_logout_consent: bool | None = None

    def given(self) -> dict[str, Any]:
        """What is to be written, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def redirect_to(raw: Mapping[str, Any]) -> str:
    """Where an answer sends the browser. Raises :exc:`ProviderUnavailable` (``hydra_answer_invalid``)."""
    url = _a(str, raw.get("redirect_to"), "redirect_to")
    if not url:
        raise _invalid("redirect_to is missing")
    return url


def _read(value: object, kind: Any, name: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, Document):
        return kind.parse(_a(dict, value, name))
    return _READERS[kind](value, name) if kind in _READERS else _a(kind, value, name)


def _a(kind: type[T], value: object, name: str) -> T:
    """``value``, if it is a ``kind``; the empty one for none."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise _invalid(f"{name} is no {kind.__name__}")
    return value


def _texts(value: object, name: str) -> tuple[str, ...]:
    return tuple(_a(str, one, name) for one in _a(list, value, name))


def _time(value: object, name: str) -> datetime | None:
    text = _a(str, value, name)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise _invalid(f"{name} is no time") from error


def _client(value: object, name: str) -> OAuth2Client | None:
    return OAuth2Client.parse(_a(dict, value, name)) if value else None


_READERS: Mapping[Any, Callable[[object, str], Any]] = {
    tuple[str, ...]: _texts,
    datetime | None: _time,
    OAuth2Client | None: _client,
    Mapping[str, Any]: lambda value, name: _a(dict, value, name),
    object: lambda value, _name: value,
}


def _invalid(what: str) -> ProviderUnavailable:
    return ProviderUnavailable("hydra_answer_invalid", f"Hydra's answer cannot be read: {what}")
