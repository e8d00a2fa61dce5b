"""A person's sessions at Kratos: list them, end one, end all others. Here first, and then there."""

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
    """Whether it is Kratos that says who is signed in."""
    login = StoredLogin.read(request.session)
    return login is not None and conf.get().kratos_of(login.issuer) is not None


def apart(request: HttpRequest, rows: LoginSessionQuerySet) -> LoginSessionQuerySet:
    """``rows`` without those of the session at Kratos that this request is in.

    There can be several: a browser whose first requests come at once signs in once with each.
    """
    login = StoredLogin.read(request.session)
    return rows.exclude(issuer=login.issuer, sid=login.sid) if login and is_signed_in(request) else rows


def alive(request: HttpRequest, rows: LoginSessionQuerySet, at_kratos: Iterable[Session]) -> LoginSessionQuerySet:
    """``rows`` without those of the same person that Kratos has ended: ``at_kratos`` are all its others."""
    login = StoredLogin.read(request.session) or StoredLogin()
    living = Q(sid__in=[login.sid, *(one.id for one in at_kratos)])
    return rows.exclude(~living, issuer=login.issuer, subject=login.subject)


@sensitive_variables()
def others(request: HttpRequest) -> list[Session]:
    """The other living sessions of whoever is signed in by Kratos.

    Raises :exc:`KratosError`, ``session_inactive`` for nobody, and :exc:`~..exceptions.TemporaryError`.
    """
    kratos, credential, _login = _caller(request)
    with whoami.cool_down(kratos):
        return kratos.public.sessions(credential)


@sensitive_variables()
def end_one(request: HttpRequest, sid: str) -> None:
    """End one other session, if it is one of the same person's. Raises as :func:`others`."""
    kratos, credential, login = _caller(request)
    if sid == login.sid:
        raise KratosError("session_is_current", "a session does not end itself here: it logs out")
    ending.end_rows(_rows(request, kratos).filter(sid=sid), EndReason.USER)
    with whoami.cool_down(kratos):
        for session in kratos.public.sessions(credential):
            if session.id == sid:
                _refuse(kratos, session)
        # Kratos ends no session of anybody else's.
        kratos.public.end_session(credential, sid)


@sensitive_variables()
def end_others(request: HttpRequest) -> int:
    """End all other sessions of the person; says how many Kratos ended. Raises as :func:`others`."""
    kratos, credential, login = _caller(request)
    ending.end_rows(_rows(request, kratos).exclude(sid=login.sid), EndReason.USER)
    with whoami.cool_down(kratos):
        for session in kratos.public.sessions(credential):
            _refuse(kratos, session)
        return kratos.public.end_other_sessions(credential)


@sensitive_variables()
def _caller(request: HttpRequest) -> tuple[KratosConfig, Credential, StoredLogin]:
    login = StoredLogin.read(request.session)
    kratos = conf.get().kratos_of(login.issuer) if login else None
    credential = whoami.credential_of(request, kratos) if kratos else None
    if login is None or kratos is None or credential is None:
        raise state_of(request).refusal or KratosError("session_inactive", "nobody is signed in by Kratos")
    return kratos, credential, login


def _rows(request: HttpRequest, kratos: KratosConfig) -> LoginSessionQuerySet:
    return index.rows().filter(user_id=str(request.user.pk), issuer=kratos.issuer)


def _refuse(kratos: KratosConfig, session: Session) -> None:
    receipt = receipts.record_logout(kratos.issuer, session.id, moment(whoami.seconds(session.expires_at)))
    index.process(receipt, EndReason.USER)
