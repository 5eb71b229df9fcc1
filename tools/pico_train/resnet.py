"""A second look at reconstructions: distance in the features of a small ResNet, as a term of the distortion."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = Path(__file__).parent / "weights" / "open-nsfw-resnet.safetensors"
# Channels inside the blocks of a stage, and how many blocks it has; their outputs are four times as wide.
_STAGES = ((32, 3), (64, 4), (128, 6))
_MEAN = (104.0, 117.0, 123.0)  # of B, G, R


class _Bottleneck(nn.Module):
    """relu(shortcut(x) + expand(relu(spatial(relu(reduce(x)))))), with the batch normalisation folded in."""

    def __init__(self, inputs: int, width: int, stride: int, first: bool):
        super().__init__()
        self.reduce = nn.Conv2d(inputs, width, 1, stride)
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        self.expand = nn.Conv2d(width, 4 * width, 1)
        self.shortcut = nn.Conv2d(inputs, 4 * width, 1, stride) if first else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.expand(F.relu(self.spatial(F.relu(self.reduce(x)))))
        return F.relu(self.shortcut(x) + residual)


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [_Bottleneck(4 * width, width, 1, False) for _ in range(blocks - 1)]
    return nn.Sequential(_Bottleneck(inputs, width, stride, True), *rest)


class ResNetLoss(nn.Module):
    """Mean over four layers of the mean over positions of |f(image) - f(reference)|^2. 0 for equal images, to 2.

    f are a layer's activations with unit norm over channels: those of the first convolution (64 channels at 1/2) and
    of three stages (128 at 1/4, 256 at 1/8, 512 at 1/16) of a ResNet-50 with half the usual channels.

    Source: the distance is LPIPS without learned heads (Zhang et al., 2018, "baseline"); the network is Yahoo's
    open_nsfw, whose licence lets it be passed on (`weights/LICENSE-open-nsfw`). What it was trained to recognise does
    not matter here. LPIPS-Squeeze sees through filters of 3 x 3 pixels, and a codec that is trained with it alone
    may learn what those overlook; this network begins with 7 x 7.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 7, 2, padding=3)
        inputs = 64
        stages: list[nn.Module] = []
        for width, blocks in _STAGES:
            stages.append(_stage(inputs, width, blocks, stride=2 if stages else 1))
            inputs = 4 * width
        self.stages = nn.ModuleList(stages)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self._load()

    def _load(self) -> None:
        from safetensors.torch import load_file

        self.load_state_dict({name: x.float() for name, x in load_file(WEIGHTS).items()})
        self.requires_grad_(False)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W), sides of at least 32 -> (N,)."""
        with torch.no_grad():
            targets = self._embed(reference)
        total = torch.zeros(len(image), device=image.device)
        for a, b in zip(self._embed(image), targets, strict=True):
            total = total + (a - b).square().sum(1).float().mean((1, 2))
        return total / len(targets)

    def _embed(self, image: Tensor) -> list[Tensor]:
        x = F.relu(self.first(image.flip(1) * 255 - self.get_buffer("mean")))
        outputs = [x]
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return [output * torch.rsqrt((output * output).sum(1, keepdim=True) + 1e-10) for output in outputs]
