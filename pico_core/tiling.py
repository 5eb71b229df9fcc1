"""Where the tiles of a picture lie, and how their overlapping borders are cross-faded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 512  # pixels a side that one tile shows to the networks
OVERLAP = 8  # pixels that neighbouring windows share: four real neighbours on either side of the border
STRIDE = WINDOW - OVERLAP
ALIGNMENT = 64  # the hyperlatent lies at 1/64, so windows are padded to a multiple of this
MAX_SIDE = 65_535


class Box(NamedTuple):
    """A rectangle of pixels; `right` and `bottom` are the first column and row outside it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns inside the box."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows inside the box."""
        return self.bottom - self.top


def _spans(size: int) -> list[tuple[int, int]]:
    """Windows along one side: [504 k, 504 k + 512), the last one ending with the picture."""
    count = 1 if size <= WINDOW else -(-(size - OVERLAP) // STRIDE)
    return [(STRIDE * index, min(STRIDE * index + WINDOW, size)) for index in range(count)]


@dataclass(frozen=True)
class Grid:
    """The tiles of a picture in raster order.

    Windows are at most 512x512 and neighbours share 8 pixels. At the picture's own edges there is no
    neighbour and nothing is shared, so a picture of up to 512x512 is exactly one tile.
    """

    width: int
    height: int

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return len(_spans(self.width))

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return len(_spans(self.height))

    @property
    def count(self) -> int:
        """Tiles in all."""
        return self.columns * self.rows

    def window(self, index: int) -> Box:
        """Pixels that tile `index` covers, its shared borders included."""
        row, column = divmod(index, self.columns)
        left, right = _spans(self.width)[column]
        top, bottom = _spans(self.height)[row]
        return Box(left, top, right, bottom)

    def windows(self) -> list[Box]:
        """Every tile's window, in raster order."""
        across, down = _spans(self.width), _spans(self.height)
        return [Box(left, top, right, bottom) for top, bottom in down for left, right in across]

    def tiles_touching(self, box: Box) -> Iterator[int]:
        """Indices, in raster order, of the tiles whose window shares a pixel with `box`."""
        for index, window in enumerate(self.windows()):
            apart_x = window.right <= box.left or window.left >= box.right
            apart_y = window.bottom <= box.top or window.top >= box.bottom
            if not (apart_x or apart_y):
                yield index

    def fade(self, index: int) -> NDArray[np.uint16]:
        """Weights (height, width) of tile `index`, in 256ths.

        1 inside; across a shared border a ramp over the 8 common pixels. The weights of all tiles that
        cover a pixel add up to exactly 256, so tiles that agree are reproduced exactly.
        """
        down, across = self.ramps(index)
        return down[:, None] * across[None, :]

    def ramps(self, index: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """The factors of `fade`, in 16ths: weights down the rows (height,) and across the columns (width,)."""
        window = self.window(index)
        down = _ramp(window.top > 0, window.bottom < self.height, window.height)
        across = _ramp(window.left > 0, window.right < self.width, window.width)
        return down, across


def _ramp(shared_before: bool, shared_after: bool, size: int) -> NDArray[np.uint16]:
    """Weights along one side, in 16ths: 1, 3, ... 15 over a shared border, and their mirror after it."""
    weights = np.full(size, 16, np.uint16)
    rising = np.arange(1, 2 * OVERLAP, 2, dtype=np.uint16)
    if shared_before:
        weights[:OVERLAP] = rising
    if shared_after:
        weights[-OVERLAP:] = rising[::-1]
    return weights


def pad_to_alignment(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row and column of (height, width, channels) up to multiples of 64."""
    height, width = pixels.shape[:2]
    below, right = -height % ALIGNMENT, -width % ALIGNMENT
    if not (below or right):
        return pixels
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
