"""From a run to a weights file that can ship: with a measured quality scale and a model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pico_core.codec import LearnedCodec
from pico_core.errors import PicoError
from pico_core.networks.model import PicoModel
from pico_core.networks.workers import pool
from pico_core.registry import Weights, model_id
from pico_core.scale_path import TABLE_COUNT
from pico_core.tiling import Box

from .export import Arrays, crops, make_arrays, serialise
from .files import write_whole
from .integer import float_table_indices
from .start import Start, read_start

_QUALITY_STEP = 5  # the quality scale has a point at every fifth quality
_LEVEL_STEP = 0.5
_MEASURED = 16  # photographs that the quality scale is measured on

Photos = Sequence[NDArray[np.uint8]]


class QualityError(PicoError):
    """The quality of weights does not rise with every step of their scale."""


@dataclass(frozen=True)
class Shipped:
    """A weights file, and what was measured on the way."""

    path: Path
    integer_cost: (
        float  # bits of the latents with integer scales over those with floating-point scales, minus 1
    )
    problems: tuple[str, ...]  # where quality does not rise in every respect


@dataclass(frozen=True)
class Point:
    """Rate and distortion at a level, means over photographs."""

    level: float
    bpp: float  # of the tiles' bytes
    mse: float  # of 8-bit values


def ship(source: Path, photos: Path, count: int, out: Path, card: Path | None = None) -> Shipped:
    """Export a run into a folder, as ID.safetensors and ID.json (its card). Raises PicoError subclasses, OSError."""
    start, pictures = read_start(source), crops(photos, count)
    model = PicoModel(start.architecture)
    model.load_state_dict(start.state)
    arrays = make_arrays(model.eval(), pictures)
    draft = _codec(serialise(arrays, start.architecture, [(0, 0), (100, 1)], {}), arrays)
    measured = pictures[:: max(1, len(pictures) // _MEASURED)][:_MEASURED]
    points = measure(draft, measured, np.arange(0, start.architecture.levels - 1 + 1e-9, _LEVEL_STEP))
    scale = quality_scale(points)
    along_scale = measure(draft, measured, [level for _, level in scale])
    problems = _problems(scale, along_scale)
    cost = integer_cost(draft, model, measured)
    facts = describe(start) | {
        "entropy_tables": {"pictures": len(pictures)},
        "integer_scale_path": {"extra_bits": round(cost, 6)},
        "quality_scale": [
            {"quality": q, "level": level, "bpp": round(p.bpp, 4), "mse": round(p.mse, 3)}
            for (q, level), p in zip(scale, along_scale, strict=True)
        ],
    }
    facts |= json.loads(card.read_text("utf-8")) if card is not None else {}
    content = serialise(arrays, start.architecture, scale, facts)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{model_id(content).hex()}.safetensors"
    write_whole(path, [content])
    write_whole(path.with_suffix(".json"), [json.dumps(facts, indent=1, sort_keys=True).encode()])
    return Shipped(path, cost, tuple(problems))


def describe(start: Start) -> dict[str, Any]:
    """The part of a model card that a run knows: what it was trained on, for how long, on what."""
    facts: dict[str, Any] = {"training": list(start.history), "data": dict(start.pictures)}
    if start.lambda_range is not None:
        facts["lambda_range"] = list(start.lambda_range)
    return facts


def _codec(content: bytes, arrays: Arrays) -> LearnedCodec:
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["pico"]
    return LearnedCodec(Weights(model_id(content), arrays, json.loads(metadata)))


def measure(
    codec: LearnedCodec, photos: Photos, levels: Sequence[float] | NDArray[np.float64]
) -> list[Point]:
    """Code photographs at every level, to the bytes that a file would hold, and decode them."""
    points = []
    codec.networks("auto")
    executor, _ = pool()
    for level in tqdm([float(level) for level in levels], desc="measuring", unit="level", leave=False):
        results = list(executor.map(partial(_measure_photo, codec, level), photos))
        pixels = sum(photo.shape[0] * photo.shape[1] for photo in photos)
        bits, error = (sum(values) for values in zip(*results, strict=True))
        points.append(Point(level, bits / pixels, error / pixels))
    return points


def _measure_photo(codec: LearnedCodec, level: float, photo: NDArray[np.uint8]) -> tuple[float, float]:
    """Bits, and squared error added up over pixels (the mean of the three colours)."""
    symbols, z = codec.analyse(photo, level)
    bits = 8 * len(codec.tile_coder.encode(symbols, z, level))
    decoded = codec.synthesise(symbols, z, Box(0, 0, photo.shape[1], photo.shape[0]), 3, level)
    return bits, float(np.square(photo.astype(np.float64) - decoded).sum()) / 3


def quality_scale(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Points (quality, level) from 0 to 100: equal steps of quality multiply the bits by equal factors.

    Levels that cost more bits than those below them without less distortion are passed over.
    """
    kept = [points[0]]
    for point in points[1:]:
        if point.bpp > kept[-1].bpp and point.mse < kept[-1].mse:
            kept.append(point)
    if len(kept) == 1:
        return [(0.0, points[0].level), (100.0, points[-1].level)]
    log_bits = np.log([point.bpp for point in kept])
    qualities = np.arange(0, 100 + _QUALITY_STEP, _QUALITY_STEP)
    targets = log_bits[0] + (log_bits[-1] - log_bits[0]) * qualities / 100
    levels = np.interp(targets, log_bits, [point.level for point in kept])
    return [(float(q), round(float(level), 4)) for q, level in zip(qualities, levels, strict=True)]


def _problems(scale: Sequence[tuple[float, float]], points: Sequence[Point]) -> list[str]:
    found = []
    for index in range(1, len(points)):
        below, above = points[index - 1], points[index]
        names = f"quality {scale[index][0]:g} over {scale[index - 1][0]:g}"
        if above.bpp <= below.bpp:
            found.append(f"{names}: {above.bpp:.4f} bpp is not more than {below.bpp:.4f}")
        if above.mse >= below.mse:
            found.append(f"{names}: MSE {above.mse:.2f} is not less than {below.mse:.2f}")
    return found


def integer_cost(codec: LearnedCodec, model: PicoModel, photos: Photos) -> float:
    """How many more bits the latents take because their tables are chosen in integers: 0.01 is 1 %.

    Both sides use the fitted tables and ideal code lengths; one chooses tables with the integer scale path, the
    other with the float scale decoder of the model.
    """
    costs = [_code_lengths(frequencies) for frequencies in codec.weights.latent_frequencies()]
    with_integers = with_floats = 0.0
    for index, photo in enumerate(photos):
        level = index % model.architecture.levels
        symbols, z = codec.analyse(photo, float(level))
        exact = codec.weights.scale_path.table_indices(z)
        wanted = (
            np.rint(float_table_indices(model.scale_decoder, z)).clip(0, TABLE_COUNT - 1).astype(np.uint8)
        )
        with_integers += _bits(costs, symbols, exact)
        with_floats += _bits(costs, symbols, wanted)
    return with_integers / with_floats - 1


def _code_lengths(frequencies: NDArray[np.uint32]) -> NDArray[np.float64]:
    counts = frequencies.astype(np.float64)
    return np.asarray(np.log2(counts.sum()) - np.log2(counts))


def _bits(
    costs: Sequence[NDArray[np.float64]], symbols: NDArray[np.int16], indices: NDArray[np.uint8]
) -> float:
    total = 0.0
    for index in np.unique(indices):
        radius = len(costs[index]) // 2
        total += float(costs[index][np.clip(symbols[indices == index], -radius, radius) + radius].sum())
    return total
