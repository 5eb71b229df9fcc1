"""The codec's four networks in their training form, with a differentiable estimate of the rate.

    pixels --Encoder--> latent y, hyperlatent z
    z      --ScaleDecoder--> log scale of every latent
    z      --ContextDecoder--> prior --ContextModel--> mean and step of every latent, in four passes
    latent --Decoder--> pixels

After "What Matters in Practical Learned Image Compression" (arXiv 2605.05148). The product does not run this
module: `folding` and `quantising` turn its weights into the integers that the engines run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pico_core.errors import OptionError
from pico_core.graph import TABLE_COUNT

from .alternatives import CONTEXTS, RESAMPLINGS, downsampler, upsampler
from .layers import LEAK, ConvScale, LevelGain, Transition, chain, in_float32

LOG_STEP_LIMIT = 3.0  # |log step| is clamped to this
LOG_SCALE_LIMIT = 5.0  # |log scale| is clamped to this
LOG_SCALE_LOW, LOG_SCALE_HIGH = (
    -3.5,
    5.0,
)  # natural logarithm of the scale at the first and the last entropy table
LOG_SCALE_SPACING = (LOG_SCALE_HIGH - LOG_SCALE_LOW) / (TABLE_COUNT - 1)


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks; stored with the weights."""

    wide: int = 128  # channels at 1/8
    deep: int = 192  # channels at 1/16
    latent: int = 192  # channels of y at 1/16 (docs/decisions/0007-latent-channels.md)
    hyper: int = 64  # channels of z at 1/64
    hyper_width: int = 192  # channels inside the hyper-encoder and the context decoder
    scale_width: int = 96  # channels inside the scale decoder
    prior: int = 256  # channels of the context at 1/32
    pass_width: int = 256  # channels inside each pass of the context model
    encoder_blocks: tuple[int, int] = (3, 4)  # at 1/8, at 1/16
    decoder_blocks: tuple[int, int] = (4, 4)  # at 1/16, at 1/8
    fine_blocks: tuple[int, int] = (1, 0)  # of the decoder, at 1/4, at 1/2
    levels: int = 8  # anchors of the level conditioning

    # What the paper ablates. Only the defaults can be shipped: `folding` refuses what it has no arrays for.
    context: str = "grid"  # what each pass of the context model predicts: grid, checkerboard, channels, none
    learned_step: bool = True  # the context model predicts quantisation steps; otherwise they are 1
    conv_scale: bool = True  # the scales of ConvScale learn; otherwise they stay 1
    stage_scales: bool = False  # a learned factor for every channel at the end of every resolution stage
    resampling: str = "haar"  # haar, pixel (shuffle), strided (learned, one filter group for each channel)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default) or not _is_size(value):
                msg = f"architecture: {field.name} is {value!r}; it must be of the kind of {field.default!r}"
                raise OptionError(msg)
        if self.levels < 2:
            msg = f"architecture: levels is {self.levels}; it must be 2 or more"
            raise OptionError(msg)
        for name, known in (("context", tuple(CONTEXTS)), ("resampling", RESAMPLINGS)):
            if getattr(self, name) not in known:
                msg = f"architecture: {name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}"
                raise OptionError(msg)

    @property
    def unfoldable(self) -> list[str]:
        """Names of the alternatives in use that exist for training only."""
        defaults = Architecture()
        names = ("context", "learned_step", "stage_scales", "resampling", "fine_blocks")
        return [name for name in names if getattr(self, name) != getattr(defaults, name)]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a weights file's metadata."""
        return asdict(self)


def _is_size(value: object) -> bool:
    """Whether sizes are positive, and numbers of blocks not negative; text and switches are none."""
    if isinstance(value, tuple):
        return len(value) == 2 and all(type(count) is int and count >= 0 for count in value)
    return not isinstance(value, int) or isinstance(value, bool) or value > 0


class Encoder(nn.Module):
    """Pixels to latent and hyperlatent, with the hyper-encoder folded in."""

    def __init__(self, a: Architecture):
        super().__init__()
        scaled, kind = a.stage_scales, a.resampling
        self.to8 = nn.Sequential(*[downsampler(kind, channels) for channels in (3, 12, 48)])
        self.stage8 = nn.Sequential(Transition(192, a.wide), chain(a.wide, a.encoder_blocks[0], scaled))
        self.to16 = downsampler(kind, a.wide)
        self.stage16 = nn.Sequential(
            Transition(4 * a.wide, a.deep), chain(a.deep, a.encoder_blocks[1], scaled)
        )
        self.to_latent = Transition(a.deep, a.latent)
        self.to32 = downsampler(kind, a.deep)
        self.stage32 = nn.Sequential(Transition(4 * a.deep, a.hyper_width), chain(a.hyper_width, 2, scaled))
        self.to64 = downsampler(kind, a.hyper_width)
        self.stage64 = nn.Sequential(
            Transition(4 * a.hyper_width, a.hyper_width),
            chain(a.hyper_width, 1, scaled),
            Transition(a.hyper_width, a.hyper),
        )
        self.gain8 = LevelGain(a.wide, a.levels)
        self.gain_latent = LevelGain(a.latent, a.levels)
        self.gain_hyper = LevelGain(a.hyper, a.levels)

    def forward(self, pixels: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N,3,H,W) in [0,1], level (N,) -> y (N,latent,H/16,W/16), z (N,hyper,H/64,W/64), float32."""
        features = self.stage8(self.to8(pixels - 0.5)) * self.gain8(level)
        features = self.stage16(self.to16(features))
        y = self.to_latent(features) * self.gain_latent(level)
        features = self.to64(self.stage32(self.to32(features)))
        z = self.stage64(features) * self.gain_hyper(level)
        return y, z


class ScaleDecoder(nn.Module):
    """Rounded hyperlatent to the logarithm of every latent's scale, in one shot."""

    def __init__(self, a: Architecture):
        super().__init__()
        self.at64 = ConvScale(a.hyper, 4 * a.scale_width)
        self.up32 = upsampler(a.resampling, a.scale_width)
        self.at32 = ConvScale(a.scale_width, 4 * a.scale_width)
        self.up16 = upsampler(a.resampling, a.scale_width)
        self.at16 = ConvScale(a.scale_width, a.latent)

    def forward(self, z: Tensor) -> Tensor:
        """Z (N,hyper,H,W) of integers -> log scale (N,latent,4H,4W), float32 also under autocast."""
        with torch.autocast(z.device.type, enabled=False):
            x = F.leaky_relu(self.up32(self.at64(z)), LEAK)
            x = F.leaky_relu(self.up16(self.at32(x)), LEAK)
            log_scale: Tensor = self.at16(x)
        return log_scale.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)


class ContextDecoder(nn.Module):
    """Rounded hyperlatent to the prior that the context model starts from."""

    def __init__(self, a: Architecture):
        super().__init__()
        width, scaled = a.hyper_width, a.stage_scales
        self.stage64 = nn.Sequential(
            Transition(a.hyper, width), chain(width, 1, scaled), Transition(width, 4 * width)
        )
        self.up32 = upsampler(a.resampling, width)
        self.stage32 = nn.Sequential(chain(width, 2, scaled), Transition(width, a.prior))

    def forward(self, z: Tensor) -> Tensor:
        """Z (N,hyper,H,W) of integers -> prior (N,prior,2H,2W)."""
        prior: Tensor = self.stage32(self.up32(self.stage64(z)))
        return prior


class ContextModel(nn.Module):
    """Mean and step of one part of the latents (a position of every 2x2 cell), from the parts before it."""

    def __init__(self, a: Architecture):
        super().__init__()
        passes = CONTEXTS[a.context].passes
        part = 4 * a.latent // passes
        self.learned_step = a.learned_step
        self.steps = nn.ModuleList(
            nn.Sequential(
                Transition(a.prior + k * part, a.pass_width),
                chain(a.pass_width, 1),
                Transition(a.pass_width, 2 * part),
            )
            for k in range(passes)
        )

    def forward(self, k: int, prior: Tensor, decoded: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Prior (N,prior,H,W), k decoded parts (N,latent,H,W) -> mean, step of part k, float32."""
        known = torch.cat([prior, *decoded], 1)
        step = self.steps[k]
        mean, log_step = step(known).chunk(2, 1)
        if not self.learned_step:
            return mean, torch.ones_like(mean)
        return mean, torch.exp(log_step.clamp(-LOG_STEP_LIMIT, LOG_STEP_LIMIT))


class Decoder(nn.Module):
    """Latent to pixels."""

    def __init__(self, a: Architecture):
        super().__init__()
        scaled, kind = a.stage_scales, a.resampling
        self.gain_latent = LevelGain(a.latent, a.levels)
        self.gain8 = LevelGain(a.wide, a.levels)
        self.from_latent = Transition(a.latent, a.deep)
        self.stage16 = nn.Sequential(
            chain(a.deep, a.decoder_blocks[0], scaled), Transition(a.deep, 4 * a.wide)
        )
        self.up8 = upsampler(kind, a.wide)
        self.stage8 = nn.Sequential(chain(a.wide, a.decoder_blocks[1], scaled), Transition(a.wide, 192))
        self.up4 = upsampler(kind, 48)
        # Smooths across the 8x8 patches that the stages before it make.
        self.stage4 = chain(48, a.fine_blocks[0], scaled)
        self.up2 = upsampler(kind, 12)
        self.stage2 = chain(12, a.fine_blocks[1], scaled)
        self.to_pixels = upsampler(kind, 3)

    def forward(self, latent: Tensor, level: Tensor) -> Tensor:
        """Latent (N,latent,H,W), level (N,) -> pixels (N,3,16H,16W), float32, about [0,1] but not clamped."""
        x = self.from_latent(latent * self.gain_latent(level))
        x = self.stage8(self.up8(self.stage16(x)) * self.gain8(level))
        x = self.stage2(in_float32(self.up2, self.stage4(self.up4(x))))
        return in_float32(self.to_pixels, x) + 0.5


class _StraightThroughRound(torch.autograd.Function):
    """Rounding whose gradient is that of the identity."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0]


def round_straight_through(x: Tensor) -> Tensor:
    """Round, with the gradient of the identity."""
    rounded: Tensor = _StraightThroughRound.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def laplace_bits(symbol: Tensor, scale: Tensor) -> Tensor:
    """Bits of `symbol` (an integer, or an integer plus uniform noise) in unit bins of a Laplace density."""

    def cumulative(t: Tensor) -> Tensor:
        return 0.5 + 0.5 * torch.sign(t) * (1 - torch.exp(-t.abs() / scale))

    symbol = symbol.abs()
    return -torch.log2((cumulative(0.5 - symbol) - cumulative(-0.5 - symbol)).clamp_min(1e-6))


class PicoModel(nn.Module):
    """All four networks with a differentiable rate, for training and calibration."""

    def __init__(self, architecture: Architecture | None = None):
        super().__init__()
        self.architecture = a = architecture or Architecture()
        self.encoder = Encoder(a)
        self.scale_decoder = ScaleDecoder(a)
        self.context_decoder = ContextDecoder(a)
        self.context_model = ContextModel(a)
        self.decoder = Decoder(a)
        self.hyper_log_scale = nn.Parameter(torch.linspace(-1, 1, a.hyper))
        self._start_values()
        for module in self.modules():
            if isinstance(module, ConvScale):
                module.scale_in.requires_grad_(a.conv_scale)
                module.scale_out.requires_grad_(a.conv_scale)

    @torch.no_grad()
    def _start_values(self) -> None:
        """Gains that spread the levels, and heads near zero so that the first steps are calm."""
        a = self.architecture
        gain = torch.linspace(0.7, 2.9, a.levels)[:, None].expand(-1, a.latent)
        self.encoder.gain_latent.log_gain.copy_(gain)
        self.decoder.gain_latent.log_gain.copy_(-gain)
        heads = [self.scale_decoder.at16, *[step[2] for step in self.context_model.steps]]  # type: ignore[index]
        for head in heads:
            head.weight.mul_(0.1)
            head.bias.zero_()

    def forward(self, pixels: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels (N,3,H,W) in [0,1], H and W multiples of 64; level (N,) in [0, levels-1].

        Returns pixels (N,3,H,W), bits per pixel of y (N,), bits per pixel of z (N,). In training mode the
        rate sees uniform noise in place of rounding; the distortion always sees rounding.
        """
        y, z = self.encoder(pixels, level)
        hyper_scale = torch.exp(self.hyper_log_scale).view(1, -1, 1, 1)
        bits_z = laplace_bits(self._noisy(z), hyper_scale)
        z_hat = round_straight_through(z)
        scale = torch.exp(self.scale_decoder(z_hat))
        prior = self.context_decoder(z_hat)

        order = CONTEXTS[self.architecture.context]
        bits_y = torch.zeros_like(level)
        decoded: list[Tensor] = []
        for k, (y_k, scale_k) in enumerate(zip(order.split(y), order.split(scale), strict=True)):
            mean, step = self.context_model(k, prior, decoded)
            symbol = (y_k - mean) / step
            bits_y = bits_y + laplace_bits(self._noisy(symbol), scale_k).sum((1, 2, 3))
            decoded.append(round_straight_through(symbol) * step + mean)

        output = self.decoder(order.join(decoded), level)
        pixel_count = pixels.shape[2] * pixels.shape[3]
        return output, bits_y / pixel_count, bits_z.sum((1, 2, 3)) / pixel_count

    def _noisy(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x) - 0.5 if self.training else x.round()
