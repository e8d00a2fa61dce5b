"""The error pages of all journeys, sorted by what a person can do. Needs no models, so ``hydra_ui`` has it too."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
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

#: Letters and digits that nobody mistakes for each other, on the telephone either.
_UNMISTAKABLE = "ABCDEFGHJKMNPQRSTVWXYZ23456789"


class Group(Enum):
    """What a person can do about an error."""

    AGAIN = auto()
    WAIT = auto()
    SET_UP_WRONGLY = auto()
    NOT_ALLOWED = auto()


#: The group of each class of error, the narrower classes first.
_OF_CLASSES = {
    SetupError: Group.SET_UP_WRONGLY,
    TemporaryError: Group.WAIT,
    InvalidToken: Group.SET_UP_WRONGLY,  # the provider would sign the same again
    InvalidMessage: Group.AGAIN,
    LoggedOutMeanwhile: Group.AGAIN,
    SignInRefused: Group.NOT_ALLOWED,
    HydraError: Group.SET_UP_WRONGLY,
    KratosError: Group.SET_UP_WRONGLY,
}
#: The codes whose group is not that of their class.
_OF_CODES = {
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
            "internal_error",  # nobody knows that waiting helps
            "iss_missing",
            "iss_parameter_mismatch",
            "kratos_not_configured",
        ],
        Group.SET_UP_WRONGLY,
    ),
    **dict.fromkeys(["acr_mismatch", "session_aal2_required"], Group.NOT_ALLOWED),
}

#: Title and message of each group.
_SAID = {
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
#: Likewise for other journeys than a sign-in, where the words differ.
_SAID_IN = {
    ("logout", Group.AGAIN): (
        _("This logout cannot be completed"),
        _("The link to it is wrong, too old, or belongs to another session: you can log out here instead."),
    ),
    ("page", Group.AGAIN): (
        _("This page cannot be shown"),
        _("The link to it is wrong, or your browser sent something that cannot be read: please go back and try again."),
    ),
    ("page", Group.NOT_ALLOWED): (
        _("You may not see this page"),
        _("Your account may not use it: if it should, please ask the people who run this site."),
    ),
    ("logout", Group.NOT_ALLOWED): (
        _("This logout cannot be completed"),
        _("Your account may not do that: please ask the people who run this site."),
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
#: Likewise for codes of which more can be said.
_SAID_OF = {
    "acr_mismatch": (
        _("You were not signed in"),
        _("This site asks for a stronger sign-in than yours, such as one with a second factor."),
    ),
    "authentication_unmet": (
        _("You were not signed in"),
        _(
            "This site asks for a sign-in that the provider cannot give you, such as one with a second factor: if you "
            "can set one up there, do so, and start again."
        ),
    ),
    "internal_error": (
        _("This page has failed"),
        _(
            "A fault of this site is the reason, and not you: please tell the people who run this site the code, the "
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
    "provider_refused": (
        _("You were not signed in"),
        _("The sign-in was cancelled: you can start again."),
    ),
    "session_aal2_required": (
        _("One more step"),
        _("You are signed in with one factor, and this site asks for a second."),
    ),
    **dict.fromkeys(["user_exists", "username_unusable"], _NO_ACCOUNT),
    "subject_logged_out": (
        _LOGGED_OUT,
        _("Your account has just been logged out somewhere else: please wait a few seconds, then sign in again."),
    ),
}


def group_of(error: OryLogoutError) -> Group:
    """What a person can do about ``error``."""
    of_class = next(group for kind, group in _OF_CLASSES.items() if isinstance(error, kind))
    return _OF_CODES.get(error.code, of_class)


def words(error: OryLogoutError, journey: str) -> tuple[Any, Any]:
    """The title and the message of ``error`` in ``journey``: ``sign-in``, ``logout``, or the name of another page."""
    group = group_of(error)
    kind = journey if journey in {"sign-in", "logout"} else "page"
    return _SAID_OF.get(error.code) or _SAID_IN.get((kind, group)) or _SAID[group]


def log(level: int, said: str, error: OryLogoutError) -> str:
    """Log ``error`` after ``said``. The reference that finds the line again."""
    reference = get_random_string(8, _UNMISTAKABLE)
    error.reference = reference
    logger.log(level, "%s: %s (reference %s)", said, error, reference)
    return reference


def facts(error: OryLogoutError, reference: str) -> list[tuple[Any, str]]:
    """What a page shows for the people who run the site: pairs of a name and a text. The detail: under ``DEBUG``."""

    def found() -> Iterator[tuple[Any, str]]:
        yield _("Code"), error.code
        yield _("Reference"), reference
        yield _("Time"), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        if settings.DEBUG and error.detail:
            yield _("Detail, because DEBUG is on"), error.detail

    return list(found())


def render_safely(request: HttpRequest, template: str, context: dict[str, Any], status: int) -> HttpResponse:
    """``template``, also where a context processor or the site's own base template needs what has just failed."""
    try:
        return render(request, template, context, status=status)
    except Exception as error:
        logger.warning("page rendered without the request: %s", fault_name(error))
        return HttpResponse(render_to_string(template, {**context, "csrf_token": _token(request)}), status=status)


def json_error(code: str, status: int, *, retry_after: int = 0, **more: Any) -> JsonResponse:
    """An error for a program: ``{"error": code}``, with ``more`` members and when to try again, in seconds."""
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return JsonResponse({"error": code, **more}, status=status, headers=headers)


def logged_once(response: HttpResponse) -> HttpResponse:
    """``response``, for which our own line is in the log: Django, which would write another, has no public switch."""
    cast(Any, response)._has_been_logged = True
    return response


def _token(request: HttpRequest) -> str:
    """The CSRF token for a form of the page; none where it is in a session that cannot be read."""
    try:
        return get_token(request)
    except Exception:
        return ""
