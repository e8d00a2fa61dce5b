"""Logging out of a browser's session at Kratos: here first, whatever comes after, and then there."""

import logging
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..conf import KratosConfig
from ..exceptions import KratosError, OryLogoutError
from ..flows import logout as journey
from ..models import EndReason, EventKind
from ..ory.kratos import Credential
from ..sessions import events
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import LOGIN_KEY, StoredLogin
from . import error_reports, revoked_credentials, whoami
from .request_user import has_state

logger = logging.getLogger("django_ory_logout")

#: The codes of a Kratos that did not answer, which is not asked for more then.
NO_ANSWER = whoami.SILENCE | {"cooling_down"}


@dataclass(frozen=True)
class KratosLogoutResult:
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
class PendingKratosLogout:
    """A logout at Kratos that is still to come: where, and by what. Made before the session here ends.

    ``opened_it``: Kratos opened that session. ``signs_in``: this site signs people in by the cookie, and one may be on
    the way in. Without a credential there is nothing to tell.
    """

    kratos: KratosConfig | None
    credential: Credential | None
    opened_it: bool = False
    signs_in: bool = False
    logout_token: str = field(default="", repr=False)

    @property
    def is_all(self) -> bool:
        """Whether nobody else has to hear: Kratos opened that session, and is no OpenID provider's login page."""
        return self.opened_it and self.kratos is not None and self.kratos.alias not in conf.get().providers

    @sensitive_variables()
    def tell(self) -> KratosLogoutResult:
        """End the session at Kratos. What fails is logged, and is refused here from now on."""
        if self.kratos is None or self.credential is None:
            return KratosLogoutResult()
        try:
            with whoami.cool_down(self.kratos):
                set_cookies = _ended(self.kratos, self.credential, self.logout_token)
        except OryLogoutError as error:
            logger.error("logout at Kratos failed: %s", error)
            read = revoked_credentials.cached if error.code in NO_ANSWER else revoked_credentials.lookup
            revoked_credentials.refuse(self.kratos, self.credential, read(self.kratos, self.credential))
            events.note(EventKind.TOLD_KRATOS, issuer=self.kratos.issuer, code=error.code)
            return KratosLogoutResult(failed=True)
        if set_cookies is not None and self.signs_in and not self.opened_it:
            # Who is on the way in has asked Kratos already, and no session that ended here left a receipt.
            revoked_credentials.refuse(
                self.kratos, self.credential, revoked_credentials.cached(self.kratos, self.credential)
            )
        revoked_credentials.forget(self.kratos, self.credential)
        events.note(EventKind.TOLD_KRATOS, issuer=self.kratos.issuer)
        return KratosLogoutResult(False, set_cookies or (), self.kratos.cookie_name)


@sensitive_variables()
def pending_logout(request: HttpRequest) -> PendingKratosLogout:
    """What a logout of ``request`` has to end at Kratos.

    The session that opened this one, or the one that people who sign in at Hydra have there besides.
    """
    login = LoginSessionStore.of(request).login or StoredLogin()
    config = conf.get()
    opener = config.kratos_of(login.issuer)
    provider = config.of_client(login.issuer, login.client_id)
    kratos = opener or (provider.kratos if provider else next(iter(config.kratos), None))
    if kratos:
        error_reports.leave_out(request, kratos.cookie_name)
    cookie = whoami.cookie_of(request, kratos) if kratos else None
    return PendingKratosLogout(kratos, cookie, opener is not None, has_state(request), login.logout_token)


# Server-rendered pages, and single-page applications


@sensitive_variables()
def logout_token(request: HttpRequest) -> str:
    """The token for a logout link of a session that Kratos opened: one call, once in the session's life.

    Raises :exc:`KratosError` (``session_inactive``) where there is no such session, and :exc:`TemporaryError`.
    """
    login = StoredLogin.read(request.session)
    kratos = conf.get().kratos_of(login.issuer) if login else None
    cookie = whoami.cookie_of(request, kratos) if kratos else None
    if login is None or kratos is None or cookie is None:
        raise KratosError("session_inactive", "Kratos' cookie opened no session here")
    if login.logout_token:
        return login.logout_token
    with whoami.cool_down(kratos):
        token = _token(kratos, cookie)
    request.session[LOGIN_KEY] = replace(login, logout_token=token).as_dict()
    LoginSessionStore.of(request).store()
    return token


@sensitive_variables()
def logout_url(token: str, return_to: str = "") -> str:
    """The absolute URL of ours that logs the session of ``token`` out, here and at Kratos."""
    query = {"token": token} | ({"return_to": return_to} if return_to else {})
    return f"{conf.get().absolute('kratos_logout')}?{urlencode(query)}"


@sensitive_variables()
def log_out(request: HttpRequest, token: str) -> KratosLogoutResult:
    """End the session of ``request`` here, and then at Kratos, if ``token`` is its logout token.

    Raises :exc:`KratosError`: ``session_inactive``, ``logout_token_foreign``. Raises :exc:`TemporaryError` where only
    Kratos knows that token.
    """
    leaving = _with_token(request)
    if not constant_time_compare(leaving.logout_token, token):
        raise KratosError("logout_token_foreign", "the logout token is another session's")
    journey.end_current(request, EndReason.RP_INITIATED)
    return leaving.tell()


@sensitive_variables()
def _with_token(request: HttpRequest) -> PendingKratosLogout:
    """A link outlives the session here that it was made in: where another has come since, or none, Kratos is asked."""
    leaving = pending_logout(request)
    is_another_providers = LOGIN_KEY in request.session and not leaving.opened_it
    if leaving.kratos is None or leaving.credential is None or is_another_providers:
        raise KratosError("session_inactive", "Kratos' cookie stands for no session here")
    if leaving.logout_token:
        return leaving
    with whoami.cool_down(leaving.kratos):
        return replace(leaving, logout_token=_token(leaving.kratos, leaving.credential))


@sensitive_variables()
def _ended(kratos: KratosConfig, cookie: Credential, token: str) -> tuple[str, ...] | None:
    """Log out at Kratos by AJAX, with the cookie alone; ``None`` where Kratos knows no such session any more.

    A token that is another session's by now is fetched anew.
    """
    try:
        try:
            return kratos.public.log_out(cookie, token or _token(kratos, cookie))
        except KratosError as error:
            if error.code != "logout_token_foreign":
                raise
            return kratos.public.log_out(cookie, _token(kratos, cookie))
    except KratosError as error:
        if error.code != "session_inactive":
            raise
        return None


@sensitive_variables()
def _token(kratos: KratosConfig, cookie: Credential) -> str:
    return kratos.public.logout_flow(cookie).logout_token
