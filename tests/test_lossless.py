"""Graphics are recognised, and come back exactly."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pico_core import PicoFile, encode, lossless
from pico_core.content import is_flat
from pico_core.errors import CorruptError, ImageTooLargeError


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 2))
def test_lossless_tiles_come_back_exactly(width: int, height: int, channels: int, effort: int) -> None:
    rng = np.random.default_rng(width * 64 + height)
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    payload = lossless.encode(pixels, effort)
    assert np.array_equal(lossless.decode(payload, height, width, channels), pixels)


def test_photographs_are_not_flat(photo: NDArray[np.uint8]) -> None:
    assert not is_flat(photo[:512, :512])


def test_screenshots_and_flat_colour_are_flat(samples: Path) -> None:
    with Image.open(samples / "screenshot.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert is_flat(pixels[:512, :512])
    assert is_flat(np.full((64, 64, 3), 9, np.uint8))
    assert is_flat(np.zeros((1, 1, 3), np.uint8))


def test_a_damaged_lossless_tile_is_refused() -> None:
    payload = lossless.encode(np.arange(300, dtype=np.uint8).reshape(10, 10, 3), 1)
    for damaged in (
        payload[:-5],
        payload[:25],
        payload[:12],
        b"",
        b"RIFF" + payload[8:],
        bytes(len(payload)),
    ):
        with pytest.raises(CorruptError, match="a lossless tile"):
            lossless.decode(damaged, 10, 10, 3)


def test_a_lossless_tile_of_another_size_is_refused() -> None:
    payload = lossless.encode(np.zeros((10, 10, 3), np.uint8), 1)
    with pytest.raises(CorruptError, match="not WebP lossless of 11x10"):
        lossless.decode(payload, 10, 11, 3)


@pytest.mark.parametrize(("limit", "warning"), [(40, "default"), (70, "error"), (0, "default")])
def test_a_limit_of_pillow_that_a_tile_exceeds_is_named(
    limit: int, warning: Literal["default", "error"], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(np.arange(100, dtype=np.uint8).reshape(10, 10), lossless=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings(), PicoFile(content) as file:
        warnings.simplefilter(warning, Image.DecompressionBombWarning)
        for on_missing in ("error", "grey"):
            with pytest.raises(ImageTooLargeError, match=f"10x10 pixels.*MAX_IMAGE_PIXELS.* {limit}; set it"):
                file.decode(on_missing=on_missing)  # type: ignore[arg-type]


def test_a_lossless_tile_that_claims_to_be_huge_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payload = bytearray(lossless.encode(np.zeros((10, 10, 3), np.uint8), 1))
    payload[21:25] = (16_382 | 16_382 << 14).to_bytes(4, "little")
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("the decoder saw the file"))
    with pytest.raises(CorruptError, match="not WebP lossless of 10x10"):
        lossless.decode(bytes(payload), 10, 10, 3)
