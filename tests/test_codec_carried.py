"""Metadata that travels through a .pico file, byte for byte, and what is said of all that cannot."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from codec_samples import EXIF, TIFFS, XMP, app1, itxt, jpeg, png, there_and_back, webp, with_heads
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from pico_codec import carried, returned
from pico_codec.cli import main
from pico_codec.source import read_source, read_source_file
from pico_core import Extra, Metadata, PicoFile, encode


def test_every_metadata_segment_of_a_jpeg_returns(samples: Path, tmp_path: Path) -> None:
    """dunes.jpg has EXIF, XMP and IPTC."""
    original = (samples / "dunes.jpg").read_bytes()
    assert main(["encode", "--lossless", str(samples / "dunes.jpg"), str(tmp_path / "dunes.pico")]) == 0
    assert main(["decode", str(tmp_path / "dunes.pico"), str(tmp_path / "dunes.jpg")]) == 0
    again = (tmp_path / "dunes.jpg").read_bytes()
    with Image.open(io.BytesIO(original)) as one, Image.open(io.BytesIO(again)) as other:
        assert other.info["exif"] == one.info["exif"]
        assert other.info["xmp"] == one.info["xmp"]
    kept = read_source(again).metadata.extras
    assert kept == read_source(original).metadata.extras
    assert any(extra.name == "JPEG APP13" and b"8BIM" in extra.data for extra in kept)


def test_orientation_of_a_webp_file_survives_into_a_jpeg(tmp_path: Path) -> None:
    """EXIF has no prefix in a WebP file, and needs one in a JPEG file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    plain = exif.tobytes().removeprefix(b"Exif\0\0")
    Image.new("RGB", (9, 8)).save(tmp_path / "a.webp", exif=plain, lossless=True)
    assert read_source_file(tmp_path / "a.webp").metadata.exif == plain
    assert main(["encode", "--lossless", str(tmp_path / "a.webp"), str(tmp_path / "a.pico")]) == 0
    for name in ("a.jpg", "a.mpo"):
        assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / name)]) == 0
        with Image.open(tmp_path / name) as decoded:
            assert decoded.getexif()[ExifTags.Base.Orientation] == 6


def test_exif_longer_than_a_segment_returns_to_a_jpeg(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = EXIF + bytes(range(256)) * 600
    first, second = app1(exif[:60_000]), app1(b"Exif\0\0" + exif[60_000:120_000])
    (tmp_path / "a.jpg").write_bytes(
        with_heads(first, second, app1(b"Exif\0\0" + exif[120_000:]), dpi=(300, 300))
    )
    assert read_source_file(tmp_path / "a.jpg").metadata.exif == exif
    again = there_and_back(tmp_path / "a.jpg")
    assert read_source(again).metadata == read_source_file(tmp_path / "a.jpg").metadata
    assert not capsys.readouterr().err


@pytest.mark.parametrize(("length", "fits"), [(65_504, True), (65_505, False)])
def test_xmp_longer_than_a_segment_is_named(
    length: int, fits: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xmp = b"<x:xmpmeta/>".ljust(length)
    data = encode(np.zeros((8, 8, 3), np.uint8), lossless=True, metadata=Metadata(xmp=xmp))
    (tmp_path / "a.pico").write_bytes(data)
    assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / "a.jpg")]) == 0
    assert read_source_file(tmp_path / "a.jpg").metadata.xmp == (xmp if fits else None)
    assert ("cannot carry XMP" in capsys.readouterr().err) is not fits


def test_xmp_that_is_not_utf8_survives_into_a_png(tmp_path: Path) -> None:
    xmp = "<x:xmpmeta title='caf\u00e9'/>".encode("utf-16")
    data = encode(np.zeros((8, 8, 3), np.uint8), lossless=True, metadata=Metadata(xmp=xmp))
    (tmp_path / "a.pico").write_bytes(data)
    assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / "a.png")]) == 0
    assert read_source_file(tmp_path / "a.png").metadata.xmp == xmp


def test_density_of_a_scan_survives(tmp_path: Path) -> None:
    (tmp_path / "scan.jpg").write_bytes(jpeg(Image.new("L", (9, 8)), dpi=(600, 600)))
    again = there_and_back(tmp_path / "scan.jpg")
    with Image.open(io.BytesIO(again)) as decoded:
        assert decoded.info["dpi"] == (600, 600)
    assert again.count(b"JFIF\0") == 1


@pytest.mark.parametrize(
    ("jfif", "chunk"),
    [
        (b"\1\1\x2c\0\x96\0\0", (11811, 5906, 1)),
        (b"\2\0\x76\0\x76\0\0", (11800, 11800, 1)),
        (b"\0\0\2\0\1\0\0", (2, 1, 0)),
    ],
    ids=["to the inch", "to the centimetre", "shape of the pixels"],
)
def test_density_of_a_jpeg_goes_into_a_png_and_nothing_is_said_to_be_lost(
    jfif: bytes, chunk: tuple[int, int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode_to_png(with_jfif(jfif), tmp_path)
    assert "cannot carry" not in capsys.readouterr().err
    extras = read_source_file(tmp_path / "a.png").metadata.extras
    assert [(one.name, struct.unpack(">IIB", one.data)) for one in extras] == [("PNG pHYs", chunk)]


@pytest.mark.parametrize("jfif", [b"\1\0\0\0\0\0\0", b"\x09\0\1\0\1\0\0", b"\1\0\x48"])
def test_density_that_makes_no_sense_is_not_written_but_named(
    jfif: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode_to_png(with_jfif(jfif), tmp_path)
    assert "cannot carry JPEG APP0" in capsys.readouterr().err
    assert read_source_file(tmp_path / "a.png").metadata.extras == ()


def test_thumbnail_beside_a_density_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode_to_png(with_jfif(b"\1\0\x48\0\x48\1\1abc"), tmp_path)
    assert "cannot carry JPEG APP0" in capsys.readouterr().err
    with Image.open(tmp_path / "a.png") as decoded:
        assert decoded.info["dpi"] == pytest.approx((72, 72), abs=0.01)


def with_jfif(fields: bytes) -> bytes:
    """A JPEG file whose JFIF segment has these fields from the unit of the density on."""
    plain, jfif = jpeg(Image.new("L", (9, 8))), b"JFIF\0\1\2" + fields
    return plain[:2] + struct.pack(">HH", 0xFFE0, len(jfif) + 2) + jfif + plain[20:]


def decode_to_png(data: bytes, folder: Path) -> None:
    (folder / "a.jpg").write_bytes(data)
    assert main(["encode", "--lossless", str(folder / "a.jpg"), str(folder / "a.pico")]) == 0
    assert main(["decode", str(folder / "a.pico"), str(folder / "a.png")]) == 0


def test_thumbnail_and_shape_of_pixels_in_a_jfif_segment_survive(tmp_path: Path) -> None:
    plain = jpeg(Image.new("L", (9, 8)))
    for name, fields in (("thumbnail", b"\0\0\1\0\1\2\1abcdef"), ("wide pixels", b"\0\0\2\0\1\0\0")):
        jfif = b"JFIF\0\1\2" + fields
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(plain[:2] + struct.pack(">HH", 0xFFE0, len(jfif) + 2) + jfif + plain[20:])
        again = there_and_back(path)
        assert again[6:].startswith(jfif), name
        assert again.count(b"JFIF\0") == 1


@pytest.mark.parametrize(
    "heads",
    [
        [XMP + b"<first/>", XMP + b"<second/>"],
        [XMP + b"<first/>", EXIF, XMP + b"<second/>", b"http://ns.adobe.com/xmp/extension/\0more"],
        [XMP + b"<first/>", XMP],
        [b"Exif\0\xffMM\0*\0\0\0\x08"],
        [EXIF, b"Exif\0"],
    ],
    ids=["two XMP", "two XMP among others", "empty XMP", "EXIF of a wrong form", "short EXIF"],
)
def test_segments_that_pillow_passes_over_survive(heads: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(with_heads(*map(app1, heads)))
    again = there_and_back(tmp_path / "a.jpg")
    found = [again[start:stop] for marker, start, stop in carried.jpeg_segments(again) if marker == 0xE1]
    assert sorted(found) == sorted(heads)
    assert read_source(again).metadata == read_source_file(tmp_path / "a.jpg").metadata


def test_pieces_of_a_colour_profile_that_is_not_whole_survive(tmp_path: Path) -> None:
    piece = b"ICC_PROFILE\0\1\2half of a profile"
    (tmp_path / "a.jpg").write_bytes(with_heads(struct.pack(">HH", 0xFFE2, len(piece) + 2) + piece))
    assert piece in there_and_back(tmp_path / "a.jpg")


def test_metadata_that_the_output_cannot_hold_are_named(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(samples / "lake.jpg") as photo:
        photo.crop((0, 0, 64, 48)).save(tmp_path / "small.jpg", exif=photo.info["exif"], comment=b"hello")
    assert main(["encode", "--lossless", str(tmp_path / "small.jpg"), str(tmp_path / "small.pico")]) == 0
    assert main(["decode", str(tmp_path / "small.pico"), str(tmp_path / "small.bmp")]) == 0
    assert "cannot carry EXIF, JPEG COM" in capsys.readouterr().err


segments = st.lists(
    st.builds(
        Extra,
        st.sampled_from(["JPEG COM", "JPEG APP1", "JPEG APP3", "JPEG APP13", "JPEG APP0", "JPEG APP2"]),
        st.just("application/octet-stream"),
        st.binary(min_size=1, max_size=300) | st.just(b"\xff\xd9" * 9) | st.just(b"\0" * 65_533),
    ),
    max_size=6,
)


jfif_segments = st.builds(
    lambda fields: Extra("JPEG APP0", "application/octet-stream", b"JFIF\0\1\1\1" + fields),
    st.binary(min_size=6, max_size=300),
)


@given(st.lists(jfif_segments, max_size=2), segments, st.binary(max_size=40))
def test_carried_jpeg_segments_survive_going_there_and_back(
    first: list[Extra], extras: list[Extra], tail: bytes
) -> None:
    extras = first + [e for e in extras if not e.data.startswith((b"MPF\0", b"ICC_PROFILE\0"))]
    trailer = [Extra("JPEG trailer", "application/octet-stream", tail + b"!")]
    whole, others = returned.into_jpeg(jpeg(Image.new("RGB", (9, 9), "red")), [*extras, *trailer], EXIF)
    assert not others
    source = read_source(whole)
    assert source.left_behind is None
    assert list(source.metadata.extras) == [*extras, *trailer]
    assert source.metadata.exif == EXIF
    assert source.pixels.shape == (9, 9, 3)


@given(st.binary(max_size=400))
def test_damaged_pictures_never_crash_the_search_for_metadata(noise: bytes) -> None:
    carried.from_jpeg(b"\xff\xd8" + noise, Metadata())
    carried.from_png(b"\x89PNG\r\n\x1a\n" + noise, Metadata(xmp=b"<x/>"))
    carried.from_webp(b"RIFF\x40\x00\x00\x00WEBP" + noise, Metadata())


def test_png_text_is_carried(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "me")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    Image.new("L", (8, 8)).save(tmp_path / "a.png", pnginfo=texts, dpi=(300, 300))
    assert main(["encode", "--lossless", str(tmp_path / "a.png"), str(tmp_path / "a.pico")]) == 0
    with PicoFile(tmp_path / "a.pico") as file:
        assert file.metadata.xmp == b"<x:xmpmeta/>"
        names = {extra.name: extra.data for extra in file.metadata.extras}
    assert names["PNG tEXt"] == b"Author\0me"
    assert "PNG pHYs" in names


@pytest.mark.parametrize("extension", ["png", "webp"])
def test_what_came_from_a_png_or_webp_file_goes_back_into_one(
    extension: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = png((8, 2), bytes(6), (b"tEXt", b"Author\0me"), (b"tIME", bytes(7))) + b"maker's notes"
    path = tmp_path / f"a.{extension}"
    path.write_bytes(data if extension == "png" else webp((b"ABCD", b"odd")) + b"maker's notes")
    assert main(["encode", "--lossless", str(path), str(tmp_path / "a.pico")]) == 0
    assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / f"b.{extension}")]) == 0
    assert "cannot carry" not in capsys.readouterr().err
    before, after = (read_source_file(tmp_path / f"{name}.{extension}").metadata for name in "ab")
    assert len(before.extras) > 1
    assert after == before


def test_region_of_an_animation_of_one_frame_can_be_read(tmp_path: Path) -> None:
    """A frame that is larger than the picture would make Pillow refuse the file."""
    control = struct.pack(">IIIIIHHBB", 0, 2, 1, 0, 0, 1, 1, 0, 0)
    (tmp_path / "a.png").write_bytes(
        png((8, 2), bytes(6), (b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", control))
    )
    assert main(["encode", "--lossless", str(tmp_path / "a.png"), str(tmp_path / "a.pico")]) == 0
    for name, region in (("whole", "0,0,2,1"), ("part", "0,0,1,1")):
        target = tmp_path / f"{name}.png"
        assert main(["decode", str(tmp_path / "a.pico"), str(target), "--region", region]) == 0
        with Image.open(target) as decoded:
            decoded.load()


def test_long_trailer_is_named_and_short_one_carried() -> None:
    photo = jpeg(Image.new("RGB", (16, 16)))
    assert read_source(photo + b"\0" * 9).metadata.extras == ()
    (extra,) = read_source(photo + b"SEFH...SEFT").metadata.extras
    assert (extra.name, extra.data) == ("JPEG trailer", b"SEFH...SEFT")
    assert "motion photo" in (read_source(photo + b"\0\0\0\x18ftypmp42" * 9999).left_behind or "")


@pytest.mark.parametrize(
    ("chunks", "extra"),
    [
        ([itxt(b"<only/>")], []),
        ([itxt(zlib.compress(b"<only/>"), 1), (b"eXIf", TIFFS[0])], []),
        ([itxt(b"<first/>"), itxt(b"<second/>")], [itxt(b"<first/>")]),
        ([itxt(b"junk", 1)], [itxt(b"junk", 1)]),
        ([(b"eXIf", TIFFS[0]), (b"eXIf", TIFFS[1])], [(b"eXIf", TIFFS[0])]),
    ],
    ids=["one", "compressed", "two XMP", "XMP that cannot be read", "two EXIF"],
)
def test_png_chunks_that_pillow_passes_over_are_carried(
    chunks: list[tuple[bytes, bytes]], extra: list[tuple[bytes, bytes]]
) -> None:
    extras = read_source(png((8, 2), bytes(6), *chunks)).metadata.extras
    assert [(one.name, one.data) for one in extras] == [
        (f"PNG {kind.decode()}", data) for kind, data in extra
    ]


@pytest.mark.parametrize(
    ("data", "extra"),
    [
        (webp(), []),
        (webp((b"XMP ", b"<second/>")), [("WebP XMP ", b"<second/>")]),
        (webp((b"EXIF", TIFFS[1])), [("WebP EXIF", TIFFS[1])]),
        (webp(flags=0xF3), [("WebP EXIF", TIFFS[0]), ("WebP XMP ", b"<own/>")]),
    ],
    ids=["one", "two XMP", "two EXIF", "no flags"],
)
def test_webp_chunks_that_pillow_passes_over_are_carried(data: bytes, extra: list[tuple[str, bytes]]) -> None:
    assert [(one.name, one.data) for one in read_source(data).metadata.extras] == extra
