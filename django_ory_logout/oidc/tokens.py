"""ID tokens and logout tokens: verified into a value, or refused with a code for each reason.

The algorithm is the registered one and the keys are the caller's; nothing in a token chooses either.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oidc.core.util import create_half_hash
from django.views.decorators.debug import sensitive_variables
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.registry import (
    JWE_HEADER_REGISTRY,
    JWS_HEADER_REGISTRY,
    Header,
    HeaderRegistryDict,
    check_registry_header,
)
from joserfc.util import to_bytes, urlsafe_b64decode

from .. import strict_json
from ..exceptions import InvalidToken
from .metadata import Registration

BACKCHANNEL_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
CLOCK_SKEW_SECONDS = 60
LOGOUT_TOKEN_AGE_SECONDS = 24 * 60 * 60
LOGOUT_TOKEN_AHEAD_SECONDS = 10 * 60
ID_TOKEN_AGE_SECONDS = 24 * 60 * 60
SUBJECT_LENGTH = 255
#: The year 10000: past it no date can be made; NaN and the infinities lie outside too.
_LAST_SECOND = 253_402_300_800

#: A longer token is not read. The session keeps an ID token for the logout at the provider.
MAX_TOKEN_LENGTH = 128 * 1024
#: Of what :mod:`.strict_json` refuses.
_CODES: dict[str, str] = {
    "encoding": "json_encoding_invalid",
    "depth": "json_too_deep",
    "member": "json_member_repeated",
    "number": "json_number_invalid",
    "syntax": "malformed",
}

#: Gives the keys to try for a ``kid`` (``None``: the token names none). Raises ``TemporaryError`` if it cannot say now.
Keys = Callable[[str | None], Iterable[Key]]
Claims = Mapping[str, Any]


@dataclass(frozen=True)
class IDToken:
    """A verified ID token. ``iat`` in seconds since the epoch; ``raw`` is the signed token, fit for a hint."""

    issuer: str
    subject: str
    sid: str | None
    iat: float
    claims: Claims = field(repr=False)
    raw: str = field(repr=False)


@dataclass(frozen=True)
class LogoutToken:
    """A verified logout token. ``sid`` or ``subject`` or both; ``iat`` in seconds since the epoch."""

    issuer: str
    subject: str | None
    sid: str | None
    iat: float
    jti: str


class _JWSRegistry(jws.JWSRegistry):
    """Headers may hold parameters that we do not know (RFC 7515, 4). The one limit of size is ours."""

    max_header_length = max_payload_length = max_signature_length = MAX_TOKEN_LENGTH

    def __init__(self, alg: str) -> None:
        super().__init__(algorithms=[alg], strict_check_header=False)


class _JWERegistry(jwe.JWERegistry):
    """Likewise."""

    max_protected_header_length = max_ciphertext_length = MAX_TOKEN_LENGTH

    def __init__(self, registration: Registration) -> None:
        alg, enc = registration.id_token_encrypted_response_alg, registration.id_token_encrypted_response_enc
        super().__init__(algorithms=[alg, enc], strict_check_header=False)


@sensitive_variables()
def verify_id_token(
    token: str, registration: Registration, keys: Keys, *, nonce: str, access_token: str | None, now: float
) -> IDToken:
    """Verify an ID token from the token endpoint (Core 3.1.3.7). Raises :exc:`InvalidToken`, or as ``keys`` does."""
    token = _signed(token, registration)
    header, claims = _verified(token, registration, keys)
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

    ``exp`` may be missing unless ``exp_required``, for Hydra sends none: the age is bounded by ``iat``.
    """
    token = _signed(token, registration)
    header, claims = _verified(token, registration, keys)
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
    """How and when the provider authenticated the person (Core 2; 3.1.3.7, 12 and 13). Raises :exc:`InvalidToken`.

    ``oldest_auth_time``: seconds since the epoch, where ``max_age`` was sent. ``acr_values``: none needs none.
    """
    if oldest_auth_time is not None:
        if claims.get("auth_time") is None:
            raise InvalidToken("auth_time_missing", "max_age was sent, and the token has no auth_time")
        if _number(claims, "auth_time") < oldest_auth_time - CLOCK_SKEW_SECONDS:
            raise InvalidToken("auth_time_too_old", "the person was authenticated longer ago than max_age allows")
        if claims["auth_time"] > now + CLOCK_SKEW_SECONDS:
            raise InvalidToken("auth_time_ahead", "auth_time is in the future; compare the clocks")
    if acr_values and claims.get("acr") not in acr_values:
        raise InvalidToken("acr_mismatch", "acr is none of the required values")


@sensitive_variables()
def verify_userinfo(token: str, registration: Registration, keys: Keys, *, now: float) -> Claims:
    """Verify a signed userinfo response (Core 5.3.2). Raises :exc:`InvalidToken`, or what ``keys`` raises."""
    header, claims = _verified(token, registration, keys)
    _check_type(header, {"JWT"})
    _check_issuer(claims, registration)
    _check_audience(claims, registration)
    _check_expiry(claims, now, required=False)
    _check_not_before(claims, now)
    return claims


@sensitive_variables()
def unverified_recipient(token: str, registrations: Collection[Registration]) -> tuple[object, list[str]]:
    """``iss`` and ``aud`` as a token claims them, to find the registration that it has to be verified with.

    An encrypted token is opened with the first of ``registrations`` whose key fits. Raises :exc:`InvalidToken`.
    """
    if _is_encrypted(token):
        token = _opened_by_any(token, registrations)
    claims = _json_part(token, 1)
    return claims.get("iss"), _audience(claims)


def _opened_by_any(token: str, registrations: Collection[Registration]) -> str:
    _check_encryption_header(token)
    for registration in registrations:
        try:
            return _decrypted(token, registration)
        except InvalidToken:
            continue
    raise InvalidToken("decryption_failed", "no configured key opens this encrypted token")


# Form and signature


def _is_encrypted(token: str) -> bool:
    return token.count(".") == 4


def _signed(token: str, registration: Registration) -> str:
    if not registration.id_token_encrypted_response_alg:
        return token
    if not _is_encrypted(token):
        raise InvalidToken("not_encrypted", "encryption is registered, and the token is not encrypted")
    _check_encryption_header(token)
    return _decrypted(token, registration)


def _verified(token: str, registration: Registration, keys: Keys) -> tuple[Header, Claims]:
    header = _json_part(token, 0)
    alg = registration.id_token_signed_response_alg
    if header.get("alg") != alg:
        raise InvalidToken("alg_not_registered", f"the token is not signed with the registered {alg}")
    _check_header(header, JWS_HEADER_REGISTRY)
    for key in keys(header.get("kid")):
        try:
            signed = jws.deserialize_compact(token, key, registry=_JWSRegistry(alg))
        except (JoseError, ValueError, TypeError):
            continue
        return header, _json_object(signed.payload or b"")
    raise InvalidToken("signature_invalid", "no key of the issuer verifies the signature")


def _decrypted(token: str, registration: Registration) -> str:
    key = registration.decryption_key
    if key is None:
        raise InvalidToken("decryption_failed", "no decryption key is configured")
    try:
        return (jwe.decrypt_compact(token, key, registry=_JWERegistry(registration)).plaintext or b"").decode("ascii")
    except (JoseError, ValueError, TypeError, LookupError) as error:
        raise InvalidToken("decryption_failed", type(error).__name__) from error


def _json_part(token: str, index: int, parts: int = 3) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken("token_too_large", f"the token is longer than {MAX_TOKEN_LENGTH} characters")
    found = token.split(".")
    if len(found) != parts:
        raise InvalidToken("malformed", "not a signed JWT in compact form")
    try:
        content = urlsafe_b64decode(to_bytes(found[index], "ascii"))
    except ValueError as error:
        raise InvalidToken("malformed", "a part of the token is not base64url") from error
    return _json_object(content)


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = strict_json.parse(content)
    except strict_json.NotJSON as error:
        raise InvalidToken(_CODES[error.reason], f"a part of the token {error}") from error
    if not isinstance(value, dict):
        raise InvalidToken("malformed", "a part of the token is not a JSON object")
    return value


# Headers (RFC 7515, 4; RFC 7516, 4)


def _check_encryption_header(token: str) -> None:
    """Before the library reads it, which has no limit of nesting."""
    _check_header(_json_part(token, 0, parts=5), JWE_HEADER_REGISTRY)


def _check_header(header: Header, registered: HeaderRegistryDict) -> None:
    if "crit" in header:
        _refuse_critical(header, registered)
    try:
        check_registry_header(registered, header, check_required=False)
    except JoseError as error:
        raise InvalidToken("header_invalid", error.description) from error
    if not header.get("b64", True):
        raise InvalidToken("payload_unencoded", "a JWT must not have b64 false (RFC 7797, 7)")


def _refuse_critical(header: Header, registered: HeaderRegistryDict) -> None:
    """Whatever is critical is an extension that we do not support (RFC 7515, 4.1.11)."""
    names = header["crit"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidToken("crit_invalid", "crit is not a list of names")
    if len(set(names)) != len(names) or not set(names) <= set(header) - (set(registered) - {"b64"}):
        raise InvalidToken("crit_invalid", "crit has a name twice, of no member, or of a member that is no extension")
    raise InvalidToken("crit_unsupported", "crit names an extension that is not supported here")


# One claim each


def _check_type(header: Header, accepted: Collection[str]) -> None:
    """Only a *different* explicit type is refused (BCL 2.4; RFC 8725, 3.11): many providers send ``JWT`` or none."""
    typ = header.get("typ")
    if typ is not None and typ.upper().removeprefix("APPLICATION/") not in accepted:
        raise InvalidToken("typ_mismatch", "the header says that this is another kind of token")


def _check_issuer(claims: Claims, registration: Registration) -> None:
    if claims.get("iss") != registration.issuer:
        raise InvalidToken("iss_mismatch", "iss is not the configured issuer")


def _check_audience(claims: Claims, registration: Registration) -> None:
    if registration.client_id not in _audience(claims):
        raise InvalidToken("aud_mismatch", "aud does not contain this client")


def _check_authorized_party(claims: Claims, registration: Registration) -> None:
    azp = claims.get("azp")
    if azp is None and len(_audience(claims)) > 1:
        raise InvalidToken("azp_missing", "several audiences, and no azp says which one this token is for")
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
        raise InvalidToken("not_yet_valid", "nbf lies ahead; compare the clocks")


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
        raise InvalidToken("events_missing", "the token does not say that it is about a logout")
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
    """``aud`` as a list: one text, or a list of them (RFC 7519, 4.1.3). Empty if there is none."""
    aud = claims.get("aud", [])
    audience = [aud] if isinstance(aud, str) else aud
    if not isinstance(audience, list) or not all(isinstance(one, str) for one in audience):
        raise InvalidToken("aud_invalid", "aud is neither a text nor a list of texts")
    return audience
