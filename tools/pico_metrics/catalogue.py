"""Every metric that compares two pictures, with its name, its direction and its version."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from types import MappingProxyType

from . import (
    colour,
    faces,
    lpips,
    ms_ssim,
    networks,
    patches,
    patterns,
    psnr,
    ssimulacra2,
    text,
    texture,
    tile_borders,
)
from .pictures import Pixels
from .text_regions import Region


@dataclass(frozen=True)
class Description:
    """What a metric is called and how it is read.

    `version` rises whenever the same pictures get another value. `least_side` is the smallest side that it
    takes. `target` is the value that is right, for metrics that can be too high as well as too low; then
    `higher_is_better` says nothing.
    """

    name: str
    title: str
    higher_is_better: bool
    _: KW_ONLY
    least_side: int = 1
    unit: str = ""
    version: int = 1
    target: float | None = None

    @property
    def direction(self) -> str:
        """Which values are good, in words."""
        if self.target is not None:
            return f"{self.target:g} is right"
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def label(self) -> str:
        """Title, unit and direction, as an axis is labelled."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit}, {self.direction}"

    def badness(self, value: float) -> float:
        """A number that is higher for worse values, to order them by."""
        if self.target is not None:
            return abs(value - self.target)
        return -value if self.higher_is_better else value


@dataclass(frozen=True)
class Metric(Description):
    """A metric: `function(reference, distorted)` gives its value, which may be infinite or NaN."""

    function: Callable[[Pixels, Pixels], float]


def _texture(name: str, title: str, function: Callable[[Pixels, Pixels], float]) -> Metric:
    return Metric(name, title, True, function, least_side=texture.LEAST_SIDE, target=1.0)


@dataclass(frozen=True)
class TextMetric(Description):
    """A metric of lines of text: `function(reference, distorted, regions)` gives its value.

    The regions are those of the original; a picture without any has no value.
    """

    function: Callable[[Pixels, Pixels, Sequence[Region]], float]


_OF_PICTURES = (
    Metric("psnr", "PSNR", True, psnr.psnr, unit="dB"),
    Metric("ms_ssim", "MS-SSIM", True, ms_ssim.ms_ssim, least_side=ms_ssim.LEAST_SIDE),
    Metric(
        "lpips_alex",
        "LPIPS (Alex)",
        False,
        functools.partial(lpips.lpips, network="alex"),
        least_side=networks.LEAST_SIDE,
    ),
    Metric(
        "lpips_squeeze",
        "LPIPS (Squeeze)",
        False,
        functools.partial(lpips.lpips, network="squeeze"),
        least_side=networks.LEAST_SIDE,
    ),
    Metric("ssimulacra2", "SSIMULACRA2", True, ssimulacra2.ssimulacra2, least_side=ssimulacra2.LEAST_SIDE),
    Metric("patch_distance", "patch distance", False, patches.patch_distance, least_side=patches.LEAST_SIDE),
    Metric("tile_border", "step across tile borders", False, tile_borders.tile_border_error),
    Metric("tile_interior", "step inside tiles", False, tile_borders.tile_interior_error),
    Metric("flat_pattern", "pattern in flat parts", False, patterns.flat_pattern, unit="of 255"),
    _texture("texture_flat", "texture, flat parts", texture.texture_in_flat_parts),
    _texture("texture_middling", "texture, middling parts", texture.texture_in_middling_parts),
    _texture("texture_busy", "texture, busy parts", texture.texture_in_busy_parts),
    Metric(
        "texture_correlation",
        "correlation of texture",
        True,
        texture.texture_correlation,
        least_side=texture.LEAST_SIDE,
    ),
    Metric("face_error", "error in faces", False, faces.face_error),
    Metric("face_lpips", "LPIPS (Alex) in faces", False, faces.face_lpips, least_side=networks.LEAST_SIDE),
    Metric("colour_shift", "colour shift", False, colour.colour_shift, unit="delta E"),
)
_OF_TEXT = (
    TextMetric("text_error", "error in text", False, text.error_in_regions),
    TextMetric("text_accuracy", "characters read", True, text.text_accuracy),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _OF_PICTURES})
TEXT_METRICS: Mapping[str, TextMetric] = MappingProxyType({metric.name: metric for metric in _OF_TEXT})
EVERY_METRIC: Mapping[str, Metric | TextMetric] = MappingProxyType({**METRICS, **TEXT_METRICS})
