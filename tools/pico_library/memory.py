"""Keeps the memory that photos at work take together below a limit."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pico_library.scan import Photo

#: What two processes with torch and the weights take before they see a photo, and what a pixel adds to both.
#: `python -m pico_library.bench --memory` measures both.
BASE_BYTES = 800_000_000
BYTES_PER_PIXEL = 20


def needed(photo: Photo) -> int:
    """Bytes that a photo takes in both processes while it is at work, by the size that its header states.

    A file that Pillow cannot open needs none: what is wrong with it is said when it is read.
    """
    try:
        if not stat.S_ISREG(photo.path.lstat().st_mode):
            return 0
    except OSError:
        return 0
    return needed_by(photo.path, photo.status.st_size)


def needed_by(file: Path | IO[bytes], size: int) -> int:
    """As `needed`, for a picture file of `size` bytes."""
    from PIL import Image

    try:
        with Image.open(file) as im:
            return BYTES_PER_PIXEL * im.width * im.height + 4 * size
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):
        return 0


class Budget:
    """Lets photos begin as long as they fit beside those at work; may be used by several threads."""

    def __init__(self, limit: int | None) -> None:
        self._room = None if limit is None else max(0, limit - BASE_BYTES)
        self._taken = 0
        self._changed = threading.Condition()

    def fits(self, count: int) -> bool:
        """Whether so many bytes could ever be had."""
        return self._room is None or count <= self._room

    @contextmanager
    def take(self, count: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them. The caller has asked `fits`."""
        with self._changed:
            self._changed.wait_for(lambda: self._room is None or self._taken + count <= self._room)
            self._taken += count
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()
