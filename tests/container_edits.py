"""A full and a plain .pico file, and edits of what their boxes say, for the tests of damage."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import container_samples as samples
import pytest
from container_samples import (
    Edit,
    entry_edit,
    location_edit,
    open_file,
)

from pico_core import boxes
from pico_core.errors import (
    PicoError,
)

FULL = samples.full_file()
PLAIN = samples.plain_file()
HEADERS = FULL.index(b"mdat") + 4

# Ids in the full file, in the order in which the writer numbers the items.
PICTURE, ALPHA, PREVIEW, TRAILER, DEPTH, EXIF, XMP = range(1, 8)


def refuses(error: type[PicoError], match: str, data: bytes) -> None:
    """Opening must raise exactly this error, and say what and where."""
    with pytest.raises(error, match=match) as caught:
        open_file(data)
    assert caught.type is error


def index_edit(item_id: int, edit: Edit, *, more: int = 0) -> Mapping[bytes, Edit]:
    """Edits of what `pidx` says of one item, from its id on; `more` is added to the count of items."""

    def edit_box(whole: bytes) -> bytes:
        rows = []
        position = 14
        while position < len(whole) - 8:
            number, tiles = struct.unpack_from(">HH", whole, position)
            end = position + 4 + (tiles * 14 or 8)
            row = whole[position:end]
            rows.append(edit(row) if number == item_id else row)
            position = end
        return boxes.full_box(b"pidx", struct.pack(">H", len(rows) + more), *rows, bytes(8))

    return {b"pidx": edit_box}


def info_edit(item_id: int, edit: Edit) -> Mapping[bytes, Edit]:
    """Edits of the `infe` of one item."""

    def edit_entries(entries: list[bytes]) -> list[bytes]:
        return [part for entry in entries if (part := edit(entry) if entry[12:14] == number else entry)]

    number = struct.pack(">H", item_id)
    return {b"iinf": entry_edit(edit_entries)}


def locate(item_id: int, column: int, change: Callable[[int], int]) -> Mapping[bytes, Edit]:
    """Edits of one number that `iloc` gives for an item: 1 data reference, 2 extents, 3 offset, 4 length."""

    def edit_rows(rows: list[list[int]]) -> None:
        row = next(row for row in rows if row[0] == item_id)
        row[column] = change(row[column])

    return {b"iloc": location_edit(edit_rows)}
