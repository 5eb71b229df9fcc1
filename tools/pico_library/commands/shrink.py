"""Command `pico-library shrink`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
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
from pico_library.console import (
    FAILED,
    FINE,
    INTERRUPTED,
    NOTHING,
    USAGE,
    WEIGHTS_MAY_CHANGE,
    complain,
    plural,
    print_exactly,
    printable,
)
from pico_library.model.reasons import Reason
from pico_library.model.records import Original, Outcome, Record
from pico_library.model.settings import Mode, Settings
from pico_library.model.url import location
from pico_library.report.accounts import Account, account_of
from pico_library.report.table import left_alone, savings_table, size
from pico_library.run.plan import Plan
from pico_library.store import destinations, places
from pico_library.store.free_space import full_place
from pico_library.store.journal import Journal
from pico_library.store.paths import exists
from pico_library.store.whereabouts import Now

if TYPE_CHECKING:
    from pico_library.run.session import Session

_MOST_NAMED = 8
_FIELDS = ("path", "outcome", "reason", "before", "after", "quality", "score", "target")

DESCRIPTION = f"""Write IMG_1.jpg.pico beside every IMG_1.jpg, for the JPEG, HEIC, PNG, WebP and TIFF pictures among
the files and in the folders given. Unless you ask for it with --replace, --archive or --delete-originals, no
original is changed, moved or removed. Each .pico file is read back, decoded and compared with the original by
another process before it counts.

{WEIGHTS_MAY_CHANGE}"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=by(location), nargs="+", help="photos, and folders of photos"
    )
    add_where(command, by(location))
    add_look(command)
    add_which(command)
    how = command.add_argument_group("how")
    how.add_argument(
        "--dry-run", action="store_true", help="encode everything, show what it saves, write nothing"
    )
    how.add_argument(
        "--estimate", action="store_true", help="encode a sample only, and say how much would be saved"
    )
    add_update(how)
    add_load(how)
    how.add_argument(
        "--engine",
        type=_engine,
        default=LOCAL,
        metavar="NAME",
        help="local: processes of this machine (default); dask: the workers of a cluster",
    )
    how.add_argument("--scheduler", metavar="ADDRESS", help="the dask scheduler, as in tcp://host:8786")
    how.add_argument("--wait", action=Flag, help="if another run is at work, wait for its end")
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
    _print(summary, arguments)
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


def _print(summary: Summary, arguments: argparse.Namespace) -> None:
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
        told.append("Every original of them is as it was.")
    else:
        told.append("No original was moved or changed.")
    return " ".join(told)


def _as_csv(summary: Summary) -> str:
    stream = io.StringIO()
    table = csv.DictWriter(stream, _FIELDS, lineterminator="\n")
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
        about = (one.outcome, one.reason, one.before, one.after, one.quality, one.score)
        target = str(one.target) if one.target else None
        yield dict(zip(_FIELDS, (str(one.path), *about, target), strict=True))
    for skipped in summary.plan.found.skipped:
        yield dict.fromkeys(_FIELDS) | {
            "path": str(skipped.path),
            "outcome": Outcome.SKIPPED,
            "reason": str(skipped.reason),
            "before": skipped.size,
        }


def _engine(text: str) -> str:
    if text not in (LOCAL, DASK):
        msg = f"{text!r} is no engine; there are {LOCAL} and {DASK}"
        raise argparse.ArgumentTypeError(msg)
    return text


__all__: Sequence[str] = ("DESCRIPTION", "Summary", "add", "run")
