"""Decorators of views: transactions, the charset of requests, and error pages for faults."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.cache import add_never_cache_headers
from django.utils.log import log_response
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from ..database import database_faults
from ..exceptions import LogoutUnconfirmed, OryLogoutError, SetupError, TemporaryError, fault_name
from ..sessions import token_revocation
from .requests import View, again_url, check_charset, flow_of, forget_query, non_atomic
from .responses import error_page

logger = logging.getLogger("django_ory_logout")


def revoking_afterwards(view: View) -> View:
    """Revoke tokens after the response is sent, so that the browser does not wait for it."""

    @wraps(view)
    @sensitive_variables()
    def revoking_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with token_revocation.deferred() as tokens:
            try:
                response = view(request, *args, **kwargs)
            except Exception:
                token_revocation.revoke_now(tokens)
                raise
        if tokens:
            # Django calls these when the server has sent the response. The list has no public name.
            cast(Any, response)._resource_closers.append(lambda: token_revocation.revoke_now(tokens))
        return response

    return cast(View, revoking_view)


def public(view: View) -> View:
    """A view that needs no signed-in user."""
    return login_not_required(private(view))


def private(view: View) -> View:
    """A view that answers its own faults. It is never cached, and each of its statements is committed by itself."""
    return never_cache(non_atomic(revoking_afterwards(always_answering(view))))


def always_answering(view: View) -> View:
    """Answer faults with our error page: 503 if a part of the site fails, 500 for anything unexpected.

    Django still answers *not found*, *forbidden* and invalid HTTP. :class:`~..middleware.LoginSessionMiddleware`
    still answers a logout that cannot be confirmed.

    The view handles tokens and codes, so error reports show no variables of it or of the functions that it calls.
    """

    @wraps(view)
    @sensitive_variables()
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        again = "" if request.META.get("QUERY_STRING") else again_url(request)  # a query can have a token
        try:
            with database_faults():
                check_charset(request)
                return view(request, *args, **kwargs)
        except (LogoutUnconfirmed, Http404, PermissionDenied, SuspiciousOperation, BadRequest, MultiPartParserError):
            raise
        except OryLogoutError as error:
            return _fault(request, error, again=again)
        except ImproperlyConfigured as error:
            return _fault(request, SetupError("settings_invalid", str(error)))
        except Exception as error:
            return _unexpected(request, error)

    answering.__dict__["answers_faults"] = True
    return cast(View, answering)


def answers_faults(view: Callable[..., Any]) -> bool:
    """Whether ``view`` is one of ours that answers its own faults."""
    return bool(getattr(view, "answers_faults", False))


def skip_kratos(view: View) -> View:
    """Mark a view that ends sessions. It must not wait until Kratos says who is signed in."""
    view.__dict__["asks_kratos"] = False
    return view


def asks_kratos(view: Callable[..., Any]) -> bool:
    """Whether the site asks Kratos who is signed in before ``view`` runs: always, unless :func:`skip_kratos`."""
    return bool(getattr(view, "asks_kratos", True))


def read_user(request: Any, view: Callable[..., Any]) -> HttpResponse | None:
    """Load ``request.user`` before the site's middleware does, so that a fault is answered with our error page.

    After such a fault, a view that ends sessions continues with an anonymous user. It reads the session itself.
    """
    if not answers_faults(view) or not hasattr(request, "user"):
        return None
    if asks_kratos(view):
        return always_answering(_load_user)(request)  # type: ignore[type-var]
    try:
        _load_user(request)
    except Exception as error:
        logger.warning("user not read: %s", fault_name(error))
        request.user = AnonymousUser()
    return None


def _load_user(request: HttpRequest) -> None:
    str(request.user.is_authenticated)


@sensitive_variables()
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """Our page for ``error``. Report the error like Django: by its signal and by the logger ``django.request``."""
    forget_query(request)
    got_request_exception.send(sender=None, request=request)
    code = TemporaryError("internal_error", type(error).__name__)
    response = _fault(request, code)
    message = "Internal Server Error: %s (reference %s)"
    log_response(message, request.path, code.reference, response=response, request=request, exception=error)
    return response


@sensitive_variables()
def _fault(request: HttpRequest, error: OryLogoutError, *, again: str = "") -> HttpResponse:
    retry_url = request.path
    forget_query(request)
    response = error_page(request, error, retry_url=retry_url, again_url=again, flow=flow_of(request))
    add_never_cache_headers(response)  # the caller can be read_user, outside of never_cache
    return response
