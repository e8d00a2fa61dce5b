"""Time-based one-time passwords (RFC 6238)."""

import base64
import hashlib
import hmac
import secrets
import struct

PERIOD = 30
_DIGITS = 6
_SECRET_BYTES = 20


def new_secret() -> str:
    """A secret in Base32, the format of authenticator applications."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def code(secret: str, now: float) -> str:
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(now) // PERIOD), hashlib.sha1).digest()
    start = digest[-1] & 0xF
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def is_valid(secret: str, entered: str, now: float) -> bool:
    """Whether ``entered`` is the code of this period, the one before or the one after (RFC 6238, 5.2)."""
    return entered in (code(secret, now + PERIOD * step) for step in (-1, 0, 1))
