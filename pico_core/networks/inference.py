"""The folded networks: numpy tiles in, numpy symbols out, and back.

Everything runs in `torch.channels_last`. Only the residuals of the blocks run in bfloat16, where the CPU has it:
four fifths of the multiplications. What they are added to and the convolutions from one stage to the next stay
in float32. In a flat picture all positions round alike, so that the errors of a bfloat16 sum do not average out but
darken the picture and draw a grid on it. Nothing here feeds the entropy coder but integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .folding import PIXEL_CENTRE
from .layers import LEAK, join_cells, split_cells
from .model import LOG_STEP_LIMIT

SYMBOL_LIMIT = 32_767


def best_precision() -> str:
    """`bfloat16` where this CPU multiplies it natively, else `float32`."""
    return "bfloat16" if _has_native_bfloat16() else "float32"


def _has_native_bfloat16() -> bool:
    # oneDNN emulates bfloat16 on CPUs without it, slower than float32: ask for the instructions themselves.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


def _precisions_of_onednn() -> frozenset[torch.dtype]:
    """What oneDNN multiplies on this CPU: it refuses bfloat16 where there is neither AVX-512 nor its like."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return frozenset()
    has_bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return frozenset({torch.float32, torch.bfloat16} if has_bfloat16 else {torch.float32})


ONEDNN_PRECISIONS = _precisions_of_onednn()


@dataclass(frozen=True)
class _Conv:
    """A convolution in the precision of its weight, in memory order; kernel 1, or 2 with stride 2."""

    weight: Tensor
    bias: Tensor
    stride: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.weight.dtype)
        if self.weight.dtype in ONEDNN_PRECISIONS:
            # conv2d would hand single-threaded 1x1 convolutions in float32 to another library, which was
            # measured at less than half the speed of this one (python -m pico_bench.convolutions).
            stride = (self.stride, self.stride)
            return torch.mkldnn_convolution(x, self.weight, self.bias, (0, 0), stride, (1, 1), 1)
        return F.conv2d(x, self.weight, self.bias, stride=self.stride)


@dataclass(frozen=True)
class _Block:
    """Folded inverted residual: depthwise 3x3, 1x1, activation, 1x1, added to its float32 input."""

    spatial: Tensor
    expand: _Conv
    project: _Conv

    def residual(self, x: Tensor) -> Tensor:
        hidden = F.conv2d(x.to(self.spatial.dtype), self.spatial, padding=1, groups=x.shape[1])
        return self.project(F.leaky_relu_(self.expand(hidden), LEAK))

    def __call__(self, x: Tensor) -> Tensor:
        return x.add_(self.residual(x))


def _run(blocks: list[_Block], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def _spread(x: Tensor, factor: int = 2) -> Tensor:
    """(N, factor*factor*C, H, W) with channels ordered (row, column, C) -> (N, C, factor*H, factor*W)."""
    n, channels, height, width = x.shape
    inner = channels // factor**2
    x = x.permute(0, 2, 3, 1).view(n, height, width, factor, factor, inner)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(n, height * factor, width * factor, inner)
    return x.permute(0, 3, 1, 2)


class _Arrays:
    """Reads folded arrays by name: convolutions in float32, the residuals of blocks in one precision."""

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]], residual_dtype: torch.dtype):
        self._arrays, self._residual_dtype = arrays, residual_dtype

    def has(self, name: str) -> bool:
        return name in self._arrays

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._arrays[name], np.float32))

    def conv(self, name: str, dtype: torch.dtype = torch.float32) -> _Conv:
        return make_conv(self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), dtype)

    def block(self, name: str) -> _Block:
        dtype = self._residual_dtype
        spatial = self.tensor(f"{name}.spatial.weight").to(dtype)
        spatial = spatial.contiguous(memory_format=torch.channels_last)
        return _Block(spatial, self.conv(f"{name}.expand", dtype), self.conv(f"{name}.project", dtype))

    def blocks(self, name: str) -> list[_Block]:
        count = 0
        while f"{name}.{count}.spatial.weight" in self._arrays:
            count += 1
        return [self.block(f"{name}.{index}") for index in range(count)]


def make_conv(weight: Tensor, bias: Tensor, dtype: torch.dtype = torch.float32) -> _Conv:
    """A convolution from a matrix (outputs, inputs) or a 2x2 kernel (outputs, inputs, 2, 2)."""
    kernel = weight if weight.ndim == 4 else weight[:, :, None, None]
    kernel = kernel.to(dtype).contiguous(memory_format=torch.channels_last)
    return _Conv(kernel, bias.to(dtype), stride=kernel.shape[-1])


class _AtLevel:
    """The convolutions that the level gains are multiplied into, for one level."""

    def __init__(self, arrays: _Arrays, level: float):
        def gain(name: str) -> Tensor:
            table = arrays.tensor(f"{name}.log_gain")
            low = min(max(int(level), 0), table.shape[0] - 2)
            return torch.exp(torch.lerp(table[low], table[low + 1], level - low))

        def weights(name: str) -> tuple[Tensor, Tensor]:
            return arrays.tensor(f"{name}.weight"), arrays.tensor(f"{name}.bias")

        weight, bias = weights("encoder.down16")
        self.down16 = make_conv(weight * gain("encoder.gain8")[:, None, None], bias)
        weight, bias = weights("encoder.to_latent")
        rows = gain("encoder.gain_latent")
        self.to_latent = make_conv(weight * rows[:, None], bias * rows)
        weight, bias = weights("encoder.to_hyper")
        rows = gain("encoder.gain_hyper")
        self.to_hyper = make_conv(weight * rows[:, None], bias * rows)
        weight, bias = weights("decoder.up8")
        rows, columns = gain("decoder.gain8").repeat(4), gain("decoder.gain_latent")
        self.from_latent: _Conv | None = None
        if arrays.has("decoder.from_latent.weight"):
            first, first_bias = weights("decoder.from_latent")
            self.from_latent = make_conv(first * columns, first_bias)
            columns = torch.ones(())
        self.up8 = make_conv(weight * rows[:, None] * columns, bias * rows)


class Networks:
    """Encoder, context decoder and model, and decoder, for one set of weights.

    `arrays` are those of `folding.fold`. `precision` is that of the residuals, `float32` or `bfloat16`; all else
    runs in float32. `z_limit` bounds the hyperlatent, so that integer arithmetic on it is exact. Instances are
    immutable but for a cache of the last level, and may be used from several threads.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]], precision: str, z_limit: int):
        self.precision = precision
        self._z_limit = z_limit
        residual_dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
        self._arrays = read = _Arrays(arrays, residual_dtype)
        self._level: tuple[float, _AtLevel] | None = None
        self._encoder_input = read.conv("encoder.input")
        self._encoder_blocks8 = read.blocks("encoder.blocks8")
        self._encoder_blocks16 = read.blocks("encoder.blocks16")
        self._down32, self._down64 = read.conv("encoder.down32"), read.conv("encoder.down64")
        self._encoder_blocks32 = read.blocks("encoder.blocks32")
        self._encoder_blocks64 = read.blocks("encoder.blocks64")
        self._context_input = read.conv("context.input")
        self._context_blocks64 = read.blocks("context.blocks64")
        self._context_up32 = read.conv("context.up32")
        self._context_blocks32 = read.blocks("context.blocks32")
        self._context_prior = read.conv("context.prior")
        self._steps = [
            (
                read.conv(f"context.step{k}.input"),
                read.blocks(f"context.step{k}.blocks"),
                read.conv(f"context.step{k}.output"),
            )
            for k in range(4)
        ]
        self._decoder_blocks16 = read.blocks("decoder.blocks16")
        self._decoder_blocks8 = read.blocks("decoder.blocks8")
        self._up4 = read.conv("decoder.up4")
        self._decoder_block4 = read.block("decoder.block4")
        self._output = read.conv("decoder.output")

    def _at(self, level: float) -> _AtLevel:
        known = self._level
        if known is None or known[0] != level:
            known = self._level = (level, _AtLevel(self._arrays, level))
        return known[1]

    @torch.inference_mode()
    def analyse(self, pixels: NDArray[np.uint8], level: float) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Pixels (N, H, W, 3), sides multiples of 64 -> symbols and hyperlatent.

        Shapes (N, H/16, W/16, latent) and (N, H/64, W/64, hyper).

        Symbols are round((y - mean) / step), the values that the entropy coder writes.
        """
        symbols, z = self._encode(_patches(pixels), self._at(level))
        return _to_int16(symbols), _to_int16(z)

    def _encode(self, patches: Tensor, at: _AtLevel) -> tuple[Tensor, Tensor]:
        """Patches (N, 192, H/8, W/8) of centred int8 -> symbols and hyperlatent as integral float32."""
        x = self._encoder_input(patches)
        x = at.down16(_run(self._encoder_blocks8, x))
        x = _run(self._encoder_blocks16, x)
        y = at.to_latent(x)
        x = _run(self._encoder_blocks32, self._down32(x))
        x = _run(self._encoder_blocks64, self._down64(x))
        z = at.to_hyper(x).round_().clamp_(-self._z_limit, self._z_limit)
        symbols = self._context(z, y_cells=split_cells(y), symbol_cells=None)[0]
        return join_cells(symbols), z

    @torch.inference_mode()
    def synthesise(self, symbols: NDArray[np.int16], z: NDArray[np.int16], level: float) -> NDArray[np.uint8]:
        """Symbols (N, H/16, W/16, latent) and z (N, H/64, W/64, hyper) -> pixels (N, H, W, 3)."""
        at = self._at(level)
        cells = split_cells(_from_int16(symbols))
        latent = join_cells(self._context(_from_int16(z), y_cells=None, symbol_cells=cells)[1])
        x = latent if at.from_latent is None else _run(self._decoder_blocks16, at.from_latent(latent))
        x = _spread(at.up8(x))
        x = _spread(self._up4(_run(self._decoder_blocks8, x)))
        x = self._output(self._decoder_block4(x)).add_(0.5).clamp_(0, 255.5).to(torch.uint8)
        return np.ascontiguousarray(_spread(x, 4).permute(0, 2, 3, 1).numpy())

    def _context(
        self, z: Tensor, y_cells: list[Tensor] | None, symbol_cells: list[Tensor] | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Four passes over the 2x2 grid: symbols and latents of each position, from y or from the symbols."""
        x = _run(self._context_blocks64, self._context_input(z))
        x = _run(self._context_blocks32, _spread(self._context_up32(x)))
        known = self._context_prior(x)
        symbols: list[Tensor] = []
        latents: list[Tensor] = []
        for k, (first, blocks, last) in enumerate(self._steps):
            mean, log_step = last(_run(blocks, first(known))).chunk(2, 1)
            step = log_step.clamp(-LOG_STEP_LIMIT, LOG_STEP_LIMIT).exp()
            if symbol_cells is None:
                assert y_cells is not None
                symbol = ((y_cells[k] - mean) / step).round_().clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT)
            else:
                symbol = symbol_cells[k]
            symbols.append(symbol)
            latents.append(torch.addcmul(mean, symbol, step))
            if k < 3:
                known = torch.cat([known, latents[k]], 1)
        return symbols, latents


def _patches(pixels: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) -> (N, 192, H/8, W/8) of centred int8, channels ordered (row, column, colour)."""
    n, height, width, _ = pixels.shape
    centred = (pixels ^ np.uint8(PIXEL_CENTRE)).view(np.int8)
    patches = centred.reshape(n, height // 8, 8, width // 8, 8, 3).transpose(0, 1, 3, 2, 4, 5)
    return torch.from_numpy(patches.reshape(n, height // 8, width // 8, 192)).permute(0, 3, 1, 2)


def _to_int16(x: Tensor) -> NDArray[np.int16]:
    """(N, C, H, W) of integral floats -> (N, H, W, C)."""
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).to(torch.int16).numpy())


def _from_int16(x: NDArray[np.int16]) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W) in float32."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).float()
