"""One test for each way in which a .pico file can be wrong; docs/format.md lists them with their errors."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import container_samples as samples
import pytest
from container_samples import (
    Edit,
    entry_edit,
    gone,
    location_edit,
    open_file,
    property_edit,
    put,
    spoil,
    twice,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_core import boxes
from pico_core.container import Coder, Container, Metadata, Tile, write
from pico_core.container_format import checksum
from pico_core.errors import (
    CorruptError,
    NotPicoError,
    PicoError,
    TrailingDataError,
    TruncatedError,
    UnsupportedVersionError,
)

ROOT = Path(__file__).resolve().parents[1]
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
            end = position + 4 + (tiles * 13 or 8)
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


def test_spoiling_nothing_changes_nothing() -> None:
    assert spoil(FULL, {}) == FULL
    assert spoil(FULL, {b"iloc": location_edit(lambda rows: None), **info_edit(1, bytes)}) == FULL
    assert spoil(FULL, index_edit(1, bytes)) == FULL


# Not such a file, or not for this release


@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBP",
        b"\0\0\0\x18ftypheic",
        b"\0" * 4 + b"fty!",
    ],
)
def test_another_kind_of_file_is_refused(start: bytes) -> None:
    refuses(NotPicoError, "the file starts with", start + bytes(100))


def test_a_later_format_version_is_refused() -> None:
    refuses(UnsupportedVersionError, "format version 2", spoil(PLAIN, {b"ftyp": put(12, b"\0\2")}))


def test_a_later_minor_version_is_read() -> None:
    open_file(spoil(FULL, {b"ftyp": put(14, b"\1\1")})).verify()


def test_a_later_codec_version_is_refused() -> None:
    refuses(UnsupportedVersionError, "codec version 2", spoil(PLAIN, property_edit(b"picC", put(8, b"\2"))))


@pytest.mark.parametrize("tiling", [(256, 8), (512, 16)])
def test_another_tiling_is_refused(tiling: tuple[int, int]) -> None:
    edits = property_edit(b"picC", put(13, struct.pack(">HH", *tiling)))
    refuses(
        UnsupportedVersionError, f"tiles of {tiling[0]} pixels that share {tiling[1]}", spoil(PLAIN, edits)
    )


@pytest.mark.parametrize("kind", [b"meta", b"pidx", b"hdlr", b"pitm", b"iinf", b"iref", b"iloc"])
def test_a_later_version_of_a_box_is_refused(kind: bytes) -> None:
    refuses(UnsupportedVersionError, f"box {kind.decode()} at byte", spoil(FULL, {kind: put(8, b"\x09")}))


def test_a_later_version_of_an_item_is_refused() -> None:
    refuses(UnsupportedVersionError, "box infe at byte", spoil(FULL, info_edit(PREVIEW, put(8, b"\x09"))))


@pytest.mark.parametrize("kind", [b"ispe", b"pixi", b"auxC"])
def test_a_later_version_of_a_property_is_refused(kind: bytes) -> None:
    edits = property_edit(kind, put(8, b"\x09"))
    refuses(UnsupportedVersionError, f"box {kind.decode()} at byte", spoil(FULL, edits))


@pytest.mark.parametrize("word", [b"\1\0\0\0", b"\0\0\0\1"], ids=["version", "flags"])
def test_another_form_of_property_list_is_refused(word: bytes) -> None:
    def edit(iprp: bytes) -> bytes:
        start = iprp.index(b"ipma") + 4
        return put(start, word)(iprp)

    refuses(UnsupportedVersionError, "box ipma at byte", spoil(FULL, {b"iprp": edit}))


def test_a_protected_item_is_refused() -> None:
    refuses(UnsupportedVersionError, "item 3 is protected", spoil(FULL, info_edit(PREVIEW, put(14, b"\0\1"))))


def test_an_essential_property_that_is_unknown_is_refused() -> None:
    refuses(UnsupportedVersionError, "needs box zzzz", spoil(PLAIN, property_edit(b"picC", put(4, b"zzzz"))))


def test_a_coder_that_is_unknown_is_refused_when_its_tile_is_read() -> None:
    data = spoil(FULL, index_edit(PICTURE, put(4, b"\x09")))
    container = open_file(data)
    container.verify()
    assert container.metadata == samples.METADATA
    assert container.read_tile(1) == samples.tiles_for(container.picture)[1]
    with pytest.raises(UnsupportedVersionError, match="tile 0: its coder 9 is unknown"):
        container.read_tile(0)


# What readers must ignore


def same_content(data: bytes) -> None:
    """The file must be good, and give out what the full file does."""
    container = open_file(data)
    container.verify()
    assert samples.content_of(container) == samples.content_of(open_file(FULL))


def test_unknown_boxes_are_ignored() -> None:
    stranger = boxes.box(b"zzzz", b"from a later version")
    same_content(spoil(FULL, {b"ftyp": lambda whole: whole + stranger}))
    same_content(spoil(FULL, {b"hdlr": lambda whole: whole + stranger}))
    same_content(spoil(FULL, {}, top=lambda headers: headers + stranger * 2))


def test_unknown_properties_that_are_not_essential_are_ignored() -> None:
    same_content(spoil(FULL, property_edit(b"pixi", put(4, b"zzzz"))))


def test_more_fields_in_the_codec_configuration_are_ignored() -> None:
    edits = property_edit(b"picC", lambda whole: boxes.box(b"picC", whole[8:], b"from a later version"))
    same_content(spoil(FULL, edits))


def test_unknown_references_are_ignored() -> None:
    stranger = boxes.box(b"zzzz", struct.pack(">HHH", PREVIEW, 1, EXIF))
    same_content(spoil(FULL, {b"iref": entry_edit(lambda entries: [*entries, stranger])}))


def test_unknown_items_are_ignored_but_their_checksums_are_checked() -> None:
    data = spoil(FULL, info_edit(PREVIEW, put(16, b"zzzz")))
    container = open_file(data)
    container.verify()
    assert container.preview is None
    assert container.metadata == samples.METADATA
    with pytest.raises(CorruptError, match="item 3"):
        open_file(data.replace(samples.PREVIEW, b"x" * len(samples.PREVIEW))).verify()


# Too short, too long


def test_a_file_cut_off_anywhere_is_truncated() -> None:
    for end in range(len(FULL)):
        refuses(TruncatedError, f"the file ends at byte {end}|the file has {end} bytes", FULL[:end])


def test_an_empty_file_is_truncated() -> None:
    refuses(TruncatedError, "0 bytes", b"")


def test_a_truncated_file_opens_when_asked_to_and_gives_what_arrived() -> None:
    header = samples.picture(600, 20, alpha=True)
    tiles, alpha_tiles = samples.tiles_for(header), samples.alpha_tiles_for(header)
    for end in range(HEADERS, len(FULL)):
        container = open_file(FULL[:end], allow_truncated=True)
        assert container.truncated
        assert container.picture == header
        assert container.icc == samples.ICC
        for tile, read in ((tiles, container.read_tile), (alpha_tiles, container.read_alpha_tile)):
            for index in range(2):
                if FULL.index(tile[index].payload) + len(tile[index].payload) <= end:
                    assert read(index) == tile[index]
                else:
                    with pytest.raises(TruncatedError, match=f"tile {index}"):
                        read(index)
        with pytest.raises(TruncatedError):
            container.verify()


def test_metadata_that_did_not_arrive_is_an_error_and_not_none() -> None:
    container = open_file(FULL[: HEADERS + 3], allow_truncated=True)
    for name in ("preview", "exif", "xmp", "extras", "metadata"):
        with pytest.raises(TruncatedError, match="needed up to byte"):
            getattr(container, name)


def test_headers_must_be_whole_even_when_truncation_is_allowed() -> None:
    for end in range(HEADERS):
        with pytest.raises(TruncatedError):
            open_file(FULL[:end], allow_truncated=True)


@pytest.mark.parametrize("rest", [b"\0", b"x" * 5000, boxes.box(b"free", b"a whole box"), PLAIN])
def test_bytes_after_the_end_are_refused(rest: bytes) -> None:
    refuses(TrailingDataError, f"{len(rest)} bytes follow", FULL + rest)


def test_a_file_that_changes_while_it_is_open_is_noticed() -> None:
    for change, error in (
        (lambda stream: stream.truncate(HEADERS + 40), TruncatedError),
        (lambda stream: (stream.seek(0, io.SEEK_END), stream.write(b"more")), TrailingDataError),
        (lambda stream: (stream.seek(20), stream.write(b"x")), CorruptError),
        (lambda stream: (stream.seek(HEADERS + 40), stream.write(b"\xa5" * 40)), CorruptError),
    ):
        stream = io.BytesIO(FULL)
        container = Container(stream)
        change(stream)
        with pytest.raises(error):
            container.verify()


def test_a_file_that_becomes_shorter_while_it_is_open_is_noticed_when_a_tile_is_read() -> None:
    stream = io.BytesIO(FULL)
    container = Container(stream)
    stream.truncate(HEADERS + 40)
    with pytest.raises(TruncatedError, match=r"tile 1 .*: the file became shorter"):
        container.read_tile(1)


# Damage


def test_every_flipped_byte_is_noticed() -> None:
    for mask in (0x01, 0x80, 0xFF):
        for position in range(len(FULL)):
            damaged = bytearray(FULL)
            damaged[position] ^= mask
            assert samples.error_of(bytes(damaged)) is not None, f"byte {position} ^ {mask:#x}"


def test_a_damaged_header_is_refused() -> None:
    refuses(
        CorruptError,
        r"headers \(bytes 0 to \d+\): their checksum",
        FULL.replace(b"trailer.mp4", b"trailer.mp5"),
    )


@pytest.mark.parametrize(
    ("part", "name"),
    [(samples.PREVIEW, "preview"), (samples.EMPTY_TIFF, "exif"), (samples.XMP, "xmp"), (b"moving", "extras")],
)
def test_a_damaged_item_is_refused_when_it_is_read(part: bytes, name: str) -> None:
    data = FULL.replace(part, b"\xa5" * len(part))
    container = open_file(data)
    with pytest.raises(CorruptError, match=r"item \d .*: the checksum does not match"):
        getattr(container, name)
    with pytest.raises(CorruptError, match=r"item \d .*: the checksum does not match"):
        container.verify()
    assert container.read_tile(0).payload == b"tile 0"


def test_a_damaged_tile_is_refused_when_it_is_read() -> None:
    container = open_file(FULL.replace(b"tile 1", b"tile 2").replace(b"alpha 0", b"alpha 2"))
    assert container.read_tile(0).payload == b"tile 0"
    with pytest.raises(CorruptError, match=r"^tile 1 \(from byte \d+\): the checksum"):
        container.read_tile(1)
    with pytest.raises(CorruptError, match=r"^alpha tile 0 \(from byte \d+\): the checksum"):
        container.read_alpha_tile(0)
    with pytest.raises(CorruptError, match="tile 1: the checksum"):
        container.verify()


# Boxes


def test_a_box_that_is_larger_than_the_box_around_it_is_refused() -> None:
    refuses(CorruptError, "box hdlr at byte 36: its size", spoil(FULL, {b"hdlr": put(0, b"\0\1\0\0")}))


@pytest.mark.parametrize("size", [0, 7])
def test_a_box_that_is_smaller_than_its_header_is_refused(size: int) -> None:
    refuses(
        CorruptError,
        f"box zzzz at byte 24: its size is {size}",
        PLAIN[:24] + bytes([0, 0, 0, size]) + b"zzzz" + PLAIN,
    )


def test_a_file_type_box_without_room_for_a_version_is_refused() -> None:
    refuses(CorruptError, "box ftyp at byte 0: its size is 15", put(0, b"\0\0\0\x0f")(PLAIN))


@pytest.mark.parametrize("kind", [b"meta", b"hdlr", b"pitm", b"iinf", b"iprp", b"iloc"])
def test_a_missing_box_is_refused(kind: bytes) -> None:
    refuses(CorruptError, f"no box {kind.decode()} ", spoil(PLAIN, {kind: gone}))


@pytest.mark.parametrize("kind", [b"meta", b"hdlr", b"pitm", b"iinf", b"iref", b"iprp", b"iloc"])
def test_a_box_that_occurs_twice_is_refused(kind: bytes) -> None:
    refuses(CorruptError, f"2 box {kind.decode()} ", spoil(FULL, {kind: twice}))


def test_missing_checksums_are_refused() -> None:
    refuses(CorruptError, "box mdat at byte .*: box pidx must come before it", spoil(PLAIN, {b"pidx": gone}))


def test_the_media_box_must_follow_the_checksums() -> None:
    start = HEADERS - 8
    refuses(CorruptError, "box mdat must come here", FULL[:start] + boxes.box(b"free") + FULL[start:])


def test_another_handler_is_refused() -> None:
    refuses(CorruptError, "the handler must be pict", spoil(FULL, {b"hdlr": put(16, b"vide")}))


def lengthened(whole: bytes) -> bytes:
    """A box with 4 bytes more than it needs."""
    return boxes.box(whole[4:8], whole[8:], b"rest")


def lengthened_associations(iprp: bytes) -> bytes:
    container, associations = boxes.children(iprp, 8, len(iprp))
    return boxes.box(b"iprp", iprp[8 : container.end], lengthened(iprp[associations.start :]))


@pytest.mark.parametrize(
    ("kind", "edits"),
    [
        ("pitm", {b"pitm": lengthened}),
        ("iloc", {b"iloc": lengthened}),
        ("thmb", {b"iref": entry_edit(lambda entries: [entries[0], lengthened(entries[1]), *entries[2:]])}),
        ("ipma", {b"iprp": lengthened_associations}),
        ("ispe", property_edit(b"ispe", lengthened)),
        ("pidx", {b"pidx": lengthened}),
    ],
)
def test_fields_left_over_in_a_box_are_refused(kind: str, edits: Mapping[bytes, Edit]) -> None:
    refuses(CorruptError, f"box {kind} .*: 4 bytes left over", spoil(FULL, edits))


def test_a_string_without_an_end_is_refused() -> None:
    refuses(
        CorruptError,
        "without its final zero byte",
        spoil(FULL, info_edit(TRAILER, lambda e: boxes.box(b"infe", e[8:-1]))),
    )


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    refuses(CorruptError, "a string that is not UTF-8", spoil(FULL, info_edit(TRAILER, put(20, b"\xff"))))


# Counts and sizes beyond all reason


@pytest.mark.parametrize(
    "data",
    [
        put(24, b"\xff\xff\xff\xff")(FULL),
        put(24, b"\0\0\0\1meta" + b"\xff" * 8)(FULL),
        spoil(FULL, {b"iloc": put(14, b"\xff\xff")}),
        spoil(FULL, {b"iinf": put(12, b"\xff\xff")}),
        spoil(FULL, {b"iprp": lambda whole: put(whole.index(b"ipma") + 8, b"\xff\xff\xff\xff")(whole)}),
        spoil(FULL, {b"iref": put(22, b"\xff\xff")}),
        spoil(FULL, {b"pidx": put(12, b"\xff\xff")}),
        spoil(FULL, {b"pidx": put(16, b"\xff\xff")}),
        spoil(FULL, locate(PREVIEW, 4, lambda _: 0xFFFF_FFFF)),
        spoil(FULL, {b"mdat": put(0, b"\xff\xff\xff\xff")}),
        spoil(FULL, {b"mdat": lambda whole: b"\0\0\0\1mdat" + b"\xff" * 8 + whole[8:]}),
    ],
    ids=["meta", "meta 64", "iloc", "iinf", "ipma", "iref", "pidx", "tiles", "extent", "mdat", "mdat 64"],
)
def test_an_absurd_size_is_refused_before_memory_is_taken(data: bytes) -> None:
    stream = io.BytesIO(data)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError):
            Container(stream)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def listed_often(item_id: int, kind: bytes) -> Mapping[bytes, Edit]:
    """Edits that make an item list a property of its 250 times more."""

    def edit_box(whole: bytes) -> bytes:
        properties = boxes.children(whole, 16, 8 + int.from_bytes(whole[8:12], "big"))
        number = 1 + [box.kind for box in properties].index(kind)
        entry = whole.index(struct.pack(">H", item_id), whole.index(b"ipma") + 12)
        count = whole[entry + 2]
        end = entry + 3 + count
        assert number in whole[entry + 3 : end]
        ipma = whole[whole.index(b"ipma") + 4 : entry + 2] + bytes([count + 250]) + whole[entry + 3 : end]
        rest = boxes.box(b"ipma", ipma, bytes([number]) * 250, whole[end:])
        return boxes.box(b"iprp", whole[8 : whole.index(b"ipma") - 4], rest)

    return {b"iprp": edit_box}


@pytest.mark.parametrize(("item_id", "kind"), [(PICTURE, b"colr"), (ALPHA, b"auxC")])
def test_a_property_listed_often_is_not_copied_each_time(item_id: int, kind: bytes) -> None:
    large = property_edit(kind, lambda whole: boxes.box(kind, whole[8:12], b"x" * 1_000_000, b"\0"))
    stream = io.BytesIO(spoil(spoil(FULL, large), listed_often(item_id, kind)))
    tracemalloc.start()
    try:
        with suppress(CorruptError):
            Container(stream)
        assert tracemalloc.get_traced_memory()[1] < 2_500_000
    finally:
        tracemalloc.stop()


def test_headers_of_more_than_16_mib_are_refused() -> None:
    header = samples.picture()
    stream = io.BytesIO()
    write(stream, header, samples.tiles_for(header), metadata=Metadata(icc=bytes((1 << 24) - 1000)))
    stream.seek(0)
    refuses(
        CorruptError,
        "16777216 is the limit",
        spoil(stream.read(), {b"hdlr": lambda e: e + boxes.box(b"free", bytes(1000))}),
    )


def test_endless_boxes_before_the_checksums_are_refused() -> None:
    refuses(
        CorruptError,
        "more than 64 boxes",
        spoil(PLAIN, {}, top=lambda headers: headers + boxes.box(b"free") * 64),
    )


def test_more_tiles_than_any_picture_has_are_refused() -> None:
    rows = (
        struct.pack(">HH", 1, 40_000)
        + bytes(40_000 * 13)
        + struct.pack(">HH", 2, 40_000)
        + bytes(40_000 * 13)
    )
    edits = {b"pidx": lambda _: boxes.full_box(b"pidx", b"\0\2", rows, bytes(8))}
    refuses(CorruptError, "80000 entries in one list", spoil(PLAIN, edits))


@pytest.mark.parametrize("length", [0, (1 << 24) + 1])
def test_a_tile_of_impossible_length_is_refused(length: int) -> None:
    edits = index_edit(PICTURE, put(5, struct.pack(">I", length)))
    refuses(CorruptError, f"item 1, tile 0: {length} bytes", spoil(FULL, edits))


# Items


def test_an_item_without_a_location_is_refused() -> None:
    refuses(
        CorruptError,
        "item 7: box iinf speaks of it, box iloc does not",
        spoil(FULL, {b"iloc": location_edit(lambda rows: rows.__delitem__(-1))}),
    )


def test_an_item_without_a_checksum_is_refused() -> None:
    refuses(
        CorruptError,
        "item 3: box iinf speaks of it, box pidx does not",
        spoil(FULL, index_edit(PREVIEW, gone, more=-1)),
    )


def test_an_item_without_a_description_is_refused() -> None:
    refuses(
        CorruptError,
        "item 4: box iloc speaks of it, box iinf does not",
        spoil(FULL, info_edit(TRAILER, gone)),
    )


def test_a_missing_primary_item_is_refused() -> None:
    refuses(
        CorruptError,
        "item 9: box pitm speaks of it, box iinf does not",
        spoil(FULL, {b"pitm": put(12, b"\0\x09")}),
    )


def test_a_primary_item_of_another_type_is_refused() -> None:
    refuses(CorruptError, "the primary item must be of type pico", spoil(FULL, {b"pitm": put(12, b"\0\3")}))


def test_a_reference_to_a_missing_item_is_refused() -> None:
    refuses(
        CorruptError,
        "item 99: box iref speaks of it, box iinf does not",
        spoil(FULL, {b"iref": put(24, b"\0\x63")}),
    )


def test_properties_of_a_missing_item_are_refused() -> None:
    def edit(iprp: bytes) -> bytes:
        return put(iprp.index(b"ipma") + 12, b"\0\x63")(iprp)

    refuses(CorruptError, "item 99: box ipma speaks of it, box iinf does not", spoil(FULL, {b"iprp": edit}))


def test_a_missing_property_is_refused() -> None:
    def edit(iprp: bytes) -> bytes:
        return put(iprp.index(b"ipma") + 15, b"\x7f")(iprp)

    refuses(CorruptError, r"item 1 has property 127 of \d+", spoil(FULL, {b"iprp": edit}))


def test_an_item_described_twice_is_refused() -> None:
    refuses(
        CorruptError, "item 3 is described twice", spoil(FULL, {b"iinf": entry_edit(lambda e: [*e, e[2]])})
    )


def test_an_item_located_twice_is_refused() -> None:
    refuses(
        CorruptError,
        "item 3 is located twice",
        spoil(FULL, {b"iloc": location_edit(lambda rows: rows.append(rows[2]))}),
    )


def test_an_item_with_two_checksums_is_refused() -> None:
    refuses(CorruptError, "item 3 occurs twice", spoil(FULL, index_edit(PREVIEW, twice, more=1)))


def test_an_item_with_two_lists_of_properties_is_refused() -> None:
    def edit(iprp: bytes) -> bytes:
        container, associations = boxes.children(iprp, 8, len(iprp))
        rows = iprp[associations.body + 8 : associations.end]
        count = struct.unpack_from(">I", iprp, associations.body + 4)[0] * 2
        return boxes.box(
            b"iprp",
            iprp[container.start : container.end],
            boxes.full_box(b"ipma", struct.pack(">I", count), rows, rows),
        )

    refuses(CorruptError, "item 1 has two lists of properties", spoil(FULL, {b"iprp": edit}))


def test_a_wrong_count_of_items_is_refused() -> None:
    refuses(CorruptError, "6 items announced, 7 described", spoil(FULL, {b"iinf": put(12, b"\0\6")}))


def test_another_box_among_the_items_is_refused() -> None:
    refuses(CorruptError, "box infe expected here", spoil(FULL, info_edit(PREVIEW, put(4, b"free"))))


def test_overlapping_items_are_refused() -> None:
    refuses(
        CorruptError, "overlaps what lies before it", spoil(FULL, locate(EXIF, 3, lambda offset: offset - 1))
    )


def test_a_gap_between_items_is_refused() -> None:
    refuses(CorruptError, "leaves a gap before it", spoil(FULL, locate(EXIF, 3, lambda offset: offset + 1)))


def test_an_item_outside_the_media_box_is_refused() -> None:
    refuses(CorruptError, "overlaps what lies before it", spoil(FULL, locate(EXIF, 3, lambda offset: 0)))


def test_items_that_do_not_fill_the_media_box_are_refused() -> None:
    refuses(
        CorruptError, "but its items end at byte", spoil(FULL, locate(DEPTH, 4, lambda length: length - 1))
    )
    refuses(
        CorruptError, "but its items end at byte", spoil(FULL, locate(DEPTH, 4, lambda length: length + 1))
    )


def test_an_item_of_no_bytes_is_refused() -> None:
    refuses(CorruptError, "it has no bytes", spoil(FULL, locate(PREVIEW, 4, lambda _: 0)))


def test_an_item_in_pieces_is_refused() -> None:
    refuses(CorruptError, "must lie in this file in one piece", spoil(FULL, locate(PREVIEW, 2, lambda _: 2)))


def test_an_item_in_another_file_is_refused() -> None:
    refuses(CorruptError, "must lie in this file in one piece", spoil(FULL, locate(PREVIEW, 1, lambda _: 1)))


def test_locations_of_another_width_are_refused() -> None:
    refuses(CorruptError, "must be 0x4400 or 0x8800", spoil(FULL, {b"iloc": put(12, b"\x48")}))


def test_two_items_for_one_part_are_refused() -> None:
    edits = {**info_edit(PREVIEW, put(16, b"Exif")), b"iref": lambda whole: whole.replace(b"thmb", b"cdsc")}
    refuses(CorruptError, "items 3 and 6 both claim a part", spoil(FULL, edits))


def test_exif_that_points_outside_itself_is_refused() -> None:
    start = FULL.index(samples.METADATA.exif or b"") - 4
    length = 4 + len(samples.METADATA.exif or b"")
    item = struct.pack(">I", length - 3) + FULL[start + 4 : start + length]
    data = spoil(FULL, index_edit(EXIF, put(4, checksum(item)))).replace(FULL[start : start + length], item)
    with pytest.raises(CorruptError, match=r"item 6 \(Exif\): its TIFF header would lie outside"):
        _ = open_file(data).exif
    with pytest.raises(CorruptError, match=r"item 6 \(Exif\): its TIFF header would lie outside"):
        open_file(data).verify()


# The picture


@pytest.mark.parametrize("kind", [b"ispe", b"picC"])
def test_a_picture_without_size_or_configuration_is_refused(kind: bytes) -> None:
    refuses(
        CorruptError,
        f"item 1 .*: no box {kind.decode()} ",
        spoil(PLAIN, {b"iprp": lambda whole: without(whole, kind)}),
    )


def without(iprp: bytes, kind: bytes) -> bytes:
    """Properties with one renamed and no longer essential."""
    number = [box.kind for box in boxes.children(iprp, 16, 8 + int.from_bytes(iprp[8:12], "big"))].index(
        kind
    ) + 1
    start = iprp.index(b"ipma") + 15
    plain = iprp[:start] + iprp[start:].replace(bytes([0x80 | number]), bytes([number]))
    return plain.replace(kind, b"zzzz")


def test_a_picture_with_two_sizes_is_refused() -> None:
    refuses(
        CorruptError,
        "item 1 .*: 2 box ispe ",
        spoil(PLAIN, property_edit(b"colr", lambda _: boxes.full_box(b"ispe", bytes(8)))),
    )


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (65_536, 1), (1, 0xFFFF_FFFF)])
def test_an_impossible_size_is_refused(size: tuple[int, int]) -> None:
    edits = property_edit(b"ispe", put(12, struct.pack(">II", *size)))
    refuses(CorruptError, f"{size[0]} x {size[1]} pixels; sides must be", spoil(PLAIN, edits))


def test_a_codec_configuration_that_is_too_short_is_refused() -> None:
    refuses(
        CorruptError,
        "box picC .*: .* bytes expected",
        spoil(PLAIN, property_edit(b"picC", lambda whole: boxes.box(b"picC", whole[8:-1]))),
    )


def test_an_impossible_number_of_channels_is_refused() -> None:
    refuses(CorruptError, "2 channels", spoil(PLAIN, property_edit(b"picC", put(9, b"\2"))))


def test_an_impossible_quality_is_refused() -> None:
    refuses(CorruptError, "quality 101", spoil(PLAIN, property_edit(b"picC", put(10, b"\x65"))))


@pytest.mark.parametrize("pixels", [b"\1\x08", b"\3\x08\x08\x0a"])
def test_channels_that_contradict_each_other_are_refused(pixels: bytes) -> None:
    edits = property_edit(b"pixi", lambda _: boxes.full_box(b"pixi", pixels))
    refuses(CorruptError, "it must say 3 channels of 8 bits", spoil(PLAIN, edits))


def test_learned_tiles_without_a_model_are_refused() -> None:
    refuses(
        CorruptError,
        "a learned tile needs a model id",
        spoil(PLAIN, property_edit(b"picC", put(17, bytes(16)))),
    )


def test_a_number_of_tiles_that_does_not_fit_the_size_is_refused() -> None:
    edits = property_edit(b"ispe", put(12, struct.pack(">II", 1017, 20)))
    refuses(CorruptError, "2 tiles; 1017 x 20 pixels take 3", spoil(FULL, edits))


def test_tiles_that_do_not_add_up_to_their_item_are_refused() -> None:
    edits = index_edit(PICTURE, put(5, struct.pack(">I", 7)))
    refuses(CorruptError, r"item 1: its tiles take \d+ bytes, box iloc says", spoil(FULL, edits))


def test_a_picture_that_is_not_in_tiles_is_refused() -> None:
    edits = index_edit(PICTURE, lambda row: row[:2] + bytes(10))
    refuses(CorruptError, "items of type pico, and no others, are in tiles", spoil(PLAIN, edits))


def test_another_item_in_tiles_is_refused() -> None:
    edits = index_edit(PREVIEW, lambda row: row[:2] + b"\0\1" + bytes(13))
    refuses(CorruptError, "items of type pico, and no others, are in tiles", spoil(FULL, edits))


@pytest.mark.parametrize(
    "field", [put(9, b"\3"), put(10, b"\1"), put(11, b"\0\0"), put(17, b"another model id")]
)
def test_an_alpha_plane_that_does_not_fit_the_picture_is_refused(field: Edit) -> None:
    edits = property_edit(b"picC", field, number=1)
    data = spoil(FULL, edits)
    if field(bytes(40))[9] == 3:
        data = spoil(
            data, property_edit(b"pixi", lambda _: boxes.full_box(b"pixi", b"\3\x08\x08\x08"), number=1)
        )
    refuses(CorruptError, "the alpha plane must have 1 channel", data)


def test_an_empty_colour_profile_is_refused() -> None:
    edits = property_edit(b"colr", lambda _: boxes.box(b"colr", b"prof"))
    refuses(CorruptError, "its ICC profile is empty, or there are several", spoil(FULL, edits))


def test_two_colour_profiles_are_refused() -> None:
    edits = property_edit(b"pixi", lambda _: boxes.box(b"colr", b"prof", b"another"))
    refuses(CorruptError, "its ICC profile is empty, or there are several", spoil(FULL, edits))


# Whatever else


@given(st.lists(st.tuples(st.integers(24, HEADERS - 17), st.integers(0, 255)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_headers_with_a_right_checksum_raise_nothing_but_our_errors(changes: list[tuple[int, int]]) -> None:
    headers = bytearray(FULL[: HEADERS - 8])
    for position, value in changes:
        headers[position] = value
    data = samples.seal(bytes(headers)) + FULL[HEADERS - 8 :]
    try:
        container = open_file(data)
        container.verify()
        samples.content_of(container)
    except PicoError:
        pass


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_random_bytes_raise_nothing_but_our_errors(rest: bytes) -> None:
    assert samples.error_of(PLAIN[:16] + rest) is not None
    assert samples.error_of(rest) is not None


# The specification


def test_every_way_in_the_specification_has_its_test() -> None:
    listed = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "format.md").read_text()))
    modules = [Path(__file__), ROOT / "tests" / "test_container.py"]
    defined = {
        name for path in modules for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert listed
    assert listed <= defined
    here = set(re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE))
    assert {name for name in here if "refused" in name} <= listed


def test_the_dump_in_the_specification_is_the_file_that_is_written() -> None:
    assert samples.dump(samples.documented_file()) in (ROOT / "docs" / "format.md").read_text()
    container = open_file(samples.documented_file())
    container.verify()
    assert container.read_tile(0) == Tile(Coder.WEBP_LOSSLESS, samples.WEBP)
    assert container.exif == samples.EMPTY_TIFF
