"""Logging out of a native application, which has a session token: here first, and then at Kratos."""

import logging

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..conf import KratosConfig
from ..exceptions import KratosError, TemporaryError
from ..models import EndReason
from ..ory.kratos import Credential
from ..sessions import receipts
from ..sessions.store import LoginSessionStore
from . import revoked_credentials, token_sessions, whoami

logger = logging.getLogger("django_ory_logout")


@sensitive_variables()
def log_out(request: HttpRequest, kratos: KratosConfig, session_token: str) -> None:
    """End what ``session_token`` opened here, and then its session at Kratos. Safe to repeat.

    Raises :exc:`TemporaryError` when Kratos could not be told, or nobody could say what the token opened here: that is
    refused already, and ends when Kratos is asked about it next.
    """
    credential = Credential(session_token)
    fault = _end_carried(request, kratos, credential)
    unsure = revoked_credentials.refuse(kratos, credential, revoked_credentials.lookup(kratos, credential))
    try:
        with whoami.cool_down(kratos):
            kratos.public.log_out_natively(session_token)
    except KratosError as error:
        # Kratos does not know it, or no longer: there is nothing left to end.
        logger.info("native logout: %s", error)
        if unsure and error.code == "session_unknown":
            receipts.withdraw(unsure)
    revoked_credentials.forget(kratos, credential)
    if fault and unsure:
        raise fault


@sensitive_variables()
def _end_carried(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> TemporaryError | None:
    """End the session here that is tied to ``credential``; or say why nobody knows whether there is one.

    The session of a cookie that came with it is left alone.
    """
    try:
        session = token_sessions.tied(LoginSessionStore.of(request), kratos, credential)
    except TemporaryError as error:
        logger.warning("session of a token not looked for: %s", error)
        return error
    session.end(EndReason.RP_INITIATED)
    session.flush()
    return None
