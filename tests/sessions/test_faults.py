"""A fault at every step: what was answered is not lost, and nothing half done is signed in."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from django.db import OperationalError

from django_ory_logout.exceptions import TemporaryError
from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.sessions import index

from .stage import Actor
from .world import World, notice

pytestmark = pytest.mark.django_db(transaction=True)


def fail(label: str) -> None:
    """As the database, the cache or the disk does."""
    if label.startswith("cache"):
        raise ConnectionError(label)
    if label.startswith("file"):
        raise PermissionError(label)
    raise OperationalError(label)


def faults(actor: Actor, start: Callable[[], Callable[[], object]]) -> Iterator[Exception | None]:
    """Let the act fail at each of its steps in turn; what it raised, if it did."""
    for step in count():
        actor.begin(start(), [])
        if actor.advance(step):
            return
        actor.interrupt = fail
        try:
            actor.advance()
        except Exception as error:
            yield error
        else:
            yield None


def start_notice(site: World) -> Callable[[], object]:
    site.restore()
    return notice


def test_an_interrupted_notice_says_so_and_what_is_marked_is_signed_out(
    staged_site: World, actors: list[Actor]
) -> None:
    site, steps = staged_site, 0
    for error in faults(actors[0], lambda: start_notice(site)):
        steps += 1
        # That a file cannot be deleted, Django's file engine keeps to itself.
        assert isinstance(error, OperationalError | TemporaryError) or not LoginSession.objects.exists()
        if not LoginSession.objects.filter(ended_at=None).exists():
            assert site.survivors() == []
    assert steps > 4


def test_the_next_delivery_completes_an_interrupted_notice(staged_site: World, actors: list[Actor]) -> None:
    site = staged_site
    for _error in faults(actors[0], lambda: start_notice(site)):
        notice()

        assert site.survivors() == []
        assert not LoginSession.objects.exists()
        assert LogoutReceipt.objects.get().completed_at


def test_a_purge_completes_an_interrupted_notice(staged_site: World, actors: list[Actor]) -> None:
    site = staged_site
    for _error in faults(actors[0], lambda: start_notice(site)):
        was_recorded = LogoutReceipt.objects.exists()

        index.purge()

        assert bool(site.survivors()) == (not was_recorded)
        assert LoginSession.objects.exists() == (not was_recorded)
        assert not LogoutReceipt.objects.filter(completed_at=None).exists()


def test_an_interrupted_sign_in_signs_nobody_in_whom_no_notice_could_reach(
    staged_site: World, actors: list[Actor]
) -> None:
    site = staged_site

    def start() -> Callable[[], object]:
        site.clear()
        return lambda: site.visit("/sign-in/")

    for _error in faults(actors[0], start):
        assert len(site.survivors()) <= LoginSession.objects.count()
        notice()
        assert site.survivors() == []


def test_an_interrupted_logout_here_is_completed_by_a_purge(staged_site: World, actors: list[Actor]) -> None:
    site = staged_site

    def start() -> Callable[[], object]:
        key = site.restore()
        return lambda: site.visit("/log-out/", key)

    for _error in faults(actors[0], start):
        was_marked = not LoginSession.objects.filter(ended_at=None).exists()
        index.purge()
        if was_marked:
            assert site.survivors() == []
