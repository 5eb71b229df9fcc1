"""What every metric asks of the two pictures it compares, before it touches a pixel."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import InvalidImageError

Pixels: TypeAlias = NDArray[np.uint8]


def check_picture(pixels: Pixels, name: str, least_side: int = 1) -> None:
    """Raise InvalidImageError unless `pixels` is uint8 (height, width, 3) of sides >= `least_side`."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        msg = f"the {name} picture is {kind}; metrics compare numpy arrays of uint8"
        raise InvalidImageError(msg)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        msg = f"the {name} picture has shape {pixels.shape}; metrics compare RGB of (height, width, 3)"
        raise InvalidImageError(msg)
    height, width = pixels.shape[:2]
    if min(height, width) < least_side:
        msg = f"the {name} picture is {width}x{height} pixels; this metric needs {least_side} or more a side"
        raise InvalidImageError(msg)


def check_pair(reference: Pixels, distorted: Pixels, least_side: int = 1) -> None:
    """Raise InvalidImageError unless both are RGB of uint8, of one size, at least `least_side` a side."""
    check_picture(reference, "reference", least_side)
    check_picture(distorted, "distorted", least_side)
    if reference.shape != distorted.shape:
        sizes = " and ".join(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (reference, distorted))
        msg = f"the reference and the distorted picture differ in size: {sizes}; compare pictures of one size"
        raise InvalidImageError(msg)


def block_means(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Means of (height, width, channels) over blocks of `size` a side; the last ones may be smaller."""
    rows = np.arange(0, values.shape[0], size)
    columns = np.arange(0, values.shape[1], size)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    heights = np.diff(np.append(rows, values.shape[0]))
    widths = np.diff(np.append(columns, values.shape[1]))
    means: NDArray[np.float64] = sums / (heights[:, None, None] * widths[None, :, None])
    return means
