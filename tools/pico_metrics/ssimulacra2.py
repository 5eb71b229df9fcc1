"""SSIMULACRA2: structural similarity in a perceptual colour space, tuned on opinions of compressed pictures.

Source: Jon Sneyers (Cloudinary), version 2.1 of April 2023; the algorithm, its 108 weights and its constants
are those of the reference program (BSD-3-Clause, `weights/LICENSE-SSIMULACRA2`), written anew on torch. It
agrees with that program within 0.2 points on the pairs in tests/test_metrics_ssimulacra2.py.
Range: 100 (equal pictures) down without end; 90 cannot be told apart in a flicker test, 70 is high quality,
50 medium, 30 low, below 10 very low.
Direction: higher is better. It rewards fidelity: plausible texture in the wrong place costs as much as blur.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .colour import linear_of_srgb
from .pictures import Pixels, check_pair
from .smoothing import smooth

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SIDE = 128  # for smaller pictures the reference program leaves scales out and mixes up its weights

# A Gaussian of sigma 1.5 as a sum of truncated cosines (Charalampidis 2016), one half of it; zero outside.
_HALF_KERNEL = (0.264621105488, 0.212928592010, 0.109335372777, 0.036011114658, 0.009414367810)
_KERNEL = (*_HALF_KERNEL[:0:-1], *_HALF_KERNEL)
_C2 = 0.0009
_OPSIN = ((0.3, 0.622, 0.078), (0.23, 0.692, 0.078), (0.243422689245, 0.204767444245, 0.551809866510))
_OPSIN_BIAS = 0.0037930732552754493

# By channel and scale (1:1 to 1:32): the means of the errors of structure, of edges that were added and of
# edges that were lost, then the 4-norms of the three.
# fmt: off
_WEIGHTS = (
    # X
    (0, 0.00073766067, 0, 0, 0.00077934817, 0),
    (0, 0.00043711557, 0, 1.1041726, 0.00066284834, 0.00015231633),
    (0, 0.0016406437, 0, 1.8422456, 11.441173, 0),
    (0.00079891094, 0.00017681644, 0, 1.8787595, 10.94907, 0),
    (0.0007289347, 0.96779371, 0, 0.00014003424, 0.9981767, 0.00031949756),
    (0.00045509921, 0, 0, 0.0013648766, 0, 0),
    # Y
    (0, 0, 0, 7.4668903, 0, 17.445834),
    (0.00062356016, 0, 0, 6.6836781, 0.00037724408, 1.0278899),
    (225.20515, 0, 0, 19.213238, 0.0011401525, 0.0012377556),
    (176.39318, 0, 0, 24.43301, 0.28520803, 0.00044854369),
    (0, 0, 0, 34.779063, 44.835625, 0),
    (0, 0, 0, 0, 0, 0),
    # B-Y
    (0, 0.00086805566, 0, 0, 0, 0),
    (0, 0.00053131919, 0, 0.00016533814, 0, 0),
    (0, 0, 0, 0.00041791718, 0.0017290828, 0),
    (0.0020827006, 0, 0, 8.8269828, 23.192433, 0),
    (95.10805, 0.9863978, 0.98343828, 0.0012286405, 171.26673, 0.98078589),
    (0, 0, 0, 0.00051300646, 0, 0.00010854058),
)
# fmt: on


def ssimulacra2(reference: Pixels, distorted: Pixels) -> float:
    """The score. Raises InvalidImageError, also for sides below 128 pixels."""
    import torch
    from torch.nn.functional import avg_pool2d

    check_pair(reference, distorted, LEAST_SIDE)
    weights = np.array(_WEIGHTS).reshape(3, 6, 6)
    total = 0.0
    with torch.inference_mode():
        a, b = _linear(reference), _linear(distorted)
        for scale in range(6):
            if scale:
                a, b = (avg_pool2d(light, 2, ceil_mode=True) for light in (a, b))
            planes = zip(_xyb(a), _xyb(b), strict=True)
            for channel, (plane_a, plane_b) in enumerate(planes):
                total += float(weights[channel, scale] @ _errors(plane_a, plane_b))
    return _score(total)


def _score(error: float) -> float:
    """Map the weighted errors to the scale of opinions."""
    error *= 0.9562382616834844
    bent = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return 100.0 - 10.0 * math.pow(max(bent, 0.0), 0.6276336467831387)


def _linear(pixels: Pixels) -> Tensor:
    import torch

    table = linear_of_srgb().astype(np.float32)
    return torch.from_numpy(table[pixels.transpose(2, 0, 1)])[None]


def _xyb(linear: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """X, Y and B-Y, each about 0..1, as (1, 1, height, width)."""
    import torch

    red, green, blue = (linear[:, channel : channel + 1] for channel in range(3))
    zero = _OPSIN_BIAS ** (1 / 3)
    long, middle, short = (
        torch.pow(red * r + green * g + blue * b + _OPSIN_BIAS, 1 / 3) - zero for r, g, b in _OPSIN
    )
    y = (long + middle) / 2
    return (long - middle) * 7.0 + 0.42, y + 0.01, short - y + 0.55


def _errors(a: Tensor, b: Tensor) -> NDArray[np.float64]:
    """The six norms of one plane at one scale, in the order of the weights."""
    import torch

    mean_a, mean_b = _blur(a), _blur(b)
    contrast = 2 * (_blur(a * b) - mean_a * mean_b) + _C2
    spread = _blur(a * a) - mean_a * mean_a + (_blur(b * b) - mean_b * mean_b) + _C2
    structure = (1 - (1 - (mean_a - mean_b).square_()) * contrast / spread).clamp_min_(0)
    edges = (1 + (b - mean_b).abs_()) / (1 + (a - mean_a).abs_()) - 1
    maps = (structure, edges.clamp_min(0), (-edges).clamp_min_(0))
    means = [m.double().mean().item() for m in maps]
    norms = [torch.square(torch.square(m.double())).mean().item() ** 0.25 for m in maps]
    return np.array(means + norms)


def _blur(plane: Tensor) -> Tensor:
    from torch.nn.functional import pad

    return smooth(pad(plane, (4, 4, 4, 4)), _KERNEL)
