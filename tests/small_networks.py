"""Small networks with random weights for the engines, and files of them for the C programs in tests/native."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS, TABLES, Z_LIMIT = 3, 64, 63
_TYPES = {"int8": 1, "int16": 2, "uint16": 3, "int32": 4, "float32": 5}  # PicoType

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shape:
    """Channels of the maps, all multiples of 16, and what kind of weights the blocks have."""

    latent: int = 16
    hyper: int = 16
    encoder: tuple[int, int, int, int] = (16, 32, 16, 48)  # at 1/8, 1/16, 1/32, 1/64
    scale: tuple[int, int] = (16, 16)  # at 1/32, 1/16
    context: tuple[int, int] = (32, 16)  # at 1/64, 1/32
    prior: int = 16
    passes: tuple[int, int, int, int] = (16, 32, 48, 16)
    decoder16: int | None = None  # none: the latents go straight up
    decoder8: int = 32
    hidden: int = 48
    blocks: int = 1  # in a row
    narrow: tuple[str, ...] = field(
        default=("decoder.blocks8",)
    )  # names of blocks with int8 weights begin so


def random_arrays(shape: Shape, seed: int, *, extreme: bool = False) -> Arrays:
    """Weights whose features use much of their range; `extreme` ones are at the ends of theirs, and saturate."""
    return _Maker(shape, np.random.default_rng(seed), extreme).arrays


def write_model_file(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Path:
    """The file that tests/native/model_file.h reads."""
    with path.open("wb") as file:
        file.write(struct.pack("<q", len(arrays)))
        for name, array in arrays.items():
            text, numbers = name.encode() + b"\0", array.tobytes()
            shape = [*array.shape, 1, 1, 1][:4]
            file.write(
                struct.pack("<2i6q", _TYPES[array.dtype.name], array.ndim, *shape, len(text), len(numbers))
            )
            for part in (text, numbers):
                file.write(part + bytes(-len(part) % 8))
    return path


class _Maker:
    def __init__(self, shape: Shape, random: np.random.Generator, extreme: bool):
        self.arrays: Arrays = {}
        self._shape, self._random, self._extreme = shape, random, extreme
        self._encoder()
        self._scales()
        self._context()
        self._decoder()
        self._tables()

    def _encoder(self) -> None:
        shape, (at8, at16, at32, at64) = self._shape, self._shape.encoder
        self._layer("encoder.input", 192, at8)
        self._blocks("encoder.blocks8", at8)
        self.arrays["encoder.gain8"] = self._logarithms(-1, 1, at8)
        self._layer("encoder.down16", 4 * at8, at16)
        self._blocks("encoder.blocks16", at16)
        self._layer("encoder.to_latent", at16, shape.latent, gained=True)
        self._layer("encoder.down32", 4 * at16, at32)
        self._blocks("encoder.blocks32", at32)
        self._layer("encoder.down64", 4 * at32, at64)
        self._blocks("encoder.blocks64", at64)
        self._layer("encoder.to_hyper", at64, shape.hyper, gained=True)

    def _scales(self) -> None:
        shape = self._shape
        self._layer("scale.at64", shape.hyper, 4 * shape.scale[0])
        self._layer("scale.at32", shape.scale[0], 4 * shape.scale[1])
        self._layer("scale.at16", shape.scale[1], shape.latent, results=40)

    def _context(self) -> None:
        shape, (at64, at32) = self._shape, self._shape.context
        self._layer("context.input", shape.hyper, at64)
        self._blocks("context.blocks64", at64)
        self._layer("context.up32", at64, 4 * at32)
        self._blocks("context.blocks32", at32)
        self._layer("context.prior", at32, shape.prior)
        for k, channels in enumerate(shape.passes):
            self._layer(f"context.step{k}.input", shape.prior + k * shape.latent, channels)
            self._blocks(f"context.step{k}.blocks", channels)
            self._layer(f"context.step{k}.output", channels, 2 * shape.latent, results=40)
            if k < len(shape.passes) - 1:
                self.arrays[f"context.known{k}"] = self._random.uniform(1, 900, shape.latent).astype(
                    np.float32
                )

    def _decoder(self) -> None:
        shape, channels = self._shape, self._shape.latent
        self.arrays["decoder.gain_latent"] = self._logarithms(4, 9, shape.latent)
        if shape.decoder16:
            channels = shape.decoder16
            self._layer("decoder.from_latent", shape.latent, channels)
            self._blocks("decoder.blocks16", channels)
        self._layer("decoder.up8", channels, 4 * shape.decoder8, gained=True)
        self._blocks("decoder.blocks8", shape.decoder8)
        self._layer("decoder.up4", shape.decoder8, 192)
        self._block("decoder.block4", 48)
        self._layer("decoder.output", 48, 48, results=120)
        self.arrays["decoder.output.bias"] += (128 / self.arrays["decoder.output.scale"]).astype(np.int32)

    def _tables(self) -> None:
        radii = self._random.integers(1, 6, TABLES).astype(np.int32)
        self.arrays["tables.latent.radius"] = radii
        self.arrays["tables.latent"] = np.concatenate([self._frequencies(2 * r + 1) for r in radii])
        hyper = [self._frequencies(2 * Z_LIMIT + 1) for _ in range(LEVELS * self._shape.hyper)]
        self.arrays["tables.hyper"] = np.reshape(hyper, (LEVELS, self._shape.hyper, -1))
        self.arrays["tables.step"] = np.geomspace(0.05, 20, 33).astype(np.float32)

    def _frequencies(self, entries: int) -> NDArray[np.uint16]:
        cuts = np.sort(self._random.choice(np.arange(1, 1 << 16), entries - 1, replace=False))
        return np.diff(cuts, prepend=0, append=1 << 16).astype(np.uint16)

    def _logarithms(self, low: float, high: float, channels: int) -> NDArray[np.int32]:
        return (self._random.uniform(low, high, (LEVELS, channels)) * 65536).astype(np.int32)

    def _integers(self, most: int, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """Half of them at the two ends where weights are extreme."""
        numbers = self._random.integers(-most, most + 1, shape)
        if self._extreme:
            ends = self._random.choice([-most, most], shape)
            numbers = np.where(self._random.random(shape) < 0.5, ends, numbers)
        return numbers.astype(dtype)

    def _layer(
        self,
        name: str,
        inputs: int,
        outputs: int,
        *,
        results: float = 3000,
        gained: bool = False,
        most: int = 32767,
    ) -> None:
        """Results of about the size given where inputs have half their range, and beyond int16 where extreme."""
        narrow = most == 63
        size = 100 if narrow else 3000
        scale = results / (size * most * inputs**0.5) * self._random.uniform(0.5, 2, outputs)
        if self._extreme:
            scale *= 30
        arrays = self.arrays
        arrays[f"{name}.weight"] = self._integers(most, (outputs, inputs), np.int8 if narrow else np.int16)
        arrays[f"{name}.bias"] = self._integers(1 << 14 if narrow else 1 << 24, (outputs,), np.int32)
        if self._extreme and not narrow:
            arrays[f"{name}.bias"][::3] = np.iinfo(np.int32).max  # sums wrap
        if gained:
            arrays[f"{name}.gain"] = np.log2(np.stack([scale, 2 * scale, 3 * scale])).clip(-40, -1) * 65536
            arrays[f"{name}.gain"] = arrays[f"{name}.gain"].astype(np.int32)
        else:
            arrays[f"{name}.scale"] = scale.clip(2.0**-60, 8 if narrow else 0.5).astype(np.float32)

    def _blocks(self, name: str, channels: int) -> None:
        for index in range(self._shape.blocks):
            self._block(f"{name}.{index}", channels)

    def _block(self, name: str, channels: int) -> None:
        narrow = name.startswith(self._shape.narrow)
        most, hidden, shift = 63 if narrow else 32767, self._shape.hidden, 17 if narrow else 14
        self.arrays[f"{name}.spatial.weight"] = self._integers(20_000, (3, 3, channels), np.int16)
        if self._extreme:
            self.arrays[f"{name}.spatial.weight"][0, :, ::5] = -32768
        offset = 100 if narrow else 0
        self.arrays[f"{name}.spatial.bias"] = np.full(channels, offset << shift, np.int32)
        self.arrays[f"{name}.spatial.shift"] = np.array([shift], np.int32)
        self._layer(f"{name}.expand", channels, hidden, results=80 if narrow else 3000, most=most)
        zero = self._random.integers(0, 256 if narrow else 1, hidden)
        self.arrays[f"{name}.expand.zero"] = zero.astype(np.int32)
        self._layer(f"{name}.project", hidden, channels, results=1000, most=most)


FUZZED = {
    "plain": (Shape(), False),
    "extreme": (Shape(narrow=("decoder", "context"), latent=32, decoder16=16), True),
    "narrow": (Shape(narrow=("encoder", "context", "decoder"), hidden=32), False),
}  # for tests/native/fuzz.c

if __name__ == "__main__":  # python tests/small_networks.py FOLDER
    for number, (name, (chosen, at_the_ends)) in enumerate(FUZZED.items()):
        arrays_of_name = random_arrays(chosen, number, extreme=at_the_ends)
        write_model_file(Path(sys.argv[1]) / f"{name}.model", arrays_of_name)
