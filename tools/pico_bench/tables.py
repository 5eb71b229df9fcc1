"""The numbers of a run as plain tables: means with intervals, BD-rates, worst pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pico_bench.curves import Comparison, Curve, Interval, compare, mean_interval
from pico_metrics.catalogue import EVERY_METRIC, Metric, TextMetric

Table = list[list[str]]  # the first row is the heading
Metrics = Sequence[Metric | TextMetric]

_DIGITS = {"psnr": 2, "ssimulacra2": 1, "patch_distance": 1, "colour_shift": 2, "text_accuracy": 3}
_DIGITS |= dict.fromkeys(("texture_flat", "texture_middling", "texture_busy", "texture_correlation"), 3)


def shown(value: float, metric: str) -> str:
    """A value of a metric with as many digits as mean something."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "inf"
    return f"{value:.{_DIGITS.get(metric, 4)}f}"


def metrics_of(curves: Sequence[Curve]) -> list[Metric | TextMetric]:
    """The metrics that every curve has, in the catalogue's order, without those that say nothing here."""
    return [
        metric
        for name, metric in EVERY_METRIC.items()
        if all(name in curve.values and curve.points(name) for curve in curves)
    ]


def means(curve: Curve, metrics: Metrics, intervals: bool = False) -> Table:
    """One codec: rate and metrics at each quality, means over the pictures that have the metric."""
    rows = [["quality", "bits per pixel", *(_counted(curve, metric) for metric in metrics)]]
    for number, quality in enumerate(curve.qualities):
        cells = [
            _interval(mean_interval(curve.values[m.name][number, curve.columns(m.name)]), m.name, intervals)
            for m in metrics
        ]
        rows.append([quality, f"{curve.bpp[number].mean():.3f}", *cells])
    return rows


def _counted(curve: Curve, metric: Metric | TextMetric) -> str:
    """The metric's title, with the number of pictures where it is not all of them."""
    count = len(curve.columns(metric.name))
    plural = "s" if count != 1 else ""
    return metric.title if count == len(curve.images) else f"{metric.title} ({count} picture{plural})"


def _interval(interval: Interval, metric: str, wanted: bool) -> str:
    text = shown(interval.value, metric)
    if wanted and math.isfinite(interval.low):
        text += f" [{shown(interval.low, metric)}, {shown(interval.high, metric)}]"
    return text


def worst(curve: Curve, metrics: Metrics) -> Table:
    """One codec: the picture on which each metric is worst, at each quality."""
    rows = [["quality", *(metric.title for metric in metrics)]]
    for number, quality in enumerate(curve.qualities):
        cells = []
        for metric in metrics:
            values = curve.values[metric.name][number]
            at = int(np.nanargmax([metric.badness(value) for value in values]))
            cells.append(f"{curve.images[at]} {shown(float(values[at]), metric.name)}")
        rows.append([quality, *cells])
    return rows


def comparisons(curves: Sequence[Curve], anchor: str, metrics: Metrics) -> dict[tuple[str, str], Comparison]:
    """Every codec against the anchor, by codec and metric."""
    by_name = {curve.codec: curve for curve in curves}
    return {
        (curve.codec, metric.name): compare(by_name[anchor], curve, metric.name)
        for curve in curves
        if curve.codec != anchor
        for metric in metrics
    }


def bd_rates(found: dict[tuple[str, str], Comparison], metrics: Metrics) -> Table:
    """BD-rates in percent by codec and metric; a dash where the curves allow none."""
    codecs = list(dict.fromkeys(codec for codec, _ in found))
    rows = [["codec", *(metric.title for metric in metrics)]]
    return rows + [[codec, *(bd_cell(found[codec, m.name]) for m in metrics)] for codec in codecs]


def bd_cell(comparison: Comparison) -> str:
    """A rate with its interval, as -12.3 [-15.0, -9.1], or a dash."""
    if comparison.rate is None:
        return "-"
    rate = comparison.rate
    text = f"{rate.value:+.1f}"
    return text if math.isnan(rate.low) else f"{text} [{rate.low:+.1f}, {rate.high:+.1f}]"


def bd_remarks(found: dict[tuple[str, str], Comparison]) -> list[str]:
    """For each BD-rate the range it covers and the picture that fares worst; for each dash the reason."""
    lines = []
    for (codec, metric), comparison in found.items():
        title = EVERY_METRIC[metric].title
        if comparison.rate is None:
            lines.append(f"{codec}, {title}: no BD-rate, {comparison.reason}")
            continue
        low, high = (shown(value, metric) for value in comparison.covers)
        line = f"{codec}, {title}: over {low} to {high}"
        if comparison.worst_image:
            line += f"; worst picture {comparison.worst_image} ({comparison.worst_rate:+.1f} %)"
        lacking = comparison.pictures - comparison.per_image
        if lacking:
            have, own = ("has", "its") if lacking == 1 else ("have", "their")
            line += f"; {lacking} of {comparison.pictures} pictures {have} no BD-rate of {own} own and may be worse"
        lines.append(line)
    return lines


def as_text(table: Table) -> str:
    """Columns under their headings, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
