"""An issuer with a fixed clock, and keys that are made once."""

from typing import Any

import pytest
from joserfc.jwk import Key

from django_ory_logout.testing import Provider
from django_ory_logout.testing.hydra import keys

from .samples import ISSUER, NOW


@pytest.fixture(scope="session")
def issuer(signing_key: Any) -> Provider:
    """Sign with RS256, ES256 or EdDSA."""
    issuer = Provider(ISSUER, clock=lambda: NOW)
    issuer.keys = [signing_key, keys.signing_key("ES256"), keys.signing_key("EdDSA")]
    return issuer


@pytest.fixture(scope="session")
def foreign_key() -> Key:
    """An RSA key that the issuer does not have."""
    return keys.signing_key()
