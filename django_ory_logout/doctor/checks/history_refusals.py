"""Notices and sign-ins that this site refused in the last 24 hours, by error code."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Max, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...sessions import events, index
from ..findings import CheckResult, check, failed, passed, warned
from ..targets import SiteTarget
from .history import RECENT

#: Error codes for tokens with a valid signature of the provider.
SIGNED = frozenset(
    {
        "events_invalid",
        "events_missing",
        "exp_invalid",
        "exp_missing",
        "expired",
        "iat_ahead",
        "iat_invalid",
        "iat_missing",
        "iat_too_old",
        "iss_mismatch",
        "jti_invalid",
        "jti_missing",
        "nonce_present",
        "sid_invalid",
        "sub_and_sid_missing",
        "sub_invalid",
        "typ_mismatch",
    }
)
#: Faults of this site, of the provider, or between them. A request can meet such a fault, but cannot cause it.
FAULTS = frozenset(
    {
        "address_unusable",
        "answer_encoding_invalid",
        "answer_member_repeated",
        "answer_number_invalid",
        "answer_too_deep",
        "cache_fault",
        "cache_unusable",
        "certificate_untrusted",
        "document_fault",
        "document_unusable",
        "internal_error",
        "issuer_mismatch",
        "jwks_invalid",
        "metadata_invalid",
        "not_json",
        "session_store_fault",
        "settings_invalid",
        "tls_unusable",
        "too_large",
        "too_slow",
        "unreachable",
        "unusable_lately",
    }
)
#: Sign-ins refused because of a logout, and sign-in errors that anyone can cause with a request.
REFUSED_AFTER_LOGOUT = frozenset({"logged_out_here", "logged_out_meanwhile", "subject_logged_out"})
CAUSED_BY_ANYONE = frozenset({"cooling_down", "provider_fault"})


@check("history.refused", gettext_lazy("Notices refused"))
def refused(_site: SiteTarget) -> Iterator[CheckResult]:
    """By channel and code. Errors that anyone can cause with a request are only warnings."""
    counts = _recent_counts().exclude(channel="sign-in")
    for channel, code, total, last_at in counts:
        found, todo = _found_and_todo(channel, code, total, last_at)
        if code not in SIGNED | FAULTS:
            yield warned(found, f"{todo} " + _("Anyone can cause it with a request."))
        elif events.rows().filter(kind=channel, at__gt=last_at).exists():
            yield warned(f"{found} " + _("Notices were accepted after that."), todo)
        else:
            yield failed(found, todo)
    if not counts:
        yield passed(_("None in the last 24 hours."))


@check("history.overtaken", gettext_lazy("Sign-ins refused because of a logout"))
def refused_after_logout(_site: SiteTarget) -> Iterator[CheckResult]:
    """A receipt refuses a sign-in if its login has ended meanwhile, or its Kratos session was logged out here."""
    counts = _recent_counts().filter(channel="sign-in", code__in=REFUSED_AFTER_LOGOUT)
    for _channel, code, total, _last_at in counts:
        found = ngettext(
            "%(code)s, once in the last 24 hours.", "%(code)s, %(count)d times in the last 24 hours.", total
        )
        yield warned(
            found % {"code": code, "count": total},
            _(
                "That is right if these users logged out at that moment. If there are many, the provider may give new "
                "sign-ins an old sid."
            ),
        )
    if not counts:
        yield passed(_("None in the last 24 hours."))


@check("history.sign_ins", gettext_lazy("Sign-ins that failed"))
def sign_ins(_site: SiteTarget) -> Iterator[CheckResult]:
    """Sign-ins that failed because of the provider's answer, or because it did not answer."""
    counts = _recent_counts().filter(channel="sign-in").exclude(code__in=REFUSED_AFTER_LOGOUT)
    for channel, code, total, last_at in counts:
        found, todo = _found_and_todo(channel, code, total, last_at)
        if code in CAUSED_BY_ANYONE:
            yield warned(found, f"{todo} " + _("Anyone can cause it with a request."))
        elif index.rows().filter(created_at__gt=last_at).exists():
            yield warned(f"{found} " + _("Users have signed in after that."), todo)
        else:
            yield failed(found, todo)
    if not counts:
        yield passed(_("None in the last 24 hours."))


def _found_and_todo(channel: str, code: str, total: int, last_at: datetime) -> tuple[str, str]:
    found = ngettext(
        "%(channel)s: %(code)s, once, at %(last)s.",
        "%(channel)s: %(code)s, %(count)d times, the last at %(last)s.",
        total,
    )
    last = timezone.localtime(last_at) if timezone.is_aware(last_at) else last_at
    todo = _("Run manage.py ory_doctor --explain %(code)s.") % {"code": code}
    return found % {"channel": channel, "code": code, "count": total, "last": f"{last:%Y-%m-%d %H:%M:%S}"}, todo


def _recent_counts() -> Any:
    """Channel, code, count, and the time of the last refusal."""
    since = timezone.now() - RECENT
    counts = events.counts().filter(last_at__gt=since).values_list("channel", "code")
    return counts.annotate(total=Sum("count"), last=Max("last_at")).order_by("-total", "channel", "code")
