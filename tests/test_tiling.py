"""Tiles cover the picture, overlap as the format says, and fade into each other without a trace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pico_core.mosaic import Mosaic
from pico_core.tiling import MAX_SIDE, OVERLAP, STRIDE, WINDOW, Box, Grid, pad_to_alignment

SIDES = st.one_of(
    st.integers(1, 1600), st.sampled_from([512, 513, 519, 520, 521, 1016, 1017, 1024, 1025, 1032])
)


def blended(grid: Grid, tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """The whole picture, computed from the tiles as docs/format.md states it and in no other way."""

    def weights(size: int, start: int, end: int) -> list[int]:
        before = [min(16, 2 * k + 1) if start > 0 else 16 for k in range(end - start)]
        after = [min(16, 2 * k + 1) if end < size else 16 for k in range(end - start)][::-1]
        return [min(pair) for pair in zip(before, after, strict=True)]

    sums = np.zeros((grid.height, grid.width, tiles[0].shape[2]), np.int64)
    for (left, top, right, bottom), tile in zip(grid.windows(), tiles, strict=True):
        across, down = weights(grid.width, left, right), weights(grid.height, top, bottom)
        sums[top:bottom, left:right] += tile.astype(np.int64) * np.outer(down, across)[..., None]
    return (sums + 128) >> 8


@st.composite
def regions(draw: st.DrawFn, width: int, height: int) -> Box:
    """A box anywhere in the picture, in many draws one that begins or ends within a shared strip."""

    def side(size: int) -> tuple[int, int]:
        strips = [edge + k for edge in range(STRIDE, size, STRIDE) for k in range(-1, OVERLAP + 2)]
        place = st.integers(0, size)
        if strips:
            place = st.one_of(place, st.sampled_from([min(size, position) for position in strips]))
        start, end = sorted(draw(st.tuples(place, place)))
        start = min(start, size - 1)
        return start, max(end, start + 1)

    (left, right), (top, bottom) = side(width), side(height)
    return Box(left, top, right, bottom)


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


@given(SIDES, SIDES, st.sampled_from([1, 3]), st.data())
def test_every_region_is_the_weighted_mean_that_the_format_states(
    width: int, height: int, channels: int, data: st.DataObject
) -> None:
    grid, box = Grid(width, height), data.draw(regions(width, height))
    rng = np.random.default_rng(width * 65_536 + height)
    tiles = [rng.integers(0, 256, (w.height, w.width, channels), dtype=np.uint8) for w in grid.windows()]
    copies = [tile.copy() for tile in tiles]
    order = data.draw(st.permutations(list(grid.tiles_touching(box))))
    mosaic = Mosaic(grid, box, channels)
    for index in order:
        mosaic.add(index, tiles[index])
    expected = blended(grid, tiles)[box.top : box.bottom, box.left : box.right]
    assert np.array_equal(mosaic.finish(), expected)
    assert all(np.array_equal(tile, copy) for tile, copy in zip(tiles, copies, strict=True))


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
