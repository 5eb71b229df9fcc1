"""Command `pico-library shrink`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pico_library.arguments import Flag
from pico_library.cluster.request import DASK, LOCAL, objection
from pico_library.commands.consent import is_given, what_becomes_of_originals
from pico_library.commands.options import (
    add_form,
    add_load,
    add_look,
    add_update,
    add_where,
    add_which,
    by,
    choice_of,
    settings_of,
)
from pico_library.commands.summary import Summary, print_summary
from pico_library.console import (
    FINE,
    INTERRUPTED,
    NOTHING,
    USAGE,
    WEIGHTS_MAY_CHANGE,
    complain,
    plural,
)
from pico_library.model.records import Outcome, Record
from pico_library.model.settings import Settings
from pico_library.model.url import location
from pico_library.report.table import size
from pico_library.run.plan import Plan
from pico_library.store import destinations, places
from pico_library.store.free_space import full_place
from pico_library.store.journal import Journal
from pico_library.store.paths import exists

if TYPE_CHECKING:
    from pico_library.run.session import Session

DESCRIPTION = f"""Write IMG_1.jpg.pico beside every IMG_1.jpg. PATH can be a JPEG, HEIC, PNG, WebP or TIFF picture,
or a folder. Originals stay as they are. Only --replace, --archive and --delete-originals move or remove them. A
second process decodes each .pico file and compares it with the original before the file counts.

{WEIGHTS_MAY_CHANGE}"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=by(location), nargs="+", help="photos and folders of photos"
    )
    add_where(command, by(location))
    add_look(command)
    add_which(command)
    how = command.add_argument_group("how")
    how.add_argument(
        "--dry-run", action="store_true", help="encode everything and show what it saves, but write nothing"
    )
    how.add_argument(
        "--estimate", action="store_true", help="encode only a sample, and say how much you would save"
    )
    add_update(how)
    add_load(how)
    how.add_argument(
        "--engine",
        type=_engine,
        default=LOCAL,
        metavar="NAME",
        help="local (default): processes on this computer; dask: workers of a cluster",
    )
    how.add_argument(
        "--scheduler", metavar="ADDRESS", help="address of the dask scheduler, for example tcp://host:8786"
    )
    how.add_argument("--wait", action=Flag, help="wait if another run is at work")
    how.add_argument("--yes", action="store_true", help="do not ask before originals are moved or removed")
    output = how.add_mutually_exclusive_group()
    add_form(output, "json", "print the result as JSON", csv=False)
    add_form(output, "csv", "print a line for each file as CSV", json=False)


def run(arguments: argparse.Namespace) -> int:
    """Shrink, show progress, and print what became of the photos."""
    started = time.monotonic()
    settings = replace(settings_of(arguments), dry_run=arguments.dry_run or arguments.estimate)
    if (problem := objection(arguments, settings)) is not None:
        complain(f"--engine {arguments.engine}", problem)
        return USAGE
    for path in arguments.paths:
        if not exists(path):
            complain(
                path, "there is no such file or folder; check the spelling, and that its disk is connected"
            )
            return USAGE
        if (refused := destinations.objection(path, settings)) is not None:
            complain(*refused)
            return USAGE
    choice = choice_of(arguments, settings)
    with _open(arguments, settings) as session:
        plan = session.plan(arguments.paths, choice)
        for path, error in plan.found.problems:
            complain(path, f"cannot be looked into ({error.strerror}); see that you may read it")
        for option, patterns in (("--include", choice.include), ("--exclude", choice.exclude)):
            for pattern in patterns:
                if pattern not in plan.found.used:
                    complain(f"{option} {pattern}", "fits nothing here; check the spelling")
        if arguments.estimate:
            return _print_estimate(plan, settings, arguments)
        if plan.photos and settings.mode.lets_go and not _agreed(arguments, plan, settings):
            return USAGE
        summary = Summary(plan, settings)
        with _ctrl_c_told(session, arguments.engine):
            try:
                _work(session.process(plan, arguments.jobs), summary)
            except KeyboardInterrupt:
                summary.interrupted = True
        summary.seconds = time.monotonic() - started
        summary.run = session.run
    if summary.interrupted:
        _add_the_last(summary)
    print_summary(summary, arguments)
    return summary.exit_code


def _print_estimate(plan: Plan, settings: Settings, arguments: argparse.Namespace) -> int:
    from pico_library.run.estimate import estimate

    shape = "{percentage:3.0f} % |{bar:24}| {n_fmt} of a sample of {total_fmt} photos"
    with tqdm(total=1, bar_format=shape, disable=None, leave=False, dynamic_ncols=True) as progress:

        def told(done: int, count: int) -> None:
            progress.total, progress.n = count, done
            progress.refresh()

        found = estimate(plan.photos, settings, told=told)
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    elif found.low is None or found.high is None:
        print("Nothing to estimate: no photos to shrink were found, or too few could be read.")
    else:
        low, high = sorted((found.size * (1 - found.high), found.size * (1 - found.low)))
        share = f"{100 * found.low:.0f} to {100 * found.high:.0f} %"
        sizes = f"{size(int(low))} to {size(int(high))}"
        if f"{100 * found.low:.0f}" == f"{100 * found.high:.0f}":
            share, sizes = f"{100 * found.low:.0f} %", size(int(low + high) // 2)
        print(
            f"{plural(found.photos, 'photo')} of {size(found.size)}, {found.encoded:,} of them encoded as a sample: "
            f"about {share} smaller, .pico files of {sizes}. Nothing was written."
        )
    return FINE if found.low is not None else NOTHING


def _open(arguments: argparse.Namespace, settings: Settings) -> AbstractContextManager[Session]:
    if arguments.engine == DASK:
        from pico_library.cluster.session import open_session as open_on_cluster

        return open_on_cluster(settings, scheduler=arguments.scheduler, wait=arguments.wait)
    from pico_library.run.session import open_session

    return open_session(settings, wait=arguments.wait)


@contextlib.contextmanager
def _ctrl_c_told(session: Session, engine: str) -> Iterator[None]:
    """Say at Ctrl-C what is waited for, and let another one end this process at once.

    Then no photo is worse off than after a power cut. Workers of a cluster have to be sent away before.
    """

    def tell() -> None:
        if engine == LOCAL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(INTERRUPTED))
        complain("Ctrl-C", "finishing the photos at work; press it again to end at once")

    before = signal.getsignal(signal.SIGINT)
    session.on_interrupt = tell
    try:
        yield
    finally:
        session.on_interrupt = None
        if signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)


def _work(results: Any, summary: Summary) -> None:
    total = len(summary.plan.photos)
    before = after = 0
    full: Record | None = None
    shape = "{percentage:3.0f} % |{bar:24}| {n_fmt} of {total_fmt} photos{postfix}, {remaining} left"
    with tqdm(
        total=total, bar_format=shape, postfix=_sizes(0, 0), disable=None, leave=False, dynamic_ncols=True
    ) as progress:
        for result in results:
            summary.records.append(result.record)
            record = result.record
            if result.error is not None:
                complain(record.path, record.reason or "failed")
                full = full or (record if result.disk_is_full else None)
            elif record.outcome is Outcome.SAVED:
                before, after = before + (record.before or 0), after + (record.after or 0)
            progress.set_postfix_str(_sizes(before, after), refresh=False)
            progress.update()
        progress.refresh()  # the last photos may have followed each other faster than the line is drawn
    if full is not None:
        left = total - len(summary.records)
        how_many = f" ({left:,} left)" if left else ""
        complain(
            full_place(full, summary.settings, summary.plan.photos),
            f"the disk is full; free some space and run again{how_many}",
        )


def _sizes(before: int, after: int) -> str:
    return f"originals {size(before)}, .pico {size(after)}"


def _add_the_last(summary: Summary) -> None:
    """Add what became of the photos that were at work when Ctrl-C came: they are finished, which the journal knows."""
    if summary.run is None:
        return
    told = {str(record.path) for record in summary.records}
    left = {str(location(photo.key)) for photo in summary.plan.photos} - told
    with Journal(places.journal_file()) as journal:
        records = [replace(one, path=location(str(one.path))) for one in journal.photos(summary.run)]
    for record in records:
        if str(record.path) in left:
            summary.records.append(record)
            if record.outcome is Outcome.FAILED:
                complain(record.path, record.reason or "failed")


def _agreed(arguments: argparse.Namespace, plan: Plan, settings: Settings) -> bool:
    """Ask, in a terminal, before originals are moved; elsewhere they were asked for on the command line."""
    what = what_becomes_of_originals(settings)
    question = f"{plural(len(plan.photos), 'photo')} will be shrunk and their originals {what}. Go on?"
    return is_given(question, settings, yes=arguments.yes or settings.dry_run)


def _engine(text: str) -> str:
    if text not in (LOCAL, DASK):
        msg = f"{text!r} is no engine; there are {LOCAL} and {DASK}"
        raise argparse.ArgumentTypeError(msg)
    return text
