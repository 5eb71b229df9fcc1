"""A run as a section of a Markdown page: everything with a number in it is written here, never by hand."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pico_bench import tables
from pico_bench.codecs import PICO
from pico_bench.curves import Comparison, Curve, compare, missing_package
from pico_bench.plots import OVERVIEW, title_of
from pico_bench.rd import Run
from pico_bench.tables import Metrics, Table
from pico_core.errors import OptionError
from pico_metrics.catalogue import EVERY_METRIC

SHOWN_PLOTS = (OVERVIEW, "text_accuracy")  # on the page, the latter where every picture holds text
COPIED_PLOTS = (*SHOWN_PLOTS, "lpips_alex")
RATES = (0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)  # bits per pixel at which codecs are put in order
_OWN = frozenset({"tile_border", "tile_interior"})  # of .pico's tiles: nothing to compare with others


def section(
    run: Run, curves: Sequence[Curve], notes: Sequence[str], plots: Sequence[str], speed: str | None
) -> str:
    """The run in Markdown. `plots` are paths to pictures, relative to the page.

    Raises OptionError if .pico was not measured, or on no picture that all codecs have.
    """
    pico = next((curve for curve in curves if curve.codec == PICO), None)
    if pico is None:
        msg = f"the run has no curve of {PICO}; a page of evidence is about it"
        raise OptionError(msg)
    others = [curve for curve in curves if curve is not pico]
    every = tables.metrics_of([pico])
    shared = [metric for metric in tables.metrics_of(curves) if metric.name not in _OWN]
    parts = [
        " ".join(filter(None, _about(run, pico.images))),
        f"    {run.command}",
        *(f"![{title_of(Path(plot.rpartition('-')[2]))}]({plot})" for plot in plots),
        "**.pico at its qualities**, means over the pictures.",
        markdown(tables.means(pico, every)),
    ]
    if others:
        parts += _against(pico, others, shared)
        parts += [
            "**At equal bytes**: the value of .pico, its place among "
            f"{len(curves)} codecs or those that reach the rate, and the best of the others; the value alone where no "
            "other reaches it. Interpolated on the curves of the means.",
            markdown(at_equal_rate(curves, shared)),
        ]
    parts += ["**The worst picture** of .pico at each quality.", markdown(tables.worst(pico, shared))]
    if speed is not None:
        parts += ["**Time and memory**", "\n".join(f"    {line}".rstrip() for line in speed.splitlines())]
    parts += [_settings(run, notes)]
    return "\n\n".join(parts)


def put_section(page: Path, name: str, body: str) -> None:
    """Write a section between its marks in a page, or at its end; the rest of the page stays as it is."""
    first, last = (
        f"<!-- pico-bench {name}: begin, written by a command -->",
        f"<!-- pico-bench {name}: end -->",
    )
    text = page.read_text("utf-8") if page.exists() else ""
    before, found, rest = text.partition(first)
    _, ended, after = rest.partition(last)
    if found and not ended:
        msg = f"{page} has the line {first!r} but not {last!r}; add that where the section ends"
        raise OptionError(msg)
    if not found:
        before, after = f"{text.rstrip()}\n\n## {name}\n\n".lstrip(), "\n"
    unfinished = page.with_name(f"{page.name}.part")
    unfinished.write_text(f"{before}{first}\n\n{body}\n\n{last}{after}", "utf-8")
    unfinished.replace(page)


def copy_plots(drawn: Iterable[Path], page: Path, name: str, every_has_text: bool) -> list[str]:
    """Copy plots as PNG and SVG into a folder beside a page; return the paths from it of the PNGs that it shows."""
    folder = page.parent / page.stem
    links = []
    wanted = [stem for stem in COPIED_PLOTS if every_has_text or stem != "text_accuracy"]
    for plot in sorted(drawn, key=lambda path: path.stem != OVERVIEW):
        if plot.stem not in wanted:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"rd-{name}-{plot.stem}.svg"
        shutil.copyfile(plot, copy)
        with Image.open(plot.with_suffix(".png")) as picture:  # few colours: a third of the bytes
            picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(copy.with_suffix(".png"))
        if plot.stem in SHOWN_PLOTS:
            links.append(f"{page.stem}/rd-{name}-{plot.stem}.png")
    return links


def at_equal_rate(curves: Sequence[Curve], metrics: Metrics, rates: Sequence[float] = RATES) -> Table:
    """For each rate that .pico reaches: its value, its place, its nearest rival among codecs that reach it too."""
    rows = [["bits per pixel", *(metric.title for metric in metrics)]]
    for rate in rates:
        cells = [_place(curves, metric.name, rate) for metric in metrics]
        if any(cell != "-" for cell in cells):
            rows.append([f"{rate:g}", *cells])
    return rows


def value_at(curve: Curve, metric: str, rate: float) -> float:
    """The curve's value at a rate, between its points in the logarithm of the rate; NaN beyond them."""
    points = sorted(curve.points(metric))
    if len(points) < 2 or not points[0][0] <= rate <= points[-1][0]:
        return math.nan
    rates, values = zip(*points, strict=True)
    return float(np.interp(math.log(rate), np.log(rates), values))


def _place(curves: Sequence[Curve], metric: str, rate: float) -> str:
    found = {curve.codec: value_at(curve, metric, rate) for curve in curves}
    reached = {codec: value for codec, value in found.items() if not math.isnan(value)}
    if PICO not in reached:
        return "-"
    ordered = sorted(reached, key=lambda codec: EVERY_METRIC[metric].badness(reached[codec]))
    place = ordered.index(PICO)
    value = tables.shown(reached[PICO], metric)
    if len(ordered) == 1:
        return value
    rival = ordered[0] if place else ordered[1]
    return f"{value}, {place + 1} of {len(ordered)} ({rival} {tables.shown(reached[rival], metric)})"


def _against(pico: Curve, others: Sequence[Curve], metrics: Metrics) -> list[str]:
    unavailable = missing_package()
    if unavailable:
        return [unavailable]
    found = {(other.codec, m.name): compare(other, pico, m.name) for other in others for m in metrics}
    return [
        "**Bytes of .pico at equal score**, in percent of those of each codec: BD-rates with 95 % intervals over "
        "pictures; negative: .pico is smaller. A dash: the curves share too little, or one does not rise "
        "steadily.",
        markdown(tables.bd_rates(found, metrics)),
        "**Where .pico loses**",
        _losses(found, [pico, *others], metrics),
        '<details markdown="1"><summary>Ranges, worst pictures, reasons for dashes</summary>',
        "\n".join(f"- against {line}" for line in tables.bd_remarks(found)),
        "</details>",
    ]


def _losses(found: Mapping[tuple[str, str], Comparison], curves: Sequence[Curve], metrics: Metrics) -> str:
    """By metric: the codecs that need fewer bytes for sure, and those of which that cannot be told."""
    lines = []
    for metric in metrics:
        rated = {codec: c.rate for (codec, name), c in found.items() if name == metric.name and c.rate}
        sure = [f"{codec} ({rate.value:+.0f} %)" for codec, rate in rated.items() if rate.low > 0]
        open_ = [codec for codec, rate in rated.items() if rate.low <= 0 <= rate.high]
        wins = [codec for codec, rate in rated.items() if rate.high < 0]
        bare = [f"{codec} ({rate.value:+.0f} %)" for codec, rate in rated.items() if math.isnan(rate.low)]
        told = [f"more bytes than {', '.join(sure)}"] if sure else []
        told += [f"cannot be told from {', '.join(open_)}"] if open_ else []
        told += [f"fewer than {', '.join(wins)}"] if wins else []
        told += [f"no interval against {', '.join(bare)}"] if bare else []
        lines.append(f"- {metric.title}: {'; '.join(told) or _places(curves, metric.name)}")
    return "\n".join(lines)


def _places(curves: Sequence[Curve], metric: str) -> str:
    """What is known where no curve allows a BD-rate."""
    cells = {rate: _place(curves, metric, rate) for rate in RATES}
    told = [
        f"{cell.split(' (')[0].split(', ')[1]} at {rate:g}" for rate, cell in cells.items() if ", " in cell
    ]
    return f"no BD-rate; at equal bytes {', '.join(told)} bits per pixel" if told else "no comparison"


def _about(run: Run, images: Sequence[str]) -> list[str]:
    """Sentences on the pictures and the machine."""
    return [f"{len(images)} pictures: {', '.join(images)}.", run.text_remark, f"Measured on {run.machine}."]


def _settings(run: Run, notes: Sequence[str]) -> str:
    lines = ['<details markdown="1"><summary>Settings, versions, and what was left out</summary>', ""]
    for name, identity in run.settings.items():
        lines.append(
            f"- {name}: {', '.join(f'{key} {value}' for key, value in identity.items() if key != 'codec')}"
        )
    lines += [f"- {line}" for line in (*run.failures, *run.notes, *notes)]
    return "\n".join([*lines, "", "</details>"])


def markdown(table: Table) -> str:
    """A table in Markdown: the first column to the left, the others to the right."""
    head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in table]
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
