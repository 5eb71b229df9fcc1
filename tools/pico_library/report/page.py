"""A report as one web page that needs nothing else: no network, no other file."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from pico_core import __version__
from pico_library.console import plural, printable
from pico_library.journal import Original, Record
from pico_library.report.comparison import Comparison, compare_worst_place
from pico_library.report.facts import Report
from pico_library.table import share, size

MOST_COMPARISONS = 8
MOST_FILES = 200  # listed below a reason
_BINS = 20
_ORIGINALS = {
    Original.KEPT: "in place",
    Original.LEAVING: "on the way",
    Original.TRASHED: "in the Trash",
    Original.ARCHIVED: "in an archive",
    Original.DELETED: "removed for good",
}


def page(report: Report) -> str:
    """The page, as HTML. Reads the originals and .pico files of the photos that it compares."""
    title = f"Run {report.run.number} of pico-library" if report.run else "What pico-library saved"
    parts = [_totals(report)]
    if report.saved:
        parts.append(_histograms(report))
    comparisons = [found for one in report.worst(2 * MOST_COMPARISONS) if (found := compare_worst_place(one))]
    if comparisons:
        parts.append(_comparisons(comparisons[:MOST_COMPARISONS]))
    if report.skipped or report.failed:
        parts.append(_left_alone(report))
    template = Template(files("pico_library.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=title,
        subtitle=_subtitle(report),
        body="\n".join(parts),
        footer=f"pico-library {__version__}, {time.strftime('%Y-%m-%d %H:%M')}. Sizes in units of 1000.",
    )


def _subtitle(report: Report) -> str:
    if report.run is None:
        return f"All {plural(len(report.records), 'file')} that the journal knows"
    run = report.run
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
    return f"{_text(', '.join(map(str, run.roots)))} &middot; started {started} &middot; {_text(run.state)}"


def _totals(report: Report) -> str:
    saved = report.before - report.after
    part = 100 * report.after / max(report.before, 1)
    where: dict[Original, int] = {}
    for record in report.saved:
        where[record.original] = where.get(record.original, 0) + 1
    originals = ", ".join(f"{count:,} {_ORIGINALS[place]}" for place, count in where.items()) or "none"
    failed = (
        f'<span class="failed">{plural(len(report.failed), "failure")}</span>'
        if report.failed
        else "no failures"
    )
    return f"""<section class="hero">
<div class="card main"><div class="figure">{size(saved)}</div><div>saved, {share(report.before, report.after)}</div>
<div class="meter" role="img" aria-label="{part:.0f} % remain"><i style="width:{part:.2f}%"></i></div>
<div class="soft">{size(report.before)} became {size(report.after)}</div></div>
<div class="card"><div class="figure">{len(report.saved):,}</div><div>photos shrunk</div>
<div class="soft">originals: {originals}</div></div>
<div class="card"><div class="figure">{len(report.skipped):,}</div><div>files left alone</div>
<div class="soft">{plural(len(report.by_reason()), "reason")}, listed below</div></div>
<div class="card"><div class="figure">{_median_score(report.saved)}</div><div>median score</div>
<div class="soft">LPIPS of the worst crop, lower is better; {failed}</div></div>
</section>"""


def _median_score(saved: Sequence[Record]) -> str:
    scores = sorted(record.score for record in saved if record.score is not None)
    return f"{scores[len(scores) // 2]:.3f}" if scores else "&ndash;"


def _histograms(report: Report) -> str:
    savings = [1 - (one.after or 0) / max(one.before or 1, 1) for one in report.saved]
    scores = [one.score for one in report.saved if one.score is not None]
    highest = max([0.1, *scores])
    charts = [
        ("Saving per photo", _histogram(savings, 1.0, lambda x: f"{100 * x:.0f} %")),
        ("Score of the worst crop", _histogram(scores, highest, lambda x: f"{x:.2f}")),
    ]
    cards = "".join(f'<div><h2>{name}</h2><div class="card">{chart}</div></div>' for name, chart in charts)
    return f'<section class="two">{cards}</section>'


def _histogram(values: Sequence[float], highest: float, label: Callable[[float], str]) -> str:
    """Photos by value, from 0 to `highest`, as SVG."""
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, max(0, int(_BINS * value / highest)))] += 1
    most = max([1, *counts])
    width, height, left = 460, 150, 34
    step = (width - left) / _BINS
    bars = []
    for number, count in enumerate(counts):
        high = (height - 10) * count / most
        low, up = (label(highest * n / _BINS) for n in (number, number + 1))
        bars.append(
            f'<rect x="{left + number * step + 1:.1f}" y="{height - high:.1f}" width="{step - 2:.1f}" '
            f'height="{high:.1f}" rx="2"><title>{low} to {up}: {plural(count, "photo")}</title></rect>'
        )
    ticks = [
        f'<text x="{left + (width - left) * n / 4:.0f}" y="{height + 18}" '
        f'text-anchor="{"start" if n == 0 else "end" if n == 4 else "middle"}">{label(highest * n / 4)}</text>'
        for n in range(5)
    ]
    return (
        f'<svg viewBox="0 0 {width} {height + 24}" role="img">'
        f'<line x1="{left}" x2="{width}" y1="{height}" y2="{height}"/>'
        f'<text x="{left - 6}" y="18" text-anchor="end">{most:,}</text>'
        f'<text x="{left - 6}" y="{height}" text-anchor="end">0</text>{"".join(bars)}{"".join(ticks)}</svg>'
    )


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    figures = "\n".join(map(_comparison, comparisons))
    return f"""<h2>The photos that changed most</h2>
<p class="soft">Each at full size, at the place where it differs most. Move the line: the original is to its left, the
.pico file to its right.</p>
<section class="pairs">{figures}</section>"""


def _comparison(one: Comparison) -> str:
    record = one.record
    quality = f", quality {record.quality}" if record.quality is not None else ""
    sizes = f"{size(record.before or 0)} to {size(record.after or 0)}"
    name = _text(record.path.name)
    return f"""<figure class="card pair"><div class="slider">
<img src="{one.before}" width="{one.width}" height="{one.height}" alt="{name}, original">
<div class="after"><img src="{one.after}" width="{one.width}" height="{one.height}" alt="{name}, .pico file"></div>
<span class="tag left">original</span><span class="tag right">.pico</span>
<input type="range" min="0" max="100" value="50" aria-label="Original and .pico file of {name}"></div>
<figcaption><b title="{_text(str(record.path))}">{name}</b>
<span class="soft">score {record.score or 0:.3f}, {sizes}{quality}</span></figcaption></figure>"""


def _left_alone(report: Report) -> str:
    groups = [_group(reason, paths) for reason, paths in report.by_reason().items()]
    parts = []
    if report.failed:
        failures: dict[str, list[Path]] = {}
        for record in report.failed:
            failures.setdefault(record.reason or "failed", []).append(record.path)
        rows = "".join(_group(reason, paths) for reason, paths in failures.items())
        parts.append(f'<h2 class="failed">Failed</h2><div class="card">{rows}</div>')
    if groups:
        parts.append(f'<h2>Left alone</h2><div class="card">{"".join(groups)}</div>')
    return "\n".join(parts)


def _group(reason: str, paths: Sequence[Path]) -> str:
    items = "".join(f"<li>{_text(str(path))}</li>" for path in paths[:MOST_FILES])
    if len(paths) > MOST_FILES:
        items += f"<li>... and {len(paths) - MOST_FILES:,} more</li>"
    return (
        f'<details><summary><span class="count">{len(paths):,}</span><span>{_text(reason)}</span></summary>'
        f"<ul>{items}</ul></details>"
    )


def _text(text: str) -> str:
    return html.escape(printable(text))
