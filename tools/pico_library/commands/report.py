"""Command `pico-library report`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pico_codec.files import write_whole
from pico_library import places
from pico_library.console import FINE, NOTHING, USAGE, complain, plural
from pico_library.journal import Journal
from pico_library.report.facts import Report, as_csv, as_json, gather
from pico_library.table import reasons_table, savings_table

DESCRIPTION = """What a run saved, or without RUN what all runs saved: as a table, or in the form asked for. The web
page shows totals, a histogram, what was left alone and why, and the worst photos before and after; it needs no
other file and no network."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "number", metavar="RUN", type=int, nargs="?", help="the number of a run (default: all photos)"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print a line for each photo as CSV")
    form.add_argument("--html", type=Path, metavar="FILE", help="write a web page")


def run(arguments: argparse.Namespace) -> int:
    """Print the report, or write the page."""
    with Journal(places.journal_file()) as journal:
        report = gather(journal, arguments.number)
    if report is None:
        complain(f"run {arguments.number}", "there is no such run; `pico-library history` lists them")
        return USAGE
    if arguments.json:
        print(json.dumps(as_json(report), indent=2))
    elif arguments.csv:
        sys.stdout.write(as_csv(report))
    elif arguments.html is not None:
        from pico_library.report.page import page

        write_whole(arguments.html.absolute(), page(report).encode("utf-8", "replace"), overwrite=True)
        print(f"Wrote {arguments.html}")
    else:
        _print(report)
    return FINE if report.records else NOTHING


def _print(report: Report) -> None:
    print(savings_table(report.saved) if report.saved else "No photo was shrunk.")
    if report.skipped:
        reasons = [record.reason or "" for record in report.skipped]
        print(f"\nSkipped {len(reasons):,}:\n{reasons_table(reasons)}")
    if report.failed:
        print(f"\nFailed: {plural(len(report.failed), 'photo')}")
        for record in report.failed:
            print(f"  {record.path}: {record.reason}")
