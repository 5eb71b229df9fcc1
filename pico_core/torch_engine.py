"""The engine in PyTorch, for GPUs: the format's integers as floats.

Sums of products are exact where the device has float64. Apple's GPUs have not; there pixels differ by a level or two.
Symbols are exact all the same: what the entropy coder depends on is computed in integers by another engine.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from . import native
from .arithmetic import LEAK, SYMBOL_LIMIT, Arrays, gains
from .engines import Engine
from .graph import Graph
from .reference import NumpyEngine, Symbols, from_patches, grey, to_patches
from .tiling import pad_to_alignment

_INT16 = (-32_768, 32_767)


def best_device() -> torch.device:
    """A GPU if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class TorchArithmetic:
    """The format's arithmetic with tensors (height, width, channels) of float32 (`graph.Arithmetic`)."""

    def __init__(self, arrays: Arrays, device: torch.device):
        self._raw, self._device = arrays, device
        self._exact = torch.float32 if device.type == "mps" else torch.float64
        self._arrays = {
            name: torch.tensor(array).to(device, self._type_of(name, array))
            for name, array in arrays.items()
            if not name.startswith("tables.")
        }
        self._steps = torch.tensor(arrays["tables.step"]).to(device)

    def _type_of(self, name: str, array: NDArray[Any]) -> torch.dtype:
        """The type of products: those of int8 are exact in float32."""
        layer = name.rpartition(".")[0]
        weight = self._raw.get(f"{layer}.weight", array)
        is_product = name.endswith((".weight", ".bias")) and weight.dtype == np.int16
        return self._exact if is_product else torch.float32

    def _product(self, name: str, x: Tensor) -> Tensor:
        weight = self._arrays[f"{name}.weight"]
        return F.linear(x.to(weight.dtype), weight, self._arrays[f"{name}.bias"]).float()

    def has(self, name: str) -> bool:
        """Whether the weights have a layer or a block of this name."""
        return f"{name}.weight" in self._arrays

    def empty(self, height: int, width: int, channels: int, like: Tensor) -> Tensor:
        """A map to be filled."""
        return like.new_empty((height, width, channels))

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps side by side, along their channels."""
        return torch.cat(list(maps), dim=-1)

    def layer(self, name: str, x: Tensor, *, level: int | None = None, leaky: bool = False) -> Tensor:
        """A 1x1 convolution to features."""
        values = self.values(name, x, level=level)
        return (torch.maximum(values, values * float(LEAK)) if leaky else values).clamp(*_INT16).round()

    def values(self, name: str, x: Tensor, *, level: int | None = None) -> Tensor:
        """A 1x1 convolution to floating-point values."""
        scale = self._arrays[f"{name}.scale"] if level is None else self._gains(f"{name}.gain", level)
        return self._product(name, x) * scale

    def _gains(self, name: str, level: int) -> Tensor:
        return torch.from_numpy(gains(self._raw[name], level)).to(self._device)

    def rounded(self, name: str, x: Tensor, low: int, high: int, *, level: int | None = None) -> Tensor:
        """A 1x1 convolution to integers from `low` to `high`."""
        return self.values(name, x, level=level).clamp(low, high).round()

    def gained(self, name: str, x: Tensor, level: int) -> Tensor:
        """Features or latents, multiplied by gains of a level, as features."""
        return (x * self._gains(name, level)).clamp(*_INT16).round()

    def known(self, name: str, x: Tensor) -> Tensor:
        """Latents as the features that a pass of the context model sees."""
        return (x * self._arrays[name]).clamp(*_INT16).round()

    def block(self, name: str, x: Tensor) -> Tensor:
        """A residual block."""
        low, high = (0, 255) if self._raw[f"{name}.expand.weight"].dtype == np.int8 else _INT16
        kernel = self._arrays[f"{name}.spatial.weight"].permute(2, 0, 1)[:, None]
        bias, planes = self._arrays[f"{name}.spatial.bias"], x.permute(2, 0, 1)[None].to(kernel.dtype)
        sums = F.conv2d(planes, kernel, bias, padding=1, groups=x.shape[-1])[0].permute(1, 2, 0)
        shifted = torch.floor(sums * 2.0 ** -int(self._raw[f"{name}.spatial.shift"][0])).float()
        hidden = self._product(f"{name}.expand", shifted.clamp(low, high))
        hidden = hidden * self._arrays[f"{name}.expand.scale"]
        hidden = torch.maximum(hidden, hidden * float(LEAK)).round() + self._arrays[f"{name}.expand.zero"]
        residual = self._product(f"{name}.project", hidden.clamp(low, high))
        residual = (residual * self._arrays[f"{name}.project.scale"]).clamp(*_INT16).round()
        return (x + residual).clamp(*_INT16)

    def mean_and_step(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and quantisation step of the latents of one pass."""
        mean, place = self.values(name, x).chunk(2, dim=-1)
        return mean, self._steps[place.clamp(0, len(self._steps) - 1).round().long()]

    def symbol(self, y: Tensor, mean: Tensor, step: Tensor) -> Tensor:
        """The latents y as symbols."""
        return ((y - mean) / step).clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT).round()

    def latent(self, symbol: Tensor, mean: Tensor, step: Tensor) -> Tensor:
        """The latents that symbols stand for."""
        return mean + symbol * step


class TorchEngine:
    """Tiles through the networks on a GPU, and through the entropy coder of another engine (`engines.Engine`)."""

    name = "torch"

    def __init__(self, arrays: Arrays, device: torch.device | None = None):
        self._device = device or best_device()
        self.kernels = str(self._device)
        self._graph = Graph(TorchArithmetic(arrays, self._device))
        self._coder: Engine = native.NativeEngine(arrays) if native.is_available() else NumpyEngine(arrays)
        self._lock = threading.Lock()  # one tile at a time: it has the whole device

    def _to_device(self, x: NDArray[np.int16]) -> Tensor:
        return torch.from_numpy(x.astype(np.float32)).to(self._device)

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8], level: int) -> bytes:
        """Pixels (height, width, 1 or 3) of a tile, up to 512 a side -> the bytes of its payload."""
        colour = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
        patches = to_patches(pad_to_alignment(colour))
        with self._lock:
            symbols, z = self._graph.analyse(self._to_device(patches), level)
        return self.write(_int16(symbols), _int16(z), level)

    @torch.inference_mode()
    def decode(self, payload: bytes, width: int, height: int, channels: int, level: int) -> NDArray[np.uint8]:
        """The payload of a tile -> pixels (height, width, channels). Raises CorruptError."""
        symbols, z = self.read(payload, width, height, level)
        with self._lock:
            patches = self._graph.synthesise(self._to_device(symbols), self._to_device(z), level)
        pixels = from_patches(_int16(patches))[:height, :width]
        return pixels if channels == 3 else grey(pixels)

    def read(self, payload: bytes, width: int, height: int, level: int) -> tuple[Symbols, Symbols]:
        """The payload of a tile -> symbols (4h, 4w, latent) and hyperlatent (h, w, hyper); h, w in 64 pixels."""
        return self._coder.read(payload, width, height, level)

    def write(self, symbols: Symbols, z: Symbols, level: int) -> bytes:
        """Symbols and hyperlatent of a tile -> the bytes of its payload."""
        return self._coder.write(symbols, z, level)


def _int16(x: Tensor) -> Symbols:
    return x.to(torch.int16).cpu().numpy()
