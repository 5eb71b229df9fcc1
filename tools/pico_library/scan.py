"""Which files of a library are photographs to shrink, and where their .pico files go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Other formats either hold more than a .pico file can (TIFF, RAW, GIF) or are small already (HEIC, AVIF).
PHOTO_EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"})
PICO_EXTENSION = ".pico"

ALREADY = "already has a .pico file"
NOT_A_PHOTO = "not a JPEG, PNG or WebP picture"
LINK = "symbolic link"


@dataclass(frozen=True)
class Photo:
    """A file to shrink, and the .pico file that it becomes."""

    path: Path
    target: Path


@dataclass(frozen=True)
class Skipped:
    """A file left alone; `reason` is the phrase under which the summary counts it."""

    path: Path
    reason: str


@dataclass
class Found:
    """What a scan found; `folders` are all that hold, or are to hold, .pico files."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)


def scan(roots: Sequence[Path], output: Path | None = None) -> Found:
    """Look through files and folders, in the order of their names; .pico and hidden files are passed over.

    The .pico file of `a/b/IMG.jpg` goes beside it or, found under the root `a`, to `output/b/IMG.jpg.pico`.
    A file is found once, however many roots lead to it. Links are not followed. Folders that cannot be listed
    raise OSError.
    """
    found = Found()
    seen: set[Path] = set()
    for root in roots:
        base = root if root.is_dir() else root.parent
        for path in _files(root):
            place = path.parent.resolve() / path.name
            if place in seen or path.suffix.lower() == PICO_EXTENSION:
                continue
            seen.add(place)
            folder = path.parent if output is None else output / path.parent.relative_to(base)
            found.folders.add(folder)
            _sort_in(found, path, folder / (path.name + PICO_EXTENSION))
    return found


def _sort_in(found: Found, path: Path, target: Path) -> None:
    reason = None
    if path.is_symlink():
        reason = LINK
    elif path.suffix.lower() not in PHOTO_EXTENSIONS:
        reason = NOT_A_PHOTO
    elif target.exists():
        reason = ALREADY
    if reason is None:
        found.photos.append(Photo(path, target))
    else:
        found.skipped.append(Skipped(path, reason))


def _files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        yield root
        return
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error
