"""The arithmetic of the format in numpy: short, exact, slow. docs/format.md specifies the same in words.

Products are sums of integers, taken modulo 2^32. All else is one float32 operation at a time, rounded to the nearest
(IEEE 754), so every machine gets the same bits. Integers are multiplied as floats where that is exact: every sum of
products stays below 2^24 in float32, or below 2^53 in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAK = np.float32(0.1)  # negative slope of the leaky ReLU
SYMBOL_LIMIT = 32_767
LEVEL_UNITS = 4096  # units in a level
GAIN_BITS = 16  # fractional bits of the binary logarithms of gains
_INT16 = (-32_768, 32_767)
_EXP2 = (
    1.0,
    0.6931471805599453,
    0.2402265069591007,
    0.05550410866482158,
    0.009618129107628477,
    0.0013333558146428443,
    0.00015403530393381608,
    1.525273380405984e-05,
)  # ln(2)^k / k!

Arrays = Mapping[str, NDArray[Any]]
Integers = NDArray[Any]
Floats = NDArray[np.float32]


def product(x: Integers, weight: Integers, bias: NDArray[np.int32]) -> NDArray[np.int32]:
    """X (..., inputs) times weight (outputs, inputs), plus bias, modulo 2^32."""
    exact = np.float32 if weight.dtype == np.int8 else np.float64
    sums = (x.astype(exact) @ weight.T.astype(exact)).astype(np.int64) + bias
    return np.asarray(sums.astype(np.int32))  # keeps the low 32 bits


def depthwise(x: NDArray[np.int16], weight: NDArray[np.int16], bias: NDArray[np.int32]) -> NDArray[np.int32]:
    """X (h, w, C) with zeros around it, and weight (3, 3, C): the sums of the 3x3 neighbours, modulo 2^32."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0))).astype(np.int64)
    sums = np.broadcast_to(bias.astype(np.int64), x.shape).copy()
    for row in range(3):
        for column in range(3):
            sums += padded[row : row + height, column : column + width] * weight[row, column]
    return sums.astype(np.int32)


def scaled(sums: NDArray[np.int32], scale: Floats) -> Floats:
    """Sums as float32, times a factor for each channel."""
    return sums.astype(np.float32) * scale


def leaked(x: Floats) -> Floats:
    """Leaky ReLU."""
    return np.asarray(np.maximum(x, x * LEAK))


def clamped(x: Floats, low: int, high: int) -> NDArray[np.int16]:
    """The nearest integers (halves to even) within the limits."""
    return np.rint(np.clip(x, np.float32(low), np.float32(high))).astype(np.int16)


def gains(table: NDArray[np.int32], level: int) -> Floats:
    """Gains at a level (units of 1/4096) from the binary logarithms at whole levels, (levels, C) -> (C,)."""
    low = min(level // LEVEL_UNITS, len(table) - 2)
    part = level - low * LEVEL_UNITS
    logarithm = table[low].astype(np.int64) * (LEVEL_UNITS - part) + table[low + 1].astype(np.int64) * part
    bits = GAIN_BITS + 12
    whole, rest = logarithm >> bits, logarithm & ((1 << bits) - 1)
    fraction = rest.astype(np.float64) * 2.0**-bits
    power = np.full(fraction.shape, _EXP2[-1])
    for coefficient in _EXP2[-2::-1]:
        power = power * fraction + coefficient
    return np.asarray(np.ldexp(power, whole.astype(np.int32)), np.float32)


class ExactArithmetic:
    """The format's arithmetic over the arrays of a weights file (`graph.Arithmetic`)."""

    def __init__(self, arrays: Arrays):
        self._arrays = arrays

    def has(self, name: str) -> bool:
        """Whether the weights have a layer or a block of this name."""
        return f"{name}.weight" in self._arrays

    def empty(self, height: int, width: int, channels: int, like: Integers) -> Integers:
        """A map to be filled, of the kind of another one."""
        return np.empty((height, width, channels), like.dtype)

    def join(self, maps: list[Integers]) -> Integers:
        """Maps side by side, along their channels."""
        return np.concatenate(maps, axis=-1)

    def layer(
        self, name: str, x: Integers, *, level: int | None = None, leaky: bool = False
    ) -> NDArray[np.int16]:
        """A 1x1 convolution to features, int16."""
        values = self.values(name, x, level=level)
        return clamped(leaked(values) if leaky else values, *_INT16)

    def values(self, name: str, x: Integers, *, level: int | None = None) -> Floats:
        """A 1x1 convolution to float32."""
        sums = product(x, self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"])
        if level is None:
            return scaled(sums, self._arrays[f"{name}.scale"])
        return scaled(sums, gains(self._arrays[f"{name}.gain"], level))

    def rounded(
        self, name: str, x: Integers, low: int, high: int, *, level: int | None = None
    ) -> NDArray[np.int16]:
        """A 1x1 convolution to integers from `low` to `high`."""
        return clamped(self.values(name, x, level=level), low, high)

    def gained(self, name: str, x: Integers | Floats, level: int) -> NDArray[np.int16]:
        """Features or latents, multiplied by gains of a level, as features."""
        return clamped(x.astype(np.float32) * gains(self._arrays[name], level), *_INT16)

    def known(self, name: str, x: Floats) -> NDArray[np.int16]:
        """Latents as the features that a pass of the context model sees."""
        return clamped(x * self._arrays[name], *_INT16)

    def block(self, name: str, x: NDArray[np.int16]) -> NDArray[np.int16]:
        """A residual block whose hidden features are uint8 or int16, as the type of its weights says."""
        part = {kind: self._arrays[f"{name}.{kind}"] for kind in BLOCK_ARRAYS}
        low, high = (0, 255) if part["expand.weight"].dtype == np.int8 else _INT16
        spatial = depthwise(x, part["spatial.weight"], part["spatial.bias"]) >> int(part["spatial.shift"][0])
        hidden = np.clip(spatial, low, high)
        sums = product(hidden, part["expand.weight"], part["expand.bias"])
        active = np.rint(leaked(scaled(sums, part["expand.scale"]))).astype(np.int32)
        hidden = np.clip(active + part["expand.zero"], low, high)
        sums = product(hidden, part["project.weight"], part["project.bias"])
        residual = clamped(scaled(sums, part["project.scale"]), *_INT16)
        return np.asarray(np.clip(x.astype(np.int32) + residual, *_INT16), np.int16)

    def mean_and_step(self, name: str, x: NDArray[np.int16]) -> tuple[Floats, Floats]:
        """Mean and quantisation step of the latents of one pass."""
        values = self.values(name, x)
        half = values.shape[-1] // 2
        steps = self._arrays["tables.step"]
        return values[..., :half], steps[clamped(values[..., half:], 0, len(steps) - 1)]

    def symbol(self, y: Floats, mean: Floats, step: Floats) -> NDArray[np.int16]:
        """The latents y as symbols."""
        return clamped((y - mean) / step, -SYMBOL_LIMIT, SYMBOL_LIMIT)

    def latent(self, symbol: NDArray[np.int16], mean: Floats, step: Floats) -> Floats:
        """The latents that symbols stand for."""
        return mean + symbol.astype(np.float32) * step


BLOCK_ARRAYS = (
    "spatial.weight",
    "spatial.bias",
    "spatial.shift",
    "expand.weight",
    "expand.bias",
    "expand.scale",
    "expand.zero",
    "project.weight",
    "project.bias",
    "project.scale",
)
