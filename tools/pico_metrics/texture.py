"""Texture: how strong the finest details are beside the original's, and how far they lie where the original's do.

Source: ours, after the finest level of a Laplacian pyramid (Burt and Adelson, 1983). The finest band is luma (BT.601)
less its blur with the 5 x 5 binomial kernel: details of one or two pixels. It is looked at in blocks of 16 x 16 pixels,
which are flat, middling or busy by the standard deviation of the original's luma in them: up to 4, up to 16, above 16,
in steps of a byte.

`texture_in_*` is the mean over those blocks of the root mean square of the band, divided by the same mean of the
original. Range: 0 (all fine detail is gone) up without end. Direction: 1 is right; less is smooth, more is noise. NaN
where a picture has fewer than 64 such blocks, or where the original has no detail in them (less than 0.25 steps).
`texture_correlation` is the correlation of the two bands over the picture. Range: -1 to 1. Direction: higher is better.
NaN for pictures without detail.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .pictures import Pixels, check_pair
from .smoothing import smooth

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 16
FLAT, BUSY = 4.0, 16.0  # standard deviations of the original's luma, in steps of a byte
FEWEST = 64
LEAST_SIDE = BLOCK
_LEAST_DETAIL = 0.25  # steps of a byte
_LUMA = (0.299, 0.587, 0.114)
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def texture_in_flat_parts(reference: Pixels, distorted: Pixels) -> float:
    """Strength of the finest details where the original is flat. Raises InvalidImageError."""
    return _strength(reference, distorted, -1.0, FLAT)


def texture_in_middling_parts(reference: Pixels, distorted: Pixels) -> float:
    """Strength of the finest details where the original is neither flat nor busy. Raises InvalidImageError."""
    return _strength(reference, distorted, FLAT, BUSY)


def texture_in_busy_parts(reference: Pixels, distorted: Pixels) -> float:
    """Strength of the finest details where the original is busy. Raises InvalidImageError."""
    return _strength(reference, distorted, BUSY, math.inf)


def texture_correlation(reference: Pixels, distorted: Pixels) -> float:
    """Correlation of the finest bands of both pictures. Raises InvalidImageError."""
    check_pair(reference, distorted, LEAST_SIDE)
    original, coded = (_finest_band(_luma(pixels)) for pixels in (reference, distorted))
    power = float(np.square(original).sum() * np.square(coded).sum())
    return float((original * coded).sum()) / math.sqrt(power) if power > 0 else math.nan


def _strength(reference: Pixels, distorted: Pixels, above: float, up_to: float) -> float:
    check_pair(reference, distorted, LEAST_SIDE)
    luma = _luma(reference)
    deviation = _blocks(luma).std((1, 3))
    chosen = (deviation > above) & (deviation <= up_to)
    original, coded = (_roots(_finest_band(plane))[chosen] for plane in (luma, _luma(distorted)))
    if len(original) < FEWEST or original.mean() < _LEAST_DETAIL:
        return math.nan
    return float(coded.mean() / original.mean())


def _luma(pixels: Pixels) -> NDArray[np.float64]:
    """(height, width, 3) -> (height, width), 0 to 255."""
    luma: NDArray[np.float64] = pixels @ np.array(_LUMA)
    return luma


def _finest_band(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luma less its binomial blur, the picture mirrored at its borders."""
    import torch

    padded: Tensor = torch.from_numpy(np.pad(luma, 2, mode="reflect"))
    blurred: NDArray[np.float64] = smooth(padded, _BINOMIAL).numpy()
    return luma - blurred


def _blocks(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """The whole blocks of (height, width), as (rows, BLOCK, columns, BLOCK)."""
    rows, columns = (side // BLOCK for side in plane.shape)
    return plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)


def _roots(band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square of every block, (rows, columns)."""
    roots: NDArray[np.float64] = np.sqrt(np.square(_blocks(band)).mean((1, 3)))
    return roots
