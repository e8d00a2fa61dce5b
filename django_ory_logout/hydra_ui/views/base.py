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
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.log import log_response
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from ...exceptions import (
    ChallengeHandled,
    InvalidMessage,
    LogoutUnconfirmed,
    OryLogoutError,
    SetupError,
    Undecided,
)
from ...parameters import check_charset
from ...views.csrf import csrf_or

logger = logging.getLogger("django_ory_logout")

ChallengeView = Callable[[HttpRequest, str], HttpResponse]
View = Callable[[HttpRequest], HttpResponse]
Said = tuple[HTTPStatus, Callable[[], str], Callable[[], str]]

#: By code: the status, a title, and a message. Where to start again is said on the page.
_SAID: dict[str, Said] = {
    "charset_unsupported": (
        HTTPStatus.BAD_REQUEST,
        lambda: _("This request cannot be read"),
        lambda: _("It is in an encoding that this page does not support."),
    ),
    "challenge_missing": (
        HTTPStatus.BAD_REQUEST,
        lambda: _("This page needs an application"),
        lambda: _("It is part of signing in to an application or logging out of it, and is nothing by itself."),
    ),
    "challenge_unknown": (
        HTTPStatus.NOT_FOUND,
        lambda: _("This link cannot be used"),
        lambda: _("It is incomplete, or it was used before."),
    ),
    "challenge_expired": (
        HTTPStatus.GONE,
        lambda: _("This took too long"),
        lambda: _("For your security, this page can be used for a limited time only."),
    ),
    "challenge_handled": (
        HTTPStatus.GONE,
        lambda: _("This is done already"),
        lambda: _("This page was answered before, perhaps in another tab."),
    ),
    "subject_missing": (
        HTTPStatus.FORBIDDEN,
        lambda: _("You cannot sign in with this account"),
        lambda: _("It lacks what applications would know it by. Please tell the people who run this site."),
    ),
}
#: What fails at this site, and not at Hydra.
_SITE_FAULT: Said = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    lambda: _("This site cannot do that now"),
    lambda: _("A part of this site does not answer. This is not your fault. Please try again in a moment."),
)
_SAID |= {
    "database_fault": _SITE_FAULT,
    "session_store_fault": _SITE_FAULT,
    "session_not_ended": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda: _("You are not logged out yet"),
        lambda: _("A part of this site does not answer, and you may still be signed in. Please try again in a moment."),
    ),
}
_INTERNAL: Said = (HTTPStatus.INTERNAL_SERVER_ERROR, _SITE_FAULT[1], _SITE_FAULT[2])
_UNAVAILABLE = (
    HTTPStatus.SERVICE_UNAVAILABLE,
    lambda: _("The sign-in service cannot be reached"),
    lambda: _("This is not your fault. Please try again in a moment."),
)
_REFUSED = (
    HTTPStatus.BAD_GATEWAY,
    lambda: _("The sign-in service refuses our request"),
    lambda: _("This is not your fault. Please tell the people who run this site."),
)


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
                return _problem(request, Undecided("database_fault", type(error).__name__), kind)
            except (Http404, PermissionDenied, SuspiciousOperation):
                _forget_query(request)
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
    return _Onward(url)


class _Onward(HttpResponseRedirect):
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
    unavailable = isinstance(error, Undecided) and not isinstance(error, SetupError)
    status, title, message = _SAID.get(error.code, _UNAVAILABLE if unavailable else _REFUSED)
    is_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    logger.log(logging.ERROR if is_fault else logging.WARNING, "%s page: %s", kind, error)
    context = {
        "title": title(),
        "message": message(),
        "kind": kind,
        "retry_url": request.get_full_path() if unavailable else "",
    }
    if is_fault:
        _forget_query(request)
    response = _rendered(request, context, status)
    if unavailable:
        response["Retry-After"] = "5"
    return response


def _fault(request: HttpRequest, error: Exception, kind: str) -> HttpResponse:
    """500: something that nobody expects, as in a hook of the site. Django reports it as it reports any other."""
    status, title, message = _INTERNAL
    retry_url = request.get_full_path()
    _forget_query(request)
    context = {"title": title(), "message": message(), "kind": kind, "retry_url": retry_url}
    response = _rendered(request, context, status)
    said = "%s page: internal_error: %s", kind, type(error).__name__
    log_response(*said, response=response, request=request, exception=error)
    return response


def _rendered(request: HttpRequest, context: dict[str, str], status: int) -> HttpResponse:
    """The page of a problem, also where a context processor needs what has just failed."""
    try:
        return render(request, "ory_hydra_ui/problem.html", context, status=status)
    except Exception as error:
        logger.warning("page rendered without the request: %s", type(error).__name__)
        return HttpResponse(render_to_string("ory_hydra_ui/problem.html", context), status=status)


def _forget_query(request: HttpRequest) -> None:
    """Take the query off ``request``: Django reports each 5xx with its request, and a challenge must not be in there.

    The page that a form is on has the same query, and the browser says so.
    """
    request.GET = QueryDict()
    for name in ("QUERY_STRING", "REQUEST_URI", "RAW_URI", "HTTP_REFERER"):
        request.META[name] = ""
