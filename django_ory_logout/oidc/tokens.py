"""Verify ID tokens, logout tokens and signed userinfo: each function returns a value, or raises.

The error has a code for the reason. :mod:`.jose` checks form, headers and signature first.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.core.util import create_half_hash
from django.views.decorators.debug import sensitive_variables
from joserfc.registry import Header

from ..exceptions import InvalidToken
from . import jose
from .jose import Keys
from .metadata import Registration

BACKCHANNEL_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
CLOCK_SKEW_SECONDS = 60
LOGOUT_TOKEN_AGE_SECONDS = 24 * 60 * 60
LOGOUT_TOKEN_AHEAD_SECONDS = 10 * 60
ID_TOKEN_AGE_SECONDS = 24 * 60 * 60
SUBJECT_LENGTH = 255
#: The year 10000. Python has no later dates. This also excludes NaN and the infinities.
_LAST_SECOND = 253_402_300_800

Claims = Mapping[str, Any]


@dataclass(frozen=True)
class IDToken:
    """A verified ID token. ``iat`` in seconds since the epoch; ``raw`` is the signed token, for ``id_token_hint``."""

    issuer: str
    subject: str
    sid: str | None
    iat: float
    claims: Claims = field(repr=False)
    raw: str = field(repr=False)


@dataclass(frozen=True)
class LogoutToken:
    """A verified logout token. It has ``sid``, ``subject`` or both. ``iat`` in seconds since the epoch."""

    issuer: str
    subject: str | None
    sid: str | None
    iat: float
    jti: str


@sensitive_variables()
def verify_id_token(
    token: str, registration: Registration, keys: Keys, *, nonce: str, access_token: str | None, now: float
) -> IDToken:
    """Verify an ID token of the token endpoint (Core 3.1.3.7). Raises :exc:`InvalidToken`, or what ``keys`` raises."""
    token = jose.decrypt_if_registered(token, registration)
    header, claims = jose.verify_signature(token, registration, keys)
    _check_type(header, {"JWT"})
    _check_issuer(claims, registration)
    _check_audience(claims, registration)
    _check_authorized_party(claims, registration)
    _check_expiry(claims, now, required=True)
    _check_not_before(claims, now)
    iat = _issued_at(claims, oldest=now - ID_TOKEN_AGE_SECONDS, newest=now + CLOCK_SKEW_SECONDS)
    if claims.get("nonce") != nonce:
        raise InvalidToken("nonce_mismatch", "the nonce is missing or not the one of this sign-in")
    _check_access_token(claims, header["alg"], access_token)
    return IDToken(registration.issuer, _subject(claims), _optional_text(claims, "sid"), iat, claims, token)


@sensitive_variables()
def verify_logout_token(
    token: str, registration: Registration, keys: Keys, *, now: float, exp_required: bool = False
) -> LogoutToken:
    """Verify a logout token (Back-Channel Logout 2.4, 2.6). Raises :exc:`InvalidToken`, or what ``keys`` raises.

    ``exp`` may be missing unless ``exp_required``, because Hydra sends none. ``iat`` limits the age.
    """
    token = jose.decrypt_if_registered(token, registration)
    header, claims = jose.verify_signature(token, registration, keys)
    _check_type(header, {"JWT", "LOGOUT+JWT"})
    _check_issuer(claims, registration)
    _check_audience(claims, registration)
    _check_expiry(claims, now, required=exp_required)
    iat = _issued_at(claims, oldest=now - LOGOUT_TOKEN_AGE_SECONDS, newest=now + LOGOUT_TOKEN_AHEAD_SECONDS)
    jti = _optional_text(claims, "jti")
    if jti is None:
        raise InvalidToken("jti_missing", "a logout token needs a jti")
    _check_events(claims)
    if "nonce" in claims:
        raise InvalidToken("nonce_present", "a logout token must not have a nonce")
    subject = _subject(claims) if claims.get("sub") is not None else None
    sid = _optional_text(claims, "sid")
    if subject is None and sid is None:
        raise InvalidToken("sub_and_sid_missing", "a logout token needs sub or sid")
    return LogoutToken(registration.issuer, subject, sid, iat, jti)


def check_authentication(
    claims: Claims, *, oldest_auth_time: float | None, acr_values: Collection[str], now: float
) -> None:
    """Check how and when the provider authenticated the user (Core 2; 3.1.3.7, 12 and 13). Raises :exc:`InvalidToken`.

    ``oldest_auth_time``: seconds since the epoch, if ``max_age`` was sent. ``acr_values``: empty accepts any ``acr``.
    """
    if oldest_auth_time is not None:
        if claims.get("auth_time") is None:
            raise InvalidToken("auth_time_missing", "max_age was sent, and the token has no auth_time")
        if _number(claims, "auth_time") < oldest_auth_time - CLOCK_SKEW_SECONDS:
            raise InvalidToken("auth_time_too_old", "the user was authenticated longer ago than max_age allows")
        if claims["auth_time"] > now + CLOCK_SKEW_SECONDS:
            raise InvalidToken("auth_time_ahead", "auth_time is in the future; compare the clocks")
    if acr_values and claims.get("acr") not in acr_values:
        raise InvalidToken("acr_mismatch", "acr is not one of the required values")


@sensitive_variables()
def verify_userinfo(token: str, registration: Registration, keys: Keys, *, now: float) -> Claims:
    """Verify a signed userinfo response (Core 5.3.2). Raises :exc:`InvalidToken`, or what ``keys`` raises."""
    header, claims = jose.verify_signature(token, registration, keys)
    _check_type(header, {"JWT"})
    _check_issuer(claims, registration)
    _check_audience(claims, registration)
    _check_expiry(claims, now, required=False)
    _check_not_before(claims, now)
    return claims


@sensitive_variables()
def unverified_recipient(token: str, registrations: Collection[Registration]) -> tuple[object, list[str]]:
    """The unverified ``iss`` and ``aud`` of a token, to find the registration that has to verify it.

    An encrypted token is decrypted by the first of ``registrations`` whose key does so. Raises :exc:`InvalidToken`.
    """
    if jose.is_encrypted(token):
        token = jose.decrypt_with_any(token, registrations)
    claims = jose.unverified_claims(token)
    return claims.get("iss"), _audience(claims)


# One function for each claim


def _check_type(header: Header, accepted: Collection[str]) -> None:
    """Refuse ``typ`` only if it names another type (BCL 2.4; RFC 8725, 3.11): many providers send ``JWT`` or none."""
    typ = header.get("typ")
    if typ is not None and typ.upper().removeprefix("APPLICATION/") not in accepted:
        raise InvalidToken("typ_mismatch", "typ in the header names another kind of token")


def _check_issuer(claims: Claims, registration: Registration) -> None:
    if claims.get("iss") != registration.issuer:
        raise InvalidToken("iss_mismatch", "iss is not the configured issuer")


def _check_audience(claims: Claims, registration: Registration) -> None:
    if registration.client_id not in _audience(claims):
        raise InvalidToken("aud_mismatch", "aud does not contain this client")


def _check_authorized_party(claims: Claims, registration: Registration) -> None:
    azp = claims.get("azp")
    if azp is None and len(_audience(claims)) > 1:
        raise InvalidToken("azp_missing", "aud has several values, and azp is missing")
    if azp is not None and azp != registration.client_id:
        raise InvalidToken("azp_mismatch", "azp is not this client")


def _check_expiry(claims: Claims, now: float, *, required: bool) -> None:
    if "exp" not in claims:
        if required:
            raise InvalidToken("exp_missing", "the token has no exp")
        return
    if _number(claims, "exp") <= now - CLOCK_SKEW_SECONDS:
        raise InvalidToken("expired", "exp has passed; compare the clocks")


def _check_not_before(claims: Claims, now: float) -> None:
    if "nbf" in claims and _number(claims, "nbf") > now + CLOCK_SKEW_SECONDS:
        raise InvalidToken("not_yet_valid", "nbf is in the future; compare the clocks")


def _issued_at(claims: Claims, *, oldest: float, newest: float) -> float:
    if "iat" not in claims:
        raise InvalidToken("iat_missing", "the token has no iat")
    iat = _number(claims, "iat")
    if iat < oldest:
        raise InvalidToken("iat_too_old", "the token was issued too long ago")
    if iat > newest:
        raise InvalidToken("iat_ahead", "the token was issued in the future; compare the clocks")
    return iat


def _check_access_token(claims: Claims, alg: str, access_token: str | None) -> None:
    at_hash = claims.get("at_hash")
    if at_hash is None or access_token is None:
        return
    expected = create_half_hash(access_token, alg)
    if expected is not None and at_hash != expected.decode():
        raise InvalidToken("at_hash_mismatch", "the access token is not the one that came with this ID token")


def _check_events(claims: Claims) -> None:
    events = claims.get("events")
    if not isinstance(events, dict) or BACKCHANNEL_LOGOUT_EVENT not in events:
        raise InvalidToken("events_missing", "events does not contain the back-channel logout event")
    if not isinstance(events[BACKCHANNEL_LOGOUT_EVENT], dict):
        raise InvalidToken("events_invalid", "the logout event is not a JSON object")


def _subject(claims: Claims) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH:
        raise InvalidToken("sub_invalid", f"sub is not a text of 1 to {SUBJECT_LENGTH} characters")
    if not (subject.isascii() and subject.isprintable()):
        raise InvalidToken("sub_invalid", "sub is not printable ASCII")
    return subject


def _optional_text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidToken(f"{name}_invalid", f"{name} is not a printable text")
    return value


def _number(claims: Claims, name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LAST_SECOND < value < _LAST_SECOND:
        raise InvalidToken(f"{name}_invalid", f"{name} is not a number of seconds")
    return value


def _audience(claims: Claims) -> list[str]:
    """``aud`` as a list (RFC 7519, 4.1.3): the claim is a text or a list of texts. Empty if it is missing."""
    aud = claims.get("aud", [])
    audience = [aud] if isinstance(aud, str) else aud
    if not isinstance(audience, list) or not all(isinstance(value, str) for value in audience):
        raise InvalidToken("aud_invalid", "aud is neither a text nor a list of texts")
    return audience
