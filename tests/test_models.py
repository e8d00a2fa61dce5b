"""Which rows a notice names, from both sides, and what the database treats as different."""

import importlib
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_ory_logout import models
from django_ory_logout.models import (
    IAT_TOLERANCE,
    LoginSession,
    LogoutNotice,
    LogoutReceipt,
    Subject,
    digest,
    moment,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create(username="amber")


def login_session(user: Any, **fields: Any) -> LoginSession:
    defaults: dict[str, Any] = {
        "issuer": settings.ISSUER,
        "client_id": settings.CLIENT_ID,
        "subject": "amber",
        "sid": None,
        "iat": NOW,
        "created_at": NOW,
        "last_seen_at": NOW,
        "expires_at": NOW + timedelta(days=1),
    }
    return LoginSession(user=user, **(defaults | fields))


def receipt(notice: LogoutNotice) -> LogoutReceipt:
    return LogoutReceipt(
        issuer=notice.issuer,
        subject=notice.subject,
        sid=notice.sid,
        iat=notice.iat,
        jti=str(uuid.uuid4()),
        received_at=NOW,
        expires_at=NOW,
    )


# The same rule from two sides

issuers = st.sampled_from([settings.ISSUER, settings.ISSUER + "/", "https://another.example"])
#: Some databases treat several of these texts as equal.
names = st.sampled_from(["amber", "Amber", "AMBER", "amber ", " amber", "amber\t", "ämber", "a\u0308mber"])
instants = st.integers(-4_000_000, 4_000_000).map(lambda microseconds: NOW + timedelta(microseconds=microseconds))
instants |= st.sampled_from([NOW, NOW + IAT_TOLERANCE, NOW - IAT_TOLERANCE, NOW + timedelta(microseconds=2_000_001)])
opened = st.fixed_dictionaries(
    {"issuer": issuers, "subject": names, "sid": st.none() | names, "iat": instants | st.just(NOW)}
)
notices = st.builds(
    LogoutNotice, issuer=issuers, subject=st.none() | names, sid=st.none() | names, iat=instants | st.just(NOW)
).filter(lambda notice: notice.subject is not None or notice.sid is not None)


def dead(row: LoginSession, notice: LogoutNotice) -> bool:
    """The rule itself, in the words of the design."""
    if row.issuer != notice.issuer:
        return False
    if notice.sid is not None and (row.sid is not None or notice.subject is None):
        return row.sid == notice.sid and notice.subject in (None, row.subject)
    return row.subject == notice.subject and row.iat <= notice.iat + timedelta(seconds=2)


@given(st.lists(opened, min_size=1, max_size=6), st.lists(notices, min_size=1, max_size=6))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_notice_and_receipt_name_the_same_rows(user: Any, openings: list[Any], given_notices: list[Any]) -> None:
    LoginSession.objects.all().delete()
    LogoutReceipt.objects.all().delete()
    rows = [login_session(user, **fields) for fields in openings]
    receipts = [receipt(notice) for notice in given_notices]
    for saved in [*rows, *receipts]:
        saved.save()

    expected = {(row.pk, receipt.pk) for row in rows for receipt in receipts if dead(row, receipt.notice)}
    named_by = {(row.pk, receipt.pk) for receipt in receipts for row in LoginSession.objects.named_by(receipt.notice)}
    naming = {(row.pk, receipt.pk) for row in rows for receipt in LogoutReceipt.objects.naming(row)}

    assert named_by == expected
    assert naming == expected


def test_the_tolerance_is_exactly_two_seconds(user: Any) -> None:
    row = login_session(user, iat=NOW)
    row.save()
    notice = LogoutNotice(settings.ISSUER, "amber", None, NOW - timedelta(seconds=2))

    assert LoginSession.objects.named_by(notice).get() == row
    assert not LoginSession.objects.named_by(replace(notice, iat=notice.iat - timedelta(microseconds=1)))


def test_a_missing_sid_equals_no_other_sid(user: Any) -> None:
    for _ in range(2):
        login_session(user, sid=None).save()

    assert not LoginSession.objects.named_by(LogoutNotice(settings.ISSUER, None, "", NOW))


def test_a_receipt_returns_its_notice() -> None:
    notice = LogoutNotice(settings.ISSUER, None, "the sid", NOW)
    saved = receipt(notice)
    saved.save()

    assert LogoutReceipt.objects.get().notice == notice
    assert str(saved) == saved.jti


# Digests


def test_digests_separate_their_values() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest('a","b') != digest("a", "b")
    assert digest("a") == digest("a")


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_equal_digests_mean_equal_values(first: list[str], second: list[str]) -> None:
    assert (digest(*first) == digest(*second)) == (first == second)


# Uniqueness in the database


def test_a_stored_session_has_one_row(user: Any) -> None:
    login_session(user, session_key="a key").save()

    with pytest.raises(IntegrityError), transaction.atomic():
        login_session(user, session_key="a key").save()


def test_signed_cookies_have_no_key_and_many_rows(user: Any) -> None:
    for _ in range(2):
        login_session(user, session_key=None).save()

    assert LoginSession.objects.count() == 2


def test_a_jti_of_an_issuer_has_one_receipt() -> None:
    first = receipt(LogoutNotice(settings.ISSUER, "amber", None, NOW))
    first.save()

    for issuer, jti in [(settings.ISSUER, first.jti.upper()), ("https://another.example", first.jti)]:
        other = receipt(LogoutNotice(issuer, "amber", None, NOW))
        other.jti = jti
        other.save()
    again = receipt(LogoutNotice(settings.ISSUER, "birch", None, NOW))
    again.jti = first.jti
    with pytest.raises(IntegrityError), transaction.atomic():
        again.save()


def test_a_subject_has_one_user(user: Any) -> None:
    for subject in ("amber", "Amber", "amber "):
        Subject.objects.create(user=user, issuer=settings.ISSUER, subject=subject)

    with pytest.raises(IntegrityError), transaction.atomic():
        Subject.objects.create(user=user, issuer=settings.ISSUER, subject="amber")


def test_models_have_names(user: Any) -> None:
    row = login_session(user)

    assert str(row) == str(row.pk)
    assert str(Subject(issuer=settings.ISSUER, subject="amber")) == f"amber ({settings.ISSUER})"


@pytest.mark.parametrize("time_zone", ["UTC", "Asia/Tokyo", "America/Chicago"])
@pytest.mark.parametrize("with_zones", [True, False])
def test_a_moment_can_be_compared_with_now(settings: Any, time_zone: str, with_zones: bool) -> None:
    settings.USE_TZ, settings.TIME_ZONE = with_zones, time_zone

    ago = timezone.now() - moment(time.time() - 60)

    assert timedelta(seconds=59) < ago < timedelta(seconds=65)


# The foreign key to the user, and the app itself


def test_the_key_is_djangos_own_in_migrations() -> None:
    _name, path, _args, options = LoginSession._meta.get_field("user").deconstruct()

    assert path == "django.db.models.ForeignKey"
    assert options["db_constraint"] is False


def test_the_key_accepts_only_users() -> None:
    assert LoginSession(user=None).user_id is None
    with pytest.raises(ValueError, match="must be a"):
        LoginSession(user="amber")  # type: ignore[misc]


def test_the_app_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda _name: False)

    with pytest.raises(ImproperlyConfigured, match="INSTALLED_APPS lacks this app"):
        importlib.reload(models)
