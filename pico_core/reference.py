"""The engine in numpy: the format's definition in code, for platforms without a native library and for tests."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import Arrays, ExactArithmetic
from .graph import PIXEL_CENTRE, TABLE_COUNT, Arithmetic, Graph
from .rans import Reader, Table, Writer
from .tiling import ALIGNMENT, pad_to_alignment

Symbols = NDArray[np.int16]


class NumpyEngine:
    """Tiles through the networks and the entropy coder (`engines.Engine`), much slower than the native one."""

    name = "numpy"
    kernels = "numpy"

    def __init__(self, arrays: Arrays):
        self._arrays = arrays
        self._graph = Graph(self._arithmetic())

    def _arithmetic(self) -> Arithmetic:
        """What computes the networks. Entropy tables are always chosen in exact arithmetic."""
        return ExactArithmetic(self._arrays)

    @cached_property
    def _exact(self) -> Graph:
        return Graph(ExactArithmetic(self._arrays))

    @cached_property
    def _latent_tables(self) -> list[Table]:
        ends = np.cumsum(2 * self._arrays["tables.latent.radius"].astype(np.int64) + 1)[:-1]
        tables = [Table(part) for part in np.split(self._arrays["tables.latent"], ends)]
        assert len(tables) == TABLE_COUNT
        return tables

    @cached_property
    def _hyper_tables(self) -> list[list[Table]]:
        return [[Table(channel) for channel in level] for level in self._arrays["tables.hyper"]]

    def _hyper_tables_at(self, level: int) -> list[Table]:
        return self._hyper_tables[min((level + 2048) // 4096, len(self._hyper_tables) - 1)]

    def _tables_of(self, z: Symbols) -> list[Table]:
        return [self._latent_tables[index] for index in self._exact.table_indices(z).ravel().tolist()]

    def encode(self, pixels: NDArray[np.uint8], level: int) -> bytes:
        """Pixels (height, width, 1 or 3) of a tile -> the bytes of its payload. `level` is in units of 1/4096."""
        colour = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
        symbols, z = self._graph.analyse(to_patches(pad_to_alignment(colour)), level)
        return self.write(self._integers(symbols), self._integers(z), level)

    def decode(self, payload: bytes, width: int, height: int, channels: int, level: int) -> NDArray[np.uint8]:
        """The payload of a tile -> pixels (height, width, channels). Raises CorruptError."""
        symbols, z = self.read(payload, width, height, level)
        patches = self._integers(self._graph.synthesise(symbols, z, level))
        pixels = from_patches(patches)[:height, :width]
        return pixels if channels == 3 else grey(pixels)

    def read(self, payload: bytes, width: int, height: int, level: int) -> tuple[Symbols, Symbols]:
        """The payload of a tile -> symbols (4h, 4w, latent) and hyperlatent (h, w, hyper); h, w in 64 pixels."""
        rows, columns = -(-height // ALIGNMENT), -(-width // ALIGNMENT)
        reader, tables = Reader(payload), self._hyper_tables_at(level)
        z = np.array(reader.values(tables * (rows * columns)), np.int16).reshape(rows, columns, len(tables))
        symbols = np.array(reader.symbols(self._tables_of(z)), np.int16)
        reader.finish()
        return symbols.reshape(4 * rows, 4 * columns, -1), z

    def write(self, symbols: Symbols, z: Symbols, level: int) -> bytes:
        """Symbols and hyperlatent of a tile -> the bytes of its payload."""
        writer, tables = Writer(), self._hyper_tables_at(level)
        writer.symbols(symbols.ravel().tolist(), self._tables_of(z))
        writer.values(z.ravel().tolist(), tables * (z.shape[0] * z.shape[1]))
        return writer.finish()

    def _integers(self, x: Any) -> Symbols:
        """A map of the arithmetic's as int16."""
        return np.asarray(x, np.int16)


def to_patches(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(H, W, 3) -> (H/8, W/8, 192) less 128, channels ordered (row, column, colour)."""
    height, width, _ = pixels.shape
    cells = pixels.reshape(height // 8, 8, width // 8, 8, 3).transpose(0, 2, 1, 3, 4)
    return cells.reshape(height // 8, width // 8, 192).astype(np.int16) - PIXEL_CENTRE


def from_patches(patches: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(H/4, W/4, 48) of 0 to 255, channels ordered (row, column, colour) -> (H, W, 3)."""
    height, width, _ = patches.shape
    cells = patches.reshape(height, width, 4, 4, 3).transpose(0, 2, 1, 3, 4)
    return cells.reshape(4 * height, 4 * width, 3).astype(np.uint8)


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, 3) -> the rounded mean of the colours, (height, width, 1)."""
    total = pixels.sum(2, keepdims=True, dtype=np.uint16)
    return np.asarray((total + 1) // 3, np.uint8)
