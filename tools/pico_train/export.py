"""Makes a weights file from a checkpoint: networks folded and turned into integers, fitted entropy tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from tqdm import tqdm

from pico_core import weights_file
from pico_core.arithmetic import LEVEL_UNITS, ExactArithmetic
from pico_core.engines import Engine, engine_of
from pico_core.errors import OptionError
from pico_core.graph import TABLE_COUNT, Z_LIMIT, Graph
from pico_core.rans import PROBABILITY_BITS

from .networks.folding import fold
from .networks.model import LOG_SCALE_LOW, LOG_SCALE_SPACING, Architecture, PicoModel
from .packs import Pack, is_pack, spread
from .pictures import PICTURES, read_picture
from .quantising import observe, quantise
from .start import read_start

_TOTAL = 1 << PROBABILITY_BITS
_PRIOR_STRENGTH = 200.0  # observations that the Laplace prior of a table counts for
_HYPER_PRIOR_STRENGTH = 100.0
_LEAST_HYPER_SCALE = 0.25
_CROP = 512
_OBSERVED = 24  # photographs that the ranges of feature maps are seen on, in crops of
_OBSERVED_SIDE = 256
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
    engine: Engine, graph: Graph, photos: Sequence[NDArray[np.uint8]], levels: int, hyper: int
) -> Arrays:
    """Frequencies observed on photographs, smoothed with a Laplace prior, as the arrays of a weights file."""
    radii = latent_radii()
    latent = [np.zeros(2 * radius + 1) for radius in radii]
    z_counts = np.zeros((levels, hyper, 2 * Z_LIMIT + 1))
    for index, pixels in enumerate(tqdm(photos, desc="fitting tables", unit="photo")):
        for level in _levels(levels, index):
            units = round(level * LEVEL_UNITS)
            height, width = pixels.shape[:2]
            symbols, z = engine.read(engine.encode(pixels, units), width, height, units)
            _count_latent(latent, symbols, graph.table_indices(z))
            for channel in range(hyper):
                values = z[..., channel].ravel() + Z_LIMIT
                z_counts[int(level + 0.5), channel] += np.bincount(values, minlength=2 * Z_LIMIT + 1)
    return _tables(latent, z_counts)


def _tables(latent: Sequence[NDArray[np.float64]], hyper: NDArray[np.float64]) -> Arrays:
    return {
        "tables.latent": np.concatenate([_frequencies(c, i) for i, c in enumerate(latent)]),
        "tables.latent.radius": np.array(latent_radii(), np.int32),
        "tables.hyper": _hyper_frequencies(hyper),
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


def _frequencies(counts: NDArray[np.float64], index: int) -> NDArray[np.uint16]:
    """Counts of one latent table, made symmetric and smoothed with the Laplace density of its scale."""
    radius = len(counts) // 2
    scale = np.exp(LOG_SCALE_LOW + LOG_SCALE_SPACING * index)
    edges = np.arange(-radius, radius + 2) - 0.5
    below = np.where(edges < 0, 0.5 * np.exp(edges / scale), 1 - 0.5 * np.exp(-edges / scale))
    prior = np.diff(below)
    return frequencies((counts + counts[::-1]) / 2 + _PRIOR_STRENGTH * prior)


def frequencies(counts: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Integers in the ratios of `counts` that add up to 2^16, none of them zero."""
    wanted = counts * (_TOTAL / counts.sum())
    rare, more = np.zeros(len(wanted), np.bool_), wanted < 1
    while more.any():  # what the rare ones take, the others give
        rare |= more
        more = ~rare & (wanted * (_TOTAL - rare.sum()) < wanted[~rare].sum())
    factor = (_TOTAL - rare.sum()) / wanted[~rare].sum()
    ends = np.floor(np.cumsum(np.where(rare, 1.0, wanted * factor)) + 0.5)  # steps of 1 or more stay so
    ends[-1] = _TOTAL
    return np.asarray(np.diff(ends, prepend=0.0), np.uint16)


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
    return np.array([[frequencies(channel) for channel in level] for level in smooth])


def export(checkpoint: Path, photos: Path, count: int, card: Mapping[str, Any]) -> bytes:
    """The bytes of a weights file whose quality is proportional to the level."""
    model = read_checkpoint(checkpoint)
    levels = model.architecture.levels
    quality = [(0.0, 0.0), (100.0, levels - 1.0)]
    return serialise(make_arrays(model, crops(photos, count)), model.architecture, quality, card)


def make_arrays(model: PicoModel, photos: Sequence[NDArray[np.uint8]]) -> Arrays:
    """All arrays of a weights file: networks in integers, tables fitted on photographs."""
    a = model.architecture
    folded = {name: tensor.numpy() for name, tensor in fold(model).items()}
    arrays = quantise(folded, observe(folded, observed(photos), a.levels))
    draft = [np.zeros(2 * radius + 1) for radius in latent_radii()]
    arrays |= _tables(draft, np.zeros((a.levels, a.hyper, 2 * Z_LIMIT + 1)))
    graph = Graph(ExactArithmetic(arrays))
    return arrays | fit_tables(engine_of(arrays), graph, photos, a.levels, a.hyper)


def observed(photos: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """What the ranges of feature maps are seen on: photographs, and the same in glaring colours.

    Of photographs alone a red enamel sign had gone beyond the ranges, and lost 1 dB.
    """
    plain = middles(photos)
    return [*plain, *(_glaring(pixels, index) for index, pixels in enumerate(plain))]


def _glaring(pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """The picture in other, saturated colours, and in strong contrast."""
    hsv = np.array(Image.fromarray(pixels).convert("HSV"))
    hsv[..., 0] += np.uint8(37 * index % 256)
    turned = Image.fromarray(hsv, "HSV").convert("RGB")
    return np.asarray(ImageEnhance.Contrast(ImageEnhance.Color(turned).enhance(4)).enhance(2.5))


def middles(photos: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """The middle of some of the photographs."""
    result = []
    for pixels in spread(list(photos), _OBSERVED):
        height, width = (min(side, _OBSERVED_SIDE) for side in pixels.shape[:2])
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        result.append(pixels[top : top + height, left : left + width])
    return result


def serialise(
    arrays: Arrays,
    architecture: Architecture,
    quality: Sequence[tuple[float, float]],
    card: Mapping[str, Any],
) -> bytes:
    """The bytes of a weights file; `quality` are points (quality, level) of the quality scale."""
    description = {
        "format": weights_file.FORMAT,
        "architecture": architecture.to_dict(),
        "levels": architecture.levels,
        "quality": [list(point) for point in quality],
        "card": dict(card),
    }
    return weights_file.serialise(arrays, description)
