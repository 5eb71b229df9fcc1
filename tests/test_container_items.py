"""Items and pictures that contradict themselves: one test for each way in docs/format.md."""

from __future__ import annotations

import struct

import container_samples as samples
import numpy as np
import pytest
from container_edits import (
    ALPHA,
    DEPTH,
    EXIF,
    FULL,
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
    location_edit,
    open_file,
    property_edit,
    put,
    spoil,
    twice,
)

from pico_core import PicoFile, boxes, decode, encode
from pico_core.container_format import Coder, checksum
from pico_core.errors import (
    CorruptError,
)

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
    edits = index_edit(PREVIEW, lambda row: row[:2] + b"\0\1" + bytes(14))
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


@pytest.mark.parametrize("coder", [Coder.LEARNED, Coder.AVIF])
def test_a_tile_in_the_alpha_plane_that_is_not_lossless_is_refused(coder: Coder) -> None:
    edits = index_edit(ALPHA, put(4, bytes([coder])))
    refuses(CorruptError, "the alpha plane has a tile that is not lossless", spoil(FULL, edits))


@pytest.mark.parametrize("coder", [Coder.WEBP_LOSSLESS, Coder.AVIF])
def test_a_level_of_its_own_in_a_tile_that_is_not_learned_is_refused(coder: Coder) -> None:
    edits = index_edit(PICTURE, put(4, bytes([coder, 3])))
    refuses(CorruptError, "tile 0: a level of its own, which only learned tiles have", spoil(FULL, edits))


def test_a_level_that_its_weights_do_not_know_is_refused_when_it_is_decoded() -> None:
    content = encode(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8), level=7.0, effort=0)
    beyond = spoil(content, property_edit(b"picC", put(11, struct.pack(">H", 7 * 4096 + 1))))
    with PicoFile(beyond) as file:
        assert file.level == 7 + 1 / 4096
        for on_missing in ("error", "grey"):
            with pytest.raises(CorruptError, match=r"level is 7\.00024; its weights know 0 to 7"):
                file.decode(on_missing=on_missing)  # type: ignore[arg-type]
    assert decode(content).shape == (64, 64, 1)


def test_an_empty_colour_profile_is_refused() -> None:
    edits = property_edit(b"colr", lambda _: boxes.box(b"colr", b"prof"))
    refuses(CorruptError, "its ICC profile is empty, or there are several", spoil(FULL, edits))


def test_two_colour_profiles_are_refused() -> None:
    edits = property_edit(b"pixi", lambda _: boxes.box(b"colr", b"prof", b"another"))
    refuses(CorruptError, "its ICC profile is empty, or there are several", spoil(FULL, edits))
