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

from pico_core.arithmetic import LEVEL_UNITS
from pico_core.engines import Engine, engine_of
from pico_core.errors import PicoError
from pico_core.registry import model_id
from pico_core.workers import in_order

from .export import crops, make_arrays, serialise
from .files import write_whole
from .networks.model import PicoModel
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
    draft = engine_of(arrays)
    measured = pictures[:: max(1, len(pictures) // _MEASURED)][:_MEASURED]
    points = measure(draft, measured, np.arange(0, start.architecture.levels - 1 + 1e-9, _LEVEL_STEP))
    scale = quality_scale(points)
    along_scale = measure(draft, measured, [level for _, level in scale])
    problems = _problems(scale, along_scale)
    facts = describe(start) | {
        "entropy_tables": {"pictures": len(pictures)},
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
    return Shipped(path, tuple(problems))


def describe(start: Start) -> dict[str, Any]:
    """The part of a model card that a run knows: what it was trained on, for how long, on what."""
    facts: dict[str, Any] = {"training": list(start.history), "data": dict(start.pictures)}
    if start.lambda_range is not None:
        facts["lambda_range"] = list(start.lambda_range)
    return facts


def measure(engine: Engine, photos: Photos, levels: Sequence[float] | NDArray[np.float64]) -> list[Point]:
    """Code photographs at every level, to the bytes that a file would hold, and decode them."""
    points = []
    pixels = sum(photo.shape[0] * photo.shape[1] for photo in photos)
    for level in tqdm([float(level) for level in levels], desc="measuring", unit="level", leave=False):
        results = list(in_order(partial(_measure_photo, engine, level), photos))
        bits, error = (sum(values) for values in zip(*results, strict=True))
        points.append(Point(level, bits / pixels, error / pixels))
    return points


def _measure_photo(engine: Engine, level: float, photo: NDArray[np.uint8]) -> tuple[float, float]:
    """Bits, and squared error added up over pixels (the mean of the three colours)."""
    (height, width, _), units = photo.shape, round(level * LEVEL_UNITS)
    payload = engine.encode(photo, units)
    decoded = engine.decode(payload, width, height, 3, units)
    return 8 * len(payload), float(np.square(photo.astype(np.float64) - decoded).sum()) / 3


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
