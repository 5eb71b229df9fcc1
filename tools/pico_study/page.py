"""The results of a study as one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from pico_core import __version__
from pico_study import tables
from pico_study.analysis import Analysis, Results
from pico_study.answers import SCREENING
from pico_study.tables import SIMULATED, Table

_TEXT_COLUMNS = frozenset({"screening", "remark"})


def page(results: Results, plots: Sequence[Mapping[str, Path]], notes: Sequence[str]) -> str:
    """The page. `plots` are those of the analyses in their order, by colour scheme."""
    evidence = results.evidence
    title = evidence.settings.title
    pictures = tables.many(len(evidence.pictures), "picture")
    conditions = tables.many(len(evidence.conditions), "condition")
    stamp = f"<p class=stamp>{SIMULATED.capitalize()}. No person looked at these pictures.</p>"
    parts = [
        stamp if evidence.simulated else "",
        f"<h1>{escape(title)}</h1>",
        f"<p class=soft>Blind comparisons in pairs against the original; {pictures}, {conditions}. "
        f"Created {escape(evidence.created[:10])}.</p>",
        _hero(results),
    ]
    if results.passed is None:
        parts.append("<p><b>No rater passed the screening.</b> What follows is from raters who did not.</p>")
    for number, analysis in enumerate(tables.analyses(results)):
        parts += _analysis(results, analysis, plots[number] if number < len(plots) else {}, number)
    parts += [
        "<h2>Raters</h2>",
        f"<p>{escape(SCREENING)} Raters are never told. Repeats are pairs shown again with sides swapped; they count "
        "for nothing else. (!) marks a preference for one side that chance would make once in a thousand raters.</p>",
        _html(tables.raters(results)),
        _method(results, notes),
    ]
    source = (resources.files("pico_study") / "page.html").read_text("utf-8")
    return Template(source).substitute(title=escape(title), body="\n".join(parts))


def _hero(results: Results) -> str:
    main = results.passed or results.everyone
    cards = [
        (str(results.passed.raters if results.passed else 0), "raters passed the screening"),
        (str(results.everyone.raters - (results.passed.raters if results.passed else 0)), "raters flagged"),
        (f"{main.answers:,}", "comparisons"),
        (f"{100 * main.ties:.0f} %", "“no difference”"),
    ]
    made = "".join(
        f"<div class=card><div class=figure>{a}</div><div class=soft>{b}</div></div>" for a, b in cards
    )
    return f"<div class=hero>{made}</div>"


def _analysis(results: Results, analysis: Analysis, plots: Mapping[str, Path], number: int) -> list[str]:
    parts = [f"<h2>{escape(analysis.title.capitalize())}</h2><p class=soft>{tables.size(analysis)}.</p>"]
    if plots:
        parts.append(
            f'<div class="card plot"><picture><source media="(prefers-color-scheme: dark)" '
            f'srcset="{_data(plots["dark"])}"><img src="{_data(plots["light"])}" '
            'alt="Elo of every codec over bits per pixel; the numbers are in the table below"></picture></div>'
        )
    if analysis.savings:
        intro = "Difference of bits at equal Elo, over the range of Elo that both curves reach; negative needs fewer."
        told = "".join(f"<li>{escape(tables.headline(saving))}</li>" for saving in analysis.savings)
        parts += [f"<h3>BD-rate against {escape(results.anchor or '')}</h3><p>{intro}</p>"]
        parts += [_html(tables.savings(analysis)), f"<ul class=soft>{told}</ul>" if number == 0 else ""]
    parts += ["<h3>Elo</h3>", _html(tables.scores(analysis))]
    parts += [f"<p><b>Note.</b> {escape(note)}</p>" for note in analysis.notes]
    return parts


def _method(results: Results, notes: Sequence[str]) -> str:
    evidence, main = results.evidence, results.passed or results.everyone
    ties = f"weight of ties nu = {main.tie_weight:.2f}" if evidence.settings.ties else "ties were not offered"
    facts = [
        ("Model", f"{tables.MODEL}; {ties}"),
        (
            "Picture effects",
            "not modelled" if main.picture_spread is None else f"{main.picture_spread:.0f} Elo",
        ),
        (
            "Intervals",
            "95 % credible: of draws from the posterior, for these pictures. Over raters: percentile bootstrap, "
            "without picture effects",
        ),
        (
            "BD-rate",
            "package bjontegaard (PCHIP), over the pictures that all points have; none where less than half of the "
            "shorter curve is shared; intervals from draws of the posterior in which more bits give a higher Elo",
        ),
        ("Choice of pairs", "expected information under the posterior so far; one in five at random"),
        ("Rates", "of the whole coded file over the whole picture; a part of it is shown"),
        ("Pictures", ", ".join(evidence.pictures)),
        ("Command", evidence.command),
        ("Program", f"pico-study {__version__}"),
        *(("Left out", note) for note in notes),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts if text)
    return f"<h2>Method</h2><dl>{listed}</dl>"


def _html(table: Table) -> str:
    head = table[0]
    kinds = [' class="text"' if name in _TEXT_COLUMNS else "" for name in head]
    rows = []
    for row in table[1:]:
        flagged = " class=flagged" if head[1] == "screening" and row[1] != "passed" else ""
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        rows.append(f"<tr{flagged}>{cells}</tr>")
    titles = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, head, strict=True)
    )
    return f"<div class=wide><table><tr>{titles}</tr>{''.join(rows)}</table></div>"


def _data(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
