"""Responses that several views share: error pages, JSON errors, and the pages after a logout."""

import logging
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url
from django.urls import NoReverseMatch, get_script_prefix

from .. import conf
from ..exceptions import InvalidToken, LoggedOutMeanwhile, OryLogoutError, TemporaryError
from ..models import IAT_TOLERANCE, EventKind
from ..sessions import events
from . import errors
from .errors import RETRY_AFTER_SECONDS, Group, is_temporary, json_error, logged_once, status_of
from .requests import wants_json

logger = logging.getLogger("django_ory_logout")


def error_json(error: OryLogoutError, *, flow: str = "sign-in") -> JsonResponse:
    """``error`` for a program, with the status of its page. ``Retry-After`` is set if trying again can help."""
    _record(error, flow)
    return json_error(error.code, status_of(error), retry_after=RETRY_AFTER_SECONDS if is_temporary(error) else 0)


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

    For a client that prefers JSON, :func:`error_json`. ``flow``: ``sign-in``, ``logout``, or the name of another page.
    ``retry_url``: the target of the button *Try again*, or of a button with the text ``action``. ``said``: title and
    message, if they are not those of ``error``. ``again_url``: the page opens it by itself if ``error`` is temporary.
    The page at that URL must not reload by itself again.
    """
    if wants_json(request):
        return _logged_once(error_json(error, flow=flow))
    _record(error, flow)
    title, message = said or errors.title_and_message(error, flow)
    context = {
        "title": title,
        "message": message,
        "retry_url": retry_url if action or errors.group_of(error) is not Group.SET_UP_WRONGLY else "",
        "action": action,
    }
    status, seconds = status_of(error), _again_seconds(error)
    response = errors.render_error(
        request, "ory_logout/error.html", error, context, status, again_url=again_url, again_seconds=seconds
    )
    return _logged_once(response)


def _again_seconds(error: OryLogoutError) -> int:
    """After how many seconds the page may try again by itself; 0: never."""
    if error.code == "subject_logged_out":
        return int(IAT_TOLERANCE.total_seconds()) + 1
    return RETRY_AFTER_SECONDS if is_temporary(error) else 0


def _record(error: OryLogoutError, flow: str) -> None:
    if flow == "sign-in" and _is_counted(error):
        events.refused(flow, error.code)
    else:
        events.note(EventKind.REFUSED, code=f"{flow}: {error.code}")
    errors.log(logging.WARNING, f"{flow} failed", error)


def _is_counted(error: OryLogoutError) -> bool:
    """Whether a logout came during the sign-in, or the provider failed. Errors that anyone can cause do not count."""
    return error.code == "client_refused" or isinstance(error, LoggedOutMeanwhile | InvalidToken | TemporaryError)


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


def redirect_after_logout(request: HttpRequest, next_url: str, *, provider_not_told: bool = False) -> HttpResponse:
    """Redirect to ``next_url`` or ``LOGOUT_REDIRECT_URL``. Without both, or to say that a logout failed, our page."""
    url = next_url or _configured_url("LOGOUT_REDIRECT_URL")
    if url and not provider_not_told:
        return HttpResponseRedirect(url)
    return logged_out(request, next=next_url, provider_not_told=provider_not_told)


def logged_out(request: HttpRequest, **context: bool | str) -> HttpResponse:
    return render(request, "ory_logout/logged_out.html", {**context, "signed_in": request.user.is_authenticated})


def signed_in_already(request: HttpRequest, next_url: str, provider: str = "") -> HttpResponse:
    """403 if a page sent a signed-in user to the login page. This stops a loop with a page that the user may not open.

    ``provider``: the alias of the provider at which the user can sign in again.
    """
    context = {"next": url_after_login(next_url), "provider": provider}
    return render(request, "ory_logout/signed_in_already.html", context, status=HTTPStatus.FORBIDDEN)
