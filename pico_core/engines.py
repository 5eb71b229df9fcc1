"""The engines that take a tile from pixels to bytes and back, and which of them is used.

    native  C, of this package; the default
    numpy   slow; where no native library was built for the platform
    torch   GPUs; needs the extra `torch`

All give the same symbols for the same bytes. native and numpy also give the same pixels, bit for bit, on every machine;
those of torch differ by rounding. The environment variable PICO_ENGINE names the one that is used unless a call does.
"""

from __future__ import annotations

import os
import warnings
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .arithmetic import Arrays
from .errors import EngineError, OptionError
from .forks import SHARED
from .registry import Weights

NAMES = ("auto", "native", "numpy", "torch")

Symbols = NDArray[np.int16]


class Engine(Protocol):
    """Codes tiles with one set of weights; may be used from several threads. Levels are in units of 1/4096."""

    @property
    def name(self) -> str:
        """As in `NAMES`."""

    @property
    def kernels(self) -> str:
        """What computes: an instruction set, or a device."""

    def encode(self, pixels: NDArray[np.uint8], level: int) -> bytes:
        """Pixels (height, width, 1 or 3) of a tile, up to 512 a side -> the bytes of its payload."""

    def decode(self, payload: bytes, width: int, height: int, channels: int, level: int) -> NDArray[np.uint8]:
        """The payload of a tile -> pixels (height, width, channels). Raises CorruptError."""

    def read(self, payload: bytes, width: int, height: int, level: int) -> tuple[Symbols, Symbols]:
        """The payload of a tile -> symbols (4h, 4w, latent) and hyperlatent (h, w, hyper); h, w in 64 pixels."""

    def write(self, symbols: Symbols, z: Symbols, level: int) -> bytes:
        """Symbols and hyperlatent of a tile -> the bytes of its payload."""


_engines: dict[tuple[bytes, str], Engine] = {}


def engine_for(weights: Weights, name: str | None = None) -> Engine:
    """The process's engine for these weights; `name` is one of `NAMES`, None what PICO_ENGINE says.

    Raises OptionError for another name, EngineError where the engine cannot run here.
    """
    chosen = _resolve(os.environ.get("PICO_ENGINE") or "auto" if name is None else name)
    with SHARED:
        key = (weights.id, chosen)
        if key not in _engines:
            _engines[key] = _make(weights.arrays, chosen)
        return _engines[key]


def engine_of(arrays: Arrays, name: str | None = None) -> Engine:
    """A new engine for the arrays of a weights file, which nobody else uses; see `engine_for`."""
    return _make(arrays, _resolve(os.environ.get("PICO_ENGINE") or "auto" if name is None else name))


def forget(weights: Weights) -> None:
    """Let go of the memory of all engines for these weights."""
    with SHARED:
        for key in [key for key in _engines if key[0] == weights.id]:
            del _engines[key]


def _resolve(name: str) -> str:
    if name not in NAMES:
        msg = f"engine is {name!r}; it must be one of {', '.join(NAMES)}"
        raise OptionError(msg)
    if name != "auto":
        return name
    from . import native

    if native.is_available():
        return "native"
    warnings.warn(
        "this installation has no native engine, so pictures are coded by numpy, some fifty times slower; "
        "install a wheel for this platform",
        stacklevel=4,
    )
    return "numpy"


def _make(arrays: Arrays, name: str) -> Engine:
    if name == "native":
        from .native import NativeEngine

        return NativeEngine(arrays)
    if name == "numpy":
        from .reference import NumpyEngine

        return NumpyEngine(arrays)
    try:
        from .torch_engine import TorchEngine
    except ImportError as error:
        msg = "the engine torch needs PyTorch: pip install 'pillow-pico[torch]'"
        raise EngineError(msg) from error
    return TorchEngine(arrays)
