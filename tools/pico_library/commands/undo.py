"""Command `pico-library undo`."""

from __future__ import annotations

import argparse

from pico_library import places
from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, USAGE, complain, plural

DESCRIPTION = """Take a run back, by the number that `shrink` printed and `history` lists. Originals return from the
Trash or the archive; then the .pico files that the run wrote are removed, if nobody changed them since."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "number", metavar="RUN", type=int, help="the number of the run; see `pico-library history`"
    )


def run(arguments: argparse.Namespace) -> int:
    """Undo, and say what could not be."""
    from pico_library.journal import Journal
    from pico_library.plan import finish_interrupted
    from pico_library.session import alone
    from pico_library.undo import to_undo, undo
    from pico_library.walk import OneByOne

    with alone(), Journal(places.journal_file()) as journal:
        runs = {one.number: one for one in journal.runs()}
        if arguments.number not in runs:
            complain(f"run {arguments.number}", "there is no such run; `pico-library history` lists them")
            return USAGE
        finish_interrupted(journal, {number: one.mode for number, one in runs.items()})
        done = back = problems = 0
        with OneByOne("photo") as work:
            for record in work.through(to_undo(journal, arguments.number)):
                photo = undo(journal, record)
                if photo.problem is not None:
                    problems += 1
                    complain(record.path, photo.problem)
                else:
                    done += 1
                    back += photo.back
        if done and not problems and not work.left:
            journal.finish_run(arguments.number, "undone")
    if not done and not problems and not work.interrupted:
        print(f"Nothing to undo in run {arguments.number}.")
        return NOTHING
    print(
        f"Undid {plural(done, 'photo')} of run {arguments.number}; "
        f"{plural(back, 'original')} brought back.{work.ending}"
    )
    if work.interrupted:
        return INTERRUPTED
    return FAILED if problems else FINE
