"""New keys. The source of a development provider is public, so it must not contain a private key."""

from typing import Any
from uuid import uuid4

from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey, RSAKey

RSA_BITS = 2048


def signing_key(alg: str = "RS256") -> Key:
    """A private key for ``alg``, with its own ``kid``."""
    parameters: KeyParameters = {"kid": str(uuid4()), "use": "sig", "alg": alg}
    match alg:
        case "ES256":
            return ECKey.generate_key("P-256", parameters)
        case "ES384":
            return ECKey.generate_key("P-384", parameters)
        case "EdDSA" | "Ed25519":
            return OKPKey.generate_key("Ed25519", parameters)
        case _:
            return RSAKey.generate_key(RSA_BITS, parameters)


def encryption_key(alg: str = "RSA-OAEP-256") -> Key:
    """A private RSA key with ``"use": "enc"``. Verifiers must not use it as a signing key."""
    return RSAKey.generate_key(RSA_BITS, {"kid": str(uuid4()), "use": "enc", "alg": alg})


def public_jwk(key: Key) -> dict[str, Any]:
    """``key`` in the form for a JWKS."""
    return dict(key.as_dict(private=False))
