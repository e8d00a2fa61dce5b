"""What a forced logout did, step by step; what is still alive; and what nobody here can know.

Codes are for programs, words for people: these are translated when they are read.
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
    """What there is to do, in the order in which it is done."""

    INDEX = "index", _("what this site knows read")
    LOCAL = "local", _("sessions on this site")
    KRATOS_LIST = "kratos_list", _("sessions at Kratos listed")
    KRATOS_REFUSED = "kratos_refused", _("sessions at Kratos refused on this site")
    KRATOS_SESSIONS = "kratos_sessions", _("all sessions at Kratos")
    KRATOS_SESSION = "kratos_session", _("session at Kratos")
    KEYS = "keys", _("keys of this admin API compared with those of the issuer")
    CLIENT = "client", _("this site's registration read")
    LIST = "list", _("consents listed")
    SID = "sid", _("login session at Hydra, its applications told")
    SUBJECT = "subject", _("all login sessions at Hydra")
    CONSENTS = "consents", _("consents, with their access and refresh tokens")
    ACCESS_TOKENS = "access_tokens", _("access tokens of an application")


#: The steps that end something, and are answered alike by Hydra for an id that it has never heard of.
ENDING = frozenset(
    {
        StepName.LOCAL,
        StepName.KRATOS_SESSIONS,
        StepName.KRATOS_SESSION,
        StepName.SID,
        StepName.SUBJECT,
        StepName.CONSENTS,
        StepName.ACCESS_TOKENS,
    }
)


class Outcome(TextChoices):
    """How a step went."""

    DONE = "done", _("done")
    PLANNED = "planned", _("would be done")
    RETRIED = "retried", _("failed, tried again below")
    FAILED = "failed", _("failed")
    NOT_KNOWN = "not_known", _("not known there")


#: What a remark says, by its code.
WORDS: Mapping[str, Promise] = {
    "local_sessions": _("Sessions of {target} on this site may be alive."),
    "kratos_unconfigured": _(
        "No admin API is configured for {target}: sessions there. Those that this site does not know can sign in here."
    ),
    "kratos_sessions": _(
        "Sessions of {target} at Kratos may be alive. This site refuses those that it knows or that were listed."
    ),
    "kratos_session": _("The session {target} at Kratos may be alive. This site refuses it."),
    "hydra_unconfigured": _("No admin API is configured for {target}: the login there, and other applications."),
    "hydra_of_another_issuer": _(
        "The login at {target}, and other applications: ADMIN_URL is the admin API of another Hydra, where nothing was "
        "ended."
    ),
    "index_unread": _("What this site knows of {target}: it could not be read. Other applications may not be told."),
    "keys_not_compared": _(
        "Whether ADMIN_URL is the admin API of {target}: the keys of its ID tokens could not be compared."
    ),
    "login_session": _("The login session {target} at Hydra may be alive, and its applications were not told."),
    "recipients_forgotten": _(
        "Whether Hydra can still tell the applications of the login session {target}: not if it was among the login "
        "sessions and consents that are revoked."
    ),
    "login_sessions": _("Login sessions of {target} at Hydra may be alive."),
    "login_sessions_kept": _("The login sessions of {target} at Hydra, and all sessions of applications."),
    "tokens": _("Access and refresh tokens of {target}: they work until they expire or are revoked."),
    "tokens_of_login": _("Consents, access and refresh tokens of the login session {target}."),
    "refresh_tokens": _("Refresh tokens of {target}: each gives new access tokens."),
    "application_not_told": _("Sessions at {target}, which has no back-channel logout URI registered."),
    "subject_pairwise": _("This site knows {target} by a pairwise subject, which Hydra's admin API does not know."),
    "subject_given": _(
        "Whether {target} is Hydra's own subject: this site's are pairwise, and for one of these nothing happens."
    ),
    "subject_unlisted": _(
        "Whether Hydra knows {target} by this subject: it lists no consent. A forced subject is another one, and then "
        "its consents, its tokens and its logins at other applications live on."
    ),
    "listing_incomplete": _("Which further applications {target} uses: their list could not be read to its end."),
    "identity_unknown": _("Whether {target} has sessions at Kratos: this subject is no identity's id."),
    "identity_unlisted": _(
        "Whether Kratos knows {target}: it lists no session, though this site knew one. With another Kratos behind the "
        "admin API, sessions live on."
    ),
    "kratos_listing_incomplete": _(
        "Which sessions {target} has at Kratos: their list could not be read to its end. One that lives on, and that "
        "this site does not know, can sign in here."
    ),
    "kratos_tells_nobody": _(
        "Whether other applications have sessions of their own, or hold an answer of Kratos (whoami, JWT): it tells "
        "nobody that a session has ended."
    ),
    "counterpart": _(
        "Whether what {target} is tied to lives on: neither Hydra nor Kratos says which login session at Hydra belongs "
        "to which session at Kratos."
    ),
    "unremembered": _("Which logins Hydra was not asked to remember: of their end no application is told."),
    "unlisted": _(
        "Which applications reused a remembered consent, or have one past its time: Hydra does not list them, and "
        "tells them nothing where this site does not know their sid."
    ),
    "delivery": _("Whether the applications heeded the notice: Hydra says so in its own log alone."),
    "self_contained_tokens": _("Whether an application accepts access tokens (JWT) without asking Hydra."),
    "identity_provider": _(
        "Whether {target} is still signed in at the login page: then signing in again asks nothing."
    ),
    "other_sessions": _("Whether {target} has sessions on this site that no provider opened."),
    "recipients_lost": _("Applications whose consent is revoked: they are not told of a later logout."),
}


@dataclass(frozen=True)
class Step:
    """One step. ``code`` says why it failed, ``count`` how many it was about."""

    name: StepName
    target: str
    outcome: Outcome
    code: str = ""
    count: int | None = None
    #: What the people who run the site have to do first.
    detail: str = ""


@dataclass(frozen=True)
class Remark:
    """What lives on, or cannot be known, about ``target``."""

    code: str
    target: str

    @property
    def text(self) -> str:
        return str(WORDS[self.code]).format(target=self.target)

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "target": self.target, "text": self.text}


@dataclass(frozen=True)
class Untold:
    """A login session that Hydra did not take to end, so that its applications were not told.

    What is left to do is ``force_logout`` with these two: a repeat of the whole may no longer know the ``sid``.
    """

    sid: str
    provider: str


@dataclass(frozen=True)
class ForcedLogout:
    """What was done, or with ``dry_run`` what would be."""

    dry_run: bool
    steps: tuple[Step, ...]
    untold: tuple[Untold, ...]
    still_alive: tuple[Remark, ...]
    unknown: tuple[Remark, ...]

    @property
    def ok(self) -> bool:
        """Whether no step failed, and somebody knew the id."""
        return all(step.outcome != Outcome.FAILED for step in self.steps) and self.is_known

    @property
    def is_known(self) -> bool:
        """Whether this site, Hydra or Kratos ever knew who is meant, or this could not be found out."""
        return all(step.outcome != Outcome.NOT_KNOWN for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "steps": [
                {"name": one.name.value, "target": one.target, "outcome": one.outcome.value}
                | ({"code": one.code} if one.code else {})
                | ({"detail": one.detail} if one.detail else {})
                | ({"count": one.count} if one.count is not None else {})
                for one in self.steps
            ],
            "untold": [asdict(one) for one in self.untold],
            "still_alive": [remark.as_dict() for remark in self.still_alive],
            "unknown": [remark.as_dict() for remark in self.unknown],
        }


#: Told of each step, or of each part of a long one: its name, how many are done, and how many there will be, if known.
Progress = Callable[[StepName, int, int | None], None]


class Report:
    """A :class:`ForcedLogout` while it is under way."""

    def __init__(self, dry_run: bool, progress: Progress | None = None) -> None:
        self.dry_run = dry_run
        self._progress = progress or _silent
        self._in_parts: set[StepName] = set()
        self._counts: Counter[StepName] = Counter()
        self._expected: Counter[StepName] = Counter()
        self.is_known = False
        self._steps: list[Step] = []
        self._untold: list[Untold] = []
        self._still_alive: dict[Remark, None] = {}
        self._unknown: dict[Remark, None] = {}

    def known(self) -> None:
        """Somebody knows the id that this is about, or nobody could be asked. Otherwise nothing counts as done."""
        self.is_known = True

    def expect(self, name: StepName, count: int) -> None:
        """So many more steps of this name are ahead."""
        self._expected[name] += count

    def part(self, name: StepName, done: int, total: int | None) -> None:
        """The step ``name`` is long: so far, ``done`` of ``total`` are done of what it is about."""
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
    ) -> bool:
        """A step that ends something: ``call`` says how many, ``planned`` how many it would. Says if it went well."""
        if self.dry_run:
            return self._tried(name, target, planned, Outcome.PLANNED, failure)
        return self._tried(name, target, call, Outcome.DONE, failure)

    def read(self, name: StepName, target: str, call: Callable[[], int | None]) -> bool:
        """A step that ends nothing, taken in a dry run too. Says whether it went well."""
        return self._tried(name, target, call, Outcome.DONE)

    def failed(self, name: StepName, target: str, code: str, failure: Outcome = Outcome.FAILED) -> None:
        """A step that cannot be taken, or that will be :attr:`Outcome.RETRIED`."""
        self._steps.append(Step(name, target, failure, code))

    def failed_here(self, name: StepName, target: str, error: DatabaseFault, failure: Outcome = Outcome.FAILED) -> None:
        """A step at which the database of this site failed."""
        fault = database_fault(error)
        logger.error("forced logout: step %s failed: %s", name.value, fault)
        detail = fault.detail if isinstance(fault, SetupError) else ""
        self._steps.append(Step(name, target, failure, fault.code, detail=detail))

    def result(self) -> ForcedLogout:
        steps = self._steps if self.is_known else [_not_known(step) for step in self._steps]
        return ForcedLogout(
            self.dry_run, tuple(steps), tuple(self._untold), tuple(self._still_alive), tuple(self._unknown)
        )

    def _tried(
        self,
        name: StepName,
        target: str,
        call: Callable[[], int | None],
        outcome: Outcome,
        failure: Outcome = Outcome.FAILED,
    ) -> bool:
        went_well = self._taken(name, target, call, outcome, failure)
        self._counts[name] += 1
        if name not in self._in_parts:
            self._progress(name, self._counts[name], max(self._counts[name], self._expected[name]))
        return went_well

    def _taken(
        self, name: StepName, target: str, call: Callable[[], int | None], outcome: Outcome, failure: Outcome
    ) -> bool:
        try:
            count = call()
        except OryLogoutError as error:
            logger.error("forced logout: step %s failed: %s", name.value, error)
            self.failed(name, target, error.code, failure)
            return False
        except DatabaseFault as error:
            self.failed_here(name, target, error, failure)
            return False
        except Exception:
            logger.exception("forced logout: step %s failed: internal_error", name.value)
            self.failed(name, target, "internal_error", failure)
            return False
        self._steps.append(Step(name, target, outcome, count=count))
        return True


def _silent(_name: StepName, _done: int, _total: int | None) -> None:
    """Nobody wants to know how far it is."""


def _not_known(step: Step) -> Step:
    ended = step.name in ENDING and step.outcome in {Outcome.DONE, Outcome.PLANNED}
    return replace(step, outcome=Outcome.NOT_KNOWN) if ended else step
