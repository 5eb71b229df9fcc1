"""Whether something is at a path, and whether it is a folder; said in one way, whatever the system answers."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pico_core.errors import PicoError
from pico_library.model.url import Url
from pico_library.store.objects import objects


class GivenError(PicoError):
    """Whether there is anything at a `path` cannot be found out; `what` says why, and what to do."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


def exists(path: Path) -> bool:
    """Whether there is a file or a folder, links followed. Raises GivenError, and StorageError for a URL."""
    if isinstance(path, Url):
        return objects().holds(str(path))
    return _status(path) is not None


def is_folder(path: Path) -> bool:
    """Whether there is a folder, links followed. Raises GivenError."""
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def why_no_folder(path: Path) -> str | None:
    """Why there is no folder at a path and none can be made, as far as looking tells; None if one is or can be."""
    try:
        return None if stat.S_ISDIR(path.stat().st_mode) else "is no folder"
    except NotADirectoryError:
        return "lies below a file"
    except OSError as error:
        return "a link on the way there leads to itself" if error.errno == errno.ELOOP else None


def _status(path: Path) -> os.stat_result | None:
    """None if nothing is there. `Path.exists` and `Path.is_dir` answer that too, or raise, by the version of Python."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        hint = "see that you may open the folder that it is in"
        if error.errno == errno.ELOOP:
            hint = "see that no link on the way there leads to itself"
        what = f"cannot be looked at ({error.strerror}); {hint}"
        raise GivenError(path, what) from error
