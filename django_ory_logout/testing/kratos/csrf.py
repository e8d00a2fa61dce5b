"""The cookie that ties a browser's forms to it."""

from authlib.common.security import generate_token

from ..http import Request
from . import cookies
from .kratos import Kratos

#: Kratos' own ends in a hash.
NAME = "csrf_token_of_kratos"
_SECONDS = 365 * 24 * 60 * 60


def token(request: Request) -> str:
    """What the browser's forms have to bring; empty for a browser without the cookie."""
    return cookies.read(request.headers, NAME) or ""


def new_token() -> str:
    return str(generate_token(32))


def cookie(kratos: Kratos, value: str) -> str:
    """The ``Set-Cookie`` for ``value``."""
    now = kratos.clock()
    return cookies.issued(NAME, value, now, now + _SECONDS)


def renewed(kratos: Kratos) -> str:
    """The ``Set-Cookie`` that makes the forms from before worthless."""
    return cookie(kratos, new_token())
