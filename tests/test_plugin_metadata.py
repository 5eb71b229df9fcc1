"""EXIF, XMP and colour profiles through `im.save("x.pico")`: byte for byte, edited, cleared, or refused."""

from __future__ import annotations

import io
from pathlib import Path

import piexif
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import IFD
from plugin_samples import (
    CMYK_PROFILE,
    RGB_PROFILE,
    XMP,
    camera_exif,
    exif,
    random_picture,
    reopened,
    saved,
)

import pillow_pico


def test_metadata_travels_from_one_format_to_the_next_byte_for_byte(tmp_path: Path) -> None:
    source = tmp_path / "source.jpg"
    random_picture().save(source, exif=exif(), xmp=XMP, icc_profile=RGB_PROFILE)
    with Image.open(source) as jpeg:
        jpeg.save(tmp_path / "once.pico", lossless=True)
        kept = {key: jpeg.info[key] for key in ("exif", "xmp", "icc_profile")}
    with Image.open(tmp_path / "once.pico") as once:
        assert {key: once.info[key] for key in kept} == kept
        once.save(tmp_path / "twice.pico", lossless=True)
    with Image.open(tmp_path / "twice.pico") as twice:
        assert {key: twice.info[key] for key in kept} == kept


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_metadata_of_real_photos_is_not_touched(samples: Path) -> None:
    photos = sorted(samples.glob("*.jpg"))
    assert photos
    for path in photos:
        with Image.open(path) as photo:
            part = photo.crop((0, 0, 32, 32))
            whole = reopened(photo, lossless=None, quality=0, effort=0)
        for key in ("exif", "xmp", "icc_profile"):
            assert whole.info.get(key) == part.info.get(key), f"{key} of {path.name} changed"
        for options in ({}, {"exif": part.getexif()}):
            again = reopened(part, **options)
            for key in ("xmp", "icc_profile"):
                assert again.info.get(key) == part.info.get(key), f"{key} of {path.name} changed"
            before, after = (
                piexif.load(im.info["exif"]) if "exif" in im.info else {} for im in (part, again)
            )
            assert after.pop("thumbnail", None) is None, "that of the whole photo does not show the part"
            assert after.pop("1st", {}) == {}
            assert after == {name: before[name] for name in after}


@pytest.mark.parametrize("prefix", [b"Exif\0\0", b""])
def test_exif_keeps_the_prefix_it_had(prefix: bytes) -> None:
    block = prefix + camera_exif().removeprefix(b"Exif\0\0")
    again = reopened(random_picture(), exif=block)
    assert again.info["exif"] == block
    assert again.getexif()[0x0112] == 6


@pytest.mark.parametrize("name", ["exif", "xmp", "icc_profile"])
@pytest.mark.parametrize("nothing", [None, b""])
def test_metadata_can_be_cleared(name: str, nothing: bytes | None) -> None:
    im = random_picture()
    im.info.update(exif=camera_exif(), xmp=XMP, icc_profile=RGB_PROFILE)
    again = reopened(im, **{name: nothing})
    assert {"exif", "xmp", "icc_profile"} & set(again.info) == {"exif", "xmp", "icc_profile"} - {name}


def test_options_override_what_the_image_brought() -> None:
    im = random_picture()
    im.info.update(exif=camera_exif(), xmp=b"old", icc_profile=RGB_PROFILE)
    again = reopened(im, exif=exif(3), xmp="<x>ü</x>", icc_profile=CMYK_PROFILE)
    assert again.getexif()[0x0112] == 3
    assert again.info["xmp"] == "<x>ü</x>".encode()
    assert again.info["icc_profile"] == CMYK_PROFILE


def test_unedited_exif_object_is_not_rewritten() -> None:
    im = random_picture()
    im.info["exif"] = camera_exif()
    assert im.getexif().tobytes() != camera_exif()
    assert reopened(im, exif=im.getexif()).info["exif"] == camera_exif()


@pytest.mark.parametrize("parts", [(IFD.GPSInfo,), (IFD.Exif,), (IFD.GPSInfo, IFD.Exif)])
def test_exif_object_that_was_only_looked_at_is_not_rewritten(parts: tuple[int, ...]) -> None:
    im = random_picture()
    im.info["exif"] = camera_exif()
    tags = im.getexif()
    for part in parts:
        tags.get_ifd(part)
    assert reopened(im, exif=tags).info["exif"] == camera_exif()


def test_exif_object_with_the_orientation_that_only_xmp_has_is_not_rewritten() -> None:
    im = random_picture()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    without = camera_exif().replace(b"\x12\x01", b"\x00\x01", 1)  # a width where the orientation was
    im.info.update(exif=without, xmp=xmp)
    assert im.getexif()[0x0112] == 6
    assert reopened(im, exif=im.getexif()).info["exif"] == without


def test_edited_exif_object_is_written() -> None:
    im = random_picture()
    im.info["exif"] = camera_exif()
    tags = im.getexif()
    tags[0x0112] = 1
    assert reopened(im, exif=tags).getexif()[0x0112] == 1


def test_empty_exif_object_clears() -> None:
    im = random_picture()
    im.info["exif"] = camera_exif()
    assert "exif" not in reopened(im, exif=Image.Exif()).info


def test_empty_exif_object_clears_even_where_there_is_nothing_but_a_thumbnail() -> None:
    """To Pillow, such EXIF is as empty as the object: only that of the image itself leaves it alone."""
    first = b"\0\0" + b"\0\0\0\x0e"  # no entries, and the place of the directory of the thumbnail
    second = b"\0\1" + b"\1\3\0\3\0\0\0\1\0\6\0\0" + b"\0\0\0\0"
    im = random_picture()
    im.info["exif"] = b"Exif\0\0MM\0\x2a\0\0\0\x08" + first + second
    assert "exif" not in reopened(im, exif=Image.Exif()).info
    assert reopened(im, exif=im.getexif()).info["exif"] == im.info["exif"]


@pytest.mark.parametrize("broken", [b"Exif\0\0garbage!", b"Exif\0\0II", b"II*\0", b"\0"])
def test_broken_exif_can_be_replaced(broken: bytes) -> None:
    im = random_picture()
    im.info["exif"] = broken
    tags = Image.Exif()
    tags[0x0112] = 6
    assert reopened(im, exif=tags).getexif()[0x0112] == 6
    assert "exif" not in reopened(im, exif=Image.Exif()).info


@pytest.mark.parametrize(
    ("name", "value"), [("exif", 5), ("exif", "text"), ("icc_profile", "text"), ("xmp", 1.5)]
)
def test_metadata_of_a_wrong_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{name} must be bytes"):
        saved(random_picture(), **{name: value})


def test_profile_of_inks_does_not_describe_converted_pixels() -> None:
    im = random_picture("CMYK")
    im.info["icc_profile"] = CMYK_PROFILE
    assert "icc_profile" not in reopened(im).info
    assert reopened(im, icc_profile=CMYK_PROFILE).info["icc_profile"] == CMYK_PROFILE
    converted = random_picture().convert("YCbCr")
    converted.info["icc_profile"] = RGB_PROFILE
    assert reopened(converted).info["icc_profile"] == RGB_PROFILE


def test_nothing_is_rotated_twice() -> None:
    im = random_picture(size=(40, 20))
    im.info["exif"] = exif(6).tobytes()
    stored = reopened(im)
    assert stored.size == (40, 20)
    upright = ImageOps.exif_transpose(stored)
    assert upright.size == (20, 40)
    again = reopened(upright)
    assert again.tobytes() == upright.tobytes()
    assert 0x0112 not in again.getexif()
    assert ImageOps.exif_transpose(again).size == (20, 40)


def test_metadata_behind_the_pixels_is_found_by_to_bytes() -> None:
    stream = io.BytesIO()
    random_picture().save(stream, "PNG", exif=exif())
    plain = stream.getvalue()
    at = plain.index(b"eXIf") - 4
    chunk = plain[at : at + 12 + int.from_bytes(plain[at : at + 4], "big")]
    end = plain.index(b"IEND") - 4
    moved = plain[:at] + plain[at + len(chunk) : end] + chunk + plain[end:]
    again = Image.open(io.BytesIO(pillow_pico.to_bytes(Image.open(io.BytesIO(moved)))))
    assert again.getexif() == Image.open(io.BytesIO(plain)).getexif()
