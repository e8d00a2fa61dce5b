"""Log a browser out: end the session here first, whatever fails later, and then end the session at Kratos."""

import logging
from contextlib import suppress
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
from ..http import NO_ANSWER
from ..models import EndReason, EventKind
from ..ory.kratos import Credential
from ..sessions import events
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import LOGIN_KEY, StoredLogin
from . import error_reports, revoked_credentials, whoami

logger = logging.getLogger("django_ory_logout")


@dataclass(frozen=True)
class KratosLogoutResult:
    """The result of a logout at Kratos: whether it failed, and the cookies that Kratos sets in the browser."""

    failed: bool = False
    set_cookies: tuple[str, ...] = field(default=(), repr=False)
    cookie_name: str = ""

    @sensitive_variables()
    def relay(self, response: HttpResponse) -> HttpResponse:
        """Add to ``response`` the header that deletes Kratos' session cookie, and no other cookie of Kratos."""
        for header in self.set_cookies:
            with suppress(CookieError):
                cookie = SimpleCookie(header).get(self.cookie_name)
                if cookie and cookie["max-age"] == "0":
                    response.cookies[self.cookie_name] = cookie
        return response


@dataclass(frozen=True)
class PendingKratosLogout:
    """A logout at Kratos that we have not sent yet, collected before the session here ends.

    ``opened_session``: Kratos opened the session here. ``signs_in``: this site signs users in by Kratos' cookie, so
    another request may be signing one in at this moment. Without a credential there is nothing to send.
    """

    kratos: KratosConfig | None
    credential: Credential | None
    opened_session: bool = False
    signs_in: bool = False
    logout_token: str = field(default="", repr=False)

    @property
    def is_only_provider(self) -> bool:
        """Whether no other provider takes part: Kratos opened the session, and is no OpenID provider's login page."""
        return self.opened_session and self.kratos is not None and self.kratos.alias not in conf.get().providers

    @sensitive_variables()
    def send(self) -> KratosLogoutResult:
        """End the session at Kratos. If that fails, log it, and sign nobody in by that session from now on."""
        if self.kratos is None or self.credential is None:
            return KratosLogoutResult()
        try:
            with whoami.cool_down(self.kratos):
                set_cookies = _log_out_at_kratos(self.kratos, self.credential, self.logout_token)
        except OryLogoutError as error:
            logger.error("logout at Kratos failed: %s", error)
            # If Kratos does not answer, we do not send it another request.
            is_silent = error.code in NO_ANSWER | {"cooling_down"}
            read = revoked_credentials.cached if is_silent else revoked_credentials.lookup
            revoked_credentials.revoke(self.kratos, self.credential, read(self.kratos, self.credential))
            events.note(EventKind.TOLD_KRATOS, issuer=self.kratos.issuer, code=error.code)
            return KratosLogoutResult(failed=True)
        if set_cookies is not None and self.signs_in and not self.opened_session:
            # Another request may have asked Kratos already and be signing a user in. No receipt would refuse that
            # sign-in: receipts are for sessions here that Kratos opened, and this one was not.
            revoked_credentials.revoke(
                self.kratos, self.credential, revoked_credentials.cached(self.kratos, self.credential)
            )
        revoked_credentials.delete_cached(self.kratos, self.credential)
        events.note(EventKind.TOLD_KRATOS, issuer=self.kratos.issuer)
        return KratosLogoutResult(False, set_cookies or (), self.kratos.cookie_name)


@sensitive_variables()
def pending_logout(request: HttpRequest) -> PendingKratosLogout:
    """The session that a logout of ``request`` has to end at Kratos.

    It is the session that opened the one here. If an OpenID provider opened it, it is the session of Kratos' cookie.
    """
    login = LoginSessionStore.of(request).login or StoredLogin()
    config = conf.get()
    opener = config.kratos_of(login.issuer)
    provider = config.of_client(login.issuer, login.client_id)
    kratos = opener or (provider.kratos if provider else next(iter(config.kratos), None))
    if kratos:
        error_reports.hide_cookies(request, kratos.cookie_name)
    cookie = whoami.cookie_of(request, kratos) if kratos else None
    signs_in = hasattr(request, "kratos")  # KratosMiddleware is installed
    return PendingKratosLogout(kratos, cookie, opener is not None, signs_in, login.logout_token)


@sensitive_variables()
def logout_token(request: HttpRequest) -> str:
    """The token for a logout link of a session that Kratos opened. Costs one call, once per session.

    Raises :exc:`KratosError` (``session_inactive``) if there is no such session, and :exc:`TemporaryError`.
    """
    login = StoredLogin.read(request.session)
    kratos = conf.get().kratos_of(login.issuer) if login else None
    cookie = whoami.cookie_of(request, kratos) if kratos else None
    if login is None or kratos is None or cookie is None:
        raise KratosError("session_inactive", "the request has no session that Kratos' cookie opened")
    if login.logout_token:
        return login.logout_token
    with whoami.cool_down(kratos):
        token = _fetch_logout_token(kratos, cookie)
    request.session[LOGIN_KEY] = replace(login, logout_token=token).as_dict()
    LoginSessionStore.of(request).store()
    return token


@sensitive_variables()
def logout_url(token: str, return_to: str = "") -> str:
    """The absolute URL of this site that logs out the session of ``token``, here and at Kratos."""
    query = {"token": token} | ({"return_to": return_to} if return_to else {})
    return f"{conf.get().absolute('kratos_logout')}?{urlencode(query)}"


@sensitive_variables()
def log_out(request: HttpRequest, token: str) -> KratosLogoutResult:
    """End the session of ``request`` here, and then at Kratos, if ``token`` is its logout token.

    Raises :exc:`KratosError`: ``session_inactive``, ``logout_token_foreign``. Raises :exc:`TemporaryError` if we need
    Kratos to check the token, and cannot ask it.
    """
    pending = _pending_with_token(request)
    if not constant_time_compare(pending.logout_token, token):
        raise KratosError("logout_token_foreign", "the logout token belongs to another session")
    journey.end_current(request, EndReason.RP_INITIATED)
    return pending.send()


@sensitive_variables()
def _pending_with_token(request: HttpRequest) -> PendingKratosLogout:
    """The pending logout with its token. Asks Kratos if this session does not hold the token.

    A logout link can be older than the current session here: that session may be a new one, or there may be none.
    """
    pending = pending_logout(request)
    is_of_other_provider = LOGIN_KEY in request.session and not pending.opened_session
    if pending.kratos is None or pending.credential is None or is_of_other_provider:
        raise KratosError("session_inactive", "the request has no session that Kratos' cookie opened")
    if pending.logout_token:
        return pending
    with whoami.cool_down(pending.kratos):
        return replace(pending, logout_token=_fetch_logout_token(pending.kratos, pending.credential))


@sensitive_variables()
def _log_out_at_kratos(kratos: KratosConfig, cookie: Credential, token: str) -> tuple[str, ...] | None:
    """Log out at Kratos by AJAX, with the cookie alone. ``None``: Kratos has no active session for the cookie.

    If the token belongs to another session by now, fetches a new token.
    """
    try:
        try:
            return kratos.public.log_out(cookie, token or _fetch_logout_token(kratos, cookie))
        except KratosError as error:
            if error.code != "logout_token_foreign":
                raise
            return kratos.public.log_out(cookie, _fetch_logout_token(kratos, cookie))
    except KratosError as error:
        if error.code != "session_inactive":
            raise
        return None


@sensitive_variables()
def _fetch_logout_token(kratos: KratosConfig, cookie: Credential) -> str:
    return kratos.public.logout_flow(cookie).logout_token
