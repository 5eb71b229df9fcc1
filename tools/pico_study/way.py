"""A rater's way through a study: what is laid out at the start, what is asked next, and taking in answers.

Checks and practice are laid out when a session begins. Comparisons are given out one at a time, as answers come in,
and two ahead, so that a page can load pictures before they are needed.
"""

from __future__ import annotations

import math
import random
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pico_core.errors import PicoError
from pico_study import plates
from pico_study.bradley_terry import FIRST, SECOND, TIE, Posterior, count, fit, independent_prior
from pico_study.create import ARTEFACT, PRACTICE
from pico_study.database import Settings
from pico_study.sampling import choose

A, B, SAME = "a", "b", "same"
NO_FIGURE = "none"
PLATE, TRIAL, REPEAT = "plate", "trial", "repeat"
OUTCOMES: Mapping[str, int] = {A: FIRST, SAME: TIE, B: SECOND}
AHEAD = 2  # trials that a page knows of: the one it shows, and the one whose pictures it loads
_LEAST_BETWEEN = 4  # trials between a pair and its repetition
_PLATES = (plates.CONTROL, "protan", "deutan", "tritan", "protan", "deutan")


class UnknownError(PicoError):
    """No rater, trial or picture goes by this token."""


class RefusedError(PicoError):
    """What a page sent makes no sense."""


def now() -> str:
    """The time, as the database has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Way:
    """A rater's way, within one transaction of the database."""

    def __init__(self, connection: sqlite3.Connection, identifier: int, settings: Settings) -> None:
        self._connection = connection
        self.id = identifier
        self._settings = settings
        self._random = random.SystemRandom()

    def prepare(self) -> None:
        """Lay out the plates, the practice and the artefact checks."""
        used: dict[str, list[int]] = {}
        for kind in _PLATES:
            rows = self._rows("SELECT id, answer FROM exhibits WHERE kind = 'plate' AND note = ?", kind)
            fresh = [row for row in rows if row["id"] not in used.setdefault(kind, [])]
            row = self._random.choice(fresh)
            used[kind].append(row["id"])
            self._add(PLATE, row["id"], expected=row["answer"])
        for stage, shuffled in ((PRACTICE, False), (ARTEFACT, True)):
            checks = self._rows(
                "SELECT c.id, o.id AS reference FROM exhibits c JOIN exhibits o ON o.picture = c.picture "
                "AND o.kind = 'original' WHERE c.kind = 'check' AND c.note LIKE ? ORDER BY c.note",
                f"{stage} %",
            )
            if shuffled:
                self._random.shuffle(checks)
            for row in checks:
                side = self._random.choice((A, B))
                # In practice the question is which one is closer; in the check, which one is compressed.
                compressed_is_a = (side == A) == (stage == ARTEFACT)
                pair = (row["id"], row["reference"]) if compressed_is_a else (row["reference"], row["id"])
                self._add(stage, row["reference"], *pair, expected=side)

    def accept(self, token: str, choice: str, milliseconds: int, view: str) -> dict[str, Any] | None:
        """Take in an answer, unless the trial has one; returns what to tell after practice, or None."""
        row = self._connection.execute(
            "SELECT * FROM trials WHERE token = ? AND session = ?", (token, self.id)
        ).fetchone()
        if row is None:
            msg = "this trial belongs to no session that is open here; reload the page"
            raise UnknownError(msg)
        if choice not in self._choices(row["kind"]):
            msg = f"{choice!r} is no answer to this question; reload the page"
            raise RefusedError(msg)
        self._connection.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?) ON CONFLICT (trial) DO NOTHING",
            (row["id"], choice, milliseconds, view, now()),
        )
        if row["kind"] != PRACTICE:
            return None
        return {"right": choice == row["expected"], "expected": row["expected"]}

    def _choices(self, kind: str) -> Sequence[str]:
        if kind == PLATE:
            return (*"0123456789", NO_FIGURE)
        if kind == ARTEFACT or (kind in (TRIAL, REPEAT) and not self._settings.ties):
            return (A, B)
        return (A, SAME, B)

    def state(self) -> dict[str, Any]:
        """The first unanswered trials, as the page shows them; gives out new ones as needed."""
        self._extend()
        rows = self._rows(
            "SELECT t.token, t.kind, t.position, p.width, p.height FROM trials t "
            "JOIN exhibits e ON e.id = t.reference LEFT JOIN pictures p ON p.id = e.picture "
            "LEFT JOIN answers ON answers.trial = t.id WHERE t.session = ? AND answers.trial IS NULL "
            "ORDER BY t.position LIMIT ?",
            self.id,
            AHEAD,
        )
        totals = self._totals()
        every = self._settings.pause_every
        shown = []
        for row in rows:
            kind = TRIAL if row["kind"] == REPEAT else row["kind"]
            number = row["position"] - totals[kind][0] + 1
            shown.append(
                {
                    "token": row["token"],
                    "kind": kind,
                    "number": number,
                    "of": totals[kind][1],
                    "width": row["width"] or plates.SIDE,
                    "height": row["height"] or plates.SIDE,
                    "ties": SAME in self._choices(row["kind"]),
                    "pause": kind == TRIAL and every > 0 and number > 1 and (number - 1) % every == 0,
                }
            )
        return {"trials": shown, "done": not shown}

    def _totals(self) -> dict[str, tuple[int, int]]:
        """By kind, repeats among the trials: the first position, and how many there are or will be."""
        rows = self._rows(
            "SELECT CASE kind WHEN 'repeat' THEN 'trial' ELSE kind END AS kind, MIN(position) AS first, "
            "COUNT(*) AS number FROM trials WHERE session = ? GROUP BY 1",
            self.id,
        )
        totals = {row["kind"]: (row["first"], row["number"]) for row in rows}
        if TRIAL in totals and self._open():
            totals[TRIAL] = (totals[TRIAL][0], max(totals[TRIAL][1], self._wanted()))
        return totals

    def _wanted(self) -> int:
        """Trials of this rater: as many as were asked for, or as there are pairs to ask about and to repeat."""
        return min(self._settings.trials, self._pairs() + self._repeats())

    def _repeats(self) -> int:
        """The share of the trials, or of the pairs where those are fewer, that leaves enough between."""
        pairs, trials = self._pairs(), self._settings.trials
        if pairs <= _LEAST_BETWEEN:
            return 0
        share = math.floor(min(pairs, trials) * self._settings.repeats + 0.5)
        return max(0, min(share, trials - _LEAST_BETWEEN - 1))

    def _pairs(self) -> int:
        """Pairs of variants of one picture."""
        row = self._connection.execute(
            "SELECT COUNT(*) FROM exhibits v JOIN exhibits w ON w.picture = v.picture AND w.id > v.id "
            "WHERE v.kind = 'variant' AND w.kind = 'variant'"
        ).fetchone()
        return int(row[0])

    def _open(self) -> int:
        """Trials answered or given out so far are fewer than wanted by this many."""
        given = self._connection.execute(
            "SELECT COUNT(*) FROM trials WHERE session = ? AND kind IN ('trial', 'repeat')", (self.id,)
        ).fetchone()[0]
        return max(0, self._wanted() - int(given))

    def _extend(self) -> None:
        """Give out trials until there are enough ahead."""
        while True:
            waiting = self._connection.execute(
                "SELECT COUNT(*) FROM trials LEFT JOIN answers ON trial = id WHERE session = ? AND trial IS NULL",
                (self.id,),
            ).fetchone()[0]
            left = self._open()
            if waiting >= AHEAD or not left:
                return
            number = self._wanted() - left
            if not (self._is_repeat(number) and self._add_repeat()) and not self._add_trial():
                return

    def _is_repeat(self, number: int) -> bool:
        """Repeats lie evenly among the later trials."""
        repeats, wanted = self._repeats(), self._wanted()
        start = min(wanted - repeats, _LEAST_BETWEEN + 2)
        places = {
            start + math.floor((at + 0.5) * (wanted - start) / max(1, repeats)) for at in range(repeats)
        }
        return number in places

    def _add_repeat(self) -> bool:
        rows = self._rows(
            "SELECT * FROM trials t JOIN answers ON answers.trial = t.id WHERE session = ? AND kind = 'trial' "
            "AND NOT EXISTS (SELECT 1 FROM trials r WHERE r.repeats = t.id) AND position <= "
            "(SELECT MAX(position) FROM trials WHERE session = ?) - ?",
            *(self.id, self.id, _LEAST_BETWEEN),
        )
        if not rows:
            return False
        row = self._random.choice(rows)
        self._add(REPEAT, row["reference"], row["b"], row["a"], repeats=row["id"])
        return True

    def _add_trial(self) -> bool:
        """Choose a pair of conditions by expected information, then the picture on which it was asked least."""
        places = self._free_pairs()
        if not places:
            return False
        posterior, answered = self._posterior()
        pairs = sorted(places)
        rng = np.random.default_rng(self._random.getrandbits(64))
        at, rule = choose(posterior, pairs, answered, rng)
        _, _, one, other, reference = min(
            places[pairs[at]], key=lambda place: (*place[:2], self._random.random())
        )
        if self._random.random() < 0.5:
            one, other = other, one
        self._add(TRIAL, reference, one, other, chosen_by=rule)
        return True

    def _free_pairs(self) -> dict[tuple[int, int], list[tuple[int, int, int, int, int]]]:
        """By pair of conditions, numbered from 0: the places where this rater can still be asked about it.

        A place is how often anybody was asked there, how often this rater saw its picture, both variants, and the
        original.
        """
        seen: dict[int, int] = {}
        own: set[tuple[int, int]] = set()
        asked: dict[tuple[int, int], int] = {}
        given = (
            "SELECT MIN(t.a, t.b) AS low, MAX(t.a, t.b) AS high, e.picture, COUNT(*) AS times, "
            "SUM(t.session = ?) AS own FROM trials t JOIN exhibits e ON e.id = t.a WHERE t.kind = 'trial' "
            "GROUP BY 1, 2"
        )
        for row in self._connection.execute(given, (self.id,)):
            place = (row["low"], row["high"])
            asked[place] = row["times"]
            if row["own"]:
                own.add(place)
                seen[row["picture"]] = seen.get(row["picture"], 0) + 1
        numbers = self._numbers()
        places: dict[tuple[int, int], list[tuple[int, int, int, int, int]]] = {}
        for row in self._connection.execute(
            "SELECT v.id AS v, w.id AS w, v.condition AS one, w.condition AS other, o.id AS reference, v.picture "
            "FROM exhibits v JOIN exhibits w ON w.picture = v.picture AND w.id > v.id AND w.kind = 'variant' "
            "JOIN exhibits o ON o.picture = v.picture AND o.kind = 'original' WHERE v.kind = 'variant'"
        ):
            place = (row["v"], row["w"])
            if place not in own:
                one, other = sorted((numbers[row["one"]], numbers[row["other"]]))
                known = (asked.get(place, 0), seen.get(row["picture"], 0))
                places.setdefault((one, other), []).append((*known, *place, row["reference"]))
        return places

    def _numbers(self) -> dict[int, int]:
        rows = self._rows("SELECT id FROM conditions ORDER BY id")
        return {row["id"]: number for number, row in enumerate(rows)}

    def _posterior(self) -> tuple[Posterior, Any]:
        """Strengths as all answers so far tell them, and in how many answers each condition took part."""
        numbers = self._numbers()
        rows = self._rows(
            "SELECT l.condition AS one, r.condition AS other, choice, COUNT(*) AS times FROM answers "
            "JOIN trials t ON t.id = trial JOIN exhibits l ON l.id = t.a JOIN exhibits r ON r.id = t.b "
            "WHERE t.kind = 'trial' GROUP BY 1, 2, 3"
        )
        answers = []
        for row in rows:
            answer = (numbers[row["one"]], numbers[row["other"]], OUTCOMES[row["choice"]])
            answers += [answer] * row["times"]
        compared = count(len(numbers), answers)
        answered = np.zeros(len(numbers))
        each = compared.wins + compared.losses + compared.ties
        np.add.at(answered, compared.first, each)
        np.add.at(answered, compared.second, each)
        return fit(compared, independent_prior(len(numbers)), self._settings.ties), answered

    def _add(
        self,
        kind: str,
        reference: int,
        a: int | None = None,
        b: int | None = None,
        *,
        expected: str = "",
        repeats: int | None = None,
        chosen_by: str = "",
    ) -> None:
        self._connection.execute(
            "INSERT INTO trials (token, session, position, kind, reference, a, b, expected, repeats, chosen_by, "
            "created) VALUES (?, ?, (SELECT COUNT(*) FROM trials WHERE session = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(secrets.token_urlsafe(18), self.id, self.id, kind, reference, a, b),
                *(expected, repeats, chosen_by, now()),
            ),
        )

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()
