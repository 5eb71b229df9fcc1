"""Tiles cover the picture, overlap as the format says, and fade into each other without a trace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pico_core.mosaic import Mosaic
from pico_core.tiling import MAX_SIDE, OVERLAP, STRIDE, WINDOW, Box, Grid, pad_to_alignment

SIDES = st.one_of(st.integers(1, 1600), st.sampled_from([512, 513, 520, 521, 1016, 1017, 1024, 1025]))


@pytest.mark.parametrize(
    ("size", "count"), [(1, 1), (512, 1), (513, 2), (1016, 2), (1017, 3), (4000, 8), (MAX_SIDE, 131)]
)
def test_a_side_has_the_number_of_tiles_that_the_format_states(size: int, count: int) -> None:
    assert Grid(size, 1).columns == count
    assert Grid(1, size).rows == count


@given(SIDES, SIDES)
def test_windows_are_at_most_512_and_neighbours_share_8_pixels(width: int, height: int) -> None:
    grid = Grid(width, height)
    assert len(grid.windows()) == grid.count
    for index, window in enumerate(grid.windows()):
        assert grid.window(index) == window
        assert OVERLAP < window.width <= WINDOW or width == window.width
        assert window.left % STRIDE == 0
        assert window.top % STRIDE == 0
    assert grid.windows()[-1].right == width
    assert grid.windows()[-1].bottom == height


@given(SIDES, SIDES)
def test_the_weights_of_all_tiles_add_up_to_256_at_every_pixel(width: int, height: int) -> None:
    grid = Grid(width, height)
    total = np.zeros((height, width), np.int64)
    for index, window in enumerate(grid.windows()):
        total[window.top : window.bottom, window.left : window.right] += grid.fade(index)
    assert (total == 256).all()


@given(SIDES, SIDES)
def test_tiles_that_agree_are_reproduced_exactly(width: int, height: int) -> None:
    rng = np.random.default_rng(width * 65_536 + height)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    grid = Grid(width, height)
    mosaic = Mosaic(grid, Box(0, 0, width, height), 3)
    for index, window in enumerate(grid.windows()):
        mosaic.add(index, pixels[window.top : window.bottom, window.left : window.right])
    assert np.array_equal(mosaic.finish(), pixels)


@given(SIDES, SIDES, st.data())
def test_any_region_equals_the_same_part_of_the_whole(width: int, height: int, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    grid, box = Grid(width, height), Box(left, top, right, bottom)
    rng = np.random.default_rng(width)
    tiles = [rng.integers(0, 256, (w.height, w.width, 1), dtype=np.uint8) for w in grid.windows()]
    whole, part = Mosaic(grid, Box(0, 0, width, height), 1), Mosaic(grid, box, 1)
    for index, tile in enumerate(tiles):
        whole.add(index, tile)
    for index in grid.tiles_touching(box):
        part.add(index, tiles[index])
    assert np.array_equal(part.finish(), whole.finish()[top:bottom, left:right])


def test_a_difference_between_neighbours_becomes_a_ramp_over_the_overlap() -> None:
    grid = Grid(1016, 1)
    mosaic = Mosaic(grid, Box(0, 0, 1016, 1), 1)
    mosaic.add(0, np.zeros((1, 512, 1), np.uint8))
    mosaic.add(1, np.full((1, 512, 1), 160, np.uint8))
    row = mosaic.finish()[0, :, 0].astype(int)
    assert row[:504].max() == 0
    assert list(row[504:512]) == [10, 30, 50, 70, 90, 110, 130, 150]
    assert row[512:].min() == 160


@given(st.integers(1, 200), st.integers(1, 200))
def test_padding_repeats_the_last_row_and_column_up_to_multiples_of_64(width: int, height: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    padded = pad_to_alignment(pixels)
    assert padded.shape[0] % 64 == padded.shape[1] % 64 == 0
    assert padded.shape[0] - height < 64
    assert np.array_equal(padded[:height, :width], pixels)
    assert (padded[height:, :width] == pixels[-1]).all()
    assert (padded[:height, width:] == pixels[:, -1:]).all()
