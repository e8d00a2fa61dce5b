"""Follow one logout: its steps as they happen, and the first step that is missing.

While the doctor follows, every process of the site writes its steps to the database, and the doctor reads them there.
If several users log out at once, only the first counts. Steps without sid and subject can belong to another user.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...models import EndReason, EventKind, LogoutEvent
from ...sessions import events
from ..trial.hydra_user import newest_event_id
from .expected_steps import NOTICES, REDIRECT_STEPS, ExpectedSteps, MissingStep, code_of, steps_of_first_logout

#: The time between two queries, and the time to wait for late notices. In seconds.
POLL_SECONDS, GRACE_SECONDS = 0.2, 1.5
#: How long the site writes steps after the doctor was killed, in seconds.
LEASE_SECONDS = 20.0


@dataclass(frozen=True)
class Step:
    """One step, and its seconds after the first step. Its texts do not name the user."""

    event: LogoutEvent
    seconds: float

    @property
    def text(self) -> str:
        event, label = self.event, str(EventKind(self.event.kind).label)
        if event.kind == EventKind.ENDED:
            return f"{label}: {EndReason(event.code or EndReason.USER).label}"
        if event.kind == EventKind.FRONT_CHANNEL and not event.ended:
            return _("front-channel request, which ended nothing")
        if event.kind in NOTICES:
            ended = ngettext("%(count)d session ended", "%(count)d sessions ended", event.ended)
            return f"{label}: {ended % {'count': event.ended}}"
        if event.kind == EventKind.TOLD_KRATOS and event.code:
            return _("the session at Kratos could not be ended: %(code)s") % {"code": event.code}
        if event.kind == EventKind.REFUSED:
            return f"{label} ({event.code.partition(': ')[0]}): {self.code}"
        return label

    @property
    def code(self) -> str:
        """The code for ``--explain``."""
        return "" if self.event.kind in REDIRECT_STEPS else code_of(self.event)

    @property
    def clock(self) -> str:
        at = self.event.at
        return f"{timezone.localtime(at) if timezone.is_aware(at) else at:%H:%M:%S.%f}"[:-3]

    def as_dict(self) -> dict[str, Any]:
        return {
            "step": self.event.kind,
            "at": self.event.at.isoformat(),
            "seconds": round(self.seconds, 3),
            "code": self.code,
            "ended": self.event.ended,
            "words": self.text,
        }


@dataclass(frozen=True)
class Outcome:
    """The end: the first missing step, if any."""

    missing: MissingStep | None

    def as_dict(self) -> dict[str, Any]:
        if self.missing is None:
            return {"complete": True}
        missing = self.missing
        return {"complete": False, "missing": missing.id, "means": missing.explanation, "rows": list(missing.rows)}


def follow(
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    when_ready: Callable[[], None] = lambda: None,
) -> Iterator[Step | Outcome]:
    """Yield the steps as they happen, then the outcome.

    It ends soon after the last expected step, or after ``seconds``, or by Ctrl-C. It calls ``when_ready`` as soon as
    the site writes steps.
    """
    last_event_id, expected_steps, seen = newest_event_id(), ExpectedSteps(), list[LogoutEvent]()
    with events.follow(LEASE_SECONDS) as prolong, suppress(KeyboardInterrupt):
        when_ready()
        until, renewal = clock() + seconds, clock() + LEASE_SECONDS / 2
        while (now := clock()) < until:
            for event in _new_events(last_event_id, {event.pk for event in seen}):
                seen.append(event)
                yield Step(event, max(0.0, (event.at - seen[0].at).total_seconds()))
            if expected_steps.missing(steps_of_first_logout(seen)) is None:
                until = min(until, now + GRACE_SECONDS)
            if now >= renewal:
                prolong()
                renewal = now + LEASE_SECONDS / 2
            sleep(POLL_SECONDS)
    yield Outcome(expected_steps.missing(steps_of_first_logout(seen)))


def _new_events(last_event_id: int, seen: Collection[int]) -> list[LogoutEvent]:
    """The new events, in the order of their times.

    An event with a lower id may be committed later, so ``seen`` has the ids of all events seen so far.
    """
    found = events.rows().filter(pk__gt=last_event_id).exclude(kind=EventKind.FOLLOWED).order_by("at", "pk")
    return [event for event in found if event.pk not in seen]
