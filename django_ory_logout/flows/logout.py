"""Logout that starts at this site. Functions return values, never a response."""

import logging
import secrets
import time
from dataclasses import dataclass

from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.db import Error as DatabaseFault
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..database import database_fault
from ..exceptions import LogoutUnconfirmed, TemporaryError, fault_name
from ..models import EndReason, EventKind
from ..oidc import messages
from ..oidc.messages import EndSessionRequest
from ..oidc.metadata import ProviderMetadata
from ..sessions import events
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

#: How long a logout at the provider may take, in seconds.
STATE_SECONDS = 24 * 60 * 60
SALT = "django_ory_logout.logout"


# RP-initiated


@sensitive_variables()
def sign_out(request: HttpRequest) -> tuple[StoredLogin | None, bool]:
    """End the local session. Return its login, if it can be read, and whether a provider had opened the session.

    Raises :exc:`~.exceptions.LogoutUnconfirmed`.
    """
    login = LoginSessionStore.of(request).login
    was_opened = end_current(request, EndReason.RP_INITIATED if login else EndReason.USER)
    return login, was_opened or login is not None


def end_current(request: HttpRequest, reason: EndReason) -> bool:
    """End the row of the current session, then call Django's ``logout()``. A fault of the latter is only logged.

    Return whether a provider had opened the session. Raises :exc:`~.exceptions.LogoutUnconfirmed` if the row could
    not be ended.
    """
    session = LoginSessionStore.of(request)
    was_opened = session.end(reason)
    try:
        auth.logout(request)
    except Exception as error:
        # For example, a receiver of user_logged_out raised, or the user could not be read.
        logger.exception("logout goes on without what failed: internal_error: %s", fault_name(error))
    session.flush()
    request.user = AnonymousUser()
    return was_opened


@sensitive_variables()
def end_session_request(login: StoredLogin, state: str) -> EndSessionRequest | None:
    """The request to the provider that opened ``login``, or ``None`` if there can be none now (the log says why)."""
    kratos = conf.get().kratos_of(login.issuer)
    if kratos:
        return _hydra_request(kratos.alias)
    config = conf.get().of_client(login.issuer, login.client_id)
    if config is None:
        logger.warning("logout at the provider left out: provider_unknown: its registration is no longer configured")
        return None
    metadata = _metadata(config)
    return _end_session_request(config, metadata, login, state) if metadata else None


def _hydra_request(alias: str) -> EndSessionRequest | None:
    """The request to Hydra for a session that Kratos opened, if Hydra uses Kratos as its login page.

    There is no ID token, so Hydra finds its session by its own cookie. Without the hint, Hydra accepts no ``state`` and
    no redirect URI: the browser stays at Hydra.
    """
    config = conf.get().providers.get(alias)
    metadata = _metadata(config) if config else None
    return EndSessionRequest(metadata.end_session_endpoint or "", {}) if metadata else None


def _metadata(config: conf.ProviderConfig) -> ProviderMetadata | None:
    """The provider's metadata, or ``None`` if it has no end session endpoint or does not answer (logged)."""
    try:
        metadata = config.provider.metadata(time.time())
    except TemporaryError as error:
        logger.warning("logout at the provider left out: %s", error)
        return None
    if metadata.end_session_endpoint is None:
        logger.warning("logout at the provider left out: end_session_endpoint_missing: the provider announces none")
        return None
    return metadata


@sensitive_variables()
def held_end_session_request(login: StoredLogin, state: str) -> EndSessionRequest | None:
    """The end-session request for ``logout_link``.

    The session here ends when the browser returns to ``logout_callback``. It uses only cached metadata, so a page
    with the link makes no call and no log line.
    """
    config = conf.get().of_client(login.issuer, login.client_id)
    if config is None or config.post_logout_redirect_uri:
        return None
    metadata = config.provider.cached_metadata(time.time())
    if metadata is None or metadata.end_session_endpoint is None:
        return None
    return _end_session_request(config, metadata, login, state)


@sensitive_variables()
def _end_session_request(
    config: conf.ProviderConfig, metadata: ProviderMetadata, login: StoredLogin, state: str
) -> EndSessionRequest:
    return messages.end_session_request(
        metadata.end_session_endpoint or "",
        config.end_session_request_method,
        id_token_hint=login.id_token,
        client_id=config.registration.client_id,
        post_logout_redirect_uri=config.post_logout_redirect_uri or conf.get().absolute("logout_callback"),
        state=state,
    )


def new_state(next_url: str, *, incomplete: bool = False, login_session: str = "") -> str:
    """A signed ``state`` for an end-session request. It is readable when the session has ended.

    ``incomplete``: the logout at Kratos failed. ``login_session``: the id of the row that ends when the browser returns
    with this ``state``; empty if it has ended already.
    """
    state = {"next": next_url, "incomplete": incomplete, "id": secrets.token_urlsafe(12)}
    return signing.dumps(state | ({"login_session": login_session} if login_session else {}), salt=SALT)


def state_id(state: str) -> str:
    """An id of ``state`` for the log of events. Nobody can make the ``state`` from it."""
    return str(signing.loads(state, salt=SALT)["id"])


@dataclass(frozen=True)
class LogoutCallback:
    """The ``state`` of a post-logout redirect.

    ``started_here``: it is ours. See :func:`new_state` for the other fields.
    """

    started_here: bool
    next: str = ""
    incomplete: bool = False


@sensitive_variables()
def return_from_provider(request: HttpRequest, state: str) -> LogoutCallback:
    """Handle a browser that returns from the provider. After ``logout_link``, its session here ends only now.

    Raises :exc:`~.exceptions.LogoutUnconfirmed`.
    """
    try:
        content = signing.loads(state, salt=SALT)
        if "login_session" not in content:
            content = signing.loads(state, salt=SALT, max_age=STATE_SECONDS)
    except signing.BadSignature:
        return LogoutCallback(started_here=False)
    if "login_session" in content:
        _end_after_link(request, content["login_session"])
        return LogoutCallback(started_here=True)
    events.note(EventKind.RETURNED, code=content["id"])
    return LogoutCallback(True, content["next"], content.get("incomplete", False))


def _end_after_link(request: HttpRequest, row_id: str) -> None:
    session = LoginSessionStore.of(request)
    try:
        is_current = session.belongs_to(row_id)
    except DatabaseFault as error:
        fault, reason = database_fault(error), EndReason.RP_INITIATED
        raise LogoutUnconfirmed.because_of(fault, name=session.name, reason=reason) from error
    if is_current:
        login = session.login or StoredLogin()
        end_current(request, EndReason.RP_INITIATED)
        events.note(EventKind.RETURNED, issuer=login.issuer, sid=login.sid or "")
