"""What a tile shows: a photograph or a drawing, and whether it is flat.

The networks are trained on photographs. Drawings (maps, screenshots, diagrams, comics, pages of text) cost them more
bits than other coders, and come out with thin lines and letters blurred. Statistics of a sample of the pixels tell
drawings from photographs well enough to ask a second coder; which of the two is better is then measured.
See docs/decisions/0011-drawings.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
_BANDS = 8  # one row of blocks of so many is looked at
_EDGE = 64  # least difference of luma inside a block that has an edge
_HARD = 80  # difference of neighbouring pixels that hardly any lens leaves
_LEAST_HARD = 0.002  # share of such pixels below which a tile is no drawing
_STILL = 0.04  # part of a block's contrast that neighbouring pixels may differ by and count as still
FLAT_SHARE = 0.35  # share of pixels that equal their neighbours, from which a tile counts as flat
_ROW_STEP = 4

# A logistic regression on tiles of photographs and of drawings (python -m pico_bench.content).
_WEIGHTS = (0.322, 1.357, 0.881, 4.207, -0.553)
_OFFSET = 2.668


class Statistics(NamedTuple):
    """Shares and counts that differ between photographs and drawings."""

    same: float  # share of pixels whose luma equals that of the left and the upper neighbour
    hard: float  # share of pixels that differ from one of them by more than `_HARD`
    commonest: float  # share of the commonest colour, of 32768
    calm: float  # share of the blocks with an edge in which half of the pixels are still
    colours: float  # how many colours there are, for each pixel that was counted

    def values(self) -> tuple[float, ...]:
        """What the rule weighs."""
        hard, commonest, colours = self.hard + 1e-3, self.commonest + 1e-3, self.colours + 1e-4
        return self.same, math.log(hard), math.log(commonest), self.calm, math.log(colours)

    def score(self) -> float:
        """Above 0 for what is more likely a drawing."""
        return sum(weight * value for weight, value in zip(_WEIGHTS, self.values(), strict=True)) + _OFFSET


def is_flat(pixels: NDArray[np.uint8]) -> bool:
    """Whether so many neighbours in a tile are equal that the lossless coder may do well: graphics, and clear skies."""
    return flat_share(pixels) >= FLAT_SHARE


def drawing_score(pixels: NDArray[np.uint8]) -> float:
    """How much a tile, (height, width, 1 or 3), looks like a drawing: above 0 it may be one, above 1 it surely is."""
    found = statistics(pixels)
    return -math.inf if found is None else found.score()


def flat_share(pixels: NDArray[np.uint8]) -> float:
    """Share of pixels (height, width, channels) that equal their left and their upper neighbour, 0..1.

    Sensor noise and JPEG ringing keep it low in photographs (clipped skies apart); in graphics it is high.
    """
    inner = pixels[1::_ROW_STEP, 1:]
    if not inner.size:
        return 1.0
    same = (inner == pixels[1::_ROW_STEP, :-1]) & (inner == pixels[:-1:_ROW_STEP, 1:])
    return float(np.logical_and.reduce([same[..., c] for c in range(same.shape[2])]).mean())


def statistics(pixels: NDArray[np.uint8]) -> Statistics | None:
    """Statistics of a sample of a tile's pixels, or None where it is too small or has next to no hard edges."""
    bands = _bands(pixels)
    if bands is None:
        return None
    luma = _luma(bands)
    across = np.abs(luma[:, 1:, 1:] - luma[:, 1:, :-1])
    steps = np.maximum(across, np.abs(luma[:, 1:, 1:] - luma[:, :-1, 1:]))
    hard = float((steps > _HARD).mean())
    if hard < _LEAST_HARD:
        return None
    same = float((steps == 0).mean())
    counts = _colour_counts(bands)
    return Statistics(
        same,
        hard,
        float(counts.max() / counts.sum()),
        _calm(luma, steps),
        float((counts > 0).sum() / counts.sum()),
    )


def _bands(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Every eighth row of blocks, (bands, BLOCK, width, channels), whole blocks only."""
    rows, columns = (side // BLOCK for side in pixels.shape[:2])
    if rows < 2 or columns < 2:
        return None
    whole = pixels[: rows * BLOCK, : columns * BLOCK]
    return whole.reshape(rows, BLOCK, columns * BLOCK, -1)[min(1, rows - 1) :: _BANDS]


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.int16)
    red, green, blue = (pixels[..., channel].astype(np.uint16) for channel in range(3))
    return ((red * 77 + green * 150 + blue * 29) >> 8).astype(np.int16)


def _colour_counts(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each colour of 5 bits a channel occurs in half of the pixels."""
    coarse = pixels[..., ::2, :] >> 3
    code = coarse[..., 0].astype(np.int32)
    for channel in range(1, pixels.shape[-1]):
        code = code << 5 | coarse[..., channel]
    return np.bincount(code.ravel())


def _calm(luma: NDArray[np.int16], steps: NDArray[np.int16]) -> float:
    """Share of the blocks with an edge in which half of the pixels hardly differ from their neighbours."""
    bands, _, width = luma.shape
    blocks = luma.reshape(bands, BLOCK, width // BLOCK, BLOCK)
    contrast = blocks.max((1, 3)) - blocks.min((1, 3))
    edged = contrast >= _EDGE
    if not edged.any():
        return 0.0
    limit = np.maximum(2, _STILL * contrast).astype(np.int16).repeat(BLOCK, 1)[:, None, 1:]
    still = np.zeros((bands, BLOCK - 1, width), np.int16)
    still[..., 1:] = steps <= limit
    shares = still.reshape(bands, BLOCK - 1, width // BLOCK, BLOCK).mean((1, 3))
    return float((shares[edged] >= 0.5).mean())
