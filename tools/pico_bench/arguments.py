"""What numbers and boxes on the command line may be, for argparse."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from pico_core.tiling import Box


def box(text: str) -> Box:
    """A part of a picture, as LEFT,TOP,RIGHT,BOTTOM."""
    try:
        left, top, right, bottom = (int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{text!r} is not four whole numbers LEFT,TOP,RIGHT,BOTTOM"
        raise argparse.ArgumentTypeError(msg) from error
    return Box(left, top, right, bottom)


def quality(text: str) -> str:
    """A quality of .pico, as a codec's label."""
    if not text.isdecimal() or int(text) > 100:
        msg = f"{text!r} is not a whole number from 0 to 100"
        raise argparse.ArgumentTypeError(msg)
    return text


def rate(text: str) -> float:
    """Bits per pixel."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        msg = f"{text!r} is not a number of bits per pixel above 0, such as 0.5"
        raise argparse.ArgumentTypeError(msg)
    return found


def whole(least: int) -> Callable[[str], int]:
    """Whole numbers from `least` on."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            msg = f"{text!r} is not a whole number of {least} or more"
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return number
