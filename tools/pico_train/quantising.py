"""From folded networks in floating point to the integers of the format, with ranges seen on photographs.

Every feature map gets a factor for each channel so that what was seen fills its type: int16 with room for twice as
much; uint8 inside the residual blocks that are stored in int8. The factors
vanish in the weights before and behind the map. docs/format.md specifies what the integers then compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from pico_core.arithmetic import GAIN_BITS, LEAK, LEVEL_UNITS, SYMBOL_LIMIT
from pico_core.graph import Graph
from pico_core.reference import to_patches

LOG_STEP_LIMIT = 3.0
STEPS = 769  # entries of the table of steps, from exp(-3) to exp(3)
INT8_BLOCKS = ("decoder.blocks8",)  # all others are stored in int16
_ROOM = 2.0  # how much more than what was seen an int16 feature can hold
_LARGEST_SUM = 2.0**31 / 4
_LARGEST = {np.int8: 63, np.int16: 32_767}  # weights; two products of 255 * 63 still fit 16 bits
_LEAST_SHARE = 1e-3  # the least range of a channel, beside the widest of its map

Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

# Layer -> the feature maps that it reads, and the one that it writes. Names of maps are those of their stage.
WIRING: dict[str, tuple[tuple[str, ...], str | None]] = {
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
_SPREAD = ("scale.at64", "scale.at32", "context.up32", "decoder.up8", "decoder.up4")  # to 2x2 positions
LEVELLED = {  # layers whose results are multiplied by gains: the name of the gains
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

    def add(self, name: str, x: Tensor, parts: int = 1) -> None:
        """Look at a map (..., parts * C) whose parts are maps of C channels."""
        flat = x.reshape(-1, x.shape[-1] // parts)
        low, high = flat.amin(0).numpy(), flat.amax(0).numpy()
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
        self._arrays = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        self.ranges = ranges or Ranges()

    def has(self, name: str) -> bool:
        """Whether the weights have a layer or a block of this name."""
        return f"{name}.weight" in self._arrays

    def empty(self, height: int, width: int, channels: int, like: Tensor) -> Tensor:
        """A map to be filled."""
        return like.new_empty((height, width, channels))

    def join(self, maps: list[Tensor]) -> Tensor:
        """Maps side by side, along their channels."""
        return torch.cat(maps, dim=-1)

    def layer(self, name: str, x: Tensor, *, level: int | None = None, leaky: bool = False) -> Tensor:
        """A 1x1 convolution to features."""
        y = self.values(name, x, level=level)
        y = F.leaky_relu(y, float(LEAK)) if leaky else y
        stage = WIRING[name][1]
        assert stage is not None
        self.ranges.add(stage, y, 4 if name in _SPREAD else 1)
        return y

    def values(self, name: str, x: Tensor, *, level: int | None = None) -> Tensor:
        """A 1x1 convolution to floating-point values."""
        y = self._product(name, x)
        if level is not None:
            gain = self.gain(LEVELLED[name], level)
            y = y * gain.repeat(y.shape[-1] // len(gain))
        self.ranges.add(f"{name}.values", y)
        return y

    def _product(self, name: str, x: Tensor) -> Tensor:
        weight = self._arrays[f"{name}.weight"]
        if weight.ndim == 4:  # (outputs, C, 2, 2), for inputs ordered (row, column, C)
            weight = weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(x, weight, self._arrays[f"{name}.bias"])

    def gain(self, name: str, level: int) -> Tensor:
        """Gains at a level (units of 1/4096), for each channel."""
        table = self._arrays[f"{name}.log_gain"]
        low = min(level // LEVEL_UNITS, len(table) - 2)
        return torch.exp(torch.lerp(table[low], table[low + 1], level / LEVEL_UNITS - low))

    def rounded(self, name: str, x: Tensor, low: int, high: int, *, level: int | None = None) -> Tensor:
        """A 1x1 convolution to integers from `low` to `high`."""
        return self.values(name, x, level=level).round().clamp(low, high)

    def gained(self, name: str, x: Tensor, level: int) -> Tensor:
        """Features or latents, multiplied by gains of a level."""
        y = x * self.gain(name, level)
        self.ranges.add(name, y)
        return y

    def known(self, name: str, x: Tensor) -> Tensor:
        """Latents as a pass of the context model sees them: as they are."""
        self.ranges.add(name, x)
        return x

    def block(self, name: str, x: Tensor) -> Tensor:
        """A residual block."""
        planes = x.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
        weight = self._arrays[f"{name}.spatial.weight"]
        hidden = F.conv2d(planes, weight, padding=1, groups=x.shape[-1])[0].permute(1, 2, 0)
        self.ranges.add(f"{name}.spatial", hidden)
        hidden = F.leaky_relu(self._product(f"{name}.expand", hidden), float(LEAK))
        self.ranges.add(f"{name}.expand", hidden)
        residual = self._product(f"{name}.project", hidden)
        self.ranges.add(f"{name}.project", residual)
        y = x + residual
        self.ranges.add(_stage_of(name), y)
        return y

    def mean_and_step(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and quantisation step of the latents of one pass."""
        mean, log_step = self.values(name, x).chunk(2, dim=-1)
        return mean, log_step.clamp(-LOG_STEP_LIMIT, LOG_STEP_LIMIT).exp()

    def symbol(self, y: Tensor, mean: Tensor, step: Tensor) -> Tensor:
        """The latents y as symbols."""
        return ((y - mean) / step).round().clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT)

    def latent(self, symbol: Tensor, mean: Tensor, step: Tensor) -> Tensor:
        """The latents that symbols stand for."""
        return mean + symbol * step


def _stage_of(block: str) -> str:
    return next(stage for prefix, stage in _STAGES.items() if block.startswith(prefix))


def _matrix(weight: NDArray[Any]) -> NDArray[Any]:
    """(outputs, inputs), or (outputs, C, 2, 2) as (outputs, 4C) with inputs ordered (row, column, C)."""
    return weight if weight.ndim == 2 else weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)


@torch.inference_mode()
def observe(folded: Mapping[str, Floats], photos: Sequence[NDArray[np.uint8]], levels: int) -> Ranges:
    """Run photographs (sides multiples of 64) through the networks, each at every other whole level."""
    arithmetic = FloatArithmetic(folded)
    graph = Graph(arithmetic)
    for index, photo in enumerate(tqdm(photos, desc="looking at ranges", unit="photo")):
        for level in range(index % 2, levels, 2):
            symbols, z = graph.analyse(torch.from_numpy(to_patches(photo)).float(), level * LEVEL_UNITS)
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
        self._steps: dict[str, NDArray[np.float64]] = {}

    def arrays(self) -> Arrays:
        for name, (inputs, output) in WIRING.items():
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
        if stage not in self._steps:
            seen = self._ranges.largest(stage) * _ROOM / 32_767
            self._steps[stage] = np.maximum(seen, self._least_step(stage))
        return self._steps[stage]

    def _least_step(self, stage: str) -> NDArray[np.float64]:
        """So much that the scales of the layers that write a map stay within the format, however little was seen."""
        least = np.zeros(len(self._ranges.largest(stage)))
        for name, (inputs, output) in WIRING.items():
            if output == stage and f"{name}.weight" in self._folded:
                units = np.concatenate([self._step(read) for read in self._inputs(name, inputs)])
                worth = _least_worth(_matrix(self._folded[f"{name}.weight"]) * units, np.int16)
                least = np.maximum(least, worth.reshape(-1, len(least)).max(0) / _most_scale(np.int16))
        for name in self._blocks_of(stage):
            weight = self._folded[f"{name}.project.weight"] * self._hidden(f"{name}.expand")[0]
            least = np.maximum(least, _least_worth(weight, self._kind(name)) / _most_scale(self._kind(name)))
        return least

    def _inputs(self, name: str, inputs: tuple[str, ...]) -> tuple[str, ...]:
        has_blocks = name == "decoder.up8" and "decoder.from_latent.weight" in self._folded
        return ("decoder.16",) if has_blocks else inputs

    def _blocks_of(self, stage: str) -> list[str]:
        names = (n.removesuffix(".spatial.weight") for n in self._folded if n.endswith(".spatial.weight"))
        return sorted(name for name in names if _stage_of(name) == stage)

    def _kind(self, name: str) -> Any:
        return np.int8 if name.startswith(INT8_BLOCKS) else np.int16

    def _gains(self, name: str, units: NDArray[np.float64]) -> None:
        """Binary logarithms of gains, with the step from one map's units to another's in them."""
        logs = self._folded[f"{name}.log_gain"].astype(np.float64) / np.log(2) + np.log2(units)
        self._result[name] = np.rint(logs * 2**GAIN_BITS).astype(np.int32)

    def _layer(self, name: str, inputs: tuple[str, ...], output: str | None) -> None:
        weight = _matrix(self._folded[f"{name}.weight"]).astype(np.float64)
        bias = self._folded[f"{name}.bias"].astype(np.float64)
        if name.startswith("context.step") and output is None:  # the table of steps begins at exp(-limit)
            bias[len(bias) // 2 :] += LOG_STEP_LIMIT
        units = np.concatenate([self._step(stage) for stage in self._inputs(name, inputs)])
        seen = np.maximum(self._ranges.largest(f"{name}.values"), np.abs(bias))
        if name in LEVELLED:  # what was seen has the gains in it
            least = np.exp(self._folded[f"{LEVELLED[name]}.log_gain"].min(0))
            seen = seen / np.tile(least, len(seen) // len(least))
        integers, offset, worth = _rounded_layer(weight * units, bias, seen, np.int16)
        self._result[f"{name}.weight"], self._result[f"{name}.bias"] = integers, offset
        out = self._worth_of_output(name, output, len(bias))
        if name in LEVELLED:
            logs = self._folded[f"{LEVELLED[name]}.log_gain"].astype(np.float64) / np.log(2)
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
        kind = self._kind(name)
        stream = self._step(_stage_of(name))
        spatial_unit, spatial_zero = self._hidden(f"{name}.spatial")
        hidden_unit, hidden_zero = self._hidden(f"{name}.expand")
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

    def _hidden(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """What one unit of a hidden map is worth, and the integer that stands for zero, for each channel."""
        largest, kind, block = self._ranges.largest(name), self._kind(name), name.rpartition(".")[0]
        least = np.zeros(len(largest))
        if name.endswith(".expand"):
            weight = self._folded[f"{name}.weight"] * self._hidden(f"{block}.spatial")[0]
            least = _least_worth(weight, kind) / _most_scale(kind)
        if kind is np.int16:
            return np.maximum(largest * _ROOM / 32_767, least), np.zeros(len(largest), np.int64)
        seen = self._ranges.seen[name]
        low = np.minimum(seen.low.astype(np.float64), 0)
        high = np.maximum(seen.high.astype(np.float64), 0)
        unit = np.maximum(np.maximum(high - low, largest * _LEAST_SHARE) / 255, least)
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
    worth = _least_worth(weight, kind)
    if kind is np.int16:
        worth = np.maximum(worth, seen / _LARGEST_SUM)
    integers = np.rint(weight / worth[:, None]).astype(kind)
    return integers, np.rint(bias / worth).astype(np.int32), worth


def _most_scale(kind: Any) -> float:
    """The format allows 1/2 for layers of int16 and 64 for those of int8."""
    return 0.4 if kind is np.int16 else 50.0


def _least_worth(weight: NDArray[Any], kind: Any) -> NDArray[np.float64]:
    """What a unit of the sums must be worth for the weights to fit their type, for each output."""
    return np.asarray(np.maximum(np.abs(weight).max(1), 1e-30) / _LARGEST[kind], np.float64)


def _shift(weight: NDArray[np.float64]) -> int:
    """The largest shift with which depthwise weights (3, 3, C) fit int16, and their sums int32."""
    most = max(float(np.abs(weight).max()), 1e-30) / 32_767
    sums = max(float(np.abs(weight).sum((0, 1)).max()), 1e-30) / 65_535
    return int(np.clip(np.floor(-np.log2(max(most, sums))), 1, 20))
