"""The log of notices and the counters: what they store. Nobody can fill them, and they never stop a logout."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import OctKey

from django_ory_logout.models import EndReason, EventKind, LoginSession, LogoutEvent, LogoutNotice, RefusalCount
from django_ory_logout.sessions import ending, events, index
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from django_ory_logout.testing import Provider

from ..conftest import Logged, NewBrowser, SiteBrowser
from ..test_docs import documented_codes

pytestmark = pytest.mark.django_db

BACK_CHANNEL = "/auth/logout/backchannel/"
FRONT_CHANNEL = "/auth/logout/frontchannel/"


def kinds() -> list[str]:
    return list(LogoutEvent.objects.order_by("pk").values_list("kind", flat=True))


def sid() -> str:
    return str(LoginSession.objects.get().sid)


def counted() -> list[tuple[str, str, int]]:
    return list(RefusalCount.objects.order_by("channel", "code").values_list("channel", "code", "count"))


# Accepted notices


def test_a_back_channel_notice_is_stored(browser: SiteBrowser, new_browser: NewBrowser, provider: Provider) -> None:
    browser.sign_in("amber")
    named = sid()
    before = timezone.now()

    new_browser().deliver(provider.end(named))

    event = LogoutEvent.objects.get()
    assert (event.kind, event.issuer, event.subject, event.sid) == ("back-channel", settings.ISSUER, "", named)
    assert (event.ended, event.code) == (1, "")
    assert before <= event.at <= timezone.now()
    assert 0 < event.seconds < 10
    assert str(event) == f"{event.at:%Y-%m-%d %H:%M:%S} back-channel"


def test_a_notice_by_subject_is_stored(new_browser: NewBrowser, provider: Provider) -> None:
    for _ in range(2):
        new_browser().sign_in("amber")

    new_browser().deliver(provider.end_subject("amber"))

    assert list(LogoutEvent.objects.values_list("subject", "sid", "ended")) == [("amber", "", 2)]


def test_a_repeated_notice_is_stored_once(browser: SiteBrowser, new_browser: NewBrowser, provider: Provider) -> None:
    browser.sign_in("amber")
    deliveries = provider.end(sid())

    for _ in range(5):
        assert browser.deliver(deliveries) == [200]

    assert LogoutEvent.objects.get().ended == 1


def test_a_repeated_notice_adds_the_sessions_that_it_ends(new_browser: NewBrowser, provider: Provider) -> None:
    login = provider.sign_in("amber", settings.CLIENT_ID)
    deliveries = provider.end(login.sid)
    new_browser().deliver(deliveries)
    provider.add_login_session(login)
    new_browser().sign_in("amber", login_session=login)
    assert LogoutEvent.objects.get().ended == 0

    with patch.object(index, "end", return_value=3):
        new_browser().deliver(deliveries)

    assert LogoutEvent.objects.get().ended == 3


def test_a_front_channel_notice_is_stored_if_it_ended_a_session(browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    named = sid()

    for _ in range(2):
        browser.get(FRONT_CHANNEL, {"iss": settings.ISSUER, "sid": named})

    assert list(LogoutEvent.objects.values_list("kind", "sid", "ended")) == [("front-channel", named, 1)]


def test_a_browser_that_goes_to_the_provider_is_stored(browser: SiteBrowser) -> None:
    browser.sign_in("amber")
    named = sid()

    browser.post("/auth/logout/")

    assert list(LogoutEvent.objects.values_list("kind", "issuer", "sid")) == [("to-provider", settings.ISSUER, named)]


def test_an_anonymous_browser_is_not_stored(browser: SiteBrowser) -> None:
    browser.post("/auth/logout/")

    assert kinds() == []


def test_a_notice_without_sid_is_stored() -> None:
    events.sent_to_provider(settings.ISSUER, None)

    assert LogoutEvent.objects.get().sid == ""


def provider_login(browser: SiteBrowser) -> dict[str, Any]:
    login: dict[str, Any] = browser.session[LOGIN_KEY]
    return login


# Requests that anyone can send


def test_random_front_channel_requests_store_nothing(browser: SiteBrowser) -> None:
    for number in range(20):
        assert browser.get(FRONT_CHANNEL, {"iss": settings.ISSUER, "sid": f"random {number}"}).status_code == 200

    assert not LogoutEvent.objects.exists()
    assert counted() == []


def garbage(provider: Provider) -> list[Callable[[SiteBrowser, int], Any]]:
    """Requests that anyone can send, each in any number of variants."""
    other = Provider("https://stranger.example", keys=provider.keys)
    other.clients = dict(provider.clients)

    def post(form: Any) -> Callable[[SiteBrowser, int], Any]:
        return lambda browser, number: browser.post_form(BACK_CHANNEL, form(number))

    def signed(**claims: Any) -> Callable[[SiteBrowser, int], Any]:
        return post(
            lambda number: {
                "logout_token": jwt.encode({"alg": "HS256"}, {**claims, "n": number}, OctKey.generate_key())
            }
        )

    return [
        post(lambda number: {"logout_token": f"garbage {number}"}),
        post(lambda number: {f"name {number}": "x"}),
        post(lambda number: {"logout_token": ["a", str(number)]}),
        post(lambda number: {"logout_token": other.logout_token(settings.CLIENT_ID, sid=f"sid {number}")}),
        signed(iss=settings.ISSUER, aud=settings.CLIENT_ID),
        signed(iss=settings.ISSUER, aud="another"),
        lambda browser, number: browser.post(BACK_CHANNEL, f"{number}", content_type="application/json"),
        lambda browser, number: browser.get(FRONT_CHANNEL, {"iss": f"https://{number}.example", "sid": "s"}),
        lambda browser, number: browser.get(FRONT_CHANNEL, {"sid": f"{number}"}),
        lambda browser, number: browser.get(f"{FRONT_CHANNEL}?sid={number}&sid=b"),
        lambda browser, number: browser.get("/auth/login/", {"iss": f"https://{number}.example"}),
        lambda browser, number: browser.get("/auth/callback/", {"state": f"{number}", "code": "c"}),
    ]


def test_no_request_can_fill_a_table(new_browser: NewBrowser, provider: Provider) -> None:
    """Any number of requests makes one row for each code and hour. There are few codes, and all are documented."""
    sent = garbage(provider)
    for number in range(2):
        for send in sent:
            send(new_browser(), number)
    rows = RefusalCount.objects.count()

    for number in range(2, 8):
        for send in sent:
            send(new_browser(), number)

    assert RefusalCount.objects.count() == rows < len(sent)
    assert {code for _channel, code, _count in counted()} <= {c for codes in documented_codes().values() for c in codes}
    assert not LogoutEvent.objects.exists()


def test_a_flood_is_written_in_hundreds(browser: SiteBrowser) -> None:
    with patch("time.monotonic", return_value=6000.0):
        for _ in range(events.BURST + 50):
            events.refused("back-channel", "malformed")
        assert counted() == [("back-channel", "malformed", 100)]
        for _ in range(events.BURST - 50):
            events.refused("back-channel", "malformed")
        assert counted() == [("back-channel", "malformed", 200)]
    with patch("time.monotonic", return_value=6061.0):
        events.refused("back-channel", "malformed")

    assert counted() == [("back-channel", "malformed", 201)]


def test_a_flood_needs_no_statement(django_assert_num_queries: Any) -> None:
    with patch("time.monotonic", return_value=6000.0):
        for _ in range(events.BURST):
            events.refused("back-channel", "malformed")
        with django_assert_num_queries(0):
            for _ in range(events.BURST - 1):
                events.refused("back-channel", "malformed")


def test_a_flood_does_not_fill_the_log_of_the_doctor() -> None:
    with events.follow(60), patch("time.monotonic", return_value=6000.0):
        for number in range(10 * events.BURST):
            events.note(EventKind.FRONT_CHANNEL, issuer=settings.ISSUER, sid=f"{number} {'x' * 9000}")

        kept = LogoutEvent.objects.filter(kind=EventKind.FRONT_CHANNEL)
        assert kept.count() == events.BURST + 9
        assert {len(event.sid) for event in kept} == {events.MAX_SID_LENGTH}


def test_the_doctors_probe_is_not_counted(browser: SiteBrowser) -> None:
    browser.post_form(BACK_CHANNEL, {"logout_token": "ory_doctor"})

    assert counted() == []


# Refusals


def test_refusals_of_an_hour_are_one_row(browser: SiteBrowser) -> None:
    for _ in range(3):
        browser.post_form(BACK_CHANNEL, {"logout_token": "x"})

    row = RefusalCount.objects.get()
    assert (row.channel, row.code, row.count) == ("back-channel", "malformed", 3)
    assert row.hour == timezone.now().replace(minute=0, second=0, microsecond=0)
    assert str(row) == "back-channel malformed: 3"


def test_another_hour_is_another_row() -> None:
    events.refused("back-channel", "malformed")
    RefusalCount.objects.update(hour=timezone.now() - timedelta(hours=3))

    events.refused("back-channel", "malformed")

    assert counted() == [("back-channel", "malformed", 1)] * 2


def test_undecided_requests_are_counted(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider, network: Any
) -> None:
    deliveries = provider.end(provider.sign_in("amber", settings.CLIENT_ID).sid)
    network.down()

    assert browser.deliver(deliveries) == [503]

    assert counted() == [("back-channel", "unreachable", 1)]


def test_our_own_faults_are_counted(browser: SiteBrowser, provider: Provider) -> None:
    deliveries = provider.end(provider.sign_in("amber", settings.CLIENT_ID).sid)

    with patch.object(index, "end", side_effect=RuntimeError):
        assert browser.deliver(deliveries) == [503]

    assert counted() == [("back-channel", "internal_error", 1)]


def test_after_a_database_fault_nothing_is_counted(browser: SiteBrowser, provider: Provider) -> None:
    browser.sign_in("amber")
    deliveries = provider.end(sid())

    with patch.object(index, "mark_ended", side_effect=DatabaseError), CaptureQueriesContext(connection) as queries:
        assert browser.deliver(deliveries) == [503]
        assert browser.get(FRONT_CHANNEL, {"iss": settings.ISSUER, "sid": "s"}).status_code == 503

    assert queries.captured_queries
    assert not [query for query in queries if "logoutevent" in query["sql"] or "refusalcount" in query["sql"]]


def test_sign_ins_after_a_logout_are_counted(browser: SiteBrowser, new_browser: NewBrowser, provider: Provider) -> None:
    provider.before_token_response = lambda session: new_browser().deliver(provider.end(session.sid))

    assert browser.sign_in("amber").status_code == 409

    assert counted() == [("sign-in", "logged_out_meanwhile", 1)]


# While the doctor follows


def test_steps_are_stored_while_the_doctor_follows(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider
) -> None:
    with events.follow(60):
        browser.sign_in("amber")
        named = sid()
        state = provider_login(browser)["logout_state"]
        browser.get("/auth/logout/callback/", {"state": state})
        new_browser().deliver(provider.end(named))
        browser.get(FRONT_CHANNEL, {"iss": settings.ISSUER, "sid": named})
        browser.post_form(BACK_CHANNEL, {"logout_token": "x"})
        browser.get("/auth/callback/", {"state": "unknown", "code": "c"})
        assert kinds() == [
            "followed",
            "signed-in",
            "ended",
            "returned",
            "back-channel",
            "front-channel",
            "refused",
            "refused",
        ]
        refused = LogoutEvent.objects.filter(kind=EventKind.REFUSED).order_by("pk")
        assert [event.code for event in refused] == ["back-channel: malformed", "sign-in: state_unknown"]
        ended = LogoutEvent.objects.get(kind=EventKind.ENDED)
        assert (ended.sid, ended.subject, ended.code) == (named, "amber", EndReason.RP_INITIATED)

    browser.sign_in("amber")
    assert "followed" not in kinds()
    assert kinds().count("signed-in") == 1


def test_following_ends_by_itself(browser: SiteBrowser) -> None:
    with events.follow(60) as prolong:
        LogoutEvent.objects.update(at=timezone.now() - timedelta(seconds=1))
        events.note(EventKind.RETURNED)
        assert not events.rows().filter(kind=EventKind.RETURNED).exists()
        prolong()
        events.note(EventKind.RETURNED)
        assert events.rows().filter(kind=EventKind.RETURNED).exists()


def test_following_uses_a_database_index() -> None:
    if connection.vendor == "sqlite":
        followers = events.rows().filter(kind=EventKind.FOLLOWED, at__gt=timezone.now())
        assert "SCAN" not in followers.explain()


# Faults of the log


class TablesGone:
    """From now on, the tables of the log and the counters fail."""

    def __init__(self) -> None:
        self.asked = 0
        #: How often that was in a transaction and not in its own savepoint.
        self.unprotected = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "ory_logout_logoutevent" in sql or "ory_logout_refusalcount" in sql:
            self.asked += 1
            self.unprotected += connection.in_atomic_block and not connection.savepoint_ids
            return execute("SELECT * FROM no_such_table", (), False, context)
        return execute(sql, params, many, context)


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_the_log_does_not_stop_a_logout(
    browser: SiteBrowser, new_browser: NewBrowser, provider: Provider, logged: Logged
) -> None:
    browsers = [new_browser() for _ in range(3)]
    gone = TablesGone()
    with connection.execute_wrapper(gone):
        for browser in browsers:
            assert browser.sign_in("amber").status_code == 302
        back, front, here = browsers
        assert here.post("/auth/logout/").status_code == 302
        first, second = LoginSession.objects.order_by("created_at")
        assert new_browser().deliver(provider.end(str(first.sid))) == [200]
        assert front.get(FRONT_CHANNEL, {"iss": settings.ISSUER, "sid": str(second.sid)}).status_code == 200
        assert front.post_form(BACK_CHANNEL, {"logout_token": "x"}).status_code == 400
        call_command("ory_purge")

    assert [browser.user for browser in (back, front, here)] == [None] * 3
    assert not LoginSession.objects.exists()
    assert gone.asked > 10
    lost = [line for line in logged() if line.startswith("not noted for the doctor: event_lost: ")]
    assert len(lost) == gone.asked


@pytest.mark.parametrize("outer", [True, False], ids=["in a transaction", "without"])
@pytest.mark.django_db(transaction=True)
def test_a_fault_of_the_log_does_not_break_the_transaction_around_it(browser: SiteBrowser, outer: bool) -> None:
    """Django's admin uses such a transaction, and so does ``ATOMIC_REQUESTS``."""
    browser.sign_in("amber")

    gone = TablesGone()

    def end() -> None:
        with connection.execute_wrapper(gone):
            ending.end_row(str(LoginSession.objects.get().pk), EndReason.USER)
            events.refused("back-channel", "malformed")
        User.objects.create(username="written afterwards")

    if outer:
        with transaction.atomic():
            end()
    else:
        end()

    assert browser.user is None
    assert User.objects.filter(username="written afterwards").exists()
    assert (gone.asked, gone.unprotected) == (3, 0)


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_event_is_not_stored(browser: SiteBrowser) -> None:
    browser.sign_in("amber")

    with events.follow(60):
        with transaction.atomic():
            ending.end_row(str(LoginSession.objects.get().pk), EndReason.USER)
            transaction.set_rollback(True)
        assert kinds() == ["followed"]


@pytest.mark.parametrize("outer", [True, False], ids=["in a transaction", "without"])
@pytest.mark.django_db(transaction=True)
def test_concurrent_events_are_all_counted(outer: bool) -> None:
    """Another process inserts its row after our query and before our insert."""
    notice = LogoutNotice(settings.ISSUER, None, "sid", timezone.now())

    def accept(ended: int) -> None:
        events.accepted(EventKind.BACK_CHANNEL, notice, "jti", ended=ended, seconds=0)

    def both() -> None:
        with first(LogoutEvent, lambda: accept(2)):
            accept(1)
        with first(RefusalCount, lambda: events.refused("back-channel", "malformed")):
            events.refused("back-channel", "malformed")

    if outer:
        with transaction.atomic():
            both()
    else:
        both()

    assert LogoutEvent.objects.get().ended == 3
    assert counted() == [("back-channel", "malformed", 2)]


def first(model: Any, other: Callable[[], None]) -> Any:
    """``other`` runs after the query for the row of ``model`` and before the insert."""
    update, done = QuerySet.update, list[bool]()

    def updated(self: Any, **changes: Any) -> int:
        found = update(self, **changes)
        if self.model is model and not done:
            done.append(True)
            other()
        return found

    return patch.object(QuerySet, "update", updated)


# Purge


def test_purge_deletes_events_older_than_a_week() -> None:
    now = timezone.now()
    for age in (timedelta(days=6, hours=23), timedelta(days=7, minutes=1)):
        LogoutEvent.objects.create(at=now - age, kind=EventKind.BACK_CHANNEL)
        RefusalCount.objects.create(hour=now - age, channel="back-channel", code="malformed", count=1)

    call_command("ory_purge")

    [event], [count] = LogoutEvent.objects.all(), RefusalCount.objects.all()
    assert now - event.at < timedelta(days=7) > now - count.hour
