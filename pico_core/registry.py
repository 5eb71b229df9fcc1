"""Finds and loads the weights that a file asks for by their id.

A weights file is a safetensors file; its id is the first 16 bytes of the SHA-256 of its bytes, and its name
is the id in hexadecimal. The newest shipped weights are named in `weights/default.txt`. Other folders can be
added through the environment variable PICO_WEIGHTS (separated as PATH is).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError, UnknownModelError, WeightsError
from .forks import SHARED
from .weights_file import parse

SHIPPED = Path(__file__).parent / "weights"
ID_BYTES = 16

Arrays = Mapping[str, NDArray[Any]]


def model_id(content: bytes) -> bytes:
    """The id of a weights file with these bytes."""
    return hashlib.sha256(content).digest()[:ID_BYTES]


@dataclass(frozen=True)
class Weights:
    """Everything one trained model consists of: arrays of the networks, entropy tables, the quality scale."""

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
    content = path.read_bytes()
    return Weights(model_id(content), *parse(content, path))
