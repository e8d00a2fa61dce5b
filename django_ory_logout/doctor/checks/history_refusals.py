"""What was refused lately: notices, and sign-ins, by code."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...sessions import events, index
from ..findings import CheckResult, check, failed, passed, warned
from ..targets import SiteTarget

#: How far back refusals count.
LATELY = timedelta(hours=24)
#: What comes of tokens that the provider signed.
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
#: Faults of this site, of the provider or between them: whoever asks comes upon one, and nobody makes one.
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
#: Sign-ins that a logout has overtaken, and those that fail by what anybody can send.
OVERTAKEN = frozenset({"logged_out_here", "logged_out_meanwhile", "subject_logged_out"})
OF_ANYBODY = frozenset({"cooling_down", "provider_fault"})


@check("history.refused", gettext_lazy("Notices refused"))
def refused(_site: SiteTarget) -> Iterator[CheckResult]:
    """In the last 24 hours, by channel and code. Strangers can send what they like: that alone fails nothing."""
    counted = _counted().exclude(channel="sign-in")
    for channel, code, total, last_at in counted:
        found, todo = _words(channel, code, total, last_at)
        if code not in SIGNED | FAULTS:
            yield warned(found, f"{todo} " + _("Strangers can cause it too."))
        elif events.rows().filter(kind=channel, at__gt=last_at).exists():
            yield warned(f"{found} " + _("Notices have been accepted since."), todo)
        else:
            yield failed(found, todo)
    if not counted:
        yield passed(_("None in the last 24 hours."))


@check("history.overtaken", gettext_lazy("Sign-ins refused because of a logout"))
def overtaken(_site: SiteTarget) -> Iterator[CheckResult]:
    """A receipt refuses a sign-in that a notice has overtaken, or whose session at Kratos was logged out here."""
    counted = _counted().filter(channel="sign-in", code__in=OVERTAKEN)
    for _channel, code, total, _last_at in counted:
        found = ngettext(
            "%(code)s, once in the last 24 hours.", "%(code)s, %(count)d times in the last 24 hours.", total
        )
        yield warned(
            found % {"code": code, "count": total},
            _(
                "As it should be, if these people logged out at that moment; many of them point to a provider that "
                "gives a new sign-in an old sid."
            ),
        )
    if not counted:
        yield passed(_("None in the last 24 hours."))


@check("history.sign_ins", gettext_lazy("Sign-ins that failed"))
def sign_ins(_site: SiteTarget) -> Iterator[CheckResult]:
    """In the last 24 hours, by what the provider answered, or did not."""
    counted = _counted().filter(channel="sign-in").exclude(code__in=OVERTAKEN)
    for channel, code, total, last_at in counted:
        found, todo = _words(channel, code, total, last_at)
        if code in OF_ANYBODY:
            yield warned(found, f"{todo} " + _("Strangers can cause it too."))
        elif index.rows().filter(created_at__gt=last_at).exists():
            yield warned(f"{found} " + _("People have signed in since."), todo)
        else:
            yield failed(found, todo)
    if not counted:
        yield passed(_("None in the last 24 hours."))


def _words(channel: str, code: str, total: int, last_at: datetime) -> tuple[str, str]:
    """What was found, and what to do."""
    found = ngettext(
        "%(channel)s: %(code)s, once, at %(last)s.",
        "%(channel)s: %(code)s, %(count)d times, the last at %(last)s.",
        total,
    )
    last = timezone.localtime(last_at) if timezone.is_aware(last_at) else last_at
    todo = _("Run manage.py ory_doctor --explain %(code)s.") % {"code": code}
    return found % {"channel": channel, "code": code, "count": total, "last": f"{last:%Y-%m-%d %H:%M:%S}"}, todo


def _counted() -> Any:
    """Channel, code, how many, and when the last came."""
    since = timezone.now() - LATELY
    counted = events.counts().filter(last_at__gt=since).values_list("channel", "code")
    return counted.annotate(total=Sum("count"), last=Max("last_at")).order_by("-total", "channel", "code")
