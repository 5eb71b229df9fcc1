"""A watcher at work beside a test, in a hurry; and waiting until something holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from library_samples import drawing

from pico_library.model.settings import Settings
from pico_library.store.scan import Choice
from pico_library.watch.loop import Order, Rhythm, Watcher
from pico_library.watch.reporter import Reporter

_DEADLINE = 120.0

HURRIED = Rhythm(
    settle=0.3,
    rescan=3600,
    poll=0.2,
    idle=3600,
    quiet=0.1,
    folders=0.1,
    power=0.1,
    busy=0.1,
    trouble=0.2,
    full_disk=0.2,
)


class Notes(Reporter):
    """Keeps what the watcher says."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def event(self, about: Path | str, what: str) -> None:
        self.lines.append(f"{about}: {what}")

    def problem(self, about: Path | str, what: str) -> None:
        self.lines.append(f"{about}: {what}")

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Watching:
    """A watcher and what it said."""

    def __init__(self, watcher: Watcher, notes: Notes) -> None:
        self.watcher = watcher
        self.notes = notes
        self.code: int | None = None

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition holds; if it never does, show what was said."""
        until(condition, lambda: "\n".join(self.notes.lines))

    @property
    def is_resting(self) -> bool:
        photos = self.watcher.photos
        return photos.at_work is None and not photos.ready and not photos.settling


def until(condition: Callable[[], Any], explain: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"it never came to that. {explain()}"
        time.sleep(0.02)


def order(*roots: Path, **changes: Any) -> Order:
    choice = Choice(output=changes.pop("output", None), exclude=changes.pop("exclude", ()))
    settings = Settings(**changes.pop("settings", {}))
    return Order(roots, choice, settings, on_battery=changes.pop("on_battery", True), **changes)


@contextmanager
def watching(wanted: Order, **rhythm: float) -> Iterator[Watching]:
    """Have a watcher watch until the block ends; then it must end, too."""
    notes = Notes()
    watcher = Watcher(wanted, replace(HURRIED, **rhythm), notes)
    at_work = Watching(watcher, notes)

    def run() -> None:
        at_work.code = watcher.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        at_work.until(lambda: watcher.looks or not thread.is_alive() or notes.said("is not there"))
        yield at_work
    finally:
        watcher.stop()
        thread.join(_DEADLINE)
    assert not thread.is_alive()
    assert at_work.code == 0


def pico_of(photo: Path) -> Path:
    return photo.with_name(photo.name + ".pico")


def is_done(*photos: Path) -> Callable[[], bool]:
    return lambda: all(pico_of(photo).exists() for photo in photos)


def drop(folder: Path, name: str, shade: int = 0) -> Path:
    """A photo that appears in one step."""
    hidden = drawing(folder / ".hidden.png", shade)
    return hidden.rename(folder / name)
