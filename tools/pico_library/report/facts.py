"""The facts of a report: of one run, or of every photo that the journal knows."""

from __future__ import annotations

import csv
import functools
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pico_library.model.records import Original, Outcome, Record, RunSummary
from pico_library.report.accounts import Account, account_of
from pico_library.report.words import look_in_words, worst_in_words
from pico_library.store.journal import Journal

PHOTO_COLUMNS = (  # what a run knows of a photo
    "path",
    "outcome",
    "reason",
    "before",
    "after",
    "quality",
    "score",
    "similarity",
    "difference",
    "worst_place",
    "target",
)
COLUMNS = (*PHOTO_COLUMNS, "original", "run")
_ELSEWHERE = frozenset({Original.LEAVING, Original.TRASHED, Original.ARCHIVED})


@dataclass(frozen=True)
class Report:
    """Photos by what became of them; `run` is None if the report is about all of them.

    Then a photo that was shrunk, and that a later run left alone or failed at, is in both lists. `elsewhere` are the
    records of originals, besides those of `saved`, that lie in an archive or the Trash or may be on the way there:
    another photo has taken their place since, or their run failed.
    """

    saved: Sequence[Record]
    skipped: Sequence[Record]
    failed: Sequence[Record]
    run: RunSummary | None
    undone: Sequence[Record] = ()
    elsewhere: Sequence[Record] = ()

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
        """All photos, in the order of their paths, and of the runs that have something to say of the same one."""
        return sorted(
            (*self.saved, *self.skipped, *self.failed), key=lambda record: (record.path, record.run)
        )

    @property
    def originals(self) -> Mapping[Original, int]:
        """How many originals of photos that were shrunk are where, by the journal."""
        found = Counter(record.original for record in (*self.saved, *self.elsewhere))
        return {place: found[place] for place in Original if found[place]}

    @functools.cached_property
    def account(self) -> Account:
        """What the photos take and took; the disk is looked at for where originals are now."""
        return account_of(self.saved, self.elsewhere)

    def by_reason(self) -> dict[str, list[Record]]:
        """The files that were left alone, by the reason, the most frequent first."""
        return grouped(self.skipped)

    def worst(self, count: int) -> list[Record]:
        """The photos that look least like their originals, by the strength of their worst place."""
        scored = [record for record in self.saved if record.score]
        return sorted(scored, key=lambda record: -(record.score or 0))[:count]


def grouped(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Photos by the reason, the most frequent first."""
    groups: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.path):
        groups.setdefault(record.reason or "unknown", []).append(record)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def gather(journal: Journal, run: int | None) -> Report | None:
    """The facts of a run, or of all photos; None if there is no such run."""
    if run is None:
        return gather_all(journal)
    summary = next((one for one in journal.runs() if one.number == run), None)
    if summary is None:
        return None
    lists = _by_outcome(journal.photos(run))
    failed = lists[Outcome.FAILED]
    leaving = [one for one in failed if one.original in _ELSEWHERE]
    return Report(lists[Outcome.SAVED], lists[Outcome.SKIPPED], failed, summary, elsewhere=leaving)


def gather_all(journal: Journal) -> Report:
    """The facts of all photos."""
    last, saved, elsewhere = [], [], []
    for _, group in itertools.groupby(journal.standing(), key=lambda record: record.path):
        records = list(group)
        shrunk, others = _shrunk_and_elsewhere(records)
        saved += [] if shrunk is None else [shrunk]
        elsewhere += others
        last.append(records[-1])
    lists = _by_outcome(last)
    return Report(
        saved, lists[Outcome.SKIPPED], lists[Outcome.FAILED], None, lists[Outcome.UNDONE], elsewhere
    )


def _by_outcome(records: Iterable[Record]) -> dict[Outcome, list[Record]]:
    lists: dict[Outcome, list[Record]] = {outcome: [] for outcome in Outcome}
    for record in records:
        lists[record.outcome].append(record)
    return lists


def _shrunk_and_elsewhere(records: Sequence[Record]) -> tuple[Record | None, list[Record]]:
    """How a photo was shrunk the last time, if it was, and a record for each further original that is elsewhere."""
    away = [one for one in records if one.original in _ELSEWHERE]
    places = {one.original_at or one.digest: one for one in away}
    shrunk = next((one for one in reversed(records) if one.outcome is Outcome.SAVED), None)
    if shrunk is None:
        return None, list(places.values())
    for one in away:
        if one.run > shrunk.run and one.digest == shrunk.digest:  # the run failed while this original left
            shrunk = shrunk.with_original(one.original, one.original_at)
    places.pop(shrunk.original_at or shrunk.digest, None)
    return shrunk, list(places.values())


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "run": report.run.number if report.run else None,
        "saved": len(report.saved),
        "skipped": {reason: len(records) for reason, records in report.by_reason().items()},
        "bytes_skipped": sum(record.before or 0 for record in report.skipped),
        "failed": len(report.failed),
        **report.account.as_json(),
        "originals": {str(place): report.originals.get(place, 0) for place in Original},
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
        look_in_words(record),
        worst_in_words(record),
        str(record.target) if record.target else None,
        str(record.original),
        record.run,
    )
