"""The report of a forced logout: its steps, what is still live, and what this site cannot know.

Codes are for programs. Texts are for people, and are translated when they are read.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db import Error as DatabaseFault
from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..database import database_fault
from ..exceptions import OryLogoutError, SetupError

logger = logging.getLogger("django_ory_logout")


class StepName(TextChoices):
    """The steps, in their order."""

    INDEX = "index", _("index of this site read")
    LOCAL = "local", _("sessions on this site")
    KRATOS_LIST = "kratos_list", _("sessions at Kratos listed")
    KRATOS_REFUSED = "kratos_refused", _("sessions at Kratos refused on this site")
    KRATOS_SESSIONS = "kratos_sessions", _("all sessions at Kratos")
    KRATOS_SESSION = "kratos_session", _("session at Kratos")
    KEYS = "keys", _("keys of this admin API compared with those of the issuer")
    CLIENT = "client", _("this site's registration read")
    LIST = "list", _("consents listed")
    SID = "sid", _("login session at Hydra, with notices to its applications")
    SUBJECT = "subject", _("all login sessions at Hydra")
    CONSENTS = "consents", _("consents, with their access and refresh tokens")
    ACCESS_TOKENS = "access_tokens", _("access tokens of an application")


#: The steps that end nothing. Hydra answers the other steps also for an id that it does not know.
NOT_ENDING = frozenset(
    {StepName.INDEX, StepName.KRATOS_LIST, StepName.KRATOS_REFUSED, StepName.KEYS, StepName.CLIENT, StepName.LIST}
)


class Outcome(TextChoices):
    """The outcome of a step."""

    DONE = "done", _("done")
    PLANNED = "planned", _("would be done")
    RETRIED = "retried", _("failed, tried again below")
    FAILED = "failed", _("failed")
    NOT_KNOWN = "not_known", _("not known there")


#: The text of a remark, by its code.
WORDS: Mapping[str, Promise] = {
    "local_sessions": _("Sessions of {target} on this site may be alive."),
    "kratos_unconfigured": _(
        "Sessions at {target}: no admin API is configured. Those that this site does not know can sign in here."
    ),
    "kratos_sessions": _(
        "Sessions of {target} at Kratos may be alive. This site refuses those that it knows or that were listed."
    ),
    "kratos_session": _("The session {target} at Kratos may be alive. This site refuses it."),
    "hydra_unconfigured": _("The login at {target}, and other applications: no admin API is configured."),
    "hydra_of_another_issuer": _(
        "The login at {target}, and other applications: ADMIN_URL is the admin API of another Hydra. Nothing was ended "
        "there."
    ),
    "index_unread": _(
        "Sessions of {target} in the index: it could not be read. Hydra may not notify other applications."
    ),
    "keys_not_compared": _(
        "Whether ADMIN_URL is the admin API of {target}: the keys of its ID tokens could not be compared."
    ),
    "login_session": _("The login session {target} at Hydra may be alive, and Hydra did not notify its applications."),
    "recipients_forgotten": _(
        "Whether Hydra can still notify the applications of the login session {target}: it cannot if the login session "
        "or its consents are revoked now."
    ),
    "login_sessions": _("Login sessions of {target} at Hydra may be alive."),
    "login_sessions_kept": _("The login sessions of {target} at Hydra, and all sessions of applications."),
    "tokens": _("Access and refresh tokens of {target}: they work until they expire or are revoked."),
    "tokens_of_login": _("Consents, access and refresh tokens of the login session {target}."),
    "refresh_tokens": _("Refresh tokens of {target}: each gives new access tokens."),
    "application_not_told": _("Sessions at {target}, which has no back-channel logout URI registered."),
    "subject_pairwise": _("This site knows {target} by a pairwise subject, which Hydra's admin API does not know."),
    "subject_given": _(
        "Whether {target} is Hydra's own subject: this site's subjects are pairwise, and Hydra ignores these."
    ),
    "subject_unlisted": _(
        "Whether Hydra knows the subject {target}: it lists no consent. A login with a forced subject has another "
        "subject. Then its consents, its tokens and its logins at other applications are still live."
    ),
    "listing_incomplete": _("Which other applications {target} uses: the list could not be read completely."),
    "identity_unknown": _("Whether {target} has sessions at Kratos: this subject is no identity's id."),
    "identity_unlisted": _(
        "Whether Kratos knows {target}: it lists no session, although this site knew one. If ADMIN_URL belongs to "
        "another Kratos, sessions are still live."
    ),
    "kratos_listing_incomplete": _(
        "Which sessions {target} has at Kratos: the list could not be read completely. A live session that this site "
        "does not know can sign in here."
    ),
    "kratos_tells_nobody": _(
        "Whether other applications have their own sessions, or keep an answer of Kratos (whoami, JWT): Kratos sends "
        "no notices when a session ends."
    ),
    "counterpart": _(
        "Whether the session at the other side of {target} is live: Hydra and Kratos do not say which of their "
        "sessions belong together."
    ),
    "unremembered": _("Which logins Hydra was not told to remember: Hydra sends no notices for these."),
    "unlisted": _(
        "Which applications reused a remembered consent, or have an expired one: Hydra does not list them. It notifies "
        "them only if this site knows their sid."
    ),
    "delivery": _("Whether the applications accepted the notice: only Hydra's log shows it."),
    "self_contained_tokens": _("Whether an application accepts access tokens (JWT) without asking Hydra."),
    "identity_provider": _(
        "Whether {target} is still signed in at the login page: then the next sign-in asks for no password."
    ),
    "other_sessions": _("Whether {target} has sessions on this site that no provider opened."),
    "recipients_lost": _("Applications with a revoked consent: Hydra does not notify them of a later logout."),
}


@dataclass(frozen=True)
class Step:
    """One step. ``code``: why it failed. ``count``: how many sessions, consents or tokens it had."""

    name: StepName
    target: str
    outcome: Outcome
    code: str = ""
    count: int | None = None
    #: The instruction for the people who run the site.
    detail: str = ""


@dataclass(frozen=True)
class Remark:
    """A fact about ``target``: something is still live, or this site cannot know it."""

    code: str
    target: str

    @property
    def text(self) -> str:
        return str(WORDS[self.code]).format(target=self.target)

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "target": self.target, "text": self.text}


@dataclass(frozen=True)
class Untold:
    """A login session that Hydra did not end, so that it did not notify the applications.

    Call ``force_logout`` with these two values later. A repeat for the user may no longer find the ``sid``.
    """

    sid: str
    provider: str


@dataclass(frozen=True)
class ForcedLogout:
    """The result of a forced logout. With ``dry_run``, the steps were only planned."""

    dry_run: bool
    steps: tuple[Step, ...]
    untold: tuple[Untold, ...]
    still_alive: tuple[Remark, ...]
    unknown: tuple[Remark, ...]

    @property
    def ok(self) -> bool:
        """Whether no step failed, and the id is known."""
        return all(step.outcome != Outcome.FAILED for step in self.steps) and self.is_known

    @property
    def is_known(self) -> bool:
        """Whether this site, Hydra or Kratos knows the id, or could not be asked."""
        return all(step.outcome != Outcome.NOT_KNOWN for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "steps": [
                {"name": step.name.value, "target": step.target, "outcome": step.outcome.value}
                | ({"code": step.code} if step.code else {})
                | ({"detail": step.detail} if step.detail else {})
                | ({"count": step.count} if step.count is not None else {})
                for step in self.steps
            ],
            "untold": [asdict(untold) for untold in self.untold],
            "still_alive": [remark.as_dict() for remark in self.still_alive],
            "unknown": [remark.as_dict() for remark in self.unknown],
        }


#: Called after each step or part of a long step: its name, the number done, and the total, if known.
Progress = Callable[[StepName, int, int | None], None]


class Report:
    """Collects the steps and remarks of a :class:`ForcedLogout`."""

    def __init__(self, dry_run: bool, progress: Progress | None = None) -> None:
        self.dry_run = dry_run
        self._progress: Progress = progress or (lambda _name, _done, _total: None)
        self._in_parts: set[StepName] = set()
        self._counts: Counter[StepName] = Counter()
        self._expected: Counter[StepName] = Counter()
        #: Whether the id is known, or may be. Otherwise no step counts as done.
        self.is_known = False
        self._steps: list[Step] = []
        self._untold: list[Untold] = []
        self._still_alive: dict[Remark, None] = {}
        self._unknown: dict[Remark, None] = {}

    def expect(self, name: StepName, count: int) -> None:
        """Record that ``count`` more steps of this name follow."""
        self._expected[name] += count

    def part(self, name: StepName, done: int, total: int | None) -> None:
        """Report a part of the long step ``name``: ``done`` of ``total``."""
        self._in_parts.add(name)
        self._progress(name, done, total)

    def alive(self, code: str, target: str = "") -> None:
        self._still_alive[Remark(code, target)] = None

    def untold(self, sid: str, provider: str) -> None:
        self._untold.append(Untold(sid, provider))
        self.alive("login_session", sid)

    def unknown(self, *codes: str, target: str = "") -> None:
        self._unknown |= {Remark(code, target): None for code in codes}

    def write(
        self,
        name: StepName,
        target: str,
        call: Callable[[], int | None],
        planned: Callable[[], int | None] = lambda: None,
        failure: Outcome = Outcome.FAILED,
        alive: str = "",
    ) -> bool:
        """Run a step that ends something. ``call`` and ``planned`` return its count. Return whether it succeeded.

        ``alive``: the code of what may be alive if it fails.
        """
        call, outcome = (planned, Outcome.PLANNED) if self.dry_run else (call, Outcome.DONE)
        succeeded = self._run(name, target, call, outcome, failure)
        if alive and not succeeded:
            self.alive(alive, target)
        return succeeded

    def read(self, name: StepName, target: str, call: Callable[[], int | None]) -> bool:
        """Run a step that only reads, also in a dry run. Return whether it succeeded."""
        return self._run(name, target, call, Outcome.DONE)

    def failed(self, name: StepName, target: str, code: str, failure: Outcome = Outcome.FAILED) -> None:
        """Record a step that failed, or that will be :attr:`Outcome.RETRIED`."""
        self._steps.append(Step(name, target, failure, code))

    def failed_by(self, name: StepName, target: str, error: Exception, failure: Outcome = Outcome.FAILED) -> None:
        """Record and log a step that failed because of ``error``."""
        code, detail = "internal_error", ""
        if isinstance(error, DatabaseFault):
            error = database_fault(error)
            detail = error.detail if isinstance(error, SetupError) else ""
        if isinstance(error, OryLogoutError):
            code = error.code
            logger.error("forced logout: step %s failed: %s", name.value, error)
        else:
            logger.exception("forced logout: step %s failed: internal_error", name.value)
        self._steps.append(Step(name, target, failure, code, detail=detail))

    def result(self) -> ForcedLogout:
        steps = self._steps if self.is_known else [_not_known(step) for step in self._steps]
        return ForcedLogout(
            self.dry_run, tuple(steps), tuple(self._untold), tuple(self._still_alive), tuple(self._unknown)
        )

    def _run(
        self,
        name: StepName,
        target: str,
        call: Callable[[], int | None],
        outcome: Outcome,
        failure: Outcome = Outcome.FAILED,
    ) -> bool:
        succeeded = True
        try:
            self._steps.append(Step(name, target, outcome, count=call()))
        except Exception as error:
            succeeded = False
            self.failed_by(name, target, error, failure)
        self._counts[name] += 1
        if name not in self._in_parts:
            self._progress(name, self._counts[name], max(self._counts[name], self._expected[name]))
        return succeeded


def _not_known(step: Step) -> Step:
    ended = step.name not in NOT_ENDING and step.outcome in {Outcome.DONE, Outcome.PLANNED}
    return replace(step, outcome=Outcome.NOT_KNOWN) if ended else step
