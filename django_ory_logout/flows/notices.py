"""Logout notices that a provider sends, by the back channel and by the front channel. Values out, never a response."""

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

#: What the doctor sends in place of a logout token, and the code that refuses it.
DOCTOR_PROBE_TOKEN, OF_DOCTOR = "ory_doctor", "doctors_probe"
#: How long a probe of this site is known for its own, in seconds.
PROBE_SECONDS = 24 * 60 * 60


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
            or signing.TimestampSigner(salt=DOCTOR_PROBE_TOKEN).unsign(token, max_age=PROBE_SECONDS)
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
        metadata = one.provider.cached_metadata(time.time())
        if metadata and metadata.end_session_endpoint:
            origins.add(origin(metadata.end_session_endpoint))
    return sorted(origins)
