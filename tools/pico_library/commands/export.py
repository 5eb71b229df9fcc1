"""Command `pico-library export`."""

from __future__ import annotations

import argparse

from pico_codec.cli import explain, trailing_note
from pico_codec.source import FILE_ERRORS
from pico_library.arguments import path_of, plain_path
from pico_library.commands.options import folder_of, quality, side
from pico_library.console import USAGE, complain
from pico_library.store.paths import exists

DESCRIPTION = """Make JPEG or AVIF pictures to share. Phones, browsers and mail programs open them. The pictures are
upright. You choose their size, and whether they have metadata. Names and subfolders stay the same. The .pico files
stay, and no file is replaced."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=plain_path, nargs="+", help=".pico files and folders of them"
    )
    command.add_argument(
        "--output", type=path_of, metavar="DIR", required=True, help="write to DIR, in the same subfolders"
    )
    command.add_argument("--format", choices=("jpg", "avif"), default="jpg", help="jpg (default) or avif")
    command.add_argument(
        "--quality", type=quality, metavar="N", help="0 to 100 (default 85 for jpg, 65 for avif)"
    )
    command.add_argument("--max-side", type=side, metavar="N", help="reduce the longer side to N pixels")
    command.add_argument("--no-metadata", action="store_true", help="leave out EXIF and XMP")
    command.add_argument(
        "--no-location",
        action="store_true",
        help="leave out the place; also XMP and maker notes, which can hold a place",
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what could not be."""
    from pico_library.commands.progress import Walk
    from pico_library.run.export import Sharing, export, shared_name
    from pico_library.run.restore import TakenError

    for path in arguments.paths:
        if not exists(path):
            complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    output = folder_of(arguments.output, "--output")
    sharing = Sharing(
        arguments.format,
        arguments.quality,
        arguments.max_side,
        metadata=not arguments.no_metadata,
        location=not arguments.no_location,
    )
    done = failed = 0
    with Walk(arguments.paths) as walk:
        for pico, base in walk:
            try:
                target = output / pico.parent.relative_to(base) / shared_name(pico, sharing)
                if trailing := export(pico, target, sharing):
                    complain(pico, trailing_note(trailing))
                done += 1
            except TakenError as error:
                walk.is_taken(pico, str(error))
                failed += 1
            except FILE_ERRORS as error:
                complain(pico, explain(error))
                failed += 1
    return walk.finished("Exported", done, failed)
