"""Signed tokens, valid or not. A test of a verifier takes a valid token and changes one thing."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwe, jwt
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

Claims = dict[str, Any]

BACKCHANNEL_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def sign(claims: Mapping[str, Any], key: Key, *, header: Mapping[str, Any] | None = None, alg: str = "") -> str:
    """``claims`` as a JWS in compact form, signed by ``key``.

    ``header`` replaces members of the header (``alg``, ``kid``, ``typ``). A member that is None is left out. ``header``
    does not change the signature, so a header can be wrong. ``alg`` is the algorithm to sign with, by default the
    algorithm of the key.
    """
    alg = alg or key.alg or "RS256"
    members = {"alg": alg, "kid": key.kid, "typ": "JWT", **(header or {})}
    # We use the algorithm from the registry, because joserfc's `encode` refuses most of the wrong tokens for tests.
    algorithm = JWSRegistry.algorithms[alg]
    return compact(
        {name: value for name, value in members.items() if value is not None},
        claims,
        lambda message: algorithm.sign(message, key),
    )


def compact(header: Mapping[str, Any], claims: object, signer: Callable[[bytes], bytes] = lambda message: b"") -> str:
    """A JWS in compact form from its three parts (RFC 7515, 7.1). Without a ``signer``, it is unsecured."""
    message = _segment(header) + b"." + _segment(claims)
    return (message + b"." + urlsafe_b64encode(signer(message))).decode()


def encrypt(token: str, key: Key, *, alg: str, enc: str) -> str:
    """``token`` inside a JWE: signed, then encrypted (RFC 7519, 5.2)."""
    return jwe.encrypt_compact({"alg": alg, "enc": enc, "cty": "JWT"}, token, key, algorithms=[alg, enc])


def verified_claims(token: str, key: Key) -> Claims:
    """The claims of a token that ``key`` signed with its own algorithm. Raises :exc:`joserfc.errors.JoseError`."""
    return dict(jwt.decode(token, key, algorithms=[key.alg or "RS256"]).claims)


def _segment(value: object) -> bytes:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode())
