"""What the file system tells, boiled down to the folders that are worth a look.

Ten thousand events in one folder are one folder to look into. Events that cannot concern a photo, such as those of
.pico files and of partial files, are dropped: the watcher's own output wakes nobody.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)

from pico_library.model.photo import PHOTO_EXTENSIONS

_MOST_FOLDERS = 1000  # beyond, a look over everything is cheaper than one folder after the other

_APPEARING: list[type[FileSystemEvent]] = [FileCreatedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]
#: Where the system tells that a file was closed after writing, each single write is not worth an event.
EVENTS_WITH_CLOSING: list[type[FileSystemEvent]] = [*_APPEARING, FileClosedEvent]
EVENTS_WITHOUT: list[type[FileSystemEvent]] = [*_APPEARING, FileModifiedEvent]


class Hints(FileSystemEventHandler):
    """Folders in which something has happened. Events may come from any thread.

    `wake` is called, from that thread, when there is a hint after there was none.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._folders: set[str] = set()
        self._trees: set[str] = set()
        self._everything = False
        self._first = self._last = 0.0

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take an event."""
        path = os.fsdecode(event.dest_path or event.src_path)
        folder, name = os.path.split(path)
        if name.startswith("."):
            return
        if event.is_directory:
            if isinstance(event, DirCreatedEvent | DirMovedEvent):
                self._note(self._trees, path)
        elif os.path.splitext(name)[1].lower() in PHOTO_EXTENSIONS:  # noqa: PTH122 (ten thousand times)
            self._note(self._folders, folder)

    def look_everywhere(self) -> None:
        """Have everything looked at: events may have been lost."""
        self._note(None, "")

    def look_in(self, folder: str) -> None:
        """Have a folder looked at, without those below it."""
        self._note(self._folders, folder)

    def due(self, quiet: float) -> float | None:
        """When to look, on the monotonic clock: after `quiet` seconds without hints, but after five times that at most.

        None if there is no hint.
        """
        with self._lock:
            if not self._has_some():
                return None
            return min(self._last + quiet, self._first + 5 * quiet)

    def take(self) -> set[str] | None:
        """The folders to look into, each by itself, or None for everything there is; afterwards there are no hints."""
        with self._lock:
            folders, trees, everything = self._folders, self._trees, self._everything
            self._folders, self._trees, self._everything = set(), set(), False
        for tree in () if everything else trees:
            # A folder that was moved here brings its subfolders along without an event of theirs.
            for folder, below, _ in os.walk(tree):
                below[:] = [name for name in below if not name.startswith(".")]
                folders.add(folder)
                if len(folders) > _MOST_FOLDERS:
                    return None
        return None if everything else folders

    def _note(self, places: set[str] | None, path: str) -> None:
        now = time.monotonic()
        with self._lock:
            first = not self._has_some()
            if places is None:
                self._everything = True
            else:
                places.add(path)
                self._everything |= len(places) > _MOST_FOLDERS
            self._first = now if first else self._first
            self._last = now
        if first:
            self._wake()

    def _has_some(self) -> bool:
        return self._everything or bool(self._folders) or bool(self._trees)


class LostEvents(logging.Handler):
    """Hears of events that were lost, which watchdog says nowhere but in its log, and has everything looked at."""

    def __init__(self, hints: Hints, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._hints = hints
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Take a warning of watchdog's."""
        if record.levelno == logging.WARNING:  # errors are about its own threads, when they end
            self._tell(f"{record.getMessage()}; looking over everything")
        self._hints.look_everywhere()
