"""The native engine: finds the library, hands it the weights, and calls it without holding Python's lock."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import CorruptError, WeightsError

_INTERFACE = 1
_TYPES = {"int8": 1, "int16": 2, "uint16": 3, "int32": 4, "float32": 5}
_DAMAGED = -1


class _Array(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 4),
        ("data", ctypes.c_void_p),
    )


def _load(path: str) -> Any:
    lib = ctypes.CDLL(path)
    p, i, z = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    lib.pico_model_new.argtypes = [ctypes.POINTER(_Array), i, ctypes.c_char_p, ctypes.POINTER(p), ctypes.c_char_p, z]
    lib.pico_model_kernels.argtypes, lib.pico_model_kernels.restype = [p], ctypes.c_char_p
    lib.pico_coder_new.argtypes, lib.pico_coder_new.restype = [p, i], p
    lib.pico_coder_free.argtypes = [p]
    lib.pico_model_free.argtypes = [p]
    lib.pico_decode.argtypes = [p, p, z, i, i, i, i, p, ctypes.c_ssize_t]
    lib.pico_encode.argtypes, lib.pico_encode.restype = [p, p, ctypes.c_ssize_t, i, i, i, i, p, z], ctypes.c_int64
    lib.pico_most_bytes.argtypes, lib.pico_most_bytes.restype = [p, i, i], z
    lib.pico_read.argtypes = [p, p, z, i, i, i, p, p]
    return lib


class Model:
    def __init__(self, arrays: Mapping[str, NDArray[Any]], path: str, kernels: str | None = None):
        self._lib = _load(path)
        kept = [(n, np.ascontiguousarray(a)) for n, a in arrays.items() if a.dtype.name in _TYPES]
        records = (_Array * len(kept))()
        for record, (name, array) in zip(records, kept, strict=True):
            record.name, record.type, record.dimensions = name.encode(), _TYPES[array.dtype.name], array.ndim
            record.shape[: array.ndim] = array.shape
            record.data = array.ctypes.data
        self._model = ctypes.c_void_p()
        why = ctypes.create_string_buffer(200)
        done = self._lib.pico_model_new(records, len(kept), kernels.encode() if kernels else None, ctypes.byref(self._model), why, 200)
        if done:
            raise WeightsError(f"{done} {why.value.decode()}")
        self.kernels = self._lib.pico_model_kernels(self._model).decode()
        self._local = threading.local()

    def _coder(self):
        if not hasattr(self._local, "coder"):
            self._local.coder = self._lib.pico_coder_new(self._model, 512)
        return self._local.coder

    def encode(self, pixels, level):
        pixels = np.ascontiguousarray(pixels)
        h, w, c = pixels.shape
        out = np.empty(self._lib.pico_most_bytes(self._model, w, h), np.uint8)
        n = self._lib.pico_encode(self._coder(), pixels.ctypes.data, w * c, w, h, c, level, out.ctypes.data, out.size)
        assert n > 0, n
        return out[:n].tobytes()

    def decode(self, payload, w, h, c, level):
        out = np.empty((h, w, c), np.uint8)
        r = self._lib.pico_decode(self._coder(), payload, len(payload), w, h, c, level, out.ctypes.data, w * c)
        if r:
            raise CorruptError(str(r))
        return out

    def read(self, payload, w, h, level, latent, hyper):
        h64, w64 = -(-h // 64), -(-w // 64)
        s = np.empty((4 * h64, 4 * w64, latent), np.int16); z = np.empty((h64, w64, hyper), np.int16)
        r = self._lib.pico_read(self._coder(), payload, len(payload), w, h, level, s.ctypes.data, z.ctypes.data)
        if r:
            raise CorruptError(str(r))
        return s, z
