"""The entropy coder in Python: integers <-> the bytes of a tile, as docs/format.md specifies them.

rANS (Duda, arXiv 1311.2540) with two lanes that take turns: values at even places belong to lane 0. A lane is a 64-bit
state and a stream of 32-bit words; it begins, and so ends when it is read, with the state 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError

PROBABILITY_BITS = 16  # the frequencies of a table add up to 2^16
LARGEST_SYMBOL = 32_767  # and as far below zero
_SLOTS = 1 << PROBABILITY_BITS
_LEAST_STATE = 1 << 32  # of a lane that has written a word
_DAMAGED = "a tile of {} bytes is not what an encoder wrote; the file is damaged"


class Table:
    """A distribution over the integers -radius .. radius, given by 2*radius+1 frequencies that add up to 2^16.

    Tables for latents reserve their first and last entry as escapes: the symbols there and beyond.
    """

    def __init__(self, frequencies: NDArray[np.uint16]):
        self.radius = len(frequencies) // 2
        self.starts: list[int] = [0, *np.cumsum(frequencies, dtype=np.int64).tolist()]

    def span(self, value: int) -> tuple[int, int]:
        """Where the entry of a value begins, and its frequency."""
        entry = value + self.radius
        return self.starts[entry], self.starts[entry + 1] - self.starts[entry]


class _ReadLane:
    def __init__(self, state: int, words: Sequence[int]):
        self.state, self._words = state, iter(words)

    def take(self, start: int, frequency: int) -> None:
        self.state = frequency * (self.state >> PROBABILITY_BITS) + self.state % _SLOTS - start
        if self.state < _LEAST_STATE and (word := next(self._words, None)) is not None:
            self.state = self.state << 32 | word

    def value(self, table: Table) -> int:
        value = bisect_right(table.starts, self.state % _SLOTS) - 1 - table.radius
        self.take(*table.span(value))
        return value

    def escape(self) -> int:
        excess = self.state % _SLOTS
        self.take(excess, 1)
        return excess

    @property
    def is_exhausted(self) -> bool:
        return self.state == 0 and next(self._words, None) is None


class Reader:
    """Reads the integers of a tile. Raises CorruptError for bytes that no encoder wrote."""

    def __init__(self, payload: bytes):
        self._length, self._place = len(payload), 0
        try:
            sizes = payload[0] & 15, payload[0] >> 4
            count, at = _number(payload, 1)
        except IndexError:
            raise self._damaged() from None
        rest = len(payload) - at - sum(sizes)
        if max(sizes) > 8 or rest < 4 * count or rest % 4:
            raise self._damaged()
        states = [int.from_bytes(payload[at : at + sizes[0]], "little")]
        at += sizes[0]
        states.append(int.from_bytes(payload[at : at + sizes[1]], "little"))
        words = np.frombuffer(payload, "<u4", offset=at + sizes[1]).tolist() if rest else []
        self._lanes = _ReadLane(states[0], words[:count]), _ReadLane(states[1], words[count:])

    def _damaged(self) -> CorruptError:
        return CorruptError(_DAMAGED.format(self._length))

    def values(self, tables: Iterable[Table]) -> list[int]:
        """One value for each table."""
        result = []
        for table in tables:
            result.append(self._lanes[self._place % 2].value(table))
            self._place += 1
        return result

    def symbols(self, tables: Iterable[Table]) -> list[int]:
        """One symbol for each table, whose ends are escapes."""
        result = []
        for table in tables:
            lane = self._lanes[self._place % 2]
            value = lane.value(table)
            if abs(value) == table.radius:
                value += lane.escape() * (1 if value > 0 else -1)
                if abs(value) > LARGEST_SYMBOL:
                    raise self._damaged()
            result.append(value)
            self._place += 1
        return result

    def finish(self) -> None:
        """Check that nothing is left."""
        if not all(lane.is_exhausted for lane in self._lanes):
            raise self._damaged()


def _number(payload: bytes, at: int) -> tuple[int, int]:
    """A number in up to four bytes of seven bits, the lowest first, and where it ends."""
    number = 0
    for shift in range(0, 28, 7):
        number |= (payload[at] & 127) << shift
        at += 1
        if payload[at - 1] < 128:
            return number, at
    raise IndexError


class Writer:
    """Writes the integers of a tile. What is read last is written first, so everything is handed over at once."""

    def __init__(self) -> None:
        self._states, self._words = [0, 0], ([], [])  # type: tuple[list[int], tuple[list[int], list[int]]]

    def _put(self, lane: int, start: int, frequency: int) -> None:
        state = self._states[lane]
        if state >= frequency << 48:
            self._words[lane].append(state % _LEAST_STATE)
            state >>= 32
        self._states[lane] = (state // frequency << PROBABILITY_BITS) + state % frequency + start

    def symbols(self, symbols: Sequence[int], tables: Sequence[Table]) -> None:
        """Symbols with a table each, whose ends are escapes; their number is even."""
        for place in range(len(symbols) - 1, -1, -1):
            value, table = symbols[place], tables[place]
            excess = abs(value) - table.radius
            if excess >= 0:
                self._put(place % 2, excess, 1)
                value = table.radius if value > 0 else -table.radius
            self._put(place % 2, *table.span(value))

    def values(self, values: Sequence[int], tables: Sequence[Table]) -> None:
        """Values with a table each; their number is even."""
        for place in range(len(values) - 1, -1, -1):
            self._put(place % 2, *tables[place].span(values[place]))

    def finish(self) -> bytes:
        """The bytes of the tile."""
        sizes = [(state.bit_length() + 7) // 8 for state in self._states]
        head, count = [sizes[0] | sizes[1] << 4], len(self._words[0])
        while count > 127:
            head.append(count & 127 | 128)
            count >>= 7
        head.append(count)
        states = b"".join(s.to_bytes(n, "little") for s, n in zip(self._states, sizes, strict=True))
        words = [word for lane in self._words for word in reversed(lane)]
        return bytes(head) + states + np.array(words, "<u4").tobytes()
