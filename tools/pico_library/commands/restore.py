"""Command `pico-library restore`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pico_codec.cli import explain, trailing_note
from pico_codec.source import FILE_ERRORS
from pico_library.arguments import path_of, plain_path
from pico_library.commands.options import folder_of, quality, side
from pico_library.console import USAGE, complain
from pico_library.store.paths import exists

if TYPE_CHECKING:
    from pico_library.run.restore import How

DESCRIPTION = """Write a picture from every .pico file, with its metadata, date and access rights. It gets the
format that the original had: JPEG, PNG or WebP. A HEIC original becomes a JPEG, a TIFF becomes a PNG. The pixels
come from the .pico file. If the original is still in the Trash or an archive, `pico-library undo` brings back its
exact bytes instead. The .pico files stay, and no file is replaced."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=plain_path, nargs="+", help=".pico files and folders of them"
    )
    command.add_argument(
        "--format", choices=("jpg", "png", "webp"), help="default: the format of the original"
    )
    command.add_argument(
        "--quality",
        type=quality,
        metavar="N",
        help="quality of JPEG and WebP, 0 to 100 (default 95)",
    )
    command.add_argument("--max-side", type=side, metavar="N", help="reduce the longer side to N pixels")
    command.add_argument("--output", type=path_of, metavar="DIR", help="write to DIR, in the same subfolders")


def run(arguments: argparse.Namespace) -> int:
    """Restore, and say what could not be."""
    from pico_library.commands.progress import Walk
    from pico_library.run.restore import How, TakenError

    for path in arguments.paths:
        if not exists(path):
            complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    output = None if arguments.output is None else folder_of(arguments.output, "--output")
    how = How(arguments.quality, arguments.max_side)
    done = failed = 0
    with Walk(arguments.paths) as walk:
        for pico, base in walk:
            folder = pico.parent if output is None else output / pico.parent.relative_to(base)
            try:
                if _is_restored(pico, folder, arguments.format, how):
                    done += 1
                    continue
            except TakenError as error:
                walk.is_taken(pico, str(error))
            failed += 1
    return walk.finished("Restored", done, failed)


def _is_restored(pico: Path, folder: Path, extension: str | None, how: How) -> bool:
    """Restore a picture into a folder, and say what stays behind or why it failed. Raises TakenError."""
    from pico_library.run.restore import TakenError, restore_as

    try:
        restored = restore_as(pico, folder, extension, how)
    except TakenError:
        raise
    except FILE_ERRORS as error:
        complain(pico, explain(error))
        return False
    if restored.trailing:
        complain(pico, trailing_note(restored.trailing))
    if restored.lost:
        hint = "; choose --format png or webp to keep XMP" if "XMP" in restored.lost else ""
        complain(
            restored.target, f"note: only the .pico file holds {', '.join(_in_words(restored.lost))}{hint}"
        )
    return True


def _in_words(names: Sequence[str]) -> list[str]:
    """What stays behind, each kind once; of a HEIC file its items have long names."""
    words = []
    for name in names:
        for part, word in _KINDS_OF_EXTRAS.items():
            if part in name:
                words.append(word)
                break
        else:
            words.append(name)
    return [word for word in dict.fromkeys(words) if word]


_KINDS_OF_EXTRAS = {
    "hdrgainmap": "the HDR gain map",
    "depth": "the depth map",
    "disparity": "the depth map",
    "matte": "the mattes of a portrait",
    "HEIF box mpvd": "the video of a motion photo",
    "HEIF meta": "",
    "HEIF item": "further pictures of the HEIC file",
}
