"""Run real code in several threads that stop before each access to shared state.

Shared state is the database, the cache and the session files. One thread runs at a time, so each run is repeatable,
without a clock and without a sleep.
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


class SteppedThread(threading.Thread):
    """Runs one action after another, each for as many steps as it is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.finished = True
        self.trace: list[str] = []
        #: New session keys that only this thread can know yet. Access to them is not shared state.
        self.secrets: set[str] = set()
        self.begins_transaction = False
        self._act: Callable[[], object] | None = None
        self._budget = 0.0
        self._at_writes = False
        self._error: BaseException | None = None
        #: Called once, instead of the next step.
        self.interrupt: Callable[[str], None] | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)

    def begin(self, act: Callable[[], object], trace: list[str], *, at_writes: bool = False) -> None:
        self._act, self.trace, self._at_writes, self.finished = act, trace, at_writes, False
        self.secrets.clear()

    def advance(self, steps: float = math.inf) -> bool:
        """Run ``steps`` further steps. Return whether the action has finished. Raise what the action raises."""
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
        """Called in this thread before each step."""
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


def _stepped_thread() -> SteppedThread | None:
    thread = threading.current_thread()
    return thread if isinstance(thread, SteppedThread) else None


def _stop(label: str, *touched: object) -> None:
    """A stepped thread may have to wait here, unless it touches only its own secrets. Other threads continue."""
    thread = _stepped_thread()
    if thread and not any(secret in str(value) for secret in thread.secrets for value in touched):
        thread.step(label)


def _stop_before_statement(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    thread = _stepped_thread()
    table = next((table for table in TABLES if table in sql), None)
    if thread and sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
        # Other threads see nothing of a transaction, and SQLite lets no other thread write.
        may_stop = not context["connection"].in_atomic_block or thread.begins_transaction
        thread.begins_transaction = False
        if table and table != "django_session":
            thread.secrets.difference_update(map(str, params or ()))
        if table and may_stop:
            _stop(f"{sql.split()[0]} {table}", *(params or ()))
    return execute(sql, params, many, context)


@contextmanager
def stops() -> Iterator[None]:
    """Let threads stop at the cache and at session files too. Note transactions and new session keys."""
    store: Any = SessionBase
    enter, new_key = transaction.Atomic.__enter__, store._get_new_session_key

    def begin_transaction(atomic: transaction.Atomic) -> None:
        if (thread := _stepped_thread()) and not connections[atomic.using or "default"].in_atomic_block:
            thread.begins_transaction = True
        enter(atomic)

    def get_new_session_key(store: Any) -> str:
        key: str = new_key(store)
        if thread := _stepped_thread():
            thread.secrets.add(key)
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
    """A module in which some functions stop before they run."""

    def __init__(self, module: ModuleType, *names: str) -> None:
        self._module = module
        for name in names:
            setattr(self, name, _stopping(getattr(module, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def interleave(
    threads: Sequence[SteppedThread], start: Callable[[], Sequence[Callable[[], object]]], *, at_writes: bool = False
) -> Iterator[list[str]]:
    """Let each thread stop at each of its steps, in all combinations. Yield the trace after each run.

    ``start`` prepares the site and returns each thread's action. In a run, the first thread goes to its stop, then the
    second to its own, and so on. Then each thread finishes, in the same order. ``at_writes``: stop only before writes.
    """
    limits = [0] + [1] * (len(threads) - 1)
    while True:
        trace: list[str] = []
        for thread, act in zip(threads, start(), strict=True):
            thread.begin(act, trace, at_writes=at_writes)
        ended = [thread.advance(limit) for thread, limit in zip(threads, limits, strict=True)]
        for thread in threads:
            thread.advance()
        yield trace
        position = len(threads) - 1
        while position >= 0 and ended[position]:
            limits[position] = min(position, 1)
            position -= 1
        if position < 0:
            return
        limits[position] += 1
