"""Pictures to share: what others see of a photo, and what they do not get to know."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from pico_codec import origin
from pico_core import Metadata, encode
from pico_library.cli import main

pytestmark = pytest.mark.usefixtures("home")

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>exif:GPSLatitude='48,12N'</x:xmpmeta>"


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[0x9003] = "2021:06:05 04:03:02"
    exif.get_ifd(ExifTags.IFD.Exif)[0x927C] = b"the maker knows where"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 12.0, 0.0)})
    return exif.tobytes()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """One .pico file in a subfolder, of a picture that lies on its side: its left half is red when it stands."""
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[32:, :, 0] = 255  # below, as stored; turned clockwise by a quarter that is to the left
    pixels[:32, :, 2] = 255
    metadata = origin.marked(Metadata(exif=exif_of(6), xmp=XMP), bytes(32), "JPEG")
    (tmp_path / "Photos" / "trip").mkdir(parents=True)
    (tmp_path / "Photos" / "trip" / "a.jpg.pico").write_bytes(
        encode(pixels, lossless=True, metadata=metadata)
    )
    os.utime(tmp_path / "Photos" / "trip" / "a.jpg.pico", (10**9, 10**9))
    return tmp_path / "Photos"


def export(library: Path, *options: str) -> Path:
    out = library.parent / "out"
    assert main(["export", str(library), "--output", str(out), *options]) == 0
    (picture,) = (path for path in out.rglob("*") if path.is_file())
    return picture


@pytest.mark.parametrize("extension", ["jpg", "avif"])
def test_picture_stands_upright_under_its_name_with_what_it_says(extension: str, library: Path) -> None:
    picture = export(library, "--format", extension)
    assert picture == library.parent / "out" / "trip" / f"a.{extension}"
    assert picture.stat().st_mtime == 10**9
    with Image.open(picture) as im:
        assert (im.format, im.size) == ({"jpg": "JPEG", "avif": "AVIF"}[extension], (64, 128))
        left, right = im.convert("RGB").getpixel((8, 64)), im.convert("RGB").getpixel((56, 64))
        assert ImageOps.exif_transpose(im).size == (64, 128), "nobody turns it once more"
        exif = im.getexif()
        assert exif[ExifTags.Base.Make] == "Camera"
        assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == "2021:06:05 04:03:02"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        assert im.info["xmp"] == XMP
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 200 > 60 > left[2]
    assert right[2] > 200 > 60 > right[0]


def test_no_place_goes_along_where_none_is_to(library: Path) -> None:
    picture = export(library, "--no-location")
    with Image.open(picture) as im:
        exif = im.getexif()
        assert exif[ExifTags.Base.Make] == "Camera"
        assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == "2021:06:05 04:03:02"
        assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
    data = picture.read_bytes()
    assert b"GPSLatitude" not in data
    assert b"the maker knows where" not in data


def test_nothing_is_told_where_nothing_is_to_be(library: Path) -> None:
    with Image.open(export(library, "--no-metadata")) as im:
        assert not im.getexif()
        assert "xmp" not in im.info
        assert im.size == (64, 128)


def test_side_and_quality_are_those_asked_for(library: Path) -> None:
    small = export(library, "--max-side", "32", "--quality", "30")
    with Image.open(small) as im:
        assert im.size == (16, 32)


def test_no_file_is_replaced(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = export(library)
    picture.write_bytes(b"precious")
    assert main(["export", str(library), "--output", str(library.parent / "out")]) == 1
    assert picture.read_bytes() == b"precious"
    assert "exists already" in capsys.readouterr().err


def test_restored_picture_is_as_large_and_as_good_as_asked_for(library: Path, tmp_path: Path) -> None:
    sizes = []
    for number, options in enumerate(([], ["--quality", "20"], ["--max-side", "64"])):
        out = tmp_path / f"back{number}"
        assert main(["restore", str(library), "--output", str(out), *options]) == 0
        with Image.open(out / "trip" / "a.jpg") as im:
            sizes.append((im.size, (out / "trip" / "a.jpg").stat().st_size))
            assert im.info["exif"].removeprefix(b"Exif\0\0") == exif_of(6).removeprefix(b"Exif\0\0")
    assert [size for size, _ in sizes] == [(128, 64), (128, 64), (64, 32)]
    assert sizes[1][1] < sizes[0][1]
