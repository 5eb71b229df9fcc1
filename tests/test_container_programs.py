"""What exiftool and exiv2 make of .pico files."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import container_samples as samples
import piexif
import pytest
from PIL import Image

from pico_core.container import (
    Container,
    Extra,
    Metadata,
)

ROOT = Path(__file__).resolve().parents[1]
CAMERA_FILES = Path(os.environ.get("PICO_SHARED", ROOT.parent / "shared")) / "data" / "camera-files"


def camera_exif() -> bytes:
    """Exif as a camera writes it, with its prefix."""
    blocks = {
        "0th": {
            piexif.ImageIFD.Make: b"Acme",
            piexif.ImageIFD.Model: b"Snapper 9",
            piexif.ImageIFD.Orientation: 6,
            piexif.ImageIFD.DateTime: b"2024:05:06 07:08:09",
        },
        "Exif": {piexif.ExifIFD.DateTimeOriginal: b"2023:04:05 06:07:08"},
        "GPS": {
            piexif.GPSIFD.GPSLatitudeRef: b"N",
            piexif.GPSIFD.GPSLatitude: ((48, 1), (51, 1), (30, 1)),
            piexif.GPSIFD.GPSLongitudeRef: b"W",
            piexif.GPSIFD.GPSLongitude: ((2, 1), (17, 1), (40, 1)),
        },
    }
    return bytes(piexif.dump(blocks))


RATED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)
MISLEADING = (
    Extra("Exif of another picture", "application/octet-stream", b"II*\0\x08\0\0\0nothing"),
    Extra("trailer.mp4", "video/mp4", bytes(range(256)) * 16),
)


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def exiftool(*arguments: str | Path) -> list[dict[str, object]]:
    command = [tool("exiftool"), "-json", "-n", "-G1", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    records: list[dict[str, object]] = json.loads(done.stdout)
    return records


def exiv2(path: Path, groups: str = "EX") -> dict[bytes, bytes]:
    command = [tool("exiv2"), f"-P{groups}kv", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    rows = (line.partition(b" ") for line in done.stdout.splitlines())
    return {key: value.strip() for key, _, value in rows}


@pytest.fixture(params=["with the Exif prefix", "with the TIFF header first"])
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A .pico file with everything in it that could mislead another program."""
    exif = camera_exif()
    stream = io.BytesIO()
    Image.new("RGB", (160, 120), "teal").save(stream, "JPEG")
    metadata = Metadata(
        exif=exif if request.param == "with the Exif prefix" else exif[6:],
        xmp=RATED,
        extras=MISLEADING,
    )
    path = tmp_path / "photo.pico"
    path.write_bytes(samples.file_of(samples.picture(1200, 700, alpha=True), metadata, stream.getvalue()))
    return path


def test_exiftool_reads_camera_date_place_rating_and_size(photo: Path) -> None:
    (tags,) = exiftool(photo)
    expected = {
        "IFD0:Make": "Acme",
        "IFD0:Model": "Snapper 9",
        "IFD0:Orientation": 6,
        "ExifIFD:DateTimeOriginal": "2023:04:05 06:07:08",
        "XMP-xmp:Rating": 4,
        "Composite:ImageSize": "1200 700",
    }
    assert {key: tags.get(key) for key in expected} == expected
    assert tags["Composite:GPSLatitude"] == pytest.approx(48 + 51 / 60 + 30 / 3600)
    assert tags["Composite:GPSLongitude"] == pytest.approx(-(2 + 17 / 60 + 40 / 3600))
    assert not {key for key in tags if key in ("ExifTool:Warning", "ExifTool:Error")}


def test_exiftool_takes_the_preview_out(photo: Path) -> None:
    command = [tool("exiftool"), "-b", "-PreviewImage", str(photo)]
    done = subprocess.run(command, capture_output=True, check=True)
    with photo.open("rb") as stream:
        assert done.stdout == Container(stream).preview


def test_exiv2_reads_camera_date_place_rating_and_size(photo: Path) -> None:
    tags = exiv2(photo)
    expected = {
        b"Exif.Image.Make": b"Acme",
        b"Exif.Image.Model": b"Snapper 9",
        b"Exif.Image.Orientation": b"6",
        b"Exif.Photo.DateTimeOriginal": b"2023:04:05 06:07:08",
        b"Exif.GPSInfo.GPSLatitude": b"48/1 51/1 30/1",
        b"Exif.GPSInfo.GPSLongitudeRef": b"W",
        b"Xmp.xmp.Rating": b"4",
    }
    assert {key: tags.get(key) for key in expected} == expected
    summary = subprocess.run([tool("exiv2"), str(photo)], capture_output=True, text=True, check=True)
    assert re.search(r"^Image size\s*: 1200 x 700$", summary.stdout, re.MULTILINE)


def test_exiftool_refuses_to_edit_and_leaves_the_file_as_it_is(photo: Path) -> None:
    before = photo.read_bytes()
    for change in ("-XMP:Rating=1", "-IFD0:Orientation=1", "-all="):
        command = [tool("exiftool"), "-m", "-overwrite_original", change, str(photo)]
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0
        assert photo.read_bytes() == before


def exif_with_its_directory_at(offset: int) -> bytes:
    """Exif whose second directory, with the date, is `offset` bytes from the TIFF header."""
    first = struct.pack("<HHHIII", 1, 0x8769, 4, 1, offset, 0)
    second = struct.pack("<HHHIII", 1, 0x9003, 2, 20, offset + 18, 0) + b"2023:04:05 06:07:08\0"
    header = b"II*\0" + struct.pack("<I", 8) + first
    return header + bytes(offset - len(header)) + second


def test_exiftool_reads_the_date_wherever_its_directory_lies(tmp_path: Path) -> None:
    files = []
    for offset in range(300, 500, 2):
        files.append(tmp_path / f"{offset}.pico")
        metadata = Metadata(exif=exif_with_its_directory_at(offset))
        files[-1].write_bytes(samples.file_of(samples.picture(), metadata, None))
    dates = [tags.get("ExifIFD:DateTimeOriginal") for tags in exiftool(*files)]
    assert dates == ["2023:04:05 06:07:08"] * len(files)


COMPARED = ("Make", "Model", "Orientation", "ModifyDate", "DateTimeOriginal", "GPSLatitude", "GPSLongitude")


def camera_files() -> list[Path]:
    return sorted(path for path in CAMERA_FILES.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


@pytest.mark.skipif(
    not CAMERA_FILES.is_dir(), reason="no camera files: set PICO_SHARED to the folder that has them"
)
def test_other_programs_read_from_a_pico_file_what_they_read_from_the_camera_file(tmp_path: Path) -> None:
    tool("exiftool"), tool("exiv2")
    sources: dict[str, Path] = {}
    for number, source in enumerate(camera_files()):
        with Image.open(source) as image:
            exif = image.info.get("exif")
        if exif:
            target = tmp_path / f"{number}.pico"
            target.write_bytes(samples.file_of(samples.picture(), Metadata(exif=exif), None))
            assert samples.open_file(target.read_bytes()).exif == exif
            sources[str(target)] = source
            assert exiv2(target, "E") == exiv2(source, "E")
    assert len(sources) > 20
    tags = [f"-EXIF:{name}" for name in COMPARED]
    ours = exiftool("-fast", *tags, *sources)
    theirs = exiftool("-fast", *tags, *sources.values())
    for mine, original in zip(ours, theirs, strict=True):
        assert {**mine, "SourceFile": ""} == {**original, "SourceFile": ""}, original["SourceFile"]
