"""How the watcher speaks: one line that keeps changing in a terminal, and a line an event everywhere else."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from tqdm import tqdm

from pico_library.console import complain, printable

_WORKING = "{percentage:3.0f} % |{bar:24}| {n_fmt} of {total_fmt} photos{postfix}, {remaining} left"
_INFO, _WARNING = 6, 4  # priorities of syslog, as journald reads them at the beginning of a line


class Reporter:
    """Tells on standard error what happens. With `quiet`, only what goes wrong."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._to_journald = _is_journald()
        self._bar: tqdm | None = None
        if self._terminal and not quiet:
            self._bar = tqdm(total=1, bar_format="{desc}", leave=False, dynamic_ncols=True, file=sys.stderr)
        self._shown: tuple[object, ...] = ()

    def event(self, about: Path | str, what: str) -> None:
        """Something that went as it should: a line for logs, none in a terminal."""
        if not self._terminal and not self._quiet:
            self._line(_INFO, about, what)

    def problem(self, about: Path | str, what: str) -> None:
        """Something that people should see to, or at least know."""
        if self._terminal:
            complain(about, what)
        else:
            self._line(_WARNING, about, what)

    def idle(self, text: str) -> None:
        """Show in a terminal what the watcher waits for."""
        if self._bar is None or self._shown == (text,):
            return
        if len(self._shown) != 1:
            self._bar.reset(total=1)
            self._bar.bar_format = "{desc}"
        self._shown = (text,)
        width = shutil.get_terminal_size().columns - 1
        self._bar.set_description_str(printable(text)[:width], refresh=True)

    def working(self, done: int, total: int, text: str) -> None:
        """Show in a terminal how far the work is."""
        if self._bar is None or self._shown == (done, total, text):
            return
        if len(self._shown) == 1 or self._bar.total != total:
            self._bar.reset(total=total)
            self._bar.bar_format = _WORKING
            self._bar.set_description_str("", refresh=False)
        self._shown = (done, total, text)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def close(self, text: str) -> None:
        """Take the line away, and say a last word."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            _say(f"Stopped: {text}.")
        self.event("stopped", text)

    def _line(self, priority: int, about: Path | str, what: str) -> None:
        start = f"<{priority}>" if self._to_journald else time.strftime("%Y-%m-%d %H:%M:%S ")
        _say(f"{start}pico-library: {printable(str(about))}: {what}")


def _say(line: str) -> None:
    """One line on standard error. A log whose disk is full, or that is gone, keeps no photo from being shrunk."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _is_journald() -> bool:
    """Whether standard error is the stream that systemd gave this process, and no file that it was sent to since."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
