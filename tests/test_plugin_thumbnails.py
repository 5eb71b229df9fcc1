"""The thumbnail inside EXIF: it stays with the picture that it shows, and not with a part of that picture."""

from __future__ import annotations

import io

import piexif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from plugin_samples import random_picture, reopened

from pillow_pico._thumbnails import without_stale_thumbnail


def thumbnail_in(exif: bytes) -> bytes | None:
    """The JPEG file inside a block, as another program finds it; None if nothing leads to one."""
    found: bytes | None = piexif.load(exif)["thumbnail"]
    return found


def photo_with_thumbnail(
    size: tuple[int, int] = (120, 90),
    *,
    recorded: tuple[int, int] | None = None,
    order: str = "thumbnail last",
) -> Image.Image:
    """A JPEG file as cameras write it, with a thumbnail inside its EXIF, opened."""
    whole = random_picture(size=(8, 6)).resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    whole.resize((40, 40 * size[1] // size[0])).save(stream, "JPEG")
    thumbnail = stream.getvalue()
    tags: dict[str, dict[int, object]] = {
        "0th": {piexif.ImageIFD.Model: b"Camera of ours"},
        "1st": {piexif.ImageIFD.Compression: 6},
    }
    tags["Exif"] = {piexif.ExifIFD.MakerNote: b"a note of the maker"}
    if recorded:
        tags["Exif"] |= dict(
            zip((piexif.ExifIFD.PixelXDimension, piexif.ExifIFD.PixelYDimension), recorded, strict=True)
        )
    block = piexif.dump({**tags, "thumbnail": thumbnail})
    if order == "thumbnail amid":
        block += b"more of the maker's"
    stream = io.BytesIO()
    whole.save(stream, "JPEG", exif=block)
    stream.seek(0)
    return Image.open(stream)


@pytest.mark.parametrize("how", ["carried", "getexif of the whole", "bytes of the whole"])
@pytest.mark.parametrize("recorded", [None, (120, 90)])
@pytest.mark.parametrize("order", ["thumbnail last", "thumbnail amid"])
def test_thumbnail_of_the_whole_picture_does_not_survive_a_crop(
    how: str, recorded: tuple[int, int] | None, order: str
) -> None:
    photo = photo_with_thumbnail(recorded=recorded, order=order)
    assert thumbnail_in(photo.info["exif"]) is not None
    options: dict[str, dict[str, object]] = {"carried": {}, "getexif of the whole": {"exif": photo.getexif()}}
    face = photo.crop((10, 10, 50, 74))
    again = reopened(face, **options.get(how, {"exif": photo.info["exif"]}))
    kept = again.info["exif"]
    assert b"\xff\xd8\xff" not in kept, "the start of a JPEG file"
    assert thumbnail_in(kept) is None
    before, after = piexif.load(photo.info["exif"]), piexif.load(kept)
    assert {name: after[name] for name in ("0th", "Exif")} == {name: before[name] for name in ("0th", "Exif")}
    assert kept.find(b"a note of the maker") == photo.info["exif"].find(b"a note of the maker"), (
        "it stays in place"
    )
    assert (b"more of the maker's" in kept) == (order == "thumbnail amid")
    assert len(kept) < len(photo.info["exif"]) or order == "thumbnail amid"


@pytest.mark.parametrize("recorded", [None, (120, 90), (4000, 3000)])
def test_thumbnail_of_a_picture_that_nobody_edited_stays_whatever_the_camera_recorded(
    recorded: tuple[int, int] | None,
) -> None:
    photo = photo_with_thumbnail(recorded=recorded)
    for options in ({}, {"exif": photo.getexif()}, {"exif": photo.info["exif"]}):
        assert reopened(photo, **options).info["exif"] == photo.info["exif"]


def test_thumbnail_stays_in_a_copy_and_goes_where_a_recorded_size_no_longer_is_right() -> None:
    photo = photo_with_thumbnail(recorded=(120, 90))
    for same in (photo.copy(), photo.convert("L"), photo.filter(ImageFilter.GaussianBlur(1))):
        assert reopened(same).info["exif"] == photo.info["exif"]
    for other in (photo.crop((0, 0, 60, 45)), photo.rotate(90, expand=True), photo.resize((60, 45))):
        assert thumbnail_in(reopened(other).info["exif"]) is None
    unsized = photo_with_thumbnail()
    assert reopened(unsized.resize((60, 45))).info["exif"] == unsized.info["exif"], "it shows the same"


def test_other_exif_that_the_caller_passes_is_carried_as_it_is() -> None:
    photo = photo_with_thumbnail(recorded=(120, 90))
    assert reopened(random_picture(), exif=photo.info["exif"]).info["exif"] == photo.info["exif"]


@given(st.binary(max_size=24), st.integers(0, 400), st.integers(1, 9))
def test_damaged_exif_of_a_crop_is_carried_or_loses_its_thumbnail_and_never_fails(
    damage: bytes, at: int, side: int
) -> None:
    photo = photo_with_thumbnail(recorded=(120, 90))
    block = bytearray(photo.info["exif"])
    block[at : at + len(damage)] = damage
    im = random_picture(size=(side, side))
    kept = without_stale_thumbnail(bytes(block), im)
    assert len(kept) <= len(block)
    assert len(without_stale_thumbnail(bytes(block[:at]), im)) <= at


def test_thumbnail_goes_from_a_part_of_the_same_proportions_and_from_what_was_turned() -> None:
    """No size is recorded, so only the pictures themselves can tell."""
    photo = photo_with_thumbnail()
    for other in (
        photo.crop((60, 45, 120, 90)),
        photo.rotate(180),
        photo.crop((0, 0, 60, 45)).resize(photo.size),
    ):
        assert thumbnail_in(reopened(other).info["exif"]) is None
    for same in (photo.copy(), photo.convert("L"), photo.convert("P"), photo.point(lambda level: level // 2)):
        assert reopened(same).info["exif"] == photo.info["exif"]
