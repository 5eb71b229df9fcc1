"""LPIPS: learned perceptual image patch similarity, version 0.1, on AlexNet or SqueezeNet.

Source: Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a
perceptual metric", 2018; the published weights. Pictures are compared at their full size.
Range: 0 (equal pictures) to about 1; photographs coded visibly score 0.03 to 0.4.
Direction: lower is better. A codec that was trained with one of the networks is flattered by that network.

A large picture is computed in windows that overlap as far as the networks see. The result is that of one
piece, up to the rounding of float32: the distances of all positions are collected, then averaged. Beside the
pictures it takes less than 0.8 GB, whatever their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import OptionError
from pico_core.tiling import Box

from . import networks
from .networks import STRIDE, Network
from .pictures import Pixels, check_pair
from .windows import CORE, windows

if TYPE_CHECKING:
    from torch import Tensor

CELL = STRIDE  # pixels a side of one entry of `lpips_map`


class Crop(NamedTuple):
    """A square of a picture and how far the two pictures differ inside it."""

    box: Box
    score: float


def lpips(reference: Pixels, distorted: Pixels, network: Network) -> float:
    """The distance of two pictures. Raises InvalidImageError, also for sides below 35 pixels."""
    distances = layer_distances(reference, distorted, network)
    return float(sum(distance.mean(dtype=np.float64) for distance in distances))


def lpips_map(reference: Pixels, distorted: Pixels, network: Network) -> NDArray[np.float32]:
    """Where the pictures differ: LPIPS by cells of 16x16 pixels, (ceil(height / 16), ceil(width / 16)).

    A cell holds the sum over the layers of the mean distance in it; what a cell's positions see reaches
    beyond it. The mean of the map is close to `lpips`, not equal: positions are spread over the cells of the
    border.
    """
    return map_of(layer_distances(reference, distorted, network), reference.shape[:2])


def map_of(distances: list[NDArray[np.float32]], size: tuple[int, int]) -> NDArray[np.float32]:
    """`lpips_map` of a picture of (height, width) pixels, from what `layer_distances` returned."""
    import torch
    from torch.nn.functional import interpolate

    cells = (-(-size[0] // CELL), -(-size[1] // CELL))
    layers = (interpolate(torch.from_numpy(d)[None, None], cells, mode="area") for d in distances)
    cells_of_layers = np.stack([layer[0, 0].numpy() for layer in layers])
    total: NDArray[np.float32] = cells_of_layers.sum(0)
    return total


def worst_crop(cells: NDArray[np.float32], size: tuple[int, int], side: int = 256) -> Crop:
    """The square of `side` pixels with the highest mean of `lpips_map`, at a resolution of 16 pixels.

    `cells` is the map of a picture of (height, width) `size`. A picture smaller than the square has one crop,
    of its whole extent along that side. Raises OptionError if `side` is not a positive multiple of 16.
    """
    if side <= 0 or side % CELL:
        msg = f"the crop's side is {side}; it must be a positive multiple of {CELL}"
        raise OptionError(msg)
    rows, columns = (min(side // CELL, count) for count in cells.shape)
    means = _window_sums(cells, rows, columns) / (rows * columns)
    row, column = (int(i) for i in np.unravel_index(np.argmax(means), means.shape))
    top, left = row * CELL, column * CELL
    box = Box(left, top, min(left + columns * CELL, size[1]), min(top + rows * CELL, size[0]))
    return Crop(box, float(means[row, column]))


def _window_sums(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float64]:
    sums = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    tall = sums[rows:] - sums[:-rows]
    wide: NDArray[np.float64] = tall[:, columns:] - tall[:, :-columns]
    return wide


def layer_distances(
    reference: Pixels, distorted: Pixels, network: Network, core: int = CORE
) -> list[NDArray[np.float32]]:
    """The distance at every position of every compared layer, one array (rows, columns) for each layer.

    `core` is the side in pixels that is computed at a time, a multiple of 16: memory against time.
    Raises InvalidImageError.
    """
    check_pair(reference, distorted, networks.LEAST_SIDE)
    height, width = reference.shape[:2]
    counts = zip(networks.positions(network, height), networks.positions(network, width), strict=True)
    distances = [np.empty(shape, np.float32) for shape in counts]
    for window in windows(height, width, core):
        layers = _distances(window.cut(reference), window.cut(distorted), network)
        for whole, part, stride in zip(distances, layers, networks.strides(network), strict=True):
            whole[window.positions(stride, *whole.shape)] = part[window.positions_seen(stride, *whole.shape)]
    return distances


def _distances(reference: Pixels, distorted: Pixels, network: Network) -> Iterator[NDArray[np.float32]]:
    pairs = zip(
        networks.activations(network, reference),
        networks.activations(network, distorted),
        networks.heads(network),
        strict=True,
    )
    for a, b, head in pairs:
        yield _weighted_square(a, b, head)


def _weighted_square(a: Tensor, b: Tensor, head: Tensor) -> NDArray[np.float32]:
    import torch
    from torch.nn.functional import conv2d

    with torch.inference_mode():
        result: NDArray[np.float32] = conv2d((a - b).square_(), head)[0, 0].numpy()
    return result
