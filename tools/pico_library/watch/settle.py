"""Which photos have settled: two looks, some time apart, found the same size, time and file, and nobody writing."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

if sys.platform.startswith("linux"):
    import fcntl

#: A file that was changed longer ago is not asked for its writers: writing would have changed its time.
_RECENT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a file tells: its size, the time of its last change, which file it is, and who is at it."""

    size: int
    mtime_ns: int
    inode: int
    is_written: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, status: os.stat_result, *, is_written: bool = False) -> Look:
        """The look that found this status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, is_written)


@dataclass(frozen=True, slots=True)
class _Waiting:
    look: Look
    since: float


class Settling:
    """Photos that wait for their second look, `seconds` after the first that found them as they are.

    Times are those of one monotonic clock, in seconds; the caller has the clock.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, path: str, look: Look, now: float) -> None:
        """Have a photo wait; one that looks different from before waits anew."""
        waiting = self._waiting.get(path)
        if waiting is None or waiting.look != look:
            self._waiting[path] = _Waiting(look, now)

    def due(self) -> float | None:
        """When the next second look is due; None if no photo waits."""
        since = min((waiting.since for waiting in self._waiting.values()), default=None)
        return None if since is None else since + self._seconds

    def settled(self, now: float, look_again: Callable[[str], Look | None]) -> dict[str, Look]:
        """Look again at photos whose time has come; those that have settled wait no longer and are returned.

        Those that have changed, or are being written, wait anew; those that are gone (None) are forgotten.
        """
        settled = {}
        for path, waiting in list(self._waiting.items()):
            if now < waiting.since + self._seconds:
                continue
            look = look_again(path)
            if look is None:
                del self._waiting[path]
            elif look != waiting.look or look.is_written:
                self._waiting[path] = _Waiting(look, now)
            else:
                del self._waiting[path]
                settled[path] = look
        return settled

    def forget(self, is_forgotten: Callable[[str], bool]) -> int:
        """Let the photos wait no longer for which that holds; return how many there were."""
        gone = [path for path in self._waiting if is_forgotten(path)]
        for path in gone:
            del self._waiting[path]
        return len(gone)


def look_at(path: str) -> Look | None:
    """Look at a file; None if it is gone, or no regular file (any more)."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    recent = abs(time.time() - status.st_mtime) < _RECENT_SECONDS
    return Look.of(status, is_written=recent and is_being_written(path))


def is_being_written(path: str) -> bool:
    """Whether a process has the file open for writing, as far as the system tells (Linux: local disks, own files).

    Size and time of a download that stalls, or of a copy over a slow cable, may rest for longer than any settle
    time; the file is complete when it is closed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # gone, or not to be read: that is said when it is to be shrunk
    try:
        # The kernel grants a read lease only for files that nobody writes. Whoever opens the file for writing in the
        # moment until it is given up waits for it, and this process is told by a signal: one that it ignores.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False  # another user's file, or a file system without leases
    finally:
        os.close(descriptor)  # which gives the lease up
    return False
