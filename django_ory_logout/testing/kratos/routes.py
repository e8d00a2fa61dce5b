"""Which call is at which path, of the public API and of the admin API."""

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

#: What answers in JSON whatever is asked for. A star stands for an id, which the call is given.
_MACHINES: Calls = {
    ("GET", "/sessions/whoami"): sessions.whoami,
    ("GET", "/sessions"): sessions.list_others,
    ("DELETE", "/sessions"): sessions.end_others,
    ("DELETE", "/sessions/*"): sessions.end_one,
    ("DELETE", "/self-service/logout/api"): logout.natively,
    ("GET", "/self-service/login/api"): login.begin_natively,
    ("GET", "/self-service/login/flows"): login.read,
    ("GET", "/self-service/settings/api"): settings.begin_natively,
    ("POST", "/self-service/settings"): settings.submit,
    ("GET", "/self-service/errors"): sessions.read_error,
}
#: Where a refusal takes a browser to the error page.
_BROWSERS: Calls = {
    ("GET", "/self-service/logout/browser"): logout.begin,
    ("GET", "/self-service/logout"): logout.finish,
    ("GET", "/self-service/login/browser"): login.begin,
    ("POST", "/self-service/login"): login.submit,
}
_ADMIN: Calls = {
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
    asked = _as_get(request)
    given = _answer(kratos, asked, _MACHINES) or _answer(kratos, asked, _BROWSERS) or _elsewhere(asked)
    return uncached(given) if asked.method == "GET" else given


def private(kratos: Kratos, request: Request) -> Answer:
    """Answer a call of the admin API."""
    asked = _as_get(request)
    given = _answer(kratos, asked, _ADMIN) or _elsewhere(asked)
    return uncached(given) if asked.method == "GET" else given


def _as_get(request: Request) -> Request:
    """HEAD does what GET does: it logs out too."""
    return replace(request, method="GET") if request.method == "HEAD" else request


def _answer(kratos: Kratos, request: Request, calls: Calls) -> Answer | None:
    found = _found(request, calls)
    if found is None:
        return None
    call, ids = found
    try:
        return call(kratos, request, *ids)
    except Refusal as refusal:
        return forwarded(kratos, request, refusal) if calls is _BROWSERS else refused(refusal)


def _found(request: Request, calls: Calls) -> tuple[Call, list[str]] | None:
    if call := calls.get((request.method, request.path)):
        return call, []
    asked = request.path.split("/")
    for (method, path), call in calls.items():
        pairs = list(zip(path.split("/"), asked, strict=False))
        same = len(asked) == path.count("/") + 1 and all(part in ("*", one) for part, one in pairs)
        if method == request.method and same:
            return call, [one for part, one in pairs if part == "*"]
    return None


def _elsewhere(request: Request) -> Answer:
    if request.path.removeprefix("/admin") in ("/health/ready", "/health/alive"):
        return _READY
    return Answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
