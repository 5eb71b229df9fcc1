"""The networks as a graph: which layer follows which, over any arithmetic.

    encoder:  pixels -> features at 1/8 and 1/16 -> latent y;  -> features at 1/32 and 1/64 -> hyperlatent z
    scales:   z -> index of the entropy table of every symbol
    context:  z -> prior at 1/32 -> mean and step of every latent, in four passes over the 2x2 cells
    decoder:  latent -> features at 1/16, 1/8 and 1/4 -> pixels

Feature maps have the shape (height, width, channels). The layers are named as the arrays of a weights file are. What a
layer computes is the business of an `Arithmetic`: docs/format.md specifies that of the format.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

PIXEL_CENTRE = 128  # subtracted from pixels
TABLE_COUNT = 64  # entropy tables of the symbols, from the narrowest to the widest
Z_LIMIT = 63  # hyperlatents lie in -63 .. 63
POSITIONS = (
    (0, 0),
    (1, 1),
    (0, 1),
    (1, 0),
)  # (row, column) in a cell of 2x2 latents, in the order of the passes

Map: TypeAlias = Any  # an array or tensor (height, width, channels) of the arithmetic's own


class Arithmetic(Protocol):
    """What the layers of a graph compute; `level` is in units of 1/4096."""

    def has(self, name: str) -> bool:
        """Whether the weights have a layer or a block of this name."""

    def empty(self, height: int, width: int, channels: int, like: Map) -> Map:
        """A map to be filled, of the kind of another one."""

    def join(self, maps: list[Map]) -> Map:
        """Maps side by side, along their channels."""

    def layer(self, name: str, x: Map, *, level: int | None = None, leaky: bool = False) -> Map:
        """A 1x1 convolution to features. With a level, its results are multiplied by the gains of that level."""

    def values(self, name: str, x: Map, *, level: int | None = None) -> Map:
        """A 1x1 convolution to floating-point values."""

    def rounded(self, name: str, x: Map, low: int, high: int, *, level: int | None = None) -> Map:
        """A 1x1 convolution to integers from `low` to `high`."""

    def gained(self, name: str, x: Map, level: int) -> Map:
        """Features or latents, multiplied by gains of a level, as features."""

    def known(self, name: str, x: Map) -> Map:
        """Latents as the features that a pass of the context model sees."""

    def block(self, name: str, x: Map) -> Map:
        """A residual block: depthwise 3x3, 1x1, leaky ReLU, 1x1, added to its input."""

    def mean_and_step(self, name: str, x: Map) -> tuple[Map, Map]:
        """Mean and quantisation step of the latents of one pass."""

    def symbol(self, y: Map, mean: Map, step: Map) -> Map:
        """The latents y as symbols, -32767 to 32767."""

    def latent(self, symbol: Map, mean: Map, step: Map) -> Map:
        """The latents that symbols stand for."""


class Graph:
    """The four networks over one arithmetic."""

    def __init__(self, arithmetic: Arithmetic):
        self._do = arithmetic

    def analyse(self, patches: Map, level: int) -> tuple[Map, Map]:
        """Patches of pixels, (H/8, W/8, 192) less 128 -> symbols (H/16, W/16, latent), z (H/64, W/64, hyper)."""
        do = self._do
        x = self._blocks("encoder.blocks8", do.layer("encoder.input", patches))
        x = do.layer("encoder.down16", self._gather(do.gained("encoder.gain8", x, level)))
        x = self._blocks("encoder.blocks16", x)
        y = do.values("encoder.to_latent", x, level=level)
        x = self._blocks("encoder.blocks32", do.layer("encoder.down32", self._gather(x)))
        x = self._blocks("encoder.blocks64", do.layer("encoder.down64", self._gather(x)))
        z = do.rounded("encoder.to_hyper", x, -Z_LIMIT, Z_LIMIT, level=level)
        symbols, _ = self._context(z, y=y)
        return symbols, z

    def table_indices(self, z: Map) -> Map:
        """Z (h, w, hyper) -> the entropy table of every symbol, (4h, 4w, latent)."""
        do = self._do
        x = self._spread(do.layer("scale.at64", z, leaky=True))
        x = self._spread(do.layer("scale.at32", x, leaky=True))
        return do.rounded("scale.at16", x, 0, TABLE_COUNT - 1)

    def synthesise(self, symbols: Map, z: Map, level: int) -> Map:
        """Symbols (H/16, W/16, latent) and z (H/64, W/64, hyper) -> patches (H/4, W/4, 48) of pixels 0 to 255."""
        do = self._do
        _, latent = self._context(z, symbols=symbols)
        x = do.gained("decoder.gain_latent", latent, level)
        if do.has("decoder.from_latent"):
            x = self._blocks("decoder.blocks16", do.layer("decoder.from_latent", x))
        x = self._blocks("decoder.blocks8", self._spread(do.layer("decoder.up8", x, level=level)))
        x = do.block("decoder.block4", self._spread(do.layer("decoder.up4", x)))
        return do.rounded("decoder.output", x, 0, 255)

    def _context(self, z: Map, *, y: Map = None, symbols: Map = None) -> tuple[Map, Map]:
        """Symbols and latents, from y or from the symbols."""
        do = self._do
        x = self._blocks("context.blocks64", do.layer("context.input", z))
        x = self._blocks("context.blocks32", self._spread(do.layer("context.up32", x)))
        known = [do.layer("context.prior", x)]
        source = y if symbols is None else symbols
        height, width, channels = source.shape
        all_symbols: Map = None
        all_latents: Map = None
        for k, (row, column) in enumerate(POSITIONS):
            cell = (slice(row, None, 2), slice(column, None, 2))
            x = self._blocks(f"context.step{k}.blocks", do.layer(f"context.step{k}.input", do.join(known)))
            mean, step = do.mean_and_step(f"context.step{k}.output", x)
            symbol = source[cell] if symbols is not None else do.symbol(source[cell], mean, step)
            latent = do.latent(symbol, mean, step)
            if k == 0:
                all_symbols = do.empty(height, width, channels, symbol)
                all_latents = do.empty(height, width, channels, latent)
            all_symbols[cell], all_latents[cell] = symbol, latent
            if k < len(POSITIONS) - 1:
                known.append(do.known(f"context.known{k}", latent))
        return all_symbols, all_latents

    def _blocks(self, name: str, x: Map) -> Map:
        index = 0
        while self._do.has(f"{name}.{index}.spatial"):
            x = self._do.block(f"{name}.{index}", x)
            index += 1
        return x

    def _spread(self, x: Map) -> Map:
        """(h, w, 4C), channels ordered (row, column, C) -> (2h, 2w, C)."""
        height, width, channels = x.shape
        inner = channels // 4
        result = self._do.empty(2 * height, 2 * width, inner, x)
        for part in range(4):
            result[part // 2 :: 2, part % 2 :: 2] = x[..., part * inner : (part + 1) * inner]
        return result

    def _gather(self, x: Map) -> Map:
        """(2h, 2w, C) -> (h, w, 4C), channels ordered (row, column, C)."""
        return self._do.join([x[part // 2 :: 2, part % 2 :: 2] for part in range(4)])
