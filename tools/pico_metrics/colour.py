"""Colour shift: how far the low frequencies of a picture move in colour and brightness.

Source: ours. Both pictures are averaged over blocks of 32x32 pixels in linear light (what the eye does from a
distance), converted to CIELAB (D65), and the Euclidean distances of the blocks (CIE 1976 delta E) are
averaged.
Range: 0 (equal block means) to about 100 (black against white); 1 is roughly the least visible difference of
two large flat areas.
Direction: lower is better. It says nothing about detail.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pictures import Pixels, block_means, check_pair

BLOCK = 32
_ROWS = 16 * BLOCK  # at a time, to bound memory
_XYZ_OF_LINEAR_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _XYZ_OF_LINEAR_RGB.sum(1)


def colour_shift(reference: Pixels, distorted: Pixels) -> float:
    """Mean delta E of the block means. Raises InvalidImageError."""
    check_pair(reference, distorted)
    difference = _lab_blocks(reference) - _lab_blocks(distorted)
    return float(np.sqrt(np.square(difference).sum(-1)).mean())


def lab_of_linear(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (D65) of linear RGB in 0..1, along the last axis."""
    ratio = linear @ _XYZ_OF_LINEAR_RGB.T / _WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def linear_of_srgb() -> NDArray[np.float64]:
    """Linear light, 0..1, of the 256 codes of sRGB."""
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _lab_blocks(pixels: Pixels) -> NDArray[np.float64]:
    table = linear_of_srgb()
    strips = (table[pixels[top : top + _ROWS]] for top in range(0, pixels.shape[0], _ROWS))
    return lab_of_linear(np.concatenate([block_means(strip, BLOCK) for strip in strips]))
