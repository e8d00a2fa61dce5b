"""Sign-in by the Kratos credential of a request: a user who is signed in at Kratos is signed in to this site."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
    TemporaryError,
)
from ..flows import login, logout
from ..models import EndReason
from ..ory.kratos import Credential
from ..sessions.stored_login import LOGIN_KEY, StoredLogin
from . import request_user, whoami
from .request_user import state_of
from .whoami import KratosSession, WhoamiResult

logger = logging.getLogger("django_ory_logout")


def default_kratos() -> KratosConfig | None:
    """The Kratos that users sign in at: the first in the settings."""
    return next(iter(conf.get().kratos), None)


def requested_kratos(parameters: Mapping[str, str]) -> KratosConfig | None:
    """The Kratos that a sign-in request names by its alias, or the default Kratos if there is no OpenID provider.

    ``None``: the request signs in at an OpenID provider.
    """
    config = conf.get()
    standalone = {kratos.alias: kratos for kratos in config.kratos if kratos.alias not in config.providers}
    alias = parameters.get("provider")
    if "iss" in parameters or (alias is None and config.providers and "default" not in standalone):
        return None
    if alias is None:
        return standalone.get("default") or default_kratos()
    return standalone.get(alias)


def end_session_without_credential(request: Any, kratos: KratosConfig) -> None:
    """End a session that Kratos opened: when it is read, or now if a middleware has read it already."""
    request.session.issuer_without_cookie = kratos.issuer
    if request.session.accessed and StoredLogin.read_if_opened_by(request.session, kratos.issuer):
        logout.end_current(request, EndReason.KRATOS)
        request_user.reset_user(request)


@sensitive_variables()
def sign_in(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> OryLogoutError | None:
    """Sign in the user of ``credential``, unless this session is already theirs. A session of another user ends.

    A user who signed in to this site in another way stays signed in. Returns the reason if the credential signs nobody
    in: :exc:`KratosError`, :exc:`SignInRefused`, :exc:`LoggedOutMeanwhile`, :exc:`SetupError`. Raises
    :exc:`~..exceptions.TemporaryError`.
    """
    stored = StoredLogin.read(request.session)
    if SESSION_KEY in request.session and (not stored or stored.issuer != kratos.issuer):
        return None
    result = whoami.lookup(kratos, credential)
    session = result.accepted_session
    if stored and session and (stored.sid, stored.subject) == (session.sid, session.subject):
        _extend_expiry(request.session, stored, session)
        return None
    if stored:
        logout.end_current(request, EndReason.KRATOS)
    try:
        _start_session(request, kratos, credential, result)
    except OryLogoutError as error:
        if isinstance(error, TemporaryError) and not isinstance(error, SetupError):
            raise
        return error
    finally:
        request_user.reset_user(request)
    return None


def _extend_expiry(session: SessionBase, stored: StoredLogin, kratos_session: KratosSession) -> None:
    """Kratos may have extended its session. We must remember a logout for as long as that session can live."""
    if kratos_session.expires_at > stored.expires_at:
        session[LOGIN_KEY] = replace(stored, expires_at=kratos_session.expires_at).as_dict()


@sensitive_variables()
def _start_session(request: Any, kratos: KratosConfig, credential: Credential, result: WhoamiResult) -> None:
    kratos_session = _session_of(result)
    if result.code == "logged_out_here" or whoami.is_logged_out(kratos, credential, kratos_session):
        raise LoggedOutMeanwhile("logged_out_here", "this session at Kratos was logged out here")
    stored = StoredLogin.of(kratos_session, provider=kratos.alias, expires_at=kratos_session.expires_at)
    try:
        user = backends.authenticate(request, kratos_session=kratos_session, provider=kratos)
        login.start_session(request, user, kratos_session, stored)
    except (SignInRefused, SetupError) as refusal:
        # The refusal is stored, so that we do not ask Kratos again at each request of this user.
        logger.warning("sign-in by Kratos refused: %s", refusal)
        whoami.store(kratos, credential, WhoamiResult(code=refusal.code, detail=refusal.detail))
        raise
    state_of(request).has_signed_in = True


def _session_of(result: WhoamiResult) -> KratosSession:
    if result.code == "session_aal2_required":
        raise SecondFactorRequired(result.redirect_browser_to)
    if result.code in backends.REFUSALS:
        raise backends.REFUSALS[result.code](result.code, result.detail)
    if result.session is None:
        raise KratosError("session_inactive", "Kratos has no active session for this credential")
    return result.session
