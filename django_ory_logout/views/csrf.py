"""A form whose CSRF token is no longer good is shown again with a fresh one, and nothing is done."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt

logger = logging.getLogger("django_ory_logout")

View = Callable[..., HttpResponse]


class _Check(CsrfViewMiddleware):
    """Django's own check. It gives the reason to the caller instead of answering with Django's page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def csrf_or(show_again: View) -> Callable[[View], View]:
    """Like ``csrf_protect``; but for a request that fails the check, ``show_again`` answers in place of the view.

    The token changes at each sign-in, so a page from before it has an old one. Nothing is wrong with the person.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            check = _Check(lambda _request: HttpResponse())
            check.process_request(request)
            reason = check.process_view(request, view, args, kwargs)
            if reason:
                logger.warning("form shown again: csrf_failed: %s", reason)
            answer = show_again if reason else view
            return check.process_response(request, answer(request, *args, **kwargs))  # type: ignore[return-value]

        return csrf_exempt(checked)

    return decorate
