"""One cookie for each pending sign-in, and one for the last sign-in that is done.

The name of a pending sign-in's cookie has its rank (see :func:`_rank`) and a digest of its ``state``.
"""

import hashlib
import time

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from .. import conf
from ..flows.login import SIGN_IN_SECONDS, PendingSignIn

#: Django's error reports leave out the value of a cookie that has "auth" in its name.
PENDING, DONE = "ory_logout_auth_", "ory_logout_done_auth_"
#: A browser accepts a cookie with this prefix only from this host, with ``Secure`` and for all paths (RFC 6265bis,
#: 4.1.3). Without the prefix, another host of the same domain could set a cookie here, with somebody else's sign-in.
HOST_PREFIX = "__Host-"
#: The limits for all pending sign-ins of a browser together. Above them, the oldest cookies are deleted; those of
#: sign-ins that no click started are deleted first. Many servers refuse a request with more than 8 KiB of cookies.
MAX_PENDING = 8
MAX_PENDING_BYTES = 4 * 1024


def set_pending(request: HttpRequest, response: HttpResponse, pending: PendingSignIn) -> None:
    """Set the cookie of ``pending``. Above the limits, delete the oldest, but never the newest that a click started."""
    signed = pending.signed()
    free_bytes = MAX_PENDING_BYTES - len(signed)
    others = sorted(_sent(request, PENDING).items(), reverse=True)
    for count, (name, value) in enumerate(others, start=1):
        free_bytes -= len(name) + len(value)
        if count > 1 and (count >= MAX_PENDING or free_bytes < 0):
            delete(response, name)
    _set(response, f"{PENDING}{_rank(request)}_{_digest(pending.state)}", pending, signed)


def set_done(request: HttpRequest, response: HttpResponse, pending: PendingSignIn) -> None:
    """Set a cookie for the completed sign-in ``pending``.

    If the browser opens the callback again, this cookie says that the sign-in is completed.
    """
    for name in _sent(request, DONE):
        delete(response, name)
    _set(response, f"{DONE}{_digest(pending.state)}", pending, pending.without_secrets.signed())


def last_done(request: HttpRequest) -> str:
    """The value of the cookie of the sign-in that the browser completed last; empty if it sent none."""
    return next(iter(_sent(request, DONE).values()), "")


def _set(response: HttpResponse, name: str, pending: PendingSignIn, signed: str) -> None:
    by_post = pending.config.response_mode == "form_post"
    response.set_cookie(
        _prefixed(name),
        signed,
        max_age=SIGN_IN_SECONDS,
        path=_path(),
        httponly=True,
        secure=by_post or conf.get().is_https,
        samesite="None" if by_post else "Lax",
    )


def pending_of(request: HttpRequest, state: str) -> tuple[str, str]:
    """Name and value of the cookie of the sign-in with ``state``, pending or done; empty if the browser sent none."""
    cookies = {**_sent(request, PENDING), **_sent(request, DONE)}
    suffix = f"_{_digest(state)}"
    return next(((name, value) for name, value in cookies.items() if name.endswith(suffix)), ("", ""))


def delete(response: HttpResponse, name: str) -> None:
    response.delete_cookie(name, path=_path())


def _sent(request: HttpRequest, kind: str) -> dict[str, str]:
    """The cookies that the browser sent whose names begin with ``kind``.

    Reads the header and not ``request.COOKIES``: Django strips Unicode spaces from names, so another host could fake
    the prefix.
    """
    pairs = (pair.strip(" \t").partition("=") for pair in request.META.get("HTTP_COOKIE", "").split(";"))
    return {name: value for name, _, value in pairs if name.startswith(_prefixed(kind))}


def _rank(request: HttpRequest) -> str:
    """The sort key of a sign-in: 1 if a user clicked or typed (``Sec-Fetch-User``), else 0; then the microseconds."""
    by_user = request.headers.get("Sec-Fetch-User") == "?1"
    return f"{int(by_user)}{int(time.time() * 1_000_000):017d}"


def _prefixed(name: str) -> str:
    return HOST_PREFIX + name if conf.get().is_https else name


def _path() -> str:
    # The login view reads these cookies too, to limit their number.
    return "/" if conf.get().is_https else reverse("ory_logout:login").removesuffix("login/")


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()[:32]
