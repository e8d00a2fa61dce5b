"""Logout and session lists of Kratos, in the formats of Kratos' own API."""

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
from ..exceptions import InvalidMessage, LogoutUnconfirmed, OryLogoutError, SecondFactorRequired, TemporaryError
from ..flows.login import safe_next
from ..kratos import login as kratos_login
from ..kratos import logout as kratos_logout
from ..kratos import native_logout as kratos_native_logout
from ..kratos import sessions as kratos_sessions
from ..ory.kratos import Session
from .decorators import public, skip_kratos
from .errors import json_error
from .kratos_login import kratos_not_told, second_factor_url
from .requests import flow_of, forget_query, wants_json
from .responses import error_json, error_page, redirect_after_logout

#: The status of each refusal, as Kratos answers it.
STATUS = {
    "session_inactive": HTTPStatus.UNAUTHORIZED,
    "logged_out_here": HTTPStatus.UNAUTHORIZED,
    "logged_out_meanwhile": HTTPStatus.UNAUTHORIZED,
    "user_exists": HTTPStatus.FORBIDDEN,
    "user_refused": HTTPStatus.FORBIDDEN,
    "username_unusable": HTTPStatus.FORBIDDEN,
    "logout_token_foreign": HTTPStatus.FORBIDDEN,
}


def answering_in_json(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer an error with JSON and its code: 4xx if Kratos refuses, 503 if nothing can be decided now."""

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
    if isinstance(error, TemporaryError):
        return error_json(error, flow=flow_of(request))
    if isinstance(error, SecondFactorRequired):
        return json_error(error.code, HTTPStatus.FORBIDDEN, redirect_browser_to=second_factor_url(request))
    return json_error(error.code, STATUS.get(error.code, HTTPStatus.BAD_REQUEST))


@public
@answering_in_json
@require_safe
def logout_flow(request: HttpRequest) -> HttpResponse:
    """``{logout_url, logout_token}`` for a logout by a link or by AJAX. ``return_to``: where to go afterwards."""
    token = kratos_logout.logout_token(request)
    url = kratos_logout.logout_url(token, safe_next(request.GET.get("return_to")))
    return JsonResponse({"logout_url": url, "logout_token": token})


@skip_kratos
@public
@require_GET  # no HEAD: link checkers send it, and it must end nothing
def logout(request: HttpRequest) -> HttpResponse:
    """End the session of ``token``, here first. For JSON: 204; else a redirect to ``return_to``."""
    as_json = wants_json(request)
    token, return_to = request.GET.get("token"), safe_next(request.GET.get("return_to"))
    forget_query(request)
    try:
        if not token:
            raise InvalidMessage("link_token_missing", "a logout link carries its token")
        result = kratos_logout.log_out(request, token)
    except LogoutUnconfirmed:
        raise
    except OryLogoutError as error:
        if as_json:
            return refused(request, error)
        if error.code == "session_inactive":
            return redirect_after_logout(request, return_to)
        return error_page(request, error, flow="logout", retry_url=reverse("ory_logout:logout"), action=_("Log out"))
    if as_json and result.failed:
        return refused(request, kratos_not_told())
    if as_json:
        return result.relay(HttpResponse(status=HTTPStatus.NO_CONTENT))
    return result.relay(redirect_after_logout(request, return_to, provider_not_told=result.failed))


@csrf_exempt  # the body has the token of the session that it ends
@skip_kratos
@public
@answering_in_json
@require_http_methods(["DELETE"])
def native_logout(request: HttpRequest) -> HttpResponse:
    """``{"session_token": …}``: end the session of a native application. 204, even if it has already ended."""
    kratos = kratos_login.default_kratos()
    if kratos is None:
        raise InvalidMessage("kratos_not_configured", "no provider of the settings has a KRATOS")
    kratos_native_logout.log_out(request, kratos, _session_token(request))
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


@public
@answering_in_json
@csrf_protect
@require_http_methods(["GET", "HEAD", "DELETE"])
def sessions(request: HttpRequest) -> HttpResponse:
    """``GET``: the user's other sessions at Kratos. ``DELETE``: end them all, here first."""
    if request.method == "DELETE":
        return JsonResponse({"count": kratos_sessions.end_other_sessions(request)})
    return JsonResponse([_described(session) for session in kratos_sessions.other_sessions(request)], safe=False)


@public
@answering_in_json
@csrf_protect
@require_http_methods(["DELETE"])
def session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """End another session of the user, here first. 204, also for another user's session, which does not end."""
    kratos_sessions.end_session(request, str(session_id))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _described(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "authenticated_at": session.authenticated_at,
        "expires_at": session.expires_at,
        "devices": [
            {"user_agent": device.user_agent, "location": device.location, "ip_address": device.ip_address}
            for device in session.devices
        ],
    }
