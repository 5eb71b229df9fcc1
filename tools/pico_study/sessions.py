"""The raters of one study: begin, go on, answer, withdraw, and the pictures of a trial.

Whatever a rater sees is a trial with a token of its own, under which its pictures are fetched; so neither names nor
repeated addresses tell what a picture is. An answer is accepted once: the first one for a trial stays.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pico_study.database import (
    PICTURES,
    Settings,
    StudyError,
    held_open,
    is_simulated,
    read_settings,
    reading,
    writing,
)
from pico_study.way import A, B, RefusedError, UnknownError, Way, now

_VIEW_KEYS = frozenset(
    {"viewport", "screen", "ratio", "scale", "panned", "mode", "looks", "switches", "orientation", "touch"}
)
_LONGEST_VIEW = 2000
_LONGEST_TIME = 24 * 3600 * 1000


@dataclass(frozen=True)
class Rater:
    """A session that has just begun: its secret, which only the rater's browser keeps."""

    secret: str


class Sessions:
    """All raters of one study. Safe to use from several threads: each call is one transaction."""

    def __init__(self, folder: Path, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        with reading(folder) as connection:
            self.settings = read_settings(connection)
            self.access_key: str = connection.execute("SELECT access_key FROM study").fetchone()[0]
        self._held = held_open(folder)

    def close(self) -> None:
        """Let the database put itself in order; call when nobody asks any more."""
        self._held.close()

    def begin(self, simulated: bool = False) -> Rater:
        """Begin a session, after consent. Raises StudyError if people meet simulated raters in one study."""
        secret = secrets.token_urlsafe(24)
        seed = secrets.randbits(48)
        with writing(self._folder, self._durable) as connection:
            added = connection.execute(
                "INSERT INTO sessions (secret_hash, simulated, begun, seed) VALUES (?, ?, ?, ?)",
                (_hash(secret), simulated, now(), seed),
            )
            Way(connection, int(added.lastrowid or 0), self.settings).prepare()
        return Rater(secret)

    def state(self, secret: str) -> dict[str, Any]:
        """What the page shows next: progress, and the first unanswered trials. Raises UnknownError."""
        with writing(self._folder, self._durable) as connection:
            return _find(connection, secret, self.settings).state()

    def answer(
        self, secret: str, token: str, choice: str, milliseconds: int, view: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Accept an answer and return the state after it; `feedback` is there for practice trials.

        The same answer, or another one, for a trial that has one changes nothing. Raises UnknownError, RefusedError.
        """
        try:
            noted = json.dumps({k: view[k] for k in view if k in _VIEW_KEYS}, ensure_ascii=False)
            noted.encode()
        except (ValueError, RecursionError) as error:
            msg = "the answer's details cannot be stored; reload the page"
            raise RefusedError(msg) from error
        if len(noted) > _LONGEST_VIEW or not 0 <= milliseconds <= _LONGEST_TIME:
            msg = "the answer's details are out of range; reload the page"
            raise RefusedError(msg)
        with writing(self._folder, self._durable) as connection:
            session = _find(connection, secret, self.settings)
            feedback = session.accept(token, choice, milliseconds, noted)
            return {**session.state(), "feedback": feedback}

    def withdraw(self, secret: str) -> None:
        """Delete a rater's session and answers. Raises UnknownError."""
        with writing(self._folder, self._durable) as connection:
            session = _find(connection, secret, self.settings)
            connection.execute("DELETE FROM sessions WHERE id = ?", (session.id,))

    def picture(self, token: str, role: str) -> bytes:
        """The lossless file of one side of a trial: `reference`, `a` or `b`. Raises UnknownError, StudyError."""
        if role not in ("reference", A, B):
            msg = "there is no such picture"
            raise UnknownError(msg)
        with reading(self._folder) as connection:
            row = connection.execute(
                f"SELECT file FROM trials JOIN exhibits ON exhibits.id = trials.{role} WHERE token = ?",
                (token,),
            ).fetchone()
        if row is None:
            msg = "there is no such picture"
            raise UnknownError(msg)
        try:
            return (self._folder / PICTURES / str(row["file"])).read_bytes()
        except OSError as error:
            msg = f"a picture of this study cannot be read: {error}"
            raise StudyError(msg) from error

    def check_pictures(self) -> None:
        """Raises StudyError unless every file that a rater may be shown is there."""
        with reading(self._folder) as connection:
            files = [row["file"] for row in connection.execute("SELECT file FROM exhibits")]
        lost = [name for name in files if not (self._folder / PICTURES / name).is_file()]
        if lost:
            many = "1 of its pictures is" if len(lost) == 1 else f"{len(lost)} of its pictures are"
            msg = f"{self._folder}: {many} missing (pictures/{lost[0]}); take the whole folder from a copy"
            raise StudyError(msg)

    def truth(self, token: str) -> tuple[str, int, int]:
        """What no page is told, for simulated raters: the right answer of a check, and the exhibits on sides A and B.

        The answer is empty for comparisons; the exhibits are 0 for plates. Raises UnknownError.
        """
        with reading(self._folder) as connection:
            row = connection.execute("SELECT expected, a, b FROM trials WHERE token = ?", (token,)).fetchone()
        if row is None:
            msg = "there is no such trial"
            raise UnknownError(msg)
        return row["expected"], row["a"] or 0, row["b"] or 0

    def simulated(self) -> bool:
        """Whether the raters so far were a program."""
        with reading(self._folder) as connection:
            return is_simulated(connection)


def _find(connection: sqlite3.Connection, secret: str, settings: Settings) -> Way:
    row = connection.execute("SELECT id FROM sessions WHERE secret_hash = ?", (_hash(secret),)).fetchone()
    if row is None:
        msg = "this session is not known here; begin again"
        raise UnknownError(msg)
    return Way(connection, row["id"], settings)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
