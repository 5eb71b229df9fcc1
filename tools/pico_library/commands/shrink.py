"""Command `pico-library shrink`."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from pico_core.errors import OptionError
from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, USAGE, complain, plural
from pico_library.journal import Original, Outcome, Record
from pico_library.plan import Plan
from pico_library.scan import Choice
from pico_library.settings import (
    DEFAULT_DIFFERENCE,
    DEFAULT_QUALITY,
    DEFAULT_SAVING,
    Mode,
    Settings,
    parse_share,
    parse_size,
    parse_target,
)
from pico_library.table import reasons_table, savings_table, size

T = TypeVar("T")

DESCRIPTION = """Write IMG_1.jpg.pico beside every IMG_1.jpg, for the JPEG, PNG and WebP pictures among the
files and in the folders given. Unless you ask for it with --replace, --archive or --delete-originals, no original
is changed, moved or removed. Each .pico file is read back, decoded and compared with the original by another
process before it counts."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="photos, and folders of photos")
    where = command.add_argument_group("where .pico files and originals go (default: --beside)")
    modes = where.add_mutually_exclusive_group()
    modes.add_argument("--beside", action="store_true", help="write beside the originals, which stay")
    modes.add_argument("--output", type=Path, metavar="DIR", help="write to DIR, in the same subfolders")
    modes.add_argument("--replace", action="store_true", help="move originals to the Trash, once verified")
    modes.add_argument("--archive", type=Path, metavar="DIR", help="move originals to DIR, once verified")
    modes.add_argument(
        "--delete-originals", action="store_true", help="remove originals for good, once verified"
    )
    look = command.add_argument_group("how the photos look, and what they take")
    rate = look.add_mutually_exclusive_group()
    rate.add_argument(
        "--quality",
        type=_quality,
        default=DEFAULT_QUALITY,
        metavar="N",
        help=f"0 to 100 (default {DEFAULT_QUALITY})",
    )
    rate.add_argument(
        "--target-size",
        type=_by(parse_target),
        metavar="SIZE",
        help="best quality within 500kB, or 25%% (slow)",
    )
    look.add_argument(
        "--min-saving",
        type=_by(parse_share),
        default=DEFAULT_SAVING,
        metavar="SHARE",
        help=f"skip photos that would save less (default {DEFAULT_SAVING:.0%}%)",
    )
    look.add_argument(
        "--max-difference",
        type=_difference,
        default=DEFAULT_DIFFERENCE,
        metavar="X",
        help=f"LPIPS that the worst crop may have, before quality is raised (default {DEFAULT_DIFFERENCE})",
    )
    look.add_argument(
        "--keep-extras", action="store_true", help="carry videos, gain maps ... in the .pico file"
    )
    which = command.add_argument_group("which files")
    which.add_argument("--include", action="append", metavar="PATTERN", help="only these, as in '*.jpg'")
    which.add_argument("--exclude", action="append", metavar="PATTERN", help="not these files and folders")
    how = command.add_argument_group("how")
    how.add_argument(
        "--dry-run", action="store_true", help="encode everything, show what it saves, write nothing"
    )
    how.add_argument("--jobs", type=_jobs, default=2, metavar="N", help="photos at work at once (default 2)")
    how.add_argument(
        "--max-memory", type=_by(parse_size), metavar="SIZE", help="as in 2GB: bounds what is at work"
    )
    how.add_argument("--wait", action="store_true", help="if another run is at work, wait for its end")
    how.add_argument("--yes", action="store_true", help="do not ask before originals are moved")
    output = how.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the result as JSON")
    output.add_argument("--csv", action="store_true", help="print a line for each file as CSV")


def run(arguments: argparse.Namespace) -> int:
    """Shrink, show progress, and print what became of the photos."""
    from pico_library.session import open_session

    started = time.monotonic()
    settings = _settings(arguments)
    for path in arguments.paths:
        if not path.exists():
            complain(
                path, "there is no such file or folder; check the spelling, and that its disk is connected"
            )
            return USAGE
        if settings.archive is not None and settings.archive.is_relative_to(path.resolve()):
            complain(
                settings.archive, f"lies inside {path}, and would be shrunk too; choose a folder outside"
            )
            return USAGE
    choice = Choice(
        arguments.output.resolve() if arguments.output else None,
        tuple(arguments.include or ()),
        tuple(arguments.exclude or ()),
        settings.keep_extras,
        settings.mode.lets_go,
    )
    with open_session(settings, wait=arguments.wait) as session:
        plan = session.plan(arguments.paths, choice)
        for path, error in plan.found.problems:
            complain(path, f"cannot be looked into ({error.strerror}); see that you may read it")
        if plan.photos and settings.mode.lets_go and not _agreed(arguments, plan, settings):
            return USAGE
        summary = Summary(plan, settings)
        try:
            _work(session.process(plan, arguments.jobs), summary)
        except KeyboardInterrupt:
            summary.interrupted = True
        summary.seconds = time.monotonic() - started
        summary.run = session.run
    _print(summary, arguments)
    return summary.exit_code


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
        return [str(skipped.reason) for skipped in self.plan.found.skipped] + [
            record.reason or "" for record in self.of(Outcome.SKIPPED)
        ]

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
    saved = 0
    shape = "{percentage:3.0f} % |{bar:24}| {n_fmt} of {total_fmt} photos{postfix} saved, {remaining} left"
    with tqdm(total=total, bar_format=shape, disable=None, leave=False, dynamic_ncols=True) as progress:
        progress.set_postfix_str(size(0), refresh=False)
        for result in results:
            summary.records.append(result.record)
            record = result.record
            if result.error is not None:
                complain(record.path, record.reason or "failed")
                if result.disk_is_full and record.target is None:
                    left = total - len(summary.records)
                    text = f"the disk is full; free some space and run again ({left:,} left)"
                    complain(record.path.parent, text)
            elif record.outcome is Outcome.SAVED:
                saved += (record.before or 0) - (record.after or 0)
            progress.set_postfix_str(size(saved), refresh=False)
            progress.update()


def _agreed(arguments: argparse.Namespace, plan: Plan, settings: Settings) -> bool:
    """Ask, in a terminal, before originals are moved; elsewhere they were asked for on the command line."""
    if arguments.yes or settings.dry_run or not sys.stdin.isatty():
        return True
    what = {
        Mode.REPLACE: "their originals moved to the Trash",
        Mode.ARCHIVE: f"their originals moved to {settings.archive}",
        Mode.DELETE: "their originals REMOVED FOR GOOD",
    }[settings.mode]
    answer = input(f"{plural(len(plan.photos), 'photo')} will be shrunk and {what}. Go on? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _print(summary: Summary, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(_as_json(summary), indent=2))
    elif arguments.csv:
        table = csv.writer(sys.stdout)
        table.writerow(["path", "outcome", "reason", "before", "after", "quality", "score", "target"])
        for one in summary.records:
            table.writerow(
                [one.path, one.outcome, one.reason, one.before, one.after, one.quality, one.score, one.target]
            )
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
    if summary.reasons:
        print(f"\nSkipped {len(summary.reasons):,}:\n{reasons_table(summary.reasons)}")
    if plan.photos and plan.unchanged:
        print(f"\n{plural(plan.unchanged, 'photo')} more: as an earlier run left them.")
    if failed:
        print(f"\nFailed {len(failed):,}: see the messages above.")
    if summary.interrupted:
        print("\nStopped early; run the same command again to go on.")
    print(f"\n{_what_happened(summary)} Took {summary.seconds:.0f} s.")


def _print_nothing_to_do(plan: Plan) -> None:
    if plan.absent:
        print(
            f"Nothing found, but the journal knows {plural(plan.absent, 'photo')} here: is a disk missing? "
            "Nothing was forgotten."
        )
    elif plan.unchanged:
        print(f"Nothing to do: {plural(plan.unchanged, 'photo')}, all as an earlier run left them.")
    else:
        print("Nothing to do: no photos were found.")


def _what_happened(summary: Summary) -> str:
    if summary.settings.dry_run:
        return "Nothing was written: this was a dry run."
    gone = [record for record in summary.records if record.original not in (Original.KEPT, Original.LEAVING)]
    if not gone:
        return "Every original is as it was."
    where = {
        Mode.REPLACE: "in the Trash",
        Mode.ARCHIVE: f"in {summary.settings.archive}",
        Mode.DELETE: "removed for good",
    }[summary.settings.mode]
    back = (
        "" if summary.settings.mode is Mode.DELETE else f" To put them back: pico-library undo {summary.run}."
    )
    return f"{plural(len(gone), 'original')} {'is' if len(gone) == 1 else 'are'} {where}.{back}"


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
        "bytes_before": sum(record.before or 0 for record in saved),
        "bytes_after": sum(record.after or 0 for record in saved),
        "photos": [
            {
                "path": str(one.path),
                "outcome": one.outcome,
                "reason": one.reason,
                "before": one.before,
                "after": one.after,
                "quality": one.quality,
                "score": one.score,
                "target": str(one.target) if one.target else None,
            }
            for one in summary.records
        ],
    }


def _settings(arguments: argparse.Namespace) -> Settings:
    mode = Mode.BESIDE
    for name, chosen in (
        ("output", Mode.OUTPUT),
        ("replace", Mode.REPLACE),
        ("archive", Mode.ARCHIVE),
        ("delete_originals", Mode.DELETE),
    ):
        if getattr(arguments, name) and not arguments.beside:
            mode = chosen
    return Settings(
        mode=mode,
        quality=arguments.quality,
        target_size=arguments.target_size,
        min_saving=arguments.min_saving,
        max_difference=arguments.max_difference,
        keep_extras=arguments.keep_extras,
        archive=arguments.archive.resolve() if mode is Mode.ARCHIVE else None,
        dry_run=arguments.dry_run,
        max_memory=arguments.max_memory,
    )


def _quality(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 100:
        msg = f"{value} is not from 0 to 100"
        raise argparse.ArgumentTypeError(msg)
    return value


def _jobs(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 64:
        msg = f"{value} is not from 1 to 64"
        raise argparse.ArgumentTypeError(msg)
    return value


def _difference(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 2:
        msg = f"{text} is not from 0 to 2"
        raise argparse.ArgumentTypeError(msg)
    return value


def _by(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of values as argparse wants it."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


__all__: Sequence[str] = ("DESCRIPTION", "Summary", "add", "run")
