"""Watching one logout: each step as it happens, and the first that did not come.

Every process of the site keeps its steps while somebody follows; they are read from the database. Of several people
who log out at once the first counts, though steps that bear no name can be another's.
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
from ..trial.hydra_user import newest
from .expected_steps import NOTICES, WAY, Expectations, Missing, code_of, journey

#: Between two looks, and for notices that come late, in seconds.
POLL_SECONDS, GRACE_SECONDS = 0.2, 1.5
#: So long steps are kept behind a doctor that was killed.
LEASE_SECONDS = 20.0


@dataclass(frozen=True)
class Step:
    """What happened, and how many seconds after the first step. It does not say to whom."""

    event: LogoutEvent
    seconds: float

    @property
    def words(self) -> str:
        event, label = self.event, str(EventKind(self.event.kind).label)
        if event.kind == EventKind.ENDED:
            return f"{label}: {EndReason(event.code or EndReason.USER).label}"
        if event.kind == EventKind.FRONT_CHANNEL and not event.ended:
            return _("front-channel request, which ended nothing")
        if event.kind in NOTICES:
            ended = ngettext("%(count)d session ended", "%(count)d sessions ended", event.ended)
            return f"{label}: {ended % {'count': event.ended}}"
        if event.kind == EventKind.TOLD_KRATOS and event.code:
            return _("Kratos could not be told: %(code)s") % {"code": event.code}
        if event.kind == EventKind.REFUSED:
            return f"{label} ({event.code.partition(': ')[0]}): {self.code}"
        return label

    @property
    def code(self) -> str:
        """As ``--explain`` knows it."""
        return "" if self.event.kind in WAY else code_of(self.event)

    @property
    def clock(self) -> str:
        """The time of day at which it happened."""
        at = self.event.at
        return f"{timezone.localtime(at) if timezone.is_aware(at) else at:%H:%M:%S.%f}"[:-3]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "step": self.event.kind,
            "at": self.event.at.isoformat(),
            "seconds": round(self.seconds, 3),
            "code": self.code,
            "ended": self.event.ended,
            "words": self.words,
        }


@dataclass(frozen=True)
class Outcome:
    """The end: the first step that did not come, if any."""

    missing: Missing | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        if self.missing is None:
            return {"complete": True}
        missing = self.missing
        return {"complete": False, "missing": missing.id, "means": missing.means, "rows": list(missing.rows)}


def follow(
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    when_ready: Callable[[], None] = lambda: None,
) -> Iterator[Step | Outcome]:
    """The steps as they come, then the outcome: soon after all that was expected came, or after ``seconds``, or Ctrl-C.

    ``when_ready`` is called once steps are kept.
    """
    before, expectations, seen = newest(), Expectations(), list[LogoutEvent]()
    with events.follow(LEASE_SECONDS) as prolong, suppress(KeyboardInterrupt):
        when_ready()
        until, renewal = clock() + seconds, clock() + LEASE_SECONDS / 2
        while (now := clock()) < until:
            for event in _since(before, {one.pk for one in seen}):
                seen.append(event)
                yield Step(event, max(0.0, (event.at - seen[0].at).total_seconds()))
            if expectations.missing(journey(seen)) is None:
                until = min(until, now + GRACE_SECONDS)
            if now >= renewal:
                prolong()
                renewal = now + LEASE_SECONDS / 2
            sleep(POLL_SECONDS)
    yield Outcome(expectations.missing(journey(seen)))


def _since(pk: int, seen: Collection[int]) -> list[LogoutEvent]:
    """The steps that are new, as they happened.

    One with a lower number may be committed later: those seen are left out one by one.
    """
    found = events.rows().filter(pk__gt=pk).exclude(kind=EventKind.FOLLOWED).order_by("at", "pk")
    return [one for one in found if one.pk not in seen]
