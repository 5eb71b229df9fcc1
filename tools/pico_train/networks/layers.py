"""Building blocks of the networks: Haar resampling, ConvScale, the residual block, level gains.

Shapes are (N, C, H, W). Everything here is meant to run in `torch.channels_last`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.1  # negative slope of every activation


def haar_down(x: Tensor) -> Tensor:
    """Orthonormal 2-D Haar analysis, (N, C, H, W) -> (N, 4C, H/2, W/2), the low band first."""
    a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
    c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) * 0.5


def haar_up(x: Tensor) -> Tensor:
    """Inverse of `haar_down`, (N, 4C, H, W) -> (N, C, 2H, 2W)."""
    low, horizontal, vertical, diagonal = (band * 0.5 for band in x.chunk(4, 1))
    n, c, height, width = low.shape
    top = torch.stack([low + horizontal + vertical + diagonal, low - horizontal + vertical - diagonal], -1)
    bottom = torch.stack([low + horizontal - vertical - diagonal, low - horizontal - vertical + diagonal], -1)
    return torch.stack([top, bottom], -3).reshape(n, c, 2 * height, 2 * width)


class ConvScale(nn.Conv2d):
    """Convolution with learned scales: W' = scale_in * scale_out * W, b' = scale_out * b (arXiv 2605.05148).

    The scales let the optimiser move whole channels at once; inference folds them into the weight.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
        self.scale_in = nn.Parameter(torch.ones(1, inputs // groups, 1, 1))
        self.scale_out = nn.Parameter(torch.ones(outputs, 1, 1, 1))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (outputs, inputs/groups, kernel, kernel) and bias (outputs,), scales included."""
        assert self.bias is not None
        return self.weight * self.scale_in * self.scale_out, self.bias * self.scale_out.flatten()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        weight, bias = self.folded()
        return F.conv2d(x, weight, bias, padding=self.padding, groups=self.groups)


class Block(nn.Module):
    """Inverted residual with kernels 3 (depthwise), 1, 1 and a learned per-channel gain on the residual."""

    def __init__(self, channels: int, expansion: int = 2):
        super().__init__()
        self.spatial = ConvScale(channels, channels, 3, groups=channels)
        self.expand = ConvScale(channels, channels * expansion)
        self.project = ConvScale(channels * expansion, channels)
        self.gain = nn.Parameter(torch.full((1, channels, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        hidden = F.leaky_relu(self.expand(self.spatial(x)), LEAK)
        weight, bias = self.project.folded()  # the gain too is cheaper to apply to weights than to features
        return x + F.conv2d(hidden, weight * self.gain.view(-1, 1, 1, 1), bias * self.gain.flatten())


def in_float32(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The function's output in float32, whatever autocast is in force around it."""
    with torch.autocast(x.device.type, enabled=False):
        return function(x.float())


class Transition(ConvScale):
    """Convolution from one stage to the next, in float32 also under autocast, as in inference."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W), float32."""
        return in_float32(self._product, x)

    def _product(self, x: Tensor) -> Tensor:
        # As a matrix product: on CPUs PyTorch runs float32 convolutions of 1x1 through a slow path of its own.
        weight, bias = self.folded()
        return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


class ChannelScale(nn.Module):
    """A learned factor for every channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return x * self.scale


def chain(channels: int, repeats: int, end_scale: bool = False) -> nn.Sequential:
    """`repeats` blocks one after the other, and a `ChannelScale` at the end if wanted."""
    blocks: list[nn.Module] = [Block(channels) for _ in range(repeats)]
    return nn.Sequential(*blocks, *([ChannelScale(channels)] if end_scale else []))


class LevelGain(nn.Module):
    """Per-channel gain, log-linear between learned anchors at the integer levels 0 .. levels-1."""

    def __init__(self, channels: int, levels: int):
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(levels, channels))
        self.levels = levels

    def forward(self, level: Tensor) -> Tensor:
        """Level (N,) in [0, levels-1] -> gain (N, channels, 1, 1), positive."""
        low = level.floor().long().clamp(0, self.levels - 2)
        mix = (level - low)[:, None]
        gain = self.log_gain[low] * (1 - mix) + self.log_gain[low + 1] * mix
        return torch.exp(gain)[:, :, None, None]


POSITIONS = ((0, 0), (1, 1), (0, 1), (1, 0))  # order in which the context model fills every 2x2 cell


def split_cells(x: Tensor) -> list[Tensor]:
    """(N, C, 2H, 2W) -> the four positions of every 2x2 cell in coding order, each (N, C, H, W)."""
    return [x[..., i::2, j::2] for i, j in POSITIONS]


def join_cells(parts: list[Tensor]) -> Tensor:
    """Inverse of `split_cells`, in `torch.channels_last`."""
    a, d, b, c = (part.permute(0, 2, 3, 1) for part in parts)
    n, height, width, channels = a.shape
    rows = torch.stack([torch.stack([a, b], 3), torch.stack([c, d], 3)], 2)
    return rows.reshape(n, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
