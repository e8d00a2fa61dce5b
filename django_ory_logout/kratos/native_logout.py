"""Log out a native application, which has a session token: first here, then at Kratos."""

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
    """End the session that ``session_token`` opened here, and then its session at Kratos. Safe to repeat.

    Raises :exc:`TemporaryError` if Kratos did not confirm the logout, or if neither the cache nor Kratos could name the
    session here. Even then, the token signs nobody in from now on. The session here ends when this site asks Kratos
    about the token the next time.
    """
    credential = Credential(session_token)
    cache_error = _end_token_session(request, kratos, credential)
    receipt = revoked_credentials.revoke(kratos, credential, revoked_credentials.lookup(kratos, credential))
    try:
        with whoami.cool_down(kratos):
            kratos.public.log_out_natively(session_token)
    except KratosError as error:
        # Kratos has no session for this token, so there is nothing to end.
        logger.info("native logout: %s", error)
        if receipt and error.code == "session_unknown":
            receipts.withdraw(receipt)
    revoked_credentials.delete_cached(kratos, credential)
    if cache_error and receipt:
        raise cache_error


@sensitive_variables()
def _end_token_session(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> TemporaryError | None:
    """End the session that ``credential`` opened here. Returns the error if the cache could not say which one it is.

    A session cookie in the same request keeps its session.
    """
    try:
        session = token_sessions.find_or_create(LoginSessionStore.of(request), kratos, credential)
    except TemporaryError as error:
        logger.warning("cannot look up the session of a token: %s", error)
        return error
    session.end(EndReason.RP_INITIATED)
    session.flush()
    return None
