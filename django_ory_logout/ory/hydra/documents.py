"""The documents that Hydra's admin API sends and accepts, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ...exceptions import SetupError
from .. import documents


class Document(documents.Document):
    """A document from Hydra. Raises :exc:`SetupError` (``hydra_answer_invalid``) if it cannot be read."""

    @staticmethod
    def invalid(what: str) -> SetupError:
        return SetupError("hydra_answer_invalid", f"Hydra's answer cannot be read: {what}")


@dataclass(frozen=True)
class OAuth2Client(Document):
    """A registered client: the fields that matter to sign-in and logout."""

    required = ("client_id",)

    client_id: str
    client_name: str
    #: Hydra sends it only in the answer to the creation.
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
    """Parameters of an authorization request for the login and consent pages (Core 3.1.2.1)."""

    acr_values: tuple[str, ...]
    display: str
    login_hint: str
    ui_locales: tuple[str, ...]
    id_token_hint_claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class LoginRequest(Document):
    """A request for the login page. ``skip``: Hydra remembers the login of ``subject``. Accept that subject only."""

    required = ("challenge",)

    challenge: str = field(repr=False)
    subject: str
    skip: bool
    session_id: str
    request_url: documents.URL = field(repr=False)
    requested_scope: tuple[str, ...]
    requested_access_token_audience: tuple[str, ...]
    oidc_context: OpenIDConnectContext
    client: OAuth2Client


@dataclass(frozen=True)
class ConsentRequest(Document):
    """A request for the consent page. ``skip``: the user has granted the same consent before."""

    challenge: str = field(repr=False)
    consent_request_id: str
    subject: str
    skip: bool
    #: The ``sid``. Empty once the login session is gone.
    login_session_id: str
    acr: str
    amr: tuple[str, ...]
    context: object = field(repr=False)
    request_url: documents.URL = field(repr=False)
    requested_scope: tuple[str, ...]
    requested_access_token_audience: tuple[str, ...]
    oidc_context: OpenIDConnectContext
    client: OAuth2Client


@dataclass(frozen=True)
class ConsentSession(Document):
    """A consent that a user granted. ``consent_request.login_session_id`` is its login session."""

    required = ("consent_request",)

    consent_request: ConsentRequest
    consent_request_id: str
    grant_scope: tuple[str, ...]
    grant_access_token_audience: tuple[str, ...]
    handled_at: datetime | None
    remember: bool
    remember_for: int


@dataclass(frozen=True)
class LogoutRequest(Document):
    """A request for the logout page. Without an ID token it has no client and is not ``rp_initiated``."""

    required = ("challenge",)

    challenge: str = field(repr=False)
    subject: str
    sid: str
    rp_initiated: bool
    request_url: documents.URL = field(repr=False)
    requested_at: datetime | None
    expires_at: datetime | None
    client: OAuth2Client | None


@dataclass(frozen=True)
class Introspection(Document):
    """Whether a token is active, and its details (RFC 7662, 2.2). An inactive token has no details."""

    required = ("active",)

    active: bool
    client_id: str
    scope: str
    sub: str
    token_use: str
    exp: int


@dataclass(frozen=True, kw_only=True)
class ClientMetadata:
    """The fields of a client to write (RFC 7591, 2, the logout specifications, and Hydra's). ``None``: no change."""

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
        """The fields to write, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Redirect(Document):
    """The answer to an accepted or rejected request: the URL to send the browser to."""

    required = ("redirect_to",)

    redirect_to: documents.URL = field(repr=False)


def redirect_to(raw: Mapping[str, Any]) -> str:
    """The URL to send the browser to. Raises :exc:`SetupError` (``hydra_answer_invalid``)."""
    return Redirect.parse(raw).redirect_to
