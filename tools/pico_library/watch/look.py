"""A look into a few folders of a library, in place of one over all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pico_library.store import trash
from pico_library.store.scan import Choice, Found, Place, is_of_a_program, matches, sort_in


def into(folders: Collection[str]) -> Callable[[Sequence[Path], Choice], Found]:
    """A way to look, as `make_plan` wants it, that finds what `scan` would find in these very folders.

    Folders that `scan` would not come to (hidden, excluded, of a program, in the Trash, outside the roots, behind a
    link), and such as are gone, hold nothing.
    """

    def look(roots: Sequence[Path], choice: Choice) -> Found:
        found = Found()
        seen: set[str] = set()
        for root in roots:
            base = root.resolve()
            for folder in sorted(folders):
                if _is_part(folder, str(base), choice):
                    _look_into(folder, found, seen, Place(base, choice, None))
        return found

    return look


def _look_into(folder: str, found: Found, seen: set[str], place: Place) -> None:
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        found.problems.append((Path(folder), error))
        return
    if entries:
        sort_in(found, seen, Path(folder), sorted(entries, key=lambda entry: entry.name), place)


def _is_part(folder: str, base: str, choice: Choice) -> bool:
    if folder == base:
        return True
    if not folder.startswith(base.rstrip(os.sep) + os.sep) or os.path.realpath(folder) != folder:
        return False
    place, home = Path(base), trash.home_trash()
    for part in Path(folder).relative_to(base).parts:
        place /= part
        if (
            part.startswith(".")
            or trash.is_trash(str(place), home)
            or is_of_a_program(part)
            or matches(str(place), base, choice.exclude)
        ):
            return False
    return True
