"""Actors on a stage: each runs real code in a thread of its own and stops before every touch of what others see.

What others see is the database, the cache and the session files. One actor runs at a time, so a run is the same each
time, without a clock and without a sleep.
"""

import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import ModuleType
from typing import Any
from unittest.mock import patch

from django.contrib.sessions.backends import file
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import caches
from django.db import connections, transaction

TABLES = ("ory_logout_loginsession", "ory_logout_logoutreceipt", "django_session")
CACHE_METHODS = ("get", "set", "add", "delete", "delete_many")
READS = ("SELECT", "cache get", "file open")
SESSION_PREFIX = "django.contrib.sessions."


class Actor(threading.Thread):
    """Runs one act after the other, each as far as it is told to."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.finished = True
        self.trace: list[str] = []
        #: New session keys of which nobody else can know yet: what becomes of them, nobody else can see.
        self.secrets: set[str] = set()
        self.begins_transaction = False
        self._act: Callable[[], object] | None = None
        self._budget = 0.0
        self._at_writes = False
        self._error: BaseException | None = None
        #: Called once, in place of the next step.
        self.interrupt: Callable[[str], None] | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)

    def begin(self, act: Callable[[], object], trace: list[str], *, at_writes: bool = False) -> None:
        self._act, self.trace, self._at_writes, self.finished = act, trace, at_writes, False
        self.secrets.clear()

    def advance(self, steps: float = math.inf) -> bool:
        """Run ``steps`` further steps; says whether the act came to its end. Raises what the act raises."""
        if not self.finished:
            self._budget = steps
            self._go.release()
            self._stopped.acquire()
        if self._error:
            error, self._error = self._error, None
            raise error
        return self.finished

    def leave(self) -> None:
        with suppress(Exception):
            self.advance()
        self._act = None
        self._go.release()
        self.join()

    def run(self) -> None:
        connections["default"].execute_wrappers.append(_stop_before_statement)
        while True:
            self._go.acquire()
            if self._act is None:
                break
            try:
                self._act()
            except BaseException as error:
                self._error = error
            self.finished = True
            self._stopped.release()
        connections.close_all()

    def step(self, label: str) -> None:
        """Called in this thread, before each step."""
        if self._at_writes and label.startswith(READS):
            return
        if self._budget < 1:
            self._stopped.release()
            self._go.acquire()
        self._budget -= 1
        self.trace.append(f"{self.name}: {label}")
        interrupt, self.interrupt = self.interrupt, None
        if interrupt:
            interrupt(label)


def _actor() -> Actor | None:
    thread = threading.current_thread()
    return thread if isinstance(thread, Actor) else None


def _stop(label: str, *touched: object) -> None:
    """Here an actor may have to wait, unless all that is touched is a secret of its own. Whoever is no actor passes."""
    actor = _actor()
    if actor and not any(secret in str(one) for secret in actor.secrets for one in touched):
        actor.step(label)


def _stop_before_statement(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    actor = _actor()
    table = next((table for table in TABLES if table in sql), None)
    if actor and sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
        # Within a transaction nobody sees anything, and SQLite lets nobody else write.
        may_stop = not context["connection"].in_atomic_block or actor.begins_transaction
        actor.begins_transaction = False
        if table and table != "django_session":
            actor.secrets.difference_update(map(str, params or ()))
        if table and may_stop:
            _stop(f"{sql.split()[0]} {table}", *(params or ()))
    return execute(sql, params, many, context)


@contextmanager
def stops() -> Iterator[None]:
    """Make actors stop at the cache and at session files too, and know transactions and new session keys."""
    store: Any = SessionBase
    enter, new_key = transaction.Atomic.__enter__, store._get_new_session_key

    def begin_transaction(atomic: transaction.Atomic) -> None:
        if (actor := _actor()) and not connections[atomic.using or "default"].in_atomic_block:
            actor.begins_transaction = True
        enter(atomic)

    def get_new_session_key(store: Any) -> str:
        key: str = new_key(store)
        if actor := _actor():
            actor.secrets.add(key)
        return key

    with ExitStack() as stack:
        stack.enter_context(patch.object(transaction.Atomic, "__enter__", begin_transaction))
        stack.enter_context(patch.object(store, "_get_new_session_key", get_new_session_key))
        backend = type(caches["default"])
        for name in CACHE_METHODS:
            stack.enter_context(patch.object(backend, name, _stopping_at_cache(name, getattr(backend, name))))
        stack.enter_context(patch.object(file, "open", _stopping(open), create=True))
        stack.enter_context(patch.object(file, "os", _Stopping(os, "open", "unlink")))
        stack.enter_context(patch.object(file, "shutil", _Stopping(shutil, "move")))
        yield


def _stopping_at_cache(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def stopping(cache: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
        first = key if isinstance(key, str) else next(iter(key), "")
        if first.startswith(SESSION_PREFIX):
            _stop(f"cache {name}", key)
        return method(cache, key, *args, **kwargs)

    return stopping


def _stopping(function: Callable[..., Any]) -> Callable[..., Any]:
    def stopping(*args: Any, **kwargs: Any) -> Any:
        _stop(f"file {function.__name__}", *args)
        return function(*args, **kwargs)

    return stopping


class _Stopping:
    """A module, with a stop before some of its functions."""

    def __init__(self, module: ModuleType, *names: str) -> None:
        self._module = module
        for name in names:
            setattr(self, name, _stopping(getattr(module, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def interleave(
    actors: Sequence[Actor], start: Callable[[], Sequence[Callable[[], object]]], *, at_writes: bool = False
) -> Iterator[list[str]]:
    """Let each actor stop at each of its steps, in all combinations; yield after each run, with its trace.

    ``start`` sets the scene and gives each actor's act. A run: the first actor goes to its stop, then the second to
    its own, and so on; then each finishes, in the same order. ``at_writes``: stop before writes alone, having read.
    """
    limits = [0] + [1] * (len(actors) - 1)
    while True:
        trace: list[str] = []
        for actor, act in zip(actors, start(), strict=True):
            actor.begin(act, trace, at_writes=at_writes)
        ended = [actor.advance(limit) for actor, limit in zip(actors, limits, strict=True)]
        for actor in actors:
            actor.advance()
        yield trace
        position = len(actors) - 1
        while position >= 0 and ended[position]:
            limits[position] = min(position, 1)
            position -= 1
        if position < 0:
            return
        limits[position] += 1
