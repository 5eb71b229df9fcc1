"""Keeps other runs with the same journal out, those of other processes too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pico_core.errors import PicoError
from pico_library import places


class BusyError(PicoError):
    """Another run is at work with the same journal."""


@contextlib.contextmanager
def alone(*, wait: bool = False) -> Iterator[None]:
    """Keep other runs with the same journal out. Raises BusyError if there is one, unless `wait`."""
    file = places.lock_file()
    lock = FileLock(file, timeout=-1 if wait else 0)
    note = file.with_suffix(".pid")
    try:
        lock.acquire()
    except Timeout as error:
        who = _read_note(note)
        msg = f"another run is at work (process {who}); let it finish, or have `shrink --wait` wait for it"
        raise BusyError(msg) from error
    except OSError as error:
        msg = (
            f"{file}: cannot be locked ({error.strerror}); see that its folder has room and may be written to, "
            f"or set {places.VARIABLE} to another"
        )
        raise places.PlaceError(msg) from error
    try:
        with contextlib.suppress(OSError):  # it is only for a message
            note.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _read_note(note: Path) -> str:
    """Which process holds the lock, as it says."""
    try:
        return note.read_text().strip() or "?"
    except OSError:
        return "?"
