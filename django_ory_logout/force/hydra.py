"""What is ended at Hydra, in the one order in which the other applications hear of it.

Collect every ``sid`` (from our index and from the consents); end each one, which is what tells the applications; those
that failed once more; then what is left of the subject, after which nobody is told; then its consents, and with them
the tokens.
"""

import time
from collections.abc import Iterable, Sequence
from functools import partial

from .. import conf
from ..exceptions import HydraError, OryLogoutError
from ..ory.hydra import ConsentSession
from .report import Outcome, Report, StepName
from .targets import Hydra, Person


def end_person(report: Report, hydra: Hydra, person: Person, consents: bool) -> None:
    """End all login sessions of ``person``, and with ``consents`` these and their tokens."""
    report.unknown("unremembered", "unlisted", "delivery", "self_contained_tokens")
    if not is_nameable(report, hydra, person):
        end_logins(report, hydra, person.sids)
        return
    consented = listed(report, hydra, person)
    untold = end_logins(report, hydra, [*person.sids, *(one.consent_request.login_session_id for one in consented)])
    forgotten = [_revoke_subject(report, hydra, person.subject)]
    if consents:
        forgotten.append(revoke_consents(report, hydra, person.subject))
    else:
        report.alive("tokens", person.subject)
    if any(forgotten):
        for sid in untold:
            report.unknown("recipients_forgotten", target=sid)


def is_of_issuer(report: Report, hydra: Hydra, issuer: str) -> bool:
    """Whether this admin API is the issuer's, as far as can be known: no two Hydras have a key id in common.

    A step only where it fails.
    """
    try:
        kids = hydra.admin.id_token_key_ids()
    except OryLogoutError:
        report.unknown("keys_not_compared", target=issuer)  # if nobody answers at all, the next call says so
        return True
    try:
        is_issuers = not kids.isdisjoint(conf.get().providers[hydra.alias].provider.key_ids(time.time()))
    except OryLogoutError as error:
        report.failed(StepName.KEYS, issuer, error.code)
        report.unknown("keys_not_compared", target=issuer)
        return True
    if not is_issuers:
        report.failed(StepName.KEYS, issuer, "hydra_of_another_issuer")
        report.alive("hydra_of_another_issuer", issuer)
    return is_issuers


def is_client(report: Report, hydra: Hydra, client_id: str) -> bool:
    """Whether Hydra knows the client, or cannot say."""
    try:
        hydra.admin.client(client_id)
    except HydraError as error:
        if error.code == "client_unknown":
            report.failed(StepName.CLIENT, client_id, error.code, Outcome.NOT_KNOWN)
            return False
    except OryLogoutError:
        pass  # the next call says so
    return True


def is_nameable(report: Report, hydra: Hydra, person: Person) -> bool:
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


def end_logins(report: Report, hydra: Hydra, sids: Sequence[str]) -> Sequence[str]:
    """End each login session by itself, so that its applications are told. Says which failed, and failed again."""

    def failing(sids: Iterable[str], failure: Outcome) -> list[str]:
        calls = {sid: partial(hydra.admin.revoke_login_session, sid) for sid in sids if sid}
        report.expect(StepName.SID, len(calls))
        return [sid for sid, call in calls.items() if not report.write(StepName.SID, sid, call, failure=failure)]

    untold = failing(failing(sids, Outcome.RETRIED), Outcome.FAILED)
    for sid in untold:
        report.untold(sid, hydra.alias)
    return untold


def revoke_consents(report: Report, hydra: Hydra, subject: str, client_id: str | None = None) -> bool:
    """Revoke consents and their tokens, of every application or of ``client_id``. Says whether it went well."""
    call = (
        partial(hydra.admin.revoke_consents, subject, client_id)
        if client_id
        else partial(hydra.admin.revoke_all_consents, subject)
    )
    done = report.write(StepName.CONSENTS, f"{subject} {client_id}" if client_id else subject, call)
    if not done:
        report.alive("tokens", subject)
    return done


def listed(report: Report, hydra: Hydra, person: Person) -> Sequence[ConsentSession]:
    """The consents of ``person``, or as many as could be read."""
    found: list[ConsentSession] = []

    def read() -> int:
        for one in hydra.admin.consent_sessions(person.subject):
            found.append(one)  # each by itself: what came before a fault is worth having
            report.part(StepName.LIST, len(found), None)
        report.part(StepName.LIST, len(found), len(found))
        return len(found)

    if not report.read(StepName.LIST, person.subject, read):
        report.known()  # or not: nobody can say
        report.unknown("listing_incomplete", target=person.subject)
    elif person.sids and not found:
        report.unknown("subject_unlisted", target=person.subject)
    if found:
        report.known()
    for one in found:
        if not one.consent_request.client.backchannel_logout_uri:
            report.alive("application_not_told", one.consent_request.client.client_id)
    return found


def _revoke_subject(report: Report, hydra: Hydra, subject: str) -> bool:
    done = report.write(StepName.SUBJECT, subject, partial(hydra.admin.revoke_login_sessions, subject))
    if not done:
        report.alive("login_sessions", subject)
    return done
