"""What `thumbnail` and `draft` promise: the embedded preview if it is as good, else the whole picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import pillow_pico

FULL = (600, 400)
PREVIEW = (150, 100)
# The preview is painted in one colour, so that a test can tell which of the two it was given.
MARK = 200


def full_picture(mode: str = "RGB", size: tuple[int, int] = FULL) -> Image.Image:
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    grey = Image.fromarray(((rows + columns) % 100).astype(np.uint8))
    return grey.convert(mode)


def jpeg(size: tuple[int, int] = PREVIEW, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new("L", size, MARK).convert(mode).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def opened(mode: str = "RGB", *, size: tuple[int, int] = FULL, **options: Any) -> Image.Image:
    options = {"lossless": True, "preview": jpeg(), **options}
    return Image.open(io.BytesIO(pillow_pico.to_bytes(full_picture(mode, size), **options)))


def is_preview(im: Image.Image) -> bool:
    low, high = im.convert("L").getextrema()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return low > MARK - 10 and high < MARK + 10


def test_preview_is_in_info() -> None:
    assert opened().info["thumbnail"] == jpeg()


def test_automatic_preview_shows_the_picture() -> None:
    size = 1240, 830
    im = opened(size=size, preview=True, effort=0)
    with Image.open(io.BytesIO(im.info["thumbnail"])) as preview:
        assert preview.format == "JPEG"
        reduced = full_picture(size=size).resize(preview.size, Image.Resampling.LANCZOS)
        difference = np.asarray(preview, np.float64) - np.asarray(reduced, np.float64)
    assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("box", [(150, 150), (150, 100), (75, 75), (30, 9)])
def test_thumbnail_no_larger_than_the_preview_is_made_from_it(mode: str, box: tuple[int, int]) -> None:
    im = opened(mode)
    im.thumbnail(box)
    expected = full_picture(mode)
    expected.thumbnail(box)
    assert (im.mode, im.size) == (mode, expected.size)
    im.load()
    assert is_preview(im)


@pytest.mark.parametrize("box", [(151, 151), (400, 101), (599, 400)])
def test_larger_thumbnail_is_made_from_the_picture(box: tuple[int, int]) -> None:
    im = opened()
    im.thumbnail(box)
    expected = full_picture()
    expected.thumbnail(box)
    assert im.tobytes() == expected.tobytes()


def test_thumbnail_without_reducing_gap_is_made_from_the_picture() -> None:
    im = opened()
    im.thumbnail((60, 60), reducing_gap=None)
    expected = full_picture()
    expected.thumbnail((60, 60), reducing_gap=None)
    assert im.tobytes() == expected.tobytes()


def test_thumbnail_larger_than_the_picture_changes_nothing() -> None:
    im = opened()
    im.thumbnail((1000, 1000))
    assert im.tobytes() == full_picture().tobytes()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_never_lost_to_the_preview(mode: str) -> None:
    source = full_picture(mode)
    source.putalpha(90)
    im = Image.open(io.BytesIO(pillow_pico.to_bytes(source, lossless=True, preview=jpeg())))
    im.thumbnail((60, 60))
    assert im.mode == mode
    assert im.getchannel("A").getextrema() == (90, 90)
    assert not is_preview(im.convert(mode.removesuffix("A")))


@pytest.mark.parametrize(
    "preview",
    [jpeg((100, 150)), jpeg((150, 112)), jpeg((1200, 800)), jpeg()[:400]],
    ids=["turned", "letterboxed", "larger than the picture", "damaged"],
)
def test_preview_that_does_not_fit_is_not_shown(preview: bytes) -> None:
    im = opened(preview=preview)
    im.thumbnail((90, 90))
    assert im.size == (90, 60)
    assert not is_preview(im)


@pytest.mark.parametrize(("mode", "preview_mode"), [("L", "RGB"), ("RGB", "L"), ("RGB", "CMYK")])
def test_preview_takes_the_mode_of_the_picture(mode: str, preview_mode: str) -> None:
    im = opened(mode, preview=jpeg(mode=preview_mode))
    im.thumbnail((90, 90))
    im.load()
    assert im.mode == mode
    assert is_preview(im)


def test_orientation_holds_for_the_preview_too() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    im = opened(exif=tags)
    im.thumbnail((90, 90))
    assert im.size == (90, 60)
    assert ImageOps.exif_transpose(im).size == (60, 90)


@pytest.mark.parametrize("size", [(601, 401), (3, 1000), (1000, 3), (577, 123)])
def test_odd_proportions_give_the_size_that_pillow_gives(size: tuple[int, int]) -> None:
    scale = 160 / max(size)
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    im = opened(size=size, preview=jpeg(small))
    expected = full_picture(size=size)
    im.thumbnail((100, 100))
    expected.thumbnail((100, 100))
    assert im.size == expected.size
    assert is_preview(im)


def test_draft_gives_at_least_what_was_asked_for() -> None:
    im = opened()
    assert im.draft(None, (150, 101)) is None
    assert im.size == FULL
    assert im.draft("L", (150, 100)) == ("RGB", (0, 0, 150, 100))
    assert im.size == PREVIEW
    assert im.draft(None, (10, 10)) is None
    im.load()
    assert is_preview(im)


def test_draft_without_size_or_preview_or_after_loading_changes_nothing() -> None:
    assert opened().draft("L", None) is None
    assert opened(preview=False).draft(None, (10, 10)) is None
    loaded = opened()
    loaded.load()
    assert loaded.draft(None, (10, 10)) is None
    assert loaded.tobytes() == full_picture().tobytes()


def test_thumbnail_can_be_made_again_and_saved() -> None:
    im = opened()
    im.thumbnail((100, 100))
    im.thumbnail((50, 50))
    again = Image.open(io.BytesIO(pillow_pico.to_bytes(im, lossless=True)))
    assert again.size == im.size == (50, 34)
    assert again.tobytes() == im.tobytes()
