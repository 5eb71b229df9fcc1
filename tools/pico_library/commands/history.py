"""Command `pico-library history`."""

from __future__ import annotations

import argparse
import json
import time

from pico_library.console import FINE, NOTHING
from pico_library.model.records import Outcome, RunSummary
from pico_library.report.table import layout, share, size
from pico_library.store import places
from pico_library.store.journal import Journal


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each run, the newest last."""
    with Journal(places.journal_file()) as journal:
        runs = journal.runs()
    if arguments.json:
        print(json.dumps([_facts(one) for one in runs], indent=2))
    elif runs:
        heading = (
            "run  started",
            "mode",
            "state",
            "shrunk",
            "skipped",
            "failed",
            "originals",
            ".pico",
            "smaller",
        )
        print(layout(heading, [_row(one) for one in runs]))
    else:
        print("There has been no run.")
    return FINE if runs else NOTHING


def _row(one: RunSummary) -> tuple[str, ...]:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.started))
    counts = [
        f"{one.counts.get(outcome, 0):,}" for outcome in (Outcome.SAVED, Outcome.SKIPPED, Outcome.FAILED)
    ]
    return (
        f"{one.number:3}  {started}",
        one.mode,
        one.state,
        *counts,
        size(one.before),
        size(one.after),
        share(one.before, one.after),
    )


def _facts(one: RunSummary) -> dict[str, object]:
    return {
        "run": one.number,
        "started": one.started,
        "finished": one.finished,
        "state": one.state,
        "mode": one.mode,
        "roots": [str(root) for root in one.roots],
        "settings": dict(one.settings),
        "counts": {str(outcome): count for outcome, count in one.counts.items()},
        "bytes_before": one.before,
        "bytes_after": one.after,
    }
