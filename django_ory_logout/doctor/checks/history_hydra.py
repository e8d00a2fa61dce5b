"""Whether Hydra still has the login sessions that are live at this site."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import takewhile

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...exceptions import OryLogoutError
from ...models import LoginSession
from ...ory.hydra import ConsentSession
from ...sessions import engines
from ..findings import CheckResult, Scope, Verdict, check, failed, passed, refer_to, unknown, warned
from ..targets import LogoutProbe, ProviderTarget
from .logout_probe import MAX_SUBJECTS, may_be_on_another_server, newest_sessions, probe_logout, probe_newest_sessions

#: How long this check calls Hydra, in seconds. A call that has begun ends by its own time limit.
TIMEOUT = 30

#: The cause, by a part of the text on Hydra's error page.
CAUSES = (
    (
        "cryptographic primitive",
        gettext_lazy(
            "The ID token was signed with an older key. Hydra refuses it as soon as a signing key is added or removed. "
            "Users who signed in before can log out only here, until they sign in again."
        ),
    ),
    ("whitelisted", gettext_lazy("See registration.post_logout_redirect_uri.")),
    ("issuer", gettext_lazy("Hydra's issuer has changed since that sign-in: see provider.issuer.")),
    ("before issued", gettext_lazy("Hydra's clock is behind: see provider.clock.")),
)


@check("history.logout_request", gettext_lazy("Hydra's response to a logout request"), Scope.HYDRA)
def logout_request(target: ProviderTarget) -> Iterator[CheckResult]:
    """Send logout requests for the newest sessions. No session ends, because nobody confirms the logout."""
    probes = probe_newest_sessions(target)
    if probes:
        yield from _probe_results(target, probes)
    elif may_be_on_another_server() and newest_sessions(target):
        yield unknown(
            _("There are live sessions, but this process can read none of them."),
            _("Run the doctor where the site's sessions are stored, or use --try. See site.sessions."),
        )
    elif engines.has_keys(engines.site_store()):
        yield passed(_("Nobody is signed in by this provider, so there is no session to check."))
    else:
        yield passed(_("Sessions are in browsers' cookies. The doctor cannot read them. Use --try."))


def _probe_results(target: ProviderTarget, probes: list[tuple[LoginSession, LogoutProbe]]) -> Iterator[CheckResult]:
    """One result for each kind of problem."""
    kinds: dict[tuple[str, str], list[CheckResult]] = {}
    for result in (_probe_result(target, row, probe) for row, probe in probes):
        kinds.setdefault((result.verdict, result.todo), []).append(result)
    problems = [results for (verdict, _todo), results in kinds.items() if verdict != Verdict.PASS]
    yield from (_summary(results, len(probes)) for results in problems)
    if not problems:
        yield passed(_("Hydra shows its logout page, and would end the login session."))


def _summary(results: list[CheckResult], count: int) -> CheckResult:
    """The first result, with how many of ``count`` have it. A failure that only some of them have becomes a warning."""
    first = results[0]
    if count == 1:
        return first
    found = _("%(part)d of %(count)d: %(found)s") % {"part": len(results), "count": count, "found": first.found}
    is_partial = first.verdict == Verdict.FAIL and len(results) < count
    return CheckResult(Verdict.WARN if is_partial else first.verdict, found, first.todo)


def _probe_result(target: ProviderTarget, row: LoginSession, probe: LogoutProbe) -> CheckResult:
    if probe.shows_logout_page:
        return passed("")
    if probe.error:
        cause = next((text for part, text in CAUSES if part in probe.error), _("See Hydra's log."))
        return failed(
            _("Hydra shows its error page: %(error)s") % {"error": probe.error},
            f"{cause} " + _("The session here ends, but Hydra does not notify other applications."),
        )
    if not probe.redirects_back:
        return unknown(_("Hydra answers %(status)d.") % {"status": probe.status}, _("See provider.endpoints."))
    remember = _("Accept logins with remember: true. If Kratos is the login page, set session.cookie.persistent.")
    if _is_listed(target, row):
        return failed(
            _("Hydra sends the browser straight back: the login was not remembered."),
            _("Nothing ends there, and Hydra sends no notices.") + f" {remember}",
        )
    return failed(
        _("Hydra sends the browser straight back: the login was not remembered, or Hydra has forgotten it."),
        _("Nothing ends there, and Hydra sends no notices. See history.known_at_hydra.") + f" {remember}",
    )


def _is_listed(target: ProviderTarget, row: LoginSession) -> bool:
    try:
        return row.sid in _sids(target.consents(row.subject))
    except OryLogoutError:
        return False


@check("history.known_at_hydra", gettext_lazy("Login sessions that Hydra knows"), Scope.HYDRA)
def known_at_hydra(target: ProviderTarget) -> Iterator[CheckResult]:
    """Find live sessions whose login session or consents are gone at Hydra. Hydra sends no notice for these."""
    if target.client.subject_type == "pairwise":
        yield passed(_("Subjects are pairwise. Hydra lists sessions by other subjects, which this site does not know."))
        return
    newest = [row for row in newest_sessions(target) if row.sid]
    in_time = _in_time()
    subjects = list(dict.fromkeys(row.subject for row in newest))[:MAX_SUBJECTS]
    consents = {subject: target.consents(subject) for subject in takewhile(in_time, subjects)}
    unlisted = [row for row in newest if row.subject in consents and row.sid not in _sids(consents[row.subject])]
    checked = list(takewhile(in_time, unlisted[:MAX_SUBJECTS]))
    problems = [result for row in checked for result in _problems(target, row, consents)]
    # One result for each kind of problem.
    yield from {result.todo: result for result in reversed(problems)}.values()
    if not problems:
        yield _no_problems(target, newest, checked, is_late=not in_time(None))


def _no_problems(
    target: ProviderTarget, newest: list[LoginSession], checked: list[LoginSession], *, is_late: bool
) -> CheckResult:
    if is_late:
        return unknown(
            _("Hydra is slow: the check stopped after %(seconds)d s.") % {"seconds": TIMEOUT},
            _("See Hydra's log, or run only this check: --only history.known_at_hydra."),
        )
    if checked and may_be_on_another_server() and not any(target.logout_probes.get(row.pk) for row in checked):
        raise refer_to("history.logout_request")
    return passed(_("All of %(count)d that could be checked.") % {"count": len(newest)})


def _in_time() -> Callable[[object], bool]:
    """A function that says whether there is time for one more call. Its argument is not used."""
    deadline = time.monotonic() + TIMEOUT
    return lambda _item: time.monotonic() < deadline


def _problems(
    target: ProviderTarget, row: LoginSession, consents: dict[str, list[ConsentSession]]
) -> Iterator[CheckResult]:
    """Problems of a row that Hydra does not list. Hydra also does not list a sign-in that reuses a consent."""
    client_id = target.registration.client_id
    ours = [consent for consent in consents[row.subject] if consent.consent_request.client.client_id == client_id]
    has_expired = _may_have_expired(row, [consent for of_subject in consents.values() for consent in of_subject])
    probe = probe_logout(target, row)
    if row.session_key and not probe:
        return  # it has ended here too, or this process cannot read it
    # None: Hydra's response does not show whether the login session still exists.
    is_live = probe.shows_logout_page if probe and (probe.shows_logout_page or probe.redirects_back) else None
    if is_live is None and (has_expired or any(consent.remember for consent in ours)):
        return
    sid = {"sid": f"{str(row.sid)[:8]}…"}
    if not is_live and ours:
        yield failed(
            _(
                "Live sessions here, such as sid %(sid)s, have no login session at Hydra any more. It was revoked by "
                "subject, without notices, or its notice was lost, or it was never remembered."
            )
            % sid,
            _(
                "To log users out, use manage.py ory_force_logout: with it, Hydra notifies the applications. "
                "See history.notices and history.logout_request."
            ),
        )
    elif not ours and not has_expired:
        yield (failed if is_live is False else warned)(
            _(
                "For live sessions here, such as sid %(sid)s, Hydra lists no consent. Either their remember_for has "
                "expired, or they were revoked first. Without consents, Hydra sends no notices when the login ends."
            )
            % sid,
            _("Revoke login sessions by sid before consents, as manage.py ory_force_logout does."),
        )


def _may_have_expired(row: LoginSession, consents: Sequence[ConsentSession]) -> bool:
    """Whether the consent of ``row`` may have expired, judged by the shortest ``remember_for`` of ``consents``."""
    lifetimes = [consent.remember_for for consent in consents if consent.remember_for]
    return bool(lifetimes) and row.created_at + timedelta(seconds=min(lifetimes)) < timezone.now()


def _sids(consents: Sequence[ConsentSession]) -> set[str]:
    return {consent.consent_request.login_session_id for consent in consents}
