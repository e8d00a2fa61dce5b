"""End sessions at Kratos.

Kratos sends no notices. So this site first refuses the sessions that are to end: if one stays live at Kratos, nobody
can sign in here by it.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from ..exceptions import KratosError
from ..models import EndReason, moment
from ..ory.kratos import KratosAdmin, Session
from ..sessions import index, receipts
from .report import Report, StepName
from .targets import Person


def end_identity(report: Report, kratos: KratosAdmin | None, person: Person) -> bool:
    """End all sessions of ``person``, listed or not. Return whether it succeeded."""
    subject = person.subject
    if kratos is None:
        report.alive("kratos_unconfigured", person.issuer)
        return False
    listed = _listed(report, kratos, person)
    if listed is None:
        report.unknown("identity_unknown", target=subject)
        return False
    if listed:
        report.is_known = True
        refusals = partial(_refuse_all, report, person.issuer, listed)
        report.write(StepName.KRATOS_REFUSED, subject, refusals, planned=lambda: len(listed))
    report.unknown("kratos_tells_nobody")
    end = partial(kratos.end_sessions, subject)
    return report.write(StepName.KRATOS_SESSIONS, subject, end, alive="kratos_sessions")


def end_session(report: Report, kratos: KratosAdmin | None, issuer: str, sid: str) -> None:
    """End one session of the Kratos at ``issuer``."""
    if kratos is None:
        report.alive("kratos_unconfigured", issuer)
        return
    report.unknown("kratos_tells_nobody")
    report.write(StepName.KRATOS_SESSION, sid, partial(_end_session, report, kratos, sid), alive="kratos_session")


def refuse(issuer: str, sid: str, expires_at: datetime | None = None) -> int:
    """Refuse the session ``sid`` of the Kratos at ``issuer``. Return how many login sessions have ended here."""
    ends_at = moment(expires_at.timestamp()) if expires_at else None
    return index.process(receipts.record_logout(issuer, sid, ends_at), EndReason.FORCED)


def _listed(report: Report, kratos: KratosAdmin, person: Person) -> Sequence[Session] | None:
    """The sessions of ``person``, or as many as could be read; ``None`` if the subject is no identity's id."""
    listed: list[Session] = []
    try:
        pages = kratos.sessions(person.subject)  # calls Kratos only when it is read
    except KratosError:
        return None

    def read() -> int:
        for session in pages:
            listed.append(session)  # one by one: those before a fault are kept
            report.part(StepName.KRATOS_LIST, len(listed), None)
        report.part(StepName.KRATOS_LIST, len(listed), len(listed))
        return len(listed)

    if not report.read(StepName.KRATOS_LIST, person.subject, read):
        report.is_known = True  # it may be known: the list could not be read
        report.unknown("kratos_listing_incomplete", target=person.subject)
    elif person.sids and not listed:
        report.unknown("identity_unlisted", target=person.subject)
    return listed


def _refuse_all(report: Report, issuer: str, sessions: Sequence[Session]) -> int:
    """Refuse each session, even if others fail. Raises the last fault."""
    fault: Exception | None = None
    for number, session in enumerate(sessions, start=1):
        try:
            refuse(issuer, session.id, session.expires_at)
        except Exception as error:
            fault = error
        report.part(StepName.KRATOS_REFUSED, number, len(sessions))
    if fault:
        raise fault
    return len(sessions)


def _end_session(report: Report, kratos: KratosAdmin, sid: str) -> None:
    try:
        kratos.end_session(sid)
    except KratosError as error:
        if error.code != "session_unknown":  # it has ended before, or never existed
            raise
    else:
        report.is_known = True
