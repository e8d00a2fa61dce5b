"""Responses that several views share: error pages, JSON errors, and the pages after a logout."""

import logging
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url
from django.urls import NoReverseMatch, get_script_prefix

from .. import conf
from ..exceptions import (
    InvalidMessage,
    InvalidToken,
    KratosError,
    LoggedOutMeanwhile,
    OryLogoutError,
    SetupError,
    SignInRefused,
    TemporaryError,
)
from ..models import IAT_TOLERANCE, EventKind
from ..sessions import events
from . import errors
from .errors import RETRY_AFTER_SECONDS, Group, is_temporary, json_error, logged_once
from .requests import wants_json

logger = logging.getLogger("django_ory_logout")

#: The codes of temporary faults, and after how many seconds a page may try again.
_REFRESH_SECONDS = {
    "subject_logged_out": int(IAT_TOLERANCE.total_seconds()) + 1,
    **dict.fromkeys(
        [
            "cache_fault",
            "cooling_down",
            "database_fault",
            "document_fault",
            "kratos_not_told",
            "provider_fault",
            "session_store_fault",
            "token_endpoint_fault",
            "too_slow",
            "unreachable",
            "userinfo_fault",
        ],
        RETRY_AFTER_SECONDS,
    ),
}
#: The status of each class of error, subclasses first.
_STATUS = {
    SetupError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TemporaryError: HTTPStatus.SERVICE_UNAVAILABLE,
    SignInRefused: HTTPStatus.FORBIDDEN,
    KratosError: HTTPStatus.FORBIDDEN,
    LoggedOutMeanwhile: HTTPStatus.CONFLICT,
    InvalidMessage: HTTPStatus.BAD_REQUEST,
}


def error_json(error: OryLogoutError, *, flow: str = "sign-in") -> JsonResponse:
    """``error`` for a program, with the status of its page. ``Retry-After`` is set if trying again can help."""
    _record(error, flow)
    return json_error(error.code, _status(error), retry_after=RETRY_AFTER_SECONDS if is_temporary(error) else 0)


def error_page(
    request: HttpRequest,
    error: OryLogoutError,
    *,
    flow: str = "sign-in",
    retry_url: str = "",
    action: str = "",
    again_url: str = "",
    said: tuple[Any, Any] | None = None,
) -> HttpResponse:
    """The page of ``error``: a general message, and what the user can do. The log has the exact reason.

    For a client that prefers JSON, :func:`error_json`.

    ``flow``: what failed: ``sign-in``, ``logout``, or the name of another page.

    ``retry_url``: the target of the button *Try again*, or of a button with the text ``action``.

    ``said``: title and message, if they are not those of ``error``.

    ``again_url``: the page opens it by itself if ``error`` is temporary. The page at that URL must not reload by itself
    again.
    """
    if wants_json(request):
        return _logged_once(error_json(error, flow=flow))
    reference = _record(error, flow)
    title, message = said or errors.title_and_message(error, flow)
    seconds = _REFRESH_SECONDS.get(error.code, 0) if again_url else 0
    context = {
        "title": title,
        "message": message,
        "facts": errors.details(error, reference),
        "again_seconds": seconds,
        "retry_url": retry_url if action or errors.group_of(error) is not Group.SET_UP_WRONGLY else "",
        "action": action,
    }
    response = errors.render_safely(request, "ory_logout/error.html", context, _status(error))
    if seconds:
        response["Refresh"] = f"{seconds}; url={again_url}"
    if is_temporary(error):
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return _logged_once(response)


def _record(error: OryLogoutError, flow: str) -> str:
    """Log and count ``error``. Return the reference of its log line."""
    if flow == "sign-in" and _is_counted(error):
        events.refused(flow, error.code)
    else:
        events.note(EventKind.REFUSED, code=f"{flow}: {error.code}")
    return errors.log(logging.WARNING, f"{flow} failed", error)


def _is_counted(error: OryLogoutError) -> bool:
    """Whether a logout came during the sign-in, or the provider failed. Errors that anyone can cause do not count."""
    return error.code == "client_refused" or isinstance(error, LoggedOutMeanwhile | InvalidToken | TemporaryError)


def _status(error: OryLogoutError) -> HTTPStatus:
    return next(status for kind, status in _STATUS.items() if isinstance(error, kind))


def _logged_once(response: HttpResponse) -> HttpResponse:
    """Keep Django from logging ``response`` again if it is a 4xx: our own log line is written."""
    return logged_once(response) if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else response


def url_after_login(next_url: str) -> str:
    """Where a signed-in browser goes."""
    return next_url or _configured_url("LOGIN_REDIRECT_URL") or get_script_prefix()


def _configured_url(name: str) -> str:
    """The URL of Django's setting ``name``; empty, with a log line, if it names no page. E094 reports that too."""
    value = getattr(settings, name)
    try:
        return resolve_url(value) if value else ""
    except (NoReverseMatch, TypeError):
        logger.error("%s is %s, which names no page", name, conf.named(value))
        return ""


def redirect_after_logout(request: HttpRequest, next_url: str, **context: bool | str) -> HttpResponse:
    """Redirect to ``next_url`` or ``LOGOUT_REDIRECT_URL``. With ``context`` or without a URL, render our own page."""
    url = next_url or _configured_url("LOGOUT_REDIRECT_URL")
    if url and not context:
        return HttpResponseRedirect(url)
    return logged_out(request, next=next_url, **context)


def logged_out(request: HttpRequest, **context: bool | str) -> HttpResponse:
    """The page *Logged out*."""
    return render(request, "ory_logout/logged_out.html", {**context, **user_context(request)})


def signed_in_already(request: HttpRequest, next_url: str, provider: str = "") -> HttpResponse:
    """403 if a page sent a signed-in user to the login page. This stops a loop with a page that the user may not open.

    ``provider``: the alias of the provider at which the user can sign in again.
    """
    context = {"next": url_after_login(next_url), "provider": provider}
    return render(request, "ory_logout/signed_in_already.html", context, status=HTTPStatus.FORBIDDEN)


def user_context(request: HttpRequest) -> dict[str, bool]:
    """``signed_in`` for our templates. The site may not have the context processor for ``request``."""
    return {"signed_in": request.user.is_authenticated}
