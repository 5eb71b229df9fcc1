"""SSIMULACRA2: structural similarity in a perceptual colour space, tuned on opinions of compressed pictures.

Source: Jon Sneyers (Cloudinary), version 2.1 of April 2023; the algorithm, its 108 weights and its constants
are those of the reference program (BSD-3-Clause, `weights/LICENSE-SSIMULACRA2`), written anew on numpy. It
agrees with that program within 0.2 points on the pairs in tests/test_metrics_ssimulacra2.py.
Range: 100 (equal pictures) down without end; 90 cannot be told apart in a flicker test, 70 is high quality,
50 medium, 30 low, below 10 very low.
Direction: higher is better. It rewards fidelity: plausible texture in the wrong place costs as much as blur.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .colour import linear_of_srgb
from .pictures import Pixels, check_pair

Plane: TypeAlias = NDArray[np.float32]

LEAST_SIDE = 128  # for smaller pictures the reference program leaves scales out and mixes up its weights

# A Gaussian of sigma 1.5 as a sum of truncated cosines (Charalampidis 2016), one half of it; zero outside.
_HALF_KERNEL = (0.264621105488, 0.212928592010, 0.109335372777, 0.036011114658, 0.009414367810)
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
    check_pair(reference, distorted, LEAST_SIDE)
    weights = np.array(_WEIGHTS).reshape(3, 6, 6)
    total = 0.0
    a, b = _linear(reference), _linear(distorted)
    for scale in range(6):
        if scale:
            a, b = _halved(a), _halved(b)
        planes = zip(_xyb(a), _xyb(b), strict=True)
        for channel, (plane_a, plane_b) in enumerate(planes):
            if weights[channel, scale].any():
                total += float(weights[channel, scale] @ _errors(plane_a, plane_b))
    return _score(total)


def _score(error: float) -> float:
    """Map the weighted errors to the scale of opinions."""
    error *= 0.9562382616834844
    bent = 2.326765642916932 * error - 0.020884521182843837 * error**2 + 6.248496625763138e-05 * error**3
    return 100.0 - 10.0 * math.pow(max(bent, 0.0), 0.6276336467831387)


def _linear(pixels: Pixels) -> Plane:
    """Linear light, (3, height, width)."""
    table = linear_of_srgb().astype(np.float32)
    return np.stack([table[pixels[..., channel]] for channel in range(3)])


def _halved(light: Plane) -> Plane:
    """Means of 2 x 2 pixels; of a last row or column that is left over, means of what there is."""
    height, width = light.shape[1:]
    even = np.pad(light, ((0, 0), (0, height % 2), (0, width % 2)), "edge")
    rows = even[:, ::2] + even[:, 1::2]
    halved: Plane = (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)
    return halved


def _xyb(linear: Plane) -> tuple[Plane, Plane, Plane]:
    """X, Y and B-Y, each about 0..1, as (height, width)."""
    red, green, blue = linear
    bias, zero = np.float32(_OPSIN_BIAS), np.float32(_OPSIN_BIAS ** (1 / 3))
    long, middle, short = (
        np.cbrt(np.float32(r) * red + np.float32(g) * green + np.float32(b) * blue + bias) - zero
        for r, g, b in _OPSIN
    )
    y = (long + middle) / 2
    return (
        (long - middle) * np.float32(7.0) + np.float32(0.42),
        y + np.float32(0.01),
        short - y + np.float32(0.55),
    )


def _errors(a: Plane, b: Plane) -> NDArray[np.float64]:
    """The six norms of one plane at one scale, in the order of the weights."""
    mean_a, mean_b = _blur(a), _blur(b)
    contrast = 2 * (_blur(a * b) - mean_a * mean_b) + np.float32(_C2)
    # The blurs of both squares are needed only as a sum. In this order, equal planes give what `contrast` has.
    spread = _blur(a * a + b * b) - (mean_a * mean_a + mean_b * mean_b) + np.float32(_C2)
    structure = np.maximum(1 - (1 - np.square(mean_a - mean_b)) * contrast / spread, 0)
    edges = (1 + np.abs(b - mean_b)) / (1 + np.abs(a - mean_a)) - 1
    maps = (structure, np.maximum(edges, 0), np.maximum(-edges, 0))
    means = [float(m.mean(dtype=np.float64)) for m in maps]
    norms = [float(np.square(np.square(m)).mean(dtype=np.float64)) ** 0.25 for m in maps]
    return np.array(means + norms)


def _blur(plane: Plane) -> Plane:
    """The plane under the kernel, with nothing (0) outside."""
    for axis in (0, 1):
        length, reach = plane.shape[axis], len(_HALF_KERNEL) - 1
        padded = np.pad(plane, [(reach, reach) if side == axis else (0, 0) for side in (0, 1)])
        shifted = [_cut(padded, axis, shift, length) for shift in range(2 * reach + 1)]
        plane = np.float32(_HALF_KERNEL[0]) * shifted[reach]
        for away in range(1, reach + 1):
            both = shifted[reach - away] + shifted[reach + away]
            both *= np.float32(_HALF_KERNEL[away])
            plane += both
    return plane


def _cut(plane: Plane, axis: int, start: int, length: int) -> Plane:
    stop = start + length
    return plane[start:stop] if axis == 0 else plane[:, start:stop]
