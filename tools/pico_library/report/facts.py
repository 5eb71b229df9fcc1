"""The facts of a report: one run, or the newest state of every photo that the journal knows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pico_library.journal import Journal, Outcome, Record, RunSummary

COLUMNS = (
    "path",
    "outcome",
    "reason",
    "before",
    "after",
    "quality",
    "score",
    "similarity",
    "target",
    "original",
    "run",
)


@dataclass(frozen=True)
class Report:
    """Photos by what became of them; `run` is None if the report is about all of them."""

    saved: Sequence[Record]
    skipped: Sequence[Record]
    failed: Sequence[Record]
    run: RunSummary | None

    @property
    def before(self) -> int:
        """Bytes of the originals of the photos that were shrunk."""
        return sum(record.before or 0 for record in self.saved)

    @property
    def after(self) -> int:
        """Bytes of their .pico files."""
        return sum(record.after or 0 for record in self.saved)

    @property
    def records(self) -> list[Record]:
        """All photos, in the order of their paths."""
        return sorted((*self.saved, *self.skipped, *self.failed), key=lambda record: record.path)

    def by_reason(self) -> dict[str, list[Path]]:
        """The files that were left alone, by the reason, the most frequent first."""
        return grouped(self.skipped)

    def worst(self, count: int) -> list[Record]:
        """The photos that look least like their originals, by the score of their worst crop."""
        scored = [record for record in self.saved if record.score]
        return sorted(scored, key=lambda record: -(record.score or 0))[:count]


def grouped(records: Sequence[Record]) -> dict[str, list[Path]]:
    """The paths of photos by the reason, the most frequent first."""
    groups: dict[str, list[Path]] = {}
    for record in sorted(records, key=lambda record: record.path):
        groups.setdefault(record.reason or "unknown", []).append(record.path)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def gather(journal: Journal, run: int | None) -> Report | None:
    """The facts of a run, or of all photos; None if there is no such run."""
    summary = next((one for one in journal.runs() if one.number == run), None)
    if run is not None and summary is None:
        return None
    records = journal.photos(run) if run is not None else list(journal.known().values())
    by_outcome: dict[Outcome, list[Record]] = {outcome: [] for outcome in Outcome}
    for record in records:
        by_outcome[record.outcome].append(record)
    return Report(by_outcome[Outcome.SAVED], by_outcome[Outcome.SKIPPED], by_outcome[Outcome.FAILED], summary)


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "run": report.run.number if report.run else None,
        "saved": len(report.saved),
        "skipped": {reason: len(paths) for reason, paths in report.by_reason().items()},
        "failed": len(report.failed),
        "bytes_before": report.before,
        "bytes_after": report.after,
        "photos": [dict(zip(COLUMNS, _row(record), strict=True)) for record in report.records],
    }


def as_csv(report: Report) -> str:
    """A line for each photo, under the names of the columns."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_row(record) for record in report.records)
    return stream.getvalue()


def _row(record: Record) -> tuple[object, ...]:
    return (
        str(record.path),
        str(record.outcome),
        record.reason,
        record.before,
        record.after,
        record.quality,
        record.score,
        record.similarity,
        str(record.target) if record.target else None,
        str(record.original),
        record.run,
    )
