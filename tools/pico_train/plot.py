"""Curves of runs, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pico_core.errors import OptionError

from .files import replace_with
from .run_log import read_log

_PANELS = (
    ("loss", "loss"),
    ("bpp", "bits per pixel (estimated)"),
    ("psnr", "PSNR of the mean error, dB"),
    ("lpips", "LPIPS-Squeeze (a loss)"),
    ("lpips_2", "LPIPS-Squeeze at half the size"),
    ("lpips_4", "LPIPS-Squeeze at a quarter of the size"),
    ("resnet", "ResNetLoss"),
    ("resnet_2", "ResNetLoss at half the size"),
    ("tiling_artifact", "TilingArtifactLoss"),
    ("grid_artifact", "GridArtifactLoss"),
    ("text_fidelity", "TextFidelityLoss"),
    ("discriminator", "discriminator's loss"),
    ("gradient", "norm of the gradient"),
)


def load_pyplot() -> Any:
    """matplotlib.pyplot, drawing to files only. Raises OptionError if it is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        msg = f"drawing needs matplotlib ({error}); install it with: pip install 'pillow-pico[train]'"
        raise OptionError(msg) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    return pyplot


def plot_runs(runs: Sequence[Path], out: Path) -> None:
    """Draw what the logs of runs hold, a panel for each quantity. Raises OptionError if they hold nothing yet."""
    pyplot = load_pyplot()
    names = [run.name for run in runs]
    labels = [str(run) if names.count(run.name) > 1 else run.name for run in runs]
    logs = {
        label: [row for row in read_log(run) if "loss" in row]
        for label, run in zip(labels, runs, strict=True)
    }
    if not any(logs.values()):
        msg = f"{', '.join(map(str, runs))}: nothing is logged yet; curves begin with engine.log_every steps"
        raise OptionError(msg)
    panels = [p for p in _PANELS if any(p[0] in row for rows in logs.values() for row in rows)]
    figure, axes = pyplot.subplots(
        -(-len(panels) // 2), 2, figsize=(11, 2.6 * -(-len(panels) // 2)), squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (name, title) in zip(axes.flat, panels, strict=False):
        for run, rows in logs.items():
            points = [(row["step"], row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True) if points else ((), ()), label=run, linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    save_figure(figure, out)


def save_figure(figure: Any, out: Path) -> None:
    """Write a figure as PNG and forget it."""
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_with(out, lambda file: figure.savefig(file, format="png", dpi=110))
    load_pyplot().close(figure)
