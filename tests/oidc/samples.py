"""Shared by the tests of ``oidc/``: names, a fixed time, arbitrary JSON, and how an error is expected."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import strategies as st
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

from django_ory_logout.exceptions import OryLogoutError
from django_ory_logout.testing.hydra.keys import public_jwk

NOW = 1_800_000_000
ISSUER = "https://op.example"
CLIENT_ID = "django-site"
CLIENT_SECRET = "a secret: 50% of it + more"

#: A claim, header or member with this value is left out.
ABSENT: Any = object()

#: Text that JSON can contain and no database stores: halves of surrogate pairs, and NUL.
texts = st.text() | st.sampled_from(["\ud800", "a\udfffb", "\0"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
#: Any JSON value, and NaN and the infinities, which Python's parser accepts too.
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
objects = st.dictionaries(st.text(), anything, max_size=5)


def changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``document`` with ``changes``. The value :data:`ABSENT` removes a member."""
    return {name: value for name, value in {**document, **changes}.items() if value is not ABSENT}


def public(key: Key) -> Key:
    """The public part of ``key``, as in a JWK Set."""
    return JWKRegistry.import_key(public_jwk(key))


def sign_bytes(header: dict[str, Any], payload: bytes, key: Key) -> str:
    """A validly signed JWS with exactly this ``payload``, for payloads that no JSON writer produces."""
    message = b".".join(urlsafe_b64encode(part) for part in (json.dumps(header).encode(), payload))
    signature = JWSRegistry.algorithms[header["alg"]].sign(message, key)
    return (message + b"." + urlsafe_b64encode(signature)).decode()


@contextmanager
def refused(kind: type[OryLogoutError], code: str) -> Iterator[None]:
    """The block raises exactly ``kind`` with ``code``."""
    with pytest.raises(kind) as raised:
        yield
    assert (raised.type, raised.value.code) == (kind, code), str(raised.value)
