"""Patch distance: whether the patches of a picture still look like those of the original, wherever they lie.

Source: ours, in the manner of KID and CMMD (Binkowski et al. 2018, Jayasumana et al. 2024), for one picture.
A patch is a cell of 32x32 pixels. It is described by the outputs of three layers of LPIPS's SqueezeNet (fire
modules of the strides 4, 8 and 16: 128, 256 and 512 channels), each position scaled to norm 1 as in LPIPS,
each averaged over the positions in the cell, the 896 numbers in a row. The distance is 1000 times the squared
maximum mean discrepancy between the patches of the original and those of the coded picture, with the Gaussian
kernel exp(-|x - y|^2 / 2), by the U-statistic over pairs (Gretton et al. 2012, equation 4): a patch is never
compared with itself or with its own coded version, so that equal pictures score exactly 0 and chance does not
favour a codec. Of more than 2,048 patches, 2,048 evenly spread ones count.
Range: about 0 (may be slightly negative) to 1000; blur of a good codec at a low rate scores 20 to 40,
plausible texture below 2.
Direction: lower is better. It is blind to where things are: a picture shifted by 3 pixels scores about 0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import networks
from .pictures import Pixels, check_pair
from .windows import windows

CELL = 32
MOST_PATCHES = 2048
LEAST_SIDE = 4 * CELL
_LAYERS = (1, 2, 6)  # of those that LPIPS compares


def patch_distance(reference: Pixels, distorted: Pixels) -> float:
    """The distance. Raises InvalidImageError, also for sides below 128 pixels."""
    check_pair(reference, distorted, LEAST_SIDE)
    return 1000 * discrepancy(_spread(patches(reference)), _spread(patches(distorted)))


def patches(pixels: Pixels) -> NDArray[np.float32]:
    """The descriptions of a picture's patches, (count, 896)."""
    height, width = pixels.shape[:2]
    rows, columns = (networks.positions("squeeze", size) for size in (height, width))
    found = []
    for window in windows(height, width):
        layers = []
        for number, output in enumerate(networks.activations("squeeze", window.cut(pixels))):
            if number in _LAYERS:
                stride = networks.strides("squeeze")[number]
                down, across = window.positions_seen(stride, rows[number], columns[number])
                layers.append(_cells(output[0, :, down, across].numpy(), CELL // stride))
        shared = tuple(min(layer.shape[axis] for layer in layers) for axis in (1, 2))
        cut = [layer[:, : shared[0], : shared[1]].reshape(len(layer), -1) for layer in layers]
        found.append(np.concatenate(cut).T)
    return np.concatenate(found)


def discrepancy(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Squared maximum mean discrepancy of two sets of vectors, (count, size) each.

    The U-statistic over pairs i != j: unbiased even though x_i and y_i belong together.
    """
    count = len(x)
    kernel = _kernel_sum(x, x) + _kernel_sum(y, y) - 2 * _kernel_sum(x, y)
    return kernel / (count * (count - 1))


def _kernel_sum(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Sum of the kernel over all pairs but those of equal index."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    np.fill_diagonal(squares, np.inf)
    return float(np.exp(-np.maximum(squares, 0) / 2).sum())


def _cells(layer: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Means of (channels, rows, columns) over cells of `side` positions; the last ones may be smaller."""
    rows, columns = (np.arange(0, size, side) for size in layer.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(layer, rows, axis=1), columns, axis=2)
    heights, widths = (
        np.diff(np.append(starts, size))
        for starts, size in zip((rows, columns), layer.shape[1:], strict=True)
    )
    means: NDArray[np.float32] = (sums / (heights[:, None] * widths)).astype(np.float32)
    return means


def _spread(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most MOST_PATCHES of the vectors, at even distances."""
    if len(vectors) <= MOST_PATCHES:
        return vectors
    chosen: NDArray[np.float32] = vectors[np.linspace(0, len(vectors) - 1, MOST_PATCHES).round().astype(int)]
    return chosen
