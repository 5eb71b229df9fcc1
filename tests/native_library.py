"""The native engine, built from its C sources and called as C is: without the checks that Python's side makes."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pico_core.native import _TYPES as TYPES
from pico_core.native import _Array as Record

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "pico_core" / "native"
DONE, DAMAGED, NO_MEMORY, WRONG_WEIGHTS, WRONG_ARGUMENT = 0, -1, -2, -3, -4
KERNELS = ("portable", "avx2", "avxvnni", "avx512", "neon", "dotprod")
_SIDE = 512  # of the largest tile


def compile_c(output: Path, *arguments: str) -> Path:
    """All sources of the engine, and what the arguments name, as one file. Needs ziglang."""
    compiler = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-std=c11",
        "-O3",
        "-ffp-contract=off",
        "-fno-sanitize=all",
    ]
    sources = [str(source) for source in sorted(SOURCES.glob("*.c"))]
    command = [*compiler, f"-I{SOURCES}", "-o", str(output), *arguments, *sources, "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    return output


class Library:
    """The functions of pico.h."""

    def __init__(self, path: Path):
        self.c = ctypes.CDLL(str(path))
        pointer, integer, size, distance = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_ssize_t
        signatures = {
            "pico_model_new": (
                integer,
                ctypes.POINTER(Record),
                integer,
                ctypes.c_char_p,
                pointer,
                pointer,
                size,
            ),
            "pico_model_free": (None, pointer),
            "pico_model_kernels": (ctypes.c_char_p, pointer),
            "pico_coder_new": (pointer, pointer, integer),
            "pico_coder_free": (None, pointer),
            "pico_decode": (integer, pointer, pointer, size, *[integer] * 4, pointer, distance),
            "pico_encode": (ctypes.c_int64, pointer, pointer, distance, *[integer] * 4, pointer, size),
            "pico_most_bytes": (size, pointer, integer, integer),
            "pico_read": (integer, pointer, pointer, size, *[integer] * 3, pointer, pointer),
        }
        for name, (result, *arguments) in signatures.items():
            getattr(self.c, name).restype, getattr(self.c, name).argtypes = result, arguments

    def model(self, arrays: Mapping[str, NDArray[Any]], kernels: str | None = None) -> Model:
        """A model of arrays. Raises RefusedError."""
        return Model(self, records_of(arrays), kernels)

    def kernels(self, arrays: Mapping[str, NDArray[Any]]) -> list[str]:
        """Names of the kernels that this processor runs."""
        return [name for name in KERNELS if self._runs(arrays, name)]

    def _runs(self, arrays: Mapping[str, NDArray[Any]], name: str) -> bool:
        try:
            self.model(arrays, name)
        except RefusedError as refused:
            if refused.result != WRONG_ARGUMENT:
                raise
            return False
        return True


class RefusedError(Exception):
    """A function of pico.h returned this negative result."""

    def __init__(self, result: int, why: str = ""):
        super().__init__(result, why)
        self.result, self.why = result, why


def records_of(arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Records of the arrays, which must live as long."""
    records = (Record * len(arrays))()
    for record, (name, array) in zip(records, arrays.items(), strict=True):
        record.name, record.type, record.dimensions = name.encode(), TYPES[array.dtype.name], array.ndim
        record.shape[: array.ndim] = array.shape
        record.data = array.ctypes.data
    return records


class Model:
    """A model, and one coder for tiles of up to 512 pixels a side."""

    def __init__(self, library: Library, records: Any, kernels: str | None = None):
        self._c, self._model, why = library.c, ctypes.c_void_p(), ctypes.create_string_buffer(200)
        name = kernels.encode() if kernels else None
        result = self._c.pico_model_new(records, len(records), name, ctypes.byref(self._model), why, len(why))
        if result:
            raise RefusedError(result, why.value.decode())
        self.kernels = self._c.pico_model_kernels(self._model).decode()
        self.coder = self.new_coder()

    def __del__(self) -> None:
        if self._model:
            self._c.pico_coder_free(self.coder)
            self._c.pico_model_free(self._model)

    def new_coder(self) -> int:
        """Another coder, never freed."""
        return int(self._c.pico_coder_new(self._model, _SIDE))

    def encode(self, pixels: NDArray[np.uint8], level: int, coder: int | None = None) -> bytes:
        """Pixels (height, width, channels) with any distance of rows -> payload. Raises RefusedError."""
        height, width, channels = pixels.shape
        payload = np.empty(max(1, self._c.pico_most_bytes(self._model, width, height)), np.uint8)
        place = (pixels.ctypes.data, pixels.strides[0], width, height, channels, level)
        length = self._c.pico_encode(coder or self.coder, *place, payload.ctypes.data, len(payload))
        if length < 0:
            raise RefusedError(length)
        return payload[:length].tobytes()

    def decode(
        self, payload: bytes, shape: tuple[int, int, int], level: int, coder: int | None = None
    ) -> NDArray[np.uint8]:
        """A payload -> pixels of the shape (height, width, channels). Raises RefusedError."""
        height, width, channels = shape
        pixels = np.empty((height, width, channels), np.uint8)
        place = (width, height, channels, level, pixels.ctypes.data, width * channels)
        result = self._c.pico_decode(coder or self.coder, payload, len(payload), *place)
        if result:
            raise RefusedError(result)
        return pixels

    def read(
        self, payload: bytes, height: int, width: int, level: int, latent: int, hyper: int
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """A payload -> symbols (4h, 4w, latent) and hyperlatent (h, w, hyper). Raises RefusedError."""
        h, w = -(-height // 64), -(-width // 64)
        symbols, z = np.empty((4 * h, 4 * w, latent), np.int16), np.empty((h, w, hyper), np.int16)
        place = (width, height, level, symbols.ctypes.data, z.ctypes.data)
        result = self._c.pico_read(self.coder, payload, len(payload), *place)
        if result:
            raise RefusedError(result)
        return symbols, z
