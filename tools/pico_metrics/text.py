"""Text: how far the pixels of letters move, and whether they can still be read.

`text_error`. Source: ours, after the "text error" of the PICO paper: the mean absolute difference of RGB (L1)
inside the outlines of text. Range: 0 (equal there) to 1 (black against white). Direction: lower is better.

`text_accuracy`. Source: character accuracy as in OCR evaluation (1 minus the Levenshtein distance over the length
of the true text), read by PP-OCR inside outlines that were found on the original, clipped at 0 for each line, the
lines weighted by their length. White space does not count: the recogniser leaves it out at will. The true text is
a transcript where there is one; otherwise it is what the recogniser reads in the original, so that a perfect copy
scores 1, and misreadings of the original count as truth. Range: 0 to 1; the original scores 1 without a transcript
and somewhat less with one. Direction: higher is better. A few letters of chance: one picture says little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import InvalidImageError

from .pictures import Pixels, check_pair
from .text_regions import Region, mask_of, readings


def text_error(reference: Pixels, distorted: Pixels, mask: NDArray[np.bool_]) -> float:
    """Mean absolute difference where `mask` (height, width) is true, in units of full scale.

    Raises InvalidImageError if the mask has another size or type, or marks no pixel.
    """
    check_pair(reference, distorted)
    if mask.dtype != np.bool_ or mask.shape != reference.shape[:2]:
        msg = (
            f"the text mask is {mask.dtype} of shape {mask.shape}; "
            f"it must be bool of shape {reference.shape[:2]}, one entry a pixel"
        )
        raise InvalidImageError(msg)
    inside = reference[mask]
    if not inside.size:
        msg = "the text mask marks no pixel; the error inside text is not defined there"
        raise InvalidImageError(msg)
    return float(np.abs(inside.astype(np.int16) - distorted[mask]).mean() / 255)


def error_in_regions(reference: Pixels, distorted: Pixels, regions: Sequence[Region]) -> float:
    """`text_error` inside the outlines. Raises InvalidImageError if they lie outside the picture."""
    check_pair(reference, distorted)
    return text_error(reference, distorted, mask_of(regions, *reference.shape[:2]))


def text_accuracy(reference: Pixels, distorted: Pixels, regions: Sequence[Region]) -> float:
    """Share of the regions' characters that can be read in `distorted`.

    Raises InvalidImageError, also for regions without characters, and OptionError without the reader's package.
    """
    check_pair(reference, distorted)
    read = readings(distorted, [region.outline for region in regions])
    return character_accuracy(zip([region.text for region in regions], read, strict=True))


def character_accuracy(pairs: Iterable[tuple[str, str]]) -> float:
    """1 - edit distance / length over pairs of true and read text. Raises InvalidImageError if no text is true."""
    right = total = 0
    for true, read in (("".join(a.split()), "".join(b.split())) for a, b in pairs):
        total += len(true)
        right += max(len(true) - edit_distance(true, read), 0)
    if not total:
        msg = "the text regions hold no characters; the accuracy of reading is not defined there"
        raise InvalidImageError(msg)
    return right / total


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, deletions and substitutions of characters that make `b` of `a` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]
