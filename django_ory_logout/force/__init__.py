"""Forced logout: end a user's sessions, or one login session, here, at Kratos and at Hydra. Notify other applications.

The order is fixed. First the sessions on this site end. Then those at Kratos, because a live session there would sign
the user in again (:mod:`.kratos`). Then those at Hydra, in an order that lets Hydra notify the other applications
(:mod:`.hydra`). If a step fails, the next steps still run. Everything can be repeated. But a session that has ended
here gives no ``sid`` for Hydra any more, so the result lists each ``sid`` that is left. The user can sign in again at
once.

Calls to Kratos: one for each hundred sessions (at least one), and one more. Calls to Hydra: one for its keys, one for
this site's client, one for each fifty consents (at least one), and two more. Each ``sid`` takes one call, or two if
the first fails.

Hydra also answers 204 for an id that it does not know. So an id that is unknown everywhere is reported as not known.
If the admin API's keys are not the issuer's, it belongs to another Hydra, and nothing is ended there.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from django.contrib.auth.models import AbstractBaseUser

from .. import conf
from ..models import EndReason, LoginSessionQuerySet
from ..sessions import ending, events, token_revocation
from . import hydra as at_hydra
from . import kratos as at_kratos
from .report import ForcedLogout, Progress, Report, StepName
from .targets import (
    Hydra,
    Person,
    hydra_of,
    is_kratos,
    kratos_of,
    login_sessions_of,
    logins_of,
    named_issuers,
    named_provider,
    people,
)

logger = logging.getLogger("django_ory_logout")


def force_logout(
    *,
    user: AbstractBaseUser | None = None,
    subject: str | None = None,
    sid: str | None = None,
    provider: str | None = None,
    consents: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ForcedLogout:
    """End all sessions of ``user`` or ``subject``, or the one login session ``sid``.

    ``provider``: an alias of ``PROVIDERS``, with its Kratos. For a user, only that provider is included. For a subject
    or a ``sid``, it is optional if all providers have the same issuer. ``consents=False`` keeps consents and tokens.
    ``dry_run`` reads, and ends nothing. ``progress`` is called after each step, and after each part of a long step.
    Raises only ``ValueError``, if the arguments do not name one user, subject or session. Other faults, also of this
    site's database, are failed steps of the result.
    """
    if bool(user) + bool(subject) + bool(sid) != 1:
        raise ValueError("Exactly one of user, subject and sid must be given.")
    report = Report(dry_run, progress)
    with token_revocation.deferred() as left:
        if sid:
            _end_login(report, sid, provider)
        else:
            _end_person(report, user or subject or "", provider, consents)
    token_revocation.revoke(left)
    return _logged(report)


def revoke_consents(
    *,
    user: AbstractBaseUser | None = None,
    subject: str | None = None,
    provider: str | None = None,
    client_id: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ForcedLogout:
    """Revoke consents and their tokens, of every application or of ``client_id``. Sessions stay.

    Makes three calls for each subject of a user, and one more with a ``client_id`` or for a subject that this site does
    not know. Raises ``ValueError`` if the arguments do not name one user or subject.
    """
    if bool(user) + bool(subject) != 1:
        raise ValueError("Exactly one of user and subject must be given.")
    report, user_or_subject = Report(dry_run, progress), user or subject or ""
    persons = [person for person in _people(report, user_or_subject, provider) if not is_kratos(person.issuer)]
    if not persons:
        _unknown_at_hydra(report, user_or_subject)
    for person in persons:
        hydra = _hydra(report, person.issuer, provider)
        if hydra and at_hydra.is_nameable(report, hydra, person):
            if not report.is_known:
                at_hydra.listed(report, hydra, person)
            if client_id:
                at_hydra.is_client(report, hydra, client_id)
            at_hydra.revoke_consents(report, hydra, person.subject, client_id)
            report.alive("login_sessions_kept", person.subject)
            report.alive("recipients_lost")
            report.unknown("self_contained_tokens")
    return _logged(report)


def revoke_access_tokens(
    client_id: str, *, provider: str | None = None, dry_run: bool = False, progress: Progress | None = None
) -> ForcedLogout:
    """Delete the access tokens of ``client_id``, of all users. Makes three calls.

    Its refresh tokens stay, and give new ones. Raises ``ValueError`` if the provider is ambiguous.
    """
    report = Report(dry_run, progress)
    hydra = _hydra(report, named_provider(provider).registration.issuer, provider)
    if hydra:
        if at_hydra.is_client(report, hydra, client_id):
            report.is_known = True
        report.write(StepName.ACCESS_TOKENS, client_id, partial(hydra.admin.delete_access_tokens, client_id))
        report.alive("refresh_tokens", client_id)
        report.unknown("self_contained_tokens")
    return _logged(report)


def _logged(report: Report) -> ForcedLogout:
    result = report.result()
    if not result.dry_run:
        logger.info("forced logout: %d steps, %s", len(result.steps), "all done" if result.ok else "not all done")
    return result


# One login session


def _end_login(report: Report, sid: str, provider: str | None) -> None:
    issuers = _issuers_of_login(report, sid, provider)
    kratoses = [issuer for issuer in issuers if is_kratos(issuer)]
    _end_here(report, logins_of(sid, issuers), sid, refused_of=kratoses)
    for issuer in kratoses:
        at_kratos.end_session(report, kratos_of(issuer, provider), issuer, sid)
    for issuer in issuers:
        if issuer not in kratoses:
            _end_login_at_provider(report, _hydra(report, issuer, provider, [sid]), sid)
    if len(named_issuers(provider)) > 1:
        report.unknown("counterpart", target=sid)


def _issuers_of_login(report: Report, sid: str, provider: str | None) -> list[str]:
    """The issuers of the login session ``sid``: all, if this site does not know it or cannot read its database."""
    named, known = named_issuers(provider), list[str]()
    with _reading_here(report, sid):
        known = [issuer for issuer in named if logins_of(sid, [issuer]).exists()]
        if known or any(events.has_sid(issuer, sid) for issuer in named):
            report.is_known = True
    return known or named


def _end_login_at_provider(report: Report, hydra: Hydra | None, sid: str) -> None:
    if hydra:
        at_hydra.end_logins(report, hydra, [sid])
        report.unknown("unremembered", "delivery")
    report.alive("tokens_of_login", sid)


# A person


def _end_person(report: Report, user_or_subject: AbstractBaseUser | str, provider: str | None, consents: bool) -> None:
    persons = _people(report, user_or_subject, provider)
    if not persons:
        _unknown_at_hydra(report, user_or_subject)
        if any(config.admin for config in conf.get().kratos):
            report.failed(StepName.KRATOS_SESSIONS, str(user_or_subject), "subject_unknown")
    _end_here(report, login_sessions_of(user_or_subject, provider, persons), str(user_or_subject))
    if not isinstance(user_or_subject, str):
        report.unknown("other_sessions", target=str(user_or_subject))
    identities = [person for person in persons if is_kratos(person.issuer)]
    ended = [at_kratos.end_identity(report, kratos_of(person.issuer, provider), person) for person in identities]
    ended_subjects = {identity.subject for identity, is_ended in zip(identities, ended, strict=True) if is_ended}
    for person in persons:
        hydra = None if person in identities else _hydra(report, person.issuer, provider, person.sids)
        if hydra:
            at_hydra.end_person(report, hydra, person, consents)
            if person.subject not in ended_subjects:
                report.unknown("identity_provider", target=person.subject)


def _people(report: Report, user_or_subject: AbstractBaseUser | str, provider: str | None) -> list[Person]:
    """The subjects to end. If the database cannot be read, a given subject is used for each issuer."""
    persons: list[Person] = []
    if isinstance(user_or_subject, str):
        persons = [Person(issuer, user_or_subject, False, []) for issuer in named_issuers(provider)]
    with _reading_here(report, str(user_or_subject)):
        persons = people(user_or_subject, provider)
        if not isinstance(user_or_subject, str) or any(person.is_known for person in persons):
            report.is_known = True
    return persons


@contextmanager
def _reading_here(report: Report, target: str) -> Iterator[None]:
    """Read this site's database. Raises nothing. The report has a step only for a failure."""
    try:
        yield
    except Exception as error:
        report.failed_by(StepName.INDEX, target, error)
        report.is_known = True  # it may be known: this could not be read
        report.unknown("index_unread", target=target)


def _unknown_at_hydra(report: Report, user_or_subject: AbstractBaseUser | str) -> None:
    """Report a failure: without a subject, nothing can be ended, and no application is notified."""
    if any(config.hydra for config in conf.get().providers.values()):
        report.failed(StepName.SUBJECT, str(user_or_subject), "subject_unknown")


def _end_here(report: Report, rows: LoginSessionQuerySet, target: str, *, refused_of: Sequence[str] = ()) -> None:
    """End ``rows``. Refuse the session ``target`` of the Kratoses ``refused_of`` too: it may have no row here."""

    def end() -> int:
        try:
            refused = sum(at_kratos.refuse(issuer, target) for issuer in refused_of)
        finally:
            ended = ending.end_rows(
                rows,
                EndReason.FORCED,
                partial(report.part, StepName.LOCAL),
                partial(report.part, StepName.KRATOS_REFUSED),
            )
        if rows.exclude(ended_at=None).exists():
            # Their rows have ended. A process that has just read such a session may still serve it.
            raise RuntimeError("sessions have ended and are still stored: ory_purge deletes them")
        return refused + ended

    report.write(StepName.LOCAL, target, end, planned=rows.filter(ended_at=None).count, alive="local_sessions")


def _hydra(report: Report, issuer: str, provider: str | None, sids: Sequence[str] = ()) -> Hydra | None:
    """The Hydra of ``issuer``. ``None`` if there is none, or it is another Hydra: then ``sids`` are left to do."""
    hydra = hydra_of(issuer, provider)
    if hydra is None:
        report.alive("hydra_unconfigured", issuer)
        return None
    if at_hydra.is_of_issuer(report, hydra, issuer):
        return hydra
    for sid in sids:
        report.untold(sid, hydra.alias)
    return None
