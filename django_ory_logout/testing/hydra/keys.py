"""Keys, made fresh: a development provider must not carry a secret that anybody could read in its source."""

from typing import Any
from uuid import uuid4

from joserfc.jwk import ECKey, Key, KeyParameters, OKPKey, RSAKey

RSA_BITS = 2048


def signing_key(alg: str = "RS256") -> Key:
    """A private key for ``alg``, with a ``kid`` of its own."""
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
    """A private RSA key with ``"use": "enc"``, which no verifier may take for a signing key."""
    return RSAKey.generate_key(RSA_BITS, {"kid": str(uuid4()), "use": "enc", "alg": alg})


def public_jwk(key: Key) -> dict[str, Any]:
    """``key`` as it stands in a JWKS."""
    return dict(key.as_dict(private=False))
