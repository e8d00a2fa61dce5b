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
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import Error as DatabaseFault
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render, resolve_url
from django.utils.log import log_response
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from ..database import database_fault
from ..exceptions import (
    InvalidMessage,
    InvalidToken,
    KratosError,
    LoggedOutMeanwhile,
    LogoutUnconfirmed,
    OryLogoutError,
    SetupError,
    SignInRefused,
    TemporaryError,
    fault_name,
)
from ..models import IAT_TOLERANCE, EventKind
from ..parameters import check_charset
from ..sessions import events, token_revocation
from . import errors
from .errors import Group

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
        with token_revocation.collected() as left:
            try:
                response = view(request, *args, **kwargs)
            except Exception:
                token_revocation.revoke_now(left)
                raise
        if left:
            # What Django closes with the response, after the server has sent it. It has no public name.
            cast(Any, response)._resource_closers.append(lambda: token_revocation.revoke_now(left))
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
        except ImproperlyConfigured as error:
            return _fault(request, SetupError("settings_invalid", str(error)))
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
    errors.forget_query(request)
    got_request_exception.send(sender=None, request=request)
    code = TemporaryError("internal_error", type(error).__name__)
    response = _fault(request, code, HTTPStatus.INTERNAL_SERVER_ERROR)
    said = "Internal Server Error: %s (reference %s)", request.path, code.reference
    log_response(*said, response=response, request=request, exception=error)
    return response


@sensitive_variables()
def _fault(request: HttpRequest, error: OryLogoutError, status: int | None = None) -> HttpResponse:
    retry_url = request.path
    errors.forget_query(request)
    response = error_page(request, error, retry_url=retry_url, journey=journey_of(request))
    response.status_code = status or response.status_code
    return response


def journey_of(request: HttpRequest) -> str:
    """What failed: a sign-in, a logout, or the page of that name."""
    name = (request.resolver_match and request.resolver_match.url_name) or request.path
    if "logout" in name:
        return "logout"
    return "sign-in" if name in {"login", "callback", "provider_callback"} else name


def skip_kratos(view: View) -> View:
    """A view that ends sessions, and must not wait for Kratos to say whose."""
    view.__dict__["asks_kratos"] = False
    return view


def asks_kratos(view: Callable[..., Any]) -> bool:
    """Whether the view wants to know who is signed in at Kratos: all but those that say no."""
    return bool(getattr(view, "asks_kratos", True))


def error_json(error: OryLogoutError, *, journey: str = "sign-in") -> JsonResponse:
    """``error`` for a program, with the status of its page, and when to try again where that can help."""
    _noted(error, journey)
    headers = {"Retry-After": "5"} if may_pass(error) else {}
    return JsonResponse({"error": error.code}, status=_status(error), headers=headers)


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
        and errors.preferred_type(request) == "text/html"
    )


def single_values(parameters: QueryDict) -> dict[str, str]:
    """``parameters``, each given once (RFC 6749, 3.1). Raises :exc:`InvalidMessage` (``parameter_repeated``)."""
    for name, values in parameters.lists():
        if len(values) > 1:
            raise InvalidMessage("parameter_repeated", f"a parameter came more than once: {name[:40]!r}")
    return parameters.dict()  # type: ignore[return-value]


@contextmanager
def database_faults() -> Iterator[None]:
    """A fault of our database is :exc:`TemporaryError`, without its text, which can hold a session key."""
    try:
        yield
    except DatabaseFault as error:
        raise database_fault(error) from error


def redirect_after_logout(request: HttpRequest, next_url: str, **context: bool | str) -> HttpResponse:
    """Where a browser goes that is logged out: ``next_url``, the site's own page, or ours, which shows ``context``."""
    if not context and (next_url or settings.LOGOUT_REDIRECT_URL):
        return HttpResponseRedirect(next_url or resolve_url(cast(str, settings.LOGOUT_REDIRECT_URL)))
    return logged_out(request, next=next_url, **context)


def logged_out(request: HttpRequest, **context: bool | str) -> HttpResponse:
    """The page that says so."""
    return render(request, "ory_logout/logged_out.html", {**context, **user_context(request)})


def signed_in_already(request: HttpRequest, next_url: str, provider: str = "") -> HttpResponse:
    """403 for somebody who is signed in and was sent to sign in: a page that they may not open would do so for ever.

    ``provider``: the alias of the one at which they can sign in again.
    """
    context = {"next": next_url or resolve_url(settings.LOGIN_REDIRECT_URL), "provider": provider}
    return render(request, "ory_logout/signed_in_already.html", context, status=HTTPStatus.FORBIDDEN)


def user_context(request: HttpRequest) -> dict[str, bool]:
    """For templates of ours: the site's may lack the context processor for ``request``."""
    return {"signed_in": request.user.is_authenticated}


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

#: The status of each class of error, the narrower classes first.
_STATUS = {
    SetupError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TemporaryError: HTTPStatus.SERVICE_UNAVAILABLE,
    SignInRefused: HTTPStatus.FORBIDDEN,
    KratosError: HTTPStatus.FORBIDDEN,
    LoggedOutMeanwhile: HTTPStatus.CONFLICT,
    InvalidMessage: HTTPStatus.BAD_REQUEST,
}


def _status(error: OryLogoutError) -> HTTPStatus:
    return next(status for kind, status in _STATUS.items() if isinstance(error, kind))


def _is_counted(error: OryLogoutError) -> bool:
    """Whether a logout overtook the sign-in, or the provider's answer failed; not what people and strangers cause."""
    return error.code == "client_refused" or isinstance(error, LoggedOutMeanwhile | InvalidToken | TemporaryError)


def _noted(error: OryLogoutError, journey: str) -> str:
    """Log and count ``error``. The reference of its line in the log."""
    if journey == "sign-in" and _is_counted(error):
        events.refused(journey, error.code)
    else:
        events.note(EventKind.REFUSED, code=f"{journey}: {error.code}")
    return errors.log(logging.WARNING, f"{journey} failed", error)


def error_page(
    request: HttpRequest,
    error: OryLogoutError,
    *,
    journey: str = "sign-in",
    retry_url: str = "",
    action: str = "",
    again_url: str = "",
) -> HttpResponse:
    """What a person sees of ``error``: general, with what they can do. The log has the exact reason.

    Where JSON is asked for rather than a page, :func:`error_json`.

    ``journey``: what failed, ``sign-in``, ``logout``, or the name of another page.

    ``retry_url``: where they can try again, or do ``action`` instead.

    ``again_url``: where the page tries again by itself, if ``error`` passes. There it must not do so another time.
    """
    if errors.wants_json(request):
        return _logged_once(error_json(error, journey=journey))
    reference = _noted(error, journey)
    title, message = errors.words(error, journey)
    seconds = _AGAIN_SECONDS.get(error.code, 0) if again_url else 0
    context = {
        "title": title,
        "message": message,
        "facts": errors.facts(error, reference),
        "again_seconds": seconds,
        "retry_url": retry_url if action or errors.group_of(error) is not Group.SET_UP_WRONGLY else "",
        "action": action,
    }
    response = errors.render_safely(request, "ory_logout/error.html", context, _status(error))
    if seconds:
        response["Refresh"] = f"{seconds}; url={again_url}"
    if may_pass(error):
        response["Retry-After"] = "5"
    return _logged_once(response)


def _logged_once(response: HttpResponse) -> HttpResponse:
    """``response``, whose error has its line in the log: Django adds none for one that people or strangers cause."""
    if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        cast(Any, response)._has_been_logged = True
    return response


def may_pass(error: OryLogoutError) -> bool:
    """Whether a program may try again a little later."""
    return isinstance(error, TemporaryError) and errors.group_of(error) is not Group.SET_UP_WRONGLY
