"""What photos take before and after, and what of the difference is free by now: one vocabulary for all commands.

The *originals* have their bytes, the *.pico files* theirs, which are so much *smaller*. Bytes are *freed* only when an
original is nowhere any more: one that is still in its place, in the Trash or in an archive takes as much as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pico_library.model.records import Record
from pico_library.report.table import share, size
from pico_library.store.whereabouts import Now, where_now

_FREE = frozenset({Now.REMOVED, Now.GONE})
_NOW_IN_WORDS = {
    Now.IN_PLACE: "in place",
    Now.CHANGED: "changed, or replaced by another file, since",
    Now.IN_TRASH: "in the Trash",
    Now.IN_ARCHIVE: "in an archive",
    Now.REMOVED: "removed for good",
    Now.GONE: "gone: deleted by somebody else, or with the Trash",
    Now.AWAY: "away: their folder is not there (is its disk connected?)",
    Now.UNSEEN: "where nobody looked (object stores)",
}


@dataclass(frozen=True)
class Account:
    """Bytes of originals and of their .pico files, and how many originals, of how many bytes, are where now.

    `freed` are the bytes of originals that are nowhere any more, less those of their .pico files.
    """

    originals: int
    pico: int
    places: Mapping[Now, tuple[int, int]]
    freed: int

    def bytes_at(self, place: Now) -> int:
        """Bytes of the originals that are there."""
        return self.places.get(place, (0, 0))[1]

    @property
    def smaller(self) -> str:
        """The two sums, and how much smaller the second is."""
        return (
            f"originals {size(self.originals)}, .pico files {size(self.pico)}: "
            f"{share(self.originals, self.pico)} smaller"
        )

    def as_json(self) -> dict[str, Any]:
        """The account as plain values, in bytes."""
        return {
            "bytes_before": self.originals,
            "bytes_after": self.pico,
            "bytes_in_place": self.bytes_at(Now.IN_PLACE),
            "bytes_in_trash": self.bytes_at(Now.IN_TRASH),
            "bytes_in_archive": self.bytes_at(Now.IN_ARCHIVE),
            "bytes_freed": self.freed,
        }

    def what_is_free(self) -> str:
        """What is freed, and what would have to happen for the rest to be."""
        parts = []
        if self.freed:
            parts.append(f"Freed: {size(self.freed)}.")
        if waiting := self.bytes_at(Now.IN_TRASH):
            parts.append(f"In the Trash: empty it to free {size(waiting)}.")
        if archived := self.bytes_at(Now.IN_ARCHIVE):
            parts.append(f"In the archive: {size(archived)}.")
        if kept := self.bytes_at(Now.IN_PLACE):
            nothing = "" if self.freed else " Nothing is freed yet."
            parts.append(f"Originals are still in place.{nothing} Removing them would free {size(kept)}.")
        return " ".join(parts) or "Nothing is freed."


def account_of(saved: Iterable[Record], elsewhere: Iterable[Record] = ()) -> Account:
    """Add up photos that were shrunk, looking where their originals are; `elsewhere` are further originals."""
    before = after = freed = 0
    places: dict[Now, tuple[int, int]] = {}
    for counts, records in ((True, saved), (False, elsewhere)):
        for record in records:
            place = where_now(record)
            count, total = places.get(place, (0, 0))
            places[place] = count + 1, total + (record.before or 0)
            if counts:
                before, after = before + (record.before or 0), after + (record.after or 0)
                freed += (record.before or 0) - (record.after or 0) if place in _FREE else 0
    return Account(before, after, {place: places[place] for place in Now if place in places}, freed)


def whereabouts(account: Account) -> str:
    """How many originals are where, in words."""
    parts = [
        f"{count:,} {_NOW_IN_WORDS[place]} ({size(total)})"
        for place, (count, total) in account.places.items()
    ]
    return ", ".join(parts) or "none"
