"""The journal: what every run did with every photo, so that runs can be gone on with, repeated and undone.

An SQLite file in write-ahead mode. What `record` was given lies on the disk when it returns; a killed process
loses nothing that was recorded. A photo that is not found is never forgotten: its disk may be away.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from pico_core.errors import PicoError
from pico_library.model.records import Identity, Original, Outcome, Record, RunSummary, Seen

VERSION = 3
#: Of what `score` and `similarity` are: the look of `pico_look`. Before, they were LPIPS and MS-SSIM, and are not read.
_MEASURE = 2
_WAIT_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, state TEXT NOT NULL,
    mode TEXT NOT NULL, roots TEXT NOT NULL, settings TEXT NOT NULL
);
CREATE TABLE photos (
    run INTEGER NOT NULL REFERENCES runs (id), path BLOB NOT NULL,
    device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, digest BLOB,
    outcome TEXT NOT NULL, reason TEXT, settings TEXT,
    before INTEGER, after INTEGER, quality INTEGER, score REAL, similarity REAL, crop TEXT,
    target BLOB, target_digest BLOB, wrote INTEGER, original TEXT NOT NULL, original_at BLOB,
    recorded REAL NOT NULL, kind TEXT, measure INTEGER,
    PRIMARY KEY (path, run)
) WITHOUT ROWID;
CREATE INDEX photos_by_run ON photos (run);
CREATE INDEX photos_by_target ON photos (target);
CREATE INDEX photos_on_the_way ON photos (original) WHERE original = 'leaving';
"""
_CHANGES = {  # from each version to the next
    1: ("ALTER TABLE photos ADD COLUMN wrote INTEGER",),
    2: ("ALTER TABLE photos ADD COLUMN kind TEXT", "ALTER TABLE photos ADD COLUMN measure INTEGER"),
}
#: The columns that those changes add, for those who read an older file and leave it as it is.
_LACKING = {1: "NULL AS wrote", 2: "NULL AS kind, NULL AS measure"}
_COLUMNS = (
    "run, path, device, inode, size, mtime_ns, digest, outcome, reason, settings, before, after, quality, "
    "score, similarity, crop, target, target_digest, wrote, original, original_at, recorded, kind, "
    "measure"
)


class JournalError(PicoError):
    """The journal cannot be used."""


class Journal:
    """The journal in a file, which is created if need be. Raises JournalError. May be used by several threads.

    With `read_only` the file is there and stays as it is, and may lie on a disk that cannot be written to.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._file = file
        self._lock = threading.RLock()
        if read_only:
            self._open_to_read()
        else:
            self._open_to_write()

    def _open_to_read(self) -> None:
        # While nobody writes, the main file holds all: as an immutable one it needs neither locks nor files beside it,
        # which SQLite would create otherwise.
        is_at_rest = not self._file.with_name(f"{self._file.name}-wal").exists()
        address = f"{self._file.absolute().as_uri()}?mode=ro" + ("&immutable=1" if is_at_rest else "")
        with self._explained():
            self._database = sqlite3.connect(
                address, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False
            )
            self._database.execute("PRAGMA temp_store = MEMORY")
            lacking = [column for since, column in _LACKING.items() if self._version() <= since]
            if lacking:
                columns = ", ".join(["*", *lacking])
                self._database.execute(f"CREATE TEMP VIEW photos AS SELECT {columns} FROM main.photos")

    def _open_to_write(self) -> None:
        file = self._file
        with self._explained():
            self._database = sqlite3.connect(file, timeout=_WAIT_SECONDS, check_same_thread=False)
            self._database.isolation_level = None
            (mode,) = self._database.execute("PRAGMA journal_mode = WAL").fetchone()
            self._database.execute("PRAGMA synchronous = FULL")
            self._create()
        if mode != "wal":
            msg = (
                f"{file}: this disk cannot hold a journal; set PICO_LIBRARY_HOME to a folder on a local disk"
            )
            raise JournalError(msg)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_run(self, mode: str, roots: Iterable[Path], settings: Mapping[str, Any]) -> int:
        """Begin a run and return its number. Runs that were still going when their process died end here."""
        values = (
            time.time(),
            mode,
            json.dumps([str(root.absolute()) for root in roots]),
            json.dumps(settings),
        )
        with self._writing() as database:
            database.execute("UPDATE runs SET state = 'interrupted' WHERE state = 'running'")
            added = database.execute(
                "INSERT INTO runs (started, state, mode, roots, settings) VALUES (?, 'running', ?, ?, ?)",
                values,
            )
        return int(added.lastrowid or 0)

    def finish_run(self, run: int, state: str = "finished") -> None:
        """Note how a run ended."""
        with self._writing() as database:
            database.execute(
                "UPDATE runs SET finished = ?, state = ? WHERE id = ?", (time.time(), state, run)
            )

    def record(self, *records: Record) -> None:
        """Add what became of photos, in place of what the same run said of them before. Durable on return."""
        marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
        with self._writing() as database:
            database.executemany(
                f"INSERT OR REPLACE INTO photos ({_COLUMNS}) VALUES ({marks})", map(_row, records)
            )

    def seen(self) -> dict[str, Seen]:
        """The newest record of every photo, in short."""
        query = "SELECT path, outcome, reason, settings, size, mtime_ns, target, max(run) FROM photos GROUP BY path"
        with self._explained(), self._lock:
            rows = self._database.execute(query).fetchall()
        decode = os.fsdecode
        return {
            decode(path): Seen(outcome, reason, settings, size, int(mtime), target and decode(target))
            for path, outcome, reason, settings, size, mtime, target, _ in rows
        }

    def newest(self, path: Path) -> Record | None:
        """The newest record of a photo."""
        query = f"SELECT {_COLUMNS} FROM photos WHERE path = ? ORDER BY run DESC LIMIT 1"
        return next(self._read(query, _stored(path)), None)

    def newest_made(self, path: Path) -> Record | None:
        """The newest record of a photo in a run that had its .pico file verified, whatever later runs failed at."""
        query = (
            f"SELECT {_COLUMNS} FROM photos WHERE path = ? AND digest IS NOT NULL AND target_digest IS NOT NULL "
            "ORDER BY run DESC LIMIT 1"
        )
        return next(self._read(query, _stored(path)), None)

    def photos(self, run: int) -> list[Record]:
        """What a run did, in the order of the paths."""
        return list(self._read(f"SELECT {_COLUMNS} FROM photos WHERE run = ? ORDER BY path", run))

    def leaving(self) -> list[Record]:
        """Photos whose original was about to leave when a run was cut off."""
        return list(self._read(f"SELECT {_COLUMNS} FROM photos WHERE original = 'leaving' ORDER BY path"))

    def by_target(self, target: Path) -> Record | None:
        """The newest record of the photo that became this .pico file."""
        query = (
            f"SELECT {_COLUMNS} FROM photos WHERE target = ? AND outcome = 'saved' ORDER BY run DESC LIMIT 1"
        )
        return next(self._read(query, _stored(target)), None)

    def by_digest(self, digest: bytes) -> Record | None:
        """The newest record of a photo with this SHA-256 that became a .pico file."""
        query = (
            f"SELECT {_COLUMNS} FROM photos WHERE digest = ? AND outcome = 'saved' AND target_digest IS NOT NULL "
            "ORDER BY run DESC LIMIT 1"
        )
        return next(self._read(query, digest), None)

    def damage(self) -> str | None:
        """What is lost or contradicts itself in the file, in one line; None if nothing. Reading need not notice it."""
        with self._explained(), self._lock:
            (found,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
        return None if found == "ok" else " ".join(found.split())

    def files_below(self, folder: Path) -> list[str]:
        """The .pico files and archived originals that runs have put into a folder or those below it."""
        start = os.path.join(os.fsencode(folder), b"")  # noqa: PTH118 (bytes)
        query = (
            "SELECT target FROM photos WHERE outcome = 'saved' AND substr(target, 1, ?1) = ?2 UNION "
            "SELECT original_at FROM photos WHERE original = 'archived' AND substr(original_at, 1, ?1) = ?2"
        )
        with self._explained(), self._lock:
            return [os.fsdecode(path) for (path,) in self._database.execute(query, (len(start), start))]

    def runs(self) -> list[RunSummary]:
        """All runs, the oldest first."""
        with self._explained(), self._lock:
            runs = self._database.execute(
                "SELECT id, started, finished, state, mode, roots, settings FROM runs ORDER BY id"
            ).fetchall()
            counts: dict[int, dict[Outcome, int]] = {}
            sizes: dict[int, tuple[int, int]] = {}
            for run, outcome, count, before, after in self._database.execute(
                "SELECT run, outcome, count(*), sum(before), sum(after) FROM photos GROUP BY run, outcome"
            ):
                counts.setdefault(run, {})[Outcome(outcome)] = count
                if outcome == Outcome.SAVED:
                    sizes[run] = (before or 0, after or 0)
        return [_summary(row, counts.get(row[0], {}), sizes.get(row[0], (0, 0))) for row in runs]

    def standing(self) -> Iterator[Record]:
        """The newest record of every photo, its newest as shrunk, and those of originals elsewhere; by path and run."""
        later = "path = one.path AND run > one.run AND (outcome = 'saved' OR one.outcome <> 'saved')"
        query = (
            f"SELECT {_COLUMNS} FROM photos AS one WHERE original IN ('leaving', 'trashed', 'archived') "
            f"OR NOT EXISTS (SELECT 1 FROM photos WHERE {later}) ORDER BY path, run"
        )
        return self._read(query)

    def _version(self) -> int:
        version: int
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            msg = f"{self._file}: was written by a later version; upgrade pillow-pico"
            raise JournalError(msg)
        return version

    def _create(self) -> None:
        if self._version() < VERSION:
            with self._writing() as database:
                (version,) = database.execute(
                    "PRAGMA user_version"
                ).fetchone()  # two may have come here at once
                newer = [
                    change for number in range(version, VERSION) if number for change in _CHANGES[number]
                ]
                for statement in newer if version else _SCHEMA.split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._explained(), self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _read(self, query: str, *values: object) -> Iterator[Record]:
        with self._explained(), self._lock:
            rows = self._database.execute(query, values).fetchall()
        try:
            return iter([_record(row) for row in rows])
        except (ValueError, TypeError) as error:
            msg = f"{self._file}: the journal is damaged; move it away, and run again: .pico files that exist are found"
            raise JournalError(msg) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            what = "is damaged; move it away, and" if isinstance(error, sqlite3.DatabaseError) else "failed;"
            if isinstance(error, sqlite3.OperationalError):
                what = "cannot be written; see that the disk has room and the file is yours, and"
            msg = f"{self._file}: the journal {what} run again: .pico files that exist are found ({error})"
            raise JournalError(msg) from error


def _stored(path: Path | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def _loaded(value: bytes | None) -> Path | None:
    return None if value is None else Path(os.fsdecode(value))


def _text(words: str | None) -> str | None:
    """Words that may hold the name of a file, which need not be text; SQLite takes nothing else."""
    return None if words is None else words.encode(errors="backslashreplace").decode()


def _row(record: Record) -> tuple[object, ...]:
    identity = record.identity
    return (
        record.run,
        _stored(record.path),
        _signed(identity.device),
        _signed(identity.inode),
        identity.size,
        _storable(identity.mtime_ns),
        record.digest,
        record.outcome,
        _text(record.reason),
        record.settings,
        record.before,
        record.after,
        record.quality,
        record.score,
        record.similarity,
        json.dumps(record.crop) if record.crop else None,
        _stored(record.target),
        record.target_digest,
        record.wrote,
        record.original,
        _stored(record.original_at),
        time.time(),
        record.kind,
        _MEASURE,
    )


def _record(row: tuple[Any, ...]) -> Record:
    run, path, device, inode, size, mtime_ns, digest, outcome, reason, settings, *rest = row
    (
        before,
        after,
        quality,
        score,
        similarity,
        crop,
        target,
        target_digest,
        wrote,
        original,
        at,
        recorded,
        kind,
        measure,
    ) = rest
    if measure != _MEASURE:
        score = similarity = kind = None
    return Record(
        path=Path(os.fsdecode(path)),
        identity=Identity(device, inode, size, int(mtime_ns)),
        outcome=Outcome(outcome),
        reason=reason,
        settings=settings or "",
        digest=digest,
        before=before,
        after=after,
        quality=quality,
        score=score,
        similarity=similarity,
        kind=kind,
        crop=tuple(json.loads(crop)) if crop else None,
        target=_loaded(target),
        target_digest=target_digest,
        wrote=None if wrote is None else bool(wrote),
        original=Original(original),
        original_at=_loaded(at),
        run=run,
        recorded=recorded,
    )


def _summary(row: tuple[Any, ...], counts: Mapping[Outcome, int], sizes: tuple[int, int]) -> RunSummary:
    number, started, finished, state, mode, roots, settings = row
    paths = tuple(Path(root) for root in json.loads(roots))
    return RunSummary(number, started, finished, state, mode, paths, json.loads(settings), counts, *sizes)


def _storable(number: int) -> int | bytes:
    """A time in nanoseconds as SQLite can hold it: of years after 2262 and before 1677 as the digits in ASCII."""
    return number if -(1 << 63) <= number < 1 << 63 else str(number).encode()


def _signed(number: int) -> int:
    """File numbers of 64 bits without sign, as some systems give, in the signed ones of SQLite."""
    return number - (1 << 64) if number >= 1 << 63 else number
