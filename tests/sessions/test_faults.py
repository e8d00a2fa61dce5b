"""A fault at every step: an answered request is not lost, and an unfinished sign-in is not signed in."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from django.db import OperationalError

from django_ory_logout.exceptions import TemporaryError
from django_ory_logout.models import LoginSession, LogoutReceipt
from django_ory_logout.sessions import index

from .interleaving import SteppedThread
from .tested_site import SiteUnderTest, notice

pytestmark = pytest.mark.django_db(transaction=True)


def fail(label: str) -> None:
    """Fail like the database, the cache or the disk."""
    if label.startswith("cache"):
        raise ConnectionError(label)
    if label.startswith("file"):
        raise PermissionError(label)
    raise OperationalError(label)


def faults(thread: SteppedThread, start: Callable[[], Callable[[], object]]) -> Iterator[Exception | None]:
    """Let each step of the action fail in turn. Yield the exception, or None if the action handled it."""
    for step in count():
        thread.begin(start(), [])
        if thread.advance(step):
            return
        thread.interrupt = fail
        try:
            thread.advance()
        except Exception as error:
            yield error
        else:
            yield None


def start_notice(site: SiteUnderTest) -> Callable[[], object]:
    site.restore()
    return notice


def test_an_interrupted_notice_raises_and_marked_sessions_are_signed_out(
    stepped_site: SiteUnderTest, threads: list[SteppedThread]
) -> None:
    site, steps = stepped_site, 0
    for error in faults(threads[0], lambda: start_notice(site)):
        steps += 1
        # Django's file engine ignores that a file cannot be deleted.
        assert isinstance(error, OperationalError | TemporaryError) or not LoginSession.objects.exists()
        if not LoginSession.objects.filter(ended_at=None).exists():
            assert site.survivors() == []
    assert steps > 4


def test_the_next_delivery_completes_an_interrupted_notice(
    stepped_site: SiteUnderTest, threads: list[SteppedThread]
) -> None:
    site = stepped_site
    for _error in faults(threads[0], lambda: start_notice(site)):
        notice()

        assert site.survivors() == []
        assert not LoginSession.objects.exists()
        assert LogoutReceipt.objects.get().completed_at


def test_purge_completes_an_interrupted_notice(stepped_site: SiteUnderTest, threads: list[SteppedThread]) -> None:
    site = stepped_site
    for _error in faults(threads[0], lambda: start_notice(site)):
        was_recorded = LogoutReceipt.objects.exists()

        index.purge()

        assert bool(site.survivors()) == (not was_recorded)
        assert LoginSession.objects.exists() == (not was_recorded)
        assert not LogoutReceipt.objects.filter(completed_at=None).exists()


def test_an_interrupted_sign_in_leaves_only_sessions_that_a_notice_can_end(
    stepped_site: SiteUnderTest, threads: list[SteppedThread]
) -> None:
    site = stepped_site

    def start() -> Callable[[], object]:
        site.clear()
        return lambda: site.visit("/sign-in/")

    for _error in faults(threads[0], start):
        assert len(site.survivors()) <= LoginSession.objects.count()
        notice()
        assert site.survivors() == []


def test_purge_completes_an_interrupted_logout(stepped_site: SiteUnderTest, threads: list[SteppedThread]) -> None:
    site = stepped_site

    def start() -> Callable[[], object]:
        key = site.restore()
        return lambda: site.visit("/log-out/", key)

    for _error in faults(threads[0], start):
        was_marked = not LoginSession.objects.filter(ended_at=None).exists()
        index.purge()
        if was_marked:
            assert site.survivors() == []
