"""Rate and distortion of weights against AVIF and JPEG, on real files, as one JSON and one PNG.

Measuring, its cache and BD-rates are `pico_bench`'s; here are the weights under test as one more codec.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import pico_core
from pico_bench.codecs import PILLOW_CODECS, Codec, Coded, FileCodec, hash_of_sources
from pico_bench.curves import Comparison, Curve, compare, curves, missing_package
from pico_bench.originals import Original, find_originals
from pico_bench.rd import Row, measure
from pico_bench.store import Store
from pico_core import codec as core
from pico_core import engines, registry, weights_file
from pico_core.container import Metadata, Picture, storable_level, write
from pico_core.errors import OptionError
from pico_core.registry import Weights
from pico_core.tiling import Grid, pad_to_alignment
from pico_metrics.catalogue import METRICS
from pico_metrics.pictures import Pixels

from .config import Config
from .export import export
from .files import write_whole
from .networks.model import PicoModel
from .plot import load_pyplot, save_figure
from .start import read_start

WATCHED = ("psnr", "ms_ssim", "lpips_alex", "lpips_squeeze")  # measured during training
JUDGED = (*WATCHED, "ssimulacra2")
_RIVALS = ("avif", "jpeg")
_RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # that the rate axis names


@dataclass(frozen=True)
class Request:
    """What to measure on."""

    pictures: Path  # folder of reference pictures
    levels: int = 8  # evenly from the lowest to the highest
    limit: int = 0  # pictures; 0: all
    photos: Path | None = None  # to fit entropy tables on, where the weights have none
    count: int = 48  # of those
    metrics: tuple[str, ...] = JUDGED


class WeightsCodec(FileCodec):
    """Whole .pico files at levels, with given weights in place of the default ones."""

    name = "pico"

    def __init__(self, weights: Weights, levels: Sequence[float]):
        registry.add(weights)  # decoding asks for them by their id
        self._weights = weights
        self.ladder = tuple(f"{storable_level(level):g}" for level in levels)

    def close(self) -> None:
        """Let go of the weights: a run that is evaluated again and again has new ones every time."""
        engines.forget(self._weights)
        registry.remove(self._weights.id)

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """Weights, level, and a hash of the codec's code."""
        return {"codec": self.name, "level": quality, "model": self._weights.id.hex(), **self._build}

    @cached_property
    def _build(self) -> dict[str, str]:
        return {"code": hash_of_sources(Path(pico_core.__file__).parent)}

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """The bytes of a file without preview, networks only."""
        height, width = pixels.shape[:2]
        level = storable_level(float(quality))
        tiles = core.TileEncoder(pixels, Grid(width, height), 0).tiles(self._weights, level)
        stream = io.BytesIO()
        picture = Picture(width, height, 3, False, level, None, self._weights.id)
        write(stream, picture, tiles, metadata=Metadata())
        return stream.getvalue()

    def decode(self, content: bytes, shape: tuple[int, ...]) -> Pixels:
        """The file's pixels, through the same code that users run."""
        with pico_core.PicoFile(content) as file:
            return file.decode()


class EstimatedCodec:
    """A model that cannot be exported: its own estimate of the bits, on whole pictures, in floating point."""

    name = "pico (estimated)"

    def __init__(self, model: PicoModel, identity: str, levels: Sequence[float]):
        self._model = model.eval()
        facts = (identity, model.architecture.to_dict(), hash_of_sources(Path(pico_core.__file__).parent))
        self._identity = hashlib.sha256(repr(facts).encode()).hexdigest()
        self._ladder = tuple(f"{level:g}" for level in levels)

    def close(self) -> None:
        """Do nothing: the model is held by nobody else."""

    def qualities(self, original: Original) -> Sequence[str]:
        """The same levels for every picture."""
        return self._ladder

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """Level, and a hash of weights, architecture and the networks' code."""
        return {"codec": self.name, "level": quality, "model": self._identity}

    @torch.inference_mode()
    def code(self, original: Original, quality: str, stored: bytes | None = None) -> Coded:
        """Pixels and estimated bytes."""
        height, width = original.pixels.shape[:2]
        padded = (
            torch.from_numpy(pad_to_alignment(original.pixels).copy()).permute(2, 0, 1)[None].float() / 255
        )
        padded = padded.contiguous(memory_format=torch.channels_last)
        output, *bits = self._model(padded, torch.tensor([float(quality)]))
        pixels = (F.hardtanh(output[0, :, :height, :width], 0, 1) * 255).round().to(torch.uint8)
        size = float(bits[0] + bits[1]) * padded.shape[2] * padded.shape[3] / 8
        return Coded(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), size)


def evaluate(source: Path, request: Request, out: Path, store: Path | None = None) -> str:
    """Measure weights and write OUT.json and OUT.png. Returns a table for people. Raises PicoError, OSError.

    `source` is a run, a checkpoint or a weights file. Results are kept in `store` (default: `measured` beside OUT),
    so AVIF, JPEG and weights that did not change are not measured again.
    """
    codec, facts = codec_of(source, request)
    originals = find_originals(request.pictures)[: request.limit or None]
    codecs: list[Codec] = [codec, *(PILLOW_CODECS[name] for name in _RIVALS)]
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = Store(store or out.parent / "measured")
    try:
        run = measure(originals, codecs, [METRICS[name] for name in request.metrics], kept, lambda _: None)
    finally:
        codec.close()
    if not any(row.codec == codec.name for row in run.rows):
        msg = f"none of the pictures in {request.pictures} could be measured: {'; '.join(run.notes[:3])}"
        raise OptionError(msg)
    found, notes = curves(run.rows)
    mine = next(curve for curve in found if curve.codec == codec.name)
    rates = _bd_rates(mine, [curve for curve in found if curve is not mine], request.metrics)
    report = {
        **facts,
        "pictures": [original.name for original in originals],
        "bits": "estimated" if isinstance(codec, EstimatedCodec) else "of real files",
        "curves": {curve.codec: _points(curve) for curve in found},
        "bd_rate_percent": rates,
        "notes": [*run.notes, *notes],
        "rows": [_plain(row) for row in run.rows],
    }
    write_whole(out.with_name(f"{out.name}.json"), [json.dumps(report, indent=1).encode()])
    _draw(found, request.metrics, out.with_name(f"{out.name}.png"))
    return _table(mine, rates, request.metrics)


def codec_of(
    source: Path, request: Request, *, estimated: bool = False
) -> tuple[WeightsCodec | EstimatedCodec, dict[str, Any]]:
    """The codec under test, `estimated` also where it could be exported, and what a report says about it."""
    if weights := _as_weights_file(source):
        levels = np.linspace(0, weights.max_level, request.levels)
        return WeightsCodec(weights, levels.tolist()), {"weights": weights.id.hex()}
    start = read_start(source)
    facts = {"history": list(start.history)}
    levels = np.linspace(0, start.architecture.levels - 1, request.levels)
    if estimated or start.architecture.unfoldable:
        model = PicoModel(start.architecture)
        model.load_state_dict(start.state)
        identity = str(hash(tuple(float(tensor.double().sum()) for tensor in start.state.values())))
        return EstimatedCodec(model, identity, levels.tolist()), facts
    photos = request.photos or (Path(start.packs[0]) if start.packs else None)
    if photos is None:
        msg = f"{source} has no entropy tables yet; name training pictures to fit them on with --photos"
        raise OptionError(msg)
    content = export(source, photos, request.count, {})
    weights = _parse(content, source)
    return WeightsCodec(weights, levels.tolist()), facts | {"weights": weights.id.hex()}


def _as_weights_file(source: Path) -> Weights | None:
    """A file that `pico-train export` made; None for models that still have to be exported."""
    if source.suffix != ".safetensors" or not source.is_file():
        return None
    with source.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, source.stat().st_size))
    return registry.load(source) if weights_file.FORMAT.encode() in header else None


def _parse(content: bytes, source: Path) -> Weights:
    return Weights(registry.model_id(content), *weights_file.parse(content, source))


def _bd_rates(mine: Curve, others: Sequence[Curve], metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By rival and metric: percent of rate that the weights need more, and why not where there is none."""
    if problem := missing_package():
        return {curve.codec: {"problem": problem} for curve in others}
    rates = {}
    for curve in others:
        rates[curve.codec] = {metric: _bd_rate(compare(curve, mine, metric)) for metric in metrics}
    return rates


def _bd_rate(comparison: Comparison) -> float | str:
    return comparison.reason if comparison.rate is None else round(comparison.rate.value, 2)


def _points(curve: Curve) -> list[dict[str, float | str]]:
    points: list[dict[str, float | str]] = []
    for index, quality in enumerate(curve.qualities):
        point: dict[str, float | str] = {"quality": quality, "bpp": round(float(curve.bpp[index].mean()), 5)}
        for name, values in curve.values.items():
            point[name] = round(float(values[index].mean()), 5)
        points.append(point)
    return points


def _plain(row: Row) -> dict[str, Any]:
    values = {name: value if math.isfinite(value) else str(value) for name, value in row.values.items()}
    return {"image": row.image, "codec": row.codec, "quality": row.quality, "bpp": row.bpp, **values}


def _table(mine: Curve, rates: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> str:
    """Means at every level, and BD-rates, as lines of text."""
    lines = ["level   bpp     " + "".join(f"{name:>14}" for name in metrics)]
    for point in _points(mine):
        lines.append(
            f"{point['quality']:<7} {point['bpp']:<8.4f}"
            + "".join(f"{point.get(m, ''):>14}" for m in metrics)
        )
    for rival, values in rates.items():
        shown = ", ".join(
            f"{m} {v:+.1f} %" if isinstance(v, float) else f"{m}: {v}" for m, v in values.items()
        )
        lines.append(f"BD-rate against {rival}: {shown}")
    return "\n".join(lines)


def _draw(found: Sequence[Curve], metrics: Sequence[str], out: Path) -> None:
    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(1, len(metrics), figsize=(4 * len(metrics), 3.6), squeeze=False)
    for axis, metric in zip(axes.flat, metrics, strict=True):
        for curve in found:
            if metric in curve.values:
                points = curve.points(metric)
                axis.plot(*zip(*points, strict=True), marker=".", label=curve.codec)
        axis.set_title(METRICS[metric].label, fontsize=9)
        axis.set_xlabel("bits per pixel", fontsize=8)
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        shown = [rate for rate in _RATES if low <= rate <= high]
        axis.set_xticks(shown, [f"{rate:g}" for rate in shown])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    save_figure(figure, out)


def evaluate_run(run: Path, config: Config, step: int) -> dict[str, Any]:
    """Measure a run as its config wants it, into RUN/evaluations; returns the means for the run's log."""
    wanted = config.evaluation
    photos = Path(config.data.packs[0])
    request = Request(Path(wanted.pictures), wanted.levels, wanted.limit, photos, wanted.photos, WATCHED)
    out = run / "evaluations" / f"step-{step:06d}"
    evaluate(run, request, out, run / "evaluations" / "measured")
    report = json.loads(out.with_name(f"{out.name}.json").read_text("utf-8"))
    mine = next(curve for name, curve in report["curves"].items() if name.startswith("pico"))
    return {"levels": mine, "bd_rate_percent": report["bd_rate_percent"]}
