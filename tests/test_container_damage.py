"""Boxes that are wrong, and whatever else: one test for each way that docs/format.md lists with its error."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import container_samples as samples
import pytest
from container_edits import (
    ALPHA,
    FULL,
    HEADERS,
    PICTURE,
    PLAIN,
    PREVIEW,
    TRAILER,
    index_edit,
    info_edit,
    locate,
    refuses,
)
from container_samples import (
    Edit,
    entry_edit,
    gone,
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
from pico_core.errors import (
    CorruptError,
    PicoError,
)

ROOT = Path(__file__).resolve().parents[1]


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
        + bytes(40_000 * 14)
        + struct.pack(">HH", 2, 40_000)
        + bytes(40_000 * 14)
    )
    edits = {b"pidx": lambda _: boxes.full_box(b"pidx", b"\0\2", rows, bytes(8))}
    refuses(CorruptError, "80000 entries in one list", spoil(PLAIN, edits))


@pytest.mark.parametrize("length", [0, (1 << 24) + 1])
def test_a_tile_of_impossible_length_is_refused(length: int) -> None:
    edits = index_edit(PICTURE, put(6, struct.pack(">I", length)))
    refuses(CorruptError, f"item 1, tile 0: {length} bytes", spoil(FULL, edits))


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
    defined = {
        name
        for path in sorted((ROOT / "tests").glob("test_container*.py"))
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert listed
    assert listed <= defined
    assert {name for name in defined if "refused" in name} <= listed


def test_the_dump_in_the_specification_is_the_file_that_is_written() -> None:
    assert samples.dump(samples.documented_file()) in (ROOT / "docs" / "format.md").read_text()
    container = open_file(samples.documented_file())
    container.verify()
    assert container.read_tile(0) == Tile(Coder.WEBP_LOSSLESS, samples.WEBP)
    assert container.exif == samples.EMPTY_TIFF
