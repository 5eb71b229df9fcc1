"""The inverse of `quantising`: networks in floating point that compute what the integers of a weights file compute.

The integers do not tell what a feature map was worth in training. Here a unit of int16 features is worth 1/4096, and
one of uint8 inside a block 1/64, so that all maps hold numbers of a few units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pico_core.arithmetic import BLOCK_ARRAYS, GAIN_BITS

from .networks.folding import bands_to_pixels
from .quantising import LEVELLED, LOG_STEP_LIMIT, STEPS, WIRING, Floats

_UNIT = 2.0**-12  # of features
_NARROW_UNIT = 2.0**-6  # of uint8 inside a block
_LOG2 = np.log(2.0) / 2**GAIN_BITS
_SIDES = {"encoder.down16", "encoder.down32", "encoder.down64"}  # layers with a kernel of 2x2

Doubles = NDArray[np.float64]


def dequantise(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Folded arrays, as `networks.folding` names them, of the integer arrays of a weights file."""
    return {name: array.astype(np.float32) for name, array in _Dequantiser(arrays).folded().items()}


class _Dequantiser:
    def __init__(self, arrays: Mapping[str, NDArray[Any]]):
        self._arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
        self._is_narrow = {name for name, array in arrays.items() if array.dtype == np.int8}
        self._result: dict[str, Doubles] = {}

    def folded(self) -> dict[str, Doubles]:
        for name, (inputs, output) in WIRING.items():
            if f"{name}.weight" in self._arrays:
                self._layer(name, inputs, output)
        for name in self._arrays:
            if name.endswith(".spatial.weight"):
                self._block(name.removesuffix(".spatial.weight"))
        self._result["encoder.gain8.log_gain"] = self._arrays["encoder.gain8"] * _LOG2
        self._result["decoder.gain_latent.log_gain"] = self._arrays["decoder.gain_latent"] * _LOG2 + np.log(
            _UNIT
        )
        self._restore_units_of_patches()
        return self._result

    def _restore_units_of_patches(self) -> None:
        """The last layer is a fixed transform in training: give the map before it the units that make it so."""
        fixed, found = (
            255 * bands_to_pixels().numpy(),
            self._result["decoder.output.weight"].T,
        )  # (48 bands, 48 pixels)
        units = (fixed * found).sum(1) / (fixed * fixed).sum(1)
        result = self._result
        result["decoder.output.weight"] = found.T / units
        for part in ("weight", "bias"):
            up4, project = result[f"decoder.up4.{part}"], result[f"decoder.block4.project.{part}"]
            rows = (-1,) + (1,) * (up4.ndim - 1)
            result[f"decoder.up4.{part}"] = up4 * np.tile(units, len(up4) // len(units)).reshape(rows)
            result[f"decoder.block4.project.{part}"] = project * units.reshape(rows)
        result["decoder.block4.spatial.weight"] = (
            result["decoder.block4.spatial.weight"] / units[:, None, None, None]
        )

    def _layer(self, name: str, inputs: tuple[str, ...], output: str | None) -> None:
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        worth = self._worth_of_sums(name) * (1.0 if output is None else _UNIT)
        weight = weight * worth[:, None] / self._units_of_inputs(name, inputs)
        bias = bias * worth
        if (
            name.startswith("context.step") and output is None
        ):  # the second half are places in a table of steps
            half, spacing = len(bias) // 2, 2 * LOG_STEP_LIMIT / (STEPS - 1)
            weight[half:] *= spacing
            bias[half:] = bias[half:] * spacing - LOG_STEP_LIMIT
        if name in _SIDES:
            weight = weight.reshape(len(weight), 2, 2, -1).transpose(0, 3, 1, 2)
        self._result[f"{name}.weight"], self._result[f"{name}.bias"] = weight, bias

    def _units_of_inputs(self, name: str, inputs: tuple[str, ...]) -> Doubles:
        """What one unit of each input is worth."""
        if inputs[0] in ("pixels", "z"):
            return np.ones(self._arrays[f"{name}.weight"].shape[1])
        if not name.endswith(".input"):
            return np.full(self._arrays[f"{name}.weight"].shape[1], _UNIT)
        prior = np.full(len(self._arrays["context.prior.bias"]), _UNIT)
        known = [1 / self._arrays[stage] for stage in inputs[1:]]  # latents are what they are
        return np.concatenate([prior, *known])

    def _worth_of_sums(self, name: str) -> Doubles:
        """What a unit of a layer's sums is worth in units of its results, without the gain of the level."""
        if name not in LEVELLED:
            return self._arrays[f"{name}.scale"]
        logs = self._arrays[f"{name}.gain"] * _LOG2
        channels = self._channels_of_gain(name, logs.shape[1])
        # The gains of a channel are the same for all its results; what differs between results is their worth.
        gain = logs[:, :channels] - logs[:, :channels].mean(0)
        self._result[f"{LEVELLED[name]}.log_gain"] = gain
        return np.asarray(np.exp((logs - np.tile(gain, logs.shape[1] // channels)).mean(0)))

    def _channels_of_gain(self, name: str, outputs: int) -> int:
        return outputs // 4 if name == "decoder.up8" else outputs

    def _block(self, name: str) -> None:
        part = {key: self._arrays[f"{name}.{key}"] for key in BLOCK_ARRAYS}
        is_narrow = f"{name}.expand.weight" in self._is_narrow
        unit = _NARROW_UNIT if is_narrow else _UNIT
        shift = int(part["spatial.shift"][0])
        zero = np.floor(part["spatial.bias"] * 2.0**-shift)
        spatial = part["spatial.weight"].reshape(3, 3, -1) * 2.0**-shift * (unit / _UNIT)
        self._result[f"{name}.spatial.weight"] = spatial.transpose(2, 0, 1)[:, None]
        for inner, zeros, ratio in (("expand", zero, 1.0), ("project", part["expand.zero"], _UNIT / unit)):
            weight, scale = part[f"{inner}.weight"], part[f"{inner}.scale"]
            bias = part[f"{inner}.bias"] + weight @ zeros
            self._result[f"{name}.{inner}.weight"] = weight * scale[:, None] * ratio
            self._result[f"{name}.{inner}.bias"] = bias * scale * (unit * ratio)
