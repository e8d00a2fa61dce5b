"""Logout notices of a provider, by the back channel and by the front channel. Functions return no response."""

import time

from django.core import signing
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..exceptions import InvalidMessage, InvalidToken
from ..models import EndReason, EventKind, LogoutNotice, moment
from ..oidc.metadata import origin
from ..oidc.tokens import LogoutToken, unverified_recipient
from ..sessions import ending, events, index, receipts
from ..sessions.store import LoginSessionStore

#: The doctor sends this text in place of a logout token, and the receiver refuses it with this code.
DOCTOR_PROBE_TOKEN, DOCTOR_PROBE_CODE = "ory_doctor", "doctors_probe"
#: How long this site recognises its own signed probe, in seconds.
PROBE_SECONDS = 24 * 60 * 60


# Back-channel


@sensitive_variables()
def back_channel(token: str) -> int:
    """End the login sessions that a logout token names (Back-Channel Logout 2.5 to 2.7). Return their number.

    Raises :exc:`InvalidToken` for an invalid token, and :exc:`TemporaryError` if the provider should send it again.
    """
    if _is_own_probe(token):
        raise InvalidToken("doctors_probe", "the doctor checks whether this receiver answers")
    verified = _verify(token)
    notice = LogoutNotice(verified.issuer, verified.subject, verified.sid, moment(verified.iat))
    start = time.monotonic()
    receipt = receipts.record(notice, verified.jti)
    ended = index.process(receipt, EndReason.BACK_CHANNEL)
    events.accepted(EventKind.BACK_CHANNEL, notice, verified.jti, ended=ended, seconds=time.monotonic() - start)
    return ended


def own_probe() -> str:
    """A :data:`DOCTOR_PROBE_TOKEN` that is signed with ``SECRET_KEY``, so only this site recognises it."""
    return signing.TimestampSigner(salt=DOCTOR_PROBE_TOKEN).sign(DOCTOR_PROBE_TOKEN)


def is_probe(token: str) -> bool:
    """Whether a doctor sent ``token``, of this site or of another. Such requests are not counted."""
    return token.startswith(DOCTOR_PROBE_TOKEN)


def _is_own_probe(token: str) -> bool:
    signer = signing.TimestampSigner(salt=DOCTOR_PROBE_TOKEN)
    try:
        return token == DOCTOR_PROBE_TOKEN or signer.unsign(token, max_age=PROBE_SECONDS) == DOCTOR_PROBE_TOKEN
    except signing.BadSignature:
        return False


@sensitive_variables()
def _verify(token: str) -> LogoutToken:
    """Verify ``token``. Its unverified ``iss`` and ``aud`` only choose the registration to verify it with."""
    site = conf.get()
    registrations = [config.registration for config in site.providers.values()]
    issuer, audience = unverified_recipient(token, registrations)
    of_issuer = site.of_issuer(issuer)
    if not of_issuer:
        raise InvalidToken("issuer_unknown", "iss is no configured issuer")
    for config in of_issuer:
        if config.registration.client_id in audience:
            exp_required = config.logout_token_exp_required
            return config.provider.verify_logout_token(token, now=time.time(), exp_required=exp_required)
    raise InvalidToken("aud_mismatch", "aud contains no client of this site at that issuer")


# Front-channel


@sensitive_variables()
def front_channel(request: HttpRequest, issuer: str | None, sid: str | None) -> bool:
    """End the login sessions of ``(issuer, sid)``, also without a session cookie (Front-Channel Logout 2).

    Without ``iss`` and ``sid``, return whether the caller must end the session of the cookie. Raises
    :exc:`InvalidMessage` for a request that ends nothing.
    """
    if issuer is None and sid is None:
        return _ends_cookie_session(LoginSessionStore.of(request))
    if not issuer or not sid:
        raise InvalidMessage("iss_or_sid_missing", "iss and sid come together or not at all")
    if not conf.get().of_issuer(issuer):
        raise InvalidMessage("issuer_unknown", "iss is no configured issuer")
    start, notice = time.monotonic(), LogoutNotice(issuer, None, sid, timezone.now())
    ended = ending.end_rows(index.rows().named_by(notice), EndReason.FRONT_CHANNEL)
    if ended:  # anyone can send notices that match no session, in any number
        events.accepted(EventKind.FRONT_CHANNEL, notice, sid, ended=ended, seconds=time.monotonic() - start)
    elif sid != DOCTOR_PROBE_TOKEN:
        events.note(EventKind.FRONT_CHANNEL, issuer=issuer, sid=sid)
    return False


def _ends_cookie_session(session: LoginSessionStore) -> bool:
    """Whether the settings of the session's client allow a request without ``iss`` and ``sid``.

    Any page can send such a request, so ``FRONTCHANNEL_LOGOUT_SESSION_REQUIRED`` must be switched off.
    """
    allowed = {
        (provider.registration.issuer, provider.registration.client_id)
        for provider in conf.get().providers.values()
        if not provider.frontchannel_logout_session_required
    }
    if not allowed:
        raise InvalidMessage("iss_and_sid_required", "FRONTCHANNEL_LOGOUT_SESSION_REQUIRED, and neither came")
    login = session.login
    if login:
        return (login.issuer, login.client_id) in allowed
    # If the session cannot be read, its key still finds its row.
    row = index.rows().named_as(session.name).filter(ended_at=None).first()
    return row is not None and (row.issuer, row.client_id) in allowed


def frame_ancestors(issuer: str | None) -> list[str]:
    """The origins that may frame our front-channel page. Makes no call.

    Those of the providers of ``issuer``; without ``issuer``, or for an unknown one, of all providers.
    """
    config = conf.get()
    origins = set()
    for provider in config.of_issuer(issuer) or config.providers.values():
        origins.add(origin(provider.registration.issuer))
        metadata = provider.provider.cached_metadata(time.time())
        if metadata and metadata.end_session_endpoint:
            origins.add(origin(metadata.end_session_endpoint))
    return sorted(origins)
