"""Curves of rate and distortion: means over pictures, BD-rates where they are defined, intervals of both.

A BD-rate is the mean difference of rate, in percent, between two curves at equal values of a metric
(Bjontegaard), interpolated monotonically (PCHIP) in the logarithm of the rate, by the package `bjontegaard`.
Nothing is extrapolated: it covers the values that both curves reach, and where those are less than half of
what the shorter curve reaches, there is no BD-rate.

Intervals are Student's, from the standard error over pictures: of a BD-rate by bootstrap, in its logarithm. The
percentiles of a bootstrap are far too narrow for few pictures: those of three hold the true mean 3 times in 4.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pico_bench.codecs import INSTALL
from pico_bench.rd import Row
from pico_metrics.catalogue import EVERY_METRIC

LEAST_POINTS = 3
LEAST_OVERLAP = 0.5
LEAST_PICTURES = 3  # of which there is an interval
RESAMPLES = 500
_LEVEL = 0.95  # of the intervals


@dataclass(frozen=True)
class Curve:
    """One codec: rates and values of metrics by quality (rows) and picture (columns), in order of mean rate.

    A value is NaN where the metric says nothing about the picture.
    """

    codec: str
    qualities: tuple[str, ...]
    images: tuple[str, ...]
    bpp: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]

    def points(self, metric: str, columns: NDArray[np.int64] | None = None) -> list[tuple[float, float]]:
        """Mean rate and mean value at each quality, finite ones only.

        Over the pictures that have the metric, or over the given columns.
        """
        chosen = self.columns(metric) if columns is None else columns
        if not len(chosen):
            return []
        means = zip(self.bpp[:, chosen].mean(1), self.values[metric][:, chosen].mean(1), strict=True)
        return [(float(rate), float(value)) for rate, value in means if math.isfinite(value)]

    def columns(self, metric: str) -> NDArray[np.int64]:
        """The pictures that have the metric at every quality."""
        return np.flatnonzero(~np.isnan(self.values[metric]).any(0))


@dataclass(frozen=True)
class Interval:
    """A number and its interval over pictures; the bounds are NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Comparison:
    """A BD-rate in percent, negative where the codec needs fewer bits; or the reason why there is none."""

    codec: str
    metric: str
    rate: Interval | None
    reason: str = ""
    covers: tuple[float, float] = (math.nan, math.nan)  # values of the metric that both curves reach
    worst_image: str = ""
    worst_rate: float = math.nan
    pictures: int = 0  # that have the metric
    per_image: int = 0  # of them, those that have a BD-rate of their own


def curves(rows: Sequence[Row]) -> tuple[list[Curve], list[str]]:
    """One curve for each codec over the pictures that all of them have, and lines about what that left out."""
    names = list(dict.fromkeys(row.codec for row in rows))
    images = list(dict.fromkeys(row.image for row in rows))
    have = {name: {row.image for row in rows if row.codec == name} for name in names}
    common = [image for image in images if all(image in have[name] for name in names)]
    notes = [
        f"{image} is left out: {' and '.join(name for name in names if image not in have[name])} did not code it"
        for image in images
        if image not in common
    ]
    found = []
    for name in names:
        curve, left_out = _curve(name, [row for row in rows if row.codec == name], common)
        notes += left_out
        if curve is not None:
            found.append(curve)
    return found, notes


def _curve(name: str, rows: Sequence[Row], images: Sequence[str]) -> tuple[Curve | None, list[str]]:
    by_quality: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_quality.setdefault(row.quality, {})[row.image] = row
    whole = {q: found for q, found in by_quality.items() if all(image in found for image in images)}
    notes = [f"{name} {q} is left out: it lacks some pictures" for q in by_quality if q not in whole]
    if not whole or not images:
        return None, notes
    mean_rate = {q: np.mean([found[image].bpp for image in images]) for q, found in whole.items()}
    order = sorted(whole, key=lambda q: mean_rate[q])
    grid = [[whole[quality][image] for image in images] for quality in order]
    metrics = [m for m in EVERY_METRIC if any(m in row.values for line in grid for row in line)]
    values = {m: np.array([[row.values.get(m, math.nan) for row in line] for line in grid]) for m in metrics}
    bpp = np.array([[row.bpp for row in line] for line in grid])
    return Curve(name, tuple(order), tuple(images), bpp, values), notes


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """Mean over pictures with its 95 % interval; none for fewer than three pictures."""
    value = float(values.mean())
    if len(values) < LEAST_PICTURES or not np.isfinite(values).all():
        return Interval(value)
    reach = student(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(value, value - reach, value + reach)


@cache
def student(freedom: int) -> float:
    """How many standard errors a 95 % interval reaches to either side: the quantile of Student's t."""
    # t is the tangent of an angle times the root of the freedom, and the angle's density is a power of its cosine
    angles = np.linspace(0, math.pi / 2, 100_001)
    density = np.cos(angles) ** (freedom - 1)
    area = np.cumsum(density) - (density + density[0]) / 2
    return math.sqrt(freedom) * math.tan(np.interp(_LEVEL * area[-1], area, angles))


def missing_package() -> str | None:
    """Why there are no BD-rates here, in one line; None if there are."""
    if importlib.util.find_spec("bjontegaard") is None:
        return f"BD-rates left out: the package bjontegaard is not installed ({INSTALL})"
    return None


def compare(anchor: Curve, test: Curve, metric: str) -> Comparison:
    """The BD-rate of a codec against another, its interval over pictures and its worst picture."""
    shared = np.intersect1d(anchor.columns(metric), test.columns(metric))
    everything = anchor.points(metric, shared), test.points(metric, shared)
    reason, covers = overlap(*everything, metric)
    if reason:
        return Comparison(test.codec, metric, None, reason, covers)
    value = bd_rate(*everything, metric)
    alone = {}
    for column in shared:
        image, one = test.images[column], np.array([column])
        points = anchor.points(metric, one), test.points(metric, one)
        if not overlap(*points, metric)[0]:
            alone[image] = bd_rate(*points, metric)
    worst = max(alone, key=lambda image: alone[image], default="")
    return Comparison(
        test.codec,
        metric,
        Interval(value, *_bd_bounds(value, anchor, test, metric, shared)),
        covers=covers,
        worst_image=worst,
        worst_rate=alone.get(worst, math.nan),
        pictures=len(shared),
        per_image=len(alone),
    )


def overlap(
    anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]], metric: str
) -> tuple[str, tuple[float, float]]:
    """Why two curves have no BD-rate ("" if they have one), and the values of the metric that both reach."""
    nothing = (math.nan, math.nan)
    description = EVERY_METRIC[metric]
    if description.target is not None:
        return f"more of it is not always better: {description.direction}", nothing
    for points in (anchor, test):
        if len(points) < LEAST_POINTS:
            return f"a curve has {len(points)} points, {LEAST_POINTS} are needed", nothing
        steps = np.diff([value for _, value in sorted(points)])
        better = steps > 0 if description.higher_is_better else steps < 0
        if not better.all():
            return "a curve does not get better with every step of rate", nothing
    ranges = [(min(v for _, v in points), max(v for _, v in points)) for points in (anchor, test)]
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    if high <= low:
        return "the curves do not overlap", nothing
    share = (high - low) / min(r[1] - r[0] for r in ranges)
    if share < LEAST_OVERLAP:
        return f"the curves overlap in only {100 * share:.0f} % of the shorter one", (low, high)
    return "", (low, high)


def bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]], metric: str) -> float:
    """Percent of rate that `test` takes more than `anchor`; call `overlap` first."""
    from bjontegaard import bd_rate as bjontegaard_rate

    sign = 1 if EVERY_METRIC[metric].higher_is_better else -1
    sides = []
    for points in (sorted(anchor), sorted(test)):
        sides += [[rate for rate, _ in points], [sign * value for _, value in points]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own remark on overlaps; ours are stricter
        return float(bjontegaard_rate(*sides, method="pchip", require_matching_points=False, min_overlap=0))


def _bd_bounds(
    value: float, anchor: Curve, test: Curve, metric: str, shared: NDArray[np.int64]
) -> tuple[float, float]:
    """Interval of a BD-rate from resampled pictures; none for few pictures or where many resamples have none."""
    count = len(shared)
    if count < LEAST_PICTURES:
        return math.nan, math.nan
    rates = []
    for drawn in np.random.default_rng(0).integers(0, count, (RESAMPLES, count)):
        columns = shared[drawn]
        points = anchor.points(metric, columns), test.points(metric, columns)
        if not overlap(*points, metric)[0]:
            rates.append(bd_rate(*points, metric))
    if len(rates) < 0.95 * RESAMPLES:
        return math.nan, math.nan
    # a bootstrap divides by the number of pictures where a sample's variance divides by one less
    error = float(np.log1p(np.array(rates) / 100).std()) * math.sqrt(count / (count - 1))
    middle, reach = math.log1p(value / 100), student(count - 1) * error
    return 100 * math.expm1(middle - reach), 100 * math.expm1(middle + reach)
