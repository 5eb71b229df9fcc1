"""Keeps the memory that photos at work take together below a limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pico_codec.source import picture_size
from pico_library.model.reasons import Reason, SkipError

#: What two processes with the weights take before they see a photo, each with eight threads, and what a pixel adds to
#: both. `python -m pico_library.bench --memory` measures both: 0.2 GB with two threads, 13 bytes a pixel.
BASE_BYTES = 400_000_000
BYTES_PER_PIXEL = 20
BYTES_PER_BYTE = 4  # of the file


def needed(content: bytes) -> int:
    """Bytes that a photo takes in both processes while it is at work, by the size that its header states.

    A file that Pillow cannot open needs none: what is wrong with it is said when it is read.
    """
    size = picture_size(content)
    return 0 if size is None else BYTES_PER_PIXEL * size[0] * size[1] + BYTES_PER_BYTE * len(content)


class Budget:
    """Lets photos begin as long as they fit beside those at work into `room` bytes; may be used by several threads."""

    def __init__(self, room: int | None) -> None:
        self._room = room
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them. Raises SkipError if so many never are."""
        if self._room is not None and count > self._room:
            raise SkipError(Reason.NO_MEMORY)
        with self._changed:
            self._changed.wait_for(lambda: self._room is None or self._taken + count <= self._room)
            self._taken += count
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()
