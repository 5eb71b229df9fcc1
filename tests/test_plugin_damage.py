"""Damaged files through Pillow: only exceptions that its users catch, and as much picture as there is."""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, UnidentifiedImageError

import pillow_pico

PROMISED = (OSError, SyntaxError)
POSITIONS = st.integers(0, 1 << 16)


def noise(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    return Image.merge(mode, [Image.effect_noise(size, 60 + band) for band in range(len(mode))])


def file_of(im: Image.Image) -> bytes:
    tags = Image.Exif()
    tags[0x010F] = "Maker of cameras"
    return pillow_pico.to_bytes(im, lossless=True, exif=tags, xmp=b"<x/>", icc_profile=bytes(150))


@cache
def small_file() -> bytes:
    return file_of(noise((24, 20), "RGBA"))


@pytest.fixture(scope="module")
def tiled() -> tuple[Image.Image, bytes]:
    """Two tiles side by side."""
    im = noise((560, 40))
    return im, file_of(im)


def attempts(data: bytes) -> list[Image.Image]:
    """Open, verify and load; return the image if loading worked. Any exception not promised goes through."""
    loaded: list[Image.Image] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=["PICO"]) as im:
                im.verify()
        except PROMISED:
            pass
        try:
            with Image.open(io.BytesIO(data), formats=["PICO"]) as im:
                im.load()
                loaded.append(im)
        except PROMISED:
            pass
    return loaded


def test_file_cut_anywhere_is_an_error() -> None:
    data = small_file()
    for end in range(0, len(data), 3):
        assert not attempts(data[:end]), f"a file cut at byte {end} was loaded"


@settings(max_examples=300, deadline=None)
@given(position=POSITIONS, flip=st.integers(1, 255))
def test_changed_byte_is_noticed_by_verify(position: int, flip: int) -> None:
    data = bytearray(small_file())
    data[position % len(data)] ^= flip
    with pytest.raises(PROMISED):
        Image.open(io.BytesIO(data), formats=["PICO"]).verify()


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(POSITIONS, st.integers(0, 255)), max_size=12))
def test_changed_bytes_never_raise_anything_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(small_file())
    for position, value in changes:
        data[position % len(data)] = value
    attempts(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_after_our_magic_number_is_declined(tail: bytes) -> None:
    assert not attempts(b"\0\0\0\x18ftyppico" + tail)


def test_errors_say_which_file_and_are_chained(tiled: tuple[Image.Image, bytes]) -> None:
    data = tiled[1][:-100]
    with pytest.raises(OSError, match="cannot decode image file") as caught:
        Image.open(io.BytesIO(data)).load()
    assert type(caught.value.__cause__).__module__ == "pico_core.errors"
    with pytest.raises(OSError, match="damaged") as caught:
        Image.open(io.BytesIO(data)).verify()
    assert type(caught.value.__cause__).__module__ == "pico_core.errors"


def test_failed_load_can_be_tried_again(tiled: tuple[Image.Image, bytes]) -> None:
    im = Image.open(io.BytesIO(tiled[1][:-100]))
    for _ in range(2):
        with pytest.raises(OSError, match="cannot decode"):
            im.load()


def test_truncated_file_shows_what_is_there_if_pillow_is_told_so(
    tiled: tuple[Image.Image, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, data = tiled
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(data[:-100])) as im:
        pixels = np.asarray(im)
    np.testing.assert_array_equal(pixels[:, :504], np.asarray(source)[:, :504])
    missing = pixels[:, 512:]
    assert (missing == missing[0, 0]).all()
    assert len(set(missing[0, 0].tolist())) == 1


def test_damaged_metadata_is_an_error_or_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    im = noise((24, 20))
    data = pillow_pico.to_bytes(im, lossless=True, xmp=b"<hills/>", icc_profile=bytes(150))
    data = data.replace(b"<hills/>", b"<hillz/>")
    with pytest.raises(UnidentifiedImageError, match="checksum"):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.warns(UserWarning, match="xmp is left out"):
        opened = Image.open(io.BytesIO(data))
    assert "xmp" not in opened.info
    assert opened.info["icc_profile"] == bytes(150)
    assert opened.tobytes() == im.tobytes()


def test_damaged_tile_is_an_error_and_not_noise(tiled: tuple[Image.Image, bytes]) -> None:
    data = bytearray(tiled[1])
    data[-50] ^= 1
    with pytest.raises(OSError, match="cannot decode"):
        Image.open(io.BytesIO(data)).load()


def test_bytes_behind_a_picture_bring_a_warning_and_only_verify_refuses_them() -> None:
    with Image.open(io.BytesIO(small_file())) as whole:
        pixels = whole.tobytes()
    longer = small_file() + b"tail"
    with pytest.warns(UserWarning, match="4 bytes follow the end of the picture"):
        im = Image.open(io.BytesIO(longer))
    assert im.tobytes() == pixels
    assert im.info["xmp"] == b"<x/>"
    with pytest.warns(UserWarning, match="4 bytes follow"):
        im = Image.open(io.BytesIO(longer))
    with pytest.raises(OSError, match="4 bytes follow"):
        im.verify()
