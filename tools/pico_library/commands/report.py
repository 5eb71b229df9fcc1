"""Command `pico-library report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pico_codec.files import OutputError, check_output, write_whole
from pico_library.arguments import Instead, path_of
from pico_library.commands.options import add_form
from pico_library.console import FAILED, FINE, NOTHING, USAGE, complain, print_exactly, printable
from pico_library.report.facts import Report, as_csv, as_json, gather
from pico_library.report.table import left_alone, savings_table, unlike
from pico_library.report.words import in_words
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.store.paths import exists

DESCRIPTION = """Show what a run saved. Without RUN, show what all runs saved. The web page shows totals, a
histogram, which photos were left alone and why, and the photos with the largest differences, before and after. The
page is one file and needs no network."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "number", metavar="RUN", type=int, nargs="?", help="number of a run (default: all runs)"
    )
    form = command.add_mutually_exclusive_group()
    add_form(form, "json", "print JSON", csv=False, html=None)
    add_form(form, "csv", "print a line for each photo as CSV", json=False, html=None)
    form.add_argument(
        "--html",
        action=Instead,
        aside={"json": False, "csv": False},
        type=path_of,
        metavar="FILE",
        help="write a web page",
    )


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
        print_exactly(as_csv(report))
    elif arguments.html is not None:
        return _write_page(report, arguments.html)
    else:
        _print(report)
    return FINE if report.records else NOTHING


def _write_page(report: Report, target: Path) -> int:
    from pico_library.report.page import is_page, page

    try:
        # Before the work, which takes a moment; a name without a folder, or of one, comes to nothing.
        exists(target)  # or a link that leads to itself would raise what is no error of ours
        real = check_output(target.absolute(), overwrite=True)
        if real.exists() and not is_page(real):
            complain(target, "exists already, and is no page of this command; choose another name")
            return FAILED
        write_whole(real, page(report).encode("utf-8", "replace"), overwrite=True)
    except OutputError as error:
        complain(target, str(error))
        return FAILED
    print(f"Wrote {printable(str(target))}")
    return FINE if report.records else NOTHING


def _print(report: Report) -> None:
    if report.saved:
        print(f"{savings_table(report.saved)}\n\n{report.account.what_is_free()}")
    else:
        print("No photo was shrunk.")
    if report.skipped:
        print(f"\n{left_alone([(record.reason or '', record.before) for record in report.skipped])}")
        if told := unlike(report.skipped):
            print(f"\n{told}\n")
        print("By name: pico-library report --csv, or --html FILE")
    if report.failed:
        print(f"\nFailed {len(report.failed):,}:")
        for record in report.failed:
            print(f"  {printable(str(record.path))}: {in_words(record.reason)}")
