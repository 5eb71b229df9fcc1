"""Files that appear whole or not at all, also when the process is killed or the power fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file through a temporary one beside it."""

    def write(file: IO[bytes]) -> None:
        for chunk in chunks:
            file.write(chunk)

    replace_with(path, write)


def replace_with(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Let `write` fill a temporary file, bring it to the disk, and rename it to `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that a killed process left in a folder which nobody else writes to."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)
