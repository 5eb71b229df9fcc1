"""Which store a path or URL belongs to, and whether this machine sees what another one wrote there."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from pico_library.model.url import is_url
from pico_library.store.disk import Disk
from pico_library.store.objects import objects
from pico_library.store.storage import Storage

_SECONDS_BEFORE_LOOKS = (0.0, 0.1, 0.9)  # network disks may tell late of what another machine wrote


def storage_of(name: str) -> Storage:
    """Where a path or URL lies. Raises StorageError."""
    return objects() if is_url(name) else Disk()


def is_seen(name: str, size: int | None) -> bool:
    """Whether this machine, too, sees the file or object of so many bytes that a worker wrote.

    Raises OSError, StorageError.
    """
    for seconds in _SECONDS_BEFORE_LOOKS:
        time.sleep(seconds)
        now = storage_of(name).identity(name)
        if now is not None and now.size == size:
            return True
        if not is_url(name):
            _open_folders_above(Path(name))
    return False


def _open_folders_above(path: Path) -> None:
    """Have a network disk ask its server anew: it remembers for half a minute that something was not there."""
    for folder in reversed(path.parents):
        with contextlib.suppress(OSError):
            os.scandir(folder).close()
