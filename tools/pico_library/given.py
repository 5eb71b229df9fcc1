"""The paths that a command was given: whether something is there, and whether it is a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pico_core.errors import PicoError
from pico_library.cluster.urls import Url


class GivenError(PicoError):
    """Whether there is anything at a `path` cannot be found out; `what` says why, and what to do."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


def exists(path: Path) -> bool:
    """Whether there is a file or a folder, links followed. Raises GivenError, and StorageError for a URL."""
    return path.exists() if isinstance(path, Url) else _status(path) is not None


def is_folder(path: Path) -> bool:
    """Whether there is a folder, links followed. Raises GivenError."""
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _status(path: Path) -> os.stat_result | None:
    """None if nothing is there. `Path.exists` and `Path.is_dir` answer that too, or raise, by the version of Python."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        what = f"cannot be looked at ({error.strerror}); see that you may open the folder that it is in"
        raise GivenError(path, what) from error
