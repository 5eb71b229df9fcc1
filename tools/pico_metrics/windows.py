"""Windows in which a network sees a large picture, so that every position is computed as in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pico_core.tiling import Box

from .networks import REACH
from .pictures import Pixels

CORE = 768  # pixels a side that one window answers for; a multiple of the deepest stride


@dataclass(frozen=True)
class Window:
    """A part of a picture that is answered for, and the larger part that must be seen to do so."""

    inside: Box
    seen: Box
    height: int  # of the whole picture
    width: int

    def cut(self, pixels: Pixels) -> Pixels:
        """The pixels that are seen."""
        return pixels[self.seen.top : self.seen.bottom, self.seen.left : self.seen.right]

    def positions(self, stride: int, rows: int, columns: int) -> tuple[slice, slice]:
        """The positions answered for, in a layer that has `rows` x `columns` for the whole picture."""
        return (
            _owned(self.inside.top, self.inside.bottom, self.height, stride, rows),
            _owned(self.inside.left, self.inside.right, self.width, stride, columns),
        )

    def positions_seen(self, stride: int, rows: int, columns: int) -> tuple[slice, slice]:
        """The same positions, counted from the first one that is seen."""
        down, across = self.positions(stride, rows, columns)
        top, left = self.seen.top // stride, self.seen.left // stride
        return slice(down.start - top, down.stop - top), slice(across.start - left, across.stop - left)


def windows(height: int, width: int, core: int = CORE) -> Iterator[Window]:
    """Windows that together answer for a picture, each for a square of `core` pixels or the rest."""
    for top in range(0, height, core):
        for left in range(0, width, core):
            inside = Box(left, top, min(left + core, width), min(top + core, height))
            seen = Box(
                max(left - REACH, 0),
                max(top - REACH, 0),
                min(inside.right + REACH, width),
                min(inside.bottom + REACH, height),
            )
            yield Window(inside, seen, height, width)


def _owned(start: int, stop: int, size: int, stride: int, count: int) -> slice:
    """The positions of a layer between two pixels; the last part takes what remains."""
    first = min(start // stride, count)
    return slice(first, count if stop == size else min(stop // stride, count))
