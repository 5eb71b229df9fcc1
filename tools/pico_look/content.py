"""Where content is gone or new: the strength of what `structures` found, as the eye counts it.

A difference counts against what is around it. On a flat ground a faint line is seen, in grass it is not. Three measures
share the work, each in units of its limit: one difference that is strong for its surroundings (a stroke of a letter),
several next to each other that may be fainter (a line, a row of dots), and the mean over a window (a smeared face).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .structures import Answers, Map

WINDOW = 4  # cells a side of what gets one strength
_REACH = 2  # cells around a cell that mask it
# Of a difference counts its ratio to a floor, which nobody sees, plus a share of what is around it in both pictures.
_STRONG_FLOOR, _STRONG_SHARE = np.float32(8), np.float32(0.35)
_SEVERAL_FLOOR, _SEVERAL_SHARE = np.float32(3), np.float32(1.0)
_SEVERAL = 3  # cells of a window
_SMEARED_FLOOR = np.float32(16)
# Chosen on damaged and honest pictures: python -m pico_bench.look --fit.
STRONG_LIMIT, SEVERAL_LIMIT, SMEARED_LIMIT = np.float32(1.8), np.float32(1.1), np.float32(0.545)


class Measures(NamedTuple):
    """What differs in windows of 4 x 4 cells, against what is around it: (ceil(rows / 4), ceil(columns / 4))."""

    strong: Map
    several: Map

    def strength(self) -> Map:
        """In units of the limits."""
        strength: Map = np.maximum(self.strong / STRONG_LIMIT, self.several / SEVERAL_LIMIT)
        return strength


class Strengths(NamedTuple):
    """How visibly content is gone, new and smeared, in windows of 4 x 4 cells; 1 is the limit of what passes."""

    lost: Map
    new: Map
    smeared: Map


def strengths(answers: Answers) -> Strengths:
    """Compare what there is in two pictures."""
    lost, new = measures(answers)
    return Strengths(lost.strength(), new.strength(), smeared(answers) / SMEARED_LIMIT)


def smeared(answers: Answers) -> Map:
    """How much of what there is in a window is lost or new, on the whole."""
    differs = _window_means(answers.lost + answers.new)
    there = _window_means(answers.before + answers.after)
    ratio: Map = differs / (there + _SMEARED_FLOOR)
    return ratio


def measures(answers: Answers) -> tuple[Measures, Measures]:
    """Both measures of what is gone, and of what is new."""
    around = _masking(answers.before) + _masking(answers.after)
    strong, several = around * _STRONG_SHARE + _STRONG_FLOOR, around * _SEVERAL_SHARE + _SEVERAL_FLOOR
    lost, new = (
        Measures(_ranked(difference / strong, 1), _ranked(difference / several, _SEVERAL))
        for difference in (answers.lost, answers.new)
    )
    return lost, new


def _masking(busy: Map) -> Map:
    """Power mean (exponent 1/2) over 5 x 5 cells: texture counts in full, a single line or edge little."""
    side = 2 * _REACH + 1
    padded = np.pad(np.sqrt(busy), _REACH, "edge")
    rows, columns = busy.shape
    tall = padded[:rows].copy()
    for shift in range(1, side):
        tall += padded[shift : shift + rows]
    total = tall[:, :columns].copy()
    for shift in range(1, side):
        total += tall[:, shift : shift + columns]
    total *= np.float32(1 / side**2)
    mean: Map = np.square(total)
    return mean


def _ranked(cells: Map, rank: int) -> Map:
    """The value of each window that so many of its cells reach."""
    windows = _windows(cells)
    value: Map = (
        windows.max(2) if rank == 1 else np.partition(windows, WINDOW**2 - rank, 2)[..., WINDOW**2 - rank]
    )
    return value


def _window_means(cells: Map) -> Map:
    """Means of windows; of one that reaches beyond the picture, as if there were nothing."""
    means: Map = _windows(cells).mean(2)
    return means


def _windows(cells: Map) -> Map:
    """The cells of each window, (rows, columns, 16)."""
    rows, columns = (-(-side // WINDOW) for side in cells.shape)
    full = np.zeros((rows * WINDOW, columns * WINDOW), np.float32)
    full[: cells.shape[0], : cells.shape[1]] = cells
    return full.reshape(rows, WINDOW, columns, WINDOW).swapaxes(1, 2).reshape(rows, columns, WINDOW**2)
