"""Pattern in flat parts: what a codec adds to every flat block alike, however little it is.

Source: ours. Blocks of 16 x 16 pixels lie on the grid of .pico's tiles, which is the grid of its latent; codecs with
blocks of 8 or 16 pixels keep to it as well. A block is flat if no channel of the original has a standard deviation
above 4 in it. Error is coded minus original, less its mean over each block and channel. The pattern is the mean error
of all flat blocks; the value is the root of its mean square, without the share that chance leaves in a mean
(so it is computed from the products of different blocks, and 0 where those are negative).
Range: 0 to 255, in steps of a byte. NaN for a picture with fewer than 64 flat blocks.
Direction: lower is better. Nobody sees half a step as it is, but may when a dark or flat part is brightened.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pico_core.tiling import Grid

from .pictures import Pixels, check_pair

BLOCK = 16
FLAT = 4.0
FEWEST = 64


def flat_pattern(reference: Pixels, distorted: Pixels) -> float:
    """Root mean square of the pattern, in steps of a byte. Raises InvalidImageError."""
    check_pair(reference, distorted)
    height, width = reference.shape[:2]
    count, pattern, power = 0, np.zeros((BLOCK, BLOCK, 3)), 0.0
    for box in Grid(width, height).windows():
        inside = slice(box.top, box.bottom), slice(box.left, box.right)
        original = _blocks(reference[inside])
        flat = original.std((1, 2)).max(-1) <= FLAT
        errors = _blocks(distorted[inside])[flat] - original[flat]
        errors -= errors.mean((1, 2), keepdims=True)
        count += len(errors)
        pattern += errors.sum(0)
        power += float(np.square(errors).sum())
    if count < FEWEST:
        return math.nan
    products = (float(np.square(pattern).sum()) - power) / (count * (count - 1))
    return math.sqrt(max(0.0, products / pattern.size))


def _blocks(pixels: Pixels) -> NDArray[np.float64]:
    """The whole blocks of (height, width, 3), as (blocks, BLOCK, BLOCK, 3)."""
    rows, columns = (side // BLOCK for side in pixels.shape[:2])
    whole = pixels[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    blocks = whole.reshape(rows, BLOCK, columns, BLOCK, 3).swapaxes(1, 2)
    return blocks.reshape(-1, BLOCK, BLOCK, 3)
