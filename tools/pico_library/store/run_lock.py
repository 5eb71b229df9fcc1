"""Keeps other runs with the same journal out, those of other processes too.

The lock keeps them out; a note beside it, which is there as long as the run, says which process holds it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pico_core.errors import PicoError
from pico_library.store import places

_COARSEST_CLOCK = 2.0  # seconds, by which a note may look older than the process that wrote it


class BusyError(PicoError):
    """Another run is at work with the same journal."""


@contextlib.contextmanager
def alone(*, wait: bool = False) -> Iterator[None]:
    """Keep other runs with the same journal out. Raises BusyError if there is one, unless `wait`."""
    file = places.lock_file()
    lock = FileLock(file, timeout=-1 if wait else 0)
    note = _note()
    try:
        lock.acquire()
    except Timeout as error:
        who = _read_note() or "?"
        msg = f"another run is at work (process {who}); let it finish, or have `shrink --wait` wait for it"
        raise BusyError(msg) from error
    except OSError as error:
        msg = (
            f"{file}: cannot be locked ({error.strerror}); see that its folder has room and may be written to, "
            f"or set {places.VARIABLE} to another"
        )
        raise places.PlaceError(msg) from error
    try:
        with contextlib.suppress(OSError):  # it is only for people to know
            note.write_text(f"{os.getpid()}\n")
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink()  # before another run has the lock, and a note of its own
        lock.release()


def is_at_work() -> bool:
    """Whether there is a run, as far as its note tells. Raises PlaceError.

    The lock would tell for certain, but only to those who take it, and a run that starts just then would not.
    """
    import psutil

    number = _read_note()
    if number is None:
        return False
    try:
        began = psutil.Process(number).create_time()
        return bool(began <= _note().stat().st_mtime + _COARSEST_CLOCK)
    except (psutil.Error, OSError, ValueError, OverflowError):
        return False  # a killed run has left the note, or the run has just ended


def _note() -> Path:
    return places.lock_file().with_suffix(".pid")


def _read_note() -> int | None:
    """The number of the process that has the lock; None where that cannot be told."""
    try:
        return int(_note().read_bytes())
    except (OSError, ValueError):
        return None
