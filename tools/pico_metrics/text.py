"""Error inside text: how far the pixels of letters and their surroundings move.

Source: ours, after the "text error" of the PICO paper: the mean absolute difference of RGB inside a mask of
text.
Range: 0 (equal inside the mask) to 1 (black against white).
Direction: lower is better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import InvalidImageError

from .pictures import Pixels, check_pair


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
