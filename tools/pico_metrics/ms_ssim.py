"""MS-SSIM: structural similarity at five scales.

Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", 2003,
with its five exponents; Gaussian window of 11 taps and sigma 1.5, "valid" positions only, K1 = 0.01, K2 =
0.03. As in the usual implementations for RGB (TensorFlow's, pytorch-msssim), each channel is scored on its
own and the three scores are averaged. Between scales 2x2 pixels are averaged; an odd last row or column is
left out.
Range: 0 to 1 (negative contrast terms count as 0); equal pictures score 1.
Direction: higher is better. Differences near 1 matter; much of the literature spreads them as -10 log10(1 - score).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .pictures import Pixels, check_pair
from .smoothing import smooth

if TYPE_CHECKING:
    from torch import Tensor

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TAPS, _SIGMA = 11, 1.5
_BELL = [math.exp(-((tap - _TAPS // 2) ** 2) / (2 * _SIGMA**2)) for tap in range(_TAPS)]
_WINDOW = [height / sum(_BELL) for height in _BELL]
_SMALL = 2**20  # pixels
_CENTRE = 128  # subtracted from the pixels: variances stay, and float32 loses fewer of their digits
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
LEAST_SIDE = (_TAPS - 1) * 2 ** (len(EXPONENTS) - 1) + 2 ** (len(EXPONENTS) - 1)  # the window fits at 1/16


def ms_ssim(reference: Pixels, distorted: Pixels) -> float:
    """The score. Raises InvalidImageError, also for sides below 176 pixels: the fifth scale needs them."""
    from torch.nn.functional import avg_pool2d

    check_pair(reference, distorted, LEAST_SIDE)
    total = 0.0
    for channels in _groups(reference):
        a, b = _planes(reference[..., channels]), _planes(distorted[..., channels])
        scores = np.ones(len(a))
        for scale, exponent in enumerate(EXPONENTS):
            if scale:
                a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
            similarity, contrast = _terms(a, b)
            term = similarity if scale == len(EXPONENTS) - 1 else contrast
            scores *= np.maximum(term, 0.0) ** exponent
        total += float(scores.sum())
    return total / 3


def ssim(reference: Pixels, distorted: Pixels) -> float:
    """Single-scale SSIM with the same window, the mean of the three channels. Raises InvalidImageError."""
    check_pair(reference, distorted, _TAPS)
    groups = _groups(reference)
    scores = [_terms(_planes(reference[..., c]), _planes(distorted[..., c]))[0] for c in groups]
    return float(np.concatenate(scores).mean())


def _groups(pixels: Pixels) -> list[slice]:
    """Channels to work on at once: all of a small picture, which is faster, one of a large, which takes less memory."""
    if pixels.shape[0] * pixels.shape[1] <= _SMALL:
        return [slice(0, 3)]
    return [slice(channel, channel + 1) for channel in range(3)]


def _planes(channels: Pixels) -> Tensor:
    """(height, width, C) as (C, height, width), centred on 0."""
    import torch

    return torch.from_numpy(channels.transpose(2, 0, 1).astype(np.float32, order="C") - _CENTRE)


def _terms(a: Tensor, b: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean SSIM of each plane, and the mean of its contrast-structure factor alone."""
    import torch

    mean_a, mean_b, squares, product = smooth(torch.stack([a, b, a * a + b * b, a * b]), _WINDOW)
    variance = squares - mean_a * mean_a - mean_b * mean_b
    covariance = product - mean_a * mean_b
    contrast = (2 * covariance + _C2) / (variance + _C2)
    mean_a, mean_b = mean_a + _CENTRE, mean_b + _CENTRE
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a * mean_a + mean_b * mean_b + _C1)
    similarity, contrast = ((x.double().mean((1, 2)).numpy()) for x in (luminance * contrast, contrast))
    return similarity, contrast
