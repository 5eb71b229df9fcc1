"""Where .pico files and originals go: whether that place is fit, and whether its disk is there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pico_core.errors import PicoError
from pico_library.console import plural
from pico_library.model.settings import Mode, Settings
from pico_library.model.url import Url
from pico_library.store import trash
from pico_library.store.journal import Journal


class AwayError(PicoError):
    """The disk to which files should go is not there, by all that is known."""


def objection(path: Path, settings: Settings) -> tuple[Path, str] | None:
    """Why the originals below a path that was given may not go where they should, and about what; None if they may."""
    archive = settings.archive
    if archive is not None and archive.is_relative_to(path.resolve()):
        return archive, f"lies inside {path}, and would be shrunk too; choose a folder outside"
    if settings.mode is Mode.REPLACE and trash.is_in_trash(path):
        return path, "lies in the Trash, where its originals would go; move it to another place first"
    return None


def require_there(folders: Iterable[Path | None], journal: Journal) -> None:
    """See that folders to which files are to go are those of earlier runs. Raises AwayError."""
    for folder in folders:
        if folder is not None and (why := why_away(folder, journal)) is not None:
            msg = f"{folder}: {why}"
            raise AwayError(msg)


def why_away(folder: Path, journal: Journal) -> str | None:
    """By what a folder seems to be only the place where a disk is usually mounted; None if nothing speaks for it.

    Such a place is empty. Files that went there would be hidden as soon as the disk is back.
    """
    if isinstance(folder, Url) or _holds_a_file(folder):
        return None
    known = journal.files_below(folder)
    if not known or any(os.path.lexists(path) for path in known):
        return None
    return (
        f"holds none of the {plural(len(known), 'file')} that earlier runs put there; is a disk missing? If not, "
        "choose another folder, or put a file into this one whose name begins with no dot"
    )


def _holds_a_file(folder: Path) -> bool:
    """Whether there is any file, but for hidden ones, which systems leave even in places of disks, or a Trash."""
    home = trash.home_trash()
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:  # which may be many, and the first can be enough
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting += [] if trash.is_trash(entry.path, home) else [entry.path]
                    elif not entry.name.startswith("."):
                        return True
        except OSError:
            continue
    return False
