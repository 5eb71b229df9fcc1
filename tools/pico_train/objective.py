"""What training minimises: rate plus the weighted terms of the distortion, balanced over the levels.

    loss = (bits per pixel + sum of weight * relative^exponent * term) / sqrt(relative)
    relative = lambda(level) / 0.001

lambda rises exponentially with the level. The division keeps the highest levels from drowning the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pico_core.tiling import OVERLAP

from .config import LEAST_SIDES, Config, PosedTerm, SizedTerm, Term
from .discriminator import PATCH, Discriminator, codec_loss
from .hardware import arranged, place, precision_of
from .losses import (
    GridArtifactLoss,
    LpipsLoss,
    MaskedFidelityLoss,
    MseLoss,
    MsSsimLoss,
    TextureLoss,
    TilingArtifactLoss,
)
from .resnet import ResNetLoss
from .sampling import Group

REFERENCE_LAMBDA = 0.001

Terms = dict[str, Tensor]


def autocast(config: Config, device: torch.device) -> AbstractContextManager[None]:
    """Mixed precision as the config wants it."""
    mixed = precision_of(config, device) == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed)


@dataclass(frozen=True)
class Adversary:
    """The discriminator for one group of crops: where it looks, and what the codec makes of its verdict."""

    discriminator: Discriminator
    weight: float  # of the adversarial term
    window: tuple[slice, slice]  # rows and columns of the crops

    def __call__(self, image: Tensor) -> Tensor:
        """Logits (N, patches) of images (N,3,H,W), inside the window."""
        logits: Tensor = self.discriminator(image[..., self.window[0], self.window[1]])
        return logits


def _posed(images: tuple[Tensor, ...], term: PosedTerm) -> list[Tensor]:
    """Images (N,3,H,W), all in the same pose: `shift` smaller from a random pixel on, mirrored, transposed.

    LPIPS looks at a picture through strides of 2 to 16 and filters of one direction. If it always saw the same grid,
    the codec would learn to leave its errors where that grid does not look. Random poses are the part of E-LPIPS
    (Kettunen, Harkonen and Lehtinen, 2019) that changes no pixel value.
    """
    shift = term.shift
    first = [int(torch.randint(shift + 1, ())) for _ in range(2)] if shift else [0, 0]
    sides = images[0].shape[2:]
    rows, columns = (slice(start, start + side - shift) for start, side in zip(first, sides, strict=True))
    down, across, transposed = torch.randint(2, (3,)).tolist() if term.turn else (0, 0, 0)
    mirrored = [axis for axis, chosen in ((2, down), (3, across)) if chosen]
    posed = (image[..., rows, columns].flip(mirrored) for image in images)
    return [arranged(image.mT) if transposed else image for image in posed]


def _cut(images: tuple[Tensor, Tensor], side: int) -> tuple[Tensor, Tensor]:
    """The same part of both images (N,3,H,W), drawn at random, at most `side` pixels a side; 0: all of them."""
    height, width = images[0].shape[2:]
    if side == 0 or side >= max(height, width):
        return images
    part = []
    for length in (height, width):
        first = int(torch.randint(max(0, length - side) + 1, ()))
        part.append(slice(first, first + side))
    return images[0][..., part[0], part[1]], images[1][..., part[0], part[1]]


class Objective:
    """The loss of reconstructions, for one config."""

    def __init__(self, config: Config, levels: int, device: torch.device):
        self._config, self._levels, self._device = config, levels, device
        self._mse, self._inside = MseLoss(), MaskedFidelityLoss()
        self._tiling, self._grid = TilingArtifactLoss(), GridArtifactLoss()
        self._ms_ssim, self._texture = MsSsimLoss().to(device), TextureLoss().to(device)
        self._networks: dict[str, LpipsLoss | ResNetLoss] = {}  # by their name among the losses
        if config.losses.lpips.weight:
            self._networks["lpips"] = place(LpipsLoss(), device)
        if config.losses.resnet.weight:
            self._networks["resnet"] = place(ResNetLoss(), device)

    def relative_lambda(self, level: Tensor) -> Tensor:
        """Level (N,) -> lambda / 0.001, (N,)."""
        low, high = self._config.rate.lambda_low, self._config.rate.lambda_high
        return low / REFERENCE_LAMBDA * torch.exp(level * (math.log(high / low) / (self._levels - 1)))

    def gan_weight(self, step: int) -> float:
        """Weight of the adversarial term at a step."""
        gan = self._config.gan
        return gan.weight * min(1.0, max(0.0, (step - gan.start) / max(1, gan.warm_up)))

    def discriminator_learns(self, step: int) -> bool:
        """Whether the discriminator is trained at a step: from a little before the codec listens to it."""
        return self._config.gan.weight > 0 and step >= self._config.gan.start - self._config.gan.lead

    def adversary(self, discriminator: Discriminator, step: int, pixels: Tensor) -> Adversary:
        """For crops (N,3,H,W) at a step. A window smaller than the crops is drawn from torch's random state.

        It begins at a multiple of 16 pixels: what betrays a reconstruction first is the grid of the latent, which a
        discriminator finds in the same place of every window, or hardly at all.
        """
        return Adversary(discriminator, self.gan_weight(step), self._window(pixels.shape[2], pixels.shape[3]))

    def _window(self, height: int, width: int) -> tuple[slice, slice]:
        side = self._config.gan.window or max(height, width)
        steps = (max(0, length - side) // PATCH + 1 for length in (height, width))
        top, left = (PATCH * int(torch.randint(count, ())) for count in steps)
        return slice(top, top + side), slice(left, left + side)

    def __call__(
        self,
        output: Tensor,
        group: Group,
        bits: tuple[Tensor, Tensor],
        adversary: Adversary | None,
        step: int = 0,
    ) -> tuple[Tensor, Terms]:
        """Reconstructions (N,3,H,W) of a group, and bits per pixel of y and z (N,) each.

        Returns the loss, a mean over the group, and the unweighted means by name of all terms that are due at the step.
        """
        output = arranged(output)
        relative = self.relative_lambda(group.level)
        rate = bits[0] + bits[1]
        terms = {"bpp": rate, "bpp_hyper": bits[1]}
        terms["mse"] = (output - group.pixels).square().mean((1, 2, 3))
        total = rate
        for name, term, value in self._distortions(output, group, step):
            total = total + term.weight * term.every * relative**term.exponent * value
            terms.setdefault(name, value)
        if adversary is not None and adversary.weight > 0:
            adversarial = self._adversarial(output, group, adversary)
            total = total + adversary.weight * relative**self._config.gan.exponent * adversarial
            terms["adversarial"] = adversarial
        loss = (total / relative.sqrt()).mean()
        return loss, {name: value.detach().float().mean() for name, value in terms.items()}

    def _distortions(self, output: Tensor, group: Group, step: int) -> list[tuple[str, Term, Tensor]]:
        """Name, weight and value (N,) of every term that has a weight and is due at the step."""
        reference, due = group.pixels, self._due(step)
        simple: dict[str, Callable[[], Tensor]] = {
            "mse": lambda: self._mse(output, reference),
            "ms_ssim": lambda: self._ms_ssim(output, reference),
            "tiling_artifact": lambda: self._tiling(output, reference),
            "grid_artifact": lambda: self._grid(*self._within_a_grid((output, reference), group.tiles)),
            "texture": lambda: self._texture(output, reference),
            "text_fidelity": lambda: self._inside(output, reference, group.masks.get("text")),
            "face_fidelity": lambda: self._inside(output, reference, group.masks.get("faces")),
        }
        found = [(name, due[name], value()) for name, value in simple.items() if name in due]
        if networks := [name for name in self._networks if name in due]:
            posed = _posed((output, reference), self._config.losses.lpips)
            for name in networks:
                found += self._seen_at_sizes(name, *posed)
        return found

    def _due(self, step: int) -> dict[str, Term]:
        """The terms that are computed at a step. Those that are not in every one are drawn, in all processes alike."""
        terms: dict[str, Term] = vars(self._config.losses)
        drawn = np.random.default_rng([self._config.seed, step]).random(len(terms))
        chosen = zip(terms.items(), drawn, strict=True)
        return {name: term for (name, term), draw in chosen if term.weight and draw * term.every < 1}

    def _seen_at_sizes(
        self, network: str, output: Tensor, reference: Tensor
    ) -> list[tuple[str, Term, Tensor]]:
        """What a network sees of the images and of their reductions: from further away, other structures matter.

        Zero for reductions that are too small for it, as pairs of narrow tiles may become.
        """
        term: SizedTerm = getattr(self._config.losses, network)
        images, found = (output, reference), []
        for halvings, factor in enumerate(term.sizes):
            if halvings:
                images = F.avg_pool2d(images[0], 2), F.avg_pool2d(images[1], 2)
            if not factor:
                continue
            value = torch.zeros(len(output), device=self._device)
            if min(images[0].shape[2:]) >= LEAST_SIDES[network]:
                seen = images if halvings else _cut(images, term.window)
                with autocast(self._config, self._device):
                    value = self._networks[network](*seen)
            name = f"{network}_{2**halvings}" if halvings else network
            found.append((name, Term(term.weight * factor, term.exponent, term.every), value))
        return found

    def _within_a_grid(self, images: tuple[Tensor, ...], tiles: tuple[int, int]) -> list[Tensor]:
        """Images (N,3,H,W); of tiles, what the first one shares with no other, since each has its own grid."""
        side = max(images[0].shape[2:]) if tiles == (1, 1) else self._config.tiles.window - OVERLAP
        return [image[..., :side, :side] for image in images]

    def _adversarial(self, output: Tensor, group: Group, adversary: Adversary) -> Tensor:
        shielded = output
        if self._config.losses.text_fidelity.weight:
            shielded = MaskedFidelityLoss.shield(output, group.masks.get("text"))
        adversary.discriminator.requires_grad_(False)
        with autocast(self._config, self._device):
            value = codec_loss(adversary(shielded))
        adversary.discriminator.requires_grad_(True)
        return value
