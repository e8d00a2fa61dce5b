"""If the database did not record a logout, an encrypted cookie replaces the session cookie. It names the session.

Each request with that cookie tries again, until the session has certainly ended. The cookie is encrypted because it can
hold the key of a session that is still signed in.
"""

import logging
from base64 import urlsafe_b64encode
from http import HTTPStatus
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.signing import JSONSerializer
from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import LogoutUnconfirmed
from ..flows.login import safe_next
from ..models import EndReason, SessionName
from ..sessions import ending
from . import errors
from .errors import json_error, render_safely
from .requests import forget_query, wants_json

logger = logging.getLogger("django_ory_logout")

#: Django's error reports leave out the value of a cookie that has "auth" in its name.
COOKIE = "ory_logout_unconfirmed_auth"
SALT = "django_ory_logout.unconfirmed"
#: How many unconfirmed logouts a browser keeps: the newest.
MAX_NAMES = 4


@sensitive_variables()
def page(request: Any, error: LogoutUnconfirmed) -> HttpResponse:
    """503: this browser is signed out, but the server could not save the logout. A button tries again."""
    errors.log(logging.ERROR, "logout not confirmed", error)
    next_url = safe_next(request.POST.get("next") or request.GET.get("next"))
    was_opened = request.session.may_have_login_session or "was_opened" in request.POST
    forget_query(request)
    if wants_json(request):
        response: HttpResponse = json_error(error.code, HTTPStatus.SERVICE_UNAVAILABLE)
    else:
        context = {"next": next_url, "was_opened": was_opened, "facts": errors.details(error), "signed_in": False}
        response = render_safely(request, "ory_logout/logout_unconfirmed.html", context, HTTPStatus.SERVICE_UNAVAILABLE)
    response["Retry-After"] = str(errors.RETRY_AFTER_SECONDS)
    add_never_cache_headers(response)
    replace_session(request, response, error)
    return response


@sensitive_variables()
def replace_session(request: Any, response: HttpResponse, error: LogoutUnconfirmed) -> None:
    """Delete the session cookie in this browser, and set the cookie that names the session of ``error``."""
    request.session, request.user = request.session.unloaded_copy(), AnonymousUser()
    response.delete_cookie(
        settings.SESSION_COOKIE_NAME,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
    names = [*_names(request), *([(*error.name, error.reason)] if error.name and any(error.name) else [])]
    if names:
        response.set_cookie(
            COOKIE,
            _cipher().encrypt(JSONSerializer().dumps(names[-MAX_NAMES:])).decode(),
            max_age=settings.SESSION_COOKIE_AGE,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            secure=conf.get().is_https,
            httponly=True,
            samesite="Lax",
        )


@sensitive_variables()
def retry(request: HttpRequest) -> bool:
    """End the sessions that the cookie names. Return whether that is done; then ``request`` has no cookie any more."""
    if COOKIE not in request.COOKIES:
        return False
    names = _names(request)
    try:
        for row_id, key, reason in names:
            ending.clean_up(ending.end_session(SessionName(row_id, key), None, EndReason(reason)))
    except LogoutUnconfirmed as error:
        logger.error("logout still not confirmed: %s", error)
        return False
    del request.COOKIES[COOKIE]
    if names:
        logger.info("logout confirmed afterwards")
    return True


def is_pending(request: HttpRequest) -> bool:
    """Whether a logout of this browser is still not confirmed, after :func:`retry`."""
    return COOKIE in request.COOKIES


def delete_cookie(response: HttpResponse) -> None:
    """Delete the cookie in the browser, unless ``response`` sets a new one."""
    if COOKIE not in response.cookies:
        response.delete_cookie(COOKIE, path=settings.SESSION_COOKIE_PATH, domain=settings.SESSION_COOKIE_DOMAIN)


@sensitive_variables()
def _names(request: HttpRequest) -> list[Any]:
    """For each session that the cookie names: the id of its row, its key, and the :class:`EndReason`."""
    try:
        names: list[Any] = JSONSerializer().loads(_cipher().decrypt(request.COOKIES.get(COOKIE, "").encode()))
    except InvalidToken:
        return []
    return names


@sensitive_variables()
def _cipher() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    keys = [salted_hmac(SALT, "note", secret=secret, algorithm="sha256").digest() for secret in secrets]
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])
