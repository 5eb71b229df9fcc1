"""A second reader of learned tiles, written from docs/format.md alone: Python integers, no coder library."""

from __future__ import annotations

from itertools import accumulate

from pico_core.registry import Weights

PRECISION = 24
ESCAPES = 65_536


class Stack:
    """The ANS coder's state and the 32-bit words below it."""

    def __init__(self, payload: bytes):
        self.words = [int.from_bytes(payload[i : i + 4], "little") for i in range(0, len(payload), 4)]
        self.state = 0
        for _ in range(2):
            if self.words:
                self.state = self.state << 32 | self.words.pop()

    def take(self, starts: list[int]) -> int:
        """Entry of a distribution whose entry i occupies starts[i] .. starts[i+1] of 2**24."""
        quantile = self.state % 2**PRECISION
        entry = next(i for i in range(len(starts) - 1) if starts[i] <= quantile < starts[i + 1])
        width = starts[entry + 1] - starts[entry]
        self.state = (self.state >> PRECISION) * width + quantile - starts[entry]
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()
        return entry

    @property
    def empty(self) -> bool:
        return self.state == 0 and not self.words


def starts_of(frequencies: list[int]) -> list[int]:
    scale = float(2**PRECISION - len(frequencies)) / float(sum(frequencies))
    below = [0, *accumulate(frequencies)][:-1]
    return [int(float(total) * scale) + i for i, total in enumerate(below)] + [2**PRECISION]


def decode(
    payload: bytes, weights: Weights, rows: int, columns: int, level: float, indices_of: object
) -> tuple[list[int], list[int]]:
    """Symbols and hyperlatents in memory order (row, column, channel)."""
    stack = Stack(payload)
    anchor = weights.hyper_frequencies()[int(level + 0.5)].tolist()
    channels = []
    for frequencies in anchor:
        starts = starts_of(frequencies)
        channels.append([stack.take(starts) - 63 for _ in range(rows * columns)])
    z = [channels[c][p] for p in range(rows * columns) for c in range(len(anchor))]
    indices: list[int] = indices_of(z)  # type: ignore[operator]
    symbols = [0] * len(indices)
    escaped = []
    for table, array in enumerate(weights.latent_frequencies()):
        places = [place for place, index in enumerate(indices) if index == table]
        frequencies = array.tolist()
        starts, radius = starts_of(frequencies), len(frequencies) // 2
        for place in places:
            symbols[place] = stack.take(starts) - radius
            if abs(symbols[place]) == radius:
                escaped.append(place)
    uniform = [i * (2**PRECISION // ESCAPES) for i in range(ESCAPES)] + [2**PRECISION]
    for place in escaped:
        beyond = stack.take(uniform)
        symbols[place] += beyond if symbols[place] > 0 else -beyond
    assert stack.empty
    return symbols, z
