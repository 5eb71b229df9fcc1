"""The folders that are watched: whether they are there, and who tells what happens in them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pico_library.store import destinations, places
from pico_library.store.journal import Journal
from pico_library.watch.events import EVENTS_WITH_CLOSING, EVENTS_WITHOUT, Hints
from pico_library.watch.limits import require_room

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver


class Disk:
    """A folder that may come and go with its disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._deepest = ""

    def identity(self) -> tuple[str, int, int] | None:
        """By what the folder is known to be the same as before; None while it is away.

        A folder is away, too, when its disk is: the empty folder where the disk used to be is not the library.
        """
        try:
            real = self.path.resolve()
            status = real.stat()
            if not real.is_dir():
                return None
        except OSError:
            return None
        mounted = _mount_point(real)
        if len(mounted) < len(self._deepest):
            return None
        self._deepest = mounted
        return str(real), status.st_dev, status.st_ino


class Destination(Disk):
    """A folder to which .pico files or originals go."""

    _PATIENCE = 60.0  # seconds after which a folder that looks like the place of a disk is looked at anew

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._why: str | None = None
        self._seen: tuple[object, int | None] | None = None
        self._again = 0.0

    def why_away(self) -> str | None:
        """Why nothing may go there now, in words; None if it may. Raises PlaceError, JournalError."""
        identity = self.identity()
        if identity is None:
            return f"{self.path} is not there; create it, or connect its disk"
        # What is there may be a lot to look through: not again while nothing has changed.
        changed = None if self._why is None else _changed(self.path)
        if self._seen != (identity, changed) or (self._why is not None and time.monotonic() >= self._again):
            with Journal(places.journal_file()) as journal:
                why = destinations.why_away(
                    self.path, journal
                )  # the disk may have been away from the beginning on
            self._why = None if why is None else f"{self.path} {why}"
            self._seen = identity, None if self._why is None else _changed(self.path)
            self._again = time.monotonic() + self._PATIENCE
        return self._why


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


class WatchedFolder(Disk):
    """A folder with an observer, which is replaced when the folder comes back from wherever it was.

    `poll` is how often to look for changes, in seconds, where nobody tells; with `always_poll`, everywhere.
    `tell` is given what people should know.
    """

    def __init__(
        self,
        path: Path,
        hints: Hints,
        tell: Callable[[Path, str], None],
        poll: float,
        *,
        always_poll: bool = False,
    ) -> None:
        super().__init__(path)
        self._hints = hints
        self._tell = tell
        self._poll = poll
        self._always_poll = always_poll
        self._identity: tuple[str, int, int] | None = None
        self._observer: BaseObserver | None = None
        self._was_there = True
        self._last_base: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether the folder was there when it was last checked."""
        return self._identity is not None

    @property
    def is_polled(self) -> bool:
        """Whether changes are looked for, rather than told."""
        from watchdog.observers.polling import PollingObserver

        return isinstance(self._observer, PollingObserver)

    @property
    def manner(self) -> str:
        """How the folder is watched, in words."""
        if not self.is_polled:
            return "watching"
        kind = remote_kind(self.path.resolve())
        return f"watching, every {self._poll:g} s" + (f", as it lies on {kind}" if kind else "")

    def holds(self, path: str) -> bool:
        """Whether a path lies in this folder, wherever that was when it was last there."""
        return self._last_base is not None and path.startswith(self._last_base + os.sep)

    def check(self, *, observe: bool = True) -> bool:
        """See whether the folder is there, and that it is observed; return whether it has come, gone or changed."""
        identity = self.identity()
        if identity == self._identity and (identity is None or not observe or self._is_observed()):
            if identity is None and self._was_there:
                self._was_there = False
                return True
            return False
        self.close()
        self._identity = identity
        self._was_there = identity is not None
        if identity is None:
            return True
        self._last_base = identity[0].rstrip(os.sep)
        if observe:
            self._observe(Path(identity[0]))
        return True

    def close(self) -> None:
        """End the observer."""
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join()

    def _is_observed(self) -> bool:
        observer = self._observer
        if observer is None or not observer.is_alive() or not all(e.is_alive() for e in observer.emitters):
            return False
        with contextlib.suppress(OSError):
            if not self.is_polled:
                require_room(self.path)
            return True
        return False  # of folders that are made from now on, nobody would tell

    def _observe(self, real: Path) -> None:
        kind = remote_kind(real)
        if kind is None and not self._always_poll:
            from watchdog.observers import Observer

            try:
                self._start(Observer(timeout=1.0), real)
                require_room(real)
            except OSError as error:  # the system's limit on watched folders or on observers, mostly
                self.close()
                self._tell(
                    self.path,
                    f"cannot be told of changes ({error.strerror or error}; on Linux see fs.inotify in sysctl); "
                    f"looking for them every {self._poll:g} s instead",
                )
            else:
                return
        from watchdog.observers.polling import PollingObserver

        try:
            self._start(PollingObserver(timeout=self._poll), real)
        except OSError:
            self._identity = None  # gone again

    def _start(self, observer: BaseObserver, real: Path) -> None:
        from watchdog.observers.polling import PollingObserver

        tells_closing = os.name == "posix" and os.uname().sysname == "Linux"
        with_closing = tells_closing and not isinstance(observer, PollingObserver)
        wanted = EVENTS_WITH_CLOSING if with_closing else EVENTS_WITHOUT
        observer.schedule(self._hints, str(real), recursive=True, event_filter=wanted)
        try:
            observer.start()
        except BaseException:
            observer.stop()
            raise
        self._observer = observer


def remote_kind(path: Path) -> str | None:
    """The kind of file system that holds a folder, if changes made elsewhere reach no observer; None if they do.

    So of network disks, and of all that programs bring (`fuse.`), which may be one.
    """
    kind = places.file_system(path) or _kind_by_mounts(path)
    if kind is None:
        return None
    kind = kind.lower()
    return kind if places.is_network(kind) or kind.startswith("fuse.") else None


def _kind_by_mounts(path: Path) -> str | None:
    """The kind of file system, where `places` does not know: on macOS and Windows."""
    import psutil

    best, kind = "", None
    for part in psutil.disk_partitions(all=True):
        if path.is_relative_to(part.mountpoint) and len(part.mountpoint) >= len(best):
            best, kind = part.mountpoint, "smb" if "remote" in part.opts.split(",") else part.fstype
    return kind


def _mount_point(path: Path) -> str:
    while not path.is_mount() and path != path.parent:
        path = path.parent
    return str(path)
