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


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 10, Z_LIMIT]))
def test_scale_path_equals_python_integers(seed: int, spread: int) -> None:
    weights = registry.get(registry.default_id())
    channels = weights.arrays["scale.at64.weight"].shape[1]
    z = np.random.default_rng(seed).integers(-spread, spread + 1, (1, 1, channels), dtype=np.int16)
    expected = np.array(reference_indices(weights, z[0, 0].tolist()))
    assert np.array_equal(weights.scale_path.table_indices(z), expected)


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
