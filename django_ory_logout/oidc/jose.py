"""Signed and encrypted JWTs (JOSE): their form, headers, decryption and signature. :mod:`.tokens` checks the claims.

The registration gives the algorithms and the caller gives the keys. Nothing in a token chooses either.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

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

#: Longer tokens are refused. The session stores the ID token for the logout at the provider.
MAX_TOKEN_LENGTH = 128 * 1024
#: The error code for each reason of :mod:`.strict_json`.
_CODES: dict[str, str] = {
    "encoding": "json_encoding_invalid",
    "depth": "json_too_deep",
    "member": "json_member_repeated",
    "number": "json_number_invalid",
    "syntax": "malformed",
}

#: Returns the keys to try for a ``kid`` (``None``: the token has none). Raises ``TemporaryError`` if the keys cannot
#: be fetched now.
Keys = Callable[[str | None], Iterable[Key]]


class _JWSRegistry(jws.JWSRegistry):
    """The rules for signed tokens.

    Headers may have unknown parameters (RFC 7515, 4). The only size limit is :data:`MAX_TOKEN_LENGTH`.
    """

    max_header_length = max_payload_length = max_signature_length = MAX_TOKEN_LENGTH

    def __init__(self, alg: str) -> None:
        super().__init__(algorithms=[alg], strict_check_header=False)


class _JWERegistry(jwe.JWERegistry):
    """The rules for encrypted tokens: headers as above (RFC 7516, 4), and the same size limit."""

    max_protected_header_length = max_ciphertext_length = MAX_TOKEN_LENGTH

    def __init__(self, registration: Registration) -> None:
        alg, enc = registration.id_token_encrypted_response_alg, registration.id_token_encrypted_response_enc
        super().__init__(algorithms=[alg, enc], strict_check_header=False)


# Signature


@sensitive_variables()
def verify_signature(token: str, registration: Registration, keys: Keys) -> tuple[Header, dict[str, Any]]:
    """Header and claims of a signed token. Raises :exc:`InvalidToken`, or what ``keys`` raises."""
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


@sensitive_variables()
def unverified_claims(token: str) -> dict[str, Any]:
    """The claims of a signed token whose signature is not verified yet. Raises :exc:`InvalidToken`."""
    return _json_part(token, 1)


# Encryption


def is_encrypted(token: str) -> bool:
    return token.count(".") == 4


@sensitive_variables()
def decrypt_if_registered(token: str, registration: Registration) -> str:
    """The signed token inside ``token`` if encryption is registered, else ``token``. Raises :exc:`InvalidToken`."""
    if not registration.id_token_encrypted_response_alg:
        return token
    if not is_encrypted(token):
        raise InvalidToken("not_encrypted", "encryption is registered, and the token is not encrypted")
    _check_encryption_header(token)
    return _decrypt(token, registration)


@sensitive_variables()
def decrypt_with_any(token: str, registrations: Collection[Registration]) -> str:
    """The signed token inside ``token``, by the first of ``registrations`` whose key decrypts it.

    Raises :exc:`InvalidToken`.
    """
    _check_encryption_header(token)
    for registration in registrations:
        try:
            return _decrypt(token, registration)
        except InvalidToken:
            continue
    raise InvalidToken("decryption_failed", "no configured key decrypts this token")


def _decrypt(token: str, registration: Registration) -> str:
    key = registration.decryption_key
    if key is None:
        raise InvalidToken("decryption_failed", "no decryption key is configured")
    try:
        return (jwe.decrypt_compact(token, key, registry=_JWERegistry(registration)).plaintext or b"").decode("ascii")
    except (JoseError, ValueError, TypeError, LookupError) as error:
        raise InvalidToken("decryption_failed", type(error).__name__) from error


# Form


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
    """Check the header before the library reads it, because the library does not limit the nesting of JSON."""
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
    """Refuse each header with ``crit``: this app supports no critical extension (RFC 7515, 4.1.11)."""
    names = header["crit"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidToken("crit_invalid", "crit is not a list of names")
    if len(set(names)) != len(names) or not set(names) <= set(header) - (set(registered) - {"b64"}):
        raise InvalidToken("crit_invalid", "crit repeats a name, or names a parameter that is missing or no extension")
    raise InvalidToken("crit_unsupported", "crit names an extension that is not supported here")
