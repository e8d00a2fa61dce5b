"""One request in its own process, which can be killed before each of its SQL statements and commits."""

import json
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..conftest import SiteBrowser

#: Connections of the parent process. If this process closed one, the parent would lose it too.
_inherited: list[Any] = []


@dataclass(frozen=True)
class Answer:
    """The answer of a worker: its status, its redirect, and the number of its database operations."""

    status: int
    location: str
    operations: int


def handle(act: Callable[[SiteBrowser], Any], browser: SiteBrowser, *, kill_at: int) -> Answer | None:
    """Run ``act`` in a new process. SIGKILL ends it at operation ``kill_at``, and then there is no answer.

    The last possible kill is after all operations and before the answer.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns about fork in a process with threads. The child does not use them.
        pid = os.fork()
    if pid == 0:
        try:
            _be_a_worker(act, browser, kill_at, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as answered:
        said = answered.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert status == 0, "the worker failed, see its output above"
    answer, cookies = json.loads(said)
    browser.cookies.clear()
    browser.cookies.load(cookies)
    return Answer(**answer)


def _be_a_worker(act: Callable[[SiteBrowser], Any], browser: SiteBrowser, kill_at: int, writing: int) -> None:
    operations = 0

    def count() -> None:
        nonlocal operations
        if operations == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        operations += 1

    def execute(execute: Any, *arguments: Any) -> Any:
        count()
        return execute(*arguments)

    commit = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]

    def counted_commit(wrapper: BaseDatabaseWrapper) -> Any:
        count()
        return commit(wrapper)

    for alias in connections:
        _inherited.append(connections[alias].connection)
        connections[alias].connection = None
        connections[alias].execute_wrappers.append(execute)
    with patch.object(BaseDatabaseWrapper, "_commit", counted_commit):
        answer = act(browser)
        count()
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    said = {"status": answer.status_code, "location": answer.get("Location", ""), "operations": operations}
    os.write(writing, json.dumps([said, cookies]).encode())
    os._exit(0)
