"""A user's sessions at Kratos: list them, end one, end all others. They end first here, then at Kratos."""

from collections.abc import Iterable

from django.db.models import Q
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..conf import KratosConfig
from ..exceptions import KratosError
from ..models import EndReason, LoginSessionQuerySet, moment
from ..ory.kratos import Credential, Session
from ..sessions import ending, index, receipts
from ..sessions.stored_login import StoredLogin
from . import whoami
from .request_user import state_of


def is_signed_in(request: HttpRequest) -> bool:
    """Whether Kratos signed the user in."""
    login = StoredLogin.read(request.session)
    return login is not None and conf.get().kratos_of(login.issuer) is not None


def exclude_current(request: HttpRequest, rows: LoginSessionQuerySet) -> LoginSessionQuerySet:
    """``rows`` without those of this request's session at Kratos. Requests that sign in at once open several."""
    login = StoredLogin.read(request.session)
    return rows.exclude(issuer=login.issuer, sid=login.sid) if login and is_signed_in(request) else rows


def exclude_ended(request: HttpRequest, rows: LoginSessionQuerySet, others: Iterable[Session]) -> LoginSessionQuerySet:
    """``rows`` without the user's sessions that Kratos has ended. ``others``: all their other sessions at Kratos."""
    login = StoredLogin.read(request.session) or StoredLogin()
    active = Q(sid__in=[login.sid, *(session.id for session in others)])
    return rows.exclude(~active, issuer=login.issuer, subject=login.subject)


@sensitive_variables()
def other_sessions(request: HttpRequest) -> list[Session]:
    """The other active sessions of the user that Kratos signed in.

    Raises :exc:`KratosError` (``session_inactive`` if Kratos signed nobody in) and :exc:`~..exceptions.TemporaryError`.
    """
    kratos, credential, _login = _caller(request)
    with whoami.cool_down(kratos):
        return kratos.public.sessions(credential)


@sensitive_variables()
def end_session(request: HttpRequest, sid: str) -> None:
    """End another session of the same user. Raises the same errors as :func:`other_sessions`."""
    kratos, credential, login = _caller(request)
    if sid == login.sid:
        raise KratosError("session_is_current", "this is the current session: log out to end it")
    ending.end_rows(_rows(request, kratos).filter(sid=sid), EndReason.USER)
    with whoami.cool_down(kratos):
        for session in kratos.public.sessions(credential):
            if session.id == sid:
                _revoke(kratos, session)
        # Kratos does not end sessions of other users.
        kratos.public.end_session(credential, sid)


@sensitive_variables()
def end_other_sessions(request: HttpRequest) -> int:
    """End all other sessions of the user. Returns how many Kratos ended. Raises as :func:`other_sessions` does."""
    kratos, credential, login = _caller(request)
    ending.end_rows(_rows(request, kratos).exclude(sid=login.sid), EndReason.USER)
    with whoami.cool_down(kratos):
        for session in kratos.public.sessions(credential):
            _revoke(kratos, session)
        return kratos.public.end_other_sessions(credential)


@sensitive_variables()
def _caller(request: HttpRequest) -> tuple[KratosConfig, Credential, StoredLogin]:
    login = StoredLogin.read(request.session)
    kratos = conf.get().kratos_of(login.issuer) if login else None
    credential = whoami.credential_of(request, kratos) if kratos else None
    if login is None or kratos is None or credential is None:
        raise state_of(request).refusal or KratosError("session_inactive", "Kratos signed no user in to this session")
    return kratos, credential, login


def _rows(request: HttpRequest, kratos: KratosConfig) -> LoginSessionQuerySet:
    return index.rows().filter(user_id=str(request.user.pk), issuer=kratos.issuer)


def _revoke(kratos: KratosConfig, session: Session) -> None:
    receipt = receipts.record_logout(kratos.issuer, session.id, moment(whoami.seconds(session.expires_at)))
    index.process(receipt, EndReason.USER)
