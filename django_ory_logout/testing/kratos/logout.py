"""Logout: browsers use a logout token, native applications use their session token."""

import json
from http import HTTPStatus

from ..http import Answer, Request
from ..uris import set_query
from . import cookies, csrf
from .answers import of_json, see_other, set_cookies
from .credentials import bearer_token, cookie, session_of
from .kratos import Kratos
from .redirects import return_url, wants_json
from .refusals import Refusal, session_inactive

_FOREIGN = "Unable to log out because the logout token in the URL query does not match the session cookie."
_UNKNOWN = "The provided Ory Session Token could not be found, is invalid, or otherwise malformed."


def begin(kratos: Kratos, request: Request) -> Answer:
    """The logout URL of the browser's session as JSON, even if the browser wants HTML. It is always the same URL."""
    session = session_of(kratos, request)
    if session is None:
        raise session_inactive()
    query = {"token": session.logout_token}
    if request.query.get("return_to"):
        query["return_to"] = return_url(kratos, request, kratos.default_return_url)
    logout_url = set_query(kratos.url("/self-service/logout"), **query)
    return of_json({"logout_url": logout_url, "logout_token": session.logout_token})


def finish(kratos: Kratos, request: Request) -> Answer:
    """End the session, and then check ``return_to``: the session has ended also if the check fails."""
    token = request.query.get("token")
    if not token:
        raise Refusal(HTTPStatus.BAD_REQUEST, "Please include a token in the URL query.")
    session = session_of(kratos, request)
    if session is None:
        raise session_inactive()
    if session.logout_token != token:
        raise Refusal(HTTPStatus.FORBIDDEN, _FOREIGN)
    headers = set_cookies(*_purge(kratos, request), csrf.renewed(kratos))
    try:
        url = return_url(kratos, request, kratos.logged_out_url)
    except Refusal as refusal:
        refusal.headers = headers
        raise
    return Answer(HTTPStatus.NO_CONTENT, headers) if wants_json(request) else see_other(url, headers)


def _purge(kratos: Kratos, request: Request) -> list[str]:
    """End the session of the ``Authorization`` header, else of the cookie. In the second case, delete the cookie.

    This session can be another one than the session of the logout token. ``X-Session-Token`` ends no session.
    """
    if token := bearer_token(request):
        _end(kratos, token)
        return []
    content = cookie(kratos, request)
    if content is None:
        return []
    _end(kratos, content.token)
    return [cookies.expired(kratos.cookie_name, cookies.encode(*content))]


def _end(kratos: Kratos, token: str) -> bool:
    session = kratos.session_of_token(token)
    return session is not None and kratos.end(session.id)


def natively(kratos: Kratos, request: Request) -> Answer:
    """End the session of a token. It can have ended before, but it must exist."""
    if not request.body:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            'Unable to decode HTTP Request Body because its HTTP Header "Content-Length" is zero.',
        )
    content_type = request.headers.get("Content-Type", "")
    if content_type.partition(";")[0] != "application/json":
        unknown = f'unknown HTTP Header "Content-Type: {content_type}", only [application/json] are supported.'
        reason = f"HTTP DELETE Request used {unknown}"
        raise Refusal(HTTPStatus.BAD_REQUEST, reason)
    if not _end(kratos, _session_token(request.body)):
        raise Refusal(HTTPStatus.FORBIDDEN, _UNKNOWN)
    return Answer(HTTPStatus.NO_CONTENT)


def _session_token(body: bytes) -> str:
    try:
        token = json.loads(body).get("session_token") or ""
    except (ValueError, AttributeError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"Unable to decode JSON payload: {error}") from error
    if not isinstance(token, str):
        raise Refusal(HTTPStatus.BAD_REQUEST, "Unable to decode JSON payload: json: cannot unmarshal into a string")
    return token
