"""The two image-classification networks whose inner layers LPIPS and the patch distance compare.

AlexNet and SqueezeNet 1.1, trained on ImageNet, with the linear heads of LPIPS v0.1, as plain tensors in
`weights/`. They are stored as float16, which changes LPIPS by less than 0.5 % (tests/test_metrics_lpips.py).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from .pictures import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Network: TypeAlias = Literal["alex", "squeeze"]

WEIGHTS = Path(__file__).parent / "weights"
LEAST_SIDE = 35  # below this some layer of some network has no position left
STRIDE = 16  # pixels between neighbouring positions of the deepest layers; earlier strides divide it
REACH = 128  # pixels beyond its 16x16 cell that a position sees at most, rounded up to a multiple of STRIDE
_SHIFT = (-0.030, -0.088, -0.188)  # LPIPS's input normalisation, for pictures in -1..1
_SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class _Layer:
    """One step of a network. Convolutions and fires end in a ReLU."""

    kind: Literal["convolution", "fire", "pool"]
    index: int = 0  # in the published networks' list of layers, hence in the names of the weights
    kernel: int = 3
    stride: int = 1
    padding: int = 0
    ceil: bool = False

    def positions(self, size: int) -> int:
        """Positions along a side after this layer, given those before it."""
        if self.kind == "fire":
            return size
        room = size + 2 * self.padding - self.kernel
        return (-(-room // self.stride) if self.ceil else room // self.stride) + 1


def _alex() -> tuple[_Layer, ...]:
    pool = _Layer("pool", stride=2)
    deep = (_Layer("convolution", index, padding=1) for index in (6, 8, 10))
    first = _Layer("convolution", 0, kernel=11, stride=4, padding=2)
    return first, pool, _Layer("convolution", 3, kernel=5, padding=2), pool, *deep


def _squeeze() -> tuple[_Layer, ...]:
    pool = _Layer("pool", stride=2, ceil=True)
    fire = {index: _Layer("fire", index) for index in (3, 4, 6, 7, 9, 10, 11, 12)}
    deep = (fire[index] for index in (9, 10, 11, 12))
    return _Layer("convolution", 0, stride=2), pool, fire[3], fire[4], pool, fire[6], fire[7], pool, *deep


_LAYERS = {"alex": _alex(), "squeeze": _squeeze()}
_TAPS = {"alex": (0, 3, 6, 8, 10), "squeeze": (0, 4, 7, 9, 10, 11, 12)}  # the layers that LPIPS compares


def strides(network: Network) -> list[int]:
    """Pixels between neighbouring positions of each compared layer."""
    steps = accumulate((layer.stride for layer in _LAYERS[network]), lambda a, b: a * b)
    return [step for layer, step in zip(_LAYERS[network], steps, strict=True) if _is_tap(network, layer)]


def positions(network: Network, size: int) -> list[int]:
    """Positions of each compared layer along a side of `size` pixels."""
    counts = []
    for layer in _LAYERS[network]:
        size = layer.positions(size)
        if _is_tap(network, layer):
            counts.append(size)
    return counts


def heads(network: Network) -> list[Tensor]:
    """LPIPS's weights of the channels of each compared layer, each (1, channels, 1, 1)."""
    tensors = _tensors(network)
    return [tensors[f"lin.{number}.weight"] for number in range(len(_TAPS[network]))]


def activations(network: Network, pixels: Pixels) -> Iterator[Tensor]:
    """The compared layers' outputs for a picture (height, width, 3), one after the other.

    Each is (1, channels, rows, columns) of float32, scaled as in LPIPS so that the channels of a position
    have a Euclidean norm of 1.
    """
    import torch
    from torch.nn.functional import max_pool2d

    x = _normalised(pixels)
    for layer in _LAYERS[network]:
        # Never across a yield: the mode would stay on in the caller, and in the process for good.
        with torch.inference_mode():
            if layer.kind == "pool":
                x = max_pool2d(x, layer.kernel, layer.stride, ceil_mode=layer.ceil)
            else:
                x = _fire(network, layer, x) if layer.kind == "fire" else _convolution(network, layer, x)
            if not _is_tap(network, layer):
                continue
            output = x * torch.rsqrt((x * x).sum(1, keepdim=True) + 1e-10)
        yield output


def _is_tap(network: Network, layer: _Layer) -> bool:
    return layer.kind != "pool" and layer.index in _TAPS[network]


def _normalised(pixels: Pixels) -> Tensor:
    import torch

    x = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].to(memory_format=torch.channels_last)
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
    return (x / 127.5 - 1 - shift) / scale


def _convolution(network: Network, layer: _Layer, x: Tensor) -> Tensor:
    return _convolved(network, f"features.{layer.index}", x, layer.stride, layer.padding)


def _fire(network: Network, layer: _Layer, x: Tensor) -> Tensor:
    """SqueezeNet's block: squeezed by a 1x1 convolution, expanded by a 1x1 and a 3x3 side by side."""
    import torch

    name = f"features.{layer.index}"
    x = _convolved(network, f"{name}.squeeze", x)
    wide = _convolved(network, f"{name}.expand3x3", x, padding=1)
    return torch.cat([_convolved(network, f"{name}.expand1x1", x), wide], 1)


def _convolved(network: Network, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    from torch.nn.functional import conv2d

    tensors = _tensors(network)
    return conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride, padding).relu_()


@functools.cache
def _tensors(network: Network) -> dict[str, Tensor]:
    import torch
    from safetensors.torch import load_file

    stored = load_file(WEIGHTS / f"lpips-{network}.safetensors")
    return {
        name: tensor.float().contiguous(memory_format=torch.channels_last)
        if tensor.ndim == 4
        else tensor.float()
        for name, tensor in stored.items()
    }
