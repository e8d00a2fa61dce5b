"""Show a form again, with a new CSRF token, when its token is no longer valid."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.csrf import csrf_exempt

from .errors import json_error
from .requests import wants_json

logger = logging.getLogger("django_ory_logout")

View = Callable[..., HttpResponse]


class _Check(CsrfViewMiddleware):
    """Django's own check. It returns the reason instead of Django's error page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def csrf_or(show_again: View) -> Callable[[View], View]:
    """Like ``csrf_protect``, but ``show_again`` answers a form with an old token: each sign-in changes the token."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            check = _Check(lambda _request: HttpResponse())
            check.process_request(request)
            reason = check.process_view(request, view, args, kwargs)
            if reason:
                logger.warning("nothing done for a form: csrf_failed: %s", reason)
            if not reason:
                response = view(request, *args, **kwargs)
            elif wants_json(request):
                response = json_error("csrf_failed", HTTPStatus.FORBIDDEN)
            else:
                response = show_again(request, *args, **kwargs)
            return check.process_response(request, response)  # type: ignore[return-value]

        return csrf_exempt(checked)

    return decorate
