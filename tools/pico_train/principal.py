"""Starts a model as the best linear transform codec there is, instead of from random weights.

Found with `pico_train.probe`: from random weights, the first convolutions lose details that nothing behind them can
bring back, and thousands of steps hardly change it. Principal components lose the least that a linear map can. The
first convolution begins as those of 8x8 blocks, the one at 1/16 as those of 2x2 neighbours among these, the decoder's
as their transposes, and residuals begin at zero; every weight learns from there.

Features are divided by the square root of their deviation, halfway to equal strength: as they are, the weakest would
drown in bfloat16's rounding and in what the residuals add; fully equal, the noise of each would count the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pico_core.errors import OptionError

from .config import Config
from .networks.alternatives import CONTEXTS
from .networks.layers import Block, ConvScale
from .networks.model import PicoModel
from .packs import Pack, spread

PICTURES = 400
_LEAST_LOG_SCALE = (
    -2.5
)  # weak latents are zero nearly everywhere, but not with a certainty that costs 20 bits


def start_linear(model: PicoModel, packs: Sequence[Pack], config: Config) -> None:
    """Make a new model the linear codec of the packs' pictures. Raises OptionError."""
    start(model, sample(packs, config.data.crop), (config.rate.lambda_low, config.rate.lambda_high))


def sample(packs: Sequence[Pack], side: int, count: int = PICTURES) -> Tensor:
    """The middle of `count` pictures, spread evenly over the packs: (count, 3, side, side) in [0, 1].

    Raises OptionError if no picture is large enough.
    """
    photos = [p for pack in packs for p in pack.photos if min(p.entry.width, p.entry.height) >= side]
    if not photos:
        msg = f"start = 'principal' needs pictures of {side} x {side} pixels or more; the packs hold none"
        raise OptionError(msg)
    chosen = spread(photos, count)
    crops = []
    for photo in chosen:
        top, left = (photo.entry.height - side) // 2, (photo.entry.width - side) // 2
        crops.append(torch.tensor(photo.pixels()[top : top + side, left : left + side]))
    return torch.stack(crops).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class _Components:
    """Principal components of vectors, the strongest first."""

    mean: Tensor  # (inputs,)
    basis: Tensor  # (count, inputs), rows of length 1
    deviation: Tensor  # (count,), standard deviation along each

    @property
    def balance(self) -> Tensor:
        """What features are multiplied by."""
        return self.deviation.rsqrt()


def _components(x: Tensor, count: int) -> _Components:
    """Of (N, C, H, W), taken as N * H * W vectors."""
    rows = x.transpose(0, 1).flatten(1).double()
    variances, vectors = torch.linalg.eigh(torch.cov(rows))
    strongest = variances.flip(0)[:count]
    basis = vectors.flip(1)[:, :count].T
    return _Components(rows.mean(1), basis, strongest.clamp_min(1e-8).sqrt())


def _project(x: Tensor, onto: _Components) -> Tensor:
    """(N, C, H, W) -> the components (N, count, H, W), the mean taken off."""
    return torch.einsum("ncyx,kc->nkyx", x.double() - onto.mean.view(1, -1, 1, 1), onto.basis)


@torch.no_grad()
def start(model: PicoModel, pictures: Tensor, lambdas: tuple[float, float]) -> None:
    """Make a new model the linear codec of `pictures` (N, 3, H, W) in [0, 1], for a range of lambda from low to high.

    Raises OptionError for architectures that no linear codec fits into.
    """
    a = model.architecture
    if a.resampling == "strided" or a.wide > 192 or not a.latent <= a.deep <= 4 * a.wide:
        msg = (
            "start = 'principal' needs resampling haar or pixel, wide up to 192, deep up to 4 times that, "
            "and no more latent channels than deep ones; say start = 'random'"
        )
        raise OptionError(msg)
    encoder, decoder = model.encoder, model.decoder
    blocks = encoder.to8(pictures - 0.5)
    at8 = _components(blocks, a.wide)
    cells = encoder.to16(_project(blocks, at8))
    at16 = _components(cells, a.deep)

    for module in model.modules():
        if isinstance(module, Block):
            _zero(module.project)
    four = at8.balance.repeat(4) if a.resampling == "haar" else at8.balance.repeat_interleave(4)
    _put(encoder.stage8[0], at8.balance[:, None] * at8.basis, -at8.balance * (at8.basis @ at8.mean))
    # The mean of the components at 1/8 is zero but for rounding, so at 1/16 there is none to take off.
    _put(encoder.stage16[0], at16.balance[:, None] * at16.basis / four)
    _put(encoder.to_latent, torch.diag(1 / at16.balance)[: a.latent])
    _put(decoder.from_latent, torch.diag(at16.balance)[:, : a.latent])
    _put(decoder.stage16[1], (four[:, None] * at16.basis.T) / at16.balance)
    _put(decoder.stage8[1], at8.basis.T / at8.balance, at8.mean)
    _start_entropy_model(model, at16.deviation[: a.latent].float(), lambdas)


def _start_entropy_model(model: PicoModel, deviation: Tensor, lambdas: tuple[float, float]) -> None:
    """Gains that suit the range of lambda, scales from the latents' deviations, means of 0 and steps of 1."""
    levels = model.architecture.levels
    finest, coarsest = (best_gain(value) for value in reversed(lambdas))
    log_gain = torch.linspace(math.log(coarsest), math.log(finest), levels)
    model.encoder.gain_latent.log_gain.copy_(log_gain[:, None].expand(-1, len(deviation)))
    model.decoder.gain_latent.log_gain.copy_(-log_gain[:, None].expand(-1, len(deviation)))
    slope = float(log_gain[-1] - log_gain[0]) / (levels - 1)
    lowest = (deviation / math.sqrt(2) * coarsest).log().clamp_min(_LEAST_LOG_SCALE)
    _tell_level(model, slope)
    model.scale_decoder.at16.bias.copy_(lowest - slope)  # type: ignore[union-attr]

    order = CONTEXTS[model.architecture.context]
    strength = (deviation * float(log_gain.mean().exp())).clamp_min(1.0)
    parts = order.split(strength.view(1, -1, 1, 1).expand(1, -1, 2, 2))
    for number, step in enumerate(model.context_model.steps):
        assert isinstance(step, nn.Sequential)
        _zero(step[2])
        if number:
            known = torch.cat([part.flatten() for part in parts[:number]])
            step[0].scale_in[:, -len(known) :] = 1 / known.view(1, -1, 1, 1)  # type: ignore[operator]


def best_gain(lambda_: float) -> float:
    """The inverse of the quantisation step that is best for bits per pixel + lambda * 255^2 * MSE at a high rate.

    Each of n latents per pixel costs -log2(step) bits per pixel and adds step^2 / 12 to the error of 3 samples.
    """
    return math.sqrt(lambda_ * 255**2 * math.log(2) / 18)


def _tell_level(model: PicoModel, slope: float) -> None:
    """Let the first hyperlatent say the level, 1 and up, and every log scale rise by `slope` with it."""
    hyper, scale, levels = model.encoder.stage64[2], model.scale_decoder, model.architecture.levels
    assert isinstance(hyper, ConvScale)
    assert hyper.bias is not None
    hyper.weight[0], hyper.bias[0] = 0, 1
    model.encoder.gain_hyper.log_gain[:, 0] = torch.arange(1, levels + 1).log()
    model.hyper_log_scale[0] = math.log(levels / 2)
    haar = model.architecture.resampling == "haar"
    copies = slice(None, None, model.architecture.scale_width) if haar else slice(4)
    for conv in (scale.at64, scale.at32):
        assert conv.bias is not None
        conv.weight[copies], conv.bias[copies] = 0, 0
        conv.weight[0 if haar else copies, 0] = (
            2 if haar else 1
        )  # the inverse Haar transform halves the low band
    scale.at16.weight[:, 0] = slope


def _put(conv: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    assert isinstance(conv, ConvScale)
    assert conv.bias is not None
    conv.weight.copy_(weight[:, :, None, None])
    conv.bias.copy_(torch.zeros_like(conv.bias) if bias is None else bias)


def _zero(conv: nn.Module) -> None:
    assert isinstance(conv, ConvScale)
    assert conv.bias is not None
    conv.weight.zero_()
    conv.bias.zero_()
