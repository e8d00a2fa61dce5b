"""Faults outside the process of a request: at each SQL statement, cache operation and session file.

A first run counts the operations of an act. Further runs let each operation fail, alone or with all later ones.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest.mock import patch

from django.contrib.sessions.backends import file
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError, connections

#: The exception of each kind of fault.
KINDS: dict[str, type[Exception]] = {"sql": OperationalError, "cache": ConnectionError, "file": PermissionError}
#: All kinds at once, as in a power failure.
EVERYTHING = "everything"


@dataclass
class Faults:
    """Operation number ``at`` of ``kind`` fails, and with ``onward`` all later ones too."""

    kind: str = ""
    at: int = 0
    onward: bool = False
    operations: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    is_on: bool = False

    def touch(self, kind: str, label: str) -> None:
        """Called before each operation. Raises the fault if it is this operation's turn."""
        if not self.is_on or self.kind not in (kind, EVERYTHING):
            return
        number = len(self.operations)
        self.operations.append(label)
        if number == self.at or (self.onward and number > self.at):
            self.failed.append(label)
            raise KINDS[kind](f"injected at {number}: {kind}")

    @contextmanager
    def on(self) -> Iterator[None]:
        self.operations, self.failed, self.is_on = [], [], True
        try:
            yield
        finally:
            self.is_on = False


_faults = Faults()


class FaultyCache(LocMemCache):
    """A cache in the memory of a process that can fail like a server."""


def _touching(kind: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def touching(*args: Any, **kwargs: Any) -> Any:
        _faults.touch(kind, f"{kind} {name}")
        return function(*args, **kwargs)

    return touching


for _name in ("get", "set", "add", "delete", "touch", "incr", "has_key"):
    setattr(FaultyCache, _name, _touching("cache", _name, getattr(LocMemCache, _name)))


class _Touching:
    """A module in which some functions can fail."""

    def __init__(self, module: ModuleType, *names: str) -> None:
        self._module = module
        for name in names:
            setattr(self, name, _touching("file", name, getattr(module, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _touch_database(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "SAVEPOINT")):
        _faults.touch("sql", sql[:60])
    return execute(sql, params, many, context)


@contextmanager
def injected() -> Iterator[Faults]:
    """Operations of every kind call :class:`Faults`, which decides whether they fail."""
    with ExitStack() as stack:
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(_touch_database))
        stack.enter_context(patch.object(file, "open", _touching("file", "open", open), create=True))
        stack.enter_context(patch.object(file, "os", _Touching(os, "open", "unlink")))
        stack.enter_context(patch.object(file, "shutil", _Touching(shutil, "move")))
        yield _faults


def sweep(faults: Faults, kind: str, *, onward: bool, run: Callable[[], None]) -> int:
    """Let each operation of ``run`` fail in turn, and return their number. ``run`` turns the faults on itself."""
    faults.kind, faults.onward, faults.at = kind, onward, 0
    while True:
        run()
        if not faults.failed:
            return len(faults.operations)
        faults.at += 1
