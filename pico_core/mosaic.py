"""Puts decoded tiles together into a picture, cross-fading where their windows overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .tiling import OVERLAP, Box, Grid

MISSING = 128  # what a tile that cannot be read is shown as


class Mosaic:
    """Assembles the pixels inside `box` from the tiles that touch it, each given once, in any order.

    Pixels that only one tile covers are copied. A strip that several tiles cover waits, as weighted sums, until
    the last of them has come. If tiles come in raster order, only strips beside one row of tiles wait at a time.
    Sums are in 256ths: 255 * 256 still fits 16 bits, and tiles that agree come out exactly.
    """

    def __init__(self, grid: Grid, box: Box, channels: int):
        self._grid, self._box = grid, box
        self._result = np.empty((box.height, box.width, channels), np.uint8)
        self._waiting: dict[tuple[int, int], _Sums] = {}  # by the first row and column of the strip

    def add(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Place tile `index`: the pixels (height, width, channels) of its whole window."""
        grid, window, box = self._grid, self._grid.window(index), self._box
        down, across = grid.ramps(index)
        for rows in _spans(window.top, window.bottom, grid.height, box.top, box.bottom):
            for columns in _spans(window.left, window.right, grid.width, box.left, box.right):
                y, x = rows.seen_from(window.top), columns.seen_from(window.left)
                target = self._result[rows.seen_from(box.top), columns.seen_from(box.left)]
                tiles = rows.tiles * columns.tiles
                if tiles == 1:
                    target[:] = pixels[y, x]
                else:
                    weights = down[y, None] * across[None, x]
                    self._blend((rows.start, columns.start), tiles, pixels[y, x] * weights[..., None], target)

    def finish(self) -> NDArray[np.uint8]:
        """The picture (box height, box width, channels), after the last tile."""
        assert not self._waiting
        return self._result

    def _blend(
        self, strip: tuple[int, int], tiles: int, weighted: NDArray[np.uint16], target: NDArray[np.uint8]
    ) -> None:
        """Add one tile's share to the sums of a strip that `tiles` tiles cover; the last share fills `target`."""
        known = self._waiting.pop(strip, None)
        if known is not None:
            weighted += known.sums
        seen = 1 if known is None else known.tiles + 1
        if seen < tiles:
            self._waiting[strip] = _Sums(seen, weighted)
        else:
            target[:] = (weighted + 128) >> 8


class _Sums(NamedTuple):
    """A strip's weighted sums of the first `tiles` tiles that cover it."""

    tiles: int
    sums: NDArray[np.uint16]


class _Span(NamedTuple):
    """A part of one side of a window: positions in the picture, and how many windows cover them."""

    start: int
    end: int
    tiles: int

    def seen_from(self, origin: int) -> slice:
        """The same part, counted from `origin`."""
        return slice(self.start - origin, self.end - origin)


def _spans(start: int, end: int, size: int, low: int, high: int) -> list[_Span]:
    """The shared and the inner parts of a window's side [start, end), as far as they lie in [low, high)."""
    inner_start = start + OVERLAP if start > 0 else start
    inner_end = end - OVERLAP if end < size else end
    parts = [(start, inner_start, 2), (inner_start, inner_end, 1), (inner_end, end, 2)]
    shown = [_Span(max(first, low), min(last, high), tiles) for first, last, tiles in parts]
    return [span for span in shown if span.start < span.end]


def missing_tile(window: Box, channels: int) -> NDArray[np.uint8]:
    """Grey in place of a tile that cannot be read."""
    return np.full((window.height, window.width, channels), MISSING, np.uint8)
