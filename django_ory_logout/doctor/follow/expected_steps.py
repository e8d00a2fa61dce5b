"""The steps that a logout has, by how it began, and the first of them that is missing."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from ... import conf
from ...models import EndReason, EventKind, LogoutEvent
from ..checks.history_refusals import FAULTS, SIGNED
from ..findings import CHECKS, NotKnown
from ..targets import ProviderTarget, targets_of
from .messages import MESSAGES

#: The reasons that are a logout. The others are a new sign-in, and an expired session.
LOGOUTS = frozenset(EndReason) - {EndReason.SUPERSEDED, EndReason.EXPIRED}
NOTICES = frozenset({EventKind.BACK_CHANNEL, EventKind.FRONT_CHANNEL})
SIGN_IN = "sign-in"
#: The redirects to the provider and back. Their ``code`` identifies the ``state``.
REDIRECT_STEPS = frozenset({EventKind.TO_PROVIDER, EventKind.RETURNED})
#: Errors of requests that are no logout notices at all. Anyone can send these, and no provider does.
INVALID_REQUEST_CODES = frozenset(
    {
        "body_invalid",
        "body_too_large",
        "charset_unsupported",
        "content_type_invalid",
        "iss_or_sid_missing",
        "logout_token_missing",
        "logout_token_repeated",
        "malformed",
        "parameter_repeated",
        "token_too_large",
    }
)
#: Errors that only the provider or a fault can cause.
TRUSTED_CODES = SIGNED | FAULTS


@dataclass(frozen=True)
class MissingStep:
    """The first missing step: its stable id, its name, an explanation, and the checks with more details."""

    id: str
    step: str
    explanation: str
    rows: tuple[str, ...]


def steps_of_first_logout(seen: Sequence[LogoutEvent]) -> list[LogoutEvent]:
    """The events of the first logout. Events without sid and subject may belong to another logout."""
    steps = [event for event in seen if _is_of_logout(event)]
    named = [event for event in steps if event.sid or event.subject]
    first = min(named, key=_reliability, default=None)
    own = [event for event in steps if first is None or _may_be_of(first, event)]
    states = {event.code for event in own if event.kind == EventKind.TO_PROVIDER}
    return [event for event in own if first is None or not _is_return_of_another(event, states)]


def _reliability(event: LogoutEvent) -> int:
    """The sort key of events, the most reliable first. Anyone can cause a front-channel request that ends nothing."""
    if event.kind == EventKind.ENDED:
        return 0
    return 2 if event.kind == EventKind.FRONT_CHANNEL and not event.ended else 1


def _is_return_of_another(event: LogoutEvent, states: set[str]) -> bool:
    return event.kind == EventKind.RETURNED and bool(event.code) and event.code not in states


def _is_of_logout(event: LogoutEvent) -> bool:
    if event.kind == EventKind.ENDED:
        return event.code in LOGOUTS
    if event.kind == EventKind.REFUSED:
        return not event.code.startswith(SIGN_IN) and code_of(event) not in INVALID_REQUEST_CODES
    return event.kind not in {EventKind.SIGNED_IN, EventKind.FOLLOWED}


def code_of(event: LogoutEvent) -> str:
    """The code of ``event``, without the channel before it."""
    return event.code.rpartition(": ")[2]


def _may_be_of(first: LogoutEvent, event: LogoutEvent) -> bool:
    if not (event.sid or event.subject):
        return True
    same = first.sid == event.sid if first.sid and event.sid else first.subject == event.subject
    return same and event.issuer in {"", first.issuer}


class ExpectedSteps:
    """The steps of a logout, by the settings and the providers' documents. Each document is fetched at most once."""

    def __init__(self) -> None:
        self._notices: dict[str, EventKind | None] = {}

    def missing(self, events: Sequence[LogoutEvent]) -> MissingStep | None:
        """The first step that is not in ``events``; ``None`` if all are there."""
        if not events:
            return _missing("nothing", _("any step"))
        kinds = {event.kind for event in events if not _is_kratos_failure(event)}
        if EventKind.RETURNED in kinds:
            kinds.add(EventKind.TO_PROVIDER)  # the browser may have followed a link, which writes no event
        kind = next((kind for kind in self._expected(events) if kind not in kinds), None)
        return _explain(kind, events, kinds) if kind else None

    def _expected(self, events: Sequence[LogoutEvent]) -> list[EventKind]:
        ended = next((event for event in events if event.kind == EventKind.ENDED), None)
        steps = [EventKind.ENDED]
        if ended and ended.code == EndReason.RP_INITIATED:
            steps += self._after_end(ended.issuer)
        return steps + [EventKind.TOLD_KRATOS for event in events if _is_kratos_failure(event)]

    def _after_end(self, issuer: str) -> list[EventKind]:
        """The steps of a logout that began here, after the end of the session."""
        config = conf.get()
        if config.kratos_of(issuer):
            return [EventKind.TOLD_KRATOS]
        providers = config.of_issuer(issuer)
        own_uris = {"", config.absolute("logout_callback")}
        returns = any(provider.post_logout_redirect_uri in own_uris for provider in providers)
        if issuer not in self._notices:
            self._notices[issuer] = _expected_notice(providers[0]) if providers else None
        notice = self._notices[issuer]
        return [EventKind.TO_PROVIDER, *([EventKind.RETURNED] if returns else []), *([notice] if notice else [])]


def _expected_notice(provider: conf.ProviderConfig) -> EventKind | None:
    """The kind of notice that the provider sends to this site after a logout that began here."""
    target = ProviderTarget(provider)
    try:
        client = target.client
    except NotKnown:
        return _announced_notice(target)
    if client.backchannel_logout_uri:
        return EventKind.BACK_CHANNEL
    return EventKind.FRONT_CHANNEL if client.frontchannel_logout_uri else None


def _announced_notice(target: ProviderTarget) -> EventKind | None:
    try:
        announced = target.discovery.get("backchannel_logout_supported")
    except NotKnown:
        return None
    return EventKind.BACK_CHANNEL if announced is True else None


def _is_kratos_failure(event: LogoutEvent) -> bool:
    return event.kind == EventKind.TOLD_KRATOS and bool(event.code)


def _explain(kind: EventKind, events: Sequence[LogoutEvent], kinds: set[str]) -> MissingStep:
    refusals = [code_of(event) for event in events if event.kind == EventKind.REFUSED]
    refusals.sort(key=lambda code: code not in TRUSTED_CODES)
    name, step = kind.name.lower(), str(kind.label)
    if refusals and kind in {EventKind.ENDED, *NOTICES}:
        return _missing(name, step, "refused" if refusals[0] in TRUSTED_CODES else "refused unverified", refusals[0])
    if kind == EventKind.ENDED and kinds & NOTICES == {EventKind.FRONT_CHANNEL}:
        return _missing(name, step, "ended after request")
    if f"{name} after notice" in MESSAGES and kinds & NOTICES:
        return _missing(name, step, f"{name} after notice")
    return _missing(name, step)


def _missing(name: str, step: str, message: str = "", code: str = "") -> MissingStep:
    explanation, rows = MESSAGES[message or name]
    return MissingStep(f"follow.{name}", step, str(explanation).format(code=code), _available(rows))


def _available(rows: Sequence[str]) -> tuple[str, ...]:
    """The ids in ``rows`` that the doctor shows with the present settings."""
    targets = targets_of(conf.get())
    return tuple(row for row in rows if targets[CHECKS[row].scope])
