"""Files that are cut off, lengthened, changed while they are open, or damaged in any byte."""

from __future__ import annotations

import io

import container_samples as samples
import pytest
from container_edits import (
    FULL,
    HEADERS,
    PLAIN,
    refuses,
)
from container_samples import (
    open_file,
)

from pico_core import boxes
from pico_core.container import Container
from pico_core.errors import (
    CorruptError,
    TrailingDataError,
    TruncatedError,
)

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
def test_bytes_after_the_end_are_not_read_and_are_refused_when_verified(rest: bytes) -> None:
    whole, longer = open_file(FULL), open_file(FULL + rest)
    assert (whole.trailing_bytes, longer.trailing_bytes) == (0, len(rest))
    assert longer.metadata == whole.metadata
    assert [longer.read_tile(i) for i in range(longer.tile_count)] == [
        whole.read_tile(i) for i in range(whole.tile_count)
    ]
    longer.verify(allow_trailing=True)
    with pytest.raises(TrailingDataError, match=f"{len(rest)} bytes follow"):
        longer.verify()


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
