"""The progress of a long command."""

import time
from collections.abc import Callable

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

#: The shortest time between two updates of a line, in seconds.
INTERVAL = 0.1
#: Deletes the rest of the line (ECMA-48).
CLEAR = "\x1b[K"


class Progress:
    """Shows a line for each step on a terminal: the number done, the total, the speed, and the remaining time.

    It shows nothing with ``verbosity`` 0, or if the output is no terminal.
    """

    def __init__(self, stream: OutputWrapper, verbosity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self.is_shown = verbosity > 0 and stream.isatty()
        self._step = ""
        self._began_at = self._written_at = clock()
        self._is_open = False

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` are done in ``step``. ``None``: the total is not known yet."""
        if not self.is_shown:
            return
        now = self._clock()
        if step != self._step:
            self.close()
            self._began_at = self._written_at if self._step else self._began_at
            self._step = step
        elif self._is_open and not _is_over(done, total) and now < self._written_at + INTERVAL:
            return
        self._written_at, self._is_open = now, True
        self._write(f"\r{self._line(done, total, now - self._began_at)}{CLEAR}", ending="")
        if _is_over(done, total):
            self.close()

    def close(self) -> None:
        """End the line."""
        if self._is_open:
            self._write("")
            self._is_open = False

    def _write(self, text: str, ending: str = "\n") -> None:
        self._stream.write(text, str, ending)  # in no colour: errors have one
        self._stream.flush()

    def _line(self, done: int, total: int | None, seconds: float) -> str:
        if total is None:
            return _("%(step)s: %(done)d so far") % {"step": self._step, "done": done}
        shown: dict[str, str | int] = {"step": self._step, "done": done, "total": total}
        if total == 1 or seconds <= 0:
            return _("%(step)s: %(done)d of %(total)d") % shown
        rate = done / seconds
        shown["rate"] = f"{rate:.0f}"
        if done >= total:
            return _("%(step)s: %(done)d of %(total)d, %(rate)s a second") % shown
        shown["left"] = left = round((total - done) / rate)
        line = ngettext(
            "%(step)s: %(done)d of %(total)d, %(rate)s a second, %(left)d second left",
            "%(step)s: %(done)d of %(total)d, %(rate)s a second, %(left)d seconds left",
            left,
        )
        return line % shown


def _is_over(done: int, total: int | None) -> bool:
    return total is not None and done >= total
