"""SSIMULACRA2: structural similarity in a perceptual colour space, tuned on opinions of compressed pictures.

Source: Jon Sneyers (Cloudinary), version 2.1 of April 2023; the algorithm, its 108 weights and its constants are
those of the reference program (BSD-3-Clause, `weights/LICENSE-SSIMULACRA2`), written anew on torch. It agrees
with that program within 0.1 points on the pairs in tests/test_metrics_ssimulacra2.py.
Range: 100 (equal pictures) down without end; 90 cannot be told apart in a flicker test, 70 is high quality, 50
medium, 30 low, below 10 very low.
Direction: higher is better. It rewards fidelity: plausible texture in the wrong place costs as much as blur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .colour import linear_of_srgb
from .pictures import Pixels, check_pair

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SIDE = 128  # for smaller pictures the reference program leaves scales out and mixes up its weights

# A Gaussian of sigma 1.5 as sums of truncated cosines (Charalampidis 2016), one half of it; zero outside.
_HALF_KERNEL = (0.26462110548819856, 0.2129285920104222, 0.10933537277746032, 0.03601111465836437, 0.0094143678096537)
_C2 = 0.0009
_OPSIN = ((0.3, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821, 0.5518098665095536))
_OPSIN_BIAS = 0.0037930732552754493

# By channel (X, Y, B-Y) and scale (1:1 to 1:32): the mean of the errors of structure, of edges that were added
# and of edges that were lost, then the 4-norm of the three.
# fmt: off
_WEIGHTS = (
    # X
    (0, 0.0007376606707406586, 0, 0, 0.0007793481682867309, 0),
    (0, 0.0004371155730107379, 0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
    (0, 0.0016406437456599754, 0, 1.8422455520539298, 11.441172603757666, 0),
    (0.0007989109436015163, 0.000176816438078653, 0, 1.8787594979546387, 10.94906990605142, 0),
    (0.0007289346991508072, 0.9677937080626833, 0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053),
    (0.0004550992113792063, 0, 0, 0.0013648766163243398, 0, 0),
    # Y
    (0, 0, 0, 7.466890328078848, 0, 17.445833984131262),
    (0.0006235601634041466, 0, 0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264),
    (225.20515300849274, 0, 0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
    (176.39317598450694, 0, 0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
    (0, 0, 0, 34.77906344483772, 44.835625328877896, 0),
    (0, 0, 0, 0, 0, 0),
    # B-Y
    (0, 0.0008680556573291698, 0, 0, 0, 0),
    (0, 0.0005313191874358747, 0, 0.00016533814161379112, 0, 0),
    (0, 0, 0, 0.0004179171803251336, 0.0017290828234722833, 0),
    (0.0020827005846636437, 0, 0, 8.826982764996862, 23.19243343998926, 0),
    (95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307, 0.9807858872435379),
    (0, 0, 0, 0.0005130064588990679, 0, 0.00010854057858411537),
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
    return 100.0 - 10.0 * max(bent, 0.0) ** 0.6276336467831387


def _linear(pixels: Pixels) -> Tensor:
    import torch

    table = linear_of_srgb().astype(np.float32)
    return torch.from_numpy(table[pixels.transpose(2, 0, 1)])[None]


def _xyb(linear: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """X, Y and B-Y, each about 0..1, as (1, 1, height, width)."""
    import torch

    red, green, blue = linear.split(1, 1)
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
    import torch
    from torch.nn.functional import conv2d

    taps = torch.tensor([*_HALF_KERNEL[:0:-1], *_HALF_KERNEL])
    across = conv2d(plane, taps.view(1, 1, 1, -1), padding=(0, 4))
    return conv2d(across, taps.view(1, 1, -1, 1), padding=(4, 0))
