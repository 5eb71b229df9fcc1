"""Whether the system watches one more folder: watchdog tells of its limit only for the topmost folder of a library."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_DELETED_ITSELF = 0x400  # IN_DELETE_SELF of inotify(7)


def require_room(folder: Path) -> None:
    """Watch a folder for a moment, by itself. Raises OSError if the user's limit (Linux) is used up."""
    if not sys.platform.startswith("linux"):
        return
    system = ctypes.CDLL(None, use_errno=True)
    instance = system.inotify_init1(os.O_CLOEXEC)
    if instance < 0:
        return  # the limit on instances, which is another one: those that are there watch on
    try:
        if system.inotify_add_watch(instance, os.fsencode(folder), _DELETED_ITSELF) >= 0:
            return
        if ctypes.get_errno() == errno.ENOSPC:
            raise OSError(errno.ENOSPC, "the limit on watched folders is reached")
    finally:
        os.close(instance)
