"""Command `pico-library status`."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from pico_library import places
from pico_library.console import FINE, NOTHING, plural
from pico_library.journal import Journal, Original, Outcome
from pico_library.table import share, size


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what the journal knows in all, and whether a run is at work."""
    from pico_library.session import BusyError, alone

    file = places.journal_file()
    with Journal(file) as journal:
        known = journal.known().values()
        runs = journal.runs()
    try:
        with alone():
            at_work = False
    except BusyError:
        at_work = True
    saved = [record for record in known if record.outcome is Outcome.SAVED]
    outcomes = Counter(record.outcome for record in known)
    where = Counter(record.original for record in saved)
    before, after = sum(one.before or 0 for one in saved), sum(one.after or 0 for one in saved)
    if arguments.json:
        facts = {
            "journal": str(file),
            "at_work": at_work,
            "runs": len(runs),
            "photos": {str(outcome): outcomes[outcome] for outcome in Outcome},
            "originals": {str(place): where[place] for place in Original},
            "bytes_before": before,
            "bytes_after": after,
        }
        print(json.dumps(facts, indent=2))
        return FINE if known else NOTHING
    print(f"Journal:  {file} ({plural(len(runs), 'run')})")
    print(f"At work:  {'yes' if at_work else 'no'}")
    if not known:
        print("No photos yet. Begin with: pico-library shrink --dry-run FOLDER")
        return NOTHING
    print(
        f"Shrunk:   {plural(len(saved), 'photo')}, {size(before)} to {size(after)}, {share(before, after)} saved"
    )
    print(f"Skipped:  {outcomes[Outcome.SKIPPED]:,}")
    print(f"Failed:   {outcomes[Outcome.FAILED]:,}")
    places_of = ", ".join(f"{where[place]:,} {_WORDS[place]}" for place in Original if where[place])
    print(f"Originals of shrunk photos: {places_of or 'none'}")
    return FINE


_WORDS = {
    Original.KEPT: "in place",
    Original.LEAVING: "on the way (the next run finds out)",
    Original.TRASHED: "in the Trash",
    Original.ARCHIVED: "in an archive",
    Original.DELETED: "removed for good",
}
