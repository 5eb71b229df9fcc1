"""Command `pico-library share`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pico_library.arguments import plain_path
from pico_library.console import FAILED, FINE, USAGE, complain

DESCRIPTION = """Write an album: a folder with .pico files and a page that shows them, for any web host or a USB stick.
Whoever opens its index.html needs a browser and nothing else. The originals are only read. The photos keep their
metadata, and with these the places where they were taken."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=plain_path, nargs="+", help=".pico files, and folders of them"
    )
    command.add_argument(
        "--output",
        type=plain_path,
        required=True,
        metavar="ALBUM",
        help="the folder to write; must be new or empty",
    )
    command.add_argument(
        "--title", metavar="TEXT", help="what the page is called (default: the name of ALBUM)"
    )
    command.add_argument(
        "--max-side", type=_side, metavar="N", help="make larger photos smaller: N pixels on the longer side"
    )
    command.add_argument(
        "--web-only",
        action="store_true",
        help="less than half the size, but the page must come from a web host and cannot be opened from a disk",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the album."""
    from pico_core.errors import PicoError
    from pico_web.share import share

    for path in arguments.paths:
        if not path.exists():
            complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    output: Path = arguments.output
    try:
        made = share(
            arguments.paths,
            output,
            title=arguments.title,
            max_side=arguments.max_side,
            for_disk=not arguments.web_only,
        )
    except (PicoError, OSError) as error:
        complain(output, str(error))
        return FAILED
    for path, why in made.left_out:
        complain(path, f"left out: {why}")
    count = "1 photo" if made.pictures == 1 else f"{made.pictures:,} photos"
    print(f"Wrote {output} with {count}, {made.bytes / 1e6:.1f} MB. Open {output / 'index.html'}")
    return FAILED if made.left_out else FINE


def _side(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        msg = f"{text} is not a number of pixels from 1 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
