"""What is wrong at a place: a line gone or new, marks gone or new, letters that became others."""

from __future__ import annotations

import enum

import numpy as np

from .structures import Map

_BOTH = 0.5  # share of what is lost that is new in its place, where letters changed
_AROUND = 6  # cells around the strongest one that are looked at with it
_PART = 0.4  # of the strongest difference, what belongs to it
_LENGTH = 2.0  # cells: standard deviation along a line that is longer than a stroke of a letter
_WIDTH = 0.4  # of it, across


class Kind(enum.StrEnum):
    """What differs at a place."""

    LOST_LINE = "lost line"
    NEW_LINE = "new line"
    LOST_MARKS = "lost marks"
    NEW_MARKS = "new marks"
    CHANGED = "changed letters or marks"
    SMEARED = "smeared detail"
    COLOUR = "another colour or brightness"
    GENERAL = "general"


def kind_of(lost: Map, new: Map, rows: slice, columns: slice) -> Kind:
    """Name what differs at the cells of a place, given what is lost and what is new in all cells of the picture."""
    strongest = float(lost[rows, columns].max()), float(new[rows, columns].max())
    if min(strongest) > _BOTH * max(strongest):
        return Kind.CHANGED
    is_lost = strongest[0] > strongest[1]
    if _like_a_line(lost if is_lost else new, rows, columns):
        return Kind.LOST_LINE if is_lost else Kind.NEW_LINE
    return Kind.LOST_MARKS if is_lost else Kind.NEW_MARKS


def _like_a_line(cells: Map, rows: slice, columns: slice) -> bool:
    """Whether the cells that differ much lie along a line."""
    around = cells[
        max(0, rows.start - _AROUND) : rows.stop + _AROUND,
        max(0, columns.start - _AROUND) : columns.stop + _AROUND,
    ]
    positions = np.argwhere(around > _PART * cells[rows, columns].max())
    if len(positions) < 3:
        return False
    across, along = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(positions.T)), 0))
    return bool(along > _LENGTH and across < _WIDTH * along)
