"""What the provider keeps: clients, persons, login sessions, consents, grants."""

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
    """A registered relying party, in the words of OpenID Connect Registration and the three logout specifications."""

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
    #: What ID tokens and logout tokens are encrypted to; in a registration it stands in the `jwks`.
    encryption_key: Key | None = field(default=None, repr=False)
    backchannel_logout_uri: str | None = None
    frontchannel_logout_uri: str | None = None
    skip_consent: bool = False
    skip_logout_consent: bool | None = None
    #: What else was registered, which means nothing here but comes back.
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
    """Somebody who can sign in: a subject, and what the provider says about them (OpenID Connect Core, 5.1)."""

    subject: str
    claims: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def demo(cls, name: str, **claims: Any) -> "Person":
        """A demo person, called ``name`` in every way."""
        known = {
            "preferred_username": name,
            "name": name.title(),
            "given_name": name.title(),
            "email": f"{name}@example.com",
            "email_verified": True,
        }
        return cls(name, {**known, **claims})

    def claims_for(self, scope: str) -> Claims:
        """The claims that ``scope`` asks for (Core, 5.4)."""
        wanted = {claim for value in scope.split() for claim in _CLAIMS_OF_SCOPE.get(value, ())}
        return {name: value for name, value in self.claims.items() if name in wanted}

    def is_called(self, hint: str) -> bool:
        """Whether a ``login_hint`` means this person."""
        return hint in (self.subject, self.claims.get("preferred_username"), self.claims.get("email"))


@dataclass(eq=False)
class LoginSession:
    """One sign-in at the provider. ``sid`` stands in its ID tokens."""

    sid: str
    subject: str
    auth_time: int
    remembered: bool = True
    #: What the login page called its own session, which ends with this one.
    identity_provider_session_id: str = ""


@dataclass(frozen=True, eq=False)
class Consent:
    """What a person agreed to in a login session, which may have ended. By these it is found whom a logout concerns."""

    login_session: LoginSession
    client_id: str
    scope: str = "openid"
    handled_at: float = 0
    consent_request_id: str = field(default_factory=lambda: uuid4().hex)
    remember: bool = False
    #: Seconds; 0: for ever.
    remember_for: int = 0
    #: Given without being asked, as an earlier one was remembered.
    reused: bool = False
    #: Claims beside the person's, from the pages for login and consent.
    claims: Mapping[str, Any] = field(default_factory=dict)
    #: The consent request that was accepted, as the admin API said it.
    request: Mapping[str, Any] = field(default_factory=dict)

    def lasts(self, now: float) -> bool:
        """Whether it is not past its ``remember_for``. The session and the tokens that came of it do not ask."""
        return not self.remember_for or now <= self.handled_at + self.remember_for


@dataclass(frozen=True)
class Grant:
    """What a code or a token stands for."""

    consent: Consent
    expires: float
    redirect_uri: str = ""
    nonce: str = ""
    code_challenge: str = ""


@dataclass(frozen=True)
class Delivery:
    """A logout token on its way to the back-channel logout URI of one client."""

    client_id: str
    url: str
    logout_token: str = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return {"logout_token": self.logout_token}
