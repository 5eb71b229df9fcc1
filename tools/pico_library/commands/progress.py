"""What a command works off one by one: how far it is, and how Ctrl-C ends it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, complain, plural
from pico_library.run import interrupts
from pico_library.run.restore import find

_SHAPE = "{percentage:3.0f} % |{bar:24}| {n_fmt} of {total_fmt} {unit}, {remaining} left"

_MOST_NAMED = 8
Thing = TypeVar("Thing")


class OneByOne:
    """Things that a command works off one by one, each of which is called a `unit`.

    While they are gone through, a terminal shows how far it is. As a context, it lets the first Ctrl-C come between two
    of them, and has the second end the context; `interrupted` tells of either. `left` counts those that are not done.
    """

    def __init__(self, unit: str) -> None:
        self.interrupted = False
        self.left = 0
        self._unit = unit
        self._hears = False

    def __enter__(self) -> Self:
        self._hears = interrupts.raises_here()
        if self._hears:
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._hears:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if not isinstance(error, KeyboardInterrupt):
            return False
        self.interrupted = True
        return True

    def through(self, things: Sequence[Thing]) -> Iterator[Thing]:
        """One after the other, up to the first Ctrl-C."""
        self.left = len(things)
        with tqdm(
            total=len(things),
            unit=f"{self._unit}s",
            bar_format=_SHAPE,
            disable=None,
            leave=False,
            dynamic_ncols=True,
        ) as progress:
            for one in things:
                if self.interrupted:
                    return
                yield one
                self.left -= 1
                progress.update()
            progress.refresh()  # the last may have followed each other faster than the line is drawn

    @property
    def ending(self) -> str:
        """What is to be said of an early end behind the summary."""
        if not self.interrupted:
            return ""
        left = f"; {plural(self.left, self._unit)} left" if self.left else ""
        return f" Stopped early{left}."

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(RuntimeError):  # another line is just being written
            complain("Ctrl-C", f"finishing the {self._unit} at work; press it again to end at once")


class Walk(OneByOne):
    """The .pico files among some paths and below them, each with the path that it belongs to; see `restore.find`.

    `closed` has the folders that could not be listed.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(".pico file")
        self.closed: list[OSError] = []
        self._taken = 0
        self._paths = paths

    def __iter__(self) -> Iterator[tuple[Path, Path]]:
        files = []
        for one in find(self._paths, self.closed.append):
            if self.interrupted:
                return
            files.append(one)
        yield from self.through(files)

    def is_taken(self, pico: Path, why: str) -> None:
        """Say that a name was taken; after some, they are counted only."""
        self._taken += 1
        if self._taken <= _MOST_NAMED:
            complain(pico, why)

    def finished(self, done: str, count: int, failed: int) -> int:
        """Say how many pictures were `done` (as in "Restored"), and what else there is to say; the exit code."""
        self.tell()
        failed += len(self.closed)
        failures = f" Failed: {failed:,}, see above." if failed else ""
        print(f"{done} {plural(count, 'picture')}.{failures}{self.ending}")
        if self.interrupted:
            return INTERRUPTED
        if failed:
            return FAILED
        return FINE if count else NOTHING

    def tell(self) -> None:
        """Name the folders that could not be listed, and say how many names more were taken."""
        if self._taken > _MOST_NAMED:
            left = self._taken - _MOST_NAMED
            complain(f"{left:,} more", "exist already; choose another folder with --output")
        for unlisted in self.closed:
            complain(
                unlisted.filename, f"cannot be looked into ({unlisted.strerror}); see that you may read it"
            )
