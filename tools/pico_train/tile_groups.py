"""Coding a crop as the codec codes a picture: as neighbouring tiles, apart, cross-faded where they overlap."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pico_core.tiling import OVERLAP, WINDOW, Grid

from .hardware import arranged
from .sampling import covered

# What the networks return: pixels (N,3,H,W), bits per pixel of y (N,), bits per pixel of z (N,)
Networks = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def code(
    networks: Networks, pixels: Tensor, level: Tensor, tiles: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Code pixels (N,3,H,W) as rows x columns tiles of equal size that share 8 pixels with each neighbour.

    Each tile passes through the networks on its own, at its crop's level. Returns pixels (N,3,H,W), and bits of
    y and z (N,) for each pixel of the crop: pixels that two tiles cover are paid for twice, as in a file.
    """
    rows, columns = tiles
    if tiles == (1, 1):
        return networks(pixels, level)
    count, window = len(pixels), (pixels.shape[2] + (rows - 1) * OVERLAP) // rows
    windows = torch.cat([pixels[..., t : t + window, c : c + window] for t, c in corners(tiles, window)])
    coded, bits_y, bits_z = networks(arranged(windows), level.repeat(rows * columns))
    blended = blend(list(coded.chunk(rows * columns)), tiles)
    factor = rows * columns * window**2 / (pixels.shape[2] * pixels.shape[3])
    bits_y, bits_z = (factor * bits.view(-1, count).mean(0) for bits in (bits_y, bits_z))
    return blended, bits_y, bits_z


def corners(tiles: tuple[int, int], window: int) -> list[tuple[int, int]]:
    """Top and left of every tile, in raster order."""
    stride = window - OVERLAP
    return [(row * stride, column * stride) for row in range(tiles[0]) for column in range(tiles[1])]


def blend(windows: list[Tensor], tiles: tuple[int, int]) -> Tensor:
    """Tiles (N,3,window,window) in raster order -> the crop (N,3,H,W), cross-faded with the codec's weights."""
    window = windows[0].shape[2]
    height, width = (covered(count, window) for count in tiles)
    whole = torch.zeros((), device=windows[0].device)
    fades = _fades(tiles, window, windows[0].device)
    for (top, left), fade, tile in zip(corners(tiles, window), fades, windows, strict=True):
        borders = (left, width - left - window, top, height - top - window)
        whole = whole + F.pad(tile * fade, borders)
    return whole


@cache
def _fades(tiles: tuple[int, int], window: int, device: torch.device) -> list[Tensor]:
    """The codec's own weights around the corner or border where these tiles meet, as fractions."""
    rows, columns = tiles
    grid = Grid(covered(columns, WINDOW), covered(rows, WINDOW))
    fades = []
    for index in range(grid.count):
        row, column = divmod(index, columns)
        fade = torch.from_numpy(grid.fade(index).astype("float32") / 256).to(device)
        down = slice(WINDOW - window, None) if row == 0 and rows > 1 else slice(window)
        across = slice(WINDOW - window, None) if column == 0 and columns > 1 else slice(window)
        fades.append(fade[down, across])
    return fades
