"""Which steps a logout takes, by how it began; and what it means when one of them does not come."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from ... import conf
from ...models import EndReason, EventKind, LogoutEvent
from ..checks.history_refusals import FAULTS, SIGNED
from ..findings import CHECKS, NotKnown, Scope
from ..targets import ProviderTarget
from .messages import MESSAGES

#: Why a session ended, where that was a logout; the others are signed in anew, or forgotten.
LOGOUTS = frozenset(EndReason) - {EndReason.SUPERSEDED, EndReason.EXPIRED}
NOTICES = frozenset({EventKind.BACK_CHANNEL, EventKind.FRONT_CHANNEL})
SIGN_IN = "sign-in"
#: To the provider and back: their ``code`` tells which ``state`` it was.
WAY = frozenset({EventKind.TO_PROVIDER, EventKind.RETURNED})
#: Refused before a token was found to be meant for this site: anybody can send that, and no provider does.
NO_NOTICE = frozenset(
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
#: What a stranger cannot cause.
PROVEN = SIGNED | FAULTS


@dataclass(frozen=True)
class Missing:
    """The first step that did not come: its stable id, its name, what that means, and the checks that tell more."""

    id: str
    step: str
    means: str
    rows: tuple[str, ...]


def journey(seen: Sequence[LogoutEvent]) -> list[LogoutEvent]:
    """Those of ``seen`` that belong to the first logout, or may: some bear no name."""
    steps = [one for one in seen if _is_of_logout(one)]
    named = [one for one in steps if one.sid or one.subject]
    first = min(named, key=_trust, default=None)
    own = [one for one in steps if first is None or _may_be_of(first, one)]
    left = {one.code for one in own if one.kind == EventKind.TO_PROVIDER}
    return [one for one in own if first is None or not _is_return_of_another(one, left)]


def _trust(event: LogoutEvent) -> int:
    """What anybody can cause, a front-channel request that ends nothing, comes last."""
    if event.kind == EventKind.ENDED:
        return 0
    return 2 if event.kind == EventKind.FRONT_CHANNEL and not event.ended else 1


def _is_return_of_another(event: LogoutEvent, left: set[str]) -> bool:
    return event.kind == EventKind.RETURNED and bool(event.code) and event.code not in left


def _is_of_logout(event: LogoutEvent) -> bool:
    if event.kind == EventKind.ENDED:
        return event.code in LOGOUTS
    if event.kind == EventKind.REFUSED:
        return not event.code.startswith(SIGN_IN) and code_of(event) not in NO_NOTICE
    return event.kind not in {EventKind.SIGNED_IN, EventKind.FOLLOWED}


def code_of(event: LogoutEvent) -> str:
    """The code without the channel that stands before it."""
    return event.code.rpartition(": ")[2]


def _may_be_of(first: LogoutEvent, event: LogoutEvent) -> bool:
    if not (event.sid or event.subject):
        return True
    same = first.sid == event.sid if first.sid and event.sid else first.subject == event.subject
    return same and event.issuer in {"", first.issuer}


class Expectations:
    """What each logout takes, by the settings and what the providers say. They are asked when it matters, and once."""

    def __init__(self) -> None:
        self._notices: dict[str, EventKind | None] = {}

    def missing(self, came: Sequence[LogoutEvent]) -> Missing | None:
        """The first step that ``came`` lacks; ``None`` once all are there."""
        if not came:
            return _missing("nothing", _("any step"))
        kinds = {one.kind for one in came if not _failed(one)}
        if EventKind.RETURNED in kinds:
            kinds.add(EventKind.TO_PROVIDER)  # by a link, which this site does not see
        kind = next((one for one in self._expected(came) if one not in kinds), None)
        return _explained(kind, came, kinds) if kind else None

    def _expected(self, came: Sequence[LogoutEvent]) -> list[EventKind]:
        ended = next((one for one in came if one.kind == EventKind.ENDED), None)
        steps = [EventKind.ENDED]
        if ended and ended.code == EndReason.RP_INITIATED:
            steps += self._way(ended.issuer)
        return steps + [EventKind.TOLD_KRATOS for one in came if _failed(one)]

    def _way(self, issuer: str) -> list[EventKind]:
        """The steps of a logout that began here, behind the end of the session."""
        config = conf.get()
        if config.kratos_of(issuer):
            return [EventKind.TOLD_KRATOS]
        providers = config.of_issuer(issuer)
        here = [one for one in providers if one.post_logout_redirect_uri in {"", config.absolute("logout_callback")}]
        if issuer not in self._notices:
            self._notices[issuer] = _notice_of(providers[0]) if providers else None
        notice = self._notices[issuer]
        return [EventKind.TO_PROVIDER, *([EventKind.RETURNED] if here else []), *([notice] if notice else [])]


def _notice_of(provider: conf.ProviderConfig) -> EventKind | None:
    """What the provider sends to this site as well, when the logout began here."""
    target = ProviderTarget(provider)
    try:
        client = target.client
    except NotKnown:
        return _announced_by(target)
    if client.backchannel_logout_uri:
        return EventKind.BACK_CHANNEL
    return EventKind.FRONT_CHANNEL if client.frontchannel_logout_uri else None


def _announced_by(target: ProviderTarget) -> EventKind | None:
    try:
        announced = target.discovery.get("backchannel_logout_supported")
    except NotKnown:
        return None
    return EventKind.BACK_CHANNEL if announced is True else None


def _failed(event: LogoutEvent) -> bool:
    return event.kind == EventKind.TOLD_KRATOS and bool(event.code)


def _explained(kind: EventKind, came: Sequence[LogoutEvent], kinds: set[str]) -> Missing:
    refusals = sorted(
        (code_of(one) for one in came if one.kind == EventKind.REFUSED), key=lambda code: code not in PROVEN
    )
    name, step = kind.name.lower(), str(kind.label)
    if refusals and kind in {EventKind.ENDED, *NOTICES}:
        return _missing(name, step, "refused" if refusals[0] in PROVEN else "refused unverified", refusals[0])
    if kind == EventKind.ENDED and kinds & NOTICES == {EventKind.FRONT_CHANNEL}:
        return _missing(name, step, "ended after request")
    if f"{name} after notice" in MESSAGES and kinds & NOTICES:
        return _missing(name, step, f"{name} after notice")
    return _missing(name, step)


def _missing(name: str, step: str, why: str = "", code: str = "") -> Missing:
    means, rows = MESSAGES[why or name]
    return Missing(f"follow.{name}", step, str(means).format(code=code), _of_this_site(rows))


def _of_this_site(rows: Sequence[str]) -> tuple[str, ...]:
    """Those of ``rows`` that the doctor has for what is configured."""
    config = conf.get()
    providers = config.providers.values()
    there = {
        Scope.SITE: True,
        Scope.PROVIDER: bool(providers),
        Scope.HYDRA: any(one.hydra for one in providers),
        Scope.KRATOS: bool(config.kratos),
    }
    return tuple(row for row in rows if there[CHECKS[row].scope])
