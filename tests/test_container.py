"""The container: what is written is read back, from any stream, and what could not be read back is not written."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import container_samples as samples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pico_core import boxes, container_writer
from pico_core.container import (
    Coder,
    Container,
    Extra,
    Metadata,
    Picture,
    Tile,
    accept,
    storable_level,
    tile_count,
    write,
)
from pico_core.errors import OptionError
from pico_core.tiling import Grid

ROOT = Path(__file__).resolve().parents[1]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
DATA = st.binary(min_size=1, max_size=40)
METADATA = st.builds(
    Metadata,
    st.none() | DATA | DATA.map(lambda data: b"Exif\0\0" + data),
    st.none() | DATA,
    st.none() | DATA,
    st.lists(st.builds(Extra, TEXT, TEXT | st.just("application/rdf+xml"), DATA), max_size=3).map(tuple),
)
SIDES = st.integers(1, 1600) | st.sampled_from([1, 512, 513, 1016, 1017])


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    learned = draw(st.booleans())
    return Picture(
        width=draw(SIDES),
        height=draw(SIDES),
        channels=draw(st.sampled_from([1, 3])),
        has_alpha=draw(st.booleans()),
        level=draw(st.integers(0, 0xFFFF)) / 4096,
        quality=draw(st.none() | st.integers(0, 100)),
        model_id=draw(st.binary(min_size=16, max_size=16).filter(any)) if learned else None,
    )


# Round trips


@given(pictures(), METADATA, st.none() | DATA.map(lambda data: samples.PREVIEW + data))
@settings(deadline=None, max_examples=60)
def test_everything_written_is_read_back(header: Picture, metadata: Metadata, preview: bytes | None) -> None:
    container = samples.open_file(samples.file_of(header, metadata, preview))
    container.verify()
    assert container.tile_count == Grid(header.width, header.height).count
    assert samples.content_of(container) == (
        header,
        metadata,
        preview,
        samples.tiles_for(header),
        samples.alpha_tiles_for(header),
    )
    assert not container.truncated


@given(st.lists(st.tuples(st.sampled_from(Coder), DATA), min_size=6, max_size=6))
@settings(deadline=None)
def test_tiles_of_both_coders_may_be_mixed(rows: list[tuple[Coder, bytes]]) -> None:
    tiles = [Tile(*row) for row in rows]
    learned = any(tile.coder is Coder.LEARNED for tile in tiles)
    stream = io.BytesIO()
    write(stream, samples.picture(1500, 600, learned=learned), tiles)
    container = Container(stream)
    assert [container.read_tile(index) for index in range(6)] == tiles


def test_the_tile_count_is_that_of_the_tiling() -> None:
    for side in (*range(1, 3000), 65_534, 65_535):
        assert tile_count(side, 1) == tile_count(1, side) == Grid(side, 1).count
    assert tile_count(65_535, 65_535) == Grid(65_535, 65_535).count


def test_the_largest_picture_is_written_and_read() -> None:
    header = samples.picture(65_535, 65_535)
    container = samples.open_file(samples.file_of(header))
    assert container.read_tile(17_160) == samples.tiles_for(header)[17_160]


def test_write_returns_the_length_and_asks_the_stream_for_nothing_but_write() -> None:
    class Pipe(io.RawIOBase):
        received = b""

        def write(self, data: object) -> int:
            assert isinstance(data, bytes)
            self.received += data[:7]
            return len(data[:7])

    pipe = Pipe()
    length = write(pipe, samples.picture(), samples.tiles_for(samples.picture()))  # type: ignore[arg-type]
    assert pipe.received == samples.plain_file()
    assert length == len(pipe.received)


def test_an_unbuffered_file_is_read_as_a_buffered_one(tmp_path: Path) -> None:
    path = tmp_path / "full.pico"
    path.write_bytes(samples.full_file())
    with path.open("rb", buffering=0) as stream:
        assert samples.content_of(Container(stream)) == samples.content_of(
            samples.open_file(samples.full_file())
        )


def test_a_stream_whose_seek_returns_nothing_is_read() -> None:
    """As that of mmap does, up to Python 3.12."""

    class Silent(io.BytesIO):
        def seek(self, *arguments: int) -> None:  # type: ignore[override]
            super().seek(*arguments)

    container = Container(Silent(samples.full_file()))
    container.verify()
    assert samples.content_of(container) == samples.content_of(samples.open_file(samples.full_file()))


def test_every_storable_level_is_its_own_nearest() -> None:
    assert all(storable_level(step / 4096) == step / 4096 for step in range(0x10000))
    assert storable_level(15.99999) == 0xFFFF / 4096
    assert storable_level(0.1) == pytest.approx(0.1, abs=1 / 8192)


# Opening


def test_accept_knows_a_pico_file_by_its_brand_alone() -> None:
    assert accept(samples.plain_file()[:12])
    assert accept(samples.plain_file()[:16])
    assert not accept(samples.plain_file()[:11])
    assert not accept(b"")
    for brand in (b"mif1", b"heic", b"avif", b"isom"):
        assert not accept(b"\0\0\0\x18ftyp" + brand + bytes(4) + b"picomif1")


def test_the_brands_are_pico_and_mif1() -> None:
    assert samples.plain_file()[:24] == bytes.fromhex("00000018") + b"ftyppico\0\1\0\0picomif1"


def test_opening_reads_no_more_than_the_headers() -> None:
    class Watched(io.BytesIO):
        furthest = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.furthest = max(self.furthest, self.tell())
            return data

    for metadata, limit in ((Metadata(), 4096), (Metadata(icc=bytes(100_000)), 101_000)):
        stream = Watched()
        write(stream, samples.picture(), [Tile(Coder.LEARNED, bytes(1 << 20))], metadata=metadata)
        container = Container(stream)
        assert stream.furthest <= limit
        assert len(container.read_tile(0).payload) == 1 << 20


def test_the_stream_stays_open() -> None:
    stream = io.BytesIO(samples.full_file())
    Container(stream).verify()
    assert not stream.closed


def test_opening_needs_neither_torch_nor_numpy_nor_pillow() -> None:
    code = "import sys, pico_core.container; sys.exit(bool({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_tiles_are_read_from_many_threads_at_once() -> None:
    class Interrupted(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            position = super().seek(offset, whence)
            time.sleep(0.0001)
            return position

    header = samples.picture(1500, 1500, alpha=True)
    container = Container(Interrupted(samples.file_of(header)))
    order = list(range(container.tile_count)) * 30
    with ThreadPoolExecutor(8) as pool:
        checks = []
        tiles = []
        alpha_tiles = []
        for index in order:
            tiles.append(pool.submit(container.read_tile, index))
            alpha_tiles.append(pool.submit(container.read_alpha_tile, index))
            if index == 0:
                checks.append(pool.submit(container.verify))
    assert [task.result() for task in tiles] == samples.tiles_for(header) * 30
    assert [task.result() for task in alpha_tiles] == samples.alpha_tiles_for(header) * 30
    assert [task.result() for task in checks] == [None] * 30


@pytest.mark.parametrize("index", [-1, 2])
def test_a_tile_outside_the_picture_is_an_index_error(index: int) -> None:
    container = samples.open_file(samples.full_file())
    with pytest.raises(IndexError, match=f"tile {index} of 2"):
        container.read_tile(index)


def test_a_picture_without_alpha_has_no_alpha_tiles() -> None:
    with pytest.raises(IndexError, match="alpha tile 0 of 0"):
        samples.open_file(samples.plain_file()).read_alpha_tile(0)


# Order and width


def test_what_a_reader_of_the_beginning_can_use_comes_first() -> None:
    data = samples.full_file()
    parts = [samples.PREVIEW, samples.EMPTY_TIFF, samples.XMP, b"alpha 0", b"alpha 1", b"tile 0", b"tile 1"]
    places = [data.index(part) for part in [*parts, *(extra.data for extra in samples.EXTRAS)]]
    assert places == sorted(places)


def test_32_bit_files_are_written_narrow() -> None:
    data = samples.plain_file()
    assert data[data.index(b"iloc") + 8 : data.index(b"iloc") + 10] == b"\x44\x00"
    assert data[data.index(b"mdat") - 4 : data.index(b"mdat")] != b"\0\0\0\1"


def planned(preview_length: int) -> tuple[bytes, list[Tile]]:
    """Headers of a file with a preview of that length, which is not there."""
    header = samples.picture()
    tiles = samples.tiles_for(header)
    items = container_writer._plan(header, tiles, (), Metadata(), samples.PREVIEW)
    items[1] = items[1]._replace(length=preview_length)
    return container_writer._headers(items), tiles


def test_64_bits_are_used_only_from_4_gib_on() -> None:
    narrow, tiles = planned(100)
    most = 0xFFFF_FFFF - len(narrow) - len(tiles[0].payload)
    for length, widths, media in (
        (most, b"\x44", b"\xff"),
        (most + 1, b"\x88", b"\xff"),
        (1 << 32, b"\x88", b"\0"),
    ):
        headers, _ = planned(length)
        assert headers[headers.index(b"iloc") + 8 :][:1] == widths
        assert headers[headers.index(b"mdat") - 4 :][:1] == media


def test_a_file_of_more_than_4_gib_is_read(tmp_path: Path) -> None:
    length = 5 << 30
    headers, tiles = planned(length)
    path = tmp_path / "sparse.pico"
    with path.open("wb") as stream:
        stream.write(headers)
        stream.seek(length, io.SEEK_CUR)
        stream.write(tiles[0].payload)
    with path.open("rb") as stream:
        assert Container(stream).read_tile(0) == tiles[0]


def test_64_bit_fields_are_read_where_32_bits_would_do() -> None:
    def widen_locations(whole: bytes) -> bytes:
        rows = [
            struct.unpack_from(">HHHII", whole, 16 + 14 * number) for number in range((len(whole) - 16) // 14)
        ]
        return boxes.item_location_box({row[0]: boxes.Extent(row[3] + 8, row[4]) for row in rows}, wide=True)

    def widen_media(whole: bytes) -> bytes:
        return struct.pack(">I4sQ", 1, b"mdat", len(whole) + 8) + whole[8:]

    data = samples.spoil(samples.full_file(), {b"iloc": widen_locations, b"mdat": widen_media})
    container = samples.open_file(data)
    container.verify()
    assert samples.content_of(container) == samples.content_of(samples.open_file(samples.full_file()))


# What the writer refuses


@pytest.mark.parametrize(
    "header",
    [
        samples.picture(0, 1),
        samples.picture(1, 65_536),
        samples.picture(channels=2),
        replace(samples.picture(), level=-0.25),
        replace(samples.picture(), level=16.0),
        replace(samples.picture(), level=float("nan")),
        replace(samples.picture(), level=0.1),
        replace(samples.picture(), quality=101),
        replace(samples.picture(), model_id=b"short"),
        replace(samples.picture(), model_id=bytes(16)),
        replace(samples.picture(), model_id=None),
        replace(samples.picture(), has_alpha=True),
        samples.picture(600, 1),
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_its_tiles_is_not_written(header: Picture) -> None:
    stream = io.BytesIO()
    with pytest.raises(OptionError):
        write(stream, header, [Tile(Coder.LEARNED, b"payload")])
    assert stream.getvalue() == b""


def test_a_model_id_that_no_tile_needs_is_not_written() -> None:
    with pytest.raises(OptionError, match="model id"):
        write(io.BytesIO(), samples.picture(), [Tile(Coder.WEBP_LOSSLESS, b"payload")])


@pytest.mark.parametrize("length", [0, (1 << 24) + 1])
def test_a_tile_of_impossible_length_is_not_written(length: int) -> None:
    with pytest.raises(OptionError, match=f"a tile of {length} bytes"):
        write(io.BytesIO(), samples.picture(), [Tile(Coder.LEARNED, bytes(length))])


def test_learned_alpha_tiles_are_not_written() -> None:
    tile = Tile(Coder.LEARNED, b"payload")
    with pytest.raises(OptionError, match="all of its tiles must be lossless"):
        write(io.BytesIO(), samples.picture(alpha=True), [tile], alpha_tiles=[tile])


@pytest.mark.parametrize(
    "tile", [Tile(Coder.AVIF, b"x", 1), Tile(Coder.LEARNED, b"x", 256), Tile(Coder.LEARNED, b"x", -1)]
)
def test_a_level_of_its_own_that_a_tile_cannot_have_is_not_written(tile: Tile) -> None:
    header = samples.picture(learned=tile.coder is Coder.LEARNED)
    with pytest.raises(OptionError, match=f"a tile with a rise of {tile.rise}: must be 0 to"):
        write(io.BytesIO(), header, [tile], metadata=Metadata())


def test_a_tile_keeps_the_level_of_its_own() -> None:
    stream, tile = io.BytesIO(), Tile(Coder.LEARNED, b"payload", 40)
    write(stream, samples.picture(), [tile], metadata=Metadata())
    found = samples.open_file(stream.getvalue()).read_tile(0)
    assert found == tile
    assert found.level(4.25) == 6.75


def test_alpha_tiles_of_a_picture_without_alpha_are_not_written() -> None:
    tile = Tile(Coder.LEARNED, b"payload")
    with pytest.raises(OptionError, match="1 alpha tiles where 0 belong"):
        write(io.BytesIO(), samples.picture(), [tile], alpha_tiles=[tile])


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata(exif=b""),
        Metadata(xmp=b""),
        Metadata(icc=b""),
        Metadata(icc=bytes(1 << 24)),
        Metadata(extras=(Extra("empty", "", b""),)),
        Metadata(extras=(Extra("nul \0", "", b"x"),)),
        Metadata(extras=(Extra("", "nul \0", b"x"),)),
        Metadata(extras=(Extra("half a pair \ud800", "", b"x"),)),
        Metadata(extras=(Extra("", "", b"x"),) * 65_535),
    ],
    ids=["exif", "xmp", "icc", "large icc", "data", "name", "content type", "surrogate", "too many"],
)
def test_metadata_that_could_not_be_read_back_is_not_written(metadata: Metadata) -> None:
    stream = io.BytesIO()
    with pytest.raises(OptionError):
        write(stream, samples.picture(), samples.tiles_for(samples.picture()), metadata=metadata)
    assert stream.getvalue() == b""


@pytest.mark.parametrize(
    "preview", [b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x10JFIF", b"\xff\xd8" * 40]
)
def test_a_preview_that_is_not_a_jpeg_is_not_written(preview: bytes) -> None:
    with pytest.raises(OptionError, match="preview"):
        write(io.BytesIO(), samples.picture(), samples.tiles_for(samples.picture()), preview=preview)


def test_the_size_of_the_preview_is_told() -> None:
    stream = io.BytesIO()
    Image.new("L", (37, 21)).save(stream, "JPEG", progressive=True)
    for preview in (stream.getvalue(), b"\xff\xd8\xff\xff" + stream.getvalue()[3:]):
        data = samples.file_of(samples.picture(), Metadata(), preview)
        assert b"ispe" + struct.pack(">III", 0, 37, 21) in data
