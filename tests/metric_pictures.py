"""Pictures for the tests of the metrics, made by arithmetic, so that known values can be written down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def picture(width: int = 256, height: int = 192) -> NDArray[np.uint8]:
    """Waves of several lengths in three colours, with an edge across them: (height, width, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    red = 128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 13)
    green = 120 + 50 * np.sin((x + y) / 5) + 50 * (x + 2 * y > width)
    blue = 100 + 70 * np.cos(x / 21) * np.sin(y / 3)
    return np.stack([red, green, blue], axis=-1).round().clip(0, 255).astype(np.uint8)


def coarse(pixels: NDArray[np.uint8], step: int = 24) -> NDArray[np.uint8]:
    """The picture with few shades left."""
    return (pixels // step * step + step // 2).clip(0, 255).astype(np.uint8)
