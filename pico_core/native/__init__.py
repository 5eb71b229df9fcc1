"""The engine in C: finds its library, hands it the weights, and calls it without holding Python's lock."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pico_core.arithmetic import Arrays
from pico_core.errors import CorruptError, EngineError, OptionError, WeightsError
from pico_core.tiling import ALIGNMENT, WINDOW

_INTERFACE = 2  # PICO_INTERFACE of pico.h
_TYPES = {"int8": 1, "int16": 2, "uint16": 3, "int32": 4, "float32": 5}
_DAMAGED, _NO_MEMORY, _WRONG_WEIGHTS, _WRONG_ARGUMENT = -1, -2, -3, -4
_FOLDER = Path(__file__).parent
_FILE_NAMES = {"win32": "pico.dll", "darwin": "libpico.dylib"}

Symbols = NDArray[np.int16]


class _Array(ctypes.Structure):
    """PicoArray of pico.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 4),
        ("data", ctypes.c_void_p),
    )


def library_path() -> Path:
    """Where the library of this platform lies, if there is one."""
    return _FOLDER / _FILE_NAMES.get(sys.platform, "libpico.so")


def is_available() -> bool:
    """Whether this installation has a library for this platform."""
    return library_path().is_file()


@cache
def _library() -> Any:
    """The loaded library. Raises EngineError."""
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        msg = f"the native engine cannot be loaded ({error}); reinstall pillow-pico, or set PICO_ENGINE=numpy"
        raise EngineError(msg) from error
    if library.pico_interface() != _INTERFACE:
        msg = f"{path} belongs to another version of pillow-pico; install it anew (`make native` in a clone)"
        raise EngineError(msg)
    pointer, number, size, distance = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_ssize_t
    text, level = ctypes.c_char_p, ctypes.c_int
    signatures = {
        "pico_model_new": (
            [ctypes.POINTER(_Array), number, text, ctypes.POINTER(pointer), text, size],
            number,
        ),
        "pico_model_free": ([pointer], None),
        "pico_model_kernels": ([pointer], text),
        "pico_coder_new": ([pointer, number], pointer),
        "pico_coder_free": ([pointer], None),
        "pico_decode": ([pointer, text, size, number, number, number, level, pointer, distance], number),
        "pico_encode": (
            [pointer, pointer, distance, number, number, number, level, pointer, size],
            ctypes.c_int64,
        ),
        "pico_most_bytes": ([pointer, number, number], size),
        "pico_read": ([pointer, text, size, number, number, level, pointer, pointer], number),
        "pico_write": ([pointer, pointer, pointer, number, number, level, pointer, size], ctypes.c_int64),
    }
    for name, (arguments, result) in signatures.items():
        getattr(library, name).argtypes, getattr(library, name).restype = arguments, result
    return library


class NativeEngine:
    """Tiles through the networks and the entropy coder (`engines.Engine`).

    `kernels` names an instruction set: avx512, avxvnni, avx2, dotprod, neon or portable. None, or what the environment
    variable PICO_KERNELS says, takes the fastest that the processor has. All give the same bits.
    Raises EngineError, WeightsError for arrays that are none of the networks'.
    """

    name = "native"

    def __init__(self, arrays: Arrays, kernels: str | None = None):
        self._library = _library()
        self._latent = arrays["encoder.to_latent.weight"].shape[0]
        self._hyper = arrays["encoder.to_hyper.weight"].shape[0]
        self._model = self._new_model(arrays, kernels or os.environ.get("PICO_KERNELS") or None)
        self.kernels: str = self._library.pico_model_kernels(self._model).decode()
        self._idle: list[int] = []  # coders that no thread uses; appending and popping are atomic

    def _new_model(self, arrays: Arrays, kernels: str | None) -> ctypes.c_void_p:
        kept = [(name.encode(), np.require(array, requirements=["C", "A"])) for name, array in arrays.items()]
        records = (_Array * len(kept))()
        for record, (name, array) in zip(records, kept, strict=True):
            if array.dtype.name not in _TYPES or not 1 <= array.ndim <= 4:
                msg = f"the array {name.decode()} of the weights is of no type or shape that networks have"
                raise WeightsError(msg)
            record.name, record.type, record.dimensions = name, _TYPES[array.dtype.name], array.ndim
            record.shape[: array.ndim], record.data = array.shape, array.ctypes.data
        model, why = ctypes.c_void_p(), ctypes.create_string_buffer(200)
        wanted = None if kernels is None else kernels.encode()
        done = self._library.pico_model_new(records, len(kept), wanted, ctypes.byref(model), why, len(why))
        if done == _WRONG_ARGUMENT:
            msg = f"this processor has no kernels named {kernels!r}"
            raise OptionError(msg)
        if done == _WRONG_WEIGHTS:
            msg = f"the weights do not fit the networks: {why.value.decode()}"
            raise WeightsError(msg)
        _check(done)
        return model

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            for coder in self._idle:
                self._library.pico_coder_free(coder)
            self._library.pico_model_free(self._model)

    @contextmanager
    def _coder(self) -> Iterator[int]:
        """The memory of one tile, kept for the next one."""
        try:
            coder = self._idle.pop()
        except IndexError:
            coder = self._library.pico_coder_new(self._model, WINDOW)
            if not coder:
                _check(_NO_MEMORY)
        try:
            yield coder
        finally:
            self._idle.append(coder)

    def encode(self, pixels: NDArray[np.uint8], level: int) -> bytes:
        """Pixels (height, width, 1 or 3) of a tile, up to 512 a side -> the bytes of its payload."""
        height, width, channels = pixels.shape
        if pixels.strides[1:] != (channels, 1):
            pixels = np.ascontiguousarray(pixels)
        payload = np.empty(self._library.pico_most_bytes(self._model, width, height), np.uint8)
        place = (pixels.ctypes.data, pixels.strides[0], width, height, channels, level)
        with self._coder() as coder:
            length = self._library.pico_encode(coder, *place, payload.ctypes.data, len(payload))
        _check(length)
        return payload[:length].tobytes()

    def decode(self, payload: bytes, width: int, height: int, channels: int, level: int) -> NDArray[np.uint8]:
        """The payload of a tile -> pixels (height, width, channels). Raises CorruptError."""
        pixels = np.empty((height, width, channels), np.uint8)
        shape = (width, height, channels, level, pixels.ctypes.data, pixels.strides[0])
        with self._coder() as coder:
            _check(self._library.pico_decode(coder, payload, len(payload), *shape), payload)
        return pixels

    def read(self, payload: bytes, width: int, height: int, level: int) -> tuple[Symbols, Symbols]:
        """The payload of a tile -> symbols (4h, 4w, latent) and hyperlatent (h, w, hyper); h, w in 64 pixels."""
        rows, columns = -(-height // ALIGNMENT), -(-width // ALIGNMENT)
        symbols = np.empty((4 * rows, 4 * columns, self._latent), np.int16)
        z = np.empty((rows, columns, self._hyper), np.int16)
        places = (width, height, level, symbols.ctypes.data, z.ctypes.data)
        with self._coder() as coder:
            _check(self._library.pico_read(coder, payload, len(payload), *places), payload)
        return symbols, z

    def write(self, symbols: Symbols, z: Symbols, level: int) -> bytes:
        """Symbols and hyperlatent of a tile -> the bytes of its payload."""
        symbols, z = np.ascontiguousarray(symbols, np.int16), np.ascontiguousarray(z, np.int16)
        height, width = ALIGNMENT * z.shape[0], ALIGNMENT * z.shape[1]
        payload = np.empty(self._library.pico_most_bytes(self._model, width, height), np.uint8)
        places = (symbols.ctypes.data, z.ctypes.data, width, height, level)
        with self._coder() as coder:
            length = self._library.pico_write(coder, *places, payload.ctypes.data, len(payload))
        _check(length)
        return payload[:length].tobytes()


def _check(result: int, payload: bytes = b"") -> None:
    if result == _DAMAGED:
        msg = f"a tile of {len(payload)} bytes is not what an encoder wrote; the file is damaged"
        raise CorruptError(msg)
    if result == _NO_MEMORY:
        msg = "there is no memory for the networks"
        raise MemoryError(msg)
    if result < 0:
        msg = f"a tile of this size or level is beyond what the networks take ({result})"
        raise OptionError(msg)
