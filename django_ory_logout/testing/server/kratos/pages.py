"""Kratos' pages for users. Another site could serve them instead."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from ...http import Answer, Request
from ...kratos import Kratos, credentials, csrf, flows, totp
from ...kratos.answers import see_other
from ...uris import set_query
from ..site import rendered

Page = Callable[[Kratos, Request], Answer]


def answer(kratos: Kratos, request: Request) -> Answer | None:
    """The page for a request. None if it is for no page."""
    page = _PAGES.get((request.method, request.path))
    return page(kratos, request) if page else None


def home(kratos: Kratos, request: Request) -> Answer:
    """The sessions, the latest first, each with a button that ends it."""
    sessions = [
        {
            "session": session,
            "active": kratos.is_active(session),
            "since": datetime.fromtimestamp(session.authenticated_at, UTC),
        }
        for session in reversed(list(kratos.sessions.values()))
    ]
    token = csrf.token(request) or csrf.new_token()
    headers = {"Set-Cookie": csrf.cookie(kratos, token)}
    return _page(kratos, "home", {"sessions": sessions, "csrf_token": token}, headers=headers)


def end(kratos: Kratos, request: Request) -> Answer:
    """End a session, as an administrator does. Kratos sends no notices."""
    if request.form.get("csrf_token") != csrf.token(request):
        error = {"message": "The CSRF token of this form does not match the cookie."}
        return _page(kratos, "error", {"error": error}, status=HTTPStatus.FORBIDDEN)
    kratos.end(request.form.get("session_id", ""))
    return see_other("/")


def login(kratos: Kratos, request: Request) -> Answer:
    """The form of a flow. Without a flow, begin one."""
    flow = kratos.flows.get(request.query.get("flow", ""))
    if flow is None or flow.csrf_token != csrf.token(request):
        return see_other(kratos.url("/self-service/login/browser"))
    context = {
        "flow": flow,
        "action": set_query("/self-service/login", flow=flow.id),
        "message": flow.message[1] if flow.message else "",
        "wrong": flow.message is not None and flows.is_error(flow.message),
        "identities": [
            identity
            for identity in list(kratos.identities.values())
            if not flow.refresh or flow.identifier in identity.identifiers
        ],
        "code": _code(kratos, request),
    }
    return _page(kratos, "sign_in", context)


def _code(kratos: Kratos, request: Request) -> str:
    """The code in the authenticator application of the signed-in user."""
    session = credentials.session_of(kratos, request)
    secret = session.identity.totp_secret if session else ""
    return totp.code(secret, kratos.clock()) if secret else ""


def welcome(kratos: Kratos, request: Request) -> Answer:
    """The default page after a login at Kratos."""
    session = credentials.session_of(kratos, request)
    logout = set_query("/self-service/logout", token=session.logout_token) if session else ""
    return _page(kratos, "welcome", {"session": session, "logout": logout})


def signed_out(kratos: Kratos, request: Request) -> Answer:
    return _page(kratos, "signed_out")


def error(kratos: Kratos, request: Request) -> Answer:
    """The error with this id."""
    found = kratos.errors.get(request.query.get("id", ""), {"message": "There is no such error."})
    return _page(kratos, "error", {"error": found}, status=HTTPStatus.BAD_REQUEST)


def _page(
    kratos: Kratos,
    name: str,
    context: Mapping[str, object] | None = None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    body = rendered(f"kratos/{name}.html", {"public_url": kratos.public_url, **(context or {})})
    return Answer(status, {**_HEADERS, **(headers or {})}, body.encode())


_HEADERS = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY"}
_PAGES: dict[tuple[str, str], Page] = {
    ("GET", "/"): home,
    ("POST", "/end"): end,
    ("GET", "/login"): login,
    ("GET", "/welcome"): welcome,
    ("GET", "/signed-out"): signed_out,
    ("GET", "/error"): error,
}
