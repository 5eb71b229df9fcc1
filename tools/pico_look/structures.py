"""Thin structures of two pictures, and what each has that the other has not.

A line, a stroke or a dot answers to a short sum along one of eight directions, less the same sums on both sides of it.
What one picture has more of than the other has anywhere within two pixels across the line counts as lost, or as new.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL = 4  # samples a side of a cell of the answer
_DIRECTIONS = 8
_ALONG = 4  # samples that are summed
_WEIGHT = 2 * _ALONG  # that a line has in an answer; int16 holds the sum of eight
_BESIDE = 1.5  # samples from the middle of a line to what lies beside it
_MARGIN = 8  # samples around a tile that its answers depend on
_TILE = (96, 512)  # rows and columns: small enough for the processor's cache; multiples of CELL

Plane = NDArray[np.int16]
Map = NDArray[np.float32]


class Answers(NamedTuple):
    """Maps of cells of 4 x 4 samples, in levels of contrast: (ceil(height / 4), ceil(width / 4))."""

    lost: Map  # the most in a cell
    new: Map
    before: Map  # how much of such structures there is, lost or not: the mean over a cell and all directions
    after: Map


def answers(original: Plane, decoded: Plane) -> Answers:
    """Compare the luma (height, width), 0..255, of two pictures."""
    height, width = original.shape
    rows, columns = (-(-side // CELL) for side in original.shape)
    padding = [(_MARGIN, rows * CELL - height + _MARGIN), (_MARGIN, columns * CELL - width + _MARGIN)]
    a, b = (np.pad(plane, padding, "edge") for plane in (original, decoded))
    found = Answers(*(np.empty((rows, columns), np.float32) for _ in range(4)))
    for top in range(0, rows * CELL, _TILE[0]):
        for left in range(0, columns * CELL, _TILE[1]):
            window = slice(top, top + _TILE[0] + 2 * _MARGIN), slice(left, left + _TILE[1] + 2 * _MARGIN)
            cells = (
                slice(top // CELL, (top + _TILE[0]) // CELL),
                slice(left // CELL, (left + _TILE[1]) // CELL),
            )
            for whole, part in zip(found, _tile(a[window], b[window]), strict=True):
                whole[cells] = part
    return found


def _tile(a: Plane, b: Plane) -> Iterator[Map]:
    """The four maps of a tile, whose margins are left off."""
    # On flattened tiles a step to another row and column is one offset, and every operation runs through memory in
    # one go. What wraps around at the ends of rows falls into the margins.
    width = a.shape[1]
    flat_a, flat_b = a.ravel(), b.ravel()
    sums = [np.zeros(a.size, np.int16) for _ in range(4)]
    lost, new, before, after = sums
    for number in range(_DIRECTIONS):
        steps = _steps(math.pi * number / _DIRECTIONS, width)
        line_a, line_b = _lines(flat_a, steps), _lines(flat_b, steps)
        count, place = line_a.size - 2 * steps.tolerance, steps.middle
        here = slice(place, place + count)
        inner_a, inner_b = (line[steps.tolerance : steps.tolerance + count] for line in (line_a, line_b))
        _more(inner_a, line_b, steps.tolerance, lost[here])
        _more(inner_b, line_a, steps.tolerance, new[here])
        before[here] += np.abs(inner_a)
        after[here] += np.abs(inner_b)
    inside = [
        plane.reshape(a.shape)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] for plane in (lost, new, before, after)
    ]
    for plane in inside[:2]:
        yield _cells(plane, np.maximum) * np.float32(1 / _WEIGHT)
    for plane in inside[2:]:
        yield _cells(plane, np.add) * np.float32(1 / (_WEIGHT * _DIRECTIONS * CELL**2))


class _Steps(NamedTuple):
    """Offsets in a flattened tile, all of them positive."""

    first: int  # to the second sample along the line
    second: int  # to the third one
    beside: int
    tolerance: int  # to the next line beside
    middle: int  # from where an offset of 0 lies to the pixel that the answer is about


def _steps(angle: float, width: int) -> _Steps:
    def step(length: float, turned: float = 0.0) -> tuple[int, int]:
        """Rows and columns of a step; the one back, if that is the positive offset."""
        rows, columns = round(math.sin(angle + turned) * length), round(math.cos(angle + turned) * length)
        return max((rows, columns), (-rows, -columns))

    def flat(rows: int, columns: int) -> int:
        return rows * width + columns

    first, second = step(1), step(_ALONG / 2)
    beside, tolerance = flat(*step(_BESIDE, math.pi / 2)), flat(*step(1, math.pi / 2))
    centre = flat((first[0] + second[0]) // 2, (first[1] + second[1]) // 2)
    return _Steps(flat(*first), flat(*second), beside, tolerance, centre + beside + tolerance)


def _lines(flat: Plane, steps: _Steps) -> Plane:
    """Twice the sum of four samples along the line, less the sums on both sides of it."""
    two = flat[: -steps.first] + flat[steps.first :]
    four = two[: -steps.second] + two[steps.second :]
    middle = four[steps.beside : -steps.beside]
    answer = middle + middle
    answer -= four[: -2 * steps.beside]
    answer -= four[2 * steps.beside :]
    return answer


def _more(inner: Plane, other: Plane, tolerance: int, most: Plane) -> None:
    """Raise `most` to how far an answer exceeds the other picture's best match of the same sign."""
    count = inner.size
    shifted = [other[shift : shift + count] for shift in (0, tolerance, 2 * tolerance)]
    match = np.maximum(shifted[0], shifted[1])
    np.maximum(match, shifted[2], out=match)
    np.maximum(match, 0, out=match)
    np.subtract(inner, match, out=match)
    np.maximum(most, match, out=most)
    np.minimum(shifted[0], shifted[1], out=match)
    np.minimum(match, shifted[2], out=match)
    np.minimum(match, 0, out=match)
    match -= inner
    np.maximum(most, match, out=most)


def _cells(plane: Plane, joined: np.ufunc) -> Map:
    """One value of each cell of 4 x 4: the sum, or the largest."""
    rows = plane[::CELL].astype(np.int32)
    for row in range(1, CELL):
        joined(rows, plane[row::CELL], out=rows)
    cells = rows[:, ::CELL].astype(np.float32)
    for column in range(1, CELL):
        joined(cells, rows[:, column::CELL], out=cells)
    return cells
