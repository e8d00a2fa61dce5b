"""Signals that stop a trial: Ctrl-C (SIGINT), a closed terminal (SIGHUP), and SIGTERM."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOP_SIGNALS = ("SIGTERM", "SIGHUP")  # not every system has SIGHUP


@contextmanager
def raising_keyboard_interrupt() -> Iterator[None]:
    """Each of these signals raises :exc:`KeyboardInterrupt` in the block."""
    with _handled(STOP_SIGNALS, signal.default_int_handler):
        yield


@contextmanager
def ignoring_stop_signals() -> Iterator[None]:
    """None of these signals stops the block."""
    with _handled(("SIGINT", *STOP_SIGNALS), signal.SIG_IGN):
        yield


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
