"""The Trash: originals go there, nothing in it is ever written over, and each is found there again.

On freedesktop systems a name in the Trash belongs to whoever creates the note about it, which only one can
(specifications.freedesktop.org/trash-spec, "Directory layout"). Windows and macOS have calls of their own.
"""

from __future__ import annotations

import configparser
import contextlib
import errno
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from pico_codec.files import sync_folder
from pico_library.model.records import Identity
from pico_library.store import places
from pico_library.store.originals import OriginalError, move, what_to_do

_NO_HOME = Path(os.sep, "no-home")
_NOTE = ".trashinfo"
_one_at_a_time = threading.Lock()  # the calls of the other systems do not say whether several may


def to_trash(path: Path) -> Path | None:
    """Move a file to the platform's Trash; return where it lies there, where that can be found out.

    To another disk it is copied, compared and then removed. Raises OriginalError; then it is where it was.
    """
    status = path.lstat()
    try:
        if not _is_freedesktop():
            with _one_at_a_time:
                _hand_over(path)
            sync_folder(path.parent)
            return find_in_trash(path, Identity.of(status))
        return _move_to_trash(path.absolute(), status)
    except OSError as error:
        advice = what_to_do(path, "use --archive DIR instead")
        msg = f"cannot be moved to the Trash ({error.strerror or error}); {advice}"
        raise OriginalError(msg) from error


def find_in_trash(path: Path, identity: Identity) -> Path | None:
    """The newest file in a Trash that came from `path` and has that size and time; None if there is none."""
    found = []
    for trash, top in _trashes(path):
        with contextlib.suppress(OSError):
            for note in _notes_about(trash / "info", path):
                file = trash / "files" / note.name.removesuffix(_NOTE)
                if _came_from(note, top) == path and file.is_file():
                    status = file.stat()
                    if Identity.of(status).same_content(identity):
                        found.append((note.stat().st_mtime_ns, file))
    plain = _home() / ".Trash" / path.name  # macOS keeps no such notes
    if sys.platform == "darwin" and plain.is_file() and Identity.of(plain.stat()).same_content(identity):
        found.append((0, plain))
    return max(found)[1] if found else None


def home_trash() -> str:
    """The Trash in the user's home, links followed, whether it is there or not."""
    return os.path.realpath(_home_trash())


def is_trash(path: str, home: str) -> bool:
    """Whether a folder, named without links, is a Trash; `home` is what `home_trash` says."""
    name = os.path.basename(path).lower()  # noqa: PTH119 (for every folder of a library)
    return path == home or name in (".trash", ".trashes", "$recycle.bin") or name.startswith(".trash-")


def is_in_trash(path: Path) -> bool:
    """Whether a path is a Trash, or lies in one."""
    real, home = path.resolve(), home_trash()
    return any(_is_used(folder, home) for folder in (real, *real.parents) if is_trash(str(folder), home))


def _is_used(folder: Path, home: str) -> bool:
    """Whether what is called like a Trash is one: `.trash` is, too, what some programs call a folder of their own."""
    if str(folder) == home or not re.fullmatch(r"\.trash(-\D.*)?", folder.name.lower()):
        return True
    return folder.parent == _home() or folder.parent.is_mount()


def _is_freedesktop() -> bool:
    return sys.platform not in ("win32", "darwin")


def _hand_over(path: Path) -> None:
    from send2trash import send2trash

    send2trash(str(path))


def _move_to_trash(path: Path, status: os.stat_result) -> Path:
    home = _home_trash()
    if not home.is_relative_to(_NO_HOME) and status.st_dev == _nearest(home).stat().st_dev:
        return _put(path, home, None)
    top = _top_of_disk(path)
    return _put(path, _trash_of_disk(top), top)


def _put(path: Path, trash: Path, top: Path | None) -> Path:
    """Move a file into a Trash, under the first name there that is nobody's. Raises OSError, OriginalError."""
    files, notes = trash / "files", trash / "info"
    for folder in (trash, files, notes):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _names(path):
        file, note = files / name, notes / f"{name}{_NOTE}"
        if os.path.lexists(file) or not _is_reserved(note, path, top):
            continue
        try:
            move(path, file)
        except FileExistsError:
            note.unlink()
            continue
        finally:
            if not os.path.lexists(file):
                note.unlink(missing_ok=True)
        return file
    raise AssertionError  # there is no end of names


def _names(path: Path) -> Iterator[str]:
    """The file's own name, then the same with numbers."""
    yield path.name
    number = 0
    while True:
        number += 1
        yield f"{path.stem} {number}{path.suffix}"


def _is_reserved(note: Path, path: Path, top: Path | None) -> bool:
    """Write the note that makes a name in the Trash this file's; False if another has the name. Raises OSError."""
    place = path if top is None else path.relative_to(top)
    try:
        descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    moment = datetime.now().strftime("%Y-%m-%dT%H:%M:%S")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"[Trash Info]\nPath={quote(os.fsencode(place))}\nDeletionDate={moment}\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        note.unlink(missing_ok=True)  # or every try would leave an empty one on a disk that is full
        raise
    sync_folder(note.parent)
    return True


def _trashes(path: Path) -> Iterator[tuple[Path, Path]]:
    """Trash folders of the freedesktop kind that may hold a file, each with the folder its notes are relative to."""
    if not _is_freedesktop():
        return
    home = _home_trash()
    yield home, home.parent
    top = _top_of_disk(path)
    yield top / ".Trash" / str(os.getuid()), top
    yield top / f".Trash-{os.getuid()}", top


def _home() -> Path:
    """The user's home; for a user without one, a folder that is not there."""
    return places.home() or _NO_HOME


def _home_trash() -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME") or "")  # a relative one is ignored, as the specification says
    return (data if data.is_absolute() else _home() / ".local" / "share") / "Trash"


def _trash_of_disk(top: Path) -> Path:
    """The user's Trash on a disk: in the one that its administrator made for all, or else one of its own."""
    shared, user = top / ".Trash", str(os.getuid())
    with contextlib.suppress(OSError):
        status = shared.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
            return _own_folder(shared / user)
    return _own_folder(top / f".Trash-{user}")


def _own_folder(folder: Path) -> Path:
    """The folder, made if need be. Raises OSError if it is a link or another user's, who would get the photos."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(errno.EACCES, f"{folder} is a link or another user's")
    return folder


def _top_of_disk(path: Path) -> Path:
    top = path.parent
    while not top.exists() or not os.path.ismount(top):
        top = top.parent
    return top


def _nearest(path: Path) -> Path:
    """The path, or the first folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def _notes_about(folder: Path, path: Path) -> list[Path]:
    """Notes in a Trash that may be about a file: it keeps the beginning of its name there, whatever is put behind.

    The Trash may hold the whole library: of the others only the names are looked at.
    """
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.name.startswith(path.stem)]


def _came_from(note: Path, top: Path) -> Path | None:
    found = configparser.RawConfigParser(interpolation=None)
    try:
        found.read_string(note.read_text(errors="surrogateescape"))
        return top / unquote(found["Trash Info"]["Path"], errors="surrogateescape")
    except (OSError, KeyError, configparser.Error):
        return None
