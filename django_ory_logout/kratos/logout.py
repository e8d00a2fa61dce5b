"""Logging out of Kratos, for each kind of client: here first, whatever comes after, and then there."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from .. import conf, events, receipts, sessions
from .. import logout as journey
from ..conf import KratosConfig
from ..exceptions import KratosError, OryLogoutError, Undecided
from ..models import EndReason, EventKind, moment
from ..ory.kratos import Credential
from ..sessions import LOGIN
from . import carried, reports, whoami
from .whoami import Verdict

logger = logging.getLogger("django_ory_logout")

#: Where the Django session keeps the logout token, which is fixed for a session at Kratos.
LOGOUT_TOKEN = "logout_token"


@dataclass(frozen=True)
class Told:
    """What came of telling Kratos: whether it failed, and the cookies with which Kratos answers the browser."""

    failed: bool = False
    set_cookies: tuple[str, ...] = field(default=(), repr=False)
    cookie_name: str = ""

    @sensitive_variables()
    def relay(self, response: HttpResponse) -> HttpResponse:
        """Hand Kratos' removal of its own session cookie on to the browser, and nothing else."""
        for header in self.set_cookies:
            try:
                cookies = SimpleCookie(header)
            except CookieError:
                continue
            if self.cookie_name in cookies and cookies[self.cookie_name]["max-age"] == "0":
                response.cookies[self.cookie_name] = cookies[self.cookie_name]
        return response


@dataclass(frozen=True)
class Departure:
    """A logout at Kratos that is still to come: where, and by what. Made before the session here ends.

    ``opened_it``: Kratos opened that session. Without a credential there is nothing to tell.
    """

    kratos: KratosConfig | None
    credential: Credential | None
    opened_it: bool = False
    logout_token: str = field(default="", repr=False)

    @property
    def is_all(self) -> bool:
        """Whether nobody else has to hear: Kratos opened that session, and is no OpenID provider's login page."""
        return self.opened_it and self.kratos is not None and self.kratos.alias not in conf.get().providers

    @sensitive_variables()
    def tell(self) -> Told:
        """End the session at Kratos. What fails is logged, and is refused here from now on."""
        if self.kratos is None or self.credential is None:
            return Told()
        try:
            set_cookies = _ended(self.kratos, self.credential, self.logout_token)
        except OryLogoutError as error:
            logger.error("logout at Kratos failed: %s", error)
            # Who has just not answered is not asked again.
            _refuse(self.kratos, self.credential, whoami.held)
            events.note(EventKind.TOLD_KRATOS, issuer=self.kratos.issuer, code=error.code)
            return Told(failed=True)
        _forget(self.kratos, self.credential)
        events.note(EventKind.TOLD_KRATOS, issuer=self.kratos.issuer)
        return Told(False, set_cookies, self.kratos.cookie_name)


@sensitive_variables()
def departure(request: HttpRequest) -> Departure:
    """What a logout of ``request`` has to end at Kratos.

    The session that opened this one, or the one that people who sign in at Hydra have there besides.
    """
    login: Mapping[str, Any] = request.session.get(LOGIN, {})
    config = conf.get()
    opener = config.kratos_of(login.get("issuer", ""))
    provider = config.of_client(login["issuer"], login["client_id"]) if login else None
    kratos = opener or (provider.kratos if provider else next(iter(config.kratos), None))
    if kratos:
        reports.leave_out(request, kratos.cookie_name)
    cookie = whoami.cookie_of(request, kratos) if kratos else None
    return Departure(kratos, cookie, opener is not None, login.get(LOGOUT_TOKEN, ""))


# Server-rendered pages, and single-page applications


@sensitive_variables()
def logout_token(request: HttpRequest) -> str:
    """The token for a logout link of a session that Kratos opened: one call, once in the session's life.

    Raises :exc:`KratosError` (``session_inactive``) where there is no such session, and :exc:`Undecided`.
    """
    login = request.session.get(LOGIN, {})
    kratos = conf.get().kratos_of(login.get("issuer", ""))
    cookie = whoami.cookie_of(request, kratos) if kratos else None
    if kratos is None or cookie is None:
        raise KratosError("session_inactive", "Kratos' cookie opened no session here")
    if LOGOUT_TOKEN not in login:
        login[LOGOUT_TOKEN] = kratos.public.logout_flow(cookie).logout_token
        request.session.modified = True
    token: str = login[LOGOUT_TOKEN]
    return token


@sensitive_variables()
def logout_url(token: str, return_to: str = "") -> str:
    """The absolute URL of ours that logs the session of ``token`` out, here and at Kratos."""
    query = {"token": token} | ({"return_to": return_to} if return_to else {})
    return f"{conf.get().absolute('kratos_logout')}?{urlencode(query)}"


@sensitive_variables()
def log_out(request: HttpRequest, token: str) -> Told:
    """End the session of ``request`` here, and then at Kratos, if ``token`` is its logout token.

    Raises :exc:`KratosError`: ``session_inactive``, ``logout_token_foreign``; and :exc:`Undecided` where only Kratos
    knows that token.
    """
    leaving = _with_token(request)
    if not constant_time_compare(leaving.logout_token, token):
        raise KratosError("logout_token_foreign", "the logout token is another session's")
    journey.end_current(request, EndReason.RP_INITIATED)
    return leaving.tell()


@sensitive_variables()
def _with_token(request: HttpRequest) -> Departure:
    """A link outlives the session here that it was made in: where another has come since, or none, Kratos is asked."""
    leaving = departure(request)
    is_another_providers = LOGIN in request.session and not leaving.opened_it
    if leaving.kratos is None or leaving.credential is None or is_another_providers:
        raise KratosError("session_inactive", "Kratos' cookie stands for no session here")
    return replace(leaving, logout_token=leaving.logout_token or _token(leaving.kratos, leaving.credential))


# Native applications


@sensitive_variables()
def log_out_natively(request: HttpRequest, kratos: KratosConfig, session_token: str) -> None:
    """End what ``session_token`` opened here, and then its session at Kratos. Safe to repeat.

    Raises :exc:`Undecided` when Kratos could not be told: here it is refused already.
    """
    credential = Credential(session_token)
    _end_carried(request, kratos, credential)
    _refuse(kratos, credential, whoami.verdict)
    try:
        kratos.public.log_out_natively(session_token)
    except KratosError as error:
        # Kratos does not know it, or no longer: there is nothing left to end.
        logger.info("native logout: %s", error)
    _forget(kratos, credential)


@sensitive_variables()
def _end_carried(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> None:
    """End the session here that is tied to ``credential``, and leave alone the one of a cookie that came with it."""
    cookies, user = request.session, request.user
    try:
        carried.load(request, kratos, credential)
        request.session.end_reason = EndReason.RP_INITIATED  # type: ignore[attr-defined]
        request.session.flush()
    except Undecided as error:
        logger.warning("session of a token not looked for: %s", error)
    finally:
        request.session, request.user = cookies, user


@sensitive_variables()
def _ended(kratos: KratosConfig, cookie: Credential, token: str) -> tuple[str, ...]:
    """Log out at Kratos by AJAX, with the cookie alone; a token that is another session's by now is fetched anew."""
    try:
        try:
            return kratos.public.log_out(cookie, token or _token(kratos, cookie))
        except KratosError as error:
            if error.code != "logout_token_foreign" or not token:
                raise
            return kratos.public.log_out(cookie, _token(kratos, cookie))
    except KratosError as error:
        if error.code != "session_inactive":
            raise
        return ()


@sensitive_variables()
def _token(kratos: KratosConfig, cookie: Credential) -> str:
    return kratos.public.logout_flow(cookie).logout_token


@sensitive_variables()
def _refuse(
    kratos: KratosConfig, credential: Credential, read: Callable[[KratosConfig, Credential], Verdict | None]
) -> None:
    """From here on, nobody is signed in by ``credential``: by its session, or by itself where that is not known.

    What is dead at Kratos is refused as it is, and needs no receipt: anybody can make up a token.
    """
    try:
        found = read(kratos, credential) or Verdict()
    except Undecided:
        found = Verdict()
    if found.code == "session_inactive":
        return
    session = found.session
    name = session.sid if session else whoami.named(kratos, credential)
    expires_at = moment(session.expires_at) if session else None
    sessions.work_off(receipts.record_logout(kratos.issuer, name, expires_at), EndReason.RP_INITIATED)


@sensitive_variables()
def _forget(kratos: KratosConfig, credential: Credential) -> None:
    """A fault of the cache leaves a verdict that a receipt outweighs."""
    try:
        whoami.forget(kratos, credential)
    except Undecided as error:
        logger.warning("verdict of Kratos not forgotten: %s", error)
