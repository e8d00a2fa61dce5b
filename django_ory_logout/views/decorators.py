"""Decorators of views: how they commit, which requests they take, and that a fault becomes a page of ours."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import Error as DatabaseFault
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.log import log_response
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from ..database import database_fault
from ..exceptions import (
    InvalidMessage,
    LogoutUnconfirmed,
    OryLogoutError,
    SetupError,
    TemporaryError,
    fault_name,
)
from ..sessions import token_revocation
from .requests import check_charset, forget_query, journey_of
from .responses import error_page

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
        with token_revocation.deferred() as left:
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


@contextmanager
def database_faults() -> Iterator[None]:
    """A fault of our database is :exc:`TemporaryError`, without its text, which can hold a session key."""
    try:
        yield
    except DatabaseFault as error:
        raise database_fault(error) from error


def skip_kratos(view: View) -> View:
    """A view that ends sessions, and must not wait for Kratos to say whose."""
    view.__dict__["asks_kratos"] = False
    return view


def asks_kratos(view: Callable[..., Any]) -> bool:
    """Whether the view wants to know who is signed in at Kratos: all but those that say no."""
    return bool(getattr(view, "asks_kratos", True))


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
    code = TemporaryError("internal_error", type(error).__name__)
    response = _fault(request, code, HTTPStatus.INTERNAL_SERVER_ERROR)
    said = "Internal Server Error: %s (reference %s)", request.path, code.reference
    log_response(*said, response=response, request=request, exception=error)
    return response


@sensitive_variables()
def _fault(request: HttpRequest, error: OryLogoutError, status: int | None = None) -> HttpResponse:
    retry_url = request.path
    forget_query(request)
    response = error_page(request, error, retry_url=retry_url, journey=journey_of(request))
    response.status_code = status or response.status_code
    return response
