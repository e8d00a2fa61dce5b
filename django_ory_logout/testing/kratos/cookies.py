"""The session cookie: its value, and its ``Set-Cookie`` header."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

_ATTRIBUTES = "Path=/; {lifetime}HttpOnly; SameSite=Lax"
_SEPARATOR = "|"


class Content(NamedTuple):
    token: str
    expires_at: float


def encode(token: str, expires_at: float) -> str:
    return base64.urlsafe_b64encode(f"{expires_at}{_SEPARATOR}{token}".encode()).decode()


def decode(value: str) -> Content | None:
    """The content of a cookie's value. None if Kratos did not make it."""
    try:
        expires_at, _, token = base64.b64decode(value, altchars=b"-_", validate=True).decode().partition(_SEPARATOR)
        return Content(token, float(expires_at))
    except ValueError:
        return None


def read(headers: Mapping[str, str], name: str) -> str | None:
    """The value of the first cookie with this ``name``, without quotes."""
    for pair in headers.get("Cookie", "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value.strip('"')
    return None


def issued(name: str, value: str, now: float, expires_at: float | None) -> str:
    """The ``Set-Cookie`` of a cookie. Without ``expires_at``, it ends with the browser."""
    lifetime = f"Expires={_date(expires_at)}; Max-Age={int(expires_at - now)}; " if expires_at else ""
    return f"{name}={value}; {_ATTRIBUTES.format(lifetime=lifetime)}"


def expired(name: str, value: str) -> str:
    return f"{name}={value}; {_ATTRIBUTES.format(lifetime=f'Expires={_date(1)}; Max-Age=0; ')}"


def _date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
