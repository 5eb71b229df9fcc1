"""The inverse of `networks.folding`: a trainable model from a weights file, so that shipped weights can be trained on.

Folding multiplies scales and gains into matrices and Haar transforms into the layers beside them. Scales cannot be
told from matrices afterwards; here they start at their neutral values, and the model computes the same.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pico_core.graph import PIXEL_CENTRE, Z_LIMIT
from pico_core.registry import Weights

from .dequantising import dequantise
from .networks.layers import Block, ConvScale, LevelGain, haar_down
from .networks.model import LOG_SCALE_LOW, LOG_SCALE_SPACING, Architecture, PicoModel


def unfold(weights: Weights, architecture: Architecture) -> PicoModel:
    """The model that a weights file was made from, up to how scales are divided, and to rounding."""
    model = PicoModel(architecture)
    with torch.no_grad():
        _Unfolding(weights).fill(model)
    return model


class _Unfolding:
    """Copies arrays of a weights file into a model."""

    def __init__(self, weights: Weights):
        self._weights = weights
        self._arrays = {n: torch.from_numpy(a).double() for n, a in dequantise(weights.arrays).items()}

    def fill(self, model: PicoModel) -> None:
        self._encoder(model)
        self._context(model)
        self._decoder(model)
        self._scale_decoder(model)
        self._hyper_scale(model)

    def _encoder(self, model: PicoModel) -> None:
        encoder = model.encoder
        weight, bias = self._pair("encoder.input")
        per_pixel = 255 * weight
        bias = bias - (PIXEL_CENTRE / 255 - 0.5) * per_pixel.sum(1)
        _set(encoder.stage8[0], per_pixel @ _pixels_to_bands(), bias)
        self._blocks("encoder.blocks8", encoder.stage8[1])
        for name, stage in (("16", encoder.stage16), ("32", encoder.stage32), ("64", encoder.stage64)):
            kernel, bias = self._pair(f"encoder.down{name}")
            # A 2x2 kernel over C channels is a matrix over the bands of its Haar transform.
            _set(stage[0], haar_down(kernel).flatten(1), bias)
            self._blocks(f"encoder.blocks{name}", stage[1])
        _set(encoder.to_latent, *self._pair("encoder.to_latent"))
        _set(encoder.stage64[2], *self._pair("encoder.to_hyper"))
        self._gain("encoder.gain8", encoder.gain8)
        self._gain("encoder.gain_latent", encoder.gain_latent)
        self._gain("encoder.gain_hyper", encoder.gain_hyper)

    def _context(self, model: PicoModel) -> None:
        stage64, stage32 = model.context_decoder.stage64, model.context_decoder.stage32
        _set(stage64[0], *self._pair("context.input"))
        self._blocks("context.blocks64", stage64[1])
        _set(stage64[2], *_to_bands(*self._pair("context.up32")))
        self._blocks("context.blocks32", stage32[0])
        _set(stage32[1], *self._pair("context.prior"))
        for k, step in enumerate(model.context_model.steps):
            assert isinstance(step, nn.Sequential)
            _set(step[0], *self._pair(f"context.step{k}.input"))
            self._blocks(f"context.step{k}.blocks", step[1])
            _set(step[2], *self._pair(f"context.step{k}.output"))

    def _decoder(self, model: PicoModel) -> None:
        decoder = model.decoder
        if "decoder.from_latent.weight" in self._arrays:
            _set(decoder.from_latent, *self._pair("decoder.from_latent"))
        else:  # folding made one matrix of two
            identity = torch.eye(*decoder.from_latent.weight.shape[:2])
            _set(decoder.from_latent, identity, torch.zeros(len(identity)))
        self._blocks("decoder.blocks16", decoder.stage16[0])
        weight, bias = _to_bands(*self._pair("decoder.up8"))
        columns = decoder.from_latent.weight.shape[0]
        _set(decoder.stage16[1], F.pad(weight, (0, columns - weight.shape[1])), bias)
        self._blocks("decoder.blocks8", decoder.stage8[0])
        _set(decoder.stage8[1], *_to_bands(*self._pair("decoder.up4")))
        self._block("decoder.block4", decoder.stage4[0])
        self._gain("decoder.gain_latent", decoder.gain_latent)
        self._gain("decoder.gain8", decoder.gain8)

    def _scale_decoder(self, model: PicoModel) -> None:
        decoder = model.scale_decoder
        _set(decoder.at64, *_to_bands(*self._pair("scale.at64")))
        _set(decoder.at32, *_to_bands(*self._pair("scale.at32")))
        weight, bias = self._pair("scale.at16")
        _set(decoder.at16, weight * LOG_SCALE_SPACING, bias * LOG_SCALE_SPACING + LOG_SCALE_LOW)

    def _hyper_scale(self, model: PicoModel) -> None:
        """The files hold tables in place of these scales: take the mean magnitude of what the tables expect."""
        frequencies = self._weights.arrays["tables.hyper"].astype(np.float64).mean(0)
        magnitudes = np.abs(np.arange(-Z_LIMIT, Z_LIMIT + 1))
        mean = (frequencies * magnitudes).sum(1) / frequencies.sum(1)
        model.hyper_log_scale.copy_(torch.from_numpy(np.log(np.maximum(mean, math.exp(-3.0)))))

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]

    def _blocks(self, name: str, blocks: nn.Module) -> None:
        for index, block in enumerate(blocks.children()):
            self._block(f"{name}.{index}", block)

    def _block(self, name: str, block: nn.Module) -> None:
        assert isinstance(block, Block)
        gain = block.gain.flatten().double()
        _set(block.spatial, self._arrays[f"{name}.spatial.weight"], torch.zeros(len(gain)))
        _set(block.expand, *self._pair(f"{name}.expand"))
        weight, bias = self._pair(f"{name}.project")
        _set(block.project, weight / gain[:, None], bias / gain)

    def _gain(self, name: str, gain: LevelGain) -> None:
        gain.log_gain.copy_(self._arrays[f"{name}.log_gain"])


def _set(conv: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(conv, ConvScale)
    assert conv.bias is not None
    conv.weight.copy_(weight.reshape(conv.weight.shape))
    conv.bias.copy_(bias)


def _to_bands(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Rows ordered (row, column, C) -> the rows that a Haar synthesis after them turns into those."""
    rows = weight.view(2, 2, -1, weight.shape[1]).permute(3, 2, 0, 1)
    biases = bias.view(2, 2, -1).permute(2, 0, 1)[None]
    return haar_down(rows).flatten(1).T, haar_down(biases).flatten()


def _pixels_to_bands() -> Tensor:
    """Three Haar analyses of an 8x8 patch, (8 rows x 8 columns x 3 colours, 192 bands), orthonormal."""
    basis = torch.eye(192, dtype=torch.float64).view(192, 8, 8, 3).permute(0, 3, 1, 2)
    return haar_down(haar_down(haar_down(basis))).flatten(1)
