"""How much a decoded photo looks like its original, judged where it looks least like it.

A cheap look at the whole picture finds the places where structure or colour differ most, where text and skin count
half as much again. Only these crops get the costly perceptual measures, so that a picture of any size takes
about the same time. What counts is the worst crop, not the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pico_core.tiling import Box
from pico_library.model.settings import DEFAULT_DIFFERENCE
from pico_metrics.lpips import lpips
from pico_metrics.ms_ssim import LEAST_SIDE, ms_ssim
from pico_metrics.networks import LEAST_SIDE as LEAST_LPIPS_SIDE

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]

CELL = 16  # pixels a side of what the cheap look tells apart
CROP = 256  # pixels a side of a crop
# Of six crops, one of the first three was the worst, or scored within 3 % of it, on every photo tried.
MOST_CROPS = 3
PIXELS_PER_CROP = 500_000
LARGE_PICTURE = 2_000_000  # pixels; from here the cheap look sees every second pixel of every second row
LARGEST_BLOCK_ERROR = 24.0  # levels; photographs stay far below it, drawings in strong colours may not
LEAST_SIMILARITY = 0.80  # MS-SSIM of the worst crop; below this it is another picture

_STRIP = 1024  # rows that the cheap look takes at a time; a multiple of CELL
_IMPORTANT = 1.5
_SHARP = 40.0  # standard deviation (levels) of a cell with lettering
_MATRIX = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))  # RGB to Y, Cb, Cr
_C2 = (0.03 * 255) ** 2  # as in SSIM
_C3 = 1000.0  # a colour off by 32 levels counts half


@dataclass(frozen=True)
class Likeness:
    """How much two pictures look alike.

    `difference` is the LPIPS (AlexNet) of the worst crop and `similarity` the least MS-SSIM of a crop; None for
    pictures too small for them. `block_error` is the largest difference (0..255) between the means of blocks of
    16 x 16 pixels. `crop` is the box of the worst crop.
    """

    difference: float | None
    similarity: float | None
    block_error: float
    crop: tuple[int, int, int, int]

    def accepted(self, largest_difference: float = DEFAULT_DIFFERENCE) -> bool:
        """Whether the picture may stand for the original."""
        return (
            self.block_error <= LARGEST_BLOCK_ERROR
            and (self.difference is None or self.difference <= largest_difference)
            and (self.similarity is None or self.similarity >= LEAST_SIMILARITY)
        )


def compare(original: Pixels, decoded: Pixels) -> Likeness:
    """Compare two pictures of one shape, (height, width, 1..4); alpha is left to the caller."""
    if _equal(original, decoded):
        whole = _within(Box(0, 0, CROP, CROP), original.shape[:2])
        return Likeness(0.0, 1.0, 0.0, _corners(whole))
    one, other = _colours(original), _colours(decoded)
    badness, block_error = _look(one, other)
    boxes = list(_suspects(badness, one.shape[:2]))
    pairs = [(_cut(one, box), _cut(other, box)) for box in boxes]
    difference, similarity, crop = None, None, boxes[0]
    if min(pairs[0][0].shape[:2]) >= LEAST_LPIPS_SIDE:
        difference, crop = max((lpips(a, b, "alex"), box) for (a, b), box in zip(pairs, boxes, strict=True))
    if min(pairs[0][0].shape[:2]) >= LEAST_SIDE:
        similarity = min(ms_ssim(a, b) for a, b in pairs)
    return Likeness(difference, similarity, block_error, _corners(crop))


def _equal(one: Pixels, other: Pixels) -> bool:
    """Whether the pictures are the same, at the cost of a few rows where they are not."""
    return np.array_equal(one[::64], other[::64]) and np.array_equal(one, other)


def largest_block_error(one: Pixels, other: Pixels) -> float:
    """Largest difference (0..255) between the means of 16 x 16 pixels; both (height, width, channels), alpha apart.

    A learned codec redraws fine detail, but never moves the mean of a block by much: a wrong tile does. Of large
    pictures, every second pixel of every second row counts.
    """
    return _look(_colours(one), _colours(other))[1]


def _step(pixels: Pixels) -> int:
    """Of how many pixels in a row, and of how many rows, the looks at the whole picture take one."""
    return 2 if pixels.shape[0] * pixels.shape[1] >= LARGE_PICTURE else 1


def _strips(one: Pixels, other: Pixels) -> Iterator[tuple[Pixels, Pixels]]:
    """Both pictures in strips of rows, so that the memory taken does not grow with them."""
    for top in range(0, one.shape[0], _STRIP):
        yield one[top : top + _STRIP], other[top : top + _STRIP]


def _colours(pixels: Pixels) -> Pixels:
    """The picture as (height, width, 3), without alpha."""
    if pixels.shape[2] >= 3:
        return pixels[..., :3]
    return np.broadcast_to(pixels[..., :1], (*pixels.shape[:2], 3))


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def _cut(pixels: Pixels, box: Box) -> Pixels:
    return np.ascontiguousarray(pixels[box.top : box.bottom, box.left : box.right])


def _look(one: Pixels, other: Pixels) -> tuple[NDArray[np.float32], float]:
    """A cheap look at all of two pictures (height, width, 3).

    Returns how suspicious each cell of 16 x 16 pixels is, (ceil(height / 16), ceil(width / 16)), higher is worse; and
    the largest difference between means of blocks.
    """
    import torch

    step = _step(one)
    cell = CELL // step
    with torch.inference_mode():
        strips = [_strip_look(a[::step, ::step], b[::step, ::step], cell) for a, b in _strips(one, other)]
        badness = torch.cat([suspicion for suspicion, _ in strips])
        shifts = torch.cat([shift for _, shift in strips], 1)
        for side in (1, 2):
            shifts = _without_sliver(shifts, side, -(-one.shape[side - 1] // step) % cell / cell)
    return badness.numpy(), float(shifts.abs().max())


def _without_sliver(shifts: Tensor, side: int, share: float) -> Tensor:
    """Block means (3, rows, columns) of which the last along a side, a share of a block, is one with its neighbour."""
    import torch

    if not share or shifts.shape[side] == 1:
        return shifts
    *_, before, last = shifts.unbind(side)
    merged = ((before + share * last) / (1 + share)).unsqueeze(side)
    return torch.cat([shifts.narrow(side, 0, shifts.shape[side] - 2), merged], side)


def _strip_look(one: Pixels, other: Pixels, cell: int) -> tuple[Tensor, Tensor]:
    """Suspicion (rows, columns) and differences of the means (3, rows, columns) of the cells of a strip."""
    import torch

    a, b = (torch.from_numpy(np.require(pixels, requirements=("C", "W"))).float() for pixels in (one, other))
    rgb_a, rgb_b = (_means(pixels, cell).permute(2, 0, 1) for pixels in (a, b))
    mean_a, mean_b = _luma_and_chroma(rgb_a), _luma_and_chroma(rgb_b)
    x, y = (_luma(pixels) for pixels in (a, b))
    variance_a = (_means(x * x, cell) - mean_a[0] ** 2).clamp_(min=0)
    variance_b = (_means(y * y, cell) - mean_b[0] ** 2).clamp_(min=0)
    covariance = _means(x * y, cell) - mean_a[0] * mean_b[0]
    structure = 1 - (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    # Where both are nearly flat, what differs is noise of a level or two: nobody sees it.
    structure *= (variance_a + variance_b) / (variance_a + variance_b + _C2)
    moved = ((mean_a - mean_b) ** 2).sum(0)
    important = (variance_a.sqrt() > _SHARP) | _like_skin(mean_a)
    badness = (structure + moved / (_C3 + moved)) * torch.where(important, _IMPORTANT, 1.0)
    return badness, rgb_a - rgb_b


def _means(values: Tensor, cell: int) -> Tensor:
    """(height, width, ...) -> means of cells, (ceil(height / cell), ceil(width / cell), ...)."""
    rows, columns = (_sums(values.new_ones(length), 0, cell) for length in values.shape[:2])
    areas = rows[:, None] * columns
    return _sums(_sums(values, 0, cell), 1, cell) / areas.reshape(*areas.shape, *[1] * (values.ndim - 2))


def _sums(values: Tensor, side: int, cell: int) -> Tensor:
    """Sums of every `cell` neighbours along a side, the last of as many as are left."""
    import torch

    count, rest = divmod(values.shape[side], cell)
    split = (*values.shape[:side], count, cell, *values.shape[side + 1 :])
    whole = values.narrow(side, 0, count * cell).reshape(split).sum(side + 1)
    if not rest:
        return whole
    return torch.cat([whole, values.narrow(side, count * cell, rest).sum(side, keepdim=True)], side)


def _luma(pixels: Tensor) -> Tensor:
    """Y of (height, width, 3), as (height, width), centred on 0."""
    import torch

    return pixels @ torch.tensor(_MATRIX[0]) - 128


def _luma_and_chroma(planes: Tensor) -> Tensor:
    """Y, Cb and Cr of (3, height, width), each channel centred on 0."""
    import torch

    return torch.einsum("ij,jhw->ihw", torch.tensor(_MATRIX), planes - 128)


def _like_skin(means: Tensor) -> Tensor:
    """Cells with the chroma of skin, light or dark: cheap, and wrong in favour of caution (sand, wood)."""
    return (means[1] > -51) & (means[1] < -1) & (means[2] > 5) & (means[2] < 45)


def _suspects(badness: NDArray[np.float32], size: tuple[int, int]) -> Iterator[Box]:
    """The most suspicious crops, the worst first; they do not overlap."""
    remaining = badness.astype(np.float64)  # sums over all cells need the digits
    rows, columns = (min(CROP // CELL, count) for count in remaining.shape)
    for _ in range(min(1 + size[0] * size[1] // PIXELS_PER_CROP, MOST_CROPS)):
        sums = np.pad(remaining.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        tall = sums[rows:] - sums[:-rows]
        totals = tall[:, columns:] - tall[:, :-columns]
        row, column = (int(i) for i in np.unravel_index(np.argmax(totals), totals.shape))
        if not np.isfinite(totals[row, column]) or totals[row, column] < 0:
            return
        # What was taken must not be taken again, in part neither.
        remaining[row : row + rows, column : column + columns] = -1e6
        top, left = row * CELL, column * CELL
        yield _within(Box(left, top, left + columns * CELL, top + rows * CELL), size)


def _within(box: Box, size: tuple[int, int]) -> Box:
    """The box moved into a picture of (height, width) pixels, or cut off where it is larger."""
    height, width = size
    left = max(0, min(box.left, width - (box.right - box.left)))
    top = max(0, min(box.top, height - (box.bottom - box.top)))
    return Box(left, top, min(box.right, width), min(box.bottom, height))
