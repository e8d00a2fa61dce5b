"""Whoami and the user's own sessions. The answers are always JSON."""

from http import HTTPStatus
from uuid import UUID

from ..http import Answer, Request
from . import documents, paging
from .answers import of_json
from .credentials import refreshed_cookie, require_aal, require_session
from .kratos import Kratos
from .records import Session
from .refusals import Refusal

NOTHING = Answer(HTTPStatus.NO_CONTENT, {"Content-Type": "application/json; charset=utf-8"})
NO_CREDENTIALS = "No valid session credentials found in the request."


def whoami(kratos: Kratos, request: Request) -> Answer:
    session = require_session(kratos, request, NO_CREDENTIALS)
    require_aal(kratos, session)
    if template := request.query.get("tokenize_as"):
        raise Refusal(HTTPStatus.BAD_REQUEST, f'Unable to find tokenizer template "{template}".')
    headers = {"X-Kratos-Authenticated-Identity-Id": session.identity.id}
    if renewed := refreshed_cookie(kratos, request, session):
        headers["Set-Cookie"] = renewed
    return of_json(documents.session(kratos, session), headers=headers)


def list_other_sessions(kratos: Kratos, request: Request) -> Answer:
    """The other active sessions, the latest first."""
    current = require_session(kratos, request)
    require_aal(kratos, current)
    listed = [session for session in _others(kratos, current) if kratos.is_active(session)]
    shown, headers = paging.page(request, "/sessions", listed)
    return of_json([documents.session(kratos, session, listed=True) for session in shown], headers=headers)


def _others(kratos: Kratos, current: Session) -> list[Session]:
    return [session for session in kratos.sessions_of(current.identity.id) if session is not current]


def end_session(kratos: Kratos, request: Request, session_id: str) -> Answer:
    """End another session of the user. 204 also for an unknown session, and for one of another user, which stays."""
    current = require_session(kratos, request)
    session_id = uuid(session_id)
    if session_id == current.id:
        raise Refusal(HTTPStatus.BAD_REQUEST, message="cannot revoke current session")
    session = kratos.sessions.get(session_id)
    if session and session.identity is current.identity:
        kratos.end(session.id)
    return NOTHING


def end_other_sessions(kratos: Kratos, request: Request) -> Answer:
    """End the other sessions of the user. The count includes sessions that had ended before."""
    current = require_session(kratos, request)
    others = _others(kratos, current)
    for session in others:
        kratos.end(session.id)
    return of_json({"count": len(others)})


def read_error(kratos: Kratos, request: Request) -> Answer:
    """The error for the error page."""
    error = kratos.errors.get(request.query.get("id", ""))
    if error is None:
        raise Refusal(HTTPStatus.NOT_FOUND)
    return of_json({"id": request.query["id"], "error": error})


def uuid(text: str) -> str:
    """An id in lower case. Raises 400 if it is not a UUID."""
    try:
        return str(UUID(text))
    except ValueError as error:
        message = f'uuid: incorrect UUID length {len(text)} in string "{text}"'
        raise Refusal(HTTPStatus.BAD_REQUEST, message=message) from error
