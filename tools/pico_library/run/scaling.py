"""Decoded pictures made smaller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def within(pixels: NDArray[np.uint8], max_side: int | None) -> Image.Image:
    """Pixels (height, width, 1..4) as a picture whose longer side has at most so many pixels."""
    im = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0])
    longest = max(im.size)
    if max_side is None or longest <= max_side:
        return im
    width, height = (max(1, round(side * max_side / longest)) for side in im.size)
    return im.resize((width, height), Image.Resampling.LANCZOS)


def scaled(pixels: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """As `within`, as an array of the same number of channels."""
    if max_side is None or max(pixels.shape[:2]) <= max_side:
        return pixels
    made = np.asarray(within(pixels, max_side))
    return made.reshape(*made.shape[:2], -1)
