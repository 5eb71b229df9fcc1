"""How alike two pictures are on the whole, judged where they are least alike: SSIMULACRA2 of the worst crops.

The score of a whole picture forgives a face that is smeared in a corner of it. The crops are the places where luma
differs most for what is there, so that a picture of any size costs the same. See `pico_metrics.ssimulacra2` for the
scale: 100 is equal, 90 cannot be told apart, 70 is high quality, 50 medium, 30 low.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pico_core.tiling import Box
from pico_metrics.ssimulacra2 import LEAST_SIDE, ssimulacra2

from .structures import CELL, Answers, Map, Plane

CROP = 256  # pixels a side
MOST_CROPS = 3
_PIXELS_PER_CROP = 200_000
_SAMPLE = 2  # pixels a side of a sample of the planes
_BLOCK = 8  # cells a side of what a crop is put together from
_FLOOR = np.float32(4)

Pixels = NDArray[np.uint8]


def worst_score(original: Pixels, decoded: Pixels, badness: Map) -> tuple[float, Box]:
    """The lowest SSIMULACRA2 of the worst crops, and its crop."""
    boxes = _crops(badness, original.shape[:2])
    scores = [(ssimulacra2(_cut(original, box), _cut(decoded, box)), box) for box in boxes]
    return min(scores, key=lambda found: found[0])


def badness(original: Plane, decoded: Plane, answers: Answers) -> Map:
    """How much luma differs for what is there, in blocks of 8 x 8 cells (64 x 64 pixels)."""
    step = CELL * _BLOCK
    difference = _means(np.abs(original - decoded), step)
    around = _means(answers.before, _BLOCK) + _means(answers.after, _BLOCK)
    ratio: Map = difference / (around + _FLOOR)
    return ratio


def _means(plane: NDArray[np.int16] | Map, step: int) -> Map:
    rows = np.arange(0, plane.shape[0], step)
    columns = np.arange(0, plane.shape[1], step)
    sums = np.add.reduceat(np.add.reduceat(plane, rows, 0, dtype=np.float32), columns, 1)
    heights = np.diff(np.append(rows, plane.shape[0]))
    widths = np.diff(np.append(columns, plane.shape[1]))
    means = sums / (heights[:, None] * widths).astype(np.float32)
    return means.astype(np.float32)


def _crops(bad: Map, size: tuple[int, int]) -> Iterator[Box]:
    """The worst crops that do not overlap, within a picture of (height, width)."""
    remaining = bad.copy()
    side = CROP // (CELL * _BLOCK * _SAMPLE)
    rows, columns = (min(side, count) for count in bad.shape)
    for _ in range(min(1 + size[0] * size[1] // _PIXELS_PER_CROP, MOST_CROPS)):
        windows = np.lib.stride_tricks.sliding_window_view(remaining, (rows, columns)).mean((2, 3))
        row, column = (int(i) for i in np.unravel_index(np.argmax(windows), windows.shape))
        if windows[row, column] < 0:
            return
        remaining[row : row + rows, column : column + columns] = -np.inf
        pixels = CELL * _BLOCK * _SAMPLE
        yield _within(row * pixels, column * pixels, size)


def _within(top: int, left: int, size: tuple[int, int]) -> Box:
    """A crop moved into a picture of (height, width) pixels, or cut off where it is larger."""
    top, left = (max(0, min(start, side - CROP)) for start, side in zip((top, left), size, strict=True))
    return Box(left, top, min(left + CROP, size[1]), min(top + CROP, size[0]))


def _cut(pixels: Pixels, box: Box) -> Pixels:
    """A crop in RGB; one that is too small for the measure is mirrored at its sides."""
    part = pixels[box.top : box.bottom, box.left : box.right]
    colours = part[..., :3] if part.shape[2] >= 3 else np.broadcast_to(part[..., :1], (*part.shape[:2], 3))
    missing = [(0, max(0, LEAST_SIDE - side)) for side in colours.shape[:2]]
    return np.pad(colours, [*missing, (0, 0)], "symmetric") if any(more for _, more in missing) else colours
