"""What Hydra knows of the login sessions that live here."""

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
from ..findings import CheckResult, Scope, Verdict, check, failed, passed, see, unknown, warned
from ..targets import LogoutProbeResult, ProviderTarget
from .logout_probe import PEOPLE, begun_of, may_be_elsewhere, newest_of, sample_of

Sample = list[tuple[LoginSession, LogoutProbeResult]]

#: How long people are looked for at Hydra, in seconds; the last look may take as long as a call does.
PATIENCE = 30

#: By words of Hydra's error page.
CAUSES = (
    (
        "cryptographic primitive",
        gettext_lazy(
            "The ID token was signed with an older key. Hydra refuses it as soon as a signing key is added or removed. "
            "Anyone who signed in before is logged out here alone, until they sign in again."
        ),
    ),
    ("whitelisted", gettext_lazy("See registration.post_logout_redirect_uri.")),
    ("issuer", gettext_lazy("Hydra calls itself by another name than at that sign-in: see provider.issuer.")),
    ("before issued", gettext_lazy("Hydra's clock is behind: see provider.clock.")),
)


@check("history.logout_request", gettext_lazy("What Hydra makes of a logout"), Scope.HYDRA)
def logout_request(target: ProviderTarget) -> Iterator[CheckResult]:
    """Begins logouts of the newest sessions, and leaves it at that: nobody has said yes, and nothing ends."""
    sample = sample_of(target)
    if sample:
        yield from _judged(target, sample)
    elif may_be_elsewhere() and newest_of(target):
        yield unknown(
            _("Sessions live here, and none of them can be read by this process."),
            _("Run the doctor where the site's sessions are, or use --try. See site.sessions."),
        )
    elif engines.has_keys(engines.site_store()):
        yield passed(_("Nobody is signed in through it: there is nothing to ask about."))
    else:
        yield passed(_("Sessions stand in browsers' cookies, where the doctor cannot read them. Use --try."))


def _judged(target: ProviderTarget, sample: Sample) -> Iterator[CheckResult]:
    """One row for each kind of answer that is not as it should be."""
    kinds: dict[tuple[str, str], list[CheckResult]] = {}
    for said in (_judged_one(target, row, begun) for row, begun in sample):
        kinds.setdefault((said.verdict, said.todo), []).append(said)
    bad = [several for (verdict, _todo), several in kinds.items() if verdict != Verdict.PASS]
    yield from (_of_all(several, len(sample)) for several in bad)
    if not bad:
        yield passed(_("It asks at its logout page, and would end the login session."))


def _of_all(several: list[CheckResult], count: int) -> CheckResult:
    """The first of them, of how many; what some logouts come to, and others do not, is a warning."""
    first = several[0]
    if count == 1:
        return first
    found = _("%(part)d of %(count)d: %(found)s") % {"part": len(several), "count": count, "found": first.found}
    some = first.verdict == Verdict.FAIL and len(several) < count
    return CheckResult(Verdict.WARN if some else first.verdict, found, first.todo)


def _judged_one(target: ProviderTarget, row: LoginSession, begun: LogoutProbeResult) -> CheckResult:
    if begun.asks:
        return passed("")
    if begun.error:
        cause = next((words for part, words in CAUSES if part in begun.error), _("Its log tells more."))
        return failed(
            _("It shows its error page: %(words)s") % {"words": begun.error},
            f"{cause} " + _("The session here ends all the same; nobody else is told."),
        )
    if not begun.sends_back:
        return unknown(_("Hydra answers %(status)d.") % {"status": begun.status}, _("See provider.endpoints."))
    remember = _("Accept logins with remember: true; with Kratos as login page, set session.cookie.persistent.")
    if _is_listed(target, row):
        return failed(
            _("It sends the browser straight back: the login was not remembered."),
            _("Nothing ends there, and nobody is told.") + f" {remember}",
        )
    return failed(
        _("It sends the browser straight back: the login was not remembered, or Hydra has forgotten it."),
        _("Nothing ends there, and nobody is told. See history.known_at_hydra.") + f" {remember}",
    )


def _is_listed(target: ProviderTarget, row: LoginSession) -> bool:
    try:
        return row.sid in _sids(target.consents(row.subject))
    except OryLogoutError:
        return False


@check("history.known_at_hydra", gettext_lazy("Login sessions that Hydra knows"), Scope.HYDRA)
def known_at_hydra(target: ProviderTarget) -> Iterator[CheckResult]:
    """Sessions that live here, while Hydra's are gone, or while Hydra has forgotten whom to tell of their end."""
    if target.client.subject_type == "pairwise":
        yield passed(_("Subjects are pairwise: Hydra knows these people by other names, and cannot be asked."))
        return
    newest = [row for row in newest_of(target) if row.sid]
    in_time = _in_time()
    subjects = list(dict.fromkeys(row.subject for row in newest))[:PEOPLE]
    consents = {subject: target.consents(subject) for subject in takewhile(in_time, subjects)}
    unlisted = [row for row in newest if row.subject in consents and row.sid not in _sids(consents[row.subject])]
    asked = list(takewhile(in_time, unlisted[:PEOPLE]))
    found = [said for row in asked for said in _lost(target, row, consents)]
    # One row for each kind of loss.
    yield from {said.todo: said for said in reversed(found)}.values()
    if not found:
        yield _nothing_lost(target, newest, asked, is_late=not in_time(None))


def _nothing_lost(
    target: ProviderTarget, newest: list[LoginSession], asked: list[LoginSession], *, is_late: bool
) -> CheckResult:
    if is_late:
        return unknown(
            _("Hydra is slow: after %(seconds)d s nobody further was looked at.") % {"seconds": PATIENCE},
            _("See Hydra's log, or ask for this row alone: --only history.known_at_hydra."),
        )
    if asked and may_be_elsewhere() and not any(target.begun.get(row.pk) for row in asked):
        raise see("history.logout_request")
    return passed(_("All that could be looked at, of %(count)d.") % {"count": len(newest)})


def _in_time() -> Callable[[object], bool]:
    """Whether somebody may still be looked at."""
    deadline = time.monotonic() + PATIENCE
    return lambda _one: time.monotonic() < deadline


def _lost(
    target: ProviderTarget, row: LoginSession, consents: dict[str, list[ConsentSession]]
) -> Iterator[CheckResult]:
    """Hydra does not list ``row``. That alone means nothing: a flow that reuses a consent is not listed."""
    ours = [one for one in consents[row.subject] if _client_id(one) == target.registration.client_id]
    lapsed = _may_have_lapsed(row, [one for several in consents.values() for one in several])
    begun = begun_of(target, row)
    if row.session_key and not begun:
        return  # it does not live here either, or not where it can be read
    # None: Hydra takes no hint of it.
    lives = begun.asks if begun and (begun.asks or begun.sends_back) else None
    if lives is None and (lapsed or any(one.remember for one in ours)):
        return
    sid = {"sid": f"{str(row.sid)[:8]}…"}
    if not lives and ours:
        yield failed(
            _(
                "Sessions live here, such as sid %(sid)s, whose login session is gone at Hydra: it was revoked by "
                "subject, which tells nobody, or its notice was lost, or it was never remembered."
            )
            % sid,
            _(
                "To log people out, use manage.py ory_force_logout, which tells the applications. "
                "See history.notices and history.logout_request."
            ),
        )
    elif not ours and not lapsed:
        yield (failed if lives is False else warned)(
            _(
                "Sessions live here, such as sid %(sid)s, for which Hydra lists no consent: consents were revoked "
                "first, and then Hydra finds nobody to tell when the login ends. Or they are past their remember_for."
            )
            % sid,
            _("End login sessions by sid before consents, as manage.py ory_force_logout does."),
        )


def _may_have_lapsed(row: LoginSession, consents: Sequence[ConsentSession]) -> bool:
    """Whether consents are given for a time that is over for ``row``, as far as others tell."""
    given_for = [one.remember_for for one in consents if one.remember_for]
    return bool(given_for) and row.created_at + timedelta(seconds=min(given_for)) < timezone.now()


def _sids(consents: Sequence[ConsentSession]) -> set[str]:
    return {one.consent_request.login_session_id for one in consents}


def _client_id(consent: ConsentSession) -> str:
    return consent.consent_request.client.client_id
