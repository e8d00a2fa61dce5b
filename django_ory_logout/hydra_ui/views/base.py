"""What the pages share: a challenge comes in, and what goes wrong becomes a page that says what to do."""

import logging
from collections.abc import Callable
from functools import partial, wraps
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import Error as DatabaseFault
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.log import log_response
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from ...database import database_fault
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
from ...views.requests import check_charset, forget_query

logger = logging.getLogger("django_ory_logout")

ChallengeView = Callable[[HttpRequest, str], HttpResponse]
View = Callable[[HttpRequest], HttpResponse]
#: The status of each code; of any other, whether Hydra does not answer or refuses.
_STATUS = {
    "challenge_expired": HTTPStatus.GONE,
    "challenge_handled": HTTPStatus.GONE,
    "challenge_missing": HTTPStatus.BAD_REQUEST,
    "challenge_unknown": HTTPStatus.NOT_FOUND,
    "charset_unsupported": HTTPStatus.BAD_REQUEST,
    "database_unusable": HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "not_migrated": HTTPStatus.INTERNAL_SERVER_ERROR,
    "subject_missing": HTTPStatus.FORBIDDEN,
}
#: By code, a title and a message of these pages' own. Where to start again is said on the page.
_SAID = {
    "charset_unsupported": (
        _("This request cannot be read"),
        _("It is in an encoding that this page does not support."),
    ),
    "challenge_missing": (
        _("This page needs an application"),
        _("It is part of signing in to an application or logging out of it, and is nothing by itself."),
    ),
    "challenge_unknown": (
        _("This link cannot be used"),
        _("It is incomplete, or it was used before."),
    ),
    "challenge_expired": (
        _("This took too long"),
        _("For your security, this page can be used for a limited time only."),
    ),
    "challenge_handled": (
        _("This is done already"),
        _("This page was answered before, perhaps in another tab."),
    ),
    "session_not_ended": (
        _("You are not logged out yet"),
        _("A part of this site does not answer, and you may still be signed in. Please try again in a moment."),
    ),
    "subject_missing": (
        _("You cannot sign in with this account"),
        _("It lacks what applications would know it by. Please tell the people who run this site."),
    ),
}


def page(kind: str) -> Callable[[ChallengeView], View]:
    """A page that Hydra sends the browser to with ``{kind}_challenge``: public, never cached, never framed."""

    def decorate(view: ChallengeView) -> View:
        checked = csrf_or(partial(_shown_again, view))(view)

        @_non_atomic
        @login_not_required
        @never_cache
        @xframe_options_deny
        @readable(kind)
        @sensitive_variables()
        @sensitive_post_parameters()
        @csrf_exempt  # the check is inside, where a fault of it becomes a page
        @require_http_methods(["GET", "POST"])
        @wraps(view)
        def answered(request: HttpRequest) -> HttpResponse:
            try:
                return checked(request, _challenge(request, kind))
            except LogoutUnconfirmed:
                # LoginSessionMiddleware answers it. Once the session has ended, the browser comes back here.
                request.GET = QueryDict(urlencode({"next": request.get_full_path()}))
                raise
            except OryLogoutError as error:
                return _problem(request, error, kind)
            except DatabaseFault as error:
                return _problem(request, database_fault(error), kind)
            except (Http404, PermissionDenied, SuspiciousOperation):
                forget_query(request)
                raise
            except Exception as error:
                return _fault(request, error, kind)

        return answered

    return decorate


def readable(kind: str) -> Callable[[View], View]:
    """A page for requests whose parameters can be read; 400 for others."""

    def decorate(view: View) -> View:
        @wraps(view)
        def answered(request: HttpRequest) -> HttpResponse:
            try:
                check_charset(request)
            except InvalidMessage as error:
                return _problem(request, error, kind)
            return view(request)

        return answered

    return decorate


def _shown_again(view: ChallengeView, request: HttpRequest, challenge: str) -> HttpResponse:
    """The page for a form with an old CSRF token, as of a tab from before a sign-in: 403, for nothing was done."""
    request.method = "GET"
    response = view(request, challenge)
    if response.status_code == HTTPStatus.OK:
        response.status_code = HTTPStatus.FORBIDDEN
    return response


def _non_atomic(view: View) -> View:
    """Keep ``ATOMIC_REQUESTS`` away: the session here has to have ended, committed, before Hydra is asked."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def redirect(url: str) -> HttpResponse:
    """To where Hydra says, which is under its own address; a client may make it go on to an app's own scheme."""
    return _SeeOther(url)


class _SeeOther(HttpResponseRedirect):
    """A redirect whose verifier does not show in a report of a later fault."""

    def __repr__(self) -> str:
        return "<redirect to Hydra>"


def _challenge(request: HttpRequest, kind: str) -> str:
    challenge = request.GET.get(f"{kind}_challenge", "")
    if not challenge:
        raise InvalidMessage("challenge_missing", f"there is no {kind}_challenge")
    return challenge


def _problem(request: HttpRequest, error: OryLogoutError, kind: str) -> HttpResponse:
    if isinstance(error, ChallengeHandled) and urlsplit(error.redirect_to).netloc:
        return redirect(error.redirect_to)
    unavailable = isinstance(error, TemporaryError) and not isinstance(error, SetupError)
    status = _STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE if unavailable else HTTPStatus.BAD_GATEWAY)
    return _answered(request, error, kind, status, request.get_full_path() if unavailable else "")


def _fault(request: HttpRequest, error: Exception, kind: str) -> HttpResponse:
    """500: something that nobody expects, as in a hook of the site. Django reports it as it reports any other."""
    code = TemporaryError("internal_error", type(error).__name__)
    response = _answered(request, code, kind, HTTPStatus.INTERNAL_SERVER_ERROR, "")
    said = "%s page: internal_error: %s (reference %s)", kind, type(error).__name__, code.reference
    log_response(*said, response=response, request=request, exception=error)
    return response


def _answered(
    request: HttpRequest, error: OryLogoutError, kind: str, status: HTTPStatus, retry_url: str
) -> HttpResponse:
    is_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if is_fault:
        forget_query(request)
    reference = errors.log(logging.ERROR if is_fault else logging.WARNING, f"{kind} page", error)
    title, message = _SAID.get(error.code) or errors.title_and_message(error, "page")
    context = {
        "title": title,
        "message": message,
        "facts": errors.details(error, reference),
        "kind": kind,
        "retry_url": retry_url,
    }
    response = errors.render_safely(request, "ory_hydra_ui/problem.html", context, status)
    if retry_url and status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = "5"
    return response
