"""Every metric that compares two pictures, with its name, its direction and its version."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import colour, lpips, ms_ssim, networks, patches, psnr, ssimulacra2, tile_borders
from .pictures import Pixels


@dataclass(frozen=True)
class Metric:
    """A metric: `function(reference, distorted)` gives its value, which may be infinite or NaN.

    `version` rises whenever the same pictures get another value. `least_side` is the smallest side that it
    takes.
    """

    name: str
    title: str
    higher_is_better: bool
    function: Callable[[Pixels, Pixels], float]
    least_side: int = 1
    unit: str = ""
    version: int = 1

    @property
    def label(self) -> str:
        """Title, unit and direction, as an axis is labelled."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit}, {'higher' if self.higher_is_better else 'lower'} is better"


_ALL = (
    Metric("psnr", "PSNR", True, psnr.psnr, unit="dB"),
    Metric("ms_ssim", "MS-SSIM", True, ms_ssim.ms_ssim, ms_ssim.LEAST_SIDE),
    Metric(
        "lpips_alex",
        "LPIPS (Alex)",
        False,
        functools.partial(lpips.lpips, network="alex"),
        networks.LEAST_SIDE,
    ),
    Metric(
        "lpips_squeeze",
        "LPIPS (Squeeze)",
        False,
        functools.partial(lpips.lpips, network="squeeze"),
        networks.LEAST_SIDE,
    ),
    Metric("ssimulacra2", "SSIMULACRA2", True, ssimulacra2.ssimulacra2, ssimulacra2.LEAST_SIDE),
    Metric("patch_distance", "patch distance", False, patches.patch_distance, patches.LEAST_SIDE),
    Metric("tile_border", "step across tile borders", False, tile_borders.tile_border_error),
    Metric("tile_interior", "step inside tiles", False, tile_borders.tile_interior_error),
    Metric("colour_shift", "colour shift", False, colour.colour_shift, unit="delta E"),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
