"""What the doctor reads afterwards. Nothing here raises, and nothing is in the way of a logout.

Kept are accepted notices, each once, whoever sends it again, and the logouts that went from here to a provider: nobody
makes either without having signed in. What strangers can cause is counted by hour and code, of which there are few. The
other steps of a logout are kept only while the doctor follows.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import F, Q, QuerySet, Value
from django.utils import timezone

from ..exceptions import OryLogoutError
from ..models import (
    EndReason,
    EventKind,
    LoginSession,
    LogoutEvent,
    LogoutNotice,
    RefusalCount,
    digest,
)

logger = logging.getLogger("django_ory_logout")

#: How long events and counts are kept, and how much longer they may lie there.
LIFETIME, GRACE = timedelta(days=7), timedelta(days=1)
#: So many refusals of a code are counted one by one in a minute, by each process, and further ones by so many.
BURST = 100
#: Anybody can send a wrong notice: one of a kind has its line in the log in so many seconds, by each process.
LINE_SECONDS = 60
#: What a stranger names is cut to this.
LONGEST = 255

_lock = threading.Lock()
_lately: dict[tuple[str, ...], tuple[int, int]] = {}


def rows() -> QuerySet[LogoutEvent]:
    """The events, in the writing database alone."""
    return LogoutEvent._default_manager.using(router.db_for_write(LogoutEvent))


def counts() -> QuerySet[RefusalCount]:
    """The counters, likewise."""
    return RefusalCount._default_manager.using(router.db_for_write(RefusalCount))


def accepted(kind: EventKind, notice: LogoutNotice, name: str, *, ended: int, seconds: float) -> None:
    """A notice was accepted, and has ended so many sessions. ``name`` is the same when it comes again."""
    key = digest(kind, notice.issuer, name)
    new = LogoutEvent(
        at=timezone.now(),
        kind=kind,
        issuer=notice.issuer,
        subject=notice.subject or "",
        sid=notice.sid or "",
        ended=ended,
        seconds=seconds,
        key=key,
    )
    _tried(lambda: _added(rows().filter(key=key), new, ended=F("ended") + ended))


def sent_to_provider(issuer: str, sid: str | None, state_id: str = "") -> None:
    """A browser that was logged out here was sent on to the provider, which owes this site a notice now.

    ``state_id``: of the ``state`` with which it left, and comes back.
    """
    left = {"issuer": issuer, "sid": sid or "", "code": state_id}
    _tried(lambda: rows().create(at=timezone.now(), kind=EventKind.TO_PROVIDER, **left))


def refused(channel: str, code: str) -> None:
    """A notice, or a sign-in, was refused."""
    amount = _due(channel, code)
    # A database that has just failed is not asked again: whoever waits has waited for it once.
    if not amount or code in {"database_fault", "database_unusable", "not_migrated"}:
        return
    now = timezone.now()
    name = {"hour": now.replace(minute=0, second=0, microsecond=0), "channel": channel, "code": code}
    new = RefusalCount(**name, count=amount, last_at=now)
    _tried(lambda: _added(counts().filter(**name), new, count=F("count") + amount, last_at=now))
    note(EventKind.REFUSED, code=f"{channel}: {code}")


def log_refusal(level: int, said: str, error: OryLogoutError) -> None:
    """Log ``error``, or count it with the next line of its kind when there was one a moment ago."""
    kind, now = ("line", said, error.code), int(time.monotonic())
    with _lock:
        before, unsaid = _lately.get(kind, (now - LINE_SECONDS, 0))
        is_due = now >= before + LINE_SECONDS
        _lately[kind] = (now, 0) if is_due else (before, unsaid + 1)
    if not is_due:
        return
    if unsaid:
        logger.log(level, "%s: %s (and %d more since the line before)", said, error, unsaid)
    else:
        logger.log(level, "%s: %s", said, error)


def note(kind: EventKind, *, issuer: str = "", subject: str = "", sid: str = "", code: str = "") -> None:
    """Keep one step of a logout, if somebody follows. Of a flood of steps, keep some."""
    step = LogoutEvent(at=timezone.now(), kind=kind, issuer=issuer, subject=subject, sid=sid[:LONGEST], code=code)
    if _due(kind):
        _tried(lambda: _insert_if_followed(step))


def note_ended(ended: Sequence[LoginSession]) -> None:
    """Keep the end of these sessions, if somebody follows: one statement asks for all of them.

    Forced logouts are always kept: an operator needs their ``sid`` for what could not be ended at Hydra.
    """
    now = timezone.now()

    def step(row: LoginSession) -> LogoutEvent:
        names = {"issuer": row.issuer, "subject": row.subject, "sid": row.sid or ""}
        return LogoutEvent(at=now, kind=EventKind.ENDED, code=row.end_reason, **names)

    def write() -> None:
        rows().bulk_create(step(row) for row in ended if row.end_reason == EndReason.FORCED)
        others = [step(row) for row in ended if row.end_reason != EndReason.FORCED]
        if others and _insert_if_followed(others[0]):
            rows().bulk_create(others[1:])

    _tried(write)


def knows(issuer: str, sid: str) -> bool:
    """Whether a login session ``sid`` of ``issuer`` was heard of lately, from the provider or from a row."""
    kinds = {EventKind.BACK_CHANNEL, EventKind.TO_PROVIDER, EventKind.ENDED, EventKind.SIGNED_IN}
    named = rows().filter(Q(kind__in=kinds) | Q(kind=EventKind.FRONT_CHANNEL, ended__gt=0), issuer=issuer, sid=sid)
    return (issuer, sid) in named.values_list("issuer", "sid")  # some databases compare without case


# Following


@contextmanager
def followed(seconds: float) -> Iterator[Callable[[], None]]:
    """Have steps kept during the block, for ``seconds`` since the last call of what it gives."""
    row = rows().create(at=_until(seconds), kind=EventKind.FOLLOWED)

    def prolong() -> None:
        rows().filter(pk=row.pk).update(at=_until(seconds))

    try:
        yield prolong
    finally:
        rows().filter(pk=row.pk).delete()


def is_followed() -> bool:
    """Whether somebody follows now."""
    return _follower().exists()


def _follower() -> QuerySet[LogoutEvent]:
    """The rows of those who follow now. They are found by the index of ``at``: no other row is in the future."""
    return rows().filter(kind=EventKind.FOLLOWED, at__gt=timezone.now())


def _insert_if_followed(step: LogoutEvent) -> bool:
    """Insert ``step`` if somebody follows, and return whether: by one ``INSERT ... SELECT``, which the ORM has not."""
    connection = connections[rows().db]
    fields = [field for field in LogoutEvent._meta.concrete_fields if not field.primary_key]
    values = {f"new_{field.name}": Value(getattr(step, field.attname), field) for field in fields}
    selected = _follower().order_by().annotate(**values).values_list(*values)[:1]
    sql, parameters = selected.query.get_compiler(connection=connection).as_sql()
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(LogoutEvent._meta.db_table)} ({columns}) {sql}", parameters)
        return bool(cursor.rowcount > 0)


def _until(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def purge() -> None:
    """Delete what is past its time."""
    before = timezone.now() - LIFETIME
    _tried(lambda: rows().filter(at__lt=before).delete())
    _tried(lambda: counts().filter(hour__lt=before).delete())


def is_purged() -> bool:
    """Whether somebody does that, a day late at most."""
    before = timezone.now() - LIFETIME - GRACE
    return not (rows().filter(at__lt=before).exists() or counts().filter(hour__lt=before).exists())


# Writing


def _due(*name: str) -> int:
    """How many of ``name`` to write now: this one, or all since the last. A flood must not become one of writes."""
    minute = int(time.monotonic() // 60)
    with _lock:
        of, count = _lately.get(name, (minute, 0))
        count = count + 1 if of == minute else 1
        _lately[name] = minute, count
    if count <= BURST:
        return 1
    return 0 if count % BURST else BURST


def _added(these: QuerySet[Any], new: LogoutEvent | RefusalCount, **added: object) -> None:
    """Update the one row of ``these`` by what is ``added``, or save ``new`` where there is none."""
    if these.update(**added):
        return
    try:
        with transaction.atomic(using=these.db):
            new.save(force_insert=True, using=these.db)
    except IntegrityError:
        these.update(**added)  # two at once, and the other was first


def _tried(write: Callable[[], object]) -> None:
    try:
        using = rows().db
        # In a transaction a savepoint: what fails here must not break what is around it.
        inside = transaction.get_connection(using).in_atomic_block
        with transaction.atomic(using=using) if inside else nullcontext():
            write()
    except Exception as error:
        logger.warning("not noted for the doctor: event_lost: %s", type(error).__name__)
