"""The Django session of a client that sends a session token with each request, and no cookie.

Token and session are tied together in the cache, so that such a client has one login session and not one a request, on
every session engine; should the cache forget, it gets another.
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
    """Put the session tied to ``credential`` in place of the one that a cookie named."""
    cookies = LoginSessionStore.of(request)
    request.session = tied(cookies, kratos, credential)
    request_user.look_again(request)
    return TokenSession(cookies, kratos, credential)


@sensitive_variables()
def tied(cookies: LoginSessionStore, kratos: KratosConfig, credential: Credential) -> LoginSessionStore:
    """The session that Kratos opened for ``credential``, or a new one. Raises :exc:`TemporaryError` without cache."""
    session = cookies.unloaded_copy(kratos.cache.get(_key(kratos, credential)))
    return session if _is_opened(session, kratos) else cookies.unloaded_copy()


@sensitive_variables()
def save(session: LoginSessionStore, kratos: KratosConfig, credential: Credential) -> None:
    """Save ``session`` where it was changed, as Django does for a cookie's, if Kratos opened it.

    Anybody can make a token up: it must not become the key to what was signed in in another way.
    """
    try:
        if session.is_detached or not _is_opened(session, kratos):
            kratos.cache.delete(_key(kratos, credential))
            session.end(EndReason.USER)
            session.flush()
        elif session.modified:
            session.save()
            kratos.cache.set(_key(kratos, credential), session.session_key, session.get_expiry_age())
    except (UpdateError, TemporaryError) as error:  # it was logged out meanwhile, or the cache keeps nothing
        logger.warning("session of a token not kept: %s", type(error).__name__)


def _is_opened(session: SessionBase, kratos: KratosConfig) -> bool:
    return StoredLogin.read_if_opened_by(session, kratos.issuer) is not None


def _key(kratos: KratosConfig, credential: Credential) -> str:
    return f"kratos:session:{whoami.credential_digest(kratos, credential)}"
