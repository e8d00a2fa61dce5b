"""The index's algorithm, in the real code: every side stopped at every one of its steps, on every engine."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

import pytest
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from django_ory_logout.models import EndReason, LogoutNotice, LogoutReceipt
from django_ory_logout.sessions import engines, index, receipts
from django_ory_logout.sessions.store import LoginSessionStore

from .stage import Actor, interleave
from .world import OTHER_SID, OTHER_SUBJECT, SUBJECT, World, logout_notice, notice

#: What somebody does on the site, with the key that the one browser holds at first.
Act = Callable[[World, str], object]


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(staged_site: World, monkeypatch: pytest.MonkeyPatch) -> World:
    if engines.deleted_stay_deleted(engines.site_store()):
        # Its look at the row every few minutes is a courtesy; the algorithm has to do without it.
        monkeypatch.setattr(index, "confirm_alive", lambda row_id, recheck_seconds: True)
    return staged_site


def rotation(site: World, key: str) -> object:
    """A request that changes the session key, and the next one of that browser."""
    return site.visit("/who/", site.visit("/rotate/", key))


def late_save(site: World, key: str) -> object:
    return site.visit("/write/", key)


def reading(site: World, key: str) -> object:
    return site.visit("/who/", key)


def log_out(site: World, key: str) -> object:
    held = site.visit("/log-out/", key)
    site.logged_out = site.answers[-1] == 200
    return held


def sign_in(site: World, key: str) -> object:
    """In a browser that held no session."""
    return site.visit("/sign-in/")


def sign_in_anew(site: World, key: str) -> object:
    return site.visit("/sign-in/", key)


def purge(site: World, key: str) -> object:
    return index.purge()


def by_sid(site: World, key: str) -> object:
    return notice()


def by_subject(site: World, key: str) -> object:
    return notice(sid=None, subject=SUBJECT)


def of_another_sid(site: World, key: str) -> object:
    return notice(sid=OTHER_SID)


def of_another_subject(site: World, key: str) -> object:
    return notice(sid=None, subject=OTHER_SUBJECT)


def left_undone(site: World) -> None:
    """A notice was received, and a fault kept it from more."""
    receipts.record(logout_notice(), "the jti")


def play(
    site: World,
    actors: list[Actor],
    *acts: Act,
    wrong: Callable[[], object],
    cold: bool = False,
    before: Callable[[World], object] | None = None,
) -> Iterator[str]:
    """Every run of ``acts``: the traces of those that leave something ``wrong``."""

    def start() -> list[Callable[[], object]]:
        key = site.restore(cold=cold)
        if before:
            before(site)
        return [partial(act, site, key) for act in acts]

    # The longest ones stop at fewer places, to be done in time.
    at_writes = cold or len(acts) > 2 or not {purge, sign_in_anew}.isdisjoint(acts)
    runs = interleave(actors[: len(acts)], start, at_writes=at_writes)
    yield from (", ".join(trace) for trace in runs if wrong())


@pytest.mark.parametrize("acts", [(by_sid, rotation), (rotation, by_sid), (by_sid, late_save), (late_save, by_sid)])
def test_no_survivor_of_a_notice(site: World, actors: list[Actor], acts: tuple[Act, Act]) -> None:
    for cold in site.colds:
        assert not list(play(site, actors, *acts, wrong=site.survivors, cold=cold))


@pytest.mark.parametrize("other", [reading, sign_in, sign_in_anew, log_out, purge, by_sid])
def test_no_survivor_beside_a_notice(site: World, actors: list[Actor], other: Act) -> None:
    assert not list(play(site, actors, by_sid, other, wrong=site.survivors))


def test_no_survivor_of_a_notice_by_subject(site: World, actors: list[Actor]) -> None:
    assert not list(play(site, actors, by_subject, sign_in, wrong=site.survivors))


@pytest.mark.parametrize("other", [rotation, late_save, reading])
def test_no_survivor_of_a_logout_here(site: World, actors: list[Actor], other: Act) -> None:
    # A logout that comes with a key that is no longer signed in finds nothing to end, as with Django alone.
    def survivors() -> list[str]:
        return site.survivors() if site.logged_out else []

    for cold in site.colds:
        assert not list(play(site, actors, log_out, other, wrong=survivors, cold=cold))


@pytest.mark.parametrize("other", [rotation, late_save, sign_in, by_sid])
def test_no_survivor_of_a_purge_that_works_off_a_notice(site: World, actors: list[Actor], other: Act) -> None:
    assert not list(play(site, actors, purge, other, wrong=site.survivors, before=left_undone))


@pytest.mark.parametrize("acts", [(rotation, rotation, by_sid), (by_sid, rotation, late_save)])
def test_no_survivor_of_two_that_write(site: World, actors: list[Actor], acts: tuple[Act, Act, Act]) -> None:
    assert not list(play(site, actors, *acts, wrong=site.survivors))


@pytest.mark.parametrize(
    "acts", [(of_another_sid, rotation), (of_another_sid, late_save), (of_another_subject, rotation), (purge, rotation)]
)
def test_no_wrong_kill_by_a_notice(site: World, actors: list[Actor], acts: tuple[Act, Act]) -> None:
    assert not list(play(site, actors, *acts, wrong=site.wrongly_killed))


@pytest.mark.parametrize("acts", [(rotation, rotation), (late_save, rotation)])
def test_no_wrong_kill_without_a_notice(site: World, actors: list[Actor], acts: tuple[Act, Act]) -> None:
    for cold in site.colds:
        assert not list(play(site, actors, *acts, wrong=site.wrongly_killed, cold=cold))


@pytest.mark.parametrize("acts", [(of_another_subject, sign_in), (of_another_sid, sign_in_anew)])
def test_no_wrong_refusal_of_a_sign_in(site: World, actors: list[Actor], acts: tuple[Act, Act]) -> None:
    def refused() -> bool:
        return len(site.held) != 2 or not site.is_signed_in(site.held[1])

    assert not list(play(site, actors, *acts, wrong=refused))


# The stage sees what is broken


def test_stage_sees_a_sign_in_that_asks_for_no_receipt(
    site: World, actors: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "rows", LogoutReceipt.objects.none)
    monkeypatch.setattr(receipts, "record", lambda notice, jti: LogoutReceipt(**asdict(notice), jti=jti))

    assert any(play(site, actors, by_sid, sign_in, wrong=site.survivors))


def test_stage_sees_a_load_that_does_not_ask(site: World, actors: list[Actor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoginSessionStore, "_confirm_row", lambda store, mark: True)

    assert any(play(site, actors, by_sid, rotation, wrong=site.survivors))


def test_stage_sees_sessions_deleted_before_rows_are_marked(
    site: World, actors: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(notice: LogoutNotice, reason: EndReason, _progress: object = None) -> int:
        found = list(index.rows().named_by(notice))
        engines.delete_stored(engines.site_store(), [row.session_key for row in found if row.session_key])
        index.rows().filter(pk__in=[row.pk for row in found]).delete()
        return len(found)

    monkeypatch.setattr(index, "end", end)

    survived = any(play(site, actors, by_sid, rotation, wrong=site.survivors))

    # The other engines ask for the row at each load, and there is none.
    assert survived == (engines.site_store() is DatabaseStore)


def test_stage_sees_the_later_of_two_rotations_turned_away(
    site: World, actors: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        LoginSessionStore, "_accept_rotated_key", lambda store, mark: index.update_key(mark, store.session_key)
    )

    turned_away = any(play(site, actors, rotation, rotation, wrong=site.wrongly_killed))

    # A signed cookie has no key, and cannot be rotated.
    assert turned_away == engines.has_keys(engines.site_store())
