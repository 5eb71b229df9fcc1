"""The process that shrinks photos for the watcher, seen from outside.

It holds the networks and the verifier, and is let go when there has been nothing to do for some minutes: the watcher
itself stays small. It holds the lock of the run only while it works.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pico_library.model.records import Outcome
from pico_library.model.settings import Settings
from pico_library.store.scan import Choice
from pico_library.watch import messages
from pico_library.watch.settle import Look

STOP = "stop"
_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Batch:
    """Photos to shrink, with the looks that they had when they had settled: those that changed since are not begun."""

    roots: tuple[Path, ...]
    choice: Choice
    settings: Settings
    jobs: int
    photos: Mapping[str, Look]


@dataclass(frozen=True)
class Begun:
    """A photo is at work from now on."""

    path: str


@dataclass(frozen=True)
class Done:
    """What became of a photo; sizes in bytes.

    `why` is the reason in words, if there is one. `full` is the place whose disk had no room for it, if that was why.
    """

    path: str
    outcome: Outcome
    reason: str | None
    before: int
    after: int
    why: str | None = None
    full: str | None = None


@dataclass(frozen=True)
class Ended:
    """The batch is over, as far as it went; `problem` is what kept all of it from being begun or ended it early."""

    run: int | None = None
    is_busy: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Died:
    """The process of that number has ended though nobody asked it to, and what it was at was not finished."""

    process_id: int


Answer = Begun | Done | Ended | Died


class Worker:
    """The process, which is started with the first batch. `deliver` is given its answers, from another thread."""

    def __init__(self, deliver: Callable[[Answer], None]) -> None:
        self._deliver = deliver
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """The number of the process; None if there is none."""
        return None if self._process is None else self._process.pid

    def begin(self, batch: Batch) -> None:
        """Have the photos of a batch shrunk; ends with the answer Ended or Died."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        self._send(batch)

    def stop(self) -> None:
        """Have the photos at work finished, and no others begun; the batch ends then."""
        self._send(STOP)

    def close(self) -> None:
        """Let the process go; it should have nothing to do."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the process at once; photos at work stay as they were, with a partial file each that is to be removed."""
        if self._process is not None:
            self._process.kill()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            # -P: the folder that happens to be current may hold a calendar.py
            [sys.executable, "-P", "-m", "pico_library.watch.worker_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0 if sys.platform != "win32" else None,  # Ctrl-C is the watcher's to hear
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True, name="answers").start()

    def _send(self, question: Batch | str) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError):  # a process that died says so at the other end
            messages.send(_pipe(self._process.stdin), question)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        answers = _pipe(process.stdout)
        while True:
            try:
                answer: Answer = messages.receive(answers)
            except (EOFError, OSError):
                break
            self._deliver(answer)
        answers.close()
        if process is self._process:
            self._deliver(Died(process.pid))


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
