"""One cookie for each sign-in under way, and one for the last that is done.

A name says whether a person began it and when, in microseconds, and has a digest of its ``state``.
"""

import hashlib
import time

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from .. import conf
from ..flows.login import SIGN_IN_SECONDS, PendingSignIn

#: Django's error reports leave out the value of a cookie that has "auth" in its name.
PENDING, DONE = "ory_logout_auth_", "ory_logout_done_auth_"
#: A browser takes a cookie of such a name from this host alone, with ``Secure`` and for all paths (RFC 6265bis, 4.1.3):
#: otherwise another host of the domain could plant a sign-in of its own.
HOST_PREFIX = "__Host-"
#: As many tabs may be on their way to the provider at once, and their cookies be as long. The oldest gives way, and
#: first one that nobody began by hand. Servers commonly refuse a request with more than 8 KiB of cookies.
MAX_PENDING = 8
MAX_PENDING_BYTES = 4 * 1024


def remember(request: HttpRequest, response: HttpResponse, pending: PendingSignIn) -> None:
    """Let the browser carry ``pending``. The newest sign-in stays, and the one that a person began last."""
    signed = pending.signed()
    room = MAX_PENDING_BYTES - len(signed)
    others = sorted(_sent(request, PENDING).items(), reverse=True)
    for count, (name, value) in enumerate(others, start=1):
        room -= len(name) + len(value)
        if count > 1 and (count >= MAX_PENDING or room < 0):
            forget(response, name)
    _set(response, f"{PENDING}{_rank(request)}_{_digest(pending.state)}", pending, signed)


def remember_done(request: HttpRequest, response: HttpResponse, pending: PendingSignIn) -> None:
    """Let the browser carry what is left of ``pending``, which has signed somebody in, for a callback opened again."""
    for name in _sent(request, DONE):
        forget(response, name)
    _set(response, f"{DONE}{_digest(pending.state)}", pending, pending.spent.signed())


def _set(response: HttpResponse, name: str, pending: PendingSignIn, signed: str) -> None:
    by_post = pending.config.response_mode == "form_post"
    response.set_cookie(
        _prefixed(name),
        signed,
        max_age=SIGN_IN_SECONDS,
        path=_path(),
        httponly=True,
        secure=by_post or _is_https(),
        samesite="None" if by_post else "Lax",
    )


def pending_of(request: HttpRequest, state: str) -> tuple[str, str]:
    """Name and value of the cookie of the sign-in with ``state``, under way or done; empty if the browser sent none."""
    ours = {**_sent(request, PENDING), **_sent(request, DONE)}
    return next((one for one in ours.items() if one[0].endswith(f"_{_digest(state)}")), ("", ""))


def forget(response: HttpResponse, name: str) -> None:
    """Take the cookie ``name`` off the browser."""
    response.delete_cookie(name, path=_path())


def _sent(request: HttpRequest, kind: str) -> dict[str, str]:
    """The cookies of that kind, as the browser sent them.

    Not ``request.COOKIES``: Django strips all spaces of Unicode from a name, so another host could fake the prefix.
    """
    pairs = (pair.strip(" \t").partition("=") for pair in request.META.get("HTTP_COOKIE", "").split(";"))
    return {name: value for name, _, value in pairs if name.startswith(_prefixed(kind))}


def _rank(request: HttpRequest) -> str:
    """What a sign-in is ordered by. ``Sec-Fetch-User``: a person clicked or typed; no script or frame."""
    by_hand = request.headers.get("Sec-Fetch-User") == "?1"
    return f"{int(by_hand)}{int(time.time() * 1_000_000):017d}"


def _is_https() -> bool:
    return conf.get().site_url.startswith("https:")


def _prefixed(name: str) -> str:
    return HOST_PREFIX + name if _is_https() else name


def _path() -> str:
    # The login view has to see the cookies of the callback too, to bound their number.
    return "/" if _is_https() else reverse("ory_logout:login").removesuffix("login/")


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()[:32]
