"""The patch discriminator, and the adversarial losses.

The losses are those of the non-saturating GAN (softplus): the discriminator minimises
softplus(-D(real)) + softplus(D(fake)), the codec minimises softplus(-D(fake)).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .networks.layers import haar_down

_SLOPE = 0.2
PATCH = 16  # side in pixels of the coarsest patches
# Standard deviations of the sub-bands of photographs in [0, 1] after two Haar transforms: rows are the bands of the
# second (low, horizontal, vertical, diagonal), columns those of the first. Measured on 240 training crops.
_DEVIATIONS = (
    (1.12, 0.064, 0.065, 0.019),
    (0.132, 0.077, 0.034, 0.025),
    (0.132, 0.034, 0.076, 0.025),
    (0.066, 0.046, 0.046, 0.035),
)


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))


class _Residual(nn.Module):
    """x + conv3x3(leaky(conv3x3(leaky(x))))."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = _conv(channels, channels, 3), _conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.second(F.leaky_relu(self.first(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x + hidden


class Discriminator(nn.Module):
    """Judges patches at two scales, on Haar sub-bands, with spectral norm, conditioned on nothing.

    (N,3,H,W) in [0,1] -> logits (N, H/8 * W/8 + H/16 * W/16), positive for real; H and W are cut to multiples of
    16. With the default width of 256 channels at 1/8 it has 4.4 million parameters. The Haar transforms lose
    nothing and leave the costly convolutions small grids to run on.

    Every sub-band is brought to unit variance. In pixels the finest details are sixty times weaker than the
    brightness, and spectral norm forbids the network to amplify them, though they are what gives a reconstruction away.
    """

    def __init__(self, width: int = 256):
        super().__init__()
        self.at_quarter = _conv(48, width // 2, 3)
        self.to_eighth = _conv(2 * width, width, 1)
        self.at_eighth = _Residual(width)
        self.judge_eighth = _conv(width, 1, 1)
        self.to_sixteenth = _conv(4 * width, width + width // 2, 1)
        self.at_sixteenth = _Residual(width + width // 2)
        self.judge_sixteenth = _conv(width + width // 2, 1, 1)
        gains = 1 / torch.tensor(_DEVIATIONS).flatten().repeat_interleave(3)
        self.register_buffer("gains", gains.view(1, 48, 1, 1), persistent=False)
        self.eval()  # spectral norm then keeps its estimate: see `refresh`

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every patch."""
        height, width = (side // PATCH * PATCH for side in image.shape[2:])
        x = haar_down(haar_down(image[..., :height, :width] - 0.5)) * self.get_buffer("gains")
        x = F.leaky_relu(self.at_quarter(x), _SLOPE)
        x = self.at_eighth(self.to_eighth(haar_down(x)))
        fine = self.judge_eighth(F.leaky_relu(x, _SLOPE))
        x = self.at_sixteenth(self.to_sixteenth(haar_down(x)))
        coarse = self.judge_sixteenth(F.leaky_relu(x, _SLOPE))
        return torch.cat([fine.float().flatten(1), coarse.float().flatten(1)], 1)

    @torch.no_grad()
    def refresh(self) -> None:
        """One power iteration for every spectral norm.

        Called once a step, so that the estimate does not depend on how a batch is divided.
        """
        self.train()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _ = module.weight
        self.eval()


def codec_loss(logits: Tensor) -> Tensor:
    """Logits (N, patches) of reconstructions -> (N,): how far the discriminator is from taking them for real."""
    return F.softplus(-logits).mean(1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (N, patches) of originals and reconstructions -> (N,)."""
    return F.softplus(-real).mean(1) + F.softplus(fake).mean(1)
