"""Simulated raters: a program that answers through the same sessions as people, led by a picture quality metric.

They show that a study works and what it could find. They are no evidence of what people see, and every output of a
study that holds them says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pico_bench.originals import read_rgb
from pico_metrics.catalogue import Metric
from pico_study.bradley_terry import probabilities
from pico_study.create import ARTEFACT, PRACTICE
from pico_study.database import PICTURES, StudyError, reading
from pico_study.sessions import Sessions
from pico_study.way import NO_FIGURE, PLATE, SAME, TRIAL, A, B

TIE_WEIGHT = 0.6  # Davidson's nu
LAPSES = 0.02  # share of answers given at random
CARELESS = 0.1  # share of raters who answer everything at random
COLOUR_BLIND = 0.06  # share of raters who read only the control plate
SPREAD_OF_RATERS = 0.25  # standard deviation of the logarithm of their sensitivity
STRENGTH_SPREAD = 1.5  # standard deviation of strengths over all variants, in natural units (261 Elo points)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Habits:
    """What simulated raters are like."""

    tie_weight: float = TIE_WEIGHT
    lapses: float = LAPSES
    careless: float = CARELESS
    colour_blind: float = COLOUR_BLIND
    spread: float = SPREAD_OF_RATERS


def strengths_by_metric(folder: Path, metric: Metric, say: Say) -> dict[int, float]:
    """By exhibit: the metric's value of the part that is shown, scaled to STRENGTH_SPREAD. Raises StudyError."""
    with reading(folder) as connection:
        rows = connection.execute(
            "SELECT v.id, v.file, o.file AS reference FROM exhibits v JOIN exhibits o ON o.picture = v.picture "
            "AND o.kind = 'original' WHERE v.kind = 'variant' ORDER BY v.id"
        ).fetchall()
    values = {}
    for number, row in enumerate(rows, 1):
        reference, shown = (read_rgb(folder / PICTURES / row[name]) for name in ("reference", "file"))
        values[row["id"]] = -metric.badness(metric.function(reference, shown))
        if number % 20 == 0:
            say(f"{metric.title} of {number} of {len(rows)} variants")
    numbers = np.array(list(values.values()))
    if not np.isfinite(numbers).all() or numbers.std() == 0:
        msg = f"{metric.title} does not tell the variants apart; choose another metric"
        raise StudyError(msg)
    return {
        item: float(STRENGTH_SPREAD * (value - numbers.mean()) / numbers.std())
        for item, value in values.items()
    }


def refuse_people(folder: Path) -> None:
    """Raises StudyError if people took part in the study."""
    with reading(folder) as connection:
        if connection.execute("SELECT EXISTS (SELECT 1 FROM sessions WHERE NOT simulated)").fetchone()[0]:
            msg = f"people took part in {folder}; simulated raters need a study of their own"
            raise StudyError(msg)


def simulate(
    folder: Path,
    raters: int,
    strengths: Mapping[int, float],
    rng: np.random.Generator,
    say: Say,
    habits: Habits | None = None,
) -> int:
    """Let simulated raters of these strengths (by exhibit) take part; returns how many comparisons they answered.

    Raises StudyError if people took part in the study.
    """
    refuse_people(folder)
    before = _comparisons(folder)
    sessions = Sessions(folder, durable=False)
    try:
        for number in range(1, raters + 1):
            _Rater(sessions, strengths, rng, habits or Habits()).take_part()
            say(f"simulated rater {number} of {raters}")
    finally:
        sessions.close()
    return _comparisons(folder) - before


def _comparisons(folder: Path) -> int:
    """Answers that the statistics use: a rater cannot tell a repeat from another comparison."""
    with reading(folder) as connection:
        answered = "SELECT COUNT(*) FROM answers JOIN trials ON id = trial WHERE kind = ?"
        return int(connection.execute(answered, (TRIAL,)).fetchone()[0])


class _Rater:
    """One simulated rater."""

    def __init__(
        self, sessions: Sessions, strengths: Mapping[int, float], rng: np.random.Generator, habits: Habits
    ) -> None:
        self._sessions = sessions
        self._strengths = strengths
        self._rng = rng
        self._habits = habits
        self._careless = rng.random() < habits.careless
        self._colour_blind = rng.random() < habits.colour_blind
        self._sensitivity = float(np.exp(rng.normal(0, habits.spread)))

    def take_part(self) -> None:
        secret = self._sessions.begin(simulated=True).secret
        state = self._sessions.state(secret)
        while state["trials"]:
            trial = state["trials"][0]
            choice = self._choice(trial)
            milliseconds = int(1000 * self._rng.lognormal(1.6, 0.5))
            state = self._sessions.answer(secret, trial["token"], choice, milliseconds, {"mode": "simulated"})

    def _choice(self, trial: Mapping[str, object]) -> str:
        token, kind = str(trial["token"]), trial["kind"]
        if self._careless or self._rng.random() < self._habits.lapses:
            return str(self._rng.choice([*"2345689"] if kind == PLATE else [A, B]))
        expected, one, other = self._sessions.truth(token)
        if kind == PLATE:
            is_control = trial["number"] == 1
            return NO_FIGURE if self._colour_blind and not is_control else expected
        if kind in (PRACTICE, ARTEFACT):
            return expected
        difference = np.array([self._sensitivity * (self._strengths[one] - self._strengths[other])])
        log_nu = np.log(self._habits.tie_weight) if trial["ties"] else -60.0
        chances = np.concatenate(probabilities(difference, float(log_nu)))
        return str(self._rng.choice([A, SAME, B], p=chances / chances.sum()))
