"""Sign-ins and notices: which rows they write and end, in which order, and with how many statements."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_ory_logout.models import EndReason, LoginSession, LogoutNotice, LogoutReceipt, LogoutReceiptQuerySet
from django_ory_logout.sessions import ending, index, receipts
from django_ory_logout.sessions.engines import has_keys, site_store
from django_ory_logout.sessions.store import indexed
from django_ory_logout.signals import login_session_ended, login_session_opened

from .tested_site import OTHER_SID, SID, SUBJECT, SiteUnderTest, logout_notice, notice, rows_of

pytestmark = pytest.mark.django_db
on_db = pytest.mark.parametrize("engine", ["db"], indirect=True)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Record the signals: "opened", or the reason of the end."""
    said: list[str] = []

    def opened(**_arguments: Any) -> None:
        said.append("opened")

    def ended(*, reason: EndReason, **_arguments: Any) -> None:
        said.append(str(reason))

    login_session_opened.connect(opened)
    login_session_ended.connect(ended)
    yield said
    login_session_opened.disconnect(opened)
    login_session_ended.disconnect(ended)


# Sign-in


def test_a_sign_in_creates_a_row(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")

    row = LoginSession.objects.get()
    assert (row.issuer, row.subject, row.sid) == (django_settings.ISSUER, SUBJECT, SID)
    assert row.session_key == (key if has_keys(site_store()) else None)
    assert row.ended_at is None


def test_a_sign_in_changes_the_session_key(site: SiteUnderTest) -> None:
    first = site.visit("/sign-in/")

    second = site.visit("/sign-in/", first)

    assert second != first
    assert site.is_signed_in(second)
    assert not site.is_signed_in(first)


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_ends_the_browsers_earlier_session(site: SiteUnderTest, told: list[str]) -> None:
    site.visit("/sign-in/", site.visit("/sign-in/"))

    assert LoginSession.objects.count() == 1
    assert told == ["opened", "superseded", "opened"]


def test_a_sign_in_keeps_the_data_of_an_anonymous_session(site: SiteUnderTest) -> None:
    anonymous = site_store()()
    anonymous["note"] = "kept"
    anonymous.save()

    key = site.visit("/sign-in/", anonymous.session_key)

    assert site_store()(key)["note"] == "kept"
    assert key != anonymous.session_key


def test_the_user_agent_is_stored_short_and_printable(site: SiteUnderTest) -> None:
    assert site.response("/sign-in/", user_agent="Browser\t1.0 " + "x" * 500).status_code == 200

    user_agent = LoginSession.objects.get().user_agent
    assert user_agent.startswith("Browser1.0 xxx")
    assert len(user_agent) == 255


@pytest.mark.parametrize("names", [(SID, None), (None, SUBJECT), (SID, SUBJECT)])
@pytest.mark.django_db(transaction=True)
def test_a_receipt_refuses_the_sign_in(
    site: SiteUnderTest, names: tuple[str | None, str | None], told: list[str]
) -> None:
    receipts.record(logout_notice(*names), "the jti")

    key = site.visit("/sign-in/")

    assert not site.is_signed_in(key)
    assert not LoginSession.objects.exists()
    assert told == []


@pytest.mark.parametrize("names", [(OTHER_SID, None), (SID, "birch"), (None, "birch")])
def test_a_receipt_of_another_session_does_not_refuse_the_sign_in(
    site: SiteUnderTest, names: tuple[str | None, str | None]
) -> None:
    receipts.record(logout_notice(*names), "the jti")

    assert site.is_signed_in(site.visit("/sign-in/"))


def test_a_receipt_of_another_issuer_does_not_refuse_the_sign_in(site: SiteUnderTest) -> None:
    receipts.record(replace(logout_notice(), issuer="https://another.example"), "the jti")

    assert site.is_signed_in(site.visit("/sign-in/"))


def test_an_older_receipt_does_not_refuse_the_sign_in(site: SiteUnderTest) -> None:
    before = timezone.now() - timedelta(seconds=3)
    receipts.record(replace(logout_notice(None, SUBJECT), iat=before), "the jti")

    assert site.is_signed_in(site.visit("/sign-in/"))


# Notice


@pytest.mark.django_db(transaction=True)
def test_a_notice_creates_a_completed_receipt(site: SiteUnderTest, told: list[str]) -> None:
    site.visit("/sign-in/")

    assert notice() == 1

    receipt = LogoutReceipt.objects.get()
    assert receipt.completed_at
    assert receipt.notice.sid == SID
    assert told == ["opened", "back-channel"]


@pytest.mark.django_db(transaction=True)
def test_a_repeated_notice_is_the_same_notice(site: SiteUnderTest, told: list[str]) -> None:
    site.visit("/sign-in/")

    assert [notice(), notice(), notice()] == [1, 0, 0]

    assert LogoutReceipt.objects.count() == 1
    assert told == ["opened", "back-channel"]


def test_a_repeated_notice_ends_sessions_that_the_first_delivery_missed(site: SiteUnderTest) -> None:
    """The existing receipt does not stop the second delivery."""
    site.visit("/sign-in/")
    receipts.complete(receipts.record(logout_notice(), "the jti"))

    assert notice() == 1

    assert site.survivors() == []


def test_a_notice_by_subject_ends_every_session_of_that_user(site: SiteUnderTest) -> None:
    for _ in range(3):
        site.visit("/sign-in/")

    assert notice(sid=None, subject=SUBJECT) == 3

    assert site.survivors() == []


@pytest.mark.parametrize(("seconds", "ends"), [(0, True), (1.9, True), (2.1, False), (3600, False)])
def test_a_late_notice_by_subject_does_not_end_a_later_sign_in(site: SiteUnderTest, seconds: float, ends: bool) -> None:
    key = site.visit("/sign-in/")
    iat = LoginSession.objects.get().iat - timedelta(seconds=seconds)

    ended = index.end(LogoutNotice(django_settings.ISSUER, SUBJECT, None, iat), EndReason.BACK_CHANNEL)

    assert ended == ends
    assert site.is_signed_in(key) == (not ends)


def test_a_late_notice_by_sid_ends_its_session(site: SiteUnderTest) -> None:
    """A ``sid`` names one session, whenever its ID token was issued."""
    site.visit("/sign-in/")
    long_ago = timezone.now() - timedelta(days=1)

    assert index.end(LogoutNotice(django_settings.ISSUER, None, SID, long_ago), EndReason.BACK_CHANNEL) == 1


@pytest.mark.parametrize("sid", [SID.upper(), f"{SID} ", f" {SID}", SID[:-1]])
def test_a_notice_with_another_sid_ends_nothing(site: SiteUnderTest, sid: str) -> None:
    key = site.visit("/sign-in/")

    assert notice(sid=sid) == 0

    assert site.is_signed_in(key)


@pytest.mark.parametrize("subject", [SUBJECT.upper(), f"{SUBJECT} ", f" {SUBJECT}", "ämber", "amber\u0301"])
def test_a_notice_with_another_subject_ends_nothing(site: SiteUnderTest, subject: str) -> None:
    key = site.visit("/sign-in/")

    assert notice(sid=None, subject=subject) == 0
    assert notice(sid=SID, subject=subject) == 0

    assert site.is_signed_in(key)


def test_ending_one_row_keeps_the_others(site: SiteUnderTest) -> None:
    first, second = site.visit("/sign-in/"), site.visit("/sign-in/")
    first_row = LoginSession.objects.order_by("created_at")[0]

    ending.end_row(str(first_row.pk), EndReason.USER)

    assert not site.is_signed_in(first)
    assert site.is_signed_in(second)


@on_db
@pytest.mark.django_db(transaction=True)
def test_a_receipt_is_durable(site: SiteUnderTest) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        receipts.record(logout_notice(), "the jti")


@on_db
@pytest.mark.django_db(transaction=True)
def test_signals_are_sent_after_the_commit(site: SiteUnderTest, told: list[str]) -> None:
    site.visit("/sign-in/")
    told.clear()

    with transaction.atomic():
        index.end(logout_notice(), EndReason.FRONT_CHANNEL)
        assert told == []

    assert told == ["front-channel"]


@on_db
@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_raises_does_not_stop_the_end(site: SiteUnderTest) -> None:
    def fail(**_arguments: Any) -> None:
        raise RuntimeError("of the site's own")

    site.visit("/sign-in/")
    site.visit("/sign-in/")
    login_session_ended.connect(fail)
    try:
        assert notice() == 2
    finally:
        login_session_ended.disconnect(fail)

    assert site.survivors() == []


@on_db
@pytest.mark.django_db(transaction=True)
def test_a_notice_after_receipts_were_read_finds_the_session(
    site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row and session exist by then. The browser receives a key that opens nothing."""
    monkeypatch.setattr(LogoutReceiptQuerySet, "naming", lambda receipts, row: notice() and receipts.none())

    key = site.visit("/sign-in/")

    assert not site.is_signed_in(key)
    assert not LoginSession.objects.exists()


@on_db
@pytest.mark.django_db(transaction=True)
def test_the_index_works_without_time_zones(site: SiteUnderTest, settings: Any) -> None:
    settings.USE_TZ = False
    key = site.visit("/sign-in/")
    assert site.is_signed_in(key)

    assert notice(sid=None, subject=SUBJECT) == 1

    assert not site.is_signed_in(key)


@on_db
def test_a_deleted_user_is_signed_out(site: SiteUnderTest) -> None:
    key = site.visit("/sign-in/")

    get_user_model().objects.get().delete()

    assert not LoginSession.objects.exists()
    assert not site.is_signed_in(key)


def test_the_current_login_session_is_the_active_one(site: SiteUnderTest) -> None:
    request = HttpRequest()
    request.session = indexed(site_store())(site.visit("/sign-in/"))
    assert index.current(request) == LoginSession.objects.get()

    index.mark_ended(index.rows(), EndReason.USER)
    assert index.current(request) is None

    request.session = indexed(site_store())()
    assert index.current(request) is None


# Number of statements


def store_sessions(count: int, subject: str) -> None:
    """Store ``count`` indexed sessions in the database."""
    rows = rows_of(subject, count)
    expires = timezone.now() + timedelta(days=1)
    LoginSession.objects.bulk_create(rows)
    Session.objects.bulk_create(
        Session(session_key=row.session_key or "", session_data="", expire_date=expires) for row in rows
    )


def statements_to_end(notice: LogoutNotice) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        index.end(notice, EndReason.BACK_CHANNEL)
    return [query["sql"].split()[0] for query in queries if "SAVEPOINT" not in query["sql"]]


@on_db
def test_one_end_needs_the_same_statements_among_ten_and_a_thousand_sessions(site: SiteUnderTest) -> None:
    costs = []
    for others in (10, 1000):
        store_sessions(others, "birch")
        site.visit("/sign-in/")
        costs.append(statements_to_end(logout_notice()))

    assert costs[0] == costs[1]
    # The last SELECT: whether there are more rows. The INSERT inserts only if somebody follows.
    assert costs[0] == ["UPDATE", "SELECT", "DELETE", "DELETE", "INSERT", "SELECT"]


@on_db
def test_many_sessions_end_in_chunks(site: SiteUnderTest) -> None:
    store_sessions(1001, SUBJECT)
    store_sessions(3, "birch")

    statements = statements_to_end(logout_notice(None, SUBJECT))

    assert statements == ["UPDATE"] + ["SELECT", "DELETE", "DELETE", "INSERT"] * 3 + ["SELECT"]
    assert LoginSession.objects.count() == Session.objects.count() == 3


@on_db
def test_ending_uses_database_indexes(site: SiteUnderTest) -> None:
    """It scans neither the rows nor the stored sessions."""
    if connection.vendor != "sqlite":
        return
    for named in (logout_notice(), logout_notice(None, SUBJECT)):
        assert "SCAN" not in index.rows().named_by(named).explain()
    assert "SCAN" not in Session.objects.filter(session_key__in=["a", "b"]).explain()
    assert isinstance(site_store()(), db.SessionStore)
