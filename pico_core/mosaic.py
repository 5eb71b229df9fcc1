"""Puts decoded tiles together into a picture, cross-fading where their windows overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .tiling import WINDOW, Box, Grid

MISSING = 128  # what a tile that cannot be read is shown as


class Mosaic:
    """Assembles the pixels inside `box` from tiles that arrive in raster order.

    Besides the result it holds one row of tiles as weighted sums, so memory grows with the result and not
    faster. Sums are in 256ths: 255 * 256 still fits 16 bits, and tiles that agree come out exactly.
    """

    def __init__(self, grid: Grid, box: Box, channels: int):
        self._grid, self._box = grid, box
        self._result = np.empty((box.height, box.width, channels), np.uint8)
        self._band = np.zeros((min(WINDOW, grid.height), box.width, channels), np.uint16)
        self._band_top: int | None = None

    def add(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Place tile `index`: the pixels (height, width, channels) of its whole window."""
        window, box = self._grid.window(index), self._box
        if self._band_top is None:
            self._band_top = window.top
        if window.top != self._band_top:
            self._advance(window.top)
        left, right = max(window.left, box.left), min(window.right, box.right)
        shown = slice(left - window.left, right - window.left)
        weights = self._grid.fade(index)[:, shown, None]
        target = self._band[: window.height, left - box.left : right - box.left]
        target += pixels[:, shown] * weights

    def finish(self) -> NDArray[np.uint8]:
        """The picture (box height, box width, channels), after the last tile."""
        self._flush(self._box.bottom)
        return self._result

    def _advance(self, top: int) -> None:
        """Store the rows above `top`, which no later tile touches, and move the band down to it."""
        assert self._band_top is not None
        self._flush(top)
        done = top - self._band_top
        kept = self._band[done:].copy()
        self._band[:] = 0
        self._band[: len(kept)] = kept
        self._band_top = top

    def _flush(self, bottom: int) -> None:
        assert self._band_top is not None
        top, bottom = max(self._band_top, self._box.top), min(bottom, self._box.bottom)
        if top < bottom:
            rows = self._band[top - self._band_top : bottom - self._band_top]
            self._result[top - self._box.top : bottom - self._box.top] = (rows + 128) >> 8


def missing_tile(window: Box, channels: int) -> NDArray[np.uint8]:
    """Grey in place of a tile that cannot be read."""
    return np.full((window.height, window.width, channels), MISSING, np.uint8)
