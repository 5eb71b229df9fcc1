"""Converts the trained scale decoder to the integer arithmetic of `pico_core.scale_path`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pico_core.networks.folding import fold_haar_up, matrix
from pico_core.networks.model import ScaleDecoder
from pico_core.scale_path import ACTIVATION_BITS, LOG_SCALE_LOW, LOG_SCALE_SPACING

WEIGHT_BITS = 15  # the largest weight of a layer uses up to this many bits


def integer_scale_path(decoder: ScaleDecoder) -> dict[str, NDArray[Any]]:
    """Arrays `scale.<layer>.{weight,bias,shift}` whose output is the index of the entropy table."""
    with torch.no_grad():
        at64 = fold_haar_up(*matrix(decoder.at64))
        at32 = fold_haar_up(*matrix(decoder.at32))
        weight, bias = matrix(decoder.at16)
        at16 = weight / LOG_SCALE_SPACING, (bias - LOG_SCALE_LOW) / LOG_SCALE_SPACING
    layers = {"at64": (at64, 0, ACTIVATION_BITS), "at32": (at32, ACTIVATION_BITS, ACTIVATION_BITS)}
    layers["at16"] = (at16, ACTIVATION_BITS, 0)
    arrays: dict[str, NDArray[Any]] = {}
    for name, ((weight, bias), bits_in, bits_out) in layers.items():
        for part, array in _quantise(weight.numpy(), bias.numpy(), bits_in, bits_out).items():
            arrays[f"scale.{name}.{part}"] = array
    return arrays


def _quantise(
    weight: NDArray[np.float64], bias: NDArray[np.float64], bits_in: int, bits_out: int
) -> dict[str, NDArray[Any]]:
    """Round a layer to integers: inputs carry `bits_in` fractional bits, outputs `bits_out`."""
    weight_bits = int(WEIGHT_BITS - np.ceil(np.log2(np.abs(weight).max())))
    shift = weight_bits + bits_in - bits_out
    half = 2.0 ** (shift - 1)  # turns the floor of the shift into rounding to nearest
    return {
        "weight": np.rint(weight * 2.0**weight_bits).astype(np.int32),
        "bias": np.rint(bias * 2.0 ** (weight_bits + bits_in) + half).astype(np.int64),
        "shift": np.array([shift], np.int32),
    }


def float_table_indices(decoder: ScaleDecoder, z: NDArray[np.int16]) -> NDArray[np.float64]:
    """What the float scale decoder would choose, before rounding: (h, w, hyper) -> (4h, 4w, latent)."""
    with torch.no_grad():
        x = torch.from_numpy(z.astype(np.float32)).permute(2, 0, 1)[None]
        log_scale = decoder(x)[0].permute(1, 2, 0).double().numpy()
    return np.asarray((log_scale - LOG_SCALE_LOW) / LOG_SCALE_SPACING)
