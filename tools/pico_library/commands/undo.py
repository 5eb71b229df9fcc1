"""Command `pico-library undo`."""

from __future__ import annotations

import argparse
from collections import Counter

from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, USAGE, complain, plural
from pico_library.store import places

DESCRIPTION = """Take back a run, or several runs, the newest first. `pico-library history` lists their numbers.
Originals come back from the Trash or the archive. Then the .pico files that the run wrote are removed, unless
somebody changed them."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument("runs", metavar="RUN", type=_runs, help="number of a run, or several: 3-9")


def run(arguments: argparse.Namespace) -> int:
    """Undo, and say what could not be."""
    from pico_library.commands.progress import OneByOne
    from pico_library.run.plan import finish_interrupted
    from pico_library.run.undo import to_undo, undo
    from pico_library.store.journal import Journal
    from pico_library.store.run_lock import alone

    asked: range = arguments.runs
    name = f"run {asked.start}" if asked.stop == asked.start + 1 else f"runs {asked.start}-{asked.stop - 1}"
    with alone(), Journal(places.journal_file()) as journal:
        if (damage := journal.damage()) is not None:
            what = (
                f"is damaged ({damage}), so that photos may be missing from what is undone now; keep a copy of it, "
                "and look for further originals in the Trash or the archive"
            )
            complain(places.journal_file(), what)
        # The newest first: an original returns from where it went last.
        numbers = [one.number for one in reversed(journal.runs()) if one.number in asked]
        if not numbers:
            complain(name, "there is no such run; `pico-library history` lists them")
            return USAGE
        finish_interrupted(journal)
        records = [record for number in numbers for record in to_undo(journal, number)]
        left = Counter(record.run for record in records)
        back = problems = 0
        done = set()
        with OneByOne("photo") as work:
            for record in work.through(records):
                photo = undo(journal, record)
                if photo.problem is not None:
                    problems += 1
                    complain(record.path, photo.problem)
                    continue
                done.add(record.path)
                back += photo.back
                left[record.run] -= 1
                if not left[record.run]:
                    journal.finish_run(record.run, "undone")
    if not done and not problems and not work.interrupted:
        print(f"Nothing to undo in {name}.")
        return NOTHING if damage is None else FAILED
    print(
        f"Undid {plural(len(done), 'photo')} of {name}; {plural(back, 'original')} brought back.{work.ending}"
    )
    if work.interrupted:
        return INTERRUPTED
    return FAILED if problems or damage is not None else FINE


def _runs(text: str) -> range:
    """The numbers that `7` or `3-9` stand for."""
    first, hyphen, last = text.partition("-")
    try:
        runs = range(int(first), int(last if hyphen else first) + 1)
    except ValueError:
        runs = range(0)
    if not runs:
        msg = f"{text!r} is no number of a run, as in 7 or 3-9"
        raise argparse.ArgumentTypeError(msg)
    return runs
