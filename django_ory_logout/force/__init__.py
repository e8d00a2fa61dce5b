"""Forced logout: a person, or one login session, ends here, at Kratos and at Hydra, and other applications are told.

The sessions on this site end first. Then those at Kratos, where people sign in: one that lived on there would sign in
again (:mod:`.kratos`). Then those at Hydra, in the one order in which the other applications hear of it
(:mod:`.hydra`). A step that fails does not stop the next. All of it can be repeated, but what ended here gives no
``sid`` for Hydra then: the result names those that are left. The person can sign in again at once.

At Kratos it costs one call for each hundred sessions (at least one), and one. At Hydra, one call for our client, one
for each fifty consents (at least one), one for each ``sid`` (two, if the first fails), and two.
"""

import logging
from collections.abc import Sequence
from functools import partial

from django.contrib.auth.models import AbstractBaseUser

from .. import conf, local_logout, revocation
from ..models import EndReason, LoginSessionQuerySet
from ..people import (
    Hydra,
    hydra_of,
    is_kratos,
    issuers_of_login,
    kratos_of,
    login_sessions_of,
    logins_of,
    named_issuers,
    named_provider,
    people,
)
from ..report import ForcedLogout, Report, StepName
from . import hydra as at_hydra
from . import kratos as at_kratos

logger = logging.getLogger("django_ory_logout")


def force_logout(
    *,
    user: AbstractBaseUser | None = None,
    subject: str | None = None,
    sid: str | None = None,
    provider: str | None = None,
    consents: bool = True,
    dry_run: bool = False,
) -> ForcedLogout:
    """End all that ``user`` or ``subject`` has, or the one login session ``sid``.

    ``provider`` is an alias of ``PROVIDERS``, with its Kratos: for a user it means that provider alone; for a subject
    or a ``sid`` it may be left out where all providers have one issuer. Without ``consents``, consents and tokens stay.
    ``dry_run`` reads, and ends nothing. Raises ``ValueError`` unless it is clear who is meant.
    """
    if bool(user) + bool(subject) + bool(sid) != 1:
        raise ValueError("Exactly one of user, subject and sid says who is meant.")
    report = Report(dry_run)
    with revocation.collected() as left:
        if sid:
            _end_login(report, sid, provider)
        else:
            _end_person(report, user or subject or "", provider, consents)
    revocation.revoke(left)
    return _logged(report)


def revoke_consents(
    *,
    user: AbstractBaseUser | None = None,
    subject: str | None = None,
    provider: str | None = None,
    client_id: str | None = None,
    dry_run: bool = False,
) -> ForcedLogout:
    """Revoke consents and their tokens, of every application or of ``client_id``; sessions stay.

    Costs two calls, for each subject of a user. Raises ``ValueError`` unless it is clear who is meant.
    """
    if bool(user) + bool(subject) != 1:
        raise ValueError("Exactly one of user and subject says who is meant.")
    report, whom = Report(dry_run), user or subject or ""
    persons = [one for one in people(whom, provider) if not is_kratos(one.issuer)]
    if not persons:
        _unknown_at_hydra(report, whom)
    for person in persons:
        hydra = _hydra(report, person.issuer, provider)
        if hydra and at_hydra.is_nameable(report, hydra, person):
            at_hydra.revoke_consents(report, hydra, person.subject, client_id)
            report.alive("login_sessions_kept", person.subject)
            report.alive("recipients_lost")
            report.unknown("self_contained_tokens")
    return _logged(report)


def revoke_access_tokens(client_id: str, *, provider: str | None = None, dry_run: bool = False) -> ForcedLogout:
    """Delete the access tokens of ``client_id``, of everybody. Costs one call.

    Its refresh tokens stay, and give new ones. Raises ``ValueError`` unless the provider is clear.
    """
    report = Report(dry_run)
    hydra = _hydra(report, named_provider(provider).registration.issuer, provider)
    if hydra:
        report.write(StepName.ACCESS_TOKENS, client_id, partial(hydra.admin.delete_access_tokens, client_id))
        report.alive("refresh_tokens", client_id)
        report.unknown("self_contained_tokens")
    return _logged(report)


def _logged(report: Report) -> ForcedLogout:
    result = report.result()
    if not result.dry_run:
        logger.info("forced logout: %d steps, %s", len(result.steps), "all done" if result.ok else "not all done")
    return result


def _end_login(report: Report, sid: str, provider: str | None) -> None:
    issuers = issuers_of_login(sid, provider)
    kratoses = [issuer for issuer in issuers if is_kratos(issuer)]
    _end_here(report, logins_of(sid, issuers), sid, refused_of=kratoses)
    for issuer in kratoses:
        at_kratos.end_session(report, kratos_of(issuer, provider), issuer, sid)
    for issuer in issuers:
        if issuer not in kratoses:
            _end_login_at_provider(report, _hydra(report, issuer, provider), sid)
    if len(named_issuers(provider)) > 1:
        report.unknown("counterpart", target=sid)


def _end_login_at_provider(report: Report, hydra: Hydra | None, sid: str) -> None:
    if hydra:
        at_hydra.end_logins(report, hydra, [sid])
        report.unknown("unremembered", "delivery")
    report.alive("tokens_of_login", sid)


def _end_person(report: Report, whom: AbstractBaseUser | str, provider: str | None, consents: bool) -> None:
    persons = people(whom, provider)
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
        hydra = None if person in identities else _hydra(report, person.issuer, provider)
        if hydra:
            at_hydra.end_person(report, hydra, person, consents)
            if person.subject not in out:
                report.unknown("identity_provider", target=person.subject)


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
        refused = sum(at_kratos.refuse(issuer, target) for issuer in refused_of)
        return refused + local_logout.end_rows(rows, EndReason.FORCED)

    if not report.write(StepName.LOCAL, target, end, planned=rows.filter(ended_at=None).count):
        report.alive("local_sessions", target)


def _hydra(report: Report, issuer: str, provider: str | None) -> Hydra | None:
    hydra = hydra_of(issuer, provider)
    if hydra is None:
        report.alive("hydra_unconfigured", issuer)
    return hydra
