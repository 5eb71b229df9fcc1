"""Command `pico-library restore`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pico_codec.cli import explain
from pico_codec.source import FILE_ERRORS
from pico_library.arguments import path_of
from pico_library.console import FAILED, FINE, NOTHING, USAGE, complain, plural
from pico_library.given import exists

DESCRIPTION = """Write the picture of every .pico file again, as JPEG, PNG or WebP, with all its metadata, its date and
its access rights. The pixels are those of the .pico file: where the very bytes of the original still lie in the
Trash or an archive, `pico-library undo` brings them back instead. .pico files stay; no file is ever replaced."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help=".pico files, and folders of them"
    )
    command.add_argument("--format", choices=("jpg", "png", "webp"), help="default: what the file was before")
    command.add_argument("--output", type=path_of, metavar="DIR", help="write to DIR, in the same subfolders")


def run(arguments: argparse.Namespace) -> int:
    """Restore, and say what could not be."""
    from pico_library.restore import find, name_of, restore

    for path in arguments.paths:
        if not exists(path):
            complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    done = failed = 0
    closed: list[OSError] = []
    for pico, base in find(arguments.paths, closed.append):
        folder = pico.parent
        if arguments.output is not None:
            folder = arguments.output.resolve() / pico.parent.relative_to(base)
        try:
            restored = restore(pico, folder / name_of(pico, arguments.format))
        except FILE_ERRORS as error:
            failed += 1
            complain(pico, explain(error))
        else:
            done += 1
            if restored.lost:
                hint = "; choose --format png or webp to keep XMP" if "XMP" in restored.lost else ""
                complain(restored.target, f"note: this format cannot carry {', '.join(restored.lost)}{hint}")
    for unlisted in closed:
        complain(unlisted.filename, f"cannot be looked into ({unlisted.strerror}); see that you may read it")
    failed += len(closed)
    print(f"Restored {plural(done, 'picture')}." + (f" Failed: {failed:,}, see above." if failed else ""))
    if failed:
        return FAILED
    return FINE if done else NOTHING
