"""docs/format.md says enough to write another reader: one written from it reads the same symbols."""

from __future__ import annotations

import numpy as np
import pytest
import reference_tile_decoder
from numpy.typing import NDArray

from pico_core.codec import LearnedCodec
from pico_core.tiling import Grid


@pytest.mark.parametrize("level", [0.0, 2.49, 7.0])
def test_a_reader_written_from_the_specification_reads_the_same_symbols(
    codec: LearnedCodec, photo: NDArray[np.uint8], level: float
) -> None:
    symbols, z = codec.analyse(photo[:64, :128], level)
    if level == 7.0:
        symbols[0, 0, :4] = (3000, -3000, 32_767, -32_767)
    payload = codec.tile_coder.encode(symbols, z, level)

    def indices_of(values: list[int]) -> list[int]:
        array = np.array(values, np.int16).reshape(1, 2, 64)
        return [int(i) for i in codec.weights.scale_path.table_indices(array).ravel()]

    theirs = reference_tile_decoder.decode(payload, codec.weights, 1, 2, level, indices_of)
    assert theirs[0] == symbols.ravel().tolist()
    assert theirs[1] == z.ravel().tolist()
    ours = codec.read(payload, Grid(128, 64).window(0), level)
    assert np.array_equal(ours[0], symbols)
