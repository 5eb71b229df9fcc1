"""Variants that ablations train and nothing ships: other resampling, other orders of the context model.

The defaults (`haar`, `grid`) have no parameters of their own, so they leave no trace in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import haar_down, haar_up, join_cells, split_cells

RESAMPLINGS = ("haar", "pixel", "strided")


class _Function(nn.Module):
    """A resampling that learns nothing."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)


def downsampler(kind: str, channels: int) -> nn.Module:
    """(N, channels, H, W) -> (N, 4 channels, H/2, W/2)."""
    if kind == "strided":
        return nn.Conv2d(channels, 4 * channels, 3, stride=2, padding=1, groups=channels)
    return _Function(haar_down if kind == "haar" else lambda x: F.pixel_unshuffle(x, 2))


def upsampler(kind: str, channels: int) -> nn.Module:
    """(N, 4 channels, H, W) -> (N, channels, 2H, 2W)."""
    if kind == "strided":
        return nn.ConvTranspose2d(4 * channels, channels, 4, stride=2, padding=1, groups=channels)
    return _Function(haar_up if kind == "haar" else lambda x: F.pixel_shuffle(x, 2))


@dataclass(frozen=True)
class ContextOrder:
    """In how many passes the context model predicts a latent, and which part of it each pass predicts."""

    passes: int
    split: Callable[[Tensor], list[Tensor]]  # (N, C, 2H, 2W) -> one (N, 4C/passes, H, W) for each pass
    join: Callable[[list[Tensor]], Tensor]  # the inverse


def _split_checkerboard(x: Tensor) -> list[Tensor]:
    a, d, b, c = split_cells(x)
    return [torch.cat([a, d], 1), torch.cat([b, c], 1)]


def _join_cells_of_passes(parts: list[Tensor]) -> Tensor:
    return join_cells(list(torch.cat(parts, 1).chunk(4, 1)))


def _split_channels(x: Tensor) -> list[Tensor]:
    cells = [cell.chunk(4, 1) for cell in split_cells(x)]
    return [torch.cat(group, 1) for group in zip(*cells, strict=True)]


def _join_channels(parts: list[Tensor]) -> Tensor:
    groups = [part.chunk(4, 1) for part in parts]
    return join_cells([torch.cat(cell, 1) for cell in zip(*groups, strict=True)])


CONTEXTS = {
    "grid": ContextOrder(4, split_cells, join_cells),  # one position of every 2x2 cell after the other
    "checkerboard": ContextOrder(2, _split_checkerboard, _join_cells_of_passes),
    "channels": ContextOrder(4, _split_channels, _join_channels),  # a quarter of the channels after the other
    "none": ContextOrder(1, lambda x: [torch.cat(split_cells(x), 1)], _join_cells_of_passes),
}
