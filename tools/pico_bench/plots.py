"""Plots of rate and distortion as PNG and SVG. Up is better in all of them, whatever the metric's direction."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pico_bench.codecs import INSTALL, PICO, PILLOW_CODECS
from pico_bench.commands import VvcCodec
from pico_bench.curves import Curve
from pico_bench.mozjpeg import MozjpegCodec
from pico_metrics.catalogue import EVERY_METRIC, Metric, TextMetric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERVIEW = "overview"
_OVERVIEW_METRICS = ("lpips_alex", "lpips_squeeze", "patch_distance", "ssimulacra2", "ms_ssim", "psnr")
_COLOURS = (
    *("#009e73", "#7f7f7f", "#cc79a7", "#d55e00", "#0072b2", "#e69f00"),  # in the order of PILLOW_CODECS
    *("#8c564b", "#56b4e9", "#9467bd", "#b5bd00", "#c44e52"),  # VVC, mozjpeg, then what the user adds
)
_MARKERS = "Ds^ov*XPh<>"
_PICO_COLOUR = "#111111"
_TICKS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 4)
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "svg.fonttype": "path",
    "svg.hashsalt": "pico-bench",
}


def missing_package() -> str | None:
    """Why there are no plots here, in one line; None if there are."""
    if importlib.util.find_spec("matplotlib") is None:
        return f"plots left out: the package matplotlib is not installed ({INSTALL})"
    return None


def draw(curves: Sequence[Curve], metrics: Sequence[Metric | TextMetric], folder: Path) -> list[Path]:
    """Write an overview and one plot for each metric, each as PNG and SVG, and return the paths of the SVGs."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        figures = {OVERVIEW: _overview(curves, [m for m in metrics if m.name in _OVERVIEW_METRICS])}
        figures |= {metric.name: _single(curves, metric) for metric in metrics}
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            figure.savefig(folder / f"{name}.png", dpi=150)
    return [folder / f"{name}.svg" for name in figures]


def _overview(curves: Sequence[Curve], metrics: Sequence[Metric | TextMetric]) -> Figure:
    from matplotlib.figure import Figure

    columns = min(3, max(1, len(metrics)))
    rows = max(1, -(-len(metrics) // columns))
    figure = Figure(figsize=(4.2 * columns, 3.5 * rows + 0.6), layout="constrained")
    ordered = sorted(metrics, key=lambda metric: _OVERVIEW_METRICS.index(metric.name))
    for number, metric in enumerate(ordered):
        _plot(figure.add_subplot(rows, columns, number + 1), curves, metric)
    _legend(figure, curves)
    return figure


def _single(curves: Sequence[Curve], metric: Metric | TextMetric) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    _plot(figure.add_subplot(), curves, metric)
    _legend(figure, curves)
    return figure


def _plot(axes: Axes, curves: Sequence[Curve], metric: Metric | TextMetric) -> None:
    styles = looks([curve.codec for curve in curves])
    for curve in curves:
        points = curve.points(metric.name)
        if points:
            rates, values = zip(*points, strict=True)
            axes.plot(rates, values, label=curve.codec, **styles[curve.codec])
    axes.set_xscale("log")
    axes.minorticks_off()
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    if metric.name == "patch_distance":
        axes.set_yscale("symlog", linthresh=1)
        reached = [value for curve in curves for _, value in curve.points(metric.name)]
        axes.set_ylim(min(*reached, 1) - 0.2, 1.3 * max(*reached, 1))
        axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    if metric.target is not None:
        axes.axhline(metric.target, color="#999999", linewidth=0.8, zorder=0)
    elif not metric.higher_is_better:
        axes.invert_yaxis()
    axes.set_xlabel("bits per pixel")
    unit = f" in {metric.unit}" if metric.unit else ""
    direction = "" if metric.higher_is_better else " (axis reversed: lower is better)"
    if metric.target is not None:
        direction = f" ({metric.direction})"
    axes.set_title(f"{metric.title}{unit}{direction}", fontsize=10, loc="left")


def looks(codecs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Lines and markers by codec. Those that come with the project look the same in every plot."""
    known = [*(codec.name for codec in PILLOW_CODECS.values()), VvcCodec.name, MozjpegCodec.name]
    others = [codec for codec in codecs if codec not in known and codec != PICO]
    looks: dict[str, dict[str, Any]] = {
        PICO: {"color": _PICO_COLOUR, "marker": "o", "linewidth": 2.6, "markersize": 5.5, "zorder": 3}
    }
    for number, codec in enumerate([*known, *others]):
        at = number % len(_COLOURS)
        looks[codec] = {"color": _COLOURS[at], "marker": _MARKERS[at], "linewidth": 1.4, "markersize": 4.5}
    return looks


def _legend(figure: Figure, curves: Sequence[Curve]) -> None:
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper center",
        ncols=max(1, min(int(figure.get_figwidth() / 1.45), len(found))),
        frameon=False,
    )
    count = len(curves[0].images) if curves else 0
    note = f"mean of {count} picture{'s' if count != 1 else ''}; up is better where no value is named"
    figure.supxlabel(note, x=0.995, ha="right", fontsize=8, color="#666666")


def title_of(path: Path) -> str:
    """What a plot shows, for people who cannot see it."""
    metric = EVERY_METRIC.get(path.stem)
    return "Rate and distortion, overview" if metric is None else f"Rate and {metric.title}"
