"""Logging out: started here, or told by the provider. Values out, never a response."""

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
from ..exceptions import LogoutUnconfirmed, TemporaryError, fault_name
from ..models import EndReason, EventKind
from ..oidc import messages
from ..oidc.messages import EndSessionRequest
from ..oidc.metadata import ProviderMetadata
from ..sessions import events
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

#: How long the way to the provider and back may take, in seconds.
STATE_SECONDS = 24 * 60 * 60
SALT = "django_ory_logout.logout"


# RP-initiated


@sensitive_variables()
def sign_out(request: HttpRequest) -> tuple[StoredLogin | None, bool]:
    """End the local session, whatever comes after.

    Gives what it kept of the provider that opened it, if that can be read, and whether a provider did. Raises
    :exc:`~.exceptions.LogoutUnconfirmed`.
    """
    login = LoginSessionStore.of(request).login
    was_opened = end_current(request, EndReason.RP_INITIATED if login else EndReason.USER)
    return login, was_opened or login is not None


def end_current(request: HttpRequest, reason: EndReason) -> bool:
    """Django's own ``logout()``, with a reason. Once the row has ended, nothing is in its way.

    Says whether a provider had opened the session. Raises :exc:`~.exceptions.LogoutUnconfirmed` when the row could not
    be ended.
    """
    session = LoginSessionStore.of(request)
    was_opened = session.end(reason)
    try:
        auth.logout(request)
    except Exception as error:
        # A receiver of user_logged_out raised, or the user could not be read.
        logger.exception("logout goes on without what failed: internal_error: %s", fault_name(error))
    session.flush()
    request.user = AnonymousUser()
    return was_opened


@sensitive_variables()
def end_session_request(login: StoredLogin, state: str) -> EndSessionRequest | None:
    """The request to the provider that opened ``login``, or ``None`` when there is no way to tell it now (logged)."""
    kratos = conf.get().kratos_of(login.issuer)
    if kratos:
        return _request_to_hydra(kratos.alias)
    config = conf.get().of_client(login.issuer, login.client_id)
    if config is None:
        logger.warning("logout at the provider left out: provider_unknown: its registration is no longer configured")
        return None
    metadata = _metadata(config)
    return _end_session_request(config, metadata, login, state) if metadata else None


def _request_to_hydra(alias: str) -> EndSessionRequest | None:
    """A logout at the Hydra whose login page is the Kratos that opened a session: without a hint, by its own cookie.

    Hydra takes neither ``state`` nor a redirect URI then, and the browser stays there.
    """
    config = conf.get().providers.get(alias)
    metadata = _metadata(config) if config else None
    return EndSessionRequest(metadata.end_session_endpoint or "", {}) if metadata else None


def _metadata(config: conf.ProviderConfig) -> ProviderMetadata | None:
    """What the provider says of itself, if that has an end session endpoint; else why not, in the log."""
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
    """The same for a link, which ends the session here only when the browser comes back to ``logout_callback``.

    By what is known already: a page that shows it neither waits for the provider nor fills the log.
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
    """A ``state`` for the way to the provider and back. It is signed: the session that made it may be gone by then.

    ``incomplete``: Kratos had to be told, and could not be. ``login_session``: the id of the row that ends when a
    browser comes back with this ``state``; empty where it has ended before.
    """
    state = {"next": next_url, "incomplete": incomplete, "id": secrets.token_urlsafe(12)}
    return signing.dumps(state | ({"login_session": login_session} if login_session else {}), salt=SALT)


def state_id(state: str) -> str:
    """What tells one :func:`new_state` from another, and is of no use to anybody."""
    return str(signing.loads(state, salt=SALT)["id"])


@dataclass(frozen=True)
class Returned:
    """A browser is back from the provider. ``started_here``: its ``state`` is ours; the rest is :func:`new_state`'s."""

    started_here: bool
    next: str = ""
    incomplete: bool = False


@sensitive_variables()
def return_from_provider(request: HttpRequest, state: str) -> Returned:
    """A browser that left by ``logout_link`` is logged out here now; every other one was before it left.

    Raises :exc:`~.exceptions.LogoutUnconfirmed`.
    """
    try:
        left = signing.loads(state, salt=SALT)
        if "login_session" not in left:
            left = signing.loads(state, salt=SALT, max_age=STATE_SECONDS)
    except signing.BadSignature:
        return Returned(started_here=False)
    if "login_session" in left:
        _return_by_link(request, left["login_session"])
        return Returned(started_here=True)
    events.note(EventKind.RETURNED, code=left["id"])
    return Returned(True, left["next"], left.get("incomplete", False))


def _return_by_link(request: HttpRequest, row_id: str) -> None:
    session = LoginSessionStore.of(request)
    try:
        ends = session.belongs_to(row_id)
    except DatabaseFault as error:
        reason = EndReason.RP_INITIATED
        raise LogoutUnconfirmed("database_fault", type(error).__name__, name=session.name, reason=reason) from error
    if ends:
        login = session.login or StoredLogin()
        end_current(request, EndReason.RP_INITIATED)
        events.note(EventKind.RETURNED, issuer=login.issuer, sid=login.sid or "")
