"""Turns a trained model into the plain arrays that inference runs.

Folded away: ConvScale's scales, the residual gains, the biases of the depthwise convolutions, the Haar
transforms (into the convolutions beside them), the pixel range. What is left are 1x1, depthwise 3x3 and 2x2
convolutions, and the level gains, which inference multiplies in when it knows the level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pico_core.errors import OptionError
from pico_core.graph import PIXEL_CENTRE

from .layers import Block, ConvScale, LevelGain, haar_down, haar_up
from .model import LOG_SCALE_LOW, LOG_SCALE_SPACING, PicoModel

_BANDS = torch.tensor(
    [[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]], dtype=torch.float64
)  # (band, row, column): signs of the 2x2 Haar transform, which is its own inverse up to the factor 1/2


def fold(model: PicoModel) -> dict[str, Tensor]:
    """Arrays by name, float32 on the CPU: matrices (outputs, inputs), 2x2 and depthwise kernels, biases, level gains.

    Raises OptionError for a model with alternatives that exist for training only.
    """
    if names := model.architecture.unfoldable:
        msg = f"a model with another {' and '.join(names)} than the default cannot be shipped, only compared"
        raise OptionError(msg)
    with torch.no_grad():
        arrays: dict[str, Tensor] = {}
        _fold_encoder(model, arrays)
        _fold_context(model, arrays)
        _fold_decoder(model, arrays)
        _fold_scales(model, arrays)
    return {name: array.detach().float().cpu().contiguous() for name, array in arrays.items()}


def matrix(conv: ConvScale) -> tuple[Tensor, Tensor]:
    """A 1x1 convolution as (outputs, inputs) and (outputs,), in float64."""
    weight, bias = conv.folded()
    return weight.flatten(1).double(), bias.double()


def fold_haar_up(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (4C, inputs) followed by `haar_up`, as a matrix whose rows are ordered (row, column, C)."""
    bands, signs = weight.view(4, -1, weight.shape[1]), _BANDS.to(weight.device)
    rows = 0.5 * torch.einsum("bij,bcn->ijcn", signs, bands)
    biases = 0.5 * torch.einsum("bij,bc->ijc", signs, bias.view(4, -1))
    return rows.reshape(weight.shape), biases.flatten()


def _fold_haar_down(weight: Tensor) -> Tensor:
    """`haar_down` followed by a matrix (outputs, 4C), as a 2x2 kernel of stride 2, (outputs, C, 2, 2)."""
    bands = weight.view(weight.shape[0], 4, -1)
    return 0.5 * torch.einsum("bij,obc->ocij", _BANDS, bands)


def _pixels_to_bands() -> Tensor:
    """Three `haar_down` of an 8x8 patch, (8 rows x 8 columns x 3 colours, 192 bands), orthonormal."""
    basis = torch.eye(192, dtype=torch.float64).view(192, 8, 8, 3).permute(0, 3, 1, 2)
    return haar_down(haar_down(haar_down(basis))).flatten(1)


def bands_to_pixels() -> Tensor:
    """Two `haar_up` of 48 bands, (48 bands, 4 rows x 4 columns x 3 colours), orthonormal."""
    basis = torch.eye(48, dtype=torch.float64).view(48, 48, 1, 1)
    return haar_up(haar_up(basis)).permute(0, 2, 3, 1).flatten(1)


def _store(arrays: dict[str, Tensor], name: str, weight: Tensor, bias: Tensor) -> None:
    arrays[f"{name}.weight"], arrays[f"{name}.bias"] = weight, bias


def _fold_block(arrays: dict[str, Tensor], name: str, block: nn.Module) -> None:
    assert isinstance(block, Block)
    spatial, spatial_bias = block.spatial.folded()
    expand, expand_bias = matrix(block.expand)
    project, project_bias = matrix(block.project)
    gain = block.gain.flatten().double()
    arrays[f"{name}.spatial.weight"] = spatial
    _store(arrays, f"{name}.expand", expand, expand_bias + expand @ spatial_bias.double())
    _store(arrays, f"{name}.project", project * gain[:, None], project_bias * gain)


def _fold_blocks(arrays: dict[str, Tensor], name: str, blocks: nn.Module) -> None:
    for index, block in enumerate(blocks.children()):
        _fold_block(arrays, f"{name}.{index}", block)


def _store_gain(arrays: dict[str, Tensor], name: str, gain: LevelGain) -> None:
    arrays[f"{name}.log_gain"] = gain.log_gain


def _fold_encoder(model: PicoModel, arrays: dict[str, Tensor]) -> None:
    encoder = model.encoder
    weight, bias = matrix(encoder.stage8[0])  # type: ignore[arg-type]
    per_pixel = weight @ _pixels_to_bands().T  # (wide, 192 pixel values in [-0.5, 0.5])
    offset = PIXEL_CENTRE / 255 - 0.5
    _store(arrays, "encoder.input", per_pixel / 255, bias + offset * per_pixel.sum(1))
    _fold_blocks(arrays, "encoder.blocks8", encoder.stage8[1])
    for name, stage in (("16", encoder.stage16), ("32", encoder.stage32), ("64", encoder.stage64)):
        weight, bias = matrix(stage[0])  # type: ignore[arg-type]
        _store(arrays, f"encoder.down{name}", _fold_haar_down(weight), bias)
        _fold_blocks(arrays, f"encoder.blocks{name}", stage[1])
    _store(arrays, "encoder.to_latent", *matrix(encoder.to_latent))
    _store(arrays, "encoder.to_hyper", *matrix(encoder.stage64[2]))  # type: ignore[arg-type]
    _store_gain(arrays, "encoder.gain8", encoder.gain8)
    _store_gain(arrays, "encoder.gain_latent", encoder.gain_latent)
    _store_gain(arrays, "encoder.gain_hyper", encoder.gain_hyper)


def _fold_context(model: PicoModel, arrays: dict[str, Tensor]) -> None:
    stage64, stage32 = model.context_decoder.stage64, model.context_decoder.stage32
    _store(arrays, "context.input", *matrix(stage64[0]))  # type: ignore[arg-type]
    _fold_blocks(arrays, "context.blocks64", stage64[1])
    _store(arrays, "context.up32", *fold_haar_up(*matrix(stage64[2])))  # type: ignore[arg-type]
    _fold_blocks(arrays, "context.blocks32", stage32[0])
    _store(arrays, "context.prior", *matrix(stage32[1]))  # type: ignore[arg-type]
    for k, step in enumerate(model.context_model.steps):
        name = f"context.step{k}"
        _store(arrays, f"{name}.input", *matrix(step[0]))  # type: ignore[index]
        _fold_blocks(arrays, f"{name}.blocks", step[1])  # type: ignore[index]
        _store(arrays, f"{name}.output", *matrix(step[2]))  # type: ignore[index]


def _fold_decoder(model: PicoModel, arrays: dict[str, Tensor]) -> None:
    decoder = model.decoder
    weight, bias = matrix(decoder.stage16[1])  # type: ignore[arg-type]
    first, first_bias = matrix(decoder.from_latent)
    if model.architecture.decoder_blocks[0]:
        _store(arrays, "decoder.from_latent", first, first_bias)
        _fold_blocks(arrays, "decoder.blocks16", decoder.stage16[0])
    else:  # with nothing between them, two matrices are one
        weight, bias = weight @ first, bias + weight @ first_bias
    _store(arrays, "decoder.up8", *fold_haar_up(weight, bias))
    _fold_blocks(arrays, "decoder.blocks8", decoder.stage8[0])
    _store(arrays, "decoder.up4", *fold_haar_up(*matrix(decoder.stage8[1])))  # type: ignore[arg-type]
    _fold_block(arrays, "decoder.block4", decoder.stage4[0])
    arrays["decoder.output.weight"] = 255 * bands_to_pixels().T
    arrays["decoder.output.bias"] = torch.full((48,), 127.5)
    _store_gain(arrays, "decoder.gain_latent", decoder.gain_latent)
    _store_gain(arrays, "decoder.gain8", decoder.gain8)


def _fold_scales(model: PicoModel, arrays: dict[str, Tensor]) -> None:
    """The scale decoder, whose output becomes the index of an entropy table."""
    decoder = model.scale_decoder
    _store(arrays, "scale.at64", *fold_haar_up(*matrix(decoder.at64)))
    _store(arrays, "scale.at32", *fold_haar_up(*matrix(decoder.at32)))
    weight, bias = matrix(decoder.at16)
    _store(arrays, "scale.at16", weight / LOG_SCALE_SPACING, (bias - LOG_SCALE_LOW) / LOG_SCALE_SPACING)
