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
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import InvalidMessage, InvalidToken, LogoutUnconfirmed, TemporaryError, fault_name
from ..models import EndReason, EventKind, LogoutNotice, moment
from ..oidc import messages
from ..oidc.messages import EndSessionRequest
from ..oidc.metadata import ProviderMetadata, origin
from ..oidc.tokens import LogoutToken, unverified_recipient
from ..sessions import ending, events, index, receipts
from ..sessions.store import LoginSessionStore
from ..sessions.stored_login import StoredLogin

logger = logging.getLogger("django_ory_logout")

#: How long the way to the provider and back may take, in seconds.
STATE_SECONDS = 24 * 60 * 60
SALT = "django_ory_logout.logout"
#: What the doctor sends in place of a logout token, and the code that refuses it.
DOCTOR_PROBE_TOKEN, OF_DOCTOR = "ory_doctor", "doctors_probe"


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
    metadata = config.provider.held_metadata(time.time())
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


# Back-channel


@sensitive_variables()
def back_channel(token: str) -> int:
    """Do what a logout token says (Back-Channel Logout 2.5 to 2.7); says how many login sessions ended.

    Raises :exc:`InvalidToken` for a token to refuse and :exc:`TemporaryError` for one to send again.
    """
    if _is_own_probe(token):
        raise InvalidToken("doctors_probe", "the doctor looks whether this receiver answers")
    verified = _verified(token)
    notice = LogoutNotice(verified.issuer, verified.subject, verified.sid, moment(verified.iat))
    began = time.monotonic()
    receipt = receipts.record(notice, verified.jti)
    ended = index.process(receipt, EndReason.BACK_CHANNEL)
    events.accepted(EventKind.BACK_CHANNEL, notice, verified.jti, ended=ended, seconds=time.monotonic() - began)
    return ended


def own_probe() -> str:
    """A :data:`DOCTOR_PROBE_TOKEN` that this site alone knows for its own, by its ``SECRET_KEY``."""
    return signing.TimestampSigner(salt=DOCTOR_PROBE_TOKEN).sign(DOCTOR_PROBE_TOKEN)


def is_probe(token: str) -> bool:
    """Whether a doctor has sent that, this site's or another's: nobody counts it."""
    return token.startswith(DOCTOR_PROBE_TOKEN)


def _is_own_probe(token: str) -> bool:
    try:
        return (
            token == DOCTOR_PROBE_TOKEN
            or signing.TimestampSigner(salt=DOCTOR_PROBE_TOKEN).unsign(token, max_age=STATE_SECONDS)
            == DOCTOR_PROBE_TOKEN
        )
    except signing.BadSignature:
        return False


@sensitive_variables()
def _verified(token: str) -> LogoutToken:
    """``token``, verified with the one registration that it is for; whom it claims to be for decides nothing else."""
    config = conf.get()
    issuer, audience = unverified_recipient(token, [one.registration for one in config.providers.values()])
    of_issuer = config.of_issuer(issuer)
    if not of_issuer:
        raise InvalidToken("issuer_unknown", "iss is no configured issuer")
    for one in of_issuer:
        if one.registration.client_id in audience:
            return one.provider.verify_logout_token(token, now=time.time(), exp_required=one.logout_token_exp_required)
    raise InvalidToken("aud_mismatch", "aud contains no client of this site at that issuer")


# Front-channel


@sensitive_variables()
def front_channel(request: HttpRequest, issuer: str | None, sid: str | None) -> bool:
    """Do what a front-channel request says (Front-Channel Logout 2).

    Ends ``(issuer, sid)``, with or without a cookie. Says whether the session of the cookie that came has to end
    instead. Raises :exc:`InvalidMessage` for a request that ends nothing.
    """
    if issuer is None and sid is None:
        return _ends_cookie_session(LoginSessionStore.of(request))
    if not issuer or not sid:
        raise InvalidMessage("iss_or_sid_missing", "iss and sid come together or not at all")
    if not conf.get().of_issuer(issuer):
        raise InvalidMessage("issuer_unknown", "iss is no configured issuer")
    began, notice = time.monotonic(), LogoutNotice(issuer, None, sid, timezone.now())
    ended = ending.end_rows(index.rows().named_by(notice), EndReason.FRONT_CHANNEL)
    if ended:  # a stranger can name what is not there, as often as he likes
        events.accepted(EventKind.FRONT_CHANNEL, notice, sid, ended=ended, seconds=time.monotonic() - began)
    elif sid != DOCTOR_PROBE_TOKEN:
        events.note(EventKind.FRONT_CHANNEL, issuer=issuer, sid=sid)
    return False


def _ends_cookie_session(session: LoginSessionStore) -> bool:
    """Without ``iss`` and ``sid``, a link on any page could do this: only a registration that says so allows it."""
    allowed = {
        (one.registration.issuer, one.registration.client_id)
        for one in conf.get().providers.values()
        if not one.frontchannel_logout_session_required
    }
    if not allowed:
        raise InvalidMessage("iss_and_sid_required", "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED, and neither came")
    login = session.login
    if login:
        return (login.issuer, login.client_id) in allowed
    # Where the session cannot be read, its key still names its row.
    row = index.rows().named_as(session.name).filter(ended_at=None).first()
    return row is not None and (row.issuer, row.client_id) in allowed


def frame_ancestors(issuer: str | None) -> list[str]:
    """The origins that may frame our front-channel page: those of the providers of ``issuer``, or of all; no call."""
    config = conf.get()
    origins = set()
    for one in config.of_issuer(issuer) or config.providers.values():
        origins.add(origin(one.registration.issuer))
        metadata = one.provider.held_metadata(time.time())
        if metadata and metadata.end_session_endpoint:
            origins.add(origin(metadata.end_session_endpoint))
    return sorted(origins)
