"""What the views share."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import Error as DatabaseFault
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import get_token
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.log import log_response
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from .. import events, revocation
from ..exceptions import (
    InvalidMessage,
    InvalidToken,
    KratosError,
    LoggedOutMeanwhile,
    LogoutUnconfirmed,
    OryLogoutError,
    SecondFactorRequired,
    SetupError,
    SignInRefused,
    Undecided,
    fault_name,
)
from ..models import IAT_TOLERANCE, EventKind
from ..parameters import check_charset, wants_json

logger = logging.getLogger("django_ory_logout")

View = TypeVar("View", bound=Callable[..., HttpResponse])


def non_atomic(view: View) -> View:
    """Keep ``ATOMIC_REQUESTS`` away on every database: a transaction would hide sign-in and notice from each other."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def revoking_afterwards(view: View) -> View:
    """Leave the revocation of tokens until the response is out: nobody waits for it."""

    @wraps(view)
    @sensitive_variables()
    def revoking_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with revocation.collected() as left:
            try:
                response = view(request, *args, **kwargs)
            except Exception:
                revocation.revoke_now(left)
                raise
        if left:
            # What Django closes with the response, after the server has sent it. It has no public name.
            cast(Any, response)._resource_closers.append(lambda: revocation.revoke_now(left))
        return response

    return cast(View, revoking_view)


def public(view: View) -> View:
    """A view for people who are not signed in, never cached, each of its statements committed by itself.

    What it handles are tokens and codes, so no report of a fault shows a variable of it, or of what it calls.
    """
    inner = sensitive_variables()(readable(always_answering(view)))
    return login_not_required(never_cache(non_atomic(revoking_afterwards(inner))))


def readable(view: View) -> View:
    """A view for requests whose parameters can be read; 400 for others."""

    @wraps(view)
    def readable_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            check_charset(request)
        except InvalidMessage as error:
            return _fault(request, error)
        return view(request, *args, **kwargs)

    return cast(View, readable_view)


def always_answering(view: View) -> View:
    """A view whose faults become a page of ours: 503 when a part of the site fails, 500 for anything unexpected.

    Django's own answers stay: not found, forbidden, and a request that is no valid HTTP. So does a logout that cannot
    be confirmed, which :class:`~..middleware.LoginSessionMiddleware` answers.
    """

    @wraps(view)
    @sensitive_variables()
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            with database_faults():
                return view(request, *args, **kwargs)
        except (LogoutUnconfirmed, Http404, PermissionDenied, SuspiciousOperation, BadRequest, MultiPartParserError):
            raise
        except OryLogoutError as error:
            return _fault(request, error)
        except Exception as error:
            return _unexpected(request, error)

    answering.__dict__["answers_faults"] = True
    return cast(View, answering)


def answers_faults(view: Callable[..., Any]) -> bool:
    """Whether ``view`` is one of ours that answers its own faults."""
    return bool(getattr(view, "answers_faults", False))


def read_user(request: Any, view: Callable[..., Any]) -> HttpResponse | None:
    """Read who is signed in, before middleware of the site does and fails: for ``view``, a fault has a page.

    A view that ends sessions goes on as if nobody was signed in: it knows better whose session came.
    """
    if not answers_faults(view) or not hasattr(request, "user"):
        return None
    if asks_kratos(view):
        return always_answering(_reads_user)(request)  # type: ignore[type-var]
    try:
        _reads_user(request)
    except Exception as error:
        logger.warning("user not read: %s", fault_name(error))
        request.user = AnonymousUser()
    return None


def _reads_user(request: HttpRequest) -> None:
    str(request.user.is_authenticated)


@sensitive_variables()
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """Our page for ``error``, which is reported as Django reports it: by its signal, and by ``django.request``."""
    forget_query(request)
    got_request_exception.send(sender=None, request=request)
    code = Undecided("internal_error", type(error).__name__)
    response = _fault(request, code, HTTPStatus.INTERNAL_SERVER_ERROR)
    log_response("Internal Server Error: %s", request.path, response=response, request=request, exception=error)
    return response


@sensitive_variables()
def _fault(request: HttpRequest, error: OryLogoutError, status: int | None = None) -> HttpResponse:
    retry_url = request.path
    forget_query(request)
    if wants_json(request):
        response: HttpResponse = error_json(error)
    else:
        response = error_page(request, error, retry_url=retry_url, journey=_journey(request))
    response.status_code = status or response.status_code
    return response


def _journey(request: HttpRequest) -> str:
    """What the log calls that which failed."""
    return request.path.rstrip("/").rpartition("/")[2]


def asks_nobody(view: View) -> View:
    """A view that ends sessions, and must not wait for Kratos to say whose."""
    view.__dict__["asks_kratos"] = False
    return view


def asks_kratos(view: Callable[..., Any]) -> bool:
    """Whether the view wants to know who is signed in at Kratos: all but those that say no."""
    return bool(getattr(view, "asks_kratos", True))


def error_json(error: OryLogoutError) -> JsonResponse:
    """``error`` for a program, with the status of its page, and when to try again where that can help."""
    headers = {"Retry-After": "5"} if isinstance(error, Undecided) and not isinstance(error, SetupError) else {}
    return JsonResponse({"error": error.code}, status=_said(error)[0], headers=headers)


#: Where a page can be shown (Fetch Metadata, 2.1). A service worker may hand a page on as ``empty``.
_DOCUMENTS = frozenset({"document", "frame", "iframe"})


def is_navigation(request: HttpRequest) -> bool:
    """Whether a browser will show the answer as a page, as far as it says so (Fetch Metadata)."""
    mode, dest = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    places = _DOCUMENTS | {"empty"} if mode else _DOCUMENTS
    return (
        mode in {None, "navigate"}
        and (dest is None or dest in places)
        and "prefetch" not in request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
        and request.headers.get("X-Requested-With") != "XMLHttpRequest"  # apps on Android put their names there
        and request.get_preferred_type(["text/html", "application/json"]) == "text/html"
    )


def single_values(parameters: QueryDict) -> dict[str, str]:
    """``parameters``, each given once (RFC 6749, 3.1). Raises :exc:`InvalidMessage` (``parameter_repeated``)."""
    for name, values in parameters.lists():
        if len(values) > 1:
            raise InvalidMessage("parameter_repeated", f"a parameter came more than once: {name[:40]!r}")
    return parameters.dict()  # type: ignore[return-value]


def forget_query(request: HttpRequest) -> None:
    """Take the query off ``request``: Django reports each 5xx with its request, and a code must not be in there."""
    request.GET = QueryDict()
    for name in ("QUERY_STRING", "REQUEST_URI", "RAW_URI", "HTTP_REFERER"):
        request.META[name] = ""


def render_safely(request: HttpRequest, template: str, context: dict[str, Any], status: int) -> HttpResponse:
    """``template``, also where a context processor or the site's own base template needs what has just failed."""
    try:
        return render(request, template, context, status=status)
    except Exception as error:
        logger.warning("page rendered without the request: %s", fault_name(error))
        return HttpResponse(render_to_string(template, {**context, "csrf_token": get_token(request)}), status=status)


@contextmanager
def database_faults() -> Iterator[None]:
    """A fault of our database is :exc:`Undecided`, without its text, which can hold a session key."""
    try:
        yield
    except DatabaseFault as error:
        raise Undecided("database_fault", type(error).__name__) from error


def onward(request: HttpRequest, next_url: str, **context: bool | str) -> HttpResponse:
    """Where a browser goes that is logged out: ``next_url``, the site's own page, or ours, which shows ``context``."""
    if not context and (next_url or settings.LOGOUT_REDIRECT_URL):
        return HttpResponseRedirect(next_url or resolve_url(cast(str, settings.LOGOUT_REDIRECT_URL)))
    return logged_out(request, next=next_url, **context)


def logged_out(request: HttpRequest, **context: bool | str) -> HttpResponse:
    """The page that says so."""
    return render(request, "ory_logout/logged_out.html", {**context, **who(request)})


def signed_in_already(request: HttpRequest, next_url: str, provider: str = "") -> HttpResponse:
    """403 for somebody who is signed in and was sent to sign in: a page that they may not open would do so for ever.

    ``provider``: the alias of the one at which they can sign in again.
    """
    context = {"next": next_url or resolve_url(settings.LOGIN_REDIRECT_URL), "provider": provider}
    return render(request, "ory_logout/signed_in_already.html", context, status=HTTPStatus.FORBIDDEN)


def who(request: HttpRequest) -> dict[str, bool]:
    """For templates of ours: the site's may lack the context processor for ``request``."""
    return {"signed_in": request.user.is_authenticated}


#: The codes of what fails at this site, and not at the provider.
_SITE_FAULTS = frozenset({"database_fault", "cache_fault", "session_store_fault", "internal_error"})


class _SiteFault(Undecided):
    """Any of :data:`_SITE_FAULTS`."""


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

#: For each class of error: the status, a title, and what a person should know.
_SAID = {
    SecondFactorRequired: (
        403,
        _("One more step"),
        _("You are signed in with one factor, and this site asks for a second."),
    ),
    KratosError: (
        403,
        _("This logout cannot be completed"),
        _("The link belongs to another session. You can log out here instead."),
    ),
    SignInRefused: (
        403,
        _("You were not signed in"),
        _("The sign-in was cancelled, or your account may not use this site."),
    ),
    LoggedOutMeanwhile: (
        409,
        _("You were logged out meanwhile"),
        _("While you were signing in, your account was logged out somewhere else."),
    ),
    _SiteFault: (
        503,
        _("This site cannot do that now"),
        _("A part of this site does not answer. This is not your fault. Please try again in a moment."),
    ),
    SetupError: (
        500,
        _("This site is set up wrongly"),
        _("This is not your fault, and trying again does not help. Please tell the people who run this site."),
    ),
    Undecided: (
        503,
        _("The sign-in service cannot be reached"),
        _("This is not your fault. Please try again in a moment."),
    ),
    InvalidMessage: (
        400,
        _("This sign-in cannot be completed"),
        _("It may be too old, or it was already used. Please start again."),
    ),
}


def _said(error: OryLogoutError) -> tuple[Any, ...]:
    kind_of_error = _SiteFault if error.code in _SITE_FAULTS else type(error)
    return next(said for kind, said in _SAID.items() if issubclass(kind_of_error, kind))


def _is_counted(error: OryLogoutError) -> bool:
    """Whether a logout overtook the sign-in, or the provider's answer failed; not what people and strangers cause."""
    if error.code == "token_request_refused":
        return not error.detail.startswith("'invalid_grant'")  # anybody can make up a code
    return isinstance(error, LoggedOutMeanwhile | InvalidToken | Undecided)


def error_page(
    request: HttpRequest, error: OryLogoutError, *, journey: str = "sign-in", again_url: str = "", **context: Any
) -> HttpResponse:
    """What a person sees of ``error``: general, with a way to try again. The log has the exact reason.

    ``again_url``: where the page tries again by itself, if ``error`` passes. There it must not do so another time.
    """
    logger.warning("%s failed: %s", journey, error)
    if _is_counted(error):
        events.refused("sign-in", error.code)
    else:
        events.note(EventKind.REFUSED, code=f"sign-in: {error.code}")
    status, title, message = _said(error)
    seconds = _AGAIN_SECONDS.get(error.code, 0) if again_url else 0
    context |= {"title": title, "message": message, "again_seconds": seconds}
    if isinstance(error, SetupError):
        context["retry_url"] = ""
    response = render_safely(request, "ory_logout/error.html", context, status)
    if seconds:
        response["Refresh"] = f"{seconds}; url={again_url}"
    if isinstance(error, Undecided) and not isinstance(error, SetupError):
        response["Retry-After"] = "5"
    return response
