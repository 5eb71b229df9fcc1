"""What a run of `shrink` did: for people, as JSON and as CSV."""

from __future__ import annotations

import argparse
import csv
import functools
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, plural, print_exactly, printable
from pico_library.model.reasons import Reason
from pico_library.model.records import Original, Outcome, Record
from pico_library.model.settings import Mode, Settings
from pico_library.report.accounts import Account, account_of
from pico_library.report.facts import PHOTO_COLUMNS
from pico_library.report.table import left_alone, savings_table, size, unlike
from pico_library.report.words import look_in_words, worst_in_words
from pico_library.run.plan import Plan
from pico_library.store.whereabouts import Now

_MOST_NAMED = 8


class Summary:
    """What has happened so far."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self.plan = plan
        self.settings = settings
        self.records: list[Record] = []
        self.interrupted = False
        self.seconds = 0.0
        self.run: int | None = None

    def of(self, outcome: Outcome) -> list[Record]:
        """The photos of this run with that outcome."""
        return [record for record in self.records if record.outcome is outcome]

    @property
    def reasons(self) -> list[str]:
        """Why files were left alone, one for each."""
        return [reason for reason, _ in self.left_alone]

    @property
    def left_alone(self) -> list[tuple[str, int | None]]:
        """Why files were left alone, and their sizes."""
        found = [(str(skipped.reason), skipped.size) for skipped in self.plan.found.skipped]
        return found + [(record.reason or "", record.before) for record in self.of(Outcome.SKIPPED)]

    @functools.cached_property
    def account(self) -> Account:
        """What the photos take and took, once all is done."""
        return account_of(self.of(Outcome.SAVED))

    @property
    def exit_code(self) -> int:
        """What the command returns."""
        if self.interrupted:
            return INTERRUPTED
        if self.of(Outcome.FAILED) or self.plan.found.problems:
            return FAILED
        return FINE if self.plan.photos else NOTHING


def print_summary(summary: Summary, arguments: argparse.Namespace) -> None:
    """Print it in the form that was asked for."""
    if arguments.json:
        print(json.dumps(_as_json(summary), indent=2))
    elif arguments.csv:
        print_exactly(_as_csv(summary))
    else:
        _print_for_people(summary)


def _print_for_people(summary: Summary) -> None:
    plan, saved, failed = summary.plan, summary.of(Outcome.SAVED), summary.of(Outcome.FAILED)
    if not plan.photos:
        _print_nothing_to_do(plan)
    elif saved:
        print(savings_table(saved))
    else:
        print("No photo was shrunk.")
    if summary.left_alone:
        print(f"\n{left_alone(summary.left_alone)}")
        if told := unlike(summary.of(Outcome.SKIPPED)):
            print(f"\n{told}\n")
        print(f"By name: {_where_named(summary)}")
    programs = [one.path for one in plan.found.skipped if one.reason == Reason.PROGRAM_FOLDER]
    if programs:
        print(f"\nFolders of programs, not looked into: {_named(programs)}.")
    if plan.photos and plan.absent:
        for root, count in plan.absent.items():
            photos = plural(count, "photo")
            print(
                f"\nNothing found below {printable(str(root))}, but the journal knows {photos} there: "
                "is a disk missing?"
            )
    if plan.photos and plan.unchanged:
        print(f"\n{plural(plan.unchanged, 'photo')} more: as an earlier run left them.")
    if failed:
        print(f"\nFailed {len(failed):,}: see the messages above.")
    if summary.interrupted:
        print("\nStopped early; run the same command again to go on.")
    print(f"\n{_what_happened(summary)} Took {summary.seconds:.0f} s.")


def _named(paths: Sequence[Path]) -> str:
    """Some paths by name, and how many more there are."""
    names = [printable(str(path)) for path in paths[:_MOST_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _where_named(summary: Summary) -> str:
    if summary.run is None:
        return "say the same with --csv"
    return f"pico-library report {summary.run} --csv, or --html FILE"


def _print_nothing_to_do(plan: Plan) -> None:
    if plan.absent:
        print(
            f"Nothing found, but the journal knows {plural(sum(plan.absent.values()), 'photo')} here: "
            "is a disk missing? Or do --include and --exclude leave none? Nothing was forgotten."
        )
    elif plan.unchanged:
        print(f"Nothing to do: {plural(plan.unchanged, 'photo')}, all as an earlier run left them.")
    else:
        print("Nothing to do: no photos were found.")


def _what_happened(summary: Summary) -> str:
    saved = summary.of(Outcome.SAVED)
    if summary.settings.dry_run:
        would = f" Without the originals {size(summary.account.originals)} would be freed." if saved else ""
        return f"Nothing was written: this was a dry run.{would}"
    gone = [record for record in summary.records if record.original not in (Original.KEPT, Original.LEAVING)]
    told = [summary.account.what_is_free()] if saved else []
    if gone:
        where = {
            Mode.REPLACE: "in the Trash",
            Mode.ARCHIVE: f"in {printable(str(summary.settings.archive))}",
            Mode.DELETE: "removed for good",
        }[summary.settings.mode]
        told.append(f"{plural(len(gone), 'original')} {'is' if len(gone) == 1 else 'are'} {where}.")
        if summary.settings.mode is not Mode.DELETE:
            told.append(f"To put {'it' if len(gone) == 1 else 'them'} back: pico-library undo {summary.run}.")
    elif saved and set(summary.account.places) == {Now.IN_PLACE}:
        told.append("All of these originals are unchanged.")
    else:
        told.append("No original was moved or changed.")
    return " ".join(told)


def _as_csv(summary: Summary) -> str:
    stream = io.StringIO()
    table = csv.DictWriter(stream, PHOTO_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(_files(summary))
    return stream.getvalue()


def _as_json(summary: Summary) -> dict[str, Any]:
    saved = summary.of(Outcome.SAVED)
    return {
        "run": summary.run,
        "mode": summary.settings.mode,
        "dry_run": summary.settings.dry_run,
        "exit_code": summary.exit_code,
        "seconds": round(summary.seconds, 3),
        "saved": len(saved),
        "failed": len(summary.of(Outcome.FAILED)),
        "skipped": {reason: summary.reasons.count(reason) for reason in sorted(set(summary.reasons))},
        "unchanged": summary.plan.unchanged,
        **summary.account.as_json(),
        "photos": list(_files(summary)),
    }


def _files(summary: Summary) -> Iterator[dict[str, Any]]:
    """Every file that something became of, or that was left alone for a reason; not those that are as they were."""
    for one in summary.records:
        about = (one.outcome, one.reason, one.before, one.after, one.quality)
        look = (one.score, one.similarity, look_in_words(one), worst_in_words(one))
        target = str(one.target) if one.target else None
        yield dict(zip(PHOTO_COLUMNS, (str(one.path), *about, *look, target), strict=True))
    for skipped in summary.plan.found.skipped:
        yield dict.fromkeys(PHOTO_COLUMNS) | {
            "path": str(skipped.path),
            "outcome": Outcome.SKIPPED,
            "reason": str(skipped.reason),
            "before": skipped.size,
        }
