"""Logout and session lists of Kratos, in the shapes that its own clients know."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from .. import strict_json
from ..exceptions import (
    InvalidMessage,
    LogoutUnconfirmed,
    OryLogoutError,
    SecondFactorRequired,
    TemporaryError,
)
from ..flows.login import safe_next
from ..kratos import login as sign_in
from ..kratos import logout as journey
from ..kratos import native_logout as native
from ..kratos import sessions as my_sessions
from ..ory.kratos import Session
from .decorators import public, skip_kratos
from .errors import json_error
from .kratos_login import not_told, second_factor_url
from .requests import forget_query, journey_of, wants_json
from .responses import error_json, error_page, redirect_after_logout

#: The status of a refusal, as at Kratos.
STATUS = {
    "session_inactive": HTTPStatus.UNAUTHORIZED,
    "logged_out_here": HTTPStatus.UNAUTHORIZED,
    "logged_out_meanwhile": HTTPStatus.UNAUTHORIZED,
    "user_exists": HTTPStatus.FORBIDDEN,
    "user_refused": HTTPStatus.FORBIDDEN,
    "username_unusable": HTTPStatus.FORBIDDEN,
    "logout_token_foreign": HTTPStatus.FORBIDDEN,
}


# Logout


def answering_in_json(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """An error is JSON with its code: 4xx for what Kratos refuses, 503 for what cannot be decided now."""

    @wraps(view)
    @sensitive_variables()
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except LogoutUnconfirmed:
            raise
        except OryLogoutError as error:
            return refused(request, error)

    return answering


def refused(request: HttpRequest, error: OryLogoutError) -> JsonResponse:
    """``error`` for a program."""
    if isinstance(error, TemporaryError):
        return error_json(error, journey=journey_of(request))
    if isinstance(error, SecondFactorRequired):
        return json_error(error.code, HTTPStatus.FORBIDDEN, redirect_browser_to=second_factor_url(request))
    return json_error(error.code, STATUS.get(error.code, HTTPStatus.BAD_REQUEST))


@public
@answering_in_json
@require_safe
def logout_flow(request: HttpRequest) -> HttpResponse:
    """``{logout_url, logout_token}`` for a page that logs out by a link or by AJAX. ``return_to``: where to go then."""
    token = journey.logout_token(request)
    url = journey.logout_url(token, safe_next(request.GET.get("return_to")))
    return JsonResponse({"logout_url": url, "logout_token": token})


@skip_kratos
@public
@require_GET  # HEAD is what looks at links before anybody follows them
def logout(request: HttpRequest) -> HttpResponse:
    """End the session whose ``token`` this is, here first. JSON asked: 204; a browser goes on to ``return_to``."""
    as_json = wants_json(request)
    token, return_to = request.GET.get("token"), safe_next(request.GET.get("return_to"))
    forget_query(request)
    try:
        if not token:
            raise InvalidMessage("link_token_missing", "a logout link carries its token")
        told = journey.log_out(request, token)
    except LogoutUnconfirmed:
        raise
    except OryLogoutError as error:
        if as_json:
            return refused(request, error)
        if error.code == "session_inactive":
            return redirect_after_logout(request, return_to)
        return error_page(request, error, journey="logout", retry_url=reverse("ory_logout:logout"), action=_("Log out"))
    if as_json:
        return refused(request, not_told()) if told.failed else told.relay(HttpResponse(status=HTTPStatus.NO_CONTENT))
    return told.relay(redirect_after_logout(request, return_to, **{"provider_not_told": True} if told.failed else {}))


@csrf_exempt  # it carries what it ends
@skip_kratos
@public
@answering_in_json
@require_http_methods(["DELETE"])
def native_logout(request: HttpRequest) -> HttpResponse:
    """``{"session_token": …}``: end the session of a native application. 204, also when there is none any more."""
    kratos = sign_in.default_kratos()
    if kratos is None:
        raise InvalidMessage("kratos_not_configured", "no provider of the settings has a KRATOS")
    native.log_out(request, kratos, _session_token(request))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@sensitive_variables()
def _session_token(request: HttpRequest) -> str:
    try:
        body = strict_json.parse(request.body)
    except strict_json.NotJSON as error:
        raise InvalidMessage("body_not_json", f"the body {error}") from error
    token = body.get("session_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise InvalidMessage("session_token_missing", "the body is no JSON object with session_token as a text")
    return token


# My sessions


@public
@answering_in_json
@csrf_protect
@require_http_methods(["GET", "HEAD", "DELETE"])
def sessions(request: HttpRequest) -> HttpResponse:
    """``GET``: the person's other sessions at Kratos. ``DELETE``: end them all, here first."""
    if request.method == "DELETE":
        return JsonResponse({"count": my_sessions.end_other_sessions(request)})
    return JsonResponse([_described(one) for one in my_sessions.other_sessions(request)], safe=False)


@public
@answering_in_json
@csrf_protect
@require_http_methods(["DELETE"])
def session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """End one of the person's other sessions, here first. 204, also when it is none of theirs: nothing happens then."""
    my_sessions.end_session(request, str(session_id))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _described(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "authenticated_at": session.authenticated_at,
        "expires_at": session.expires_at,
        "devices": [
            {"user_agent": one.user_agent, "location": one.location, "ip_address": one.ip_address}
            for one in session.devices
        ],
    }
