"""Whoami and one's own sessions: always JSON."""

from http import HTTPStatus
from uuid import UUID

from ..http import Answer, Request
from . import documents, paging
from .answers import of_json
from .credentials import refreshed_cookie, require_aal, require_session
from .kratos import Kratos
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


def list_others(kratos: Kratos, request: Request) -> Answer:
    """The other active ones, the latest first."""
    current = require_session(kratos, request)
    require_aal(kratos, current)
    listed = [one for one in kratos.sessions_of(current.identity.id) if kratos.is_active(one) and one is not current]
    shown, headers = paging.page(request, "/sessions", listed)
    return of_json([documents.session(kratos, one, listed=True) for one in shown], headers=headers)


def end_one(kratos: Kratos, request: Request, session_id: str) -> Answer:
    """204 also for a session that is not there or somebody else's, to which nothing happens."""
    current = require_session(kratos, request)
    session_id = uuid(session_id)
    if session_id == current.id:
        raise Refusal(HTTPStatus.BAD_REQUEST, message="cannot revoke current session")
    named = kratos.sessions.get(session_id)
    if named and named.identity is current.identity:
        kratos.end(named.id)
    return NOTHING


def end_others(kratos: Kratos, request: Request) -> Answer:
    """The count has those that had ended before."""
    current = require_session(kratos, request)
    others = [one for one in kratos.sessions_of(current.identity.id) if one is not current]
    for one in others:
        kratos.end(one.id)
    return of_json({"count": len(others)})


def read_error(kratos: Kratos, request: Request) -> Answer:
    """What the error page shows."""
    error = kratos.errors.get(request.query.get("id", ""))
    if error is None:
        raise Refusal(HTTPStatus.NOT_FOUND)
    return of_json({"id": request.query["id"], "error": error})


def uuid(text: str) -> str:
    """An id as it came, in small letters. Raises 400 where it is not one."""
    try:
        return str(UUID(text))
    except ValueError as error:
        message = f'uuid: incorrect UUID length {len(text)} in string "{text}"'
        raise Refusal(HTTPStatus.BAD_REQUEST, message=message) from error
