"""What happened: which sessions no notice can end, what arrived, what was refused, and what was not done."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Sum
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...models import EventKind, LoginSessionQuerySet, moment
from ...sessions import events, index, receipts
from ..findings import CheckResult, Scope, check, failed, passed, see, warned
from ..targets import ProviderTarget, SiteTarget

#: How far back refusals count, how old a receipt may be that is not completed, and how long a notice may be on its way.
LATELY, PATIENCE, ON_ITS_WAY = timedelta(hours=24), timedelta(minutes=5), timedelta(minutes=1)
#: A notice that took longer from its making to its end is late: the provider, the network or this site was slow.
LATE = timedelta(seconds=30)
#: So many of the newest logouts have to be without a notice before that means something, if there are so many.
NEWEST = 3
#: How many events are compared at most.
MANY = 1000


@check("history.sid", gettext_lazy("Login sessions with sid"), Scope.PROVIDER)
def with_sid(target: ProviderTarget) -> Iterator[CheckResult]:
    """A notice that names a ``sid`` ends none without."""
    living = living_of(target).aggregate(all=Count("pk"), named=Count("sid"))
    missing = living["all"] - living["named"]
    if not missing:
        yield passed(_("%(count)d live, all with sid.") % {"count": living["all"]})
        return
    found = ngettext("%(count)d login session has none.", "%(count)d login sessions have none.", missing)
    found %= {"count": missing}
    if target.discovery.get("backchannel_logout_session_supported") is True:
        yield warned(
            found,
            _("Notices by sid do not end them: let the provider put sid into ID tokens, or send sub in logout tokens."),
        )
    else:
        yield passed(f"{found} " + _("The provider does not announce sid: its notices name the subject."))


@check("history.notices", gettext_lazy("Notices that arrived"), Scope.PROVIDER)
def notices(target: ProviderTarget) -> Iterator[CheckResult]:
    """Where none arrives, or none names a session here, nothing else need be red and nobody is logged out."""
    rows, arrived = _events_of(target), _notices_of(target)
    count = arrived.aggregate(all=Count("pk"), ended=Sum("ended"))
    silent = unanswered(target)
    if silent and target.config.hydra:
        yield _silent(target, silent)
    elif not count["all"]:
        words = _("None in the last %(days)d days; none was due.") if not silent else _NOT_TOLD
        yield passed(str(words) % {"days": events.LIFETIME.days})
    elif not count["ended"] and not _sids(arrived) & _sids(rows.filter(kind=EventKind.TO_PROVIDER)):
        yield warned(
            _(
                "%(count)d in the last %(days)d days, and none named a session here: they came after the sessions had "
                "ended, or name another sid."
            )
            % {"count": count["all"], "days": events.LIFETIME.days},
            _(
                "Compare the sid in the log of notices with those of the login sessions. Hydra gives a new one with "
                "prompt=login and with an expired max_age, and then tells no site that holds the old one."
            ),
        )
    else:
        yield passed(
            _("%(count)d in the last %(days)d days; login sessions that they ended: %(ended)d.")
            % {"count": count["all"], "days": events.LIFETIME.days, "ended": count["ended"]}
        )


_NOT_TOLD = gettext_lazy(
    "None in the last %(days)d days. People have logged out from here; not every provider tells the site at which "
    "a logout began."
)


def _silent(target: ProviderTarget, count: int) -> CheckResult:
    if not target.client.backchannel_logout_uri:
        raise see("registration.backchannel")
    return warned(
        ngettext(
            "The latest logout that went on from here to Hydra was answered by no notice.",
            "None of the latest %(count)d logouts that went on from here to Hydra was answered by a notice.",
            count,
        )
        % {"count": count},
        _(
            "Hydra tells a site of its own logouts too. Its notices do not arrive (see the receiver's rows, and "
            "Hydra's log), or it had nothing to end (see history.logout_request), or people leave its logout page "
            "unanswered."
        ),
    )


def unanswered(target: ProviderTarget) -> int:
    """How many of the newest logouts went from here to the provider, if not one of them was answered by a notice.

    What came before the registration at Hydra was changed says nothing of it.
    """
    rows, before = _events_of(target), timezone.now() - ON_ITS_WAY
    gone = rows.filter(kind=EventKind.TO_PROVIDER, at__lt=before).exclude(sid="").order_by("-at")
    newest = list(gone.values_list("sid", "at")[:NEWEST])
    if not newest:
        return 0
    since = rows.filter(kind=EventKind.BACK_CHANNEL, at__gte=newest[-1][1])
    if _sids(since) & {sid for sid, _at in newest}:
        return 0
    registered_at = _registered_at(target) if target.config.hydra else None
    return len([at for _sid, at in newest if registered_at is None or at > registered_at])


@check("history.receipts", gettext_lazy("Receipts not completed"))
def receipts_left(_site: SiteTarget) -> Iterator[CheckResult]:
    """A notice was taken, and its work was not done."""
    left = receipts.rows().filter(completed_at=None, received_at__lt=timezone.now() - PATIENCE).count()
    if left:
        yield failed(
            ngettext("%(count)d is left.", "%(count)d are left.", left) % {"count": left},
            _("Run manage.py ory_purge, and every few minutes from now on; the log has what failed."),
        )
    elif not events.is_purged():
        yield warned(
            _("None is left; what is older than %(days)d days has not been deleted.")
            % {"days": (events.LIFETIME + events.GRACE).days},
            _("Nobody runs manage.py ory_purge: run it every few minutes."),
        )
    else:
        yield passed(_("None is left."))


@check("history.late", gettext_lazy("Sessions ended late"))
def late(_site: SiteTarget) -> Iterator[CheckResult]:
    """From the making of the logout token to the end of what it names."""
    found = receipts.rows().filter(completed_at__gt=F("iat") + LATE, received_at__gt=timezone.now() - LATELY)
    count = found.exclude(jti__startswith=receipts.LOCAL_JTI_PREFIX).count()
    if count:
        yield warned(
            ngettext(
                "%(count)d notice took longer than %(seconds)d s.",
                "%(count)d notices took longer than %(seconds)d s.",
                count,
            )
            % {"count": count, "seconds": LATE.total_seconds()},
            _(
                "They were sent late, or sent again after a fault here, or worked off by ory_purge: see the log. "
                "Compare the clocks too."
            ),
        )
    else:
        yield passed(_("None in the last 24 hours."))


def living_of(target: ProviderTarget) -> LoginSessionQuerySet:
    """The living login sessions of a provider."""
    living = index.rows().filter(ended_at=None, expires_at__gt=timezone.now())
    return living.filter(issuer=target.registration.issuer, client_id=target.registration.client_id)


def _events_of(target: ProviderTarget) -> Any:
    return events.rows().filter(issuer=target.registration.issuer)


def has_notices(target: ProviderTarget) -> bool:
    """Whether back-channel notices arrive by the URI that is registered at Hydra now."""
    notices = _notices_of(target).filter(kind=EventKind.BACK_CHANNEL)
    registered_at = _registered_at(target)
    return bool(registered_at and notices.filter(at__gt=registered_at).exists())


def _registered_at(target: ProviderTarget) -> datetime | None:
    """When the client was registered at Hydra as it is now."""
    said = parse_datetime(str(target.client.raw.get("updated_at", "")))
    return moment(said.timestamp()) if said else None


def _notices_of(target: ProviderTarget) -> Any:
    return _events_of(target).filter(kind__in=[EventKind.BACK_CHANNEL, EventKind.FRONT_CHANNEL])


def _sids(rows: Any) -> set[str]:
    return set(rows.exclude(sid="").order_by("-at").values_list("sid", flat=True)[:MANY])
