"""The records of the provider: clients, persons, login sessions, consents, grants."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from joserfc.jwk import Key

from .tokens import Claims

ID_TOKEN_SECONDS = 3600

_BASIC = "client_secret_basic"
_SECONDS_OF = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Client:
    """A registered relying party, with the names of OpenID Connect Registration and the three logout specifications."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    client_name: str = ""
    client_uri: str = ""
    redirect_uris: Sequence[str] = ()
    post_logout_redirect_uris: Sequence[str] = ()
    grant_types: Sequence[str] = ("authorization_code", "refresh_token")
    token_endpoint_auth_method: str = _BASIC
    subject_type: str = "public"
    id_token_signed_response_alg: str = "RS256"
    id_token_encrypted_response_alg: str = ""
    id_token_encrypted_response_enc: str = "A128CBC-HS256"
    #: The key to encrypt ID tokens and logout tokens with. A registration has it in `jwks`.
    encryption_key: Key | None = field(default=None, repr=False)
    backchannel_logout_uri: str | None = None
    frontchannel_logout_uri: str | None = None
    skip_consent: bool = False
    skip_logout_consent: bool | None = None
    #: Other registered fields. They have no effect here, but the admin API returns them.
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id_token_seconds(self) -> int:
        """How long an ID token is valid. Hydra writes durations as Go does: ``1h30m``."""
        lifespan = self.more.get("authorization_code_grant_id_token_lifespan") or f"{ID_TOKEN_SECONDS}s"
        return sum(int(number) * _SECONDS_OF[unit] for number, unit in re.findall(r"(\d+)([hms])", lifespan))

    @classmethod
    def of_site(cls, base_url: str, client_id: str, client_secret: str = "", **metadata: Any) -> "Client":
        """The registration of a site that mounts ``django_ory_logout.urls`` at ``base_url``, with all logout fields."""
        base_url = base_url.rstrip("/")
        registration: dict[str, Any] = {
            "redirect_uris": [f"{base_url}/callback/"],
            "post_logout_redirect_uris": [f"{base_url}/logout/callback/"],
            "backchannel_logout_uri": f"{base_url}/logout/backchannel/",
            "frontchannel_logout_uri": f"{base_url}/logout/frontchannel/",
        }
        return cls(client_id, client_secret, **{**registration, **metadata})


_CLAIMS_OF_SCOPE = {
    "profile": ("name", "preferred_username", "given_name", "family_name", "locale", "zoneinfo", "updated_at"),
    "email": ("email", "email_verified"),
}


@dataclass(frozen=True)
class Person:
    """A person who can sign in: a subject and its claims (OpenID Connect Core, 5.1)."""

    subject: str
    claims: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def demo(cls, name: str, **claims: Any) -> "Person":
        """A demo person. All claims contain ``name``."""
        default_claims = {
            "preferred_username": name,
            "name": name.title(),
            "given_name": name.title(),
            "email": f"{name}@example.com",
            "email_verified": True,
        }
        return cls(name, {**default_claims, **claims})

    def claims_for(self, scope: str) -> Claims:
        """The claims that ``scope`` requests (Core, 5.4)."""
        wanted = {claim for value in scope.split() for claim in _CLAIMS_OF_SCOPE.get(value, ())}
        return {name: value for name, value in self.claims.items() if name in wanted}

    def matches(self, hint: str) -> bool:
        """Whether a ``login_hint`` names this person."""
        return hint in (self.subject, self.claims.get("preferred_username"), self.claims.get("email"))


@dataclass(eq=False)
class LoginSession:
    """A login session at the provider. Its ID tokens contain ``sid``."""

    sid: str
    subject: str
    auth_time: int
    remembered: bool = True
    #: The id of the login page's own session, which ends with this one.
    identity_provider_session_id: str = ""


@dataclass(frozen=True, eq=False)
class Consent:
    """A consent that a person granted in a login session. The consents of a session name the clients for its notices.

    The login session can have ended.
    """

    login_session: LoginSession
    client_id: str
    scope: str = "openid"
    handled_at: float = 0
    consent_request_id: str = field(default_factory=lambda: uuid4().hex)
    remember: bool = False
    #: In seconds. 0 means without limit.
    remember_for: int = 0
    #: Granted without a question, because an earlier consent was remembered.
    reused: bool = False
    #: Additional claims from the login and consent pages.
    claims: Mapping[str, Any] = field(default_factory=dict)
    #: The accepted consent request, as the admin API showed it.
    request: Mapping[str, Any] = field(default_factory=dict)

    def is_valid(self, now: float) -> bool:
        """Whether ``remember_for`` is not over. The login session and the tokens do not end with it."""
        return not self.remember_for or now <= self.handled_at + self.remember_for


@dataclass(frozen=True)
class Grant:
    """The data behind a code or a token."""

    consent: Consent
    expires: float
    redirect_uri: str = ""
    nonce: str = ""
    code_challenge: str = ""


@dataclass(frozen=True)
class Delivery:
    """A logout token for the back-channel logout URI of a client."""

    client_id: str
    url: str
    logout_token: str = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return {"logout_token": self.logout_token}
