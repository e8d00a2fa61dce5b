"""The Django session of a client that sends a session token with each request, and no cookie.

The cache stores which session belongs to a token. So such a client has one login session, and not a new one at each
request. If the cache loses the entry, the client gets a new session.
"""

import logging

from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..conf import KratosConfig
from ..exceptions import TemporaryError
from ..models import EndReason
from ..ory.kratos import Credential
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import StoredLogin
from . import request_user, whoami
from .request_user import TokenSession

logger = logging.getLogger("django_ory_logout")


@sensitive_variables()
def load(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> TokenSession:
    """Make the session of ``credential`` the session of the request, instead of the session of a cookie."""
    cookie_session = LoginSessionStore.of(request)
    request.session = find_or_create(cookie_session, kratos, credential)
    request_user.reset_user(request)
    return TokenSession(cookie_session, kratos, credential)


@sensitive_variables()
def find_or_create(
    cookie_session: LoginSessionStore, kratos: KratosConfig, credential: Credential
) -> LoginSessionStore:
    """The session that Kratos opened for ``credential``, or a new one. Raises :exc:`TemporaryError` without cache."""
    session = cookie_session.unloaded_copy(kratos.cache.get(_key(kratos, credential)))
    return session if _is_opened(session, kratos) else cookie_session.unloaded_copy()


@sensitive_variables()
def save(session: LoginSessionStore, kratos: KratosConfig, credential: Credential) -> None:
    """Save ``session`` if it was changed and Kratos opened it. Django does the same for the session of a cookie.

    Anyone can invent a token. So a token must not give access to a session that was opened in another way.
    """
    try:
        if session.is_detached or not _is_opened(session, kratos):
            kratos.cache.delete(_key(kratos, credential))
            session.end(EndReason.USER)
            session.flush()
        elif session.modified:
            session.save()
            kratos.cache.set(_key(kratos, credential), session.session_key, session.get_expiry_age())
    except (UpdateError, TemporaryError) as error:  # another request logged it out, or the cache does not work
        logger.warning("session of a token not saved: %s", type(error).__name__)


def _is_opened(session: SessionBase, kratos: KratosConfig) -> bool:
    return StoredLogin.read_if_opened_by(session, kratos.issuer) is not None


def _key(kratos: KratosConfig, credential: Credential) -> str:
    return f"kratos:session:{whoami.credential_digest(kratos, credential)}"
