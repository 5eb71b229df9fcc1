"""Faces: where they are in a picture, and how far a codec moves what is inside them.

The detector is MTCNN (Zhang, Zhang, Li and Qiao, "Joint face detection and alignment using multi-task cascaded
convolutional networks", 2016), three small networks one after the other; its weights are those of facenet-pytorch
(MIT, `weights/LICENSE-MTCNN`). It finds faces from about 20 pixels on, seen from the front or half from the side.

`face_error` is the mean absolute difference of RGB (L1) inside the faces of the original. Range: 0 (equal there) to 1
(black against white). `face_lpips` is the mean of the map of LPIPS (Alex) there. Range: 0 to about 1. Direction of
both: lower is better. NaN for pictures in which no face is found.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .lpips import CELL, lpips_map
from .networks import LEAST_SIDE
from .pictures import Pixels, check_pair, check_picture

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = Path(__file__).parent / "weights" / "mtcnn.safetensors"
LEAST_FACE = 20  # pixels, of the smallest faces that are looked for

_STEP = 0.709  # from one size of the picture to the next smaller one
_CELL, _STRIDE = 12, 2  # what the first network sees of a picture, in steps of
_THRESHOLDS = (0.6, 0.7, 0.9)  # least probability of a face after each network
_SIDES = {"refinement": 24, "output": 48}  # pixels that the later networks see a candidate in
# The layers before the two heads: a convolution with its kernel from the weights, or the side of a pooling window.
_LAYERS: dict[str, tuple[int, ...]] = {
    "proposal": (0, 2, 0, 0),
    "refinement": (0, 3, 0, 3, 0, 0),
    "output": (0, 3, 0, 3, 0, 2, 0, 0),
}


class Face(NamedTuple):
    """A face: its box in pixels, which may reach beyond the picture, and the detector's probability."""

    left: float
    top: float
    right: float
    bottom: float
    probability: float

    def outline(self, corners: int = 24) -> list[tuple[float, float]]:
        """The ellipse inside the box, as corners (x, y)."""
        across, down = (self.right - self.left) / 2, (self.bottom - self.top) / 2
        angles = [2 * math.pi * corner / corners for corner in range(corners)]
        return [(self.left + across * (1 + math.cos(a)), self.top + down * (1 + math.sin(a))) for a in angles]


def find_faces(pixels: Pixels) -> tuple[Face, ...]:
    """The faces of a picture, the most probable first. Raises InvalidImageError."""
    import torch

    check_picture(pixels, "original")
    with torch.inference_mode():
        picture = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float()
        picture = (picture - 127.5) / 128
        boxes = _proposals(picture)
        for network, threshold in (("refinement", _THRESHOLDS[1]), ("output", _THRESHOLDS[2])):
            boxes = _judged(picture, boxes, network, threshold)
    return tuple(Face(*(float(number) for number in box)) for box in boxes)


def face_error(reference: Pixels, distorted: Pixels) -> float:
    """Mean absolute difference inside faces, in units of full scale. Raises InvalidImageError."""
    check_pair(reference, distorted)
    mask = mask_of(_faces_of(reference), *reference.shape[:2])
    if not mask.any():
        return math.nan
    return float(np.abs(reference[mask].astype(np.int16) - distorted[mask]).mean() / 255)


def face_lpips(reference: Pixels, distorted: Pixels) -> float:
    """LPIPS (Alex) inside faces. Raises InvalidImageError, also for sides below 35 pixels."""
    check_pair(reference, distorted, LEAST_SIDE)
    mask = mask_of(_faces_of(reference), *reference.shape[:2])
    if not mask.any():
        return math.nan
    cells = lpips_map(reference, distorted, "alex")
    height, width = reference.shape[:2]
    shares = np.pad(mask, ((0, -height % CELL), (0, -width % CELL))).astype(np.float64)
    shares = shares.reshape(len(cells), CELL, -1, CELL).mean((1, 3))
    return float((cells * shares).sum() / shares.sum())


def mask_of(faces: Sequence[Face], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels that lie in an ellipse inside the box of a face, (height, width)."""
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    for face in faces:
        draw.polygon(face.outline(), fill=1)
    return np.array(canvas, bool)


_known: dict[int, tuple[Face, ...]] = {}


def _faces_of(pixels: Pixels) -> tuple[Face, ...]:
    """`find_faces`, once for a picture that is compared with many."""
    key = hash(pixels.tobytes())
    if key not in _known:
        if len(_known) > 1000:
            _known.clear()
        _known[key] = find_faces(pixels)
    return _known[key]


def _proposals(picture: Tensor) -> Tensor:
    """Candidates (count, 5), left, top, right, bottom, probability, from the picture (1, 3, H, W) at many sizes."""
    import torch
    from torch.nn.functional import interpolate

    height, width = picture.shape[2:]
    found = [torch.zeros(0, 5)]
    scale = _CELL / LEAST_FACE
    while min(height, width) * scale >= _CELL:
        size = (math.ceil(height * scale), math.ceil(width * scale))
        probability, moves = _look("proposal", interpolate(picture, size, mode="area"))
        rows, columns = (probability[0] >= _THRESHOLDS[0]).nonzero(as_tuple=True)
        corners = torch.stack([columns, rows], 1) * _STRIDE
        boxes = torch.cat([corners, corners + _CELL], 1) / scale
        moved = _moved(boxes, moves[0, :, rows, columns].T)
        scored = torch.cat([moved, probability[0, rows, columns][:, None]], 1)
        found.append(_distinct(scored, 0.5))
        scale *= _STEP
    return _distinct(torch.cat(found), 0.7)


def _judged(picture: Tensor, boxes: Tensor, network: str, threshold: float) -> Tensor:
    """The candidates (count, 5) that a later network takes for faces, moved to where it sees them."""
    import torch

    if not len(boxes):
        return boxes
    squares = _squared(boxes)
    views = torch.cat([_view(picture, square, _SIDES[network]) for square in squares])
    probability, moves = _look(network, views)
    kept = probability[:, 0, 0] >= threshold
    moved = _moved(squares[kept], moves[kept, :, 0, 0])
    return _distinct(torch.cat([moved, probability[kept, :, 0]], 1), 0.7 if network == "refinement" else 0.4)


def _look(network: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, H, W) -> probability of a face (N, rows, columns), and how its box lies (N, 4, rows, columns)."""
    from torch.nn.functional import conv2d, max_pool2d, prelu

    tensors, number = _tensors(), 0
    for pool in _LAYERS[network]:
        if pool:
            x = max_pool2d(x, pool, 2, ceil_mode=True)
            continue
        number += 1
        weight, bias, slope = (tensors[f"{network}.{number}.{part}"] for part in ("weight", "bias", "slope"))
        x = prelu(conv2d(x, weight, bias), slope)
    face, box = (
        conv2d(x, tensors[f"{network}.{h}.weight"], tensors[f"{network}.{h}.bias"]) for h in ("face", "box")
    )
    return face.softmax(1)[:, 1], box


def _moved(boxes: Tensor, moves: Tensor) -> Tensor:
    """Boxes (count, 4 or more), their corners moved by fractions (count, 4) of their sides."""
    sides = boxes[:, 2:4] - boxes[:, :2]
    return boxes[:, :4] + moves * sides.repeat(1, 2)


def _squared(boxes: Tensor) -> Tensor:
    """The smallest squares (count, 4) around boxes, with the same middle."""
    import torch

    middle = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], 1)


def _view(picture: Tensor, square: Tensor, side: int) -> Tensor:
    """A square of the picture at side x side pixels; beyond the picture it is grey."""
    from torch.nn.functional import interpolate, pad

    left, top, right, bottom = (round(float(number)) for number in square)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = picture.shape[2:]
    inside = picture[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    around = (
        max(-left, 0),
        max(right - max(width, left), 0),
        max(-top, 0),
        max(bottom - max(height, top), 0),
    )
    return interpolate(pad(inside, around), (side, side), mode="area")


def _distinct(boxes: Tensor, overlap: float) -> Tensor:
    """Of boxes that share more than `overlap` of their union, the most probable; the most probable first."""
    import torch

    boxes = boxes[boxes[:, 4].argsort(descending=True)]
    area = (boxes[:, 2:4] - boxes[:, :2]).clamp_min(0).prod(1)
    kept: list[int] = []
    left = torch.ones(len(boxes), dtype=torch.bool)
    for index in range(len(boxes)):
        if not left[index]:
            continue
        kept.append(index)
        corner = torch.maximum(boxes[index, :2], boxes[:, :2])
        shared = (torch.minimum(boxes[index, 2:4], boxes[:, 2:4]) - corner).clamp_min(0).prod(1)
        left &= shared <= overlap * (area + area[index] - shared)
    return boxes[kept]


@functools.cache
def _tensors() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}
