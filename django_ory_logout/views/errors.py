"""Error pages, grouped by what a user can do, and errors in JSON. Imports no models: ``hydra_ui`` uses it too."""

import logging
from datetime import UTC, datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _

from ..exceptions import (
    HydraError,
    InvalidMessage,
    InvalidToken,
    KratosError,
    LoggedOutMeanwhile,
    OryLogoutError,
    SetupError,
    SignInRefused,
    TemporaryError,
    fault_name,
)

logger = logging.getLogger("django_ory_logout")

#: After how many seconds a page or a program may try again. Hydra makes three attempts at a notice and obeys this
#: number: the attempts then take 10 s instead of 3 s.
RETRY_AFTER_SECONDS = 5
#: Letters and digits that are easy to tell apart, also on the telephone.
_REFERENCE_ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"


class Group(Enum):
    """The kinds of errors, by what the user can do."""

    AGAIN = auto()
    WAIT = auto()
    SET_UP_WRONGLY = auto()
    NOT_ALLOWED = auto()


#: The status and the group of each class of error, subclasses first.
_OF_CLASS = {
    SetupError: (HTTPStatus.INTERNAL_SERVER_ERROR, Group.SET_UP_WRONGLY),
    TemporaryError: (HTTPStatus.SERVICE_UNAVAILABLE, Group.WAIT),
    InvalidToken: (HTTPStatus.BAD_REQUEST, Group.SET_UP_WRONGLY),  # a new try gets the same kind of token
    InvalidMessage: (HTTPStatus.BAD_REQUEST, Group.AGAIN),
    LoggedOutMeanwhile: (HTTPStatus.CONFLICT, Group.AGAIN),
    SignInRefused: (HTTPStatus.FORBIDDEN, Group.NOT_ALLOWED),
    HydraError: (HTTPStatus.BAD_GATEWAY, Group.SET_UP_WRONGLY),
    KratosError: (HTTPStatus.FORBIDDEN, Group.SET_UP_WRONGLY),
}
#: The codes whose group differs from the group of their class.
_GROUP_OF_CODE = {
    **dict.fromkeys(
        [
            "auth_time_too_old",
            "authorization_lost",
            "challenge_expired",
            "challenge_handled",
            "challenge_unknown",
            "logout_token_foreign",
            "nonce_mismatch",
            "provider_refused",
            "session_inactive",
            "session_unknown",
        ],
        Group.AGAIN,
    ),
    "subject_logged_out": Group.WAIT,
    **dict.fromkeys(
        [
            "authorization_request_refused",
            "client_refused",
            "code_missing",
            "internal_error",  # waiting may not help
            "iss_missing",
            "iss_parameter_mismatch",
            "kratos_not_configured",
        ],
        Group.SET_UP_WRONGLY,
    ),
    **dict.fromkeys(["acr_mismatch", "session_aal2_required"], Group.NOT_ALLOWED),
}

#: Title and message of each group.
_TEXTS_OF_GROUP = {
    Group.AGAIN: (
        _("This sign-in cannot be completed"),
        _("It was interrupted, it is too old, it was used before, or the link to it is wrong: please start again."),
    ),
    Group.WAIT: (
        _("Please wait a moment"),
        _("This does not work at the moment, and it is not your fault: please wait a few seconds, then try again."),
    ),
    Group.SET_UP_WRONGLY: (
        _("This site is set up wrongly"),
        _(
            "This is not your fault, and trying again does not help: please tell the people who run this site the "
            "code, the reference and the time below."
        ),
    ),
    Group.NOT_ALLOWED: (
        _("You were not signed in"),
        _("Your account may not use this site: if it should, please ask the people who run this site."),
    ),
}
#: Title and message for flows other than a sign-in, if they differ.
_TEXTS_OF_FLOW = {
    ("logout", Group.AGAIN): (
        _("This logout cannot be completed"),
        _("The link to it is wrong, too old, or belongs to another session: you can log out here instead."),
    ),
    ("page", Group.AGAIN): (
        _("This page cannot be shown"),
        _("The link to it is wrong, or your browser sent something that cannot be read: please go back and try again."),
    ),
}
_LOGGED_OUT = _("You were logged out meanwhile")
_NO_ACCOUNT = (
    _("You were not signed in"),
    _(
        "No account could be made for you at this site: please tell the people who run this site the code, the "
        "reference and the time below."
    ),
)
#: Title and message of codes that have their own.
_TEXTS_OF_CODE = {
    "acr_mismatch": (
        _("You were not signed in"),
        _("This site needs a stronger sign-in than yours, such as one with a second factor."),
    ),
    "authentication_unmet": (
        _("You were not signed in"),
        _(
            "This site needs a stronger sign-in than the provider can offer you now, such as one with a second "
            "factor. If you can set up a second factor at the provider, do so, and start again."
        ),
    ),
    "internal_error": (
        _("This page has failed"),
        _(
            "This is a fault of this site and not your fault: please tell the people who run this site the code, the "
            "reference and the time below."
        ),
    ),
    "logged_out_here": (
        _LOGGED_OUT,
        _("This session was logged out at this site: please log out once more, then sign in again."),
    ),
    "logged_out_meanwhile": (
        _LOGGED_OUT,
        _("While you were signing in, your account was logged out somewhere else: please sign in again."),
    ),
    "provider_refused": (_("You were not signed in"), _("The sign-in was cancelled: you can start again.")),
    "session_aal2_required": (
        _("One more step"),
        _("You are signed in with one factor, and this site needs a second."),
    ),
    **dict.fromkeys(["user_exists", "username_unusable"], _NO_ACCOUNT),
    "subject_logged_out": (
        _LOGGED_OUT,
        _("Your account has just been logged out somewhere else: please wait a few seconds, then sign in again."),
    ),
}


def status_of(error: OryLogoutError) -> HTTPStatus:
    return HTTPStatus.INTERNAL_SERVER_ERROR if error.code == "internal_error" else _of_class(error)[0]


def group_of(error: OryLogoutError) -> Group:
    return _GROUP_OF_CODE.get(error.code, _of_class(error)[1])


def _of_class(error: OryLogoutError) -> tuple[HTTPStatus, Group]:
    return next(values for kind, values in _OF_CLASS.items() if isinstance(error, kind))


def is_temporary(error: OryLogoutError) -> bool:
    """Whether trying again later can help."""
    return isinstance(error, TemporaryError) and group_of(error) is not Group.SET_UP_WRONGLY


def title_and_message(error: OryLogoutError, flow: str) -> tuple[Any, Any]:
    """The texts of ``error``. ``flow`` is ``sign-in``, ``logout``, or the name of another page."""
    group = group_of(error)
    kind = flow if flow in {"sign-in", "logout"} else "page"
    return _TEXTS_OF_CODE.get(error.code) or _TEXTS_OF_FLOW.get((kind, group)) or _TEXTS_OF_GROUP[group]


def log(level: int, message: str, error: OryLogoutError) -> None:
    """Log ``message`` and ``error``. Give ``error`` a new reference, which the line shows too."""
    error.reference = get_random_string(8, _REFERENCE_ALPHABET)
    logger.log(level, "%s: %s (reference %s)", message, error, error.reference)


def details(error: OryLogoutError) -> list[tuple[Any, str]]:
    """Pairs of a name and a text for the administrator. ``error`` is logged already. ``DEBUG`` adds its detail."""
    pairs = [
        (_("Code"), error.code),
        (_("Reference"), error.reference),
        (_("Time"), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if settings.DEBUG and error.detail:
        pairs.append((_("Detail, because DEBUG is on"), error.detail))
    return pairs


def render_error(
    request: HttpRequest,
    template: str,
    error: OryLogoutError,
    context: dict[str, Any],
    status: int,
    *,
    again_url: str = "",
    again_seconds: int = RETRY_AFTER_SECONDS,
) -> HttpResponse:
    """The page of ``error``, which is logged already. After ``again_seconds``, it opens ``again_url``; never if 0."""
    seconds = again_seconds if again_url else 0
    context = {**context, "facts": details(error), "again_seconds": seconds}
    response = render_safely(request, template, context, status)
    if seconds:
        response["Refresh"] = f"{seconds}; url={again_url}"
    if is_temporary(error):
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def render_safely(request: HttpRequest, template: str, context: dict[str, Any], status: int) -> HttpResponse:
    """Render ``template``. If a context processor or the site's base template fails, render it without the request."""
    try:
        return render(request, template, context, status=status)
    except Exception as error:
        logger.warning("page rendered without the request: %s", fault_name(error))
        return HttpResponse(render_to_string(template, {**context, "csrf_token": _token(request)}), status=status)


def json_error(code: str, status: int, *, retry_after: int = 0, **more: Any) -> JsonResponse:
    """An error for a program: ``{"error": code}`` and the members ``more``. ``retry_after`` is in seconds."""
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return JsonResponse({"error": code, **more}, status=status, headers=headers)


class HiddenRedirect(HttpResponseRedirect):
    """A redirect whose URL, which holds a token or a verifier, does not show in a report of a later fault."""

    def __repr__(self) -> str:
        return "<redirect to a hidden URL>"


def logged_once(response: HttpResponse) -> HttpResponse:
    """Keep Django from logging ``response``: our own log line is written. Django has no public switch for this."""
    cast(Any, response)._has_been_logged = True
    return response


def _token(request: HttpRequest) -> str:
    """The CSRF token for a form of the page; empty if it is in a session that cannot be read."""
    try:
        return get_token(request)
    except Exception:
        return ""
