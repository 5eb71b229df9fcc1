"""What of a TIFF file's tags becomes the EXIF of a .pico file, and what is named as left behind."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pico_codec.carried_tiff import from_tiff
from pico_codec.cli import main
from pico_codec.source import read_source
from pico_core import Metadata

Value = tuple[int, str, Any]  # type, format and numbers or bytes of a tag
Tags = dict[int, Any]  # values, or tags below

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_RATIONAL, LONG8 = 1, 2, 3, 4, 5, 7, 10, 16
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, SIGNED_RATIONAL: 8, LONG8: 8}
FORMS = [("<", False), (">", False), ("<", True), (">", True)]


def text(content: str) -> Value:
    return ASCII, "", content.encode() + b"\0"


def raw(content: bytes) -> Value:
    return UNDEFINED, "", content


def numbers(kind: int, code: str, *values: int) -> Value:
    return kind, code, values


class Writer:
    """Writes TIFF files of two grey pixels; directories lie behind what they point to. `wide` is BigTIFF."""

    def __init__(self, order: str, wide: bool) -> None:
        self.order, self.wide = order, wide
        self.place, self.count = ("Q", "Q") if wide else ("I", "H")
        self.data = bytearray((b"II" if order == "<" else b"MM") + self.packed("H", 43 if wide else 42))
        self.data += self.packed("HHQ", 8, 0, 0) if wide else self.packed("I", 0)
        self.data += b"\x10\xe0"

    def packed(self, code: str, *values: int) -> bytes:
        return struct.pack(self.order + code, *values)

    def file(self, tags: Tags) -> bytes:
        strip = 16 if self.wide else 8
        coding = {256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: strip, 277: 1, 278: 1, 279: 2}
        start = self.directory({**{tag: numbers(SHORT, "H", value) for tag, value in coding.items()}, **tags})
        struct.pack_into(self.order + self.place, self.data, 8 if self.wide else 4, start)
        return bytes(self.data)

    def directory(self, tags: Tags) -> int:
        rows = b"".join(self.row(tag, value) for tag, value in sorted(tags.items()))
        self.data += bytes(len(self.data) % 2)
        start = len(self.data)
        self.data += self.packed(self.count, len(tags)) + rows + self.packed(self.place, 0)
        return start

    def row(self, tag: int, value: Value | Tags) -> bytes:
        if isinstance(value, dict):
            value = numbers(LONG8 if self.wide else LONG, self.place, self.directory(value))
        kind, code, content = value
        field = self.packed(f"{len(content)}{code}", *content) if code else content
        count = len(field) // SIZES[kind]
        room = 8 if self.wide else 4
        if len(field) > room:
            self.data += field
            field = self.packed(self.place, len(self.data) - len(field))
        return self.packed("HH" + self.place, tag, kind, count) + field.ljust(room, b"\0")


MAKER_NOTE = bytes(range(1, 41))
DESCRIBED: Tags = {
    270: text("Hügel"),
    271: text("Abc"),
    274: numbers(SHORT, "H", 6),
    282: numbers(RATIONAL, "I", 300, 1),
    33432: text("© me"),
    40091: numbers(BYTE, "B", 72, 0, 252, 0, 0, 0),
    0x8769: {
        0x829A: numbers(RATIONAL, "I", 1, 250),
        0x9000: raw(b"0232"),
        0x9204: numbers(SIGNED_RATIONAL, "i", -1, 3),
        0x9286: raw(b"ASCII\0\0\0hello"),
        0xA005: {1: text("R98")},
    },
    0x8825: {1: text("N"), 2: numbers(RATIONAL, "I", 40, 1, 1, 2, 3, 1)},
}


@pytest.mark.parametrize(("order", "wide"), FORMS)
def test_tags_that_describe_the_picture_become_its_exif(order: str, wide: bool) -> None:
    metadata, left_behind = from_tiff(Writer(order, wide).file(DESCRIBED), Metadata())
    assert left_behind is None
    block = metadata.exif
    assert block is not None
    assert block[:2] == {"<": b"II", ">": b"MM"}[order]
    assert "Hügel".encode() in block, "which Pillow would rewrite to question marks"
    exif = Image.Exif()
    exif.load(block)
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    interoperability = exif.get_ifd(ExifTags.IFD.Interop)
    assert set(exif) == {270, 271, 282, 33432, 40091, 0x8769, 0x8825}
    assert (exif[271], exif[282], exif[40091]) == ("Abc", 300, b"H\0\xfc\0\0\0")
    assert {tag: inner[tag] for tag in (0x829A, 0x9000, 0x9204, 0x9286)} == {
        0x829A: 1 / 250,
        0x9000: b"0232",
        0x9204: pytest.approx(-1 / 3),
        0x9286: b"ASCII\0\0\0hello",
    }
    assert interoperability == {1: "R98"}
    assert exif.get_ifd(ExifTags.IFD.GPSInfo) == {1: "N", 2: (40.0, 0.5, 3.0)}


@pytest.mark.parametrize(("order", "wide"), FORMS[:3])  # Pillow does not read the fourth
def test_exif_of_a_tiff_file_comes_with_its_pixels(order: str, wide: bool) -> None:
    data = Writer(order, wide).file(DESCRIBED)
    source = read_source(data)
    assert source.metadata == from_tiff(data, Metadata())[0]
    assert source.pixels.size == 2


def test_pixels_are_upright_and_no_orientation_turns_them_again() -> None:
    source = read_source(Writer("<", False).file(DESCRIBED))
    assert source.pixels[..., 0].tolist() == [[0x10], [0xE0]]
    exif = Image.Exif()
    exif.load(source.metadata.exif or b"")
    assert 274 not in exif


def test_tags_that_only_say_how_pixels_are_stored_leave_nothing_behind() -> None:
    source = read_source(Writer("<", False).file({}))
    assert (source.metadata, source.left_behind) == (Metadata(), None)


def test_other_tags_and_what_maker_notes_lose_are_named() -> None:
    more = {33723: raw(b"\x1c\2\x19\0\5hills"), 50341: raw(b"PrintIM\0"), 700: raw(b"<x/>")}
    tags = {**more, 0x8769: {0x927C: raw(MAKER_NOTE)}}
    source = read_source(Writer(">", False).file(tags))
    expected = "IptcNaaInfo, tag 50341 of a TIFF file; the places that maker notes refer to"
    assert source.left_behind == expected
    assert source.metadata.xmp == b"<x/>"
    assert MAKER_NOTE in (source.metadata.exif or b"")


def test_values_that_overlap_take_no_more_memory_than_the_file() -> None:
    writer = Writer("<", False)
    writer.data += bytes(100_000)
    block = [writer.packed("HHII", tag, UNDEFINED, 100_000, 8) for tag in range(1000)]
    start = len(writer.data)
    writer.data += writer.packed("H", 1000) + b"".join(block) + bytes(4)
    data = writer.file({0x8769: numbers(LONG, "I", start)})
    assert len(from_tiff(data, Metadata())[0].exif or b"") < 2 * len(data)


@given(st.binary(max_size=200), st.integers(0, 900), st.sampled_from(FORMS))
def test_damaged_tags_never_crash_the_search_for_exif(
    noise: bytes, place: int, form: tuple[str, bool]
) -> None:
    whole = Writer(*form).file(DESCRIBED)
    for data in (noise, whole[:place] + noise, whole[:place] + noise + whole[place + len(noise) :]):
        from_tiff(data, Metadata())


def exiftool(path: Path) -> dict[str, object]:
    """What exiftool reads in the directories of EXIF, but for how pixels are stored."""
    command = ["exiftool", "-json", "-n", "-G1", "-IFD0:all", "-ExifIFD:all", "-GPS:all", "-InteropIFD:all"]
    done = subprocess.run([*command, str(path)], capture_output=True, check=True)
    (tags,) = json.loads(done.stdout)
    coding = (
        "ImageWidth ImageHeight BitsPerSample Compression PhotometricInterpretation StripOffsets Orientation"
    )
    coding += " SamplesPerPixel RowsPerStrip StripByteCounts PlanarConfiguration YCbCrPositioning"
    for name in coding.split():
        tags.pop(f"IFD0:{name}", None)
    return {name: value for name, value in tags.items() if ":" in name}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("name", ["lake.jpg", "osprey.jpg"])
def test_exiftool_reads_the_same_in_the_pico_file_and_in_a_photo_made_of_it(
    name: str, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiff, pico, jpeg = (tmp_path / f"a.{extension}" for extension in ("tif", "pico", "jpg"))
    Image.new("RGB", (40, 30), "red").save(tiff)
    edits = ["-UserComment=Grüße", "-ExposureCompensation=-0.3333", "-InteropIndex=R98", "-Artist=Ü; B"]
    edits += ["-XPTitle=Tïtle", "-SceneType=1", "-LensInfo=24 70 2.8 2.8", "-GPSProcessingMethod=GPS"]
    copy = ["exiftool", "-q", "-n", "-overwrite_original", "-tagsfromfile", str(samples / name), "-all:all"]
    subprocess.run([*copy, *edits, str(tiff)], check=True)
    expected = exiftool(tiff)
    assert len(expected) > 20
    assert main(["encode", "--lossless", str(tiff), str(pico)]) == 0
    assert main(["decode", str(pico), str(jpeg)]) == 0
    assert exiftool(pico) == expected
    assert exiftool(jpeg) == expected
    capsys.readouterr()
