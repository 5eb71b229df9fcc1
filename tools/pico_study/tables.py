"""Results as text tables, CSV files and JSON. Whatever holds simulated raters says so in each of them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from pico_bench.tables import as_text
from pico_study.analysis import Analysis, Bounds, Results, Saving
from pico_study.answers import SCREENING, Rater
from pico_study.bradley_terry import PRIOR_SPREAD

SIMULATED = "simulated raters: not evidence"
MODEL = (
    "Bradley-Terry with Davidson's ties; normal prior on strengths (standard deviation "
    f"{PRIOR_SPREAD:g}, natural units) and on log nu (mean 0, standard deviation 1.5); Elo is the "
    "posterior's mode, credible intervals are quantiles of draws from it (elliptical slice sampling); "
    "Elo = 400 / ln 10 x strength, mean 0 over the conditions"
)

Table = list[list[str]]


def interval(bounds: Bounds, digits: int = 0) -> str:
    """`-12 to 30`, or a dash where there is none."""
    return "-" if math.isnan(bounds[0]) else " to ".join(f"{value:.{digits}f}" for value in bounds)


def scores(analysis: Analysis) -> Table:
    """Elo by condition, best first."""
    table = [["condition", "bits per pixel", "Elo", "95 % credible", "95 % over raters", "answers"]]
    if analysis.groups > 1:
        table[0].append("group")
    for score in sorted(analysis.scores, key=lambda score: (score.group, -score.elo)):
        row = [
            score.condition.name,
            f"{score.condition.bpp:.3f}",
            f"{score.elo:.0f}",
            interval(score.credible),
        ]
        row += [interval(score.over_raters), str(score.answers)]
        table.append([*row, str(score.group + 1)] if analysis.groups > 1 else row)
    return table


def savings(analysis: Analysis) -> Table:
    """BD-rate by codec."""
    table = [["codec", "BD-rate %", "95 % credible", "95 % over raters", "Elo covered", "remark"]]
    for saving in analysis.savings:
        rate = "-" if saving.rate is None else f"{saving.rate:+.1f}"
        row = [saving.codec, rate, interval(saving.credible, 1), interval(saving.over_raters, 1)]
        table.append([*row, interval(saving.covers), saving.reason or saving.remark])
    return table if any(row[-1] for row in table[1:]) else [row[:-1] for row in table]


def raters(results: Results) -> Table:
    """Screening and habits of every rater."""
    head = [
        "rater",
        "screening",
        "colour plates",
        "artefact check",
        "comparisons",
        "repeats alike",
        "opposite",
    ]
    table = [[*head, "agrees with Elo", "no difference", "answers A", "median s"]]
    for rater in results.evidence.raters:
        alike, opposite, repeats = rater.repeats()
        bias, chance = rater.side_bias()
        lopsided = " (!)" if chance < 0.001 else ""
        row = [str(rater.number), screening(rater), f"{rater.plates_read}/{rater.plates}"]
        row += [f"{rater.checks_found}/{rater.checks}", str(len(rater.comparisons))]
        row += [f"{alike}/{repeats}", f"{opposite}/{repeats}"]
        row += [_percent(results.agreement.get(rater.number, math.nan)), _percent(rater.ties())]
        table.append(
            [*row, _percent(bias) + lopsided, "-" if not rater.answers else f"{rater.seconds():.1f}"]
        )
    return table


def screening(rater: Rater) -> str:
    """The outcome of the checks, in a few words."""
    if not rater.answers:
        return "did not finish the checks"
    failed = [
        name
        for name, good in (("colours", rater.sees_colours), ("artefacts", rater.sees_artefacts))
        if not good
    ]
    return "passed" if not failed else f"flagged: {' and '.join(failed)}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def many(count: int, what: str) -> str:
    """`1 rater`, `2 raters`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def summary(results: Results) -> list[str]:
    """Lines above the tables."""
    everyone = results.everyone
    passed = results.passed
    lines = [SIMULATED.upper()] if results.evidence.simulated else []
    took_part = len(results.evidence.raters)
    lines.append(
        f"{many(took_part, 'rater')} began, {everyone.raters} answered comparisons, "
        f"{passed.raters if passed else 0} passed the screening; {many(everyone.answers, 'comparison')}, "
        f'{everyone.ties:.0%} "no difference"'
    )
    return lines


def size(analysis: Analysis) -> str:
    """How many took part and answered."""
    return f"{many(analysis.raters, 'rater')}, {many(analysis.answers, 'comparison')}"


def as_terminal(results: Results) -> str:
    """Everything, for a terminal."""
    parts = [results.evidence.settings.title, *summary(results)]
    if results.passed is None:
        parts.append("No rater passed the screening.")
    for analysis in analyses(results):
        parts += ["", f"== {analysis.title}: {size(analysis)} ==", ""]
        parts.append(as_text(scores(analysis)))
        if analysis.savings:
            parts += ["", f"BD-rate against {results.anchor} at equal Elo (negative: fewer bits)"]
            parts.append(as_text(savings(analysis)))
        parts += [f"* {note}" for note in analysis.notes]
    parts += ["", "== raters ==", "", as_text(raters(results)), "", SCREENING, f"Model: {MODEL}."]
    return "\n".join(parts)


def analyses(results: Results) -> Iterable[Analysis]:
    """The main result first, then all raters where that is someone else."""
    if results.passed is not None:
        yield results.passed
    if results.passed is None or results.passed.raters < results.everyone.raters:
        yield results.everyone


def scores_csv(results: Results) -> str:
    """Elo of both analyses, one condition a line."""
    lines = []
    for analysis in analyses(results):
        for score in analysis.scores:
            place = {
                "raters": analysis.title,
                "codec": score.condition.codec,
                "quality": score.condition.quality,
            }
            numbers = {"bits_per_pixel": score.condition.bpp, "elo": score.elo, "low": score.credible[0]}
            numbers |= {"high": score.credible[1], "low_over_raters": score.over_raters[0]}
            numbers |= {
                "high_over_raters": score.over_raters[1],
                "answers": score.answers,
                "group": score.group + 1,
            }
            lines.append({**place, **numbers})
    return _csv(lines, results.evidence.simulated)


def savings_csv(results: Results) -> str:
    """BD-rates of both analyses, one codec a line; empty where there is no number."""
    lines = []
    for analysis in analyses(results):
        for saving in analysis.savings:
            place = {"raters": analysis.title, "codec": saving.codec, "anchor": saving.anchor}
            rate = math.nan if saving.rate is None else saving.rate
            numbers = {"bd_rate_percent": rate, "low": saving.credible[0], "high": saving.credible[1]}
            numbers |= {"low_over_raters": saving.over_raters[0], "high_over_raters": saving.over_raters[1]}
            numbers |= {"elo_from": saving.covers[0], "elo_to": saving.covers[1]}
            lines.append({**place, **numbers, "remark": saving.reason or saving.remark})
    return _csv(lines, results.evidence.simulated)


def raters_csv(results: Results) -> str:
    """The table of raters."""
    head, *rows = raters(results)
    names = [name.replace(" ", "_") for name in head]
    return _csv([dict(zip(names, row, strict=True)) for row in rows], results.evidence.simulated)


def answers_csv(results: Results) -> str:
    """Every answer, checks and repeats included."""
    return _csv(results.evidence.exported, results.evidence.simulated)


def _csv(lines: Sequence[dict[str, Any]], simulated: bool) -> str:
    stream = io.StringIO()
    stamped = [{**line, "raters_are": SIMULATED if simulated else "people"} for line in lines]
    if stamped:
        writer = csv.DictWriter(stream, list(stamped[0]))
        writer.writeheader()
        writer.writerows({key: _safe(value) for key, value in line.items()} for line in stamped)
    return stream.getvalue()


def _safe(value: Any) -> Any:
    """Names of files may begin as formulas of spreadsheets do."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    risky = isinstance(value, str) and value != "-" and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value


def as_json(results: Results) -> str:
    """Everything that was computed, and how."""
    evidence = results.evidence
    content: dict[str, Any] = {"title": evidence.settings.title, "simulated": evidence.simulated}
    if evidence.simulated:
        content["warning"] = SIMULATED
    content |= {
        "created": evidence.created,
        "command": evidence.command,
        "settings": asdict(evidence.settings),
    }
    content |= {
        "model": MODEL,
        "screening": SCREENING,
        "anchor": results.anchor,
        "pictures": list(evidence.pictures),
    }
    content["analyses"] = [asdict(analysis) for analysis in analyses(results)]
    head, *rows = raters(results)
    content["raters"] = [dict(zip(head, row, strict=True)) for row in rows]
    return json.dumps(_finite(content), indent=1, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def headline(saving: Saving) -> str:
    """A BD-rate in words."""
    if saving.rate is None:
        return f"{saving.codec}: no BD-rate, {saving.reason}"
    kind = "fewer" if saving.rate < 0 else "more"
    told = f"{saving.codec} needs {abs(saving.rate):.0f} % {kind} bits than {saving.anchor} at equal Elo"
    if math.isnan(saving.credible[0]):
        return f"{told}; how sure that is, these answers do not tell"
    bounds = f"95 % credible: {saving.credible[0]:+.0f} % to {saving.credible[1]:+.0f} %"
    if saving.credible[0] < 0 < saving.credible[1]:
        return (
            f"{saving.codec} and {saving.anchor}: these answers do not tell which needs fewer bits ({bounds})"
        )
    return f"{told} ({bounds})"
