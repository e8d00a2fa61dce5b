"""The common part of the pages: read the challenge, and show a page with instructions for each error."""

import logging
from collections.abc import Callable
from functools import partial, wraps
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils.log import log_response
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from ...database import database_faults
from ...exceptions import (
    ChallengeHandled,
    InvalidMessage,
    LogoutUnconfirmed,
    OryLogoutError,
    SetupError,
    TemporaryError,
)
from ...views import errors
from ...views.csrf import csrf_or
from ...views.errors import HiddenRedirect
from ...views.requests import again_url, check_charset, forget_query, non_atomic

ChallengeView = Callable[[HttpRequest, str], HttpResponse]
View = Callable[[HttpRequest], HttpResponse]
#: The status by error code. Other codes get the status of their class; 502 if Hydra or its address is set up wrongly.
_STATUS = {
    "challenge_expired": HTTPStatus.GONE,
    "challenge_handled": HTTPStatus.GONE,
    "challenge_unknown": HTTPStatus.NOT_FOUND,
    "database_unusable": HTTPStatus.INTERNAL_SERVER_ERROR,
    "not_migrated": HTTPStatus.INTERNAL_SERVER_ERROR,
}
#: The title and the message by error code, if these pages have their own. The page says where to start again.
_TEXTS = {
    "charset_unsupported": (
        _("This request cannot be read"),
        _("It is in an encoding that this page does not support."),
    ),
    "challenge_missing": (
        _("This page needs an application"),
        _("It is part of a sign-in to an application, or of a logout. It does nothing by itself."),
    ),
    "challenge_unknown": (_("This link cannot be used"), _("It is incomplete, or it was used before.")),
    "challenge_expired": (
        _("This took too long"),
        _("For your security, this page can be used for a limited time only."),
    ),
    "challenge_handled": (_("This is done already"), _("This page was answered before, perhaps in another tab.")),
    "session_not_ended": (
        _("You are not logged out yet"),
        _("A part of this site does not answer, and you may still be signed in. Please try again in a moment."),
    ),
    "subject_missing": (
        _("You cannot sign in with this account"),
        _("It has no id for applications. Please tell the people who run this site."),
    ),
}


def page(kind: str) -> Callable[[View], View]:
    """A page with a name: public, never cached, never in a frame, and each of its faults is a page too."""

    def decorate(view: View) -> View:
        @non_atomic
        @login_not_required
        @never_cache
        @xframe_options_deny
        @sensitive_variables()
        @sensitive_post_parameters()
        @csrf_exempt  # the check is inside, so that its faults become pages
        @wraps(view)
        def answered(request: HttpRequest) -> HttpResponse:
            try:
                with database_faults():
                    check_charset(request)
                    return view(request)
            except LogoutUnconfirmed:
                # LoginSessionMiddleware shows its page. When the session has ended, the browser comes back here.
                request.GET = QueryDict(urlencode({"next": request.get_full_path()}))
                raise
            except OryLogoutError as error:
                return _problem(request, error, kind)
            except (Http404, PermissionDenied, SuspiciousOperation):
                forget_query(request)
                raise
            except Exception as error:
                return _fault(request, error, kind)

        return answered

    return decorate


def challenge_page(kind: str) -> Callable[[ChallengeView], View]:
    """A page to which Hydra sends the browser with ``{kind}_challenge``."""

    def decorate(view: ChallengeView) -> View:
        checked = csrf_or(partial(_shown_again, view))(view)

        @page(kind)
        @require_http_methods(["GET", "POST"])
        @wraps(view)
        def answered(request: HttpRequest) -> HttpResponse:
            challenge = request.GET.get(f"{kind}_challenge", "")
            if not challenge:
                raise InvalidMessage("challenge_missing", f"there is no {kind}_challenge")
            return checked(request, challenge)

        return answered

    return decorate


def _shown_again(view: ChallengeView, request: HttpRequest, challenge: str) -> HttpResponse:
    """Show the page again for a form with an old CSRF token, as in a tab from before a sign-in. The status is 403."""
    request.method = "GET"
    response = view(request, challenge)
    if response.status_code == HTTPStatus.OK:
        response.status_code = HTTPStatus.FORBIDDEN
    return response


def _problem(request: HttpRequest, error: OryLogoutError, kind: str) -> HttpResponse:
    if isinstance(error, ChallengeHandled) and urlsplit(error.redirect_to).netloc:
        return HiddenRedirect(error.redirect_to)
    is_temporary, status = errors.is_temporary(error), _status(error)
    retry_url = request.get_full_path() if is_temporary else ""
    again = again_url(request) if is_temporary else ""
    is_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if is_fault:
        forget_query(request)
    errors.log(logging.ERROR if is_fault else logging.WARNING, f"{kind} page", error)
    title, message = _TEXTS.get(error.code) or errors.title_and_message(error, "page")
    context = {"title": title, "message": message, "kind": kind, "retry_url": retry_url}
    return errors.render_error(request, "ory_hydra_ui/problem.html", error, context, status, again_url=again)


def _status(error: OryLogoutError) -> HTTPStatus:
    of_class = HTTPStatus.BAD_GATEWAY if isinstance(error, SetupError) else errors.status_of(error)
    return _STATUS.get(error.code, of_class)


def _fault(request: HttpRequest, error: Exception, kind: str) -> HttpResponse:
    """500: an unexpected exception, as in a hook of the site. Django reports it as usual."""
    code = TemporaryError("internal_error", type(error).__name__)
    response = _problem(request, code, kind)
    message = "%s page: internal_error: %s (reference %s)", kind, type(error).__name__, code.reference
    log_response(*message, response=response, request=request, exception=error)
    return response
