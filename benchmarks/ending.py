"""Measure the end of one session, and a request with the index. Compare each with Django alone, as a ratio."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import django
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.test.utils import override_settings, setup_databases, teardown_databases
from django.utils import timezone

from django_ory_logout.models import EndReason, LoginSession, LogoutNotice, digest
from django_ory_logout.sessions import index
from django_ory_logout.sessions.stored_login import LOGIN_KEY
from tests.sessions.tested_site import ENGINES, MIDDLEWARE, SiteUnderTest, rows_of, running_site, site_settings

SID = "the session to end"
LOGIN = {"issuer": settings.ISSUER, "subject": "amber", "id_token": "x" * 1000}
ROUNDS, REQUESTS = 100, 10


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def milliseconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


# Ending one session


def store(sids: list[str]) -> None:
    """Store a session in the database for each of ``sids``, with its row in the index."""
    data = SessionStore().encode({LOGIN_KEY: LOGIN | {"sid": sids[0]}})
    expires = timezone.now() + timedelta(days=1)
    rows = rows_of("amber", len(sids))
    for row, sid in zip(rows, sids, strict=True):
        row.sid, row.sid_digest = sid, digest(settings.ISSUER, sid)
    LoginSession.objects.bulk_create(rows, batch_size=1000)
    stored = (Session(session_key=row.session_key or "", session_data=data, expire_date=expires) for row in rows)
    Session.objects.bulk_create(stored, batch_size=1000)


def end_by_index() -> None:
    index.end(LogoutNotice(settings.ISSUER, None, SID, timezone.now()), EndReason.BACK_CHANNEL)


def end_by_decoding() -> None:
    """Without an index: read every session to find the one with this ``sid``."""
    for stored in Session.objects.iterator():
        if stored.get_decoded().get(LOGIN_KEY, {}).get("sid") == SID:
            stored.delete()


def time_to_end(end: Callable[[], None], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        store([SID])
        times.append(milliseconds(end))
        LoginSession.objects.filter(sid_digest=digest(settings.ISSUER, SID)).delete()
    return statistics.median(times)


def compare_ending(counts: list[int]) -> None:
    say("Ending one session by sid, engine db, median in ms:\n")
    say(f"{'stored':>9} {'index':>9} {'decode all':>12} {'ratio':>8}")
    stored = 0
    for count in sorted(counts):
        store([f"session {number}" for number in range(stored, count)])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # databases do this by themselves, a little later
        stored = count
        by_index, by_decoding = time_to_end(end_by_index, 30), time_to_end(end_by_decoding, 3)
        say(f"{count:>9} {by_index:>9.2f} {by_decoding:>12.1f} {by_decoding / by_index:>7.0f}x")


# One request to a private page


@contextmanager
def site(engine: str, directory: Path) -> Iterator[SiteUnderTest]:
    backend = f"django.contrib.sessions.backends.{engine}"
    as_by_default = {"ORY_LOGOUT": settings.ORY_LOGOUT}
    with override_settings(**site_settings(backend, directory) | as_by_default), running_site() as site_:
        yield site_


def site_without_index() -> SiteUnderTest:
    with override_settings(MIDDLEWARE=[name for name in MIDDLEWARE if "LoginSession" not in name]):
        handler = BaseHandler()
        handler.load_middleware()
    return SiteUnderTest(handler)


def compare_requests(directory: Path) -> None:
    say(f"\nOne request to a private page, best of {ROUNDS} rounds of {REQUESTS} in ms:\n")
    say(f"{'engine':>15} {'Django':>9} {'with index':>11} {'ratio':>7}")
    for engine in ENGINES:
        with site(engine, directory) as indexed:
            key, without_index = indexed.visit("/sign-in/"), site_without_index()
            if not indexed.is_signed_in(key) or not without_index.is_signed_in(key):
                raise SystemExit("nobody is signed in: there is nothing to measure")
            # In turns, so that other work of the machine affects both.
            pairs = [(time_of_requests(without_index, key), time_of_requests(indexed, key)) for _ in range(ROUNDS)]
            without, with_index = (min(times) for times in zip(*pairs, strict=True))
            say(f"{engine:>15} {without:>9.3f} {with_index:>11.3f} {with_index / without:>6.2f}x")


def time_of_requests(site_: SiteUnderTest, key: str) -> float:
    def visit() -> None:
        for _ in range(REQUESTS):
            site_.visit("/who/", key)

    return milliseconds(visit) / REQUESTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, nargs="+", default=[1_000, 100_000], help="how many sessions are stored")
    stored = parser.parse_args().stored
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        cache = settings.CACHES["default"]["BACKEND"].rpartition(".")[2]
        say(f"Python {sys.version.split()[0]}, Django {django.__version__}, {connection.vendor}, {cache}\n")
        compare_ending(stored)
        with tempfile.TemporaryDirectory() as directory:
            compare_requests(Path(directory))
    finally:
        teardown_databases(databases, verbosity=0)
