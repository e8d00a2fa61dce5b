"""Forced logout: a person, or one login session, ends here, at Kratos and at Hydra, and other applications are told.

The sessions on this site end first. Then those at Kratos, where people sign in: one that lived on there would sign in
again (:mod:`.kratos`). Then those at Hydra, in the one order in which the other applications hear of it
(:mod:`.hydra`). A step that fails does not stop the next. All of it can be repeated, but what ended here gives no
``sid`` for Hydra then: the result names those that are left. The person can sign in again at once.

At Kratos it costs one call for each hundred sessions (at least one), and one. At Hydra, one call for its keys, one for
our client, one for each fifty consents (at least one), one for each ``sid`` (two, if the first fails), and two.

Hydra answers 204 for what it has never heard of too. So an id that nobody knows is reported as not known. A Hydra that
is not the issuer's is not asked: its keys tell.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseFault

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
    issuers_of_login,
    kratos_of,
    login_sessions_of,
    logins_of,
    named_issuers,
    named_provider,
    people,
    unread,
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
    """End all that ``user`` or ``subject`` has, or the one login session ``sid``.

    ``provider`` is an alias of ``PROVIDERS``, with its Kratos: for a user it means that provider alone; for a subject
    or a ``sid`` it may be left out where all providers have one issuer. Without ``consents``, consents and tokens stay.
    ``dry_run`` reads, and ends nothing. ``progress`` is called after each step, and after each part of a long one.
    Raises ``ValueError`` unless it is clear who is meant, and nothing else: what fails, the database of this site too,
    is a step that failed.
    """
    if bool(user) + bool(subject) + bool(sid) != 1:
        raise ValueError("Exactly one of user, subject and sid says who is meant.")
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
    """Revoke consents and their tokens, of every application or of ``client_id``; sessions stay.

    Costs three calls for each subject of a user, and one more with a ``client_id`` or for a subject that this site does
    not know. Raises ``ValueError`` unless it is clear who is meant.
    """
    if bool(user) + bool(subject) != 1:
        raise ValueError("Exactly one of user and subject says who is meant.")
    report, whom = Report(dry_run, progress), user or subject or ""
    persons = [one for one in _people(report, whom, provider) if not is_kratos(one.issuer)]
    if not persons:
        _unknown_at_hydra(report, whom)
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
    """Delete the access tokens of ``client_id``, of everybody. Costs three calls.

    Its refresh tokens stay, and give new ones. Raises ``ValueError`` unless the provider is clear.
    """
    report = Report(dry_run, progress)
    hydra = _hydra(report, named_provider(provider).registration.issuer, provider)
    if hydra:
        if at_hydra.is_client(report, hydra, client_id):
            report.known()
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
    """Whose login session ``sid`` is, or can be: all, where this site does not know it or cannot look."""
    named = named_issuers(provider)
    found: list[str] = []

    def read() -> int:
        found.extend(issuers_of_login(sid, provider))
        if logins_of(sid, named).exists() or any(events.has_sid(issuer, sid) for issuer in named):
            report.known()
        return len(found)

    _read_here(report, sid, read)
    return found or named


def _end_login_at_provider(report: Report, hydra: Hydra | None, sid: str) -> None:
    if hydra:
        at_hydra.end_logins(report, hydra, [sid])
        report.unknown("unremembered", "delivery")
    report.alive("tokens_of_login", sid)


# A person


def _end_person(report: Report, whom: AbstractBaseUser | str, provider: str | None, consents: bool) -> None:
    persons = _people(report, whom, provider)
    if not persons:
        _unknown_at_hydra(report, whom)
        _unknown_at_kratos(report, whom)
    _end_here(report, login_sessions_of(whom, provider, persons), str(whom))
    if not isinstance(whom, str):
        report.unknown("other_sessions", target=str(whom))
    identities = [person for person in persons if is_kratos(person.issuer)]
    ended = [at_kratos.end_identity(report, kratos_of(one.issuer, provider), one) for one in identities]
    out = {identity.subject for identity, is_ended in zip(identities, ended, strict=True) if is_ended}
    for person in persons:
        hydra = None if person in identities else _hydra(report, person.issuer, provider, person.sids)
        if hydra:
            at_hydra.end_person(report, hydra, person, consents)
            if person.subject not in out:
                report.unknown("identity_provider", target=person.subject)


def _people(report: Report, whom: AbstractBaseUser | str, provider: str | None) -> list[Person]:
    """Whom ``whom`` is; of a subject that cannot be read here, where it can be ended nevertheless."""
    unread_ones = unread(whom, provider) if isinstance(whom, str) else []
    found: list[Person] = []

    def read() -> int:
        found.extend(people(whom, provider))
        if not isinstance(whom, str) or any(person.is_known for person in found):
            report.known()
        return len(found)

    return found if _read_here(report, str(whom), read) else unread_ones


def _read_here(report: Report, target: str, read: Callable[[], int]) -> bool:
    """Read what this site knows, which is a step only where it fails."""
    try:
        read()
    except Exception as error:
        if isinstance(error, DatabaseFault):
            report.failed_here(StepName.INDEX, target, error)
        else:
            logger.error("forced logout: step %s failed: %s", StepName.INDEX.value, type(error).__name__)
            report.failed(StepName.INDEX, target, "internal_error")
        report.known()  # or not: nobody can say
        report.unknown("index_unread", target=target)
        return False
    return True


def _unknown_at_hydra(report: Report, whom: AbstractBaseUser | str) -> None:
    """To know nobody is a failure: nothing can be ended, and no one told."""
    if any(one.hydra for one in conf.get().providers.values()):
        report.failed(StepName.SUBJECT, str(whom), "subject_unknown")


def _unknown_at_kratos(report: Report, whom: AbstractBaseUser | str) -> None:
    if any(one.admin for one in conf.get().kratos):
        report.failed(StepName.KRATOS_SESSIONS, str(whom), "subject_unknown")


def _end_here(report: Report, rows: LoginSessionQuerySet, target: str, *, refused_of: Sequence[str] = ()) -> None:
    """End ``rows``, and refuse the session ``target`` of each Kratos ``refused_of``, which may have no row."""

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
            # Their rows have ended. A process that saw one alive a moment ago may still serve it.
            raise RuntimeError("sessions have ended and are still stored: ory_purge deletes them")
        return refused + ended

    if not report.write(StepName.LOCAL, target, end, planned=rows.filter(ended_at=None).count):
        report.alive("local_sessions", target)


def _hydra(report: Report, issuer: str, provider: str | None, sids: Sequence[str] = ()) -> Hydra | None:
    """Where Hydra is asked. Nowhere, if that is another Hydra: there ``sids`` are left to do."""
    hydra = hydra_of(issuer, provider)
    if hydra is None:
        report.alive("hydra_unconfigured", issuer)
        return None
    if at_hydra.is_of_issuer(report, hydra, issuer):
        return hydra
    for sid in sids:
        report.untold(sid, hydra.alias)
    return None
