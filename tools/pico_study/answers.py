"""What raters answered, read from the database: comparisons for the statistics, and each rater's screening."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from pico_study import plates
from pico_study.bradley_terry import TIE
from pico_study.create import ARTEFACT
from pico_study.database import Settings, is_simulated, read_settings, reading
from pico_study.way import OUTCOMES, PLATE, REPEAT, SAME, TRIAL

MOST_PLATES_WRONG = 1
MOST_CHECKS_WRONG = 1
SCREENING = (
    f"A rater passes who reads the control plate, misreads no more than {MOST_PLATES_WRONG} of the other plates, "
    f"and misses the compressed picture no more than {MOST_CHECKS_WRONG} time in the artefact check."
)


@dataclass(frozen=True)
class Condition:
    """A codec at a quality, with its mean rate over the study's pictures."""

    codec: str
    quality: str
    bpp: float

    @property
    def name(self) -> str:
        """As tables and plots call it."""
        return f"{self.codec} {self.quality}"


@dataclass(frozen=True)
class Answer:
    """One answer to a comparison: conditions and pictures as numbers from 0, `outcome` FIRST (a), TIE or SECOND."""

    rater: int
    picture: int
    a: int
    b: int
    outcome: int
    repeat: bool
    trial: int  # its number in the database
    repeats: int | None
    milliseconds: int
    received: str
    chosen_by: str
    view: dict[str, Any]


@dataclass
class Rater:
    """One rater's checks and habits. Being screened out is a flag for the results; the rater is never told."""

    number: int  # from 1, in order of consent
    begun: str
    plates_read: int = 0
    plates: int = 0
    control_read: bool = True
    checks_found: int = 0
    checks: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def sees_colours(self) -> bool:
        """Whether the colour plates were read."""
        return self.control_read and self.plates - self.plates_read <= MOST_PLATES_WRONG

    @property
    def sees_artefacts(self) -> bool:
        """Whether the compressed pictures were found."""
        return self.checks - self.checks_found <= MOST_CHECKS_WRONG

    @property
    def passed(self) -> bool:
        """Whether the rater counts among those of the main result."""
        return self.sees_colours and self.sees_artefacts

    @property
    def comparisons(self) -> list[Answer]:
        """Answers that the statistics use; repeats only measure consistency."""
        return [answer for answer in self.answers if not answer.repeat]

    def repeats(self) -> tuple[int, int, int]:
        """Of the pairs that were shown again with sides swapped: answered alike, opposite, and all."""
        first = {answer.trial: answer for answer in self.comparisons}
        pairs = [(first[a.repeats], a) for a in self.answers if a.repeats is not None and a.repeats in first]
        alike = sum(one.outcome == -again.outcome for one, again in pairs)
        opposite = sum(one.outcome == again.outcome != TIE for one, again in pairs)
        return alike, opposite, len(pairs)

    def side_bias(self) -> tuple[float, float]:
        """The share of answers A among A and B, and how likely so lopsided a share is by chance (two-sided)."""
        chosen = [answer.outcome for answer in self.answers if answer.outcome != TIE]
        if not chosen:
            return math.nan, 1.0
        left, total = sum(outcome > 0 for outcome in chosen), len(chosen)
        tail = sum(math.comb(total, k) for k in range(min(left, total - left) + 1)) / 2**total
        return left / total, min(1.0, 2 * tail)

    def ties(self) -> float:
        """The share of answers "no difference"."""
        return _mean(answer.outcome == TIE for answer in self.comparisons)

    def seconds(self) -> float:
        """Median time of an answer."""
        return median(answer.milliseconds for answer in self.answers) / 1000 if self.answers else math.nan


@dataclass(frozen=True)
class Evidence:
    """All that a study has gathered."""

    settings: Settings
    created: str
    command: str
    simulated: bool
    conditions: Sequence[Condition]
    pictures: Sequence[str]
    variants: Mapping[tuple[int, int], float]  # bits per pixel by (condition, picture); of those that exist
    raters: Sequence[Rater]
    exported: Sequence[dict[str, Any]]  # every answer, checks included, as the CSV export has it

    def pictures_of(self, condition: int) -> frozenset[int]:
        """The pictures that there are of a condition."""
        return frozenset(picture for own, picture in self.variants if own == condition)

    def of_pictures(self, pictures: frozenset[int]) -> Evidence:
        """The evidence of some of the pictures only; rates are means over those, NaN where there are none."""
        variants = {place: rate for place, rate in self.variants.items() if place[1] in pictures}
        conditions = [
            replace(condition, bpp=_mean(rate for (own, _), rate in variants.items() if own == number))
            for number, condition in enumerate(self.conditions)
        ]
        raters = [
            replace(rater, answers=[answer for answer in rater.answers if answer.picture in pictures])
            for rater in self.raters
        ]
        return replace(self, conditions=conditions, variants=variants, raters=raters)


def _mean(found: Iterable[float]) -> float:
    """Of booleans, the share of those that hold."""
    listed = list(found)
    return sum(listed) / len(listed) if listed else math.nan


def read_evidence(folder: Path) -> Evidence:
    """Read a study. Raises StudyError."""
    with reading(folder) as connection:
        about = connection.execute("SELECT created, command FROM study").fetchone()
        conditions, numbers = _conditions(connection)
        names = connection.execute("SELECT id, name FROM pictures ORDER BY id").fetchall()
        places = {row["id"]: place for place, row in enumerate(names)}
        exhibits = {row["id"]: row for row in connection.execute("SELECT * FROM exhibits")}
        found = (row for row in exhibits.values() if row["kind"] == "variant")
        variants = {(numbers[r["condition"]], places[r["picture"]]): r["bits_per_pixel"] for r in found}
        raters, exported = _raters(
            connection, exhibits, numbers, places, conditions, [r["name"] for r in names]
        )
        return Evidence(
            read_settings(connection),
            about["created"],
            about["command"],
            is_simulated(connection),
            conditions,
            [row["name"] for row in names],
            variants,
            raters,
            exported,
        )


def _conditions(connection: sqlite3.Connection) -> tuple[list[Condition], dict[int, int]]:
    rows = connection.execute(
        "SELECT c.id, codec, quality, AVG(bits_per_pixel) AS bpp FROM conditions c "
        "JOIN exhibits e ON e.condition = c.id GROUP BY c.id ORDER BY c.id"
    ).fetchall()
    conditions = [Condition(row["codec"], row["quality"], row["bpp"]) for row in rows]
    return conditions, {row["id"]: number for number, row in enumerate(rows)}


def _raters(
    connection: sqlite3.Connection,
    exhibits: dict[int, sqlite3.Row],
    numbers: dict[int, int],
    places: dict[int, int],
    conditions: Sequence[Condition],
    names: Sequence[str],
) -> tuple[list[Rater], list[dict[str, Any]]]:
    sessions = connection.execute("SELECT id, begun FROM sessions ORDER BY id").fetchall()
    raters = {row["id"]: Rater(number, row["begun"]) for number, row in enumerate(sessions, 1)}
    exported = []
    for row in connection.execute(
        "SELECT * FROM trials JOIN answers ON trial = id ORDER BY session, position"
    ):
        rater = raters[row["session"]]
        sides = [exhibits.get(row[side]) for side in ("a", "b")]
        if row["kind"] == PLATE:
            read = row["choice"] == row["expected"]
            rater.plates += 1
            rater.plates_read += read
            if exhibits[row["reference"]]["note"] == plates.CONTROL:
                rater.control_read = read
        elif row["kind"] == ARTEFACT:
            rater.checks += 1
            rater.checks_found += row["choice"] == row["expected"]
        elif row["kind"] in (TRIAL, REPEAT):
            one, other = (numbers[side["condition"]] for side in sides if side is not None)
            answer = Answer(
                *(rater.number, places[exhibits[row["reference"]]["picture"]], one, other),
                *(OUTCOMES[row["choice"]], row["kind"] == REPEAT, row["id"], row["repeats"]),
                *(row["milliseconds"], row["received"], row["chosen_by"], json.loads(row["view"])),
            )
            rater.answers.append(answer)
        exported.append(_exported(row, rater, exhibits, sides, conditions, numbers, names, places))
    return list(raters.values()), exported


def _joined(size: object) -> str:
    """`1366x650`; nothing where the page told no size, which it may do."""
    return "x".join(map(str, size)) if isinstance(size, list) else ""


def _exported(
    row: sqlite3.Row,
    rater: Rater,
    exhibits: dict[int, sqlite3.Row],
    sides: Sequence[sqlite3.Row | None],
    conditions: Sequence[Condition],
    numbers: dict[int, int],
    names: Sequence[str],
    places: dict[int, int],
) -> dict[str, Any]:
    def named(side: sqlite3.Row | None) -> str:
        if side is None:
            return ""
        return (
            conditions[numbers[side["condition"]]].name if side["condition"] else side["note"] or "original"
        )

    reference = exhibits[row["reference"]]
    picture = reference["note"] if reference["picture"] is None else names[places[reference["picture"]]]
    view = json.loads(row["view"])
    chosen = {SAME: "no difference", "a": named(sides[0]), "b": named(sides[1])}.get(
        row["choice"], row["choice"]
    )
    return {
        "rater": rater.number,
        "position": row["position"] + 1,
        "kind": row["kind"],
        "picture": picture,
        "a": named(sides[0]),
        "b": named(sides[1]),
        "choice": row["choice"],
        "chosen": chosen,
        "expected": row["expected"],
        "milliseconds": row["milliseconds"],
        "pair_chosen_by": row["chosen_by"],
        "received": row["received"],
        "viewport": _joined(view.get("viewport")),
        "pixel_ratio": view.get("ratio", ""),
        "scale": view.get("scale", ""),
        "panned": view.get("panned", ""),
        "mode": view.get("mode", ""),
        "switches": view.get("switches", ""),
    }
