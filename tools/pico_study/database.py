"""The study's SQLite database: its tables, and connections that lose nothing that was accepted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pico_core.errors import PicoError

DATABASE = "study.sqlite3"
PICTURES = "pictures"
FORMAT = 1
_LONGEST_WAIT = 20.0  # seconds, for another program's transaction to end

_SCHEMA = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    created TEXT NOT NULL,
    access_key TEXT NOT NULL,            -- of the link for raters on other machines
    settings TEXT NOT NULL,              -- JSON: title, consent, trials, repeats, ...
    command TEXT NOT NULL
);
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,                -- of the original's pixels
    original_width INTEGER NOT NULL,
    original_height INTEGER NOT NULL,
    window_left INTEGER NOT NULL,        -- the part that is shown
    window_top INTEGER NOT NULL,
    width INTEGER NOT NULL CHECK (width > 0),
    height INTEGER NOT NULL CHECK (height > 0)
);
CREATE TABLE conditions (
    id INTEGER PRIMARY KEY,
    codec TEXT NOT NULL,
    quality TEXT NOT NULL,
    identity TEXT NOT NULL,              -- JSON: settings and versions, as pico-bench records them
    UNIQUE (codec, quality)
);
CREATE TABLE exhibits (                  -- whatever a rater can be shown; one lossless file each
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('original', 'variant', 'check', 'plate')),
    file TEXT NOT NULL UNIQUE,
    picture INTEGER REFERENCES pictures (id),
    condition INTEGER REFERENCES conditions (id),
    bits_per_pixel REAL,                 -- of the whole coded file over the whole picture
    note TEXT NOT NULL DEFAULT '',       -- of checks: what was done; of plates: the cone type tested
    answer TEXT NOT NULL DEFAULT '',     -- of plates: the figure
    CHECK ((kind = 'variant') = (condition IS NOT NULL)),
    CHECK ((kind = 'plate') = (picture IS NULL)),
    UNIQUE (picture, condition)
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,    -- SHA-256 of what the rater's browser keeps
    simulated INTEGER NOT NULL DEFAULT 0 CHECK (simulated IN (0, 1)),
    begun TEXT NOT NULL,                 -- when consent was given
    seed INTEGER NOT NULL
);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    kind TEXT NOT NULL CHECK (kind IN ('plate', 'practice', 'artefact', 'trial', 'repeat')),
    reference INTEGER NOT NULL REFERENCES exhibits (id),
    a INTEGER REFERENCES exhibits (id),
    b INTEGER REFERENCES exhibits (id),
    expected TEXT NOT NULL DEFAULT '',   -- the right answer, where there is one
    repeats INTEGER REFERENCES trials (id) ON DELETE CASCADE,
    chosen_by TEXT NOT NULL DEFAULT '',  -- rule of active sampling that chose the pair
    created TEXT NOT NULL,
    UNIQUE (session, position),
    CHECK ((kind = 'plate') = (a IS NULL) AND (a IS NULL) = (b IS NULL)),
    CHECK ((kind = 'repeat') = (repeats IS NOT NULL))
);
CREATE TABLE answers (
    trial INTEGER PRIMARY KEY REFERENCES trials (id) ON DELETE CASCADE,
    choice TEXT NOT NULL,                -- a, b, same; of plates: a digit or none
    milliseconds INTEGER NOT NULL CHECK (milliseconds >= 0),
    view TEXT NOT NULL,                  -- JSON: viewport, pixel ratio, scale, looks at each picture
    received TEXT NOT NULL
);
CREATE INDEX trials_of_session ON trials (session, position);
CREATE INDEX trials_of_kind ON trials (kind);
CREATE TRIGGER one_kind_of_raters BEFORE INSERT ON sessions
WHEN EXISTS (SELECT 1 FROM sessions WHERE simulated <> NEW.simulated)
BEGIN SELECT RAISE (ABORT, 'simulated raters and people cannot share a study'); END;
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers
BEGIN SELECT RAISE (ABORT, 'an answer is never changed'); END;
"""


class StudyError(PicoError):
    """A study that is not there, is damaged, or cannot do what is asked of it."""


@dataclass(frozen=True)
class Settings:
    """What was decided when the study was created."""

    title: str = "Which picture is closer to the original?"
    consent: str = ""  # the organiser's own words, paragraphs between empty lines
    trials: int = 40  # for each rater, repeats included
    repeats: float = 0.1  # share of the trials that are shown again with sides swapped
    pause_every: int = 20
    ties: bool = True

    def as_json(self) -> str:
        """For the database."""
        return json.dumps(asdict(self))


def initialise(folder: Path, settings: Settings, created: str, access_key: str, command: str) -> None:
    """Make the database of a new study. Raises StudyError if the file cannot be written."""
    try:
        connection = sqlite3.connect(folder / DATABASE)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            row = (FORMAT, created, access_key, settings.as_json(), command)
            connection.execute("INSERT INTO study VALUES (1, ?, ?, ?, ?, ?)", row)
            connection.commit()
        finally:
            connection.close()
    except sqlite3.Error as error:
        msg = f"{folder / DATABASE} cannot be written: {error}; choose a local folder that can be written"
        raise StudyError(msg) from error


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to look, and to see one state throughout. Raises StudyError if there is no such study."""
    with _connected(folder, durable=True) as connection:
        connection.execute("BEGIN")
        yield connection
        connection.execute("ROLLBACK")


@contextmanager
def writing(folder: Path, durable: bool = True, wait: float = _LONGEST_WAIT) -> Iterator[sqlite3.Connection]:
    """One transaction: when the block ends it is on the disk whole, or, after an exception, not at all.

    Not `durable`, for simulations, it survives the process but perhaps not a power cut. It waits so many seconds for
    another program's transaction to end. Raises StudyError.
    """
    with _connected(folder, durable, wait) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def _connected(folder: Path, durable: bool, wait: float = _LONGEST_WAIT) -> Iterator[sqlite3.Connection]:
    path = folder / DATABASE
    if not path.is_file():
        msg = f"{folder} holds no study; make one with pico-study create"
        raise StudyError(msg)
    connection = sqlite3.connect(path, timeout=wait, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        yield connection
    except sqlite3.Error as error:
        msg = f"{path}: {error}{_advice(error)}"
        raise StudyError(msg) from error
    finally:
        connection.close()


def _advice(error: sqlite3.Error) -> str:
    said = str(error)
    if "locked" in said:
        return "; another program is writing to it: try again when it has finished"
    if type(error) is sqlite3.DatabaseError or "no such table" in said:
        return "; it is damaged or no study: take the whole folder from a copy, or make the study anew"
    return ""


def held_open(folder: Path) -> sqlite3.Connection:
    """A connection that does nothing but be there.

    Whenever the last connection closes, SQLite writes its log back into the database and deletes it; a program that
    opens one for each answer would do that for each answer. Raises StudyError.
    """
    try:
        connection = sqlite3.connect(folder / DATABASE, check_same_thread=False)
        connection.execute("SELECT format FROM study").fetchone()
    except sqlite3.Error as error:
        msg = f"{folder / DATABASE} cannot be read: {error}"
        raise StudyError(msg) from error
    return connection


def read_settings(connection: sqlite3.Connection) -> Settings:
    """The study's settings. Raises StudyError for a study of another version."""
    row = connection.execute("SELECT format, settings FROM study").fetchone()
    if row is None or row["format"] != FORMAT:
        msg = f"the study is of format {row['format'] if row else 'unknown'}, this program reads {FORMAT}"
        raise StudyError(msg)
    try:
        content: dict[str, Any] = json.loads(row["settings"])
        return Settings(**content)
    except (ValueError, TypeError) as error:
        path = connection.execute("PRAGMA database_list").fetchone()["file"]
        msg = f"{path}: its settings cannot be read: {error}; take the study from a copy, or make it anew"
        raise StudyError(msg) from error


def is_simulated(connection: sqlite3.Connection) -> bool:
    """Whether the raters were a program."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM sessions WHERE simulated)").fetchone()[0])
