"""From folded networks in floating point to the integers of the format, with ranges seen on photographs.

Every feature map gets a factor for each channel so that what was seen fills its type: int16 with room for twice as
much; uint8 inside the residual blocks that are stored in int8, where the farthest outliers are cut off. The factors
vanish in the weights before and behind the map. docs/format.md specifies what the integers then compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pico_core.arithmetic import GAIN_BITS, LEAK, LEVEL_UNITS, SYMBOL_LIMIT
from pico_core.graph import PIXEL_CENTRE, Graph
from pico_core.scale_path import TABLE_COUNT, Z_LIMIT

LOG_STEP_LIMIT = 3.0
STEPS = 769  # entries of the table of steps, from exp(-3) to exp(3)
INT8_BLOCKS = ("decoder.blocks8",)  # all others are stored in int16
_ROOM = 2.0  # how much more than what was seen an int16 feature can hold
_CUT = 0.7  # the part of a channel's range that uint8 covers
_LARGEST_SUM = 2.0**31 / 4
_LARGEST = {np.int8: 63, np.int16: 32_767}  # weights; two products of 255 * 63 still fit 16 bits
_LEAST_SHARE = 1e-3  # the least range of a channel, beside the widest of its map

Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

# Layer -> the feature maps that it reads, and the one that it writes. Names of maps are those of their stage.
_WIRING: dict[str, tuple[tuple[str, ...], str | None]] = {
    "encoder.input": (("pixels",), "encoder.8"),
    "encoder.down16": (("encoder.gain8",) * 4, "encoder.16"),
    "encoder.to_latent": (("encoder.16",), None),
    "encoder.down32": (("encoder.16",) * 4, "encoder.32"),
    "encoder.down64": (("encoder.32",) * 4, "encoder.64"),
    "encoder.to_hyper": (("encoder.64",), None),
    "scale.at64": (("z",), "scale.32"),
    "scale.at32": (("scale.32",), "scale.16"),
    "scale.at16": (("scale.16",), None),
    "context.input": (("z",), "context.64"),
    "context.up32": (("context.64",), "context.32"),
    "context.prior": (("context.32",), "context.prior"),
    **{
        f"context.step{k}.input": (
            ("context.prior", *(f"context.known{i}" for i in range(k))),
            f"context.step{k}",
        )
        for k in range(4)
    },
    **{f"context.step{k}.output": ((f"context.step{k}",), None) for k in range(4)},
    "decoder.from_latent": (("decoder.gain_latent",), "decoder.16"),
    "decoder.up8": (("decoder.gain_latent",), "decoder.8"),
    "decoder.up4": (("decoder.8",), "decoder.4"),
    "decoder.output": (("decoder.4",), None),
}
_STAGES = {  # of the residual blocks
    "encoder.blocks8": "encoder.8",
    "encoder.blocks16": "encoder.16",
    "encoder.blocks32": "encoder.32",
    "encoder.blocks64": "encoder.64",
    "context.blocks64": "context.64",
    "context.blocks32": "context.32",
    **{f"context.step{k}.blocks": f"context.step{k}" for k in range(4)},
    "decoder.blocks16": "decoder.16",
    "decoder.blocks8": "decoder.8",
    "decoder.block4": "decoder.4",
}
_LEVELLED = {  # layers whose results are multiplied by gains: the name of the gains
    "encoder.to_latent": "encoder.gain_latent",
    "encoder.to_hyper": "encoder.gain_hyper",
    "decoder.up8": "decoder.gain8",
}


@dataclass
class _Range:
    """The least and the greatest value of every channel."""

    low: Floats
    high: Floats

    def add(self, low: Floats, high: Floats) -> None:
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest magnitude, and no channel's far below the others'."""
        most = np.maximum(-self.low, self.high).astype(np.float64)
        return np.maximum(most, _LEAST_SHARE * max(float(most.max()), 1e-6))


@dataclass
class Ranges:
    """What each feature map held, by name."""

    seen: dict[str, _Range] = field(default_factory=dict)

    def add(self, name: str, x: Floats, parts: int = 1) -> None:
        """Look at a map (..., parts * C) whose parts are maps of C channels."""
        flat = x.reshape(-1, x.shape[-1] // parts)
        low, high = flat.min(0), flat.max(0)
        if name in self.seen:
            self.seen[name].add(low, high)
        else:
            self.seen[name] = _Range(low.copy(), high.copy())

    def largest(self, name: str) -> NDArray[np.float64]:
        """The largest magnitude in every channel of a map."""
        return self.seen[name].largest


class FloatArithmetic:
    """The networks in float32, as they were trained (`graph.Arithmetic`); notes the ranges of what they compute."""

    def __init__(self, arrays: Mapping[str, Floats], ranges: Ranges | None = None):
        self._arrays, self.ranges = arrays, ranges or Ranges()

    def has(self, name: str) -> bool:
        return f"{name}.weight" in self._arrays

    def empty(self, height: int, width: int, channels: int, like: Floats) -> Floats:
        return np.empty((height, width, channels), np.float32)

    def join(self, maps: list[Floats]) -> Floats:
        return np.concatenate(maps, axis=-1)

    def layer(self, name: str, x: Floats, *, level: int | None = None, leaky: bool = False) -> Floats:
        y = self.values(name, x, level=level)
        y = np.maximum(y, y * LEAK) if leaky else y
        stage = _WIRING[name][1]
        assert stage is not None
        self.ranges.add(stage, y, 4 if _is_spread(name) else 1)
        return y

    def values(self, name: str, x: Floats, *, level: int | None = None) -> Floats:
        y = self._product(name, x)
        if level is not None:
            gain = self.gain(_LEVELLED[name], level)
            y = y * np.tile(gain, y.shape[-1] // len(gain))
        self.ranges.add(f"{name}.values", y)
        return y

    def _product(self, name: str, x: Floats) -> Floats:
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        return x.astype(np.float32, copy=False) @ _matrix(weight).T + bias

    def gain(self, name: str, level: int) -> Floats:
        table = self._arrays[f"{name}.log_gain"]
        low = min(level // LEVEL_UNITS, len(table) - 2)
        part = np.float32(level / LEVEL_UNITS - low)
        return np.asarray(np.exp(table[low] * (1 - part) + table[low + 1] * part), np.float32)

    def rounded(self, name: str, x: Floats, low: int, high: int, *, level: int | None = None) -> Floats:
        return np.clip(np.rint(self.values(name, x, level=level)), low, high)

    def gained(self, name: str, x: Floats, level: int) -> Floats:
        y = x * self.gain(name, level)
        self.ranges.add(name, y)
        return y

    def known(self, name: str, x: Floats) -> Floats:
        self.ranges.add(name, x)
        return x

    def block(self, name: str, x: Floats) -> Floats:
        height, width, _ = x.shape
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        weight = self._arrays[f"{name}.spatial.weight"]  # (C, 1, 3, 3)
        hidden = sum(
            padded[row : row + height, column : column + width] * weight[:, 0, row, column]
            for row in range(3)
            for column in range(3)
        )
        assert not isinstance(hidden, int)
        self.ranges.add(f"{name}.spatial", hidden)
        hidden = self._product(f"{name}.expand", hidden)
        hidden = np.maximum(hidden, hidden * LEAK)
        self.ranges.add(f"{name}.expand", hidden)
        residual = self._product(f"{name}.project", hidden)
        self.ranges.add(f"{name}.project", residual)
        y = x + residual
        self.ranges.add(_stage_of(name), y)
        return y

    def mean_and_step(self, name: str, x: Floats) -> tuple[Floats, Floats]:
        mean, log_step = np.split(self.values(name, x), 2, axis=-1)
        return mean, np.exp(np.clip(log_step, -LOG_STEP_LIMIT, LOG_STEP_LIMIT))

    def symbol(self, y: Floats, mean: Floats, step: Floats) -> Floats:
        return np.clip(np.rint((y - mean) / step), -SYMBOL_LIMIT, SYMBOL_LIMIT)

    def latent(self, symbol: Floats, mean: Floats, step: Floats) -> Floats:
        return mean + symbol * step


def _stage_of(block: str) -> str:
    return next(stage for prefix, stage in _STAGES.items() if block.startswith(prefix))


def _is_spread(name: str) -> bool:
    return name in ("scale.at64", "scale.at32", "context.up32", "decoder.up8", "decoder.up4")


def _matrix(weight: NDArray[Any]) -> NDArray[Any]:
    """(outputs, inputs), or (outputs, C, 2, 2) as (outputs, 4C) with inputs ordered (row, column, C)."""
    return weight if weight.ndim == 2 else weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)


def patches(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(H, W, 3) -> (H/8, W/8, 192) less 128, channels ordered (row, column, colour)."""
    height, width, _ = pixels.shape
    cells = pixels.reshape(height // 8, 8, width // 8, 8, 3).transpose(0, 2, 1, 3, 4)
    return cells.reshape(height // 8, width // 8, 192).astype(np.int16) - PIXEL_CENTRE


def observe(folded: Mapping[str, Floats], photos: Iterable[NDArray[np.uint8]], levels: int) -> Ranges:
    """Run photographs (sides multiples of 64) through the networks, at every whole level."""
    arithmetic = FloatArithmetic(folded)
    latent = folded["encoder.to_latent.weight"].shape[0]
    graph = Graph(arithmetic, latent, Z_LIMIT, TABLE_COUNT)
    for index, photo in enumerate(tqdm(list(photos), desc="looking at ranges", unit="photo")):
        for level in range(index % 2, levels, 2):
            symbols, z = graph.analyse(patches(photo).astype(np.float32), level * LEVEL_UNITS)
            graph.table_indices(z)
            graph.synthesise(symbols, z, level * LEVEL_UNITS)
    return arithmetic.ranges


def quantise(folded: Mapping[str, Floats], ranges: Ranges) -> Arrays:
    """The integer arrays of a weights file from the folded networks and the ranges of their feature maps."""
    return _Quantiser(folded, ranges).arrays()


class _Quantiser:
    def __init__(self, folded: Mapping[str, Floats], ranges: Ranges):
        self._folded, self._ranges = folded, ranges
        self._result: Arrays = {}

    def arrays(self) -> Arrays:
        for name, (inputs, output) in _WIRING.items():
            if f"{name}.weight" in self._folded:
                self._layer(name, inputs, output)
        for name in sorted(self._folded):
            if name.endswith(".spatial.weight"):
                self._block(name.removesuffix(".spatial.weight"))
        self._gains("encoder.gain8", self._step("encoder.8") / self._step("encoder.gain8"))
        self._gains("decoder.gain_latent", 1 / self._step("decoder.gain_latent"))
        for k in range(3):
            name = f"context.known{k}"
            self._result[name] = (1 / self._step(name)).astype(np.float32)
        logs = np.linspace(-LOG_STEP_LIMIT, LOG_STEP_LIMIT, STEPS)
        self._result["tables.step"] = np.exp(logs).astype(np.float32)
        return self._result

    def _step(self, stage: str) -> NDArray[np.float64]:
        """What one unit of a feature map is worth, for each channel."""
        if stage in ("pixels", "z"):
            return np.ones(192 if stage == "pixels" else self._folded["context.input.weight"].shape[1])
        return self._ranges.largest(stage) * _ROOM / 32_767

    def _gains(self, name: str, units: NDArray[np.float64]) -> None:
        """Binary logarithms of gains, with the step from one map's units to another's in them."""
        logs = self._folded[f"{name}.log_gain"].astype(np.float64) / np.log(2) + np.log2(units)
        self._result[name] = np.rint(logs * 2**GAIN_BITS).astype(np.int32)

    def _layer(self, name: str, inputs: tuple[str, ...], output: str | None) -> None:
        if name == "decoder.up8" and "decoder.from_latent.weight" in self._folded:
            inputs = ("decoder.16",)
        weight = _matrix(self._folded[f"{name}.weight"]).astype(np.float64)
        bias = self._folded[f"{name}.bias"].astype(np.float64)
        if name.startswith("context.step") and output is None:  # the table of steps begins at exp(-limit)
            bias[len(bias) // 2 :] += LOG_STEP_LIMIT
        units = np.concatenate([self._step(stage) for stage in inputs])
        seen = np.maximum(self._ranges.largest(f"{name}.values"), np.abs(bias))
        if name in _LEVELLED:  # what was seen has the gains in it
            least = np.exp(self._folded[f"{_LEVELLED[name]}.log_gain"].min(0))
            seen = seen / np.tile(least, len(seen) // len(least))
        integers, offset, worth = _rounded_layer(weight * units, bias, seen, np.int16)
        self._result[f"{name}.weight"], self._result[f"{name}.bias"] = integers, offset
        out = self._worth_of_output(name, output, len(bias))
        if name in _LEVELLED:
            logs = self._folded[f"{_LEVELLED[name]}.log_gain"].astype(np.float64) / np.log(2)
            logs = np.tile(logs, len(bias) // logs.shape[1]) + np.log2(worth / out)
            self._result[f"{name}.gain"] = np.rint(logs * 2**GAIN_BITS).astype(np.int32)
        else:
            self._result[f"{name}.scale"] = (worth / out).astype(np.float32)

    def _worth_of_output(self, name: str, output: str | None, outputs: int) -> NDArray[np.float64]:
        """What one unit of a layer's result is worth, for each channel."""
        if output is None:
            result = np.ones(outputs)
            if name.startswith("context.step"):  # the second half are places in the table of steps
                result[outputs // 2 :] = 2 * LOG_STEP_LIMIT / (STEPS - 1)
            return result
        step = self._step(output)
        return np.tile(step, outputs // len(step))

    def _block(self, name: str) -> None:
        kind: Any = np.int8 if name.startswith(INT8_BLOCKS) else np.int16
        stream = self._step(_stage_of(name))
        spatial_unit, spatial_zero = self._hidden(f"{name}.spatial", kind)
        hidden_unit, hidden_zero = self._hidden(f"{name}.expand", kind)
        weight = self._folded[f"{name}.spatial.weight"].astype(np.float64)[:, 0].transpose(1, 2, 0)
        weight = weight * stream / spatial_unit
        shift = _shift(weight)
        result = self._result
        result[f"{name}.spatial.weight"] = np.rint(weight * 2.0**shift).astype(np.int16)
        result[f"{name}.spatial.bias"] = ((spatial_zero << shift) + (1 << shift >> 1)).astype(np.int32)
        result[f"{name}.spatial.shift"] = np.array([shift], np.int32)
        self._inner(f"{name}.expand", spatial_unit, spatial_zero, hidden_unit, kind)
        result[f"{name}.expand.zero"] = hidden_zero.astype(np.int32)
        self._inner(f"{name}.project", hidden_unit, hidden_zero, stream, kind)

    def _hidden(self, name: str, kind: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """What one unit of a hidden map is worth, and the integer that stands for zero, for each channel."""
        largest = self._ranges.largest(name)
        if kind is np.int16:
            return largest * _ROOM / 32_767, np.zeros(len(largest), np.int64)
        seen = self._ranges.seen[name]
        low = np.minimum(seen.low.astype(np.float64), 0) * _CUT
        high = np.maximum(seen.high.astype(np.float64), 0) * _CUT
        unit = np.maximum(high - low, largest * _LEAST_SHARE) / 255
        return unit, np.rint(-low / unit).astype(np.int64)

    def _inner(
        self,
        name: str,
        units: NDArray[np.float64],
        zeros: NDArray[np.int64],
        out: NDArray[np.float64],
        kind: Any,
    ) -> None:
        """A 1x1 convolution inside a block."""
        weight = self._folded[f"{name}.weight"].astype(np.float64) * units
        bias = self._folded[f"{name}.bias"].astype(np.float64)
        seen = np.maximum(self._ranges.largest(name), np.abs(bias)) * (10 if name.endswith("expand") else 1)
        integers, offset, worth = _rounded_layer(weight, bias, seen, kind)
        offset = (offset - integers.astype(np.int64) @ zeros).astype(np.int32)
        self._result[f"{name}.weight"], self._result[f"{name}.bias"] = integers, offset
        self._result[f"{name}.scale"] = (worth / out).astype(np.float32)


def _rounded_layer(
    weight: NDArray[np.float64], bias: NDArray[np.float64], seen: NDArray[np.float64], kind: Any
) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.float64]]:
    """Integer weights, integer bias, and what a unit of their sums is worth, for each output."""
    largest = np.abs(weight).max(1)
    worth = np.maximum(largest, 1e-30) / _LARGEST[kind]
    if kind is np.int16:
        worth = np.maximum(worth, seen / _LARGEST_SUM)
    integers = np.rint(weight / worth[:, None]).astype(kind)
    return integers, np.rint(bias / worth).astype(np.int32), worth


def _shift(weight: NDArray[np.float64]) -> int:
    """The largest shift with which depthwise weights (3, 3, C) fit int16, and their sums int32."""
    most = max(float(np.abs(weight).max()), 1e-30) / 32_767
    sums = max(float(np.abs(weight).sum((0, 1)).max()), 1e-30) / 65_535
    return int(np.clip(np.floor(-np.log2(max(most, sums))), 1, 20))


def scale_layers(decoder: Any) -> dict[str, Floats]:
    """The folded layers of a scale decoder, whose output is the index of an entropy table."""
    from pico_core.networks.folding import fold_haar_up, matrix
    from pico_core.scale_path import LOG_SCALE_LOW, LOG_SCALE_SPACING

    layers = {"at64": fold_haar_up(*matrix(decoder.at64)), "at32": fold_haar_up(*matrix(decoder.at32))}
    weight, bias = matrix(decoder.at16)
    layers["at16"] = (weight / LOG_SCALE_SPACING, (bias - LOG_SCALE_LOW) / LOG_SCALE_SPACING)
    result = {}
    for name, (w, b) in layers.items():
        result[f"scale.{name}.weight"] = w.detach().float().numpy()
        result[f"scale.{name}.bias"] = b.detach().float().numpy()
    return result
