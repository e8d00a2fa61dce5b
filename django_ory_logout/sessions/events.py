"""The events that the doctor reads later. Nothing here raises, so nothing can stop a logout.

Each accepted notice is stored once, even if it is sent again. Each logout that goes from this site to a provider is
also stored once. Both can happen only after a sign-in. Anyone can cause refusals, so these are only counted, by hour
and code; there are few codes. The other steps of a logout are stored only while ``ory_doctor --follow`` runs.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import F, Q, QuerySet, Value
from django.utils import timezone

from ..exceptions import OryLogoutError
from ..models import EndReason, EventKind, LoginSession, LogoutEvent, LogoutNotice, RefusalCount, digest

logger = logging.getLogger("django_ory_logout")

#: How long events and counts are kept, and how late a purge may be.
LIFETIME, GRACE = timedelta(days=7), timedelta(days=1)
#: Each process writes the first 100 refusals of a code in a minute one by one, and later ones 100 at a time.
BURST = 100
#: Anyone can send a wrong notice, so each process logs one line for each kind of refusal in this time.
LINE_SECONDS = 60
#: A ``sid`` from a request is cut to this length.
MAX_SID_LENGTH = 255

_lock = threading.Lock()
_recent_counts: dict[tuple[str, ...], tuple[int, int]] = {}


def rows() -> QuerySet[LogoutEvent]:
    """The events, read from the writing database."""
    return LogoutEvent._default_manager.using(router.db_for_write(LogoutEvent))


def counts() -> QuerySet[RefusalCount]:
    """The counters, read from the writing database."""
    return RefusalCount._default_manager.using(router.db_for_write(RefusalCount))


def accepted(kind: EventKind, notice: LogoutNotice, name: str, *, ended: int, seconds: float) -> None:
    """Store that a notice was accepted and ended ``ended`` sessions. ``name`` is the same if it is sent again."""
    key = digest(kind, notice.issuer, name)
    names = {"issuer": notice.issuer, "subject": notice.subject or "", "sid": notice.sid or ""}
    new = LogoutEvent(at=timezone.now(), kind=kind, **names, ended=ended, seconds=seconds, key=key)
    _write_or_log(lambda: _update_or_insert(rows().filter(key=key), new, ended=F("ended") + ended))


def sent_to_provider(issuer: str, sid: str | None, state_id: str = "") -> None:
    """Store that a browser was logged out here and sent to the provider, which should send a notice to this site.

    ``state_id``: the id of the ``state`` that the browser takes there and brings back.
    """
    names = {"issuer": issuer, "sid": sid or "", "code": state_id}
    _write_or_log(lambda: rows().create(at=timezone.now(), kind=EventKind.TO_PROVIDER, **names))


def refused(channel: str, code: str) -> None:
    """Count that a notice or a sign-in was refused."""
    amount = _count_to_write(channel, code)
    # If the database has just failed, do not make the request wait for it a second time.
    if not amount or code in {"database_fault", "database_unusable", "not_migrated"}:
        return
    now = timezone.now()
    name = {"hour": now.replace(minute=0, second=0, microsecond=0), "channel": channel, "code": code}
    new = RefusalCount(**name, count=amount, last_at=now)
    _write_or_log(lambda: _update_or_insert(counts().filter(**name), new, count=F("count") + amount, last_at=now))
    note(EventKind.REFUSED, code=f"{channel}: {code}")


def log_refusal(level: int, message: str, error: OryLogoutError) -> None:
    """Log ``message`` and ``error``. If such a line was logged in the last minute, only count it for the next line."""
    kind, now = ("line", message, error.code), int(time.monotonic())
    with _lock:
        logged_at, unlogged = _recent_counts.get(kind, (now - LINE_SECONDS, 0))
        is_due = now >= logged_at + LINE_SECONDS
        _recent_counts[kind] = (now, 0) if is_due else (logged_at, unlogged + 1)
    if not is_due:
        return
    more = f" (and {unlogged} more since the line before)" if unlogged else ""
    logger.log(level, "%s: %s%s", message, error, more)


def note(kind: EventKind, *, issuer: str = "", subject: str = "", sid: str = "", code: str = "") -> None:
    """Store one step of a logout while somebody follows. If very many steps come, some are left out."""
    cut_sid = sid[:MAX_SID_LENGTH]
    step = LogoutEvent(at=timezone.now(), kind=kind, issuer=issuer, subject=subject, sid=cut_sid, code=code)
    if _count_to_write(kind):
        _write_or_log(lambda: _insert_if_followed(step))


def note_ended(ended: Sequence[LoginSession]) -> None:
    """Store the end of these sessions while somebody follows. One statement handles all sessions.

    Forced logouts are always stored. If Hydra could not end a login session, an operator ends it later by its ``sid``.
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

    _write_or_log(write)


def has_sid(issuer: str, sid: str) -> bool:
    """Whether a stored event names ``sid`` of ``issuer``. Events whose ``sid`` anyone can send do not count."""
    kinds = {EventKind.BACK_CHANNEL, EventKind.TO_PROVIDER, EventKind.ENDED, EventKind.SIGNED_IN}
    named = rows().filter(Q(kind__in=kinds) | Q(kind=EventKind.FRONT_CHANNEL, ended__gt=0), issuer=issuer, sid=sid)
    return (issuer, sid) in named.values_list("issuer", "sid")  # some databases ignore case when they compare


# Following


@contextmanager
def follow(seconds: float) -> Iterator[Callable[[], None]]:
    """Store steps while the block runs, for ``seconds``. Each call of the yielded function starts ``seconds`` again."""
    lifetime = timedelta(seconds=seconds)
    row = rows().create(at=timezone.now() + lifetime, kind=EventKind.FOLLOWED)

    def prolong() -> None:
        rows().filter(pk=row.pk).update(at=timezone.now() + lifetime)

    try:
        yield prolong
    finally:
        rows().filter(pk=row.pk).delete()


def _insert_if_followed(step: LogoutEvent) -> bool:
    """Insert ``step`` if somebody follows. Return whether it was inserted.

    This is one ``INSERT ... SELECT``, which the ORM lacks.
    """
    connection = connections[rows().db]
    fields = [field for field in LogoutEvent._meta.concrete_fields if not field.primary_key]
    values = {f"new_{field.name}": Value(getattr(step, field.attname), field) for field in fields}
    # Followers have a date in the future, so the database index on ``at`` finds them.
    followers = rows().filter(kind=EventKind.FOLLOWED, at__gt=timezone.now())
    selected = followers.order_by().annotate(**values).values_list(*values)[:1]
    sql, parameters = selected.query.get_compiler(connection=connection).as_sql()
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(LogoutEvent._meta.db_table)} ({columns}) {sql}", parameters)
        return bool(cursor.rowcount > 0)


def purge() -> None:
    """Delete events and counts that are older than :data:`LIFETIME`."""
    before = timezone.now() - LIFETIME
    _write_or_log(lambda: rows().filter(at__lt=before).delete())
    _write_or_log(lambda: counts().filter(hour__lt=before).delete())


def is_purged() -> bool:
    """Whether :func:`purge` runs regularly (a day late is accepted)."""
    before = timezone.now() - LIFETIME - GRACE
    return not (rows().filter(at__lt=before).exists() or counts().filter(hour__lt=before).exists())


# Writing


def _count_to_write(*name: str) -> int:
    """The number to write now for ``name``. This limits the writes.

    - 1: one of the first :data:`BURST` in a minute. Write it at once.
    - 0: a later one. Do not write it yet.
    - :data:`BURST`: a later one, and :data:`BURST` are now unwritten. Write all of these.
    """
    minute = int(time.monotonic() // 60)
    with _lock:
        counted_in, count = _recent_counts.get(name, (minute, 0))
        count = count + 1 if counted_in == minute else 1
        _recent_counts[name] = minute, count
    if count <= BURST:
        return 1
    return 0 if count % BURST else BURST


def _update_or_insert(queryset: QuerySet[Any], new: LogoutEvent | RefusalCount, **changes: object) -> None:
    """Apply ``changes`` to the one row of ``queryset``, or insert ``new`` if there is no row."""
    if queryset.update(**changes):
        return
    try:
        with transaction.atomic(using=queryset.db):
            new.save(force_insert=True, using=queryset.db)
    except IntegrityError:
        queryset.update(**changes)  # another process inserted the row first


def _write_or_log(write: Callable[[], object]) -> None:
    try:
        using = rows().db
        # In a transaction, use a savepoint: a fault here must not break the surrounding transaction.
        inside = transaction.get_connection(using).in_atomic_block
        with transaction.atomic(using=using) if inside else nullcontext():
            write()
    except Exception as error:
        logger.warning("not noted for the doctor: event_lost: %s", type(error).__name__)
