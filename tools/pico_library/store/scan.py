"""Which files of a library are photographs to shrink, and where their .pico files go."""

from __future__ import annotations

import errno
import functools
import os
import stat
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from pico_library.model.photo import (
    PHOTO_EXTENSIONS,
    PICO_EXTENSION,
    PICTURE_EXTENSIONS,
    RAW_EXTENSIONS,
    VIDEO_EXTENSIONS,
    Photo,
    Skipped,
)
from pico_library.model.reasons import Reason
from pico_library.model.url import Url
from pico_library.store import trash
from pico_library.store.objects import objects
from pico_library.store.paths import is_folder

SIDECAR_EXTENSIONS = frozenset({".xmp", ".aae"})

_LIVE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".heic"})
_LIVE_VIDEOS = (".mov", ".mp4")
#: Libraries and caches of photo programs, and what NAS and Windows keep for themselves; in small letters.
_PROGRAM_FOLDERS = (
    *("*.photoslibrary", "*.photolibrary", "*.aplibrary", "*.migratedphotolibrary", "*.migratedaplibrary"),
    *("*.lrdata", "*.lrlibrary", "*.lrcat-data", "*.cocatalog", "*.cosessiondb", "captureone", "*.dtbase2"),
    *("*.imovielibrary", "*.fcpbundle", "*.tvlibrary", "*.photoboothlibrary", "ipod photo cache"),
    *("@eadir", "@__thumb", "@synoeastream", "@recycle", "#recycle", "#snapshot", "@recently-snapshot"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "found.000"),
    *("network trash folder", "temporary items", "lost.dir"),
)
_SMALLEST_PLACEHOLDER = 1 << 16  # smaller files may lie inside the directory entry and take no block
_MAC_DATALESS = 0x40000000
_WINDOWS_RECALL = 0x1000 | 0x40000 | 0x400000  # offline, recall on open, recall on data access


@dataclass(frozen=True)
class Choice:
    """Which files a scan takes. Patterns match a name, or a path below the folder given, ignoring case.

    The photo of a Live Photo is taken, too, unless `skip_extras`: its video stays where it is, as a file of its own.
    """

    output: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    skip_extras: bool = False
    keep_hard_links: bool = False


@dataclass
class Found:
    """What a scan found; `folders` are all that hold, or are to hold, .pico files, `used` the patterns that fitted."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    problems: list[tuple[Path, OSError]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def scan(roots: Sequence[Path], choice: Choice | None = None) -> Found:
    """Look through files and folders, in the order of their names; hidden ones and the Trash are passed over.

    Folders of programs are left alone, unless they are roots.

    The .pico file of `a/b/IMG.jpg` goes beside it or, found under the root `a`, to `output/b/IMG.jpg.pico`.
    A file is found once, however many roots lead to it, and its path is absolute. Links are not followed, but
    for the roots themselves. What cannot be listed is among the problems, and the scan goes on. Raises GivenError
    for a root that cannot be looked at.
    """
    choice = choice or Choice()
    found = Found()
    seen: set[str] = set()
    for root in roots:
        whole = is_folder(root)
        real = root.resolve() if whole else root.parent.resolve() / root.name
        base = real if whole else real.parent
        only = None if whole else real.name
        for folder, entries in _folders(str(base), choice, only, found):
            if entries:
                sort_in(found, seen, Path(folder), entries, Place(base, choice, only))
    return found


class Entry(Protocol):
    """What a scan asks of each entry of a folder, as `os.scandir` gives it."""

    @property
    def name(self) -> str:
        """The last part of the path."""

    @property
    def path(self) -> str:
        """The whole path."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Its status."""


@dataclass(frozen=True)
class Place:
    """Where a folder was found: below which root, and for what the scan looks there."""

    base: Path
    choice: Choice
    only: str | None  # the one file that was asked for


def _folders(
    base: str, choice: Choice, only: str | None, found: Found
) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Every folder from `base` down, with its entries in the order of their names."""
    waiting, home = [base], trash.home_trash()
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(
                    (entry for entry in listing if not entry.name.startswith(".") or entry.name == only),
                    key=lambda entry: entry.name,
                )
        except OSError as error:
            found.problems.append((Path(folder), error))
            continue
        if only is None:
            below = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
            below = [path for path in below if not trash.is_trash(path, home)]
            below = [path for path in below if not matches(path, base, choice.exclude, found.used)]
            programs = [path for path in below if is_of_a_program(os.path.basename(path))]  # noqa: PTH119
            found.skipped += [Skipped(Path(path), Reason.PROGRAM_FOLDER) for path in programs]
            waiting += [path for path in reversed(below) if path not in programs]
        yield folder, entries


def is_of_a_program(name: str) -> bool:
    """Whether a folder of this name belongs to a program, which would miss what somebody else moves there."""
    return any(fnmatchcase(name.lower(), pattern) for pattern in _PROGRAM_FOLDERS)


def sort_in(found: Found, seen: set[str], folder: Path, entries: Sequence[Entry], place: Place) -> None:
    """Add what lies in one folder to what was found: photos, and files left alone with the reason."""
    names = {entry.name for entry in entries}
    lower = {name.lower() for name in names}
    choice = place.choice
    target_folder = folder if choice.output is None else choice.output / folder.relative_to(place.base)
    taken = names if choice.output is None else _names_in(target_folder)
    found.folders.add(target_folder)
    for entry in entries:
        if entry.path in seen or (place.only or entry.name) != entry.name:
            continue
        seen.add(entry.path)
        if not _wanted(entry, str(place.base), choice, found.used):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                continue
            reason = _reason(entry, names, lower, choice)
            if reason is None:
                found.photos.append(
                    Photo(
                        str(folder),
                        entry.name,
                        str(target_folder),
                        _status(entry),
                        entry.name + PICO_EXTENSION in taken,
                        _sidecars(entry.name, lower, names),
                    )
                )
            elif reason:
                found.skipped.append(Skipped(folder / entry.name, reason, _status(entry).st_size))
        except OSError as error:
            found.problems.append((folder / entry.name, error))


def _reason(entry: Entry, names: set[str], lower: set[str], choice: Choice) -> str | None:
    """Why a file is no photo to shrink; empty if that is not worth mentioning, None if it is one."""
    stem, dot, extension = entry.name.rpartition(".")
    extension = dot + extension.lower()
    if entry.is_symlink():
        return Reason.LINK
    if extension == PICO_EXTENSION:
        return "" if stem in names else Reason.ALREADY_PICO
    if extension in RAW_EXTENSIONS:
        return Reason.RAW
    if extension in SIDECAR_EXTENSIONS:
        return ""
    if extension in VIDEO_EXTENSIONS:
        return Reason.VIDEO
    if extension not in PHOTO_EXTENSIONS:
        return Reason.NOT_A_PHOTO if extension in PICTURE_EXTENSIONS else Reason.NO_PICTURE
    status = _status(entry)
    if not stat.S_ISREG(status.st_mode):
        return Reason.NOT_A_FILE
    if is_placeholder(status) and not (_has_no_blocks(status) and _has_data(entry.path)):
        return Reason.PLACEHOLDER
    if choice.skip_extras and _is_live(entry.name, lower):
        return Reason.LIVE_PHOTO
    if status.st_nlink > 1 and choice.keep_hard_links:
        return Reason.HARD_LINK
    return None


def _status(entry: Entry) -> os.stat_result:
    """What `os.lstat` says of a file. Raises OSError."""
    if sys.platform == "win32" and isinstance(entry, os.DirEntry):
        return os.lstat(entry.path)  # the entries of a folder know no inode there, and no number of links
    return entry.stat(follow_symlinks=False)


def is_live(path: Path) -> bool:
    """Whether a photo has a video of the same name beside it by now. Raises OSError."""
    if path.suffix.lower() not in _LIVE_EXTENSIONS:
        return False
    with os.scandir(path.parent) as entries:
        return _is_live(path.name, {entry.name.lower() for entry in entries})


def _is_live(name: str, lower: set[str]) -> bool:
    stem, dot, extension = name.lower().rpartition(".")
    return dot + extension in _LIVE_EXTENSIONS and any(stem + video in lower for video in _LIVE_VIDEOS)


def is_placeholder(status: os.stat_result) -> bool:
    """Whether reading the file would first fetch it from a cloud."""
    if getattr(status, "st_file_attributes", 0) & _WINDOWS_RECALL:
        return True
    if getattr(status, "st_flags", 0) & _MAC_DATALESS:
        return True
    return _has_no_blocks(status)


def _has_no_blocks(status: os.stat_result) -> bool:
    return status.st_size > _SMALLEST_PLACEHOLDER and getattr(status, "st_blocks", 1) == 0


def _has_data(path: str) -> bool:
    """Whether a file of no blocks has content all the same: some file systems do not count them."""
    if not hasattr(os, "SEEK_DATA"):
        return False
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno != errno.ENXIO  # that is one hole; others do not know where they have holes
    finally:
        os.close(descriptor)
    return True


def _sidecars(name: str, lower: set[str], names: set[str]) -> tuple[str, ...]:
    """Names of the files beside a photo that only say more about it: `x.xmp`, `x.jpg.xmp`, `x.AAE`."""
    wanted = {base + extension for base in _bases(name) for extension in SIDECAR_EXTENSIONS}
    if not wanted & lower:
        return ()
    return tuple(sorted(other for other in names if other.lower() in wanted))


def _bases(name: str) -> tuple[str, str]:
    return name.rpartition(".")[0].lower(), name.lower()


def _wanted(entry: Entry, base: str, choice: Choice, used: set[str]) -> bool:
    if choice.include and not matches(entry.path, base, choice.include, used):
        return False
    return not matches(entry.path, base, choice.exclude, used)


def matches(path: str, base: str, patterns: Sequence[str], used: set[str] | None = None) -> bool:
    """Whether a name, or its path below `base`, fits one of the patterns, in which `*` and `?` stand for others.

    Neither case counts nor how letters with accents are stored. Patterns that fit are added to `used`.
    """
    if not patterns:
        return False
    below = _plain(os.path.relpath(path, base).replace(os.sep, "/"))
    name = below.rpartition("/")[2]
    fitting = {
        pattern for pattern in patterns if any(fnmatchcase(text, _literal(pattern)) for text in (below, name))
    }
    if used is not None:
        used |= fitting
    return bool(fitting)


def _plain(text: str) -> str:
    """A name in small letters, each letter with its accent one character: Macs store them apart."""
    return unicodedata.normalize("NFC", text.lower())


@functools.lru_cache
def _literal(pattern: str) -> str:
    """A pattern in which brackets are brackets: names of folders have them, and nobody means a class of letters."""
    return _plain(pattern).rstrip("/").removeprefix("./").replace("[", "[[]")


def _names_in(folder: Path) -> set[str]:
    if isinstance(folder, Url):
        return set(objects().names_in(str(folder)))
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError:
        return set()  # to be created
