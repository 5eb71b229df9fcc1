"""PSNR: peak signal-to-noise ratio, over all three channels of RGB together.

Source: 10 log10(255^2 / mean squared error), the mean over pixels and channels.
Range: 0 dB (black against white) to infinity (equal pictures); photographs coded visibly lie at 25 to 35 dB.
Direction: higher is better. It measures fidelity, not looks: blur scores higher than plausible texture.
"""

from __future__ import annotations

import math

import numpy as np

from .pictures import Pixels, check_pair

_ROWS = 256  # at a time, so that the differences of a large picture never lie in memory at once


def psnr(reference: Pixels, distorted: Pixels) -> float:
    """Decibels, `math.inf` for equal pictures. Raises InvalidImageError."""
    check_pair(reference, distorted)
    total = 0
    for top in range(0, reference.shape[0], _ROWS):
        rows = slice(top, top + _ROWS)
        difference = reference[rows].astype(np.int32) - distorted[rows]
        total += int(np.square(difference).sum(dtype=np.int64))
    if total == 0:
        return math.inf
    return 10 * math.log10(255**2 * reference.size / total)
