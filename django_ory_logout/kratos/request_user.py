"""Who is signed in by a request, where a middleware before ours may have asked already, and been told of another."""

from functools import partial
from typing import Any

from django.contrib import auth
from django.contrib.auth.middleware import auser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject


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
