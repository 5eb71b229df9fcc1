"""The look at two pictures: the worst places, what is wrong there and how much, and one score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import InvalidImageError
from pico_core.tiling import Box

from .content import WINDOW, strengths
from .general import badness, worst_score
from .kinds import Kind, kind_of
from .planes import block_error, half_luma
from .structures import CELL, Answers, Map, answers
from .words import in_words

LEAST_SCORE = 40.0  # SSIMULACRA2 of the worst crop that still passes
LARGEST_BLOCK_ERROR = 16.0  # levels; photographs stay below it, a wrong tile or another colour does not
MOST_PLACES = 8
WINDOW_SIDE = WINDOW * CELL * 2  # pixels a side of what gets one strength
_FULL_QUALITY = 60
_LIMIT_A_QUALITY = 0.0175  # most photographs have the same strength in units of the limit at every quality
_APART = 2  # windows between the middles of two places

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """A place where two pictures differ. `strength` is 1.0 at the limit of what passes, and more beyond it."""

    box: Box
    kind: Kind
    strength: float


@dataclass(frozen=True)
class Look:
    """How two pictures compare.

    `places` are the worst, the worst first. `score` is the SSIMULACRA2 of the worst crop (100 is equal, lower is
    worse), `crop` its box. `block_error` is the largest difference of the means of 8 x 8 pixels, 0..255, in any
    channel.
    """

    places: tuple[Place, ...]
    score: float
    crop: Box
    block_error: float

    @property
    def strength(self) -> float:
        """That of the worst place."""
        return max((place.strength for place in self.places), default=0.0)

    def accepted(self, limit: float = 1.0) -> bool:
        """Whether the second picture may stand for the first."""
        return self.strength <= limit

    def __str__(self) -> str:
        return in_words(self.score, self.strength)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON holds it, for another process."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Look:
        """What `as_json` gave."""
        places = tuple(Place(Box(*one["box"]), Kind(one["kind"]), one["strength"]) for one in value["places"])
        return cls(places, value["score"], Box(*value["crop"]), value["block_error"])


def limit_at(quality: int) -> float:
    """The strength that passes for a picture coded at a quality (0..100): who asks for less than 60 gets softer detail.

    1.0 from quality 60 on, 1.35 at 40, 1.7 at 20.
    """
    return 1.0 + max(0, _FULL_QUALITY - quality) * _LIMIT_A_QUALITY


def look(original: Pixels, decoded: Pixels) -> Look:
    """Compare two pictures of one shape, uint8 (height, width, 1..4); alpha is left to the caller.

    Raises InvalidImageError if they are no such pictures, or not of one shape.
    """
    _check(original, decoded)
    whole = Box(0, 0, original.shape[1], original.shape[0])
    if _equal(original, decoded):
        return Look((), 100.0, whole, 0.0)
    a, b = half_luma(original), half_luma(decoded)
    found = answers(a, b)
    places = _places(found, original.shape[:2])
    score, crop = worst_score(original, decoded, badness(a, b, found))
    error, block = block_error(original, decoded)
    places.append(Place(crop, Kind.GENERAL, general_strength(score)))
    places.append(Place(block, Kind.COLOUR, error / LARGEST_BLOCK_ERROR))
    places.sort(key=lambda place: -place.strength)
    return Look(tuple(places[:MOST_PLACES]), score, crop, error)


def general_strength(score: float) -> float:
    """The score of the worst crop as a strength."""
    return (100.0 - score) / (100.0 - LEAST_SCORE)


def _check(original: Pixels, decoded: Pixels) -> None:
    for pixels in (original, decoded):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or not pixels.size:
            msg = f"the pixels are {pixels.dtype} of shape {pixels.shape}; they must be uint8 (height, width, 1 to 4)"
            raise InvalidImageError(msg)
    if original.shape != decoded.shape:
        msg = f"the pictures have shapes {original.shape} and {decoded.shape}; compare pictures of one shape"
        raise InvalidImageError(msg)


def _equal(one: Pixels, other: Pixels) -> bool:
    """Whether the pictures are the same, at the cost of a few rows where they are not."""
    return np.array_equal(one[::64], other[::64]) and np.array_equal(one, other)


def _places(found: Answers, size: tuple[int, int]) -> list[Place]:
    """The windows of (height, width) pixels whose content differs most."""
    lost, new, smeared = strengths(found)
    places = []
    for at, box in _worst_windows(np.maximum(np.maximum(lost, new), smeared), size):
        content = max(lost[at], new[at])
        kind = kind_of(found.lost, found.new, *_cells(at)) if content >= smeared[at] else Kind.SMEARED
        places.append(Place(box, kind, float(max(content, smeared[at]))))
    return places


def _cells(window: tuple[int, int]) -> tuple[slice, slice]:
    row, column = (index * WINDOW for index in window)
    return slice(row, row + WINDOW), slice(column, column + WINDOW)


def _worst_windows(strength: Map, size: tuple[int, int]) -> list[tuple[tuple[int, int], Box]]:
    """The strongest windows (row, column) that do not touch, and their boxes within (height, width) pixels."""
    left = strength.copy()
    found = []
    for _ in range(MOST_PLACES):
        row, column = (int(i) for i in np.unravel_index(np.argmax(left), left.shape))
        if left[row, column] <= 0:
            break
        left[max(0, row - _APART) : row + _APART + 1, max(0, column - _APART) : column + _APART + 1] = 0
        top, start = row * WINDOW_SIDE, column * WINDOW_SIDE
        box = Box(start, top, min(start + WINDOW_SIDE, size[1]), min(top + WINDOW_SIDE, size[0]))
        found.append(((row, column), box))
    return found
