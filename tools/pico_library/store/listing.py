"""The scan of libraries that lie in object stores, by the same rules as one of folders."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pico_library.model.url import Url
from pico_library.store.objects import objects
from pico_library.store.scan import Choice, Found, Place, is_of_a_program, matches, scan, sort_in


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """An object as `scan` wants the entry of a folder."""

    folder: str
    name: str
    status: os.stat_result

    @property
    def path(self) -> str:
        """The URL."""
        return f"{self.folder}/{self.name}"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Never: object stores know no folders."""
        return False

    def is_symlink(self) -> bool:
        """Never: object stores know no links."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """The status made from what the store says of the object."""
        return self.status


def look(roots: Sequence[Path], choice: Choice) -> Found:
    """As `scan`, for folders and URLs. Raises StorageError."""
    found = scan([root for root in roots if not isinstance(root, Url)], choice)
    seen: set[str] = set()
    for root in roots:
        if isinstance(root, Url):
            _look_below(root, choice, found, seen)
    return found


def _look_below(root: Url, choice: Choice, found: Found, seen: set[str]) -> None:
    folders: dict[str, list[ObjectEntry]] = {}
    base, only = root, None
    for url, status in objects().below(str(root)):
        if url == str(root):  # the root is an object itself
            base, only = root.parent, root.name
        folder, _, name = url.rpartition("/")
        if not name:
            continue  # what some programs put there to stand for a folder
        if str(Url(url)) != url:
            odd = OSError(errno.EINVAL, "its name has empty parts or dots for folders")
            found.problems.append((Url(url), odd))
        elif not _passed_over(folder, name, base, only, choice, found.used):
            folders.setdefault(folder, []).append(ObjectEntry(folder, name, status))
    for folder, entries in sorted(folders.items()):
        entries.sort(key=lambda entry: entry.name)
        sort_in(found, seen, Url(folder), entries, Place(base, choice, only))


def _passed_over(
    folder: str, name: str, base: Path, only: str | None, choice: Choice, used: set[str]
) -> bool:
    """Whether an object is hidden, or lies in a folder that is hidden, excluded or a program's."""
    if name.startswith(".") and name != only:
        return True
    place = Url(folder)
    inner = [place, *place.parents][: len(place.parts) - len(base.parts)]
    return any(
        one.name.startswith(".")
        or is_of_a_program(one.name)
        or matches(str(one), str(base), choice.exclude, used)
        for one in inner
    )
