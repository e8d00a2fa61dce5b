"""The results of ``KratosMiddleware`` for a request, and ``request.user`` after it.

A middleware before ours may have read ``request.user`` already, and Django caches that user.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import auth
from django.contrib.auth.middleware import auser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from ..conf import KratosConfig
from ..exceptions import OryLogoutError
from ..ory.kratos import Credential
from ..sessions.store import LoginSessionStore


@dataclass(frozen=True)
class TokenSession:
    """The session of a session token is in ``request.session`` until the response, instead of ``cookie_session``."""

    cookie_session: LoginSessionStore
    kratos: KratosConfig
    credential: Credential


@dataclass
class KratosState:
    """``request.kratos``: the results of :class:`~..middleware.KratosMiddleware` for the request."""

    #: The reason why the credential of the request signs nobody in.
    refusal: OryLogoutError | None = None
    #: Whether this request signed a user in.
    has_signed_in: bool = False
    token_session: TokenSession | None = None


def state_of(request: Any) -> KratosState:
    """The results of the middleware. They are empty if it is not installed."""
    state: KratosState = getattr(request, "kratos", KratosState())
    return state


def reset_user(request: Any) -> None:
    """Make ``request.user`` and ``request.auser()`` the user of the current session. They load it on first use.

    They keep this session, so they return the same user after the response, when the cookie's session is back.
    """
    bound_request = HttpRequest()
    bound_request.session = request.session
    _clear_cached_user(request)
    request.user = SimpleLazyObject(lambda: auth.get_user(bound_request))
    request.auser = partial(auser, bound_request)


def set_anonymous(request: Any) -> None:
    """Make the user of ``request`` anonymous, because we cannot decide now who it is."""

    async def anonymous() -> AnonymousUser:
        return AnonymousUser()

    _clear_cached_user(request)
    request.user, request.auser = AnonymousUser(), anonymous


def _clear_cached_user(request: Any) -> None:
    for name in ("_cached_user", "_acached_user"):
        vars(request).pop(name, None)
