"""What stops a try: Ctrl-C, a terminal that closes, and whoever ends the process politely."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

POLITE = ("SIGTERM", "SIGHUP")  # SIGHUP is not everywhere


@contextmanager
def stoppable() -> Iterator[None]:
    """Each of them is a :exc:`KeyboardInterrupt` in the block."""
    with _handled(POLITE, signal.default_int_handler):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """None of them stops the block."""
    with _handled(("SIGINT", *POLITE), signal.SIG_IGN):
        yield


@contextmanager
def _handled(names: tuple[str, ...], handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """What is ignored, as under ``nohup``, stays so. Another thread than the first is told of no signal."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {one: was for one in numbers if (was := signal.getsignal(one)) not in {None, signal.SIG_IGN}}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
