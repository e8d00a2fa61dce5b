"""What ``KratosMiddleware`` learns about a request, and who ``request.user`` is after that.

A middleware before ours may have read ``request.user`` already, and got another answer.
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
    """A session token came: its session stands in ``request.session`` until the response, in place of ``cookies``."""

    cookies: LoginSessionStore
    kratos: KratosConfig
    credential: Credential


@dataclass
class KratosState:
    """``request.kratos``: what :class:`~..middleware.KratosMiddleware` has learned about the request."""

    #: Why somebody who sent a credential is not signed in by it.
    refusal: OryLogoutError | None = None
    #: Whether this request signed somebody in.
    has_signed_in: bool = False
    token_session: TokenSession | None = None


def has_state(request: Any) -> bool:
    """Whether the middleware is installed, so that Kratos' cookie signs people in here."""
    return hasattr(request, "kratos")


def state_of(request: Any) -> KratosState:
    """What the middleware has learned; nothing where it is not installed."""
    state: KratosState = getattr(request, "kratos", KratosState())
    return state


def look_again(request: Any) -> None:
    """``request.user`` and ``request.auser()`` are whom its session names now, asked when somebody wants to know.

    Bound to that session: who asks after the answer, when the cookie's is back, is told the same.
    """
    seen = HttpRequest()
    seen.session = request.session
    _forget(request)
    request.user = SimpleLazyObject(lambda: auth.get_user(seen))
    request.auser = partial(auser, seen)


def nobody(request: Any) -> None:
    """Of whom nobody can say now who it is."""

    async def anonymous() -> AnonymousUser:
        return AnonymousUser()

    _forget(request)
    request.user, request.auser = AnonymousUser(), anonymous


def _forget(request: Any) -> None:
    """What Django keeps of its own answers."""
    for name in ("_cached_user", "_acached_user"):
        vars(request).pop(name, None)
