"""The session of a request: by ``X-Session-Token``, else by cookie, else by ``Authorization: Bearer``."""

from http import HTTPStatus

from ..http import Request
from . import cookies
from .kratos import Kratos
from .records import Session
from .refusals import Refusal, second_factor_required


def bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def cookie(kratos: Kratos, request: Request) -> cookies.Content | None:
    return cookies.decode(cookies.read(request.headers, kratos.cookie_name) or "")


def session_of(kratos: Kratos, request: Request) -> Session | None:
    """The active session. The first credential decides, even if it is bad and another one is good."""
    content = cookie(kratos, request)
    token = request.headers.get("X-Session-Token") or (content.token if content else bearer_token(request))
    session = kratos.session_of_token(token)
    return session if session and kratos.is_active(session) else None


def require_session(kratos: Kratos, request: Request, reason: str = "No valid session cookie found.") -> Session:
    """The active session. Raises 401 if there is none."""
    session = session_of(kratos, request)
    if session is None:
        raise Refusal(HTTPStatus.UNAUTHORIZED, reason)
    return session


def require_aal(kratos: Kratos, session: Session) -> None:
    """Raises 403 if a second factor is missing."""
    if kratos.lacks_second_factor(session):
        raise second_factor_required(kratos.url("/self-service/login/browser?aal=aal2"))


def refreshed_cookie(kratos: Kratos, request: Request, session: Session) -> str | None:
    """The ``Set-Cookie`` for a browser whose cookie expires before the session, also for a request with a token.

    Raises 500 if Kratos did not make the cookie.
    """
    if cookies.read(request.headers, kratos.cookie_name) is None:
        return None
    content = cookie(kratos, request)
    if content is None:
        message = "securecookie: base64 decode failed - caused by: illegal base64 data at input byte 4"
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message=message)
    return session_cookie(kratos, session) if content.expires_at < session.expires_at else None


def session_cookie(kratos: Kratos, session: Session) -> str:
    """The ``Set-Cookie`` for ``session``."""
    expires_at = session.expires_at if kratos.persistent else None
    return cookies.issued(kratos.cookie_name, session.cookie, kratos.clock(), expires_at)
