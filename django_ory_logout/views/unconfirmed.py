"""A logout that could not be written down: the browser forgets its session, and keeps a signed note instead.

Each request with the note tries again, until the session that it names has ended for certain. The note is encrypted: it
can hold the key of a session that is still signed in.
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
NOTE = "ory_logout_unconfirmed_auth"
SALT = "django_ory_logout.unconfirmed"
#: More logouts than these are never open at once in one browser.
MAX_NAMES = 4


@sensitive_variables()
def page(request: Any, error: LogoutUnconfirmed) -> HttpResponse:
    """503: this browser is signed out, the server could not confirm it, and a button tries again."""
    reference = errors.log(logging.ERROR, "logout not confirmed", error)
    next_url = safe_next(request.POST.get("next") or request.GET.get("next"))
    was_opened = request.session.may_have_login_session or "was_opened" in request.POST
    forget_query(request)
    if wants_json(request):
        response: HttpResponse = json_error(error.code, HTTPStatus.SERVICE_UNAVAILABLE)
    else:
        context = {
            "next": next_url,
            "was_opened": was_opened,
            "facts": errors.facts(error, reference),
            "signed_in": False,
        }
        response = render_safely(request, "ory_logout/logout_unconfirmed.html", context, HTTPStatus.SERVICE_UNAVAILABLE)
    response["Retry-After"] = "5"
    add_never_cache_headers(response)
    replace_session(request, response, error)
    return response


@sensitive_variables()
def replace_session(request: Any, response: HttpResponse, error: LogoutUnconfirmed) -> None:
    """Make this browser forget its session, and keep the note of ``error`` in its place."""
    request.session, request.user = request.session.unloaded_copy(), AnonymousUser()
    response.delete_cookie(
        settings.SESSION_COOKIE_NAME,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
    named = [*_noted(request), *([(*error.name, error.reason)] if error.name and any(error.name) else [])]
    if named:
        response.set_cookie(
            NOTE,
            _cipher().encrypt(JSONSerializer().dumps(named[-MAX_NAMES:])).decode(),
            max_age=settings.SESSION_COOKIE_AGE,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            secure=conf.get().site_url.startswith("https:"),
            httponly=True,
            samesite="Lax",
        )


@sensitive_variables()
def retry(request: HttpRequest) -> bool:
    """End what the note of ``request`` names. Says whether that is done, and takes the note off the request then."""
    if NOTE not in request.COOKIES:
        return False
    noted = _noted(request)
    try:
        for row_id, key, reason in noted:
            ending.clean_up(ending.end_session(SessionName(row_id, key), None, EndReason(reason)))
    except LogoutUnconfirmed as error:
        logger.error("logout still not confirmed: %s", error)
        return False
    del request.COOKIES[NOTE]
    if noted:
        logger.info("logout confirmed afterwards")
    return True


def is_pending(request: HttpRequest) -> bool:
    """Whether a logout of this browser is still not confirmed, after :func:`retry`."""
    return NOTE in request.COOKIES


def delete_note(response: HttpResponse) -> None:
    """The note has done its work, unless ``response`` brings another."""
    if NOTE not in response.cookies:
        response.delete_cookie(NOTE, path=settings.SESSION_COOKIE_PATH, domain=settings.SESSION_COOKIE_DOMAIN)


@sensitive_variables()
def _noted(request: HttpRequest) -> list[Any]:
    try:
        noted: list[Any] = JSONSerializer().loads(_cipher().decrypt(request.COOKIES.get(NOTE, "").encode()))
    except InvalidToken:
        return []
    return noted


@sensitive_variables()
def _cipher() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    keys = [salted_hmac(SALT, "note", secret=secret, algorithm="sha256").digest() for secret in secrets]
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])
