"""The session index, the receipts of back-channel notices, and the links between subjects and users.

Lookups use digests of issuer, subject and ``sid``. Some databases ignore case and trailing spaces when they compare
text, so two subjects could look equal.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, Self

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import UserKey

if not apps.is_installed("django_ory_logout"):
    raise ImproperlyConfigured(
        f"INSTALLED_APPS lacks this app: it is {settings.INSTALLED_APPS!r}. "
        'Write: INSTALLED_APPS = [..., "django_ory_logout"]'
    )

#: A notice about a subject ends no session that was opened later. This is the tolerance for clocks and rounding.
IAT_TOLERANCE = timedelta(seconds=2)


def digest(*values: str) -> str:
    """SHA-256 of ``values``, in hexadecimal. Different values have different digests."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def moment(seconds: float) -> datetime:
    """``seconds`` since the epoch as the datetime for the database: aware, or naive in the site's zone (``USE_TZ``)."""
    aware = datetime.fromtimestamp(seconds, UTC)
    return aware if settings.USE_TZ else timezone.make_naive(aware, timezone.get_default_timezone())


class EndReason(models.TextChoices):
    """Why a login session ended."""

    USER = "user", _("logged out here")
    RP_INITIATED = "rp-initiated", _("logged out here and at the provider")
    FRONT_CHANNEL = "front-channel", _("front-channel logout")
    BACK_CHANNEL = "back-channel", _("back-channel logout")
    FORCED = "forced", _("logged out everywhere")
    KRATOS = "kratos", _("ended at Ory Kratos")
    SUPERSEDED = "superseded", _("signed in anew")
    EXPIRED = "expired", _("expired")


class Channel(models.TextChoices):
    """How a logout notice comes from the provider."""

    FRONT = "front-channel", _("front channel")
    BACK = "back-channel", _("back channel")


class Authentication(Protocol):
    """A verified ID token or a session at Kratos: it says who signed in. ``iat`` is in seconds since the epoch."""

    @property
    def issuer(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def sid(self) -> str | None: ...
    @property
    def iat(self) -> float: ...
    @property
    def claims(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class LogoutNotice:
    """A logout notice. It names ``(issuer, sid)``, ``(issuer, subject)`` or both. ``iat``: when it was issued."""

    issuer: str
    subject: str | None
    sid: str | None
    iat: datetime


class SessionName(NamedTuple):
    """The row of a browser's session: its id, which is stored in the session, or else the session key."""

    row_id: str | None
    key: str | None


class LoginSessionQuerySet(models.QuerySet["LoginSession"]):
    def named_as(self, name: SessionName) -> Self:
        """The login session of one browser, or none."""
        if name.row_id:
            return self.filter(pk=name.row_id)
        return self.filter(session_key=name.key) if name.key else self.none()

    def named_by(self, notice: LogoutNotice) -> Self:
        """The login sessions that ``notice`` ends (Back-Channel Logout 2.4).

        A notice with any ``sid`` ends a row without ``sid`` by its subject: no ``sid`` can name that row.
        """
        by_sid = Q(sid_digest=digest(notice.issuer, notice.sid or ""))
        if notice.subject is None:
            return self.filter(by_sid)
        subject = Q(subject_digest=digest(notice.issuer, notice.subject))
        by_subject = subject & Q(iat__lte=notice.iat + IAT_TOLERANCE)
        if notice.sid is None:
            return self.filter(by_subject)
        return self.filter((by_sid & subject) | (by_subject & Q(sid_digest=None)))


class LoginSession(models.Model):
    """A Django session that a provider opened. When the row has ended or is deleted, the session is not signed in."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: :func:`.users.creation.delete_user_data` deletes the rows of a deleted user.
    user = UserKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        db_constraint=False,
        related_name="login_sessions",
        verbose_name=_("user"),
    )
    issuer = models.TextField(_("issuer"))
    client_id = models.TextField(_("client id"))
    subject = models.TextField(_("subject"))
    sid = models.TextField("sid", null=True, blank=True)  # noqa: DJ001 - a missing sid must never equal another
    subject_digest = models.CharField(max_length=64, editable=False)
    sid_digest = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - as sid
    session_key = models.CharField(max_length=255, null=True, unique=True, editable=False)  # noqa: DJ001 - as sid
    iat = models.DateTimeField(_("ID token issued"))
    created_at = models.DateTimeField(_("signed in"))
    last_seen_at = models.DateTimeField(_("last seen"))
    expires_at = models.DateTimeField(_("expires"), db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True, db_index=True)
    end_reason = models.CharField(_("reason"), max_length=16, blank=True, choices=EndReason.choices)
    user_agent = models.CharField(_("browser"), max_length=255, blank=True)

    objects = LoginSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("login session")
        verbose_name_plural = _("login sessions")
        indexes = [
            models.Index(fields=["subject_digest", "iat"], name="ory_logout_login_subject"),
            models.Index(fields=["sid_digest"], name="ory_logout_login_sid"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.subject_digest = digest(self.issuer, self.subject)
        self.sid_digest = None if self.sid is None else digest(self.issuer, self.sid)
        super().save(*args, **kwargs)


class LogoutReceiptQuerySet(models.QuerySet["LogoutReceipt"]):
    def naming(self, row: LoginSession) -> Self:
        """The receipts of notices that end ``row``: the reverse of :meth:`LoginSessionQuerySet.named_by`."""
        by_subject = Q(subject_digest=row.subject_digest, iat__gte=row.iat - IAT_TOLERANCE)
        if row.sid_digest is None:
            return self.filter(by_subject)
        by_subject &= Q(sid_digest=None)
        by_sid = Q(sid_digest=row.sid_digest) & (Q(subject_digest=None) | Q(subject_digest=row.subject_digest))
        return self.filter(by_subject | by_sid)


class LogoutReceipt(models.Model):
    """A back-channel notice, or a logout here that Kratos may not know. ``completed_at`` is set when all has ended.

    A sign-in is refused if a receipt names it: the notice came during the sign-in, or the session at Kratos was logged
    out here.
    """

    issuer = models.TextField(_("issuer"))
    jti = models.TextField("jti")
    jti_digest = models.CharField(max_length=64, unique=True, editable=False)
    subject = models.TextField(_("subject"), null=True, blank=True)  # noqa: DJ001 - not named is not empty
    sid = models.TextField("sid", null=True, blank=True)  # noqa: DJ001 - as subject
    subject_digest = models.CharField(max_length=64, null=True, db_index=True, editable=False)  # noqa: DJ001
    sid_digest = models.CharField(max_length=64, null=True, db_index=True, editable=False)  # noqa: DJ001
    iat = models.DateTimeField(_("logout token issued"))
    received_at = models.DateTimeField(_("received"))
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True, db_index=True)
    expires_at = models.DateTimeField(_("expires"), db_index=True)

    objects = LogoutReceiptQuerySet.as_manager()

    class Meta:
        verbose_name = _("logout receipt")
        verbose_name_plural = _("logout receipts")

    def __str__(self) -> str:
        return self.jti

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.jti_digest = digest(self.issuer, self.jti)
        self.subject_digest = None if self.subject is None else digest(self.issuer, self.subject)
        self.sid_digest = None if self.sid is None else digest(self.issuer, self.sid)
        super().save(*args, **kwargs)

    @property
    def notice(self) -> LogoutNotice:
        return LogoutNotice(self.issuer, self.subject, self.sid, self.iat)


class Subject(models.Model):
    """The link between a provider's subject and a user of this site."""

    user = UserKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        db_constraint=False,
        related_name="provider_subjects",
        verbose_name=_("user"),
    )
    issuer = models.TextField(_("issuer"))
    subject = models.TextField(_("subject"))
    subject_digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("first signed in"), auto_now_add=True)

    class Meta:
        verbose_name = _("subject")
        verbose_name_plural = _("subjects")

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.subject_digest = digest(self.issuer, self.subject)
        super().save(*args, **kwargs)


class EventKind(models.TextChoices):
    """The steps of a logout."""

    BACK_CHANNEL = "back-channel", _("back-channel notice accepted")
    FRONT_CHANNEL = "front-channel", _("front-channel notice accepted")
    SIGNED_IN = "signed-in", _("signed in")
    ENDED = "ended", _("session ended here")
    TO_PROVIDER = "to-provider", _("browser sent to the provider")
    RETURNED = "returned", _("browser back from the provider")
    TOLD_KRATOS = "told-kratos", _("session ended at Kratos")
    REFUSED = "refused", _("notice refused")
    FOLLOWED = "followed", _("followed until then")


class LogoutEvent(models.Model):
    """A step of a logout, for the doctor. It contains no token.

    Each accepted notice is recorded once, and each browser that is sent to the provider to log out. Other steps are
    recorded only while the doctor follows a logout.
    """

    at = models.DateTimeField(_("when"), db_index=True)
    kind = models.CharField(_("what"), max_length=16, choices=EventKind.choices)
    issuer = models.TextField(_("issuer"), blank=True)
    subject = models.TextField(_("subject"), blank=True)
    sid = models.TextField("sid", blank=True)
    ended = models.PositiveIntegerField(_("login sessions ended"), default=0)
    seconds = models.FloatField(_("duration in seconds"), default=0)
    code = models.CharField(_("outcome"), max_length=64, blank=True)
    #: A notice that comes again gets no second row.
    key = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001 - none equals none

    class Meta:
        verbose_name = _("logout event")
        verbose_name_plural = _("logout events")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.kind}"


class RefusalCount(models.Model):
    """How many notices were refused or sign-ins failed in an hour, by code. So many requests make only a few rows."""

    hour = models.DateTimeField(_("hour"), db_index=True)
    channel = models.CharField(_("channel"), max_length=16)
    code = models.CharField(_("code"), max_length=64)
    count = models.PositiveIntegerField(_("count"), default=0)
    last_at = models.DateTimeField(_("last"), default=timezone.now)

    class Meta:
        verbose_name = _("refusals of an hour")
        verbose_name_plural = _("refusals by hour")
        constraints = [models.UniqueConstraint(fields=["hour", "channel", "code"], name="ory_logout_refusal_unique")]

    def __str__(self) -> str:
        return f"{self.channel} {self.code}: {self.count}"
