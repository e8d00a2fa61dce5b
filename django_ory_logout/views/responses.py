"""Responses of all views: error pages and JSON errors, and the pages after a logout."""

import logging
from http import HTTPStatus
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url

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
from .errors import Group, json_error, logged_once
from .requests import wants_json

#: After how many seconds a program may try again.
RETRY_AFTER_SECONDS = 5
#: What passes by itself, and after how many seconds a page may try again.
_AGAIN_SECONDS = {
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
        5,
    ),
}
#: The status of each class of error, the narrower classes first.
_STATUS = {
    SetupError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TemporaryError: HTTPStatus.SERVICE_UNAVAILABLE,
    SignInRefused: HTTPStatus.FORBIDDEN,
    KratosError: HTTPStatus.FORBIDDEN,
    LoggedOutMeanwhile: HTTPStatus.CONFLICT,
    InvalidMessage: HTTPStatus.BAD_REQUEST,
}


def error_json(error: OryLogoutError, *, journey: str = "sign-in") -> JsonResponse:
    """``error`` for a program, with the status of its page, and when to try again where that can help."""
    _noted(error, journey)
    return json_error(error.code, _status(error), retry_after=RETRY_AFTER_SECONDS if may_pass(error) else 0)


def error_page(
    request: HttpRequest,
    error: OryLogoutError,
    *,
    journey: str = "sign-in",
    retry_url: str = "",
    action: str = "",
    again_url: str = "",
    said: tuple[Any, Any] | None = None,
) -> HttpResponse:
    """What a person sees of ``error``: general, with what they can do. The log has the exact reason.

    Where JSON is asked for rather than a page, :func:`error_json`.

    ``journey``: what failed, ``sign-in``, ``logout``, or the name of another page.

    ``retry_url``: where they can try again, or do ``action`` instead.

    ``said``: title and message, if they are not those of ``error``.

    ``again_url``: where the page tries again by itself, if ``error`` passes. There it must not do so another time.
    """
    if wants_json(request):
        return _logged_once(error_json(error, journey=journey))
    reference = _noted(error, journey)
    title, message = said or errors.words(error, journey)
    seconds = _AGAIN_SECONDS.get(error.code, 0) if again_url else 0
    context = {
        "title": title,
        "message": message,
        "facts": errors.facts(error, reference),
        "again_seconds": seconds,
        "retry_url": retry_url if action or errors.group_of(error) is not Group.SET_UP_WRONGLY else "",
        "action": action,
    }
    response = errors.render_safely(request, "ory_logout/error.html", context, _status(error))
    if seconds:
        response["Refresh"] = f"{seconds}; url={again_url}"
    if may_pass(error):
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return _logged_once(response)


def _noted(error: OryLogoutError, journey: str) -> str:
    """Log and count ``error``. The reference of its line in the log."""
    if journey == "sign-in" and _is_counted(error):
        events.refused(journey, error.code)
    else:
        events.note(EventKind.REFUSED, code=f"{journey}: {error.code}")
    return errors.log(logging.WARNING, f"{journey} failed", error)


def _is_counted(error: OryLogoutError) -> bool:
    """Whether a logout overtook the sign-in, or the provider's answer failed; not what people and strangers cause."""
    return error.code == "client_refused" or isinstance(error, LoggedOutMeanwhile | InvalidToken | TemporaryError)


def _status(error: OryLogoutError) -> HTTPStatus:
    return next(status for kind, status in _STATUS.items() if isinstance(error, kind))


def _logged_once(response: HttpResponse) -> HttpResponse:
    """``response``, whose error has its line in the log: Django adds none for one that people or strangers cause."""
    return logged_once(response) if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else response


def may_pass(error: OryLogoutError) -> bool:
    """Whether a program may try again a little later."""
    return isinstance(error, TemporaryError) and errors.group_of(error) is not Group.SET_UP_WRONGLY


def redirect_after_logout(request: HttpRequest, next_url: str, **context: bool | str) -> HttpResponse:
    """Where a browser goes that is logged out: ``next_url``, the site's own page, or ours, which shows ``context``."""
    if not context and (next_url or settings.LOGOUT_REDIRECT_URL):
        return HttpResponseRedirect(next_url or resolve_url(cast(str, settings.LOGOUT_REDIRECT_URL)))
    return logged_out(request, next=next_url, **context)


def logged_out(request: HttpRequest, **context: bool | str) -> HttpResponse:
    """The page that says so."""
    return render(request, "ory_logout/logged_out.html", {**context, **user_context(request)})


def signed_in_already(request: HttpRequest, next_url: str, provider: str = "") -> HttpResponse:
    """403 for somebody who is signed in and was sent to sign in: a page that they may not open would do so for ever.

    ``provider``: the alias of the one at which they can sign in again.
    """
    context = {"next": next_url or resolve_url(settings.LOGIN_REDIRECT_URL), "provider": provider}
    return render(request, "ory_logout/signed_in_already.html", context, status=HTTPStatus.FORBIDDEN)


def user_context(request: HttpRequest) -> dict[str, bool]:
    """For templates of ours: the site's may lack the context processor for ``request``."""
    return {"signed_in": request.user.is_authenticated}
