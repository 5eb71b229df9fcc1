"""One HTML page with everything a run found: it needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from pico_bench import tables
from pico_bench.codecs import PICO
from pico_bench.curves import Comparison, Curve, missing_package
from pico_bench.machine import describe
from pico_bench.plots import OVERVIEW, title_of
from pico_bench.rd import Run
from pico_bench.tables import Table

TRAINING_LOSS = "lpips_squeeze"
_FLATTERED = (
    "LPIPS (Squeeze) was a loss that .pico was trained with and flatters it; patch distance looks through the same "
    "network. Squared error, MS-SSIM, block means and L1 in text were losses too. LPIPS (Alex), SSIMULACRA2, the "
    "reading of text and the eye had no part in the training."
)
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 1120px; padding: 24px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 40px 0 8px; }
h3 { margin: 24px 0 6px; }
p, ul { max-width: 76ch; } .quiet { color: #5a5a5a; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 8px; vertical-align: top; text-align: right; white-space: nowrap; }
th, td { border-bottom: 1px solid #e2e2e2; }
td small { color: #5a5a5a; font-weight: 400; font-size: 11px; }
th { color: #444; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tr.ours td { font-weight: 600; background: #f4f7fb; }
img { max-width: 100%; height: auto; display: block; margin: 8px 0; }
.overview { min-width: 760px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 12px; }
pre { background: #f6f6f6; padding: 12px; overflow-x: auto; font-size: 12px; line-height: 1.35; }
details > summary { cursor: pointer; margin: 8px 0; }
"""


def page(
    run: Run,
    curves: Sequence[Curve],
    notes: Sequence[str],
    anchor: str | None,
    plots: Sequence[Path],
    sheets: Sequence[Path],
    speed: str | None = None,
) -> str:
    """The report as HTML. `plots` are SVG files, `sheets` of crops PNG files."""
    metrics = tables.metrics_of(curves)
    count = len(curves[0].images) if curves else 0
    found = (
        tables.comparisons(curves, anchor, metrics) if anchor is not None and not missing_package() else {}
    )
    parts = [
        f"<h1>Rate and distortion of {escape(_listed([curve.codec for curve in curves]))}</h1>",
        f"<p class=quiet>{count} pictures, {escape(run.machine or describe())}. {escape(run.text_remark)}</p>",
        _command(run.command),
        *_bd_section(found, anchor, metrics),
        *_plot_section(plots),
        *_crop_section(sheets),
        *_number_section(curves, metrics),
        *_worst_section(curves, metrics),
        *_speed_section(speed),
        *_setup_section(run, notes),
    ]
    title = "pico-bench report"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _bd_section(
    found: Mapping[tuple[str, str], Comparison], anchor: str | None, metrics: tables.Metrics
) -> list[str]:
    if not found:
        return []
    name = escape(anchor or "")
    flattered = any(codec == PICO for codec, _ in found) and any(m.name == TRAINING_LOSS for m in metrics)
    remarks = _list(tables.bd_remarks(dict(found)))
    return [
        f"<h2>BD-rate against {name}</h2>",
        f"<p>Difference of the number of bytes at equal values of a metric, in percent of {name}: negative needs "
        "fewer. In brackets the 95 % interval over pictures. A dash stands where the curves share less "
        "than half of the shorter one, or one of them does not rise steadily: nothing is extrapolated.</p>",
        *([f"<p>{_FLATTERED}</p>"] if flattered else []),
        _html(tables.bd_rates(dict(found), metrics)),
        f"<details><summary>Ranges, worst pictures and reasons for dashes</summary>{remarks}</details>",
    ]


def _plot_section(plots: Sequence[Path]) -> list[str]:
    if not plots:
        return []
    first = [
        f"<div class=wide><div class=overview>{_image(path, 'svg+xml', title_of(path))}</div></div>"
        for path in plots
        if path.stem == OVERVIEW
    ]
    rest = "".join(_image(path, "svg+xml", title_of(path)) for path in plots if path.stem != OVERVIEW)
    summary = "<summary>Every metric in a plot of its own</summary>"
    single = f"<details>{summary}<div class=plots>{rest}</div></details>"
    return ["<h2>Curves</h2>", *first, single]


def _crop_section(sheets: Sequence[Path]) -> list[str]:
    if not sheets:
        return []
    intro = (
        "<p>The same part of a picture at nearly the same number of bytes. Unless a part was asked for, it is where "
        "the first codec is worst by LPIPS (Alex).</p>"
    )
    images = [
        f"<h3>{escape(path.stem)}</h3>{_image(path, 'png', f'crops of {path.stem}')}" for path in sheets
    ]
    return ["<h2>Crops</h2>", intro, *images]


def _number_section(curves: Sequence[Curve], metrics: tables.Metrics) -> list[str]:
    parts = ["<h2>Numbers</h2>", "<p>Means over pictures, with 95 % intervals.</p>"]
    for curve in curves:
        parts.append(f"<h3>{escape(curve.codec)}</h3>{_html(tables.means(curve, metrics, intervals=True))}")
    return parts


def _worst_section(curves: Sequence[Curve], metrics: tables.Metrics) -> list[str]:
    parts = ["<h2>Worst pictures</h2>", "<p>At each quality, the picture with the worst value.</p>"]
    for curve in curves:
        table = _html(tables.worst(curve, metrics))
        opened = " open" if curve.codec == PICO else ""
        parts.append(f"<details{opened}><summary>{escape(curve.codec)}</summary>{table}</details>")
    return parts


def _speed_section(speed: str | None) -> list[str]:
    return [] if speed is None else ["<h2>Time and memory</h2>", f"<pre>{escape(speed)}</pre>"]


def _setup_section(run: Run, notes: Sequence[str]) -> list[str]:
    rows = [["codec", "settings and versions (at the lowest quality)"]]
    for name, identity in run.settings.items():
        told = ", ".join(f"{key} {value}" for key, value in identity.items() if key != "codec")
        rows.append([name, told])
    parts = ["<h2>How it was measured</h2>", _html(rows, wrap=True)]
    everything = [*run.failures, *run.notes, *notes]
    return [*parts, "<h3>Left out</h3>", _list(everything)] if everything else parts


def _command(command: str) -> str:
    return f"<pre>{escape(command)}</pre>" if command else ""


def _html(table: Table, wrap: bool = False) -> str:
    style = ' style="white-space: normal; text-align: left"' if wrap else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table[0])
    rows = []
    for row in table[1:]:
        kind = " class=ours" if row[0] == PICO else ""
        cells = "".join(f"<td{style}>{_cell(cell)}</td>" for cell in row)
        rows.append(f"<tr{kind}>{cells}</tr>")
    return f"<div class=wide><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _cell(text: str) -> str:
    """A cell's text, an interval in brackets under its value."""
    value, bracket, interval = text.partition(" [")
    return escape(value) + (f"<br><small>[{escape(interval)}</small>" if bracket else "")


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _image(path: Path, kind: str, alternative: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(alternative)}" src="data:image/{kind};base64,{data}">'


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"
