"""Tile borders: steps of low frequency where the tiles of a .pico picture meet.

Source: ours, after the "cross-tile error" of the PICO paper. The error (coded minus original, each channel in
0..1) is averaged over blocks of 32 pixels along a border by 16 pixels away from it, on either side of the 8
pixels in which the tiles are cross-faded; the absolute differences of the two sides are averaged over all
borders.
Range: 0 (no step) to 2. NaN for a picture of one tile, which has no borders.
Direction: lower is better. A codec's errors differ from block to block everywhere; `tile_interior_error` is
the same measure along lines through the middle of the tiles, and only what `tile_border_error` has beyond it
is a border.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pico_core.tiling import OVERLAP, WINDOW, Grid

from .pictures import Pixels, block_means, check_pair

ALONG = 32
AWAY = 16


def tile_border_error(reference: Pixels, distorted: Pixels) -> float:
    """Mean step across the borders of the tiles. Raises InvalidImageError."""
    return _mean_step(reference, distorted, shift=0)


def tile_interior_error(reference: Pixels, distorted: Pixels) -> float:
    """Mean step across lines half a tile before each border, for comparison. Raises InvalidImageError."""
    return _mean_step(reference, distorted, shift=-WINDOW // 2)


def _mean_step(reference: Pixels, distorted: Pixels, shift: int) -> float:
    check_pair(reference, distorted)
    height, width = reference.shape[:2]
    grid = Grid(width, height)
    lefts = {box.left for box in grid.windows()} - {0}
    tops = {box.top for box in grid.windows()} - {0}
    steps = [_steps(reference, distorted, left + shift) for left in sorted(lefts)]
    turned = reference.swapaxes(0, 1), distorted.swapaxes(0, 1)
    steps += [_steps(*turned, top + shift) for top in sorted(tops)]
    every = np.concatenate([np.ravel(step) for step in steps]) if steps else np.empty(0)
    return float(every.mean()) if every.size else math.nan


def _steps(reference: Pixels, distorted: Pixels, start: int) -> NDArray[np.float64]:
    """Absolute differences (blocks, channels) across the columns [start, start + 8); none outside."""
    before = slice(start - AWAY, start)
    after = slice(start + OVERLAP, start + OVERLAP + AWAY)
    if after.start >= reference.shape[1]:
        return np.empty((0, 3))
    means = []
    for side in (before, after):
        error = (distorted[:, side].astype(np.float64) - reference[:, side]) / 255
        means.append(block_means(error.mean(1, keepdims=True), ALONG)[:, 0])
    return np.abs(means[1] - means[0])
