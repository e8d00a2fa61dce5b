"""What the views share."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from .. import revocation
from ..exceptions import InvalidMessage, LoggedOutMeanwhile, OryLogoutError, SignInRefused, Undecided

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
    """A view for people who are not signed in, never cached, each of its statements committed by itself."""
    return login_not_required(never_cache(non_atomic(revoking_afterwards(view))))


def single_values(parameters: QueryDict) -> dict[str, str]:
    """``parameters``, each given once (RFC 6749, 3.1). Raises :exc:`InvalidMessage` (``parameter_repeated``)."""
    for name, values in parameters.lists():
        if len(values) > 1:
            raise InvalidMessage("parameter_repeated", f"a parameter came more than once: {name[:40]!r}")
    return parameters.dict()  # type: ignore[return-value]


#: For each class of error: the status, a title, and what a person should know.
_SAID: dict[type[OryLogoutError], tuple[int, Callable[[], str], Callable[[], str]]] = {
    SignInRefused: (
        403,
        lambda: _("You were not signed in"),
        lambda: _("The sign-in was cancelled, or your account may not use this site."),
    ),
    LoggedOutMeanwhile: (
        409,
        lambda: _("You were logged out meanwhile"),
        lambda: _("While you were signing in, your account was logged out somewhere else."),
    ),
    Undecided: (
        503,
        lambda: _("The sign-in service cannot be reached"),
        lambda: _("This is not your fault. Please try again in a moment."),
    ),
    InvalidMessage: (
        400,
        lambda: _("This sign-in cannot be completed"),
        lambda: _("It may be too old, or it was already used. Please start again."),
    ),
}


def error_page(request: HttpRequest, error: OryLogoutError, **context: Any) -> HttpResponse:
    """What a person sees of ``error``: general, with a way to try again. The log has the exact reason."""
    logger.warning("sign-in failed: %s", error)
    status, title, message = next(said for kind, said in _SAID.items() if isinstance(error, kind))
    context |= {"title": title(), "message": message()}
    response = render(request, "ory_logout/error.html", context, status=status)
    if isinstance(error, Undecided):
        response["Retry-After"] = "5"
    return response
