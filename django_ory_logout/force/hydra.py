"""End login sessions and consents at Hydra, in the order that notifies the other applications.

1. Collect every ``sid``, from the index and from the consents.
2. End each ``sid``: then Hydra notifies the applications. Try the failed ones a second time.
3. End all other login sessions of the subject. Hydra sends no notices for these.
4. Revoke the consents, and with them the tokens.
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
    """End all login sessions of ``person``. With ``consents``, also revoke the consents and their tokens."""
    report.unknown("unremembered", "unlisted", "delivery", "self_contained_tokens")
    if not is_nameable(report, hydra, person):
        end_logins(report, hydra, person.sids)
        return
    consented = listed(report, hydra, person)
    listed_sids = [consent.consent_request.login_session_id for consent in consented]
    untold = end_logins(report, hydra, [*person.sids, *listed_sids])
    revoke = partial(hydra.admin.revoke_login_sessions, person.subject)
    forgotten = [report.write(StepName.SUBJECT, person.subject, revoke, alive="login_sessions")]
    if consents:
        forgotten.append(revoke_consents(report, hydra, person.subject))
    else:
        report.alive("tokens", person.subject)
    if any(forgotten):
        for sid in untold:
            report.unknown("recipients_forgotten", target=sid)


def is_of_issuer(report: Report, hydra: Hydra, issuer: str) -> bool:
    """Whether this admin API is the issuer's, judged by key ids: two Hydras never have one in common.

    True if the keys cannot be compared. The report has a step only for a failure.
    """
    try:
        kids = hydra.admin.id_token_key_ids()
    except OryLogoutError:
        report.unknown("keys_not_compared", target=issuer)  # if Hydra does not answer at all, the next call fails
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
    """Whether Hydra knows the client. True if Hydra cannot say."""
    try:
        hydra.admin.client(client_id)
    except HydraError as error:
        if error.code == "client_unknown":
            report.failed(StepName.CLIENT, client_id, error.code, Outcome.NOT_KNOWN)
            return False
    except OryLogoutError:
        pass  # the next call fails
    return True


def is_nameable(report: Report, hydra: Hydra, person: Person) -> bool:
    """Whether Hydra's admin API can know this subject. For a pairwise subject, Hydra answers 204 and does nothing."""
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
    """End each login session by its ``sid``: then Hydra notifies its applications. Return those that failed twice."""

    def failing(sids: Iterable[str], failure: Outcome) -> list[str]:
        calls = {sid: partial(hydra.admin.revoke_login_session, sid) for sid in sids if sid}
        report.expect(StepName.SID, len(calls))
        return [sid for sid, call in calls.items() if not report.write(StepName.SID, sid, call, failure=failure)]

    untold = failing(failing(sids, Outcome.RETRIED), Outcome.FAILED)
    for sid in untold:
        report.untold(sid, hydra.alias)
    return untold


def revoke_consents(report: Report, hydra: Hydra, subject: str, client_id: str | None = None) -> bool:
    """Revoke consents and their tokens, of every application or of ``client_id``. Return whether it succeeded."""
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
        for consent in hydra.admin.consent_sessions(person.subject):
            found.append(consent)  # one by one: those before a fault are kept
            report.part(StepName.LIST, len(found), None)
        report.part(StepName.LIST, len(found), len(found))
        return len(found)

    if not report.read(StepName.LIST, person.subject, read):
        report.is_known = True  # it may be known: the list could not be read
        report.unknown("listing_incomplete", target=person.subject)
    elif person.sids and not found:
        report.unknown("subject_unlisted", target=person.subject)
    if found:
        report.is_known = True
    for consent in found:
        client = consent.consent_request.client
        if not client.backchannel_logout_uri:
            report.alive("application_not_told", client.client_id)
    return found
