"""Originals leave their place, for the Trash, an archive or for good, and come back.

Nothing here decides whether an original may leave: that is the pipeline's, after the .pico file was verified.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import unicodedata
from pathlib import Path, PurePath

from pico_codec.files import partial_file, sync_folder
from pico_core.errors import PicoError
from pico_library.model.faults import Step, reach
from pico_library.model.records import Identity, Original
from pico_library.store import access

_CHUNK = 1 << 20


class OriginalError(PicoError):
    """An original could not be moved; it is where it was."""


def to_archive(path: Path, archived: Path) -> Path:
    """Move a file to another name, which must be free; to another disk it is copied, compared and then removed.

    Raises OriginalError.
    """
    try:
        make_folder(archived.parent, path.parent)
        move(path, archived)
    except OSError as error:
        advice = what_to_do(path, "it stays; choose another folder with --archive")
        msg = f"its original cannot be moved to {archived} ({error.strerror or error}); {advice}"
        raise OriginalError(msg) from error
    return archived


def what_to_do(path: Path, otherwise: str) -> str:
    """What helps a file that could not leave: from a folder that may not be written to, nothing else than access."""
    if os.access(path.parent, os.W_OK | os.X_OK):
        return otherwise
    return f"see that its folder {path.parent} may be written to"


def delete(path: Path) -> None:
    """Remove a file. Raises OriginalError."""
    try:
        path.unlink()
    except OSError as error:
        msg = f"its original cannot be removed ({error.strerror}) and stays; see that its folder may be written to"
        raise OriginalError(msg) from error
    sync_folder(path.parent)


def bring_back(where: Path, path: Path, kind: Original) -> None:
    """Move an original from the Trash or the archive back to its place, which must be free. Raises OriginalError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _name_or_copy(where, path)
    except OSError as error:
        msg = (
            f"cannot be moved back from {where} ({error.strerror or error}); "
            "see that its folder has room and may be written to, and run undo again"
        )
        raise OriginalError(msg) from error
    remove_second(where, kind)


def remove_second(where: Path, kind: Original) -> None:
    """Remove what lies in the Trash or the archive of an original that is back; it stays where that is read-only."""
    with contextlib.suppress(OSError):
        remove_copy(where, kind)


def remove_copy(where: Path, kind: Original) -> None:
    """Remove a file in the Trash or the archive, and what the Trash notes about it. Raises OSError."""
    where.unlink()
    sync_folder(where.parent)
    if kind is Original.TRASHED:
        (where.parent.parent / "info" / f"{where.name}.trashinfo").unlink(missing_ok=True)


def stands_alone(path: Path, other: Path) -> bool:
    """Whether a file stays in its place when `other` is removed: it is no link, and not `other` by another way.

    Raises OSError.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or os.path.realpath(path) == os.path.realpath(other):
        return False
    if not os.path.lexists(other) or not os.path.samestat(status, other.stat()):
        return True
    return status.st_nlink > 1  # with one name only, both ways lead to that


def is_in_place(path: Path, digest: bytes | None) -> bool:
    """Whether an original is in its place, with the bytes it had, and is no link to them. Raises OSError."""
    if not os.path.lexists(path) or not stat.S_ISREG(path.lstat().st_mode):
        return False
    return digest_of(path) == digest


def below(path: PurePath) -> list[str]:
    r"""The parts of an absolute path that make a relative one: `C:` gives `C`, and `\\nas\photos` two folders."""
    return [part for part in re.split(r"[\\/:?]+", path.drive) if part] + list(path.parts[1:])


def free_name(archive: Path, path: Path) -> Path:
    """Where a file goes in an archive: its absolute path below it, with a number if that name is taken."""
    wanted = archive.joinpath(*below(path))
    number = 1
    candidate = wanted
    while os.path.lexists(candidate):
        number += 1
        candidate = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
    return candidate


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file's bytes. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def is_named_exactly(path: Path) -> bool:
    """Whether a file of its own, no link or pipe, has this very name: disks that ignore case answer for others too.

    Raises OSError.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    with os.scandir(path.parent) as entries:
        names = {entry.name for entry in entries}
    # Some disks of macOS take apart the letters with accents.
    return path.name in names or _composed(path.name) in map(_composed, names)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def make_folder(folder: Path, source: Path | None = None) -> None:
    """Create a folder and those above it; where they mirror the source's, by name, none is open to more people.

    Raises OSError.
    """
    missing = []
    while not folder.is_dir():
        if folder.parent == folder:
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), str(folder)
            )  # a drive that is away
        source = source if source is not None and source.name == folder.name else None
        missing.append((folder, source))
        folder, source = folder.parent, None if source is None else source.parent
    for one, alike in reversed(missing):
        status = None if alike is None else alike.stat()
        one.mkdir(0o777 if status is None else 0o700, exist_ok=True)
        if alike is not None and status is not None:
            _give_owner(one, status)
            access.copy_rights(alike, one, status.st_mode | 0o700)


def _give_owner(path: Path, status: os.stat_result) -> None:
    """Give a file or folder the owner and group that another has, as far as this user may."""
    now = path.stat()
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (status.st_uid, status.st_gid):
        with contextlib.suppress(OSError):
            os.chown(path, status.st_uid, status.st_gid)


def copy_attributes(source: Path, target: Path) -> None:
    """Give a file the extended attributes of another. Raises OSError where its disk cannot hold them."""
    if not hasattr(os, "listxattr"):
        return
    there = _attributes(target)
    for name in _attributes(source):
        value = os.getxattr(source, name)
        if name not in there or os.getxattr(target, name) != value:  # a read-only file may hold them already
            os.setxattr(target, name, value)


def add_attributes(source: Path, target: Path) -> None:
    """Give a file the extended attributes of another that it lacks. Raises OSError where its disk cannot hold them."""
    if not hasattr(os, "listxattr"):
        return
    there = _attributes(target)
    for name in _attributes(source):
        if name not in there:
            os.setxattr(target, name, os.getxattr(source, name))


def _attributes(path: Path) -> list[str]:
    try:
        return [name for name in os.listxattr(path) if name.startswith("user.")]
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def take_over(source: Path, target: Path, status: os.stat_result) -> None:
    """Give a file the extended attributes, owner, access rights and times of another, whose status is given.

    Only root can give files away; others keep what they write.
    Raises OSError with ENOTSUP if only the extended attributes could not be given.
    """
    missing = None
    try:
        copy_attributes(source, target)
    except OSError as error:
        missing = error
    _give_owner(target, status)
    access.copy_rights(source, target, status.st_mode)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    if missing is not None:
        raise OSError(errno.ENOTSUP, "extended attributes cannot be kept") from missing


def move(source: Path, target: Path) -> None:
    """Rename, never over another file; or copy to another disk, compare, and only then remove.

    A file that cannot be removed from its place, or changed meanwhile, has only this one afterwards, too.
    """
    before = Identity.of(source.lstat())
    _name_or_copy(source, target)
    try:
        if Identity.of(source.lstat()) != before:
            msg = "changed while it was moved away, and stays; close what edits it, and run again"
            raise OriginalError(msg)
        source.unlink()
    except (OSError, OriginalError):
        if os.path.lexists(source):
            target.unlink()
            sync_folder(target.parent)
        raise
    sync_folder(source.parent)


def _name_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, which must be free, or a copy of that name on another disk, and compare that."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        _copy_over(source, target)
    try:
        sync_folder(target.parent)
        reach(Step.COPIED)
    except OSError:
        target.unlink()
        raise


def _copy_over(source: Path, target: Path) -> None:
    status = source.stat()
    with partial_file(target.parent) as partial:
        with source.open("rb") as stream:
            shutil.copyfileobj(stream, partial.stream, _CHUNK)
        partial.sync()
        with contextlib.suppress(OSError):
            take_over(source, partial.path, status)
        if digest_of(partial.path) != digest_of(source):
            raise OSError(errno.EIO, "the copy differs")
        partial.take_name(target)
