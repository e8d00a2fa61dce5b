"""The Django session of a client that sends a session token with each request, and no cookie.

Token and session are tied together in the cache, so that such a client has one login session and not one a request, on
every session engine; should the cache forget, it gets another.
"""

import logging

from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.views.decorators.debug import sensitive_variables

from ..conf import KratosConfig
from ..exceptions import Undecided
from ..ory.kratos import Credential
from . import whoami

logger = logging.getLogger("django_ory_logout")


@sensitive_variables()
def load(request: HttpRequest, kratos: KratosConfig, credential: Credential) -> SessionBase:
    """The session tied to ``credential``, in place of the one that a cookie named, which is given back."""
    cookies = request.session
    request.session = type(cookies)(kratos.cache.get(_key(kratos, credential)))
    # A middleware before ours may have asked already, and found the person of the cookie.
    request.user = SimpleLazyObject(lambda: auth.get_user(request))  # type: ignore[assignment]
    return cookies


@sensitive_variables()
def save(session: SessionBase, kratos: KratosConfig, credential: Credential) -> None:
    """Save ``session`` where it was changed, as Django does for a cookie's."""
    try:
        if session.is_empty():
            kratos.cache.delete(_key(kratos, credential))
        elif session.modified:
            session.save()
            kratos.cache.set(_key(kratos, credential), session.session_key, session.get_expiry_age())
    except (UpdateError, Undecided) as error:  # it was logged out meanwhile, or the cache keeps nothing
        logger.warning("session of a token not kept: %s", type(error).__name__)


def _key(kratos: KratosConfig, credential: Credential) -> str:
    return f"kratos:session:{whoami.named(kratos, credential)}"
