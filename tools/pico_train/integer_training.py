"""Training the scale decoder in the integer arithmetic that it will have once exported.

Rounded weights, rounded activations, and scales that come from the entropy tables' grid, all with the gradient of
the unrounded values, so that fine-tuning makes up for what rounding costs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pico_core.networks.folding import fold_haar_up, matrix
from pico_core.networks.layers import ConvScale
from pico_core.networks.model import ScaleDecoder
from pico_core.scale_path import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    LEAK_BITS,
    LEAK_NUMERATOR,
    LOG_SCALE_LOW,
    LOG_SCALE_SPACING,
    TABLE_COUNT,
)

from .integer import WEIGHT_BITS

_UNIT = 2.0**-ACTIVATION_BITS


class IntegerScaleDecoder(ScaleDecoder):
    """`ScaleDecoder` with the same parameters, computing what `pico_core.scale_path` computes of them.

    Needs Haar resampling: that is what the integer layers have folded in.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Z (N,hyper,H,W) of integers -> log scale (N,latent,4H,4W), float32, on the grid of the tables."""
        with torch.autocast(z.device.type, enabled=False):
            x = z.double().permute(0, 2, 3, 1)
            x = _spread(_activate(_layer(self.at64, x, True, 0)))
            x = _spread(_activate(_layer(self.at32, x, True, ACTIVATION_BITS)))
            index = _layer(self.at16, x, False, ACTIVATION_BITS).clamp(0, TABLE_COUNT - 1)
        log_scale = LOG_SCALE_LOW + LOG_SCALE_SPACING * index
        return log_scale.permute(0, 3, 1, 2).float()


def _rounded(x: Tensor, unit: float, rounding: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """Multiples of `unit`, with the gradient of the identity."""
    return x + (rounding(x.detach() / unit) * unit - x.detach())


def _floor_of_half(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5)


def _layer(conv: ConvScale, x: Tensor, is_hidden: bool, bits_in: int) -> Tensor:
    """A layer in multiples of 2^-10, its weights rounded as `integer` rounds them; the last gives table indices."""
    weight, bias = matrix(conv)
    if is_hidden:
        weight, bias = fold_haar_up(weight, bias)
    else:
        weight, bias = weight / LOG_SCALE_SPACING, (bias - LOG_SCALE_LOW) / LOG_SCALE_SPACING
    weight_bits = int(WEIGHT_BITS - torch.ceil(torch.log2(weight.detach().abs().max())))
    weight = _rounded(weight, 2.0**-weight_bits)
    bias = _rounded(bias, 2.0 ** -(weight_bits + bits_in))
    return _rounded(x @ weight.T + bias, _UNIT if is_hidden else 1.0, _floor_of_half)


def _activate(x: Tensor) -> Tensor:
    leaked = _rounded(x.clamp_max(0) * (LEAK_NUMERATOR * 2.0**-LEAK_BITS), _UNIT, torch.floor)
    limit = ACTIVATION_LIMIT * _UNIT
    return (x.clamp_min(0) + leaked).clamp(-limit, limit)


def _spread(x: Tensor) -> Tensor:
    """(N, H, W, 4C), channels ordered (row, column, C) -> (N, 2H, 2W, C)."""
    n, height, width, channels = x.shape
    cells = x.reshape(n, height, width, 2, 2, channels // 4).permute(0, 1, 3, 2, 4, 5)
    return cells.reshape(n, 2 * height, 2 * width, channels // 4)
