from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_core import boxes
from pico_core.boxes import Box, Cursor, Extent, ItemInfo, Reference
from pico_core.errors import CorruptError, UnsupportedVersionError

KINDS = st.binary(min_size=4, max_size=4)
IDS = st.integers(0, 0xFFFF)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def only_box(data: bytes) -> Box:
    (box,) = boxes.children(data, 0, len(data))
    return box


@given(st.lists(st.tuples(KINDS, st.binary(max_size=20)), max_size=6), st.binary(max_size=9))
@settings(deadline=None)
def test_children_gives_back_every_box_that_was_written(
    written: list[tuple[bytes, bytes]], before: bytes
) -> None:
    data = before + b"".join(boxes.box(kind, body) for kind, body in written)
    found = boxes.children(data, len(before), len(data))
    assert [(box.kind, data[box.body : box.end]) for box in found] == written


@given(st.lists(st.tuples(IDS, KINDS, NAMES, NAMES), max_size=5, unique_by=lambda row: row[0]))
@settings(deadline=None)
def test_item_infos_survive_a_round_trip(rows: list[tuple[int, bytes, str, str]]) -> None:
    infos = [ItemInfo(n, kind, name, content if kind == b"mime" else "") for n, kind, name, content in rows]
    data = boxes.item_info_box(infos)
    assert list(boxes.read_item_infos(data, only_box(data)).values()) == infos


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
@settings(deadline=None)
def test_a_mime_item_keeps_its_name_and_content_type(text: str) -> None:
    data = boxes.item_info_box([ItemInfo(9, b"mime", text, text)])
    assert boxes.read_item_infos(data, only_box(data)) == {9: ItemInfo(9, b"mime", text, text)}


@given(st.dictionaries(IDS, st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=5))
@settings(deadline=None)
def test_locations_survive_a_round_trip_in_32_and_in_64_bits(rows: dict[int, tuple[int, int]]) -> None:
    extents = {item_id: Extent(*row) for item_id, row in rows.items()}
    for wide in (False, True):
        data = boxes.item_location_box(extents, wide=wide)
        assert boxes.read_item_locations(data, only_box(data)) == extents


def test_wide_locations_hold_the_largest_64_bit_numbers() -> None:
    extents = {1: Extent(2**64 - 1, 2**64 - 1)}
    data = boxes.item_location_box(extents, wide=True)
    assert boxes.read_item_locations(data, only_box(data)) == extents


@given(st.lists(st.builds(Reference, KINDS, IDS, st.lists(IDS, max_size=4).map(tuple)), max_size=5))
@settings(deadline=None)
def test_references_survive_a_round_trip(references: list[Reference]) -> None:
    data = boxes.item_reference_box(references)
    assert boxes.read_item_references(data, only_box(data)) == references


PAIRS = st.lists(
    st.tuples(st.booleans(), st.binary(max_size=2).map(lambda body: boxes.box(b"prop", body))), max_size=4
)


@given(st.dictionaries(IDS, PAIRS, max_size=4))
@settings(deadline=None)
def test_properties_survive_a_round_trip(properties: dict[int, list[tuple[bool, bytes]]]) -> None:
    data = boxes.item_properties_box(properties)
    found = boxes.read_item_properties(data, only_box(data))
    assert {
        item_id: [(entry.essential, data[entry.property.start : entry.property.end]) for entry in entries]
        for item_id, entries in found.items()
    } == properties


def test_equal_properties_are_stored_once() -> None:
    shared = boxes.box(b"prop", b"a long body that is worth sharing")
    data = boxes.item_properties_box({1: [(True, shared)], 2: [(False, shared)]})
    assert data.count(shared) == 1


def test_a_box_header_is_64_bits_wide_only_when_32_cannot_hold_the_size() -> None:
    assert boxes.box_header(b"mdat", 2**32 - 1 - 8) == struct.pack(">I4s", 2**32 - 1, b"mdat")
    assert boxes.box_header(b"mdat", 2**32 - 8) == struct.pack(">I4sQ", 1, b"mdat", 2**32 + 8)


def test_a_box_with_a_64_bit_size_is_read_even_if_it_is_small() -> None:
    data = struct.pack(">I4sQ", 1, b"mdat", 18) + b"ab"
    assert boxes.read_box(data, 0, len(data)) == Box(b"mdat", 0, 16, 18)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x08mda",
        b"\0\0\0\x07mdat",
        b"\0\0\0\0mdat",
        b"\0\0\0\x09mdat",
        b"\0\0\0\x01mdat\0\0\0\0",
        b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f",
        b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
    ids=["no header", "under 8", "to the end", "too long", "no 64-bit size", "under 16", "huge"],
)
def test_an_impossible_box_size_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptError, match="byte 0"):
        boxes.read_box(data, 0, len(data))


def test_bytes_after_the_last_box_that_are_not_a_box_are_refused() -> None:
    data = boxes.box(b"free") + b"rest"
    with pytest.raises(CorruptError, match="byte 8: 4 bytes are left"):
        boxes.children(data, 0, len(data))


def test_more_boxes_than_any_file_needs_are_refused() -> None:
    data = boxes.box(b"free") * (boxes.MAX_ENTRIES + 1)
    with pytest.raises(CorruptError, match="65535 is the limit"):
        boxes.children(data, 0, len(data))


def test_more_references_than_any_file_needs_are_refused() -> None:
    many = Reference(b"cdsc", 1, (1,) * 40_000)
    data = boxes.item_reference_box([many, many])
    with pytest.raises(CorruptError, match="65535 is the limit"):
        boxes.read_item_references(data, only_box(data))


def test_more_properties_than_any_file_needs_are_refused() -> None:
    pool = boxes.box(b"ipco", boxes.box(b"prop"))
    rows = [struct.pack(">HB", item_id, 255) + b"\1" * 255 for item_id in range(300)]
    data = boxes.box(b"iprp", pool, boxes.full_box(b"ipma", struct.pack(">I", len(rows)), *rows))
    with pytest.raises(CorruptError, match="65535 is the limit"):
        boxes.read_item_properties(data, only_box(data))


def test_a_cursor_never_reads_outside_its_box() -> None:
    data = boxes.box(b"free", b"abc") + boxes.box(b"free", b"secret")
    cursor = Cursor(data, boxes.children(data, 0, len(data))[0])
    assert cursor.take(2) == b"ab"
    with pytest.raises(CorruptError, match="2 bytes expected, 1 left"):
        cursor.take(2)
    with pytest.raises(CorruptError, match="without its final zero byte"):
        cursor.text()
    with pytest.raises(CorruptError, match="9 entries announced, 1 bytes left"):
        cursor.count(9, 1)


def test_a_cursor_tells_of_bytes_left_over() -> None:
    data = boxes.box(b"free", b"abc")
    cursor = Cursor(data, only_box(data))
    with pytest.raises(CorruptError, match="3 bytes left over at byte 8"):
        cursor.finish()


def test_a_string_must_be_utf_8() -> None:
    data = boxes.box(b"free", b"\xff\0")
    with pytest.raises(CorruptError, match="not UTF-8"):
        Cursor(data, only_box(data)).text()


def test_an_unknown_version_of_a_box_is_refused() -> None:
    data = boxes.full_box(b"pitm", b"\0\1", version=7)
    with pytest.raises(UnsupportedVersionError, match="box pitm at byte 0: version 7"):
        boxes.read_primary_item(data, only_box(data))


def test_a_code_that_is_not_text_is_still_printed() -> None:
    assert boxes.printable(b"pico") == "pico"
    assert boxes.printable(b"uri ") == "'uri '"
    assert boxes.printable(b"\xff\0ab") == "'\\xff\\x00ab'"
