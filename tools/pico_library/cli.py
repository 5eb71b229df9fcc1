"""Command `pico-library`: what it takes, what it prints, and its exit codes."""

from __future__ import annotations

import argparse
import errno
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pico_codec.cli import explain
from pico_codec.files import remove_leftovers
from pico_core import __version__
from pico_library.scan import Found, Photo, Skipped, scan
from pico_library.shrink import Saved, estimate, shrink
from pico_library.table import reasons_table, savings_table

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_EXIT_CODES = """exit codes:
  0    every photo was shrunk, or skipped for a reason that the summary names
  1    a photo failed; the message on standard error says which, why and what to do
  2    the command line is wrong, or a PATH does not exist; nothing was done
  130  stopped by Ctrl-C; what was saved by then stays, nothing is left half-written
"""
_DESCRIPTION = """Write IMG_1.jpg.pico beside every IMG_1.jpg, for the JPEG, PNG and WebP pictures among the
files and in the folders given. No original is changed or removed. Each .pico file is read back, decoded and
compared before it counts."""


@dataclass
class Run:
    """What has happened so far."""

    saved: list[Saved] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failed: int = 0
    interrupted: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as exit_request:
        return int(exit_request.code or FINE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on sloppy EXIF are no help here
        try:
            run: Callable[[argparse.Namespace], int] = arguments.run
            return run(arguments)
        except KeyboardInterrupt:
            return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pico-library",
        description="Shrink a photo library.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pico-library {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_shrink(commands)
    return parser


def _add_shrink(commands: Any) -> None:
    command = commands.add_parser(
        "shrink",
        help="write a .pico file beside every photo",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="photos, and folders of photos")
    command.add_argument("--quality", type=_quality, default=60, metavar="N", help="0 to 100 (default 60)")
    command.add_argument(
        "--dry-run", action="store_true", help="encode everything, show what it saves, write nothing"
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write the .pico files there instead, in the same subfolders",
    )
    command.set_defaults(run=_shrink)


def _quality(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 100:
        msg = f"{value} is not from 0 to 100"
        raise argparse.ArgumentTypeError(msg)
    return value


def _shrink(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    for path in arguments.paths:
        if not path.exists():
            _complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    try:
        found = scan(arguments.paths, arguments.output)
    except OSError as error:
        _complain(Path(error.filename or "?"), f"cannot be listed: {explain(error)}")
        return FAILED
    if not arguments.dry_run:
        for folder in found.folders:
            remove_leftovers(folder)
    run = _shrink_all(found, arguments.quality, dry_run=arguments.dry_run)
    _print_summary(run, time.monotonic() - started, dry_run=arguments.dry_run)
    if run.interrupted:
        return INTERRUPTED
    return FAILED if run.failed else FINE


def _shrink_all(found: Found, quality: int, *, dry_run: bool) -> Run:
    run = Run(skipped=list(found.skipped))
    photos = tqdm(found.photos, unit="photo", disable=None, leave=False, dynamic_ncols=True)
    for position, photo in enumerate(photos):
        try:
            outcome = _shrink_one(photo, quality, dry_run=dry_run)
        except KeyboardInterrupt:
            run.interrupted = True
            break
        except Exception as error:  # whatever one photo does, the others are still to be shrunk
            run.failed += 1
            _complain(photo.path, explain(error))
            if _is_disk_full(error):
                left = len(found.photos) - position - 1
                _complain(
                    photo.target.parent, f"the disk is full; free some space and run again ({left} left)"
                )
                break
        else:
            (run.saved if isinstance(outcome, Saved) else run.skipped).append(outcome)  # type: ignore[arg-type]
    photos.close()
    return run


def _is_disk_full(error: BaseException | None) -> bool:
    codes = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    while error is not None:
        if isinstance(error, OSError) and error.errno in codes:
            return True
        error = error.__cause__
    return False


def _shrink_one(photo: Photo, quality: int, *, dry_run: bool) -> Saved | Skipped:
    if dry_run:
        return estimate(photo, quality)
    photo.target.parent.mkdir(parents=True, exist_ok=True)
    return shrink(photo, quality)


def _print_summary(run: Run, seconds: float, *, dry_run: bool) -> None:
    if run.saved:
        print(savings_table(run.saved))
    else:
        print("No photo was shrunk.")
    if run.skipped:
        print(f"\nSkipped {len(run.skipped):,}:\n{reasons_table(run.skipped)}")
    if run.failed:
        print(f"\nFailed {run.failed:,}: see the messages above.")
    if run.interrupted:
        print("\nStopped early; run the same command again to go on.")
    done = "Nothing was written: this was a dry run." if dry_run else "Every original is as it was."
    print(f"\n{done} Took {seconds:.0f} s.")


def _complain(path: Path, what: str) -> None:
    with tqdm.external_write_mode(file=sys.stderr):
        print(f"pico-library: {path}: {what}", file=sys.stderr)
