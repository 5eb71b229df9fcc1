"""The entropy coder's side information is integer arithmetic: the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pico_core import registry
from pico_core.codec import LearnedCodec
from pico_core.errors import WeightsError
from pico_core.registry import Weights
from pico_core.scale_path import (
    ACTIVATION_LIMIT,
    LEAK_BITS,
    LEAK_NUMERATOR,
    TABLE_COUNT,
    Z_LIMIT,
    IntegerLayer,
    ScalePath,
)


def reference_indices(weights: Weights, z: list[int]) -> list[list[list[int]]]:
    """Table indices (4, 4, latent) of one hyperlatent position, in Python integers and nothing else."""

    def layer(name: str, x: list[int]) -> list[int]:
        matrix, bias = weights.arrays[f"scale.{name}.weight"].tolist(), weights.arrays[f"scale.{name}.bias"]
        shift = int(weights.arrays[f"scale.{name}.shift"][0])
        return [
            (sum(w * v for w, v in zip(row, x, strict=True)) + int(b)) >> shift
            for row, b in zip(matrix, bias.tolist(), strict=True)
        ]

    def activate(x: list[int]) -> list[int]:
        leaked = [v if v >= 0 else (v * LEAK_NUMERATOR) >> LEAK_BITS for v in x]
        return [max(-ACTIVATION_LIMIT, min(ACTIVATION_LIMIT, v)) for v in leaked]

    def children(x: list[int]) -> list[list[int]]:
        quarter = len(x) // 4
        return [x[i * quarter : (i + 1) * quarter] for i in range(4)]

    result: list[list[list[int]]] = [[[] for _ in range(4)] for _ in range(4)]
    for i, at32 in enumerate(children(activate(layer("at64", z)))):
        for j, at16 in enumerate(children(activate(layer("at32", at32)))):
            row, column = 2 * (i // 2) + j // 2, 2 * (i % 2) + j % 2
            result[row][column] = [max(0, min(TABLE_COUNT - 1, v)) for v in layer("at16", at16)]
    return result


def indices_in_int64(weights: Weights, z: NDArray[np.int16]) -> NDArray[np.int64]:
    """Table indices of a whole hyperlatent (height, width, hyper): the same arithmetic on int64 arrays."""
    x = z.astype(np.int64)
    for name in ("at64", "at32"):
        x = layer_in_int64(weights, name, x)
        x = np.where(x < 0, (x * LEAK_NUMERATOR) >> LEAK_BITS, x).clip(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        height, width, channels = x.shape
        cells = x.reshape(height, width, 2, 2, channels // 4).swapaxes(1, 2)
        x = cells.reshape(2 * height, 2 * width, channels // 4)
    return layer_in_int64(weights, "at16", x).clip(0, TABLE_COUNT - 1)


def layer_in_int64(weights: Weights, name: str, x: NDArray[np.int64]) -> NDArray[np.int64]:
    weight, bias, shift = (weights.arrays[f"scale.{name}.{part}"] for part in ("weight", "bias", "shift"))
    sums: NDArray[np.int64] = (x @ weight.T.astype(np.int64) + bias) >> int(shift[0])
    return sums


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 10, Z_LIMIT]))
def test_scale_path_equals_python_integers(seed: int, spread: int) -> None:
    weights = registry.get(registry.default_id())
    channels = weights.arrays["scale.at64.weight"].shape[1]
    z = np.random.default_rng(seed).integers(-spread, spread + 1, (1, 1, channels), dtype=np.int16)
    expected = np.array(reference_indices(weights, z[0, 0].tolist()))
    assert np.array_equal(weights.scale_path.table_indices(z), expected)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 10, Z_LIMIT]), st.booleans())
def test_tiles_of_every_size_equal_integer_arrays(
    height: int, width: int, spread: int, extreme: bool
) -> None:
    weights = registry.get(registry.default_id())
    channels = weights.arrays["scale.at64.weight"].shape[1]
    rng = np.random.default_rng(height * 10 + width)
    z = rng.integers(-spread, spread + 1, (height, width, channels), dtype=np.int16)
    if extreme:
        z = np.where(z < 0, -spread, spread).astype(np.int16)
    before = z.copy()
    assert np.array_equal(weights.scale_path.table_indices(z), indices_in_int64(weights, z))
    assert np.array_equal(z, before)


@given(
    st.integers(1, 70),
    st.sampled_from([1, 5, 64, 96]),
    st.sampled_from([1, 7, 384, 4000]),
    st.integers(0, 24),
    st.sampled_from([1, Z_LIMIT, ACTIVATION_LIMIT]),
)
def test_a_layer_equals_integer_arrays(
    positions: int, inputs: int, outputs: int, shift: int, limit: int
) -> None:
    rng = np.random.default_rng(positions)
    most = int(2**53 / LEAK_NUMERATOR / limit / (inputs + 1))  # the largest weights that `check` lets pass
    weight = rng.integers(-most, most, (outputs, inputs), endpoint=True)
    bias = rng.integers(-most * limit, most * limit, outputs)
    x = rng.integers(-limit, limit, (positions, inputs), endpoint=True)
    layer = IntegerLayer(weight.astype(np.float64), bias.astype(np.float64), shift)
    layer.check(limit, "of the test")
    given_x = x.astype(np.float64)
    assert np.array_equal(layer(given_x), (x @ weight.T + bias) >> shift)
    assert np.array_equal(given_x, x)


def test_indices_do_not_depend_on_what_else_is_computed_beside_them(codec: LearnedCodec) -> None:
    path = codec.weights.scale_path
    z = np.random.default_rng(1).integers(-9, 10, (8, 8, 64), dtype=np.int16)
    whole = path.table_indices(z)
    for row in range(8):
        alone = np.concatenate([path.table_indices(z[row : row + 1, c : c + 1]) for c in range(8)], axis=1)
        assert np.array_equal(whole[4 * row : 4 * row + 4], alone)


def test_real_photographs_use_most_of_the_tables(codec: LearnedCodec, photo: NDArray[np.uint8]) -> None:
    used = set()
    for level in (0.0, codec.weights.max_level):
        _, z = codec.analyse(photo[:512, :512], level)
        used |= set(np.unique(codec.weights.scale_path.table_indices(z)))
    assert len(used) > TABLE_COUNT // 2


def test_weights_that_could_round_are_refused() -> None:
    exact = IntegerLayer(np.ones((4, 4)), np.zeros(4), 1)
    ScalePath(exact, exact, exact)
    too_large = IntegerLayer(np.full((4, 4), 2.0**40), np.zeros(4), 1)
    with pytest.raises(WeightsError, match="overflow"):
        ScalePath(exact, too_large, exact)
    fractional = IntegerLayer(np.full((4, 4), 0.5), np.zeros(4), 1)
    with pytest.raises(WeightsError, match="not integers"):
        ScalePath(fractional, exact, exact)
