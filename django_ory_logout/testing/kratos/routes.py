"""The paths of the calls of the public API and of the admin API."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

from ..http import Answer, Request
from . import admin, login, logout, sessions, settings
from .answers import of_json, refused, uncached
from .kratos import Kratos
from .redirects import forwarded
from .refusals import Refusal

Call = Callable[..., Answer]
Calls = Mapping[tuple[str, str], Call]

#: Calls that always answer with JSON. The star stands for an id, which the call gets as an argument.
_JSON_CALLS: Calls = {
    ("GET", "/sessions/whoami"): sessions.whoami,
    ("GET", "/sessions"): sessions.list_other_sessions,
    ("DELETE", "/sessions"): sessions.end_other_sessions,
    ("DELETE", "/sessions/*"): sessions.end_session,
    ("DELETE", "/self-service/logout/api"): logout.natively,
    ("GET", "/self-service/login/api"): login.begin_natively,
    ("GET", "/self-service/login/flows"): login.read,
    ("GET", "/self-service/settings/api"): settings.begin_natively,
    ("POST", "/self-service/settings"): settings.submit,
    ("GET", "/self-service/errors"): sessions.read_error,
}
#: Calls that redirect a browser to the error page if they refuse.
_BROWSER_CALLS: Calls = {
    ("GET", "/self-service/logout/browser"): logout.begin,
    ("GET", "/self-service/logout"): logout.finish,
    ("GET", "/self-service/login/browser"): login.begin,
    ("POST", "/self-service/login"): login.submit,
}
_ADMIN_CALLS: Calls = {
    ("POST", "/admin/identities"): admin.create_identity,
    ("GET", "/admin/identities"): admin.list_identities,
    ("GET", "/admin/identities/*"): admin.read_identity,
    ("PATCH", "/admin/identities/*"): admin.patch_identity,
    ("DELETE", "/admin/identities/*"): admin.delete_identity,
    ("GET", "/admin/identities/*/sessions"): admin.list_sessions,
    ("DELETE", "/admin/identities/*/sessions"): admin.delete_sessions,
    ("GET", "/admin/sessions/*"): admin.read_session,
    ("DELETE", "/admin/sessions/*"): admin.end_session,
}
_READY = of_json({"status": "ok"})


def public(kratos: Kratos, request: Request) -> Answer:
    """Answer a call of the public API."""
    request = _head_as_get(request)
    calls = _answer(kratos, request, _JSON_CALLS) or _answer(kratos, request, _BROWSER_CALLS)
    answer = calls or _health_or_404(request)
    return uncached(answer) if request.method == "GET" else answer


def private(kratos: Kratos, request: Request) -> Answer:
    """Answer a call of the admin API."""
    request = _head_as_get(request)
    answer = _answer(kratos, request, _ADMIN_CALLS) or _health_or_404(request)
    return uncached(answer) if request.method == "GET" else answer


def _head_as_get(request: Request) -> Request:
    """HEAD does the same as GET. For example, it logs out too."""
    return replace(request, method="GET") if request.method == "HEAD" else request


def _answer(kratos: Kratos, request: Request, calls: Calls) -> Answer | None:
    found = _found(request, calls)
    if found is None:
        return None
    call, ids = found
    try:
        return call(kratos, request, *ids)
    except Refusal as refusal:
        return forwarded(kratos, request, refusal) if calls is _BROWSER_CALLS else refused(refusal)


def _found(request: Request, calls: Calls) -> tuple[Call, list[str]] | None:
    if call := calls.get((request.method, request.path)):
        return call, []
    segments = request.path.split("/")
    for (method, path), call in calls.items():
        pairs = list(zip(path.split("/"), segments, strict=False))
        matches = len(segments) == path.count("/") + 1 and all(part in ("*", segment) for part, segment in pairs)
        if method == request.method and matches:
            return call, [segment for part, segment in pairs if part == "*"]
    return None


def _health_or_404(request: Request) -> Answer:
    if request.path.removeprefix("/admin") in ("/health/ready", "/health/alive"):
        return _READY
    return Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
