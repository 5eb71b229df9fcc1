"""Integer arithmetic from the hyperlatent to the entropy table of every latent.

Whatever the entropy decoder needs must come out the same on every machine, thread count and library version,
so this path uses no rounding floating point: weights and activations are integers, and a layer is a matrix
product, a shift and a floor. The products run in float64 because that is where fast kernels are: every
partial sum stays below 2**53, so each is exact and any order of summation gives the same result. The bound is
checked when the weights are loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import WeightsError

TABLE_COUNT = 64  # entropy tables for the latents, from the narrowest to the widest
LOG_SCALE_LOW, LOG_SCALE_HIGH = -3.5, 5.0  # natural logarithm of the scale at the first and the last table
LOG_SCALE_SPACING = (LOG_SCALE_HIGH - LOG_SCALE_LOW) / (TABLE_COUNT - 1)

ACTIVATION_BITS = 10  # fractional bits of an activation
ACTIVATION_LIMIT = 2**20  # activations are clamped to +- this
LEAK_NUMERATOR, LEAK_BITS = 102, 10  # the negative slope, 102/1024
Z_LIMIT = 63  # hyperlatents lie in [-Z_LIMIT, Z_LIMIT]
_SINGLE_THREAD_PRODUCTS = 250_000
_EXACT_LIMIT = 2.0**53  # float64 holds every integer up to here


@dataclass(frozen=True)
class IntegerLayer:
    """A 1x1 convolution in integers: floor((weight @ x + bias) / 2**shift)."""

    weight: NDArray[np.float64]  # (outputs, inputs), integral
    bias: NDArray[np.float64]  # (outputs,), integral; half a unit of the result is already added
    shift: int

    def __post_init__(self) -> None:
        # The products are fastest where the transposed weights lie row by row in memory.
        object.__setattr__(self, "weight", np.asfortranarray(self.weight))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(positions, inputs) of integral float64 -> (positions, outputs) of integral float64, a new array."""
        sums = self._product(x)
        sums += self.bias
        sums *= 2.0**-self.shift
        return np.floor(sums, out=sums)

    def _product(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The product x @ weight.T: a stack of products of a few rows each, and one of the rows left over."""
        (positions, inputs), outputs, rows = x.shape, len(self.weight), self._rows_at_once()
        stacked = positions - positions % rows
        sums = np.empty((positions, outputs))
        stack = x[:stacked].reshape(-1, rows, inputs)
        np.matmul(stack, self.weight.T, out=sums[:stacked].reshape(-1, rows, outputs))
        np.matmul(x[stacked:], self.weight.T, out=sums[stacked:])
        return sums

    def _rows_at_once(self) -> int:
        # The matrix library does not split products this small over threads: tiles already run side by side,
        # and threads that wait for each other are slow on a busy machine. Its inner loops take several rows at a
        # time, so a power of two is faster than a few rows more.
        most = max(1, _SINGLE_THREAD_PRODUCTS // self.weight.size)
        return 1 << (most.bit_length() - 1)

    def check(self, input_limit: int, name: str) -> None:
        """Raise WeightsError unless every partial sum is exact for inputs up to `input_limit`."""
        if (self.weight != np.floor(self.weight)).any() or (self.bias != np.floor(self.bias)).any():
            msg = f"the weights of the scale path's layer {name} are not integers"
            raise WeightsError(msg)
        bound = (np.abs(self.weight).sum(1) * input_limit + np.abs(self.bias)).max()
        if not bound * LEAK_NUMERATOR < _EXACT_LIMIT:
            msg = f"the scale path's layer {name} can overflow exact arithmetic: sums up to {bound:g}"
            raise WeightsError(msg)


class ScalePath:
    """Hyperlatent to table index, in one shot, exactly."""

    def __init__(self, at64: IntegerLayer, at32: IntegerLayer, at16: IntegerLayer):
        at64.check(Z_LIMIT, "at64")
        at32.check(ACTIVATION_LIMIT, "at32")
        at16.check(ACTIVATION_LIMIT, "at16")
        self._at64, self._at32, self._at16 = at64, at32, at16

    def table_indices(self, z: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Hyperlatent (h, w, hyper) in [-63, 63] -> index of the entropy table (4h, 4w, latent), 0..63."""
        height, width, channels = z.shape
        x = z.reshape(-1, channels).astype(np.float64)
        x = _spread(_activate(self._at64(x)), height, width)
        x = _spread(_activate(self._at32(x)), 2 * height, 2 * width)
        x = self._at16(x)
        index = np.clip(x, 0, TABLE_COUNT - 1, out=x).astype(np.uint8)
        return index.reshape(4 * height, 4 * width, -1)


def _activate(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leaky ReLU with a slope of 102/1024, rounded down, and a clamp that keeps the next layer exact.

    Works in place and returns `x`. As `x` is integral, the larger of `x` and the leaked `x`, rounded down, is `x`
    itself from 0 up and the leaked one below 0.
    """
    leaked = x * (LEAK_NUMERATOR * 2.0**-LEAK_BITS)
    np.maximum(x, np.floor(leaked, out=leaked), out=x)
    return np.clip(x, -ACTIVATION_LIMIT, ACTIVATION_LIMIT, out=x)


def _spread(x: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """(height*width, 4C), channels ordered (row, column, C) -> (2*height * 2*width, C)."""
    channels = x.shape[1] // 4
    cells = x.reshape(height, width, 2, 2, channels).transpose(0, 2, 1, 3, 4)
    return np.asarray(cells.reshape(4 * height * width, channels))
