"""Plots of a study: Elo over rate with intervals, once for paper and once for dark screens."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pico_bench.codecs import PICO
from pico_bench.plots import looks
from pico_study.analysis import Analysis
from pico_study.tables import SIMULATED, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INSTALL = "pip install 'pillow-pico[study]'"
_TICKS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 4)
_INK = {"light": ("#1d2125", "#667079", "#e3e1dc"), "dark": ("#e9ecee", "#9aa5ad", "#2f363b")}


def missing_package() -> str | None:
    """Why there are no plots here, in one line; None if there are."""
    if importlib.util.find_spec("matplotlib") is None:
        return f"plots left out: the package matplotlib is not installed ({INSTALL})"
    return None


def draw(analysis: Analysis, folder: Path, simulated: bool) -> dict[str, Path]:
    """Write `elo.png` (white) and `elo-dark.png` (transparent), and return their paths by scheme."""
    paths = {}
    for scheme, name in (("light", "elo.png"), ("dark", "elo-dark.png")):
        paths[scheme] = folder / name
        _draw(analysis, paths[scheme], scheme, simulated)
    return paths


def _draw(analysis: Analysis, path: Path, scheme: str, simulated: bool) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    ink, soft, line = _INK[scheme]
    style: dict[Any, Any] = {
        **{"font.size": 10.5, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True},
        **{"grid.color": line, "axes.edgecolor": soft, "axes.labelcolor": ink, "text.color": ink},
        **{"xtick.color": soft, "ytick.color": soft, "axes.facecolor": "none"},
    }
    with mpl.rc_context(style):
        figure = Figure(
            figsize=(8.4, 5), layout="constrained", facecolor="white" if scheme == "light" else "none"
        )
        axes = figure.add_subplot()
        _curves(axes, analysis, ink)
        axes.set_xlabel("bits per pixel")
        axes.set_ylabel("Elo")
        axes.set_title(
            f"{analysis.title}: {size(analysis)}; bars: 95 % credible",
            fontsize=10,
            loc="left",
            color=soft,
        )
        axes.legend(frameon=False, loc="lower right")
        if simulated:
            stamp: dict[str, Any] = {
                "fontsize": 19,
                "alpha": 0.5,
                "color": "#c2410c" if scheme == "light" else "#fb923c",
                "weight": "bold",
            }
            axes.text(
                0.5, 0.5, SIMULATED.upper(), transform=axes.transAxes, ha="center", rotation=14, **stamp
            )
        figure.savefig(path, dpi=150, format="png")


def _curves(axes: Axes, analysis: Analysis, ink: str) -> None:
    codecs = list(dict.fromkeys(score.condition.codec for score in analysis.scores))
    styles = looks(codecs)
    for codec in codecs:
        for group in range(analysis.groups):
            found = [s for s in analysis.scores if s.condition.codec == codec and s.group == group]
            if not found:
                continue
            found.sort(key=lambda score: score.condition.bpp)
            style = {**styles[codec], **({"color": ink} if codec == PICO else {})}
            reach = [[s.elo - s.credible[0] for s in found], [s.credible[1] - s.elo for s in found]]
            label = codec if analysis.groups == 1 else f"{codec}, group {group + 1}"
            rates, values = [s.condition.bpp for s in found], [s.elo for s in found]
            axes.errorbar(rates, values, reach, label=label, capsize=3, elinewidth=1.1, **style)
    axes.set_xscale("log")
    axes.minorticks_off()
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
