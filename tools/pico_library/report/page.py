"""A report as one web page that needs nothing else: no network, no other file."""

from __future__ import annotations

import html
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from pico_core import __version__
from pico_library.console import plural, printable
from pico_library.model.records import Record
from pico_library.report.accounts import whereabouts
from pico_library.report.comparison import Comparison, compare_worst_place
from pico_library.report.facts import Report, grouped
from pico_library.report.table import share, size
from pico_library.report.words import in_words, look_in_words, worst_in_words

MOST_COMPARISONS = 8
MOST_FILES = 200  # listed below a reason
MOST_UNFOLDED = 10  # shown at once below the reason of a failure
_BINS = 20
_BEGINNING = (
    b'<!doctype html>\n<html lang="en">\n<head>\n<meta name="generator" content="pico-library report">'
)
_NOTHING = """<section class="card empty"><b>Nothing has been shrunk yet.</b>
<div class="soft">Begin with <code>pico-library shrink FOLDER</code>; it leaves every original where it is.</div>
</section>"""


def page(report: Report) -> str:
    """The page, as HTML. Reads the originals and .pico files of the photos that it compares."""
    title = f"Run {report.run.number} of pico-library" if report.run else "What pico-library did"
    parts = [_totals(report) if report.records else _NOTHING]
    if report.saved:
        found = (compare_worst_place(one) for one in report.worst(2 * MOST_COMPARISONS))
        comparisons = itertools.islice((one for one in found if one is not None), MOST_COMPARISONS)
        parts += [_histograms(report), _comparisons(list(comparisons))]
    if report.skipped or report.failed:
        parts.append(_left_alone(report))
    template = Template(files("pico_library.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=title,
        subtitle=_subtitle(report),
        body="\n".join(parts),
        footer=f"pico-library {__version__}, {time.strftime('%Y-%m-%d %H:%M')}. Sizes in units of 1000.",
    )


def is_page(file: Path) -> bool:
    """Whether a file is what `page` made, or still empty. Raises OSError."""
    with file.open("rb") as stream:
        beginning = stream.read(len(_BEGINNING))
    return beginning in (b"", _BEGINNING)


def _subtitle(report: Report) -> str:
    if report.run is None:
        count = len({record.path for record in report.records})
        return f"All {plural(count, 'file')} that the journal knows" if count else "The journal knows no file"
    run = report.run
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
    return f"{_text(', '.join(map(str, run.roots)))} &middot; started {started} &middot; {_text(run.state)}"


def _totals(report: Report) -> str:
    account = report.account
    skipped = size(sum(one.before or 0 for one in report.skipped))
    left_alone = f"{_noun(report.skipped, 'file')} left alone, {skipped}"
    part = 100 * report.after / max(report.before, 1)
    originals = _text(whereabouts(account))
    reasons = (
        f"{plural(len(report.by_reason()), 'reason')}, listed below" if report.skipped else "nothing to name"
    )
    failed = f'<div class="failed">{len(report.failed):,} failed</div>' if report.failed else ""
    return f"""<section class="hero">
<div class="card main"><div class="figure">{share(report.before, report.after)}</div><div>smaller</div>
<div class="meter" role="img" aria-label="{part:.0f} % remain"><i style="width:{part:.2f}%"></i></div>
<div class="soft">originals {size(report.before)}, .pico files {size(report.after)}</div>
<div class="soft">{_text(account.what_is_free()) if report.saved else ""}</div></div>
<div class="card"><div class="figure">{len(report.saved):,}</div><div>{_noun(report.saved, "photo")} shrunk</div>
<div class="soft">originals: {originals}</div></div>
<div class="card"><div class="figure">{len(report.skipped):,}</div><div>{left_alone}</div>
<div class="soft">{reasons}</div>{failed}</div>
<div class="card"><div class="figure">{_median_score(report.saved)}</div><div>median score of the worst place</div>
<div class="soft">{_about_scores(report.saved)}</div></div>
</section>"""


def _noun(things: Sequence[Record], one: str) -> str:
    return one if len(things) == 1 else f"{one}s"


def _median_score(saved: Sequence[Record]) -> str:
    scores = _scores(saved)
    return f"{statistics.median(scores):.0f}" if scores else "&ndash;"


def _about_scores(saved: Sequence[Record]) -> str:
    """What the scale means, and how many photos were not judged by it."""
    without = len(saved) - len(_scores(saved))
    earlier = f"; {plural(without, 'photo')} without one, shrunk by an earlier version" if without else ""
    return f"SSIMULACRA2: 100 is equal, from 60 on a difference is hardly visible{earlier}"


def _scores(saved: Sequence[Record]) -> list[float]:
    return [record.similarity for record in saved if record.similarity is not None]


def _histograms(report: Report) -> str:
    savings = [1 - (one.after or 0) / max(one.before or 1, 1) for one in report.saved]
    charts: list[tuple[str, list[float], float, Callable[[float], str]]] = [
        ("Saving per photo", savings, 1.0, lambda x: f"{100 * x:.0f} %"),
        ("Score of the worst place", _scores(report.saved), 100.0, lambda x: f"{x:.0f}"),
    ]
    cards = "".join(
        f'<div><h2>{name}</h2><div class="card">{_histogram(name, values, most, label)}</div></div>'
        for name, values, most, label in charts
    )
    return f'<section class="two">{cards}</section>'


def _histogram(name: str, values: Sequence[float], highest: float, label: Callable[[float], str]) -> str:
    """Photos by value, from 0 to `highest`, as SVG."""
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, max(0, int(_BINS * value / highest)))] += 1
    most = max([1, *counts])
    width, height, left = 460, 150, 44
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
        f'<svg viewBox="0 0 {width} {height + 24}" role="img" aria-label="{name}: {_in_words(values, label)}">'
        f'<line x1="{left}" x2="{width}" y1="{height}" y2="{height}"/>'
        f'<text x="{left - 6}" y="18" text-anchor="end">{most:,}</text>'
        f'<text x="{left - 6}" y="{height}" text-anchor="end">0</text>{"".join(bars)}{"".join(ticks)}</svg>'
    )


def _in_words(values: Sequence[float], label: Callable[[float], str]) -> str:
    """What a histogram shows, for those who do not see it."""
    if not values:
        return "no photo has one"
    low, middle, high = (label(value) for value in (min(values), statistics.median(values), max(values)))
    return f"{plural(len(values), 'photo')} from {low} to {high}, half of them below {middle}"


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return """<h2>The photos that changed most</h2>
<p class="soft">They cannot be shown: no original is as it was where the journal says, or none has a score.</p>"""
    figures = "\n".join(map(_comparison, comparisons))
    return f"""<h2>The photos that changed most</h2>
<p class="soft">Each at full size, at the place where it differs most. Move the line: the original is to its left, the
.pico file to its right.</p>
<section class="pairs">{figures}</section>"""


def _comparison(one: Comparison) -> str:
    record = one.record
    quality = f", quality {record.quality}" if record.quality is not None else ""
    sizes = f"{size(record.before or 0)} to {size(record.after or 0)}"
    name, folder = _text(record.path.name), _text(str(record.path.parent))
    look = "; ".join(filter(None, (look_in_words(record), worst_in_words(record))))
    return f"""<figure class="card pair"><div class="slider">
<img src="{one.before}" width="{one.width}" height="{one.height}" alt="{name}, original">
<div class="after"><img src="{one.after}" width="{one.width}" height="{one.height}" alt="{name}, .pico file"></div>
<span class="tag left">original</span><span class="tag right">.pico</span>
<input type="range" min="0" max="100" value="50" aria-label="Original and .pico file of {name}"></div>
<figcaption><b>{name}</b>
<span class="soft">{_text(look)}</span>
<span class="soft">{sizes}{quality}</span>
<span class="soft folder">{folder}</span></figcaption></figure>"""


def _left_alone(report: Report) -> str:
    parts = []
    if report.failed:
        parts.append(f'<h2 class="failed">Failed</h2>{_groups(grouped(report.failed), unfolded=True)}')
    if report.skipped:
        parts.append(f"<h2>Left alone</h2>{_groups(report.by_reason())}")
    return "\n".join(parts)


def _groups(groups: Mapping[str, Sequence[Record]], *, unfolded: bool = False) -> str:
    """Files by the reason; those of a reason are folded away, or `unfolded` where they are few enough to be read."""
    rows = []
    for reason, records in groups.items():
        items = "".join(f"<li>{_text(_with_worst_place(record))}</li>" for record in records[:MOST_FILES])
        if len(records) > MOST_FILES:
            items += f"<li>... and {len(records) - MOST_FILES:,} more</li>"
        state = " open" if unfolded and len(records) <= MOST_UNFOLDED else ""
        rows.append(
            f'<details{state}><summary><span class="count">{len(records):,}</span>'
            f'<span class="reason">{_text(in_words(reason))}</span></summary><ul>{items}</ul></details>'
        )
    return f'<div class="card">{"".join(rows)}</div>'


def _with_worst_place(record: Record) -> str:
    """The name of a file that was left alone; if that was for its look, with what differs and where."""
    worst = worst_in_words(record)
    return f"{record.path}: {worst}" if worst else str(record.path)


def _text(text: str) -> str:
    return html.escape(printable(text))
