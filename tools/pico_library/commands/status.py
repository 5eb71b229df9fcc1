"""Command `pico-library status`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pico_library.console import FINE, NOTHING, plural, printable
from pico_library.model.records import Original, Outcome
from pico_library.report.accounts import whereabouts
from pico_library.report.facts import Report, gather_all
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.store.whereabouts import Now, where_now

_MOST_NAMED = 8


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what the journal knows in all, whether a run is at work, and which watchers there are."""
    from pico_library.store.run_lock import is_at_work
    from pico_library.watch.presence import watchers

    file = places.journal_file()
    with Journal(file) as journal:
        report = gather_all(journal)
        runs = len(journal.runs())
    known = report.records or report.undone
    at_work = is_at_work()
    account = report.account
    watching = watchers()
    if arguments.json:
        facts = {
            "journal": str(file),
            "at_work": at_work,
            "watchers": [asdict(watcher) for watcher in watching],
            "runs": runs,
            "photos": {
                str(Outcome.SAVED): len(report.saved),
                str(Outcome.SKIPPED): len(report.skipped),
                str(Outcome.FAILED): len(report.failed),
                str(Outcome.UNDONE): len(report.undone),
            },
            "originals": {str(place): report.originals.get(place, 0) for place in Original},
            "originals_now": {place: account.places.get(place, (0, 0))[0] for place in Now},
            **account.as_json(),
            "orphans": [str(path) for path in _orphans(report)],
        }
        print(json.dumps(facts, indent=2))
        return FINE if known else NOTHING
    print(f"Journal:  {file} ({plural(runs, 'run')})")
    print(f"At work:  {'yes' if at_work else 'no'}")
    for watcher in watching:
        folders = ", ".join(printable(folder) for folder in watcher.folders)
        print(
            f"Watched:  {folders} (process {watcher.process}, since {watcher.since[:16].replace('T', ' ')})"
        )
    if not known:
        print("No photos yet. Begin with: pico-library shrink --dry-run FOLDER")
        return NOTHING
    print(f"Shrunk:   {plural(len(report.saved), 'photo')}; {account.smaller}")
    print(f"Skipped:  {len(report.skipped):,}")
    print(f"Failed:   {len(report.failed):,}")
    print(f"Originals now: {whereabouts(account)}")
    if report.saved:
        print(account.what_is_free())
    orphans = _orphans(report)
    if orphans:
        print("Deleted by somebody, with the .pico file still there:")
        print(*(f"  {printable(str(path))}" for path in orphans[:_MOST_NAMED]), sep="\n")
        if len(orphans) > _MOST_NAMED:
            print(f"  ... and {len(orphans) - _MOST_NAMED:,} more; status --json names all")
    return FINE


def _orphans(report: Report) -> list[Path]:
    """The .pico files of photos that no run let go, and that are gone all the same."""
    return [
        record.target
        for record in report.saved
        if record.original is Original.KEPT
        and record.target is not None
        and where_now(record) is Now.GONE
        and record.target.is_file()
    ]
