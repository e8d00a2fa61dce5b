"""Signals that stop a trial: Ctrl-C (SIGINT), a closed terminal (SIGHUP), and SIGTERM. The cleanup runs in any case."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..findings import CheckResult

STOP_SIGNALS = ("SIGTERM", "SIGHUP")  # not every system has SIGHUP


def raising_keyboard_interrupt() -> AbstractContextManager[None]:
    """Each of these signals raises :exc:`KeyboardInterrupt` in the block."""
    return _handled(STOP_SIGNALS, signal.default_int_handler)


def run_and_clean_up(
    steps: Mapping[str, Callable[[], CheckResult]],
    clean_up: Callable[[], CheckResult],
    when_stopped: Callable[[CheckResult], None],
) -> Iterator[tuple[str, CheckResult]]:
    """Yield the results of ``steps`` and then of ``clean_up``, which no signal stops.

    If a step is stopped, ``clean_up`` runs too, and ``when_stopped`` gets its result.
    """
    try:
        for row, step in steps.items():
            yield row, step()
    except BaseException:
        with _ignoring_stop_signals():
            when_stopped(clean_up())
        raise
    with _ignoring_stop_signals():
        result = clean_up()
    yield "try.cleanup", result


def _ignoring_stop_signals() -> AbstractContextManager[None]:
    return _handled(("SIGINT", *STOP_SIGNALS), signal.SIG_IGN)


@contextmanager
def _handled(names: tuple[str, ...], handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """Use ``handler`` in the block. Signals that are ignored, as under ``nohup``, stay ignored.

    Python allows this only in the main thread. In another thread, nothing changes.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        handlers = {number: signal.getsignal(number) for number in numbers}
        previous = {number: old for number, old in handlers.items() if old not in {None, signal.SIG_IGN}}
    try:
        for number in previous:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
