"""Finds and loads the weights that a file asks for by their id.

A weights file is a safetensors file; its id is the first 16 bytes of the SHA-256 of its bytes, and its name
is the id in hexadecimal. The newest shipped weights are named in `weights/default.txt`. Other folders can be
added through the environment variable PICO_WEIGHTS (separated as PATH is).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError, UnknownModelError, WeightsError
from .forks import SHARED, kept
from .scale_path import TABLE_COUNT, IntegerLayer, ScalePath

SHIPPED = Path(__file__).parent / "weights"
ID_BYTES = 16
FORMAT = "pico-weights-1"

Arrays = Mapping[str, NDArray[Any]]


def model_id(content: bytes) -> bytes:
    """The id of a weights file with these bytes."""
    return hashlib.sha256(content).digest()[:ID_BYTES]


@dataclass(frozen=True)
class Weights:
    """Everything one trained model consists of: network arrays, integer tables, the quality scale."""

    id: bytes
    arrays: Arrays = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)

    @property
    def max_level(self) -> float:
        """The highest level these weights were trained for; the lowest is 0."""
        return float(self.metadata["levels"]) - 1

    def check_level(self, level: float) -> None:
        """CorruptError for the level of a file that says it was made with these weights, and cannot have been."""
        if level > self.max_level:
            msg = f"its level is {level:g}; its weights know 0 to {self.max_level:g}; the file is damaged"
            raise CorruptError(msg)

    def quality_of_level(self, level: float) -> float:
        """The quality, 0 to 100, that comes nearest to a level."""
        points = self.metadata["quality"]
        return float(np.interp(level, [level for _, level in points], [q for q, _ in points]))

    def level_of_quality(self, quality: float) -> float:
        """Quality 0..100 -> level, strictly increasing, in steps of 1/4096 so that a file can store it."""
        points = self.metadata["quality"]
        level = np.interp(quality, [q for q, _ in points], [level for _, level in points])
        return round(float(level) * 4096) / 4096

    def network_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The folded network arrays, by the names of `networks.folding`."""
        prefix = "networks."
        return {
            name.removeprefix(prefix): array.astype(np.float32)
            for name, array in self.arrays.items()
            if name.startswith(prefix)
        }

    @kept
    def scale_path(self) -> ScalePath:
        """The integer scale decoder."""
        return ScalePath(*(self._integer_layer(name) for name in ("at64", "at32", "at16")))

    def _integer_layer(self, name: str) -> IntegerLayer:
        weight, bias, shift = (self.arrays[f"scale.{name}.{part}"] for part in ("weight", "bias", "shift"))
        return IntegerLayer(weight.astype(np.float64), bias.astype(np.float64), int(shift[0]))

    def latent_frequencies(self) -> list[NDArray[np.uint32]]:
        """Frequencies of each latent table."""
        sizes = 2 * self.arrays["tables.latent.radius"].astype(np.int64) + 1
        parts: list[NDArray[np.uint32]] = np.split(self.arrays["tables.latent"], np.cumsum(sizes)[:-1])
        if len(parts) != TABLE_COUNT or any(len(p) != s for p, s in zip(parts, sizes, strict=True)):
            msg = f"the latent tables of weights {self.id.hex()} have the wrong sizes"
            raise WeightsError(msg)
        return parts

    def hyper_frequencies(self) -> NDArray[np.uint16]:
        """Frequencies of the hyperlatent tables, (levels, channels, entries)."""
        return np.asarray(self.arrays["tables.hyper"], np.uint16)


_loaded: dict[bytes, Weights] = {}


def folders() -> list[Path]:
    """Where weights are looked for, in order."""
    extra = os.environ.get("PICO_WEIGHTS", "")
    return [SHIPPED, *(Path(part) for part in extra.split(os.pathsep) if part)]


def default_id() -> bytes:
    """The id of the weights that encode when none are asked for."""
    return bytes.fromhex((SHIPPED / "default.txt").read_text("ascii").strip())


def get(wanted: bytes) -> Weights:
    """The weights with this id, loaded once per process.

    Raises UnknownModelError if no folder has them, WeightsError if the file is damaged.
    """
    with SHARED:
        if wanted not in _loaded:
            _loaded[wanted] = load(_find(wanted))
            if _loaded[wanted].id != wanted:
                del _loaded[wanted]
                msg = f"the weights file {_find(wanted)} is damaged: its content has another id; reinstall it"
                raise WeightsError(msg)
        return _loaded[wanted]


def add(weights: Weights) -> None:
    """Make weights that lie in no folder known to this process, for files that ask for them by their id."""
    with SHARED:
        _loaded[weights.id] = weights


def remove(unwanted: bytes) -> None:
    """Undo `add` and what `get` remembers."""
    with SHARED:
        _loaded.pop(unwanted, None)


def _find(wanted: bytes) -> Path:
    name = f"{wanted.hex()}.safetensors"
    for folder in folders():
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(str(folder) for folder in folders())
    msg = (
        f"the file was made with weights {wanted.hex()}, which are not installed (searched: {searched}); "
        "install the version of pillow-pico that wrote it, or set PICO_WEIGHTS to a folder that holds them"
    )
    raise UnknownModelError(msg)


def load(path: Path) -> Weights:
    """Read a weights file. Raises WeightsError if it is not one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    content = path.read_bytes()
    try:
        arrays = parse(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = json.loads(header["__metadata__"]["pico"])
    except (SafetensorError, ValueError, KeyError) as error:
        msg = f"{path} is not a weights file of this format: {error}; reinstall it"
        raise WeightsError(msg) from error
    if metadata.get("format") != FORMAT:
        msg = f"{path} holds weights of format {metadata.get('format')!r}; this version reads {FORMAT!r}"
        raise WeightsError(msg)
    return Weights(model_id(content), arrays, metadata)
