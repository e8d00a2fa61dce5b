"""The CSRF cookie, which links a browser and its forms."""

from authlib.common.security import generate_token

from ..http import Request
from . import cookies
from .kratos import Kratos

#: The real Kratos adds a hash to the name.
NAME = "csrf_token_of_kratos"
_SECONDS = 365 * 24 * 60 * 60


def token(request: Request) -> str:
    """The token that the browser's forms must send. Empty if the browser has no CSRF cookie."""
    return cookies.read(request.headers, NAME) or ""


def new_token() -> str:
    return str(generate_token(32))


def cookie(kratos: Kratos, value: str) -> str:
    """The ``Set-Cookie`` for ``value``."""
    now = kratos.clock()
    return cookies.issued(NAME, value, now, now + _SECONDS)


def renewed(kratos: Kratos) -> str:
    """The ``Set-Cookie`` with a new token, which makes older forms invalid."""
    return cookie(kratos, new_token())
