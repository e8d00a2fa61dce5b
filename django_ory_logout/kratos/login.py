"""Sign-in by what a request carries: whom Kratos says is signed in, is signed in here."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.contrib import auth
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .. import backends, conf
from ..conf import KratosConfig
from ..exceptions import (
    KratosError,
    LoggedOutMeanwhile,
    OryLogoutError,
    SecondFactorRequired,
    SetupError,
    SignInRefused,
)
from ..flows import login, logout
from ..models import EndReason
from ..ory.kratos import Credential
from ..sessions.stored_login import LOGIN_KEY, StoredLogin
from . import request_user, whoami
from .request_user import state_of
from .whoami import KratosSession, WhoamiResult

logger = logging.getLogger("django_ory_logout")


def configured() -> KratosConfig | None:
    """The Kratos that people sign in at: the first of the settings."""
    return next(iter(conf.get().kratos), None)


def asked_for(parameters: Mapping[str, str]) -> KratosConfig | None:
    """The Kratos at which a request to sign in asks to, by its alias or for want of an OpenID provider."""
    config = conf.get()
    alone = {one.alias: one for one in config.kratos if one.alias not in config.providers}
    if "iss" in parameters or ("provider" not in parameters and config.providers and "default" not in alone):
        return None
    return alone.get(parameters.get("provider", "default")) or (configured() if "provider" not in parameters else None)


def leave(request: Any, kratos: KratosConfig) -> None:
    """No credential came: a session that Kratos opened ends when it is read, or now if a middleware has read it."""
    request.session.refused_issuer = kratos.issuer
    if request.session.accessed and StoredLogin.read_if_opened_by(request.session, kratos.issuer):
        logout.end_current(request, EndReason.KRATOS)
        request_user.look_again(request)


@sensitive_variables()
def enter(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> OryLogoutError | None:
    """Sign in whom ``credential`` stands for, unless it is done; what it stands for no longer ends.

    Who signed in here in another way is left alone. Says why nobody is signed in by it: :exc:`KratosError`,
    :exc:`SignInRefused`, :exc:`LoggedOutMeanwhile`. Raises :exc:`~..exceptions.TemporaryError`.
    """
    kept = StoredLogin.read(request.session)
    if SESSION_KEY in request.session and (not kept or kept.issuer != kratos.issuer):
        return None
    found = whoami.lookup(kratos, credential)
    if kept and found.admitted and (kept.sid, kept.subject) == (found.admitted.sid, found.admitted.subject):
        _prolong(request.session, kept, found.admitted)
        return None
    if kept:
        logout.end_current(request, EndReason.KRATOS)
    try:
        _admit(request, kratos, credential, found)
    except OryLogoutError as error:
        return error
    finally:
        request_user.look_again(request)
    return None


def _prolong(session: SessionBase, kept: StoredLogin, at_kratos: KratosSession) -> None:
    """The session at Kratos may live longer by now, and as long a logout here has to be remembered."""
    if at_kratos.expires_at > kept.expires_at:
        session[LOGIN_KEY] = replace(kept, expires_at=at_kratos.expires_at).as_dict()


@sensitive_variables()
def _admit(request: Any, kratos: KratosConfig, credential: Credential, found: WhoamiResult) -> None:
    at_kratos = _session(found)
    if whoami.is_logged_out(kratos, credential, at_kratos):
        raise LoggedOutMeanwhile("logged_out_here", "this session at Kratos was logged out here")
    kept = StoredLogin.of(at_kratos, provider=kratos.alias, expires_at=at_kratos.expires_at)
    try:
        backends.require_importable()
        user = auth.authenticate(request, kratos_session=at_kratos, provider=kratos)
        if user is None:
            raise backends.refusal_of(request)
        login.start_session(request, user, at_kratos, kept)
    except (SignInRefused, SetupError) as refusal:
        # Who may not sign in is not looked up with each request.
        logger.warning("sign-in by Kratos refused: %s", refusal)
        whoami.keep(kratos, credential, WhoamiResult(code=refusal.code, detail=refusal.detail))
        raise
    state_of(request).has_signed_in = True


def _session(found: WhoamiResult) -> KratosSession:
    if found.code == "session_aal2_required":
        raise SecondFactorRequired(found.redirect_browser_to)
    if found.code in backends.REFUSALS:
        raise backends.REFUSALS[found.code](found.code, found.detail)
    if found.code == "logged_out_here":
        raise LoggedOutMeanwhile("logged_out_here", "this session at Kratos was logged out here")
    if found.session is None:
        raise KratosError("session_inactive", "Kratos knows no such session any more")
    return found.session
