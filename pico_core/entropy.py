"""Symbols and hyperlatents of one tile <-> bytes, with integer tables and an ANS coder.

Symbols that share a table are coded together, so a tile costs one call per table and no Python loop over
symbols. The coder is a stack (what is decoded first was encoded last) and must be empty when a tile has been
decoded, which catches damage that a checksum did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError
from .forks import kept
from .scale_path import TABLE_COUNT, ScalePath

LARGEST_SYMBOL = 32_767  # and as far below zero
_ESCAPES = constriction.stream.model.Uniform(65_536)  # how far an escaped symbol lies beyond its table


class Table:
    """A distribution over the integers -radius .. radius, given by 2*radius+1 positive integer frequencies.

    Tables for latents reserve their first and last entry as escapes: the symbols there and beyond.
    """

    def __init__(self, frequencies: NDArray[np.unsignedinteger]):
        self.frequencies = frequencies
        self.radius = len(frequencies) // 2

    @kept
    def model(self) -> Any:  # constriction carries no types
        """The distribution as the entropy coder takes it.

        Integers are exact in float64, so the coder's fixed-point conversion starts from the same numbers, and
        does the same few IEEE operations on them, everywhere.
        """
        return constriction.stream.model.Categorical(self.frequencies.astype(np.float64), perfect=False)

    def to_alphabet(self, values: NDArray[np.int16]) -> NDArray[np.int32]:
        """Integers -> table entries; what lies beyond the table becomes its nearest end."""
        return np.clip(values.astype(np.int32), -self.radius, self.radius) + self.radius

    def decode(self, coder: Any, count: int) -> NDArray[np.int32]:
        """Take `count` integers off the coder."""
        return np.asarray(coder.decode(self.model, count), np.int32) - self.radius


class TileCoder:
    """Codes one tile at a time; holds no state between calls and may be used from several threads.

    `latent_tables` has one table per scale; `hyper_tables[anchor][channel]` one per hyperlatent channel and
    integer level.
    """

    def __init__(
        self, scale_path: ScalePath, latent_tables: Sequence[Table], hyper_tables: Sequence[Sequence[Table]]
    ):
        assert len(latent_tables) == TABLE_COUNT
        self._scale_path, self._latent_tables, self._hyper_tables = scale_path, latent_tables, hyper_tables

    def _hyper_tables_at(self, level: float) -> Sequence[Table]:
        nearest = int(level + 0.5)
        return self._hyper_tables[min(nearest, len(self._hyper_tables) - 1)]

    def encode(self, symbols: NDArray[np.int16], z: NDArray[np.int16], level: float) -> bytes:
        """Symbols (4h, 4w, latent) and hyperlatent (h, w, hyper) in [-63, 63] -> bytes, a multiple of 4."""
        grouped, counts = _group(symbols, self._scale_path.table_indices(z))
        ends = np.cumsum(counts)
        latent = [
            (table.to_alphabet(grouped[end - count : end]), table)
            for table, count, end in zip(self._latent_tables, counts, ends, strict=True)
            if count
        ]
        hyper_tables = self._hyper_tables_at(level)
        hyper = [(table.to_alphabet(z[..., i].ravel()), table) for i, table in enumerate(hyper_tables)]

        coder = constriction.stream.stack.AnsCoder()
        escaped = _beyond(grouped, _radius_of_each(self._latent_tables, counts))
        if len(escaped):
            coder.encode_reverse(escaped, _ESCAPES)
        for entries, table in reversed(hyper + latent):
            coder.encode_reverse(entries, table.model)
        return np.asarray(coder.get_compressed()).astype("<u4").tobytes()

    def decode(
        self, payload: bytes, height: int, width: int, level: float
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Bytes -> symbols (4*height, 4*width, latent) and hyperlatent (height, width, hyper).

        Raises CorruptError when the bytes are not what `encode` wrote.
        """
        coder = _open(payload)
        hyper = [table.decode(coder, height * width) for table in self._hyper_tables_at(level)]
        z = np.stack(hyper, 1).astype(np.int16).reshape(height, width, -1)
        indices = self._scale_path.table_indices(z)
        counts = np.bincount(indices.ravel(), minlength=TABLE_COUNT)
        groups = [
            table.decode(coder, int(count))
            for table, count in zip(self._latent_tables, counts, strict=True)
            if count
        ]
        grouped = np.concatenate(groups)
        _add_escapes(coder, grouped, _radius_of_each(self._latent_tables, counts))
        if not coder.is_empty():
            msg = "a tile holds more data than its symbols need; the file is damaged"
            raise CorruptError(msg)
        return _ungroup(grouped, indices), z


def _open(payload: bytes) -> Any:
    words = (
        np.frombuffer(payload, "<u4").astype(np.uint32) if len(payload) % 4 == 0 else np.zeros(1, np.uint32)
    )
    if len(words) and words[-1] == 0:
        msg = (
            f"a tile of {len(payload)} bytes does not end as an entropy-coded tile does; the file is damaged"
        )
        raise CorruptError(msg)
    return constriction.stream.stack.AnsCoder(words)


def _group(
    symbols: NDArray[np.int16], indices: NDArray[np.uint8]
) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Symbols in the order of their tables, raster order within each, and how many each table has."""
    flat = indices.ravel()
    order = np.argsort(flat, kind="stable")
    return symbols.ravel()[order], np.bincount(flat, minlength=TABLE_COUNT)


def _ungroup(grouped: NDArray[np.int32], indices: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Inverse of `_group`."""
    symbols = np.empty(indices.size, np.int16)
    symbols[np.argsort(indices.ravel(), kind="stable")] = grouped
    return symbols.reshape(indices.shape)


def _radius_of_each(tables: Sequence[Table], counts: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.repeat(np.array([table.radius for table in tables], np.int32), counts)


def _beyond(grouped: NDArray[np.int16], radius: NDArray[np.int32]) -> NDArray[np.int32]:
    """How far every escaped symbol lies beyond the end of its table, in the order of the symbols."""
    excess = np.abs(grouped.astype(np.int32)) - radius
    return excess[excess >= 0]


def _add_escapes(coder: Any, grouped: NDArray[np.int32], radius: NDArray[np.int32]) -> None:
    """Read the excess of every escaped symbol and add it, in place."""
    where = np.flatnonzero(np.abs(grouped) == radius)
    if len(where):
        excess = np.asarray(coder.decode(_ESCAPES, len(where)), np.int32)
        grouped[where] += np.sign(grouped[where]) * excess
        if np.abs(grouped[where]).max() > LARGEST_SYMBOL:
            msg = f"a tile holds a symbol beyond {LARGEST_SYMBOL}; the file is damaged"
            raise CorruptError(msg)
