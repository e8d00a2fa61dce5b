"""Forced logout: a person, or one login session, ends here and at Hydra, and the other applications are told.

The sessions on this site end first. Then, at Hydra, in the one order in which the others hear of it: collect every
``sid`` (from our index and from the consents), end each one, which is what tells the applications; those that failed
once more; then what is left of the subject, after which nobody is told; then its consents, and with them the tokens. A
step that fails does not stop the next. All of it can be repeated, but what ended here gives no ``sid`` then: the result
names those that are left. The person can sign in again at once.

It costs one call for our client, one for each fifty consents (at least one), one for each ``sid`` (two, if the first
fails), and two.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from . import conf, revocation, sessions
from .models import EndReason, LoginSessionQuerySet, LogoutNotice
from .ory.hydra import ConsentSession
from .people import Hydra, Person, hydra_of, login_sessions_of, named_provider, people
from .report import ForcedLogout, Outcome, Report, StepName

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

    ``provider`` is an alias of ``PROVIDERS``: for a user it means that provider alone; for a subject or a ``sid`` it
    may be left out where all providers have one issuer. Without ``consents``, consents and tokens stay. ``dry_run``
    reads, and ends nothing. Raises ``ValueError`` unless it is clear who is meant.
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
    report = Report(dry_run)
    for person in _people(report, user or subject or "", provider):
        hydra = _hydra(report, person.issuer, provider)
        if hydra and _is_nameable(report, hydra, person):
            _revoke_consents(report, hydra, person.subject, client_id)
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
    issuer = named_provider(provider).registration.issuer
    _end_here(report, sessions.rows().named_by(LogoutNotice(issuer, None, sid, timezone.now())), sid)
    hydra = _hydra(report, issuer, provider)
    if hydra:
        _end_logins(report, hydra, [sid])
        report.unknown("unremembered", "delivery")
    report.alive("tokens_of_login", sid)


def _end_person(report: Report, whom: AbstractBaseUser | str, provider: str | None, consents: bool) -> None:
    persons = _people(report, whom, provider)
    _end_here(report, login_sessions_of(whom, provider, persons), str(whom))
    if not isinstance(whom, str):
        report.unknown("other_sessions", target=str(whom))
    for person in persons:
        hydra = _hydra(report, person.issuer, provider)
        if hydra:
            _end_at_hydra(report, hydra, person, consents)


def _people(report: Report, whom: AbstractBaseUser | str, provider: str | None) -> Sequence[Person]:
    """Who is meant, as Hydra knows them. To know nobody there is a failure: nothing can be ended, and no one told."""
    persons = people(whom, provider)
    if not persons and any(one.hydra for one in conf.get().providers.values()):
        report.failed(StepName.SUBJECT, str(whom), "subject_unknown")
    return persons


def _end_here(report: Report, rows: LoginSessionQuerySet, target: str) -> None:
    def end() -> int:
        sessions.mark_ended(rows, EndReason.FORCED)
        return sessions.finish(rows)

    if not report.write(StepName.LOCAL, target, end, planned=rows.filter(ended_at=None).count):
        report.alive("local_sessions", target)


def _hydra(report: Report, issuer: str, provider: str | None) -> Hydra | None:
    hydra = hydra_of(issuer, provider)
    if hydra is None:
        report.alive("hydra_unconfigured", issuer)
    return hydra


def _end_at_hydra(report: Report, hydra: Hydra, person: Person, consents: bool) -> None:
    report.unknown("unremembered", "unlisted", "delivery", "self_contained_tokens")
    report.unknown("identity_provider", target=person.subject)
    if not _is_nameable(report, hydra, person):
        _end_logins(report, hydra, person.sids)
        return
    listed = _listed(report, hydra, person)
    untold = _end_logins(report, hydra, [*person.sids, *(one.consent_request.login_session_id for one in listed)])
    forgotten = [_revoke_subject(report, hydra, person.subject)]
    if consents:
        forgotten.append(_revoke_consents(report, hydra, person.subject))
    else:
        report.alive("tokens", person.subject)
    if any(forgotten):
        for sid in untold:
            report.unknown("recipients_forgotten", target=sid)


def _is_nameable(report: Report, hydra: Hydra, person: Person) -> bool:
    """Whether Hydra's admin API may know the person by that subject. For a pairwise one it says 204, and no more."""
    found: list[str] = []
    client_id = hydra.client_id
    report.read(StepName.CLIENT, client_id, lambda: found.append(hydra.admin.client(client_id).subject_type))
    if found != ["pairwise"]:
        return True
    if not person.is_known:
        report.unknown("subject_given", target=person.subject)
        return True
    report.failed(StepName.SUBJECT, person.subject, "subject_pairwise")
    report.alive("subject_pairwise", person.subject)
    report.alive("tokens", person.subject)
    return False


def _listed(report: Report, hydra: Hydra, person: Person) -> Sequence[ConsentSession]:
    """The consents of ``person``, or as many as could be read."""
    listed: list[ConsentSession] = []

    def read() -> int:
        for one in hydra.admin.consent_sessions(person.subject):
            listed.append(one)  # each by itself: what came before a fault is worth having
        return len(listed)

    if not report.read(StepName.LIST, person.subject, read):
        report.unknown("listing_incomplete", target=person.subject)
    elif person.sids and not listed:
        report.unknown("subject_unlisted", target=person.subject)
    for one in listed:
        if not one.consent_request.client.backchannel_logout_uri:
            report.alive("application_not_told", one.consent_request.client.client_id)
    return listed


def _end_logins(report: Report, hydra: Hydra, sids: Sequence[str]) -> Sequence[str]:
    """End each login session by itself, so that its applications are told. Says which failed, and failed again."""

    def failing(sids: Iterable[str], failure: Outcome) -> list[str]:
        calls = {sid: partial(hydra.admin.revoke_login_session, sid) for sid in sids if sid}
        return [sid for sid, call in calls.items() if not report.write(StepName.SID, sid, call, failure=failure)]

    untold = failing(failing(sids, Outcome.RETRIED), Outcome.FAILED)
    for sid in untold:
        report.untold(sid, hydra.alias)
    return untold


def _revoke_subject(report: Report, hydra: Hydra, subject: str) -> bool:
    done = report.write(StepName.SUBJECT, subject, partial(hydra.admin.revoke_login_sessions, subject))
    if not done:
        report.alive("login_sessions", subject)
    return done


def _revoke_consents(report: Report, hydra: Hydra, subject: str, client_id: str | None = None) -> bool:
    call = (
        partial(hydra.admin.revoke_consents, subject, client_id)
        if client_id
        else partial(hydra.admin.revoke_all_consents, subject)
    )
    done = report.write(StepName.CONSENTS, f"{subject} {client_id}" if client_id else subject, call)
    if not done:
        report.alive("tokens", subject)
    return done
