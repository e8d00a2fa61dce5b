"""Recent events: sessions that no notice can end, notices that arrived, and notices whose work is not done."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Sum
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...models import EventKind, LoginSessionQuerySet, moment
from ...sessions import events, index, receipts
from ..findings import CheckResult, Scope, check, failed, passed, refer_to, warned
from ..targets import ProviderTarget, SiteTarget

#: The maximum age of recent events and of incomplete receipts, and the maximum delivery time of a notice.
RECENT, RECEIPT_TIMEOUT, DELIVERY_TIME = timedelta(hours=24), timedelta(minutes=5), timedelta(minutes=1)
#: A notice is late if it took longer than this from the making of its token to the end of its sessions.
LATE = timedelta(seconds=30)
#: The check looks at this many of the newest logouts, or at all if there are fewer. It warns if none got a notice.
NEWEST_LOGOUTS = 3
#: How many events are compared at most.
MAX_EVENTS = 1000


@check("history.sid", gettext_lazy("Login sessions with sid"), Scope.PROVIDER)
def sessions_with_sid(target: ProviderTarget) -> CheckResult:
    """A notice that names only a ``sid`` does not end login sessions without a ``sid``."""
    live = live_sessions(target).aggregate(all=Count("pk"), named=Count("sid"))
    missing = live["all"] - live["named"]
    if not missing:
        return passed(_("%(count)d live login sessions, all with sid.") % {"count": live["all"]})
    found = ngettext("%(count)d login session has no sid.", "%(count)d login sessions have no sid.", missing)
    found %= {"count": missing}
    if target.discovery.get("backchannel_logout_session_supported") is True:
        return warned(
            found,
            _("Notices by sid do not end them. Let the provider put sid into ID tokens, or sub into logout tokens."),
        )
    return passed(f"{found} " + _("The provider does not announce sid, so its notices name the subject."))


@check("history.notices", gettext_lazy("Notices that arrived"), Scope.PROVIDER)
def notices(target: ProviderTarget) -> CheckResult:
    """Without notices, or if no notice names a session here, logouts elsewhere end nothing here."""
    rows, arrived = _events_of(target), _notices_of(target)
    count = arrived.aggregate(all=Count("pk"), ended=Sum("ended"))
    unanswered = count_unanswered_logouts(target)
    if unanswered and target.config.hydra:
        return _unanswered_logouts(target, unanswered)
    if not count["all"]:
        found = _("None in the last %(days)d days, and none was expected.")
        if unanswered:
            found = _(
                "None in the last %(days)d days. Users have logged out here. Some providers send no notice to the site "
                "where the logout began."
            )
        return passed(found % {"days": events.LIFETIME.days})
    if not count["ended"] and not _sids(arrived) & _sids(rows.filter(kind=EventKind.TO_PROVIDER)):
        return warned(
            _(
                "%(count)d in the last %(days)d days, and none named a session here. The sessions had ended before, or "
                "the notices name another sid."
            )
            % {"count": count["all"], "days": events.LIFETIME.days},
            _(
                "Compare the sid in the log of notices with the sids of the login sessions. After prompt=login or an "
                "expired max_age, Hydra gives a new sid. Then it sends no notice for the old sid."
            ),
        )
    return passed(
        _("%(count)d in the last %(days)d days. Login sessions that they ended: %(ended)d.")
        % {"count": count["all"], "days": events.LIFETIME.days, "ended": count["ended"]}
    )


def _unanswered_logouts(target: ProviderTarget, count: int) -> CheckResult:
    if not target.client.backchannel_logout_uri:
        raise refer_to("registration.backchannel")
    return warned(
        ngettext(
            "No notice came after the latest logout from here to Hydra.",
            "No notice came after any of the latest %(count)d logouts from here to Hydra.",
            count,
        )
        % {"count": count},
        _(
            "Hydra sends a notice for these logouts too. Its notices do not arrive (see the receiver rows and Hydra's "
            "log), or Hydra had no login to end (see history.logout_request), or users did not answer its logout page."
        ),
    )


def count_unanswered_logouts(target: ProviderTarget) -> int:
    """The number of the newest logouts that got no notice; 0 if a notice came for one of them.

    Logouts before the last change of the registration at Hydra do not count.
    """
    rows, before = _events_of(target), timezone.now() - DELIVERY_TIME
    logouts = rows.filter(kind=EventKind.TO_PROVIDER, at__lt=before).exclude(sid="").order_by("-at")
    newest = list(logouts.values_list("sid", "at")[:NEWEST_LOGOUTS])
    if not newest:
        return 0
    since = rows.filter(kind=EventKind.BACK_CHANNEL, at__gte=newest[-1][1])
    if _sids(since) & {sid for sid, _at in newest}:
        return 0
    registered_at = _registered_at(target) if target.config.hydra else None
    return len([at for _sid, at in newest if registered_at is None or at > registered_at])


@check("history.receipts", gettext_lazy("Receipts not completed"))
def uncompleted_receipts(_site: SiteTarget) -> CheckResult:
    """Receipts of notices that were accepted, and whose sessions have not all ended."""
    count = receipts.rows().filter(completed_at=None, received_at__lt=timezone.now() - RECEIPT_TIMEOUT).count()
    if count:
        return failed(
            ngettext("%(count)d is left.", "%(count)d are left.", count) % {"count": count},
            _("Run manage.py ory_purge now, and again every few minutes. The log shows what failed."),
        )
    if not events.is_purged():
        return warned(
            _("None is left. Events older than %(days)d days have not been deleted.")
            % {"days": (events.LIFETIME + events.GRACE).days},
            _("Run manage.py ory_purge every few minutes."),
        )
    return passed(_("None is left."))


@check("history.late", gettext_lazy("Sessions ended late"))
def late(_site: SiteTarget) -> CheckResult:
    """The time from the creation of the logout token to the end of its sessions."""
    found = receipts.rows().filter(completed_at__gt=F("iat") + LATE, received_at__gt=timezone.now() - RECENT)
    count = found.exclude(jti__startswith=receipts.LOCAL_JTI_PREFIX).count()
    if count:
        return warned(
            ngettext(
                "%(count)d notice took longer than %(seconds)d s.",
                "%(count)d notices took longer than %(seconds)d s.",
                count,
            )
            % {"count": count, "seconds": LATE.total_seconds()},
            _(
                "The provider sent them late, or again after a fault here, or ory_purge completed them. See the log. "
                "Compare the clocks too."
            ),
        )
    return passed(_("None in the last 24 hours."))


def live_sessions(target: ProviderTarget) -> LoginSessionQuerySet:
    """The live login sessions of a provider: they have not ended or expired."""
    live = index.rows().filter(ended_at=None, expires_at__gt=timezone.now())
    return live.filter(issuer=target.registration.issuer, client_id=target.registration.client_id)


def _events_of(target: ProviderTarget) -> Any:
    return events.rows().filter(issuer=target.registration.issuer)


def has_notices(target: ProviderTarget) -> bool:
    """Whether back-channel notices have arrived since the last change of the registration at Hydra."""
    notices = _notices_of(target).filter(kind=EventKind.BACK_CHANNEL)
    registered_at = _registered_at(target)
    return bool(registered_at and notices.filter(at__gt=registered_at).exists())


def _registered_at(target: ProviderTarget) -> datetime | None:
    """The time of the last change of the client at Hydra."""
    updated_at = parse_datetime(str(target.client.raw.get("updated_at", "")))
    return moment(updated_at.timestamp()) if updated_at else None


def _notices_of(target: ProviderTarget) -> Any:
    return _events_of(target).filter(kind__in=[EventKind.BACK_CHANNEL, EventKind.FRONT_CHANNEL])


def _sids(rows: Any) -> set[str]:
    return set(rows.exclude(sid="").order_by("-at").values_list("sid", flat=True)[:MAX_EVENTS])
