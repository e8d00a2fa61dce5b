"""Receivers of logout notices: back-channel and front-channel logout."""

import logging
from http import HTTPStatus

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from ..database import database_faults
from ..exceptions import InvalidMessage, LogoutUnconfirmed, OryLogoutError, TemporaryError
from ..flows import logout, notices
from ..models import Channel, EndReason
from ..oidc.messages import FORM
from ..sessions import events
from ..signals import logout_notice_refused
from .decorators import public, skip_kratos
from .errors import RETRY_AFTER_SECONDS, json_error, logged_once, render_safely
from .requests import single_values
from .unconfirmed import replace_session

logger = logging.getLogger("django_ory_logout")

MAX_BODY_BYTES = 64 * 1024


@csrf_exempt
@skip_kratos
@public
@sensitive_post_parameters("logout_token")
@require_POST
def backchannel_logout(request: HttpRequest) -> HttpResponse:
    """Back-Channel Logout 2.5 and 2.8: 200 done, 400 invalid, 503 not decidable now, 405 for anything but POST."""
    token = ""
    try:
        token = _logout_token(request)
        with database_faults():
            ended = notices.back_channel(token)
    except InvalidMessage as error:
        _refused(Channel.BACK, error, token)
        return logged_once(json_error("invalid_request", HTTPStatus.BAD_REQUEST, error_description=error.code))
    except TemporaryError as error:
        events.log_refusal(logging.ERROR, "back-channel logout cannot be decided now", error)
        events.refused(Channel.BACK, error.code)
        return logged_once(_try_again())
    except Exception:
        logger.exception("back-channel logout failed: internal_error")
        events.refused(Channel.BACK, "internal_error")
        return _try_again()
    logger.info("back-channel logout accepted: %d login sessions ended", ended)
    return HttpResponse()


def _logout_token(request: HttpRequest) -> str:
    """The ``logout_token`` of a form-encoded body; other parameters are ignored. Raises :exc:`InvalidMessage`."""
    if request.content_type != FORM:
        raise InvalidMessage("content_type_invalid", f"the body is not {FORM}")
    length = request.META.get("CONTENT_LENGTH") or "0"
    is_too_large = not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MAX_BODY_BYTES
    body = b"" if is_too_large else request.read(MAX_BODY_BYTES + 1)
    if is_too_large or len(body) > MAX_BODY_BYTES:
        raise InvalidMessage("body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        tokens = QueryDict(body).getlist("logout_token")
    except SuspiciousOperation as error:
        raise InvalidMessage("body_invalid", type(error).__name__) from error
    if len(tokens) > 1:
        raise InvalidMessage("logout_token_repeated", "the body has more than one logout_token")
    if not any(tokens):
        raise InvalidMessage("logout_token_missing", "the body has no logout_token, or an empty one")
    return tokens[0]


def _try_again() -> HttpResponse:
    unavailable = HTTPStatus.SERVICE_UNAVAILABLE
    return json_error("temporarily_unavailable", unavailable, retry_after=RETRY_AFTER_SECONDS)


@xframe_options_exempt
@skip_kratos
@public
@require_safe
def frontchannel_logout(request: HttpRequest) -> HttpResponse:
    """Front-Channel Logout 2: a page in a hidden frame of the provider's logout page."""
    status, issuer, unconfirmed = HTTPStatus.OK, None, None
    try:
        parameters = single_values(request.GET)
        issuer = parameters.get("iss")
        with database_faults():
            if notices.front_channel(request, issuer, parameters.get("sid")):
                logout.end_current(request, EndReason.FRONT_CHANNEL)
    except InvalidMessage as error:
        _refused(Channel.FRONT, error, request.GET.get("sid", ""))
        status = HTTPStatus.BAD_REQUEST
    except TemporaryError as error:
        events.log_refusal(logging.ERROR, "front-channel logout cannot be decided now", error)
        events.refused(Channel.FRONT, error.code)
        status = HTTPStatus.SERVICE_UNAVAILABLE
        unconfirmed = error if isinstance(error, LogoutUnconfirmed) else None
    context = {"done": status == HTTPStatus.OK}
    response = render_safely(request, "ory_logout/frontchannel_logout.html", context, status)
    if unconfirmed:
        replace_session(request, response, unconfirmed)
    response["Content-Security-Policy"] = f"frame-ancestors {' '.join(notices.frame_ancestors(issuer))}"
    return response if status == HTTPStatus.OK else logged_once(response)


def _refused(channel: Channel, error: OryLogoutError, sent: str) -> None:
    events.log_refusal(logging.WARNING, f"{channel} logout refused", error)
    if not notices.is_probe(sent):
        events.refused(channel, error.code)
    logout_notice_refused.send_robust(None, channel=str(channel), code=error.code)
