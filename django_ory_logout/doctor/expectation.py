"""Which steps a logout takes, by how it began; and what it means when one of them does not come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import conf
from ..models import EndReason, EventKind, LogoutEvent
from .findings import CHECKS, NotKnown, Scope
from .patients import ProviderPatient

#: Why a session ended, where that was a logout; the others are signed in anew, or forgotten.
LOGOUTS = frozenset(EndReason) - {EndReason.SUPERSEDED, EndReason.EXPIRED}
NOTICES = frozenset({EventKind.BACK_CHANNEL, EventKind.FRONT_CHANNEL})
SIGN_IN = "sign-in"

#: What it means that a step did not come, and which checks tell more.
MEANS: Mapping[str, tuple[str | Promise, tuple[str, ...]]] = {
    "nothing": (
        gettext_lazy(
            "No step of a logout reached this site. Of a logout elsewhere it hears by a notice alone, and none came: "
            "it was sent to nobody or to another address, or the provider had nothing to end, or ended all logins of a "
            "subject at once, of which Hydra tells nobody."
        ),
        (
            "receiver.backchannel",
            "registration.backchannel",
            "history.logout_request",
            "history.known_at_hydra",
            "kratos.public",
        ),
    ),
    "ended": (
        gettext_lazy("No session ended here while it was watched: it had ended before, or belongs to another site."),
        ("history.notices", "site.sessions"),
    ),
    "ended after notice": (
        gettext_lazy(
            "A notice came and was accepted, and it names no session here: that session had ended before, or the "
            "notice names another sid than the one that was signed in with."
        ),
        ("history.notices", "history.sid", "history.known_at_hydra"),
    ),
    "refused": (
        gettext_lazy("A notice came, and this site refused it: {code}. manage.py ory_doctor --explain says why."),
        ("history.refused", "provider.keys", "provider.issuer"),
    ),
    "to_provider": (
        gettext_lazy(
            "The session ended here, and the browser was not sent on: this site found no end session endpoint, or not "
            "the provider. There the login lives, and nobody else is told."
        ),
        ("provider.discovery", "provider.issuer", "provider.endpoints"),
    ),
    "returned": (
        gettext_lazy(
            "The browser went to the provider and did not come back, and no notice came either: the provider shows an "
            "error page, or its question was left unanswered. There the login lives."
        ),
        ("history.logout_request", "registration.post_logout_redirect_uri", "registration.skip_logout_consent"),
    ),
    "returned after notice": (
        gettext_lazy(
            "The provider ended its login and told this site, and the browser did not come back: it was closed, or "
            "the provider's page still waits for a frame."
        ),
        ("receiver.frontchannel", "registration.post_logout_redirect_uri"),
    ),
    "back_channel": (
        gettext_lazy(
            "The browser came straight back, and no notice came. Either the provider had nothing to end, because the "
            "login was not remembered: then it lives on elsewhere. Or its notice does not reach this site."
        ),
        ("history.logout_request", "registration.backchannel", "receiver.backchannel", "registration.address"),
    ),
    "back_channel after notice": (
        gettext_lazy(
            "The provider ended its login, for its page loaded this site's in a frame. Its back-channel notice does "
            "not reach this site: sessions in other browsers are not told."
        ),
        ("registration.backchannel", "receiver.backchannel", "registration.address"),
    ),
    "front_channel": (
        gettext_lazy(
            "The browser came back, and the provider's page did not load this site's in a frame: the login was not "
            "remembered, or the frame was blocked."
        ),
        ("history.logout_request", "registration.frontchannel", "receiver.frontchannel"),
    ),
    "told_kratos": (
        gettext_lazy(
            "The session ended here, and Kratos was not told: there it lives. This site refuses it from now on."
        ),
        ("kratos.public", "kratos.cookie"),
    ),
}


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
    first = next((one for one in named if one.kind == EventKind.ENDED), next(iter(named), None))
    return [one for one in steps if first is None or _may_be_of(first, one)]


def _is_of_logout(event: LogoutEvent) -> bool:
    if event.kind == EventKind.ENDED:
        return event.code in LOGOUTS
    if event.kind == EventKind.REFUSED:
        return not event.code.startswith(SIGN_IN)
    return event.kind not in {EventKind.SIGNED_IN, EventKind.FOLLOWED}


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
    patient = ProviderPatient(provider)
    try:
        client = patient.client
    except NotKnown:
        return _announced_by(patient)
    if client.backchannel_logout_uri:
        return EventKind.BACK_CHANNEL
    return EventKind.FRONT_CHANNEL if client.frontchannel_logout_uri else None


def _announced_by(patient: ProviderPatient) -> EventKind | None:
    try:
        announced = patient.discovery.get("backchannel_logout_supported")
    except NotKnown:
        return None
    return EventKind.BACK_CHANNEL if announced is True else None


def _failed(event: LogoutEvent) -> bool:
    return event.kind == EventKind.TOLD_KRATOS and bool(event.code)


def _explained(kind: EventKind, came: Sequence[LogoutEvent], kinds: set[str]) -> Missing:
    refusals = [one.code for one in came if one.kind == EventKind.REFUSED]
    name, step = kind.name.lower(), str(kind.label)
    if refusals and kind in {EventKind.ENDED, *NOTICES}:
        return _missing(name, step, "refused", refusals[-1])
    if f"{name} after notice" in MEANS and kinds & NOTICES:
        return _missing(name, step, f"{name} after notice")
    return _missing(name, step)


def _missing(name: str, step: str, why: str = "", code: str = "") -> Missing:
    means, rows = MEANS[why or name]
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
