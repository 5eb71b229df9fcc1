"""Files that appear whole or not at all, and the removal of what a killed run left behind.

A partial file lies in the folder of its target and is named `.<random>.pico-part`. While a process is at work
on one it holds a lock on it; a partial file that nobody has locked is litter. Only its owner may read it, until it is
known who may read the finished file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pico_core.errors import PicoError

if sys.platform != "win32":
    import fcntl

_PARTIAL_SUFFIX = ".pico-part"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class OutputError(PicoError):
    """The output cannot be written where it was asked for."""


def check_output(target: Path, *, overwrite: bool) -> Path:
    """Return the file that `target` names, links followed; OutputError if it must not be written to."""
    real = target.resolve()
    if not real.parent.is_dir():
        msg = f"there is no folder {target.parent}; create it first"
        raise OutputError(msg)
    if real.exists() and not real.is_file():
        msg = "is not a regular file; choose another output"
        raise OutputError(msg)
    if real.exists() and not overwrite:
        msg = "exists already; choose another output, or say --force to replace it"
        raise OutputError(msg)
    return real


@dataclass(frozen=True)
class PartialFile:
    """A file that is being written; it becomes `target` through `publish`, or vanishes."""

    path: Path
    stream: IO[bytes]

    def sync(self) -> None:
        """Return when what was written so far lies on the disk; OSError if it does not."""
        self.stream.flush()
        os.fsync(self.stream.fileno())

    def open_up(self, like: Path | None = None) -> None:
        """Give the file owner and access rights of another, or else the rights that a new file gets in its folder.

        For files that get their names otherwise than by `publish`, and no rights otherwise. Raises OSError.
        """
        if sys.platform == "win32":
            return
        if like is None:
            rights = _rights_of_new_files(self.path.parent)
        else:
            status = like.stat()
            rights = _rights(status)
            # Only root gives files away, and others to groups of their own.
            with contextlib.suppress(OSError):
                os.chown(self.path, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
        with contextlib.suppress(OSError):  # a disk that keeps no rights
            self.path.chmod(rights)

    def publish(self, target: Path, *, overwrite: bool) -> None:
        """Give the file its final name, in the same folder, and before it the rights of what it replaces.

        Raises FileExistsError if the target has appeared meanwhile and must not be overwritten.
        """
        self.open_up(target if overwrite and target.exists() else None)
        self.sync()
        if not overwrite:
            self.take_name(target)
            return
        if sys.platform == "win32":
            self.stream.close()  # Windows renames no open file; elsewhere the lock is held until it is done
        self.path.replace(target)
        sync_folder(target.parent)

    def take_name(self, target: Path) -> None:
        """Give the file a name in the same folder without ever replacing another file, and bring the name to the disk.

        The caller brings the content there before. Raises FileExistsError if the name is taken. The old name may
        remain until the end of `partial_file`.
        """
        try:
            os.link(self.path, target)
        except FileExistsError:
            raise
        except OSError:  # FAT and some network disks know no hard links
            self._rename_to_free(target)
        sync_folder(target.parent)

    def _rename_to_free(self, target: Path) -> None:
        if sys.platform == "win32":
            self.stream.close()  # Windows renames no open file
            self.path.rename(target)  # and there this replaces none
            return
        # Elsewhere a rename replaces what is there. An empty file of our own reserves the name: of several processes
        # one can create it.
        os.close(os.open(target, _CREATE, 0o600))
        try:
            self.path.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def partial_file(folder: Path) -> Iterator[PartialFile]:
    """Open a partial file in `folder`; at the end it is gone, unless it was published. Raises OSError."""
    path, stream = _create(folder)
    try:
        yield PartialFile(path, stream)
    finally:
        # Closing flushes, which fails again on the full disk that ended the writing.
        with contextlib.suppress(OSError):
            stream.close()
        path.unlink(missing_ok=True)


def write_whole(target: Path, data: bytes, *, overwrite: bool) -> None:
    """Write a file in one step. Raises OutputError; then the target is as it was."""
    remove_leftovers(target.parent)
    try:
        with partial_file(target.parent) as partial:
            partial.stream.write(data)
            partial.publish(target, overwrite=overwrite)
    except OSError as error:
        msg = f"cannot be written: {error.strerror or error}"
        raise OutputError(msg) from error


def remove_leftovers(folder: Path) -> int:
    """Remove partial files that a killed process left in `folder`; return how many there were."""
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(_PARTIAL_SUFFIX) and entry.is_file():
                removed += _remove_if_abandoned(Path(entry.path))
    return removed


def _rights(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode) & 0o777


def _rights_of_new_files(folder: Path) -> int:
    """What a file gets that is created in a folder, by the umask or by lists of the folder's own.

    An empty file tells. To ask for the umask is to change it, for all threads.
    """
    path = _free_name(folder)
    descriptor = os.open(path, _CREATE, 0o666)
    try:
        return _rights(os.fstat(descriptor))
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)  # another run may have taken it for litter


def _free_name(folder: Path) -> Path:
    return folder / f".{secrets.token_hex(8)}{_PARTIAL_SUFFIX}"


def _create(folder: Path) -> tuple[Path, IO[bytes]]:
    while True:
        path = _free_name(folder)
        stream = os.fdopen(os.open(path, _CREATE, 0o600), "wb")
        try:
            if _lock(stream) and path.exists():
                return path, stream
        except BaseException:
            stream.close()
            path.unlink(missing_ok=True)
            raise
        stream.close()  # another run took it for litter before it was locked


def _remove_if_abandoned(path: Path) -> bool:
    try:
        # Append mode changes nothing, and a lock on some network file systems needs a writable file.
        with path.open("ab") as stream:
            if not _lock(stream):
                return False
            if sys.platform != "win32":
                path.unlink()
        if sys.platform == "win32":
            path.unlink()  # refused by Windows while another process has it open
    except OSError:
        return False
    return True


def _lock(stream: IO[bytes]) -> bool:
    """Lock a file until it is closed; False if another process has locked it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make what happened to a folder's names last through a power cut, where the system can."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
