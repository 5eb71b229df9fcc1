"""Files that are none, or of another release: what is refused, and what is passed over."""

from __future__ import annotations

import struct

import container_samples as samples
import pytest
from container_edits import (
    EXIF,
    FULL,
    PICTURE,
    PLAIN,
    PREVIEW,
    index_edit,
    info_edit,
    refuses,
)
from container_samples import (
    entry_edit,
    location_edit,
    open_file,
    property_edit,
    put,
    spoil,
)

from pico_core import boxes
from pico_core.errors import (
    CorruptError,
    NotPicoError,
    UnsupportedVersionError,
)


def test_spoiling_nothing_changes_nothing() -> None:
    assert spoil(FULL, {}) == FULL
    assert spoil(FULL, {b"iloc": location_edit(lambda rows: None), **info_edit(1, bytes)}) == FULL
    assert spoil(FULL, index_edit(1, bytes)) == FULL


# Not such a file, or not for this release


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\xff\xd8\xff\xe0", "the file is a JPEG picture and no .pico file"),
        (b"\x89PNG\r\n\x1a\n", "the file is a PNG picture and no .pico file"),
        (b"RIFF\0\0\0\0WEBP", "the file is a WebP picture and no .pico file"),
        (b"\0\0\0\x18ftypheic", "the file is a HEIC picture and no .pico file"),
        (b"\0" * 4 + b"fty!", "the file does not begin as a .pico file does"),
    ],
)
def test_another_kind_of_file_is_refused(start: bytes, message: str) -> None:
    refuses(NotPicoError, message, start + bytes(100))


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
