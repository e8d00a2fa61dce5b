"""The index's algorithm in the real code: each thread stops at each of its steps, on every engine."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

import pytest
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from django_ory_logout.models import EndReason, LogoutNotice, LogoutReceipt
from django_ory_logout.sessions import engines, index, receipts
from django_ory_logout.sessions.store import LoginSessionStore

from .interleaving import SteppedThread, interleave
from .tested_site import OTHER_SID, OTHER_SUBJECT, SUBJECT, SiteUnderTest, logout_notice, notice

#: Requests and notices to the site. The argument is the key that the only browser has at first.
Act = Callable[[SiteUnderTest, str], object]


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(stepped_site: SiteUnderTest, monkeypatch: pytest.MonkeyPatch) -> SiteUnderTest:
    if engines.deleted_stay_deleted(engines.site_store()):
        # The update of last_seen every few minutes also reads the row. The algorithm must work without it.
        monkeypatch.setattr(index, "confirm_alive", lambda row_id, recheck_seconds: True)
    return stepped_site


def rotation(site: SiteUnderTest, key: str) -> object:
    """A request that changes the session key, and the next request of that browser."""
    return site.visit("/who/", site.visit("/rotate/", key))


def late_save(site: SiteUnderTest, key: str) -> object:
    return site.visit("/write/", key)


def reading(site: SiteUnderTest, key: str) -> object:
    return site.visit("/who/", key)


def log_out(site: SiteUnderTest, key: str) -> object:
    held = site.visit("/log-out/", key)
    site.logged_out = site.answers[-1] == 200
    return held


def sign_in(site: SiteUnderTest, key: str) -> object:
    """Sign in with a browser that has no session."""
    return site.visit("/sign-in/")


def sign_in_anew(site: SiteUnderTest, key: str) -> object:
    return site.visit("/sign-in/", key)


def purge(site: SiteUnderTest, key: str) -> object:
    return index.purge()


def by_sid(site: SiteUnderTest, key: str) -> object:
    return notice()


def by_subject(site: SiteUnderTest, key: str) -> object:
    return notice(sid=None, subject=SUBJECT)


def of_another_sid(site: SiteUnderTest, key: str) -> object:
    return notice(sid=OTHER_SID)


def of_another_subject(site: SiteUnderTest, key: str) -> object:
    return notice(sid=None, subject=OTHER_SUBJECT)


def interrupted_notice(site: SiteUnderTest) -> None:
    """A notice was received, and a fault stopped it."""
    receipts.record(logout_notice(), "the jti")


def wrong_runs(
    site: SiteUnderTest,
    threads: list[SteppedThread],
    *acts: Act,
    wrong: Callable[[], object],
    cold: bool = False,
    before: Callable[[SiteUnderTest], object] | None = None,
) -> Iterator[str]:
    """Run ``acts`` in all interleavings. Yield the traces of runs that end ``wrong``."""

    def start() -> list[Callable[[], object]]:
        key = site.restore(cold=cold)
        if before:
            before(site)
        return [partial(act, site, key) for act in acts]

    # The longest runs stop only before writes, to save time.
    at_writes = cold or len(acts) > 2 or not {purge, sign_in_anew}.isdisjoint(acts)
    runs = interleave(threads[: len(acts)], start, at_writes=at_writes)
    yield from (", ".join(trace) for trace in runs if wrong())


@pytest.mark.parametrize("acts", [(by_sid, rotation), (rotation, by_sid), (by_sid, late_save), (late_save, by_sid)])
def test_no_session_survives_a_notice(site: SiteUnderTest, threads: list[SteppedThread], acts: tuple[Act, Act]) -> None:
    for cold in site.cache_states:
        assert not list(wrong_runs(site, threads, *acts, wrong=site.survivors, cold=cold))


@pytest.mark.parametrize("other", [reading, sign_in, sign_in_anew, log_out, purge, by_sid])
def test_no_session_survives_a_notice_during_another_act(
    site: SiteUnderTest, threads: list[SteppedThread], other: Act
) -> None:
    assert not list(wrong_runs(site, threads, by_sid, other, wrong=site.survivors))


def test_no_session_survives_a_notice_by_subject(site: SiteUnderTest, threads: list[SteppedThread]) -> None:
    assert not list(wrong_runs(site, threads, by_subject, sign_in, wrong=site.survivors))


@pytest.mark.parametrize("other", [rotation, late_save, reading])
def test_no_session_survives_a_logout_here(site: SiteUnderTest, threads: list[SteppedThread], other: Act) -> None:
    # A logout with a key that is no longer signed in ends nothing, as with Django alone.
    def survivors() -> list[str]:
        return site.survivors() if site.logged_out else []

    for cold in site.cache_states:
        assert not list(wrong_runs(site, threads, log_out, other, wrong=survivors, cold=cold))


@pytest.mark.parametrize("other", [rotation, late_save, sign_in, by_sid])
def test_no_session_survives_a_purge_that_completes_a_notice(
    site: SiteUnderTest, threads: list[SteppedThread], other: Act
) -> None:
    assert not list(wrong_runs(site, threads, purge, other, wrong=site.survivors, before=interrupted_notice))


@pytest.mark.parametrize("acts", [(rotation, rotation, by_sid), (by_sid, rotation, late_save)])
def test_no_session_survives_two_concurrent_writes(
    site: SiteUnderTest, threads: list[SteppedThread], acts: tuple[Act, Act, Act]
) -> None:
    assert not list(wrong_runs(site, threads, *acts, wrong=site.survivors))


@pytest.mark.parametrize(
    "acts", [(of_another_sid, rotation), (of_another_sid, late_save), (of_another_subject, rotation), (purge, rotation)]
)
def test_a_notice_ends_no_wrong_session(
    site: SiteUnderTest, threads: list[SteppedThread], acts: tuple[Act, Act]
) -> None:
    assert not list(wrong_runs(site, threads, *acts, wrong=site.wrongly_killed))


@pytest.mark.parametrize("acts", [(rotation, rotation), (late_save, rotation)])
def test_no_session_ends_without_a_notice(
    site: SiteUnderTest, threads: list[SteppedThread], acts: tuple[Act, Act]
) -> None:
    for cold in site.cache_states:
        assert not list(wrong_runs(site, threads, *acts, wrong=site.wrongly_killed, cold=cold))


@pytest.mark.parametrize("acts", [(of_another_subject, sign_in), (of_another_sid, sign_in_anew)])
def test_no_sign_in_is_refused_by_mistake(
    site: SiteUnderTest, threads: list[SteppedThread], acts: tuple[Act, Act]
) -> None:
    def refused() -> bool:
        return len(site.held) != 2 or not site.is_signed_in(site.held[1])

    assert not list(wrong_runs(site, threads, *acts, wrong=refused))


# Interleavings find broken code


def test_interleavings_find_a_sign_in_that_reads_no_receipt(
    site: SiteUnderTest, threads: list[SteppedThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "rows", LogoutReceipt.objects.none)
    monkeypatch.setattr(receipts, "record", lambda notice, jti: LogoutReceipt(**asdict(notice), jti=jti))

    assert any(wrong_runs(site, threads, by_sid, sign_in, wrong=site.survivors))


def test_interleavings_find_a_load_that_does_not_read_the_row(
    site: SiteUnderTest, threads: list[SteppedThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoginSessionStore, "_confirm_row", lambda store, mark: True)

    assert any(wrong_runs(site, threads, by_sid, rotation, wrong=site.survivors))


def test_interleavings_find_sessions_deleted_before_rows_are_marked(
    site: SiteUnderTest, threads: list[SteppedThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(notice: LogoutNotice, reason: EndReason, _progress: object = None) -> int:
        found = list(index.rows().named_by(notice))
        engines.delete_stored(engines.site_store(), [row.session_key for row in found if row.session_key])
        index.rows().filter(pk__in=[row.pk for row in found]).delete()
        return len(found)

    monkeypatch.setattr(index, "end", end)

    survived = any(wrong_runs(site, threads, by_sid, rotation, wrong=site.survivors))

    # The other engines read the row at each load, and it is gone.
    assert survived == (engines.site_store() is DatabaseStore)


def test_interleavings_find_a_refused_second_rotation(
    site: SiteUnderTest, threads: list[SteppedThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        LoginSessionStore, "_accept_rotated_key", lambda store, mark: index.update_key(mark, store.session_key)
    )

    refused = any(wrong_runs(site, threads, rotation, rotation, wrong=site.wrongly_killed))

    # A signed cookie has no key, so there is no rotation.
    assert refused == engines.has_keys(engines.site_store())
