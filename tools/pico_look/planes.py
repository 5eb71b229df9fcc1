"""What of a picture the check looks at: luma at half its size, and the means of blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pico_core.tiling import Box

BLOCK = 8  # pixels a side of what has one mean colour
_STRIP = 50  # rows at a time, to stay in the processor's cache
_RED, _GREEN, _BLUE = np.uint16(5), np.uint16(9), np.uint16(2)  # sixteenths of luma


def half_luma(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Luma, 0..255, of (height, width, 1..4) at half the size, (ceil(height / 2), ceil(width / 2)); no alpha."""
    if pixels.shape[0] % 2 or pixels.shape[1] % 2:
        pixels = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), "edge")
    height, width, channels = pixels.shape
    halved = np.empty((height // 2, width // 2), np.int16)
    for top in range(0, height, _STRIP):
        strip = pixels[top : top + _STRIP]
        rows = strip[::2].astype(np.uint16)
        rows += strip[1::2]
        if channels >= 3:
            luma = rows[..., 1] * _GREEN
            luma += rows[..., 0] * _RED
            luma += rows[..., 2] * _BLUE
        else:
            luma = rows[..., 0] << np.uint16(4)
        both = luma[:, ::2] + luma[:, 1::2]
        both += np.uint16(32)
        both >>= np.uint16(6)
        halved[top // 2 : top // 2 + both.shape[0]] = both
    return halved


def block_error(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> tuple[float, Box]:
    """Largest difference (0..255) between means of 8 x 8 pixels in any channel but alpha, and the block's box.

    A learned codec redraws fine detail, but never moves the mean of a block by much: a wrong tile does. What is left
    over at the right and at the bottom counts with the blocks before it.
    """
    height, width, channels = original.shape
    rows, columns = (max(1, side // BLOCK) for side in (height, width))
    areas = np.outer(_sides(height, rows), _sides(width, columns))
    colours = channels - 1 if channels in (2, 4) else channels
    differences = np.abs(_block_sums(original) - _block_sums(decoded))[..., :colours].max(2) / areas
    row, column = (int(i) for i in np.unravel_index(np.argmax(differences), differences.shape))
    right, bottom = (
        (width if column == columns - 1 else column * BLOCK + BLOCK),
        (height if row == rows - 1 else row * BLOCK + BLOCK),
    )
    return float(differences[row, column]), Box(column * BLOCK, row * BLOCK, right, bottom)


def _sides(length: int, count: int) -> NDArray[np.int64]:
    """Pixels a side of the blocks; the last one has up to 15, or what there is."""
    sides = np.full(count, BLOCK)
    sides[-1] = length - BLOCK * (count - 1)
    return sides


def _block_sums(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sums of blocks, (rows, columns, channels)."""
    tall = _sums_of_rows(pixels)
    return _sums_of_rows(tall.swapaxes(0, 1)).swapaxes(0, 1).astype(np.int64)


def _sums_of_rows(values: NDArray[np.uint8] | NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Sums over eight neighbours along the first axis; what is left over belongs to the last ones."""
    count = max(1, values.shape[0] // BLOCK)
    whole = values[: count * BLOCK]
    sums = whole[::BLOCK].astype(np.uint32)
    for shift in range(1, min(BLOCK, values.shape[0])):
        sums += whole[shift::BLOCK]
    sums[-1] += values[count * BLOCK :].sum(0, dtype=np.uint32)
    return sums
