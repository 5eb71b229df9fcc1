"""Whatever is done to a file, reading it ends in pixels or a PicoError: -m fuzz --fuzz-seconds N."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import pillow_pico  # noqa: F401 (registers the plug-in)
from pico_core import PicoError, PicoFile

GOLDEN = Path(__file__).parent / "golden"
Mutation = Callable[[bytearray, np.random.Generator], bytearray]


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    return data


def _overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, count = int(rng.integers(len(data))), int(rng.integers(1, 9))
    data[start : start + count] = rng.choice(np.array([0, 1, 127, 128, 255], np.uint8), count).tobytes()
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(len(data))]


def _remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 64))]
    return data


def _repeat(data: bytearray, rng: np.random.Generator) -> bytearray:
    start, count = int(rng.integers(len(data))), int(rng.integers(1, 64))
    data[start:start] = data[start : start + count]
    return data


MUTATIONS: tuple[Mutation, ...] = (_flip, _overwrite, _cut, _remove, _repeat)


def _originals() -> tuple[bytes, ...]:
    originals = tuple(path.read_bytes() for path in sorted(GOLDEN.glob("*.pico")))
    assert originals
    return originals


def _mutate(originals: tuple[bytes, ...], rng: np.random.Generator) -> bytes:
    data = bytearray(originals[rng.integers(len(originals))])
    for _ in range(rng.integers(1, 4)):
        if data:
            data = MUTATIONS[rng.integers(len(MUTATIONS))](data, rng)
    return bytes(data)


@pytest.mark.fuzz
def test_mutated_files_decode_or_raise_a_pico_error(pytestconfig: pytest.Config) -> None:
    seconds = pytestconfig.getoption("--fuzz-seconds")
    originals, rng = _originals(), np.random.default_rng(int(time.time()))
    end, outcomes = time.monotonic() + seconds, {"pixels": 0, "error": 0}
    while time.monotonic() < end:
        mutant = _mutate(originals, rng)
        try:
            with PicoFile(mutant, max_pixels=1 << 20, allow_truncated=bool(rng.integers(2))) as file:
                file.decode(on_missing="grey" if rng.integers(2) else "error")
            outcomes["pixels"] += 1
        except PicoError:
            outcomes["error"] += 1
    print(outcomes)
    assert outcomes["error"] > 0


@pytest.mark.fuzz
def test_mutated_files_through_pillow_raise_what_pillow_raises(pytestconfig: pytest.Config) -> None:
    seconds = pytestconfig.getoption("--fuzz-seconds")
    originals, rng = _originals(), np.random.default_rng(int(time.time()))
    end, refused = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        mutant = _mutate(originals, rng)
        try:
            with Image.open(io.BytesIO(mutant)) as image:
                image.load()
        except (UnidentifiedImageError, OSError):
            refused += 1
    assert refused > 0
