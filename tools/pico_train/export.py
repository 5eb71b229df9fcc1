"""Makes a weights file from a checkpoint: folded networks, integer scale path, fitted entropy tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save
from tqdm import tqdm

from pico_core.errors import OptionError
from pico_core.networks.folding import fold
from pico_core.networks.inference import Networks
from pico_core.networks.model import Architecture, PicoModel
from pico_core.registry import FORMAT
from pico_core.scale_path import (
    LOG_SCALE_LOW,
    LOG_SCALE_SPACING,
    TABLE_COUNT,
    Z_LIMIT,
    IntegerLayer,
    ScalePath,
)

from .integer import integer_scale_path
from .packs import Pack, is_pack, spread
from .pictures import PICTURES, read_picture
from .start import read_start

_TOTAL = 2**22  # what the frequencies of a latent table add up to, about
_PRIOR_STRENGTH = 200.0  # observations that the Laplace prior of a table counts for
_HYPER_TOTAL = 60_000  # as of the hyperlatents' tables, whose frequencies are stored in 16 bits
_HYPER_PRIOR_STRENGTH = 100.0
_LEAST_HYPER_SCALE = 0.25
_CROP = 512
_LEAST_SIDE = 64

Arrays = dict[str, NDArray[Any]]


def read_checkpoint(path: Path) -> PicoModel:
    """The model of a run or a training checkpoint (its EMA weights), or of a safetensors file."""
    start = read_start(path)
    model = PicoModel(start.architecture)
    model.load_state_dict(start.state)
    return model.eval()


def crops(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    """Centre crops of up to 512x512, sides a multiple of 64, of `count` photographs spread over a folder or pack.

    Smaller pictures and those that cannot be read are passed over. Raises OptionError if nothing is left.
    """
    if count < 1:
        msg = f"--count is {count}; entropy tables need a picture or more"
        raise OptionError(msg)
    result = []
    for pixels in _pictures(folder, count):
        if min(pixels.shape[:2]) < _LEAST_SIDE:
            continue
        height, width = (min(_CROP, side) // 64 * 64 for side in pixels.shape[:2])
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        result.append(pixels[top : top + height, left : left + width])
    if not result:
        msg = f"{folder} holds no picture of {_LEAST_SIDE} pixels a side or more to fit entropy tables on"
        raise OptionError(msg)
    return result


def _pictures(folder: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    if is_pack(folder):
        photos = Pack(folder).photos
        yield from (photo.pixels() for photo in spread(photos, count))
        return
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    for path in spread(paths, count):
        try:
            yield np.asarray(read_picture(path.read_bytes()).image)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue


def _levels(levels: int, index: int) -> Iterator[float]:
    """Every anchor exactly or up to half a level off, so that tables fit the levels between as well."""
    rng = np.random.default_rng(index)
    for anchor in range(levels):
        yield float(np.clip(anchor + rng.uniform(-0.5, 0.5), 0, levels - 1))


def fit_tables(
    networks: Networks, scale_path: ScalePath, photos: Sequence[NDArray[np.uint8]], levels: int, hyper: int
) -> Arrays:
    """Frequencies observed on photographs, smoothed with a Laplace prior, as the arrays of a weights file."""
    radii = latent_radii()
    latent = [np.zeros(2 * radius + 1) for radius in radii]
    z_counts = np.zeros((levels, hyper, 2 * Z_LIMIT + 1))
    for index, pixels in enumerate(tqdm(photos, desc="fitting tables", unit="photo")):
        for level in _levels(levels, index):
            symbols, z = (array[0] for array in networks.analyse(pixels[None], level))
            _count_latent(latent, symbols, scale_path.table_indices(z))
            for channel in range(hyper):
                values = z[..., channel].ravel() + Z_LIMIT
                z_counts[int(level + 0.5), channel] += np.bincount(values, minlength=2 * Z_LIMIT + 1)
    return {
        "tables.latent": np.concatenate([_frequencies(c, i) for i, c in enumerate(latent)]),
        "tables.latent.radius": np.array(radii, np.int32),
        "tables.hyper": _hyper_frequencies(z_counts),
    }


def latent_radii() -> list[int]:
    """How far each latent table reaches: twelve scales, escapes included."""
    scales = np.exp(LOG_SCALE_LOW + LOG_SCALE_SPACING * np.arange(TABLE_COUNT))
    return [int(np.ceil(12 * scale)) + 3 for scale in scales]


def _count_latent(
    counts: list[NDArray[np.float64]], symbols: NDArray[np.int16], indices: NDArray[np.uint8]
) -> None:
    for index in np.unique(indices):
        radius = len(counts[index]) // 2
        values = np.clip(symbols[indices == index].astype(np.int64), -radius, radius) + radius
        counts[index] += np.bincount(values, minlength=2 * radius + 1)


def _frequencies(counts: NDArray[np.float64], index: int) -> NDArray[np.uint32]:
    """Counts of one latent table, made symmetric and smoothed with the Laplace density of its scale."""
    radius = len(counts) // 2
    scale = np.exp(LOG_SCALE_LOW + LOG_SCALE_SPACING * index)
    edges = np.arange(-radius, radius + 2) - 0.5
    below = np.where(edges < 0, 0.5 * np.exp(edges / scale), 1 - 0.5 * np.exp(-edges / scale))
    prior = np.diff(below)
    smooth = (counts + counts[::-1]) / 2 + _PRIOR_STRENGTH * prior
    return np.asarray(np.maximum(np.rint(smooth * (_TOTAL / smooth.sum())), 1), np.uint32)


def _hyper_frequencies(counts: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Counts (levels, channels, entries), smoothed with a Laplace density so that unseen neighbours stay cheap.

    No wider than what was seen: most channels always say the same, and are to cost next to nothing.
    """
    values = np.arange(-Z_LIMIT, Z_LIMIT + 1)
    seen = np.maximum(counts.sum(2), 1)
    mean = (counts * values).sum(2) / seen
    variance = np.maximum((counts * values**2).sum(2) / seen - mean**2, 0)
    scale = np.maximum(np.sqrt(variance / 2), _LEAST_HYPER_SCALE)
    prior = np.exp(-np.abs(values - mean[..., None]) / scale[..., None])
    smooth = counts + _HYPER_PRIOR_STRENGTH * prior / prior.sum(2, keepdims=True)
    scaled = smooth * (_HYPER_TOTAL / smooth.sum(2, keepdims=True))
    return np.asarray(np.maximum(np.rint(scaled), 1), np.uint16)


def export(checkpoint: Path, photos: Path, count: int, card: Mapping[str, Any]) -> bytes:
    """The bytes of a weights file whose quality is proportional to the level."""
    model = read_checkpoint(checkpoint)
    levels = model.architecture.levels
    quality = [(0.0, 0.0), (100.0, levels - 1.0)]
    return serialise(make_arrays(model, crops(photos, count)), model.architecture, quality, card)


def make_arrays(model: PicoModel, photos: Sequence[NDArray[np.uint8]]) -> Arrays:
    """All arrays of a weights file: folded networks, integer scale path, tables fitted on photographs."""
    folded = {name: tensor.numpy() for name, tensor in fold(model).items()}
    stored = {name: a if name.endswith("log_gain") else a.astype(np.float16) for name, a in folded.items()}
    arrays: Arrays = {f"networks.{name}": array for name, array in stored.items()}
    scale_arrays = integer_scale_path(model.scale_decoder)
    arrays |= scale_arrays
    networks = Networks({n: a.astype(np.float32) for n, a in stored.items()}, "float32", Z_LIMIT)
    scale_path = ScalePath(*(_layer(scale_arrays, name) for name in ("at64", "at32", "at16")))
    a = model.architecture
    return arrays | fit_tables(networks, scale_path, photos, a.levels, a.hyper)


def serialise(
    arrays: Arrays,
    architecture: Architecture,
    quality: Sequence[tuple[float, float]],
    card: Mapping[str, Any],
) -> bytes:
    """The bytes of a weights file; `quality` are points (quality, level) of the quality scale."""
    metadata = {
        "format": FORMAT,
        "architecture": architecture.to_dict(),
        "levels": architecture.levels,
        "quality": [list(point) for point in quality],
        "card": dict(card),
    }
    return bytes(save(arrays, {"pico": json.dumps(metadata, sort_keys=True)}))


def _layer(arrays: Arrays, name: str) -> IntegerLayer:
    weight, bias, shift = (arrays[f"scale.{name}.{part}"] for part in ("weight", "bias", "shift"))
    return IntegerLayer(weight.astype(np.float64), bias.astype(np.float64), int(shift[0]))
