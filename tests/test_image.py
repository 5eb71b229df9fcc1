"""The public API: what goes in comes out, at every size, and bad input is refused clearly."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import pico_core
from pico_core import (
    CorruptError,
    ImageTooLargeError,
    InvalidImageError,
    Metadata,
    OptionError,
    PicoError,
    PicoFile,
    TruncatedError,
    UnknownModelError,
    decode,
    encode,
    lossless,
)
from pico_core.container import Coder
from pico_core.preview import make_preview

Pixels = NDArray[np.uint8]


def psnr(a: Pixels, b: Pixels) -> float:
    error = np.square(a.astype(float) - b).mean()
    return float(-10 * np.log10(max(error, 1e-9) / 255**2))


@pytest.fixture(scope="module")
def coded(photo: Pixels) -> bytes:
    """A real photograph of four tiles with metadata, at the default quality."""
    return encode(photo, metadata=Metadata(exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", xmp=b"<x/>"))


def test_a_photograph_comes_back_recognisable_and_several_times_smaller(photo: Pixels, coded: bytes) -> None:
    assert len(coded) < photo.size / 12
    back = decode(coded)
    assert back.shape == photo.shape
    assert psnr(back, photo) > 24


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 70), (63, 65), (64, 64), (129, 7), (513, 20)])
def test_every_size_and_channel_count_comes_back(photo: Pixels, channels: int, size: tuple[int, int]) -> None:
    width, height = size
    colour = photo[:height, :width]
    pixels = np.concatenate([colour, colour[..., :1]], axis=2)
    pixels = {1: pixels[..., :1], 2: pixels[..., :2], 3: colour, 4: pixels}[channels]
    back = decode(encode(pixels, quality=90, effort=0))
    assert back.shape == (height, width, channels)
    if channels in (2, 4):
        assert np.array_equal(back[..., -1], pixels[..., -1])
    assert psnr(back, pixels) > 20


@pytest.mark.parametrize("shape", [(2, 65_535, 3), (65_535, 1, 3)])
def test_the_longest_sides_come_back(photo: Pixels, shape: tuple[int, int, int]) -> None:
    pixels = np.resize(photo[300:302] if shape[0] == 2 else photo[:, 300:301], shape)
    back = decode(encode(pixels, quality=30, effort=0))
    assert back.shape == shape
    assert psnr(back, pixels) > 20


@settings(max_examples=15)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 4))
def test_lossless_is_exact_at_any_size(width: int, height: int, channels: int) -> None:
    rng = np.random.default_rng(width)
    pixels = (rng.integers(0, 256, (height, width, channels)) & 0xF0).astype(np.uint8)
    assert np.array_equal(decode(encode(pixels, lossless=True, effort=0)), pixels)


def test_quality_raises_bits_and_fidelity_together(photo: Pixels) -> None:
    sizes, fidelities = [], []
    for quality in (0, 20, 40, 60, 80, 100):
        content = encode(photo, quality=quality)
        sizes.append(len(content))
        fidelities.append(psnr(decode(content), photo))
    assert sizes == sorted(sizes)
    assert fidelities == sorted(fidelities)
    assert sizes[-1] > 3 * sizes[0]


def test_tile_borders_are_no_worse_than_the_rest(photo: Pixels, coded: bytes) -> None:
    error = np.abs(decode(coded).astype(float) - photo).mean(2)
    seam = error[:, 502:514].mean()
    beside = np.concatenate([error[:, 470:500], error[:, 516:546]], axis=1).mean()
    assert seam < 1.35 * beside


def test_any_region_equals_the_same_part_of_the_whole(photo: Pixels, coded: bytes) -> None:
    whole = decode(coded)
    with PicoFile(coded) as file:
        for box in [(0, 0, 1, 1), (500, 500, 520, 520), (513, 0, 600, 30), (0, 0, 600, 520)]:
            left, top, right, bottom = box
            region = file.decode_region(box)
            assert np.array_equal(region, whole[top:bottom, left:right])


def test_a_region_reads_only_the_tiles_it_touches(coded: bytes) -> None:
    with PicoFile(coded) as file:
        lengths = [len(file.container.read_tile(i).payload) for i in range(4)]
    damaged = bytearray(coded)
    damaged[-1 - lengths[3] // 2] ^= 0xFF
    with PicoFile(bytes(damaged)) as file:
        file.decode_region((0, 0, 400, 400))
        with pytest.raises(CorruptError):
            file.decode_region((0, 0, 600, 520))


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 601, 5), (5, 5, 4, 6)])
def test_regions_outside_the_picture_are_refused(coded: bytes, box: tuple[int, int, int, int]) -> None:
    with PicoFile(coded) as file, pytest.raises(OptionError, match="600x520"):
        file.decode_region(box)


def test_damaged_tiles_raise_or_are_shown_grey_while_the_rest_stays(coded: bytes) -> None:
    whole = decode(coded)
    damaged = bytearray(coded)
    damaged[-3] ^= 1
    with PicoFile(bytes(damaged)) as file:
        with pytest.raises(CorruptError):
            file.decode()
        shown = file.decode(on_missing="grey")
    assert (shown[516:, 516:] == 128).all()
    assert np.array_equal(shown[:500], whole[:500])


class SlowStream(io.BytesIO):
    """A file that takes its time, and remembers whether it was read after its owner took it back."""

    taken_back = read_later = False

    def read(self, size: int | None = -1) -> bytes:
        time.sleep(0.02)
        self.read_later |= self.taken_back
        return super().read(size)


def test_nothing_reads_the_stream_once_decoding_has_failed(coded: bytes) -> None:
    with PicoFile(coded) as file:
        length = len(file.container.read_tile(0).payload)
        start = coded.index(file.container.read_tile(0).payload)
    damaged = bytearray(coded)
    damaged[start + length // 2] ^= 1
    stream = SlowStream(damaged)
    with PicoFile(stream) as file, pytest.raises(CorruptError):
        file.decode()
    stream.taken_back = True
    time.sleep(0.3)
    assert not stream.read_later


def test_a_file_cut_short_opens_on_request_and_shows_what_arrived(coded: bytes) -> None:
    short = coded[: len(coded) * 9 // 10]
    with pytest.raises(TruncatedError):
        PicoFile(short)
    with PicoFile(short, allow_truncated=True) as file:
        with pytest.raises(TruncatedError):
            file.decode()
        shown = file.decode(on_missing="grey")
    assert (shown[516:, 516:] == 128).all()
    assert shown[:400, :400].std() > 10


def test_target_bytes_takes_a_quality_that_fits_where_the_next_does_not(photo: Pixels) -> None:
    small = photo[264:, 100:356]
    target = 3500
    content = encode(small, target_bytes=target)
    with PicoFile(content) as file:
        assert file.quality is not None
        assert len(content) <= target
        assert len(encode(small, quality=file.quality + 1)) > target


def test_target_bytes_that_cannot_be_met_says_what_could(photo: Pixels) -> None:
    with pytest.raises(OptionError, match=r"takes \d+ bytes at quality 0"):
        encode(photo[:256, :256], target_bytes=100)


def test_a_screenshot_stays_readable_and_no_larger_than_png(samples: Path) -> None:
    path = samples / "screenshot.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    content = encode(pixels, quality=60)
    assert len(content) <= path.stat().st_size
    assert psnr(decode(content), pixels) > 45


def test_each_tile_is_coded_by_what_suits_it(samples: Path, photo: Pixels) -> None:
    with Image.open(samples / "screenshot.png") as image:
        graphic = np.asarray(image.convert("RGB"))[:512, :512]
    mixed = np.concatenate([photo[:512, :512], graphic], axis=1)
    with PicoFile(encode(mixed)) as file:
        coders = [file.container.read_tile(i).coder for i in range(file.container.tile_count)]
    assert coders[0] is Coder.LEARNED
    assert coders[-1] is Coder.WEBP_LOSSLESS


def test_flat_pictures_need_no_weights_at_all() -> None:
    content = encode(np.full((300, 700, 3), 77, np.uint8))
    with PicoFile(content) as file:
        assert file.model_id is None
        assert (file.decode() == 77).all()
    assert len(content) < 1500


def test_grey_pictures_stay_grey(photo: Pixels) -> None:
    grey = photo[:100, :100, 1]
    back = decode(encode(grey))
    assert back.shape == (100, 100, 1)
    assert psnr(back[..., 0], grey) > 22


def test_metadata_comes_back_byte_for_byte(coded: bytes) -> None:
    with PicoFile(coded) as file:
        assert file.metadata.exif == b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
        assert file.metadata.xmp == b"<x/>"
        assert file.quality == 60


def test_preview_is_embedded_where_it_is_affordable(photo: Pixels) -> None:
    large = np.tile(photo, (2, 2, 1))
    with PicoFile(encode(large, lossless=True, effort=0)) as file:
        assert file.preview is not None
        assert file.preview[:2] == b"\xff\xd8"
        assert len(file.preview) < 30_000
    with PicoFile(encode(photo, lossless=True, effort=0)) as file:
        assert file.preview is None
    with PicoFile(encode(large, lossless=True, effort=0, preview=False)) as file:
        assert file.preview is None


def test_many_threads_encode_and_decode_at_once(photo: Pixels) -> None:
    pieces = [photo[i : i + 64, i : i + 96] for i in range(0, 80, 10)]
    alone = [decode(encode(piece)) for piece in pieces]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda piece: decode(encode(piece)), pieces)
        for a, b in zip(alone, together, strict=True):
            assert psnr(a, b) > 45


@pytest.mark.parametrize(
    ("pixels", "match"),
    [
        (np.zeros((4, 4, 3), np.uint16), "uint16"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 5), np.uint8), r"\(4, 4, 5\)"),
        (np.zeros((4,), np.uint8), r"\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "4x0"),
        (np.zeros((1, 65_536), np.uint8), "65536x1"),
        ([[1, 2], [3, 4]], "list"),
    ],
)
def test_pixels_of_another_kind_are_refused(pixels: Pixels, match: str) -> None:
    with pytest.raises(InvalidImageError, match=match):
        encode(pixels)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"quality": 101}, "quality"),
        ({"quality": -1}, "quality"),
        ({"quality": 50.5}, "quality"),
        ({"level": 7.5}, "level"),
        ({"level": -1.0}, "level"),
        ({"level": float("nan")}, "level"),
        ({"effort": 3}, "effort"),
        ({"target_bytes": 0}, "target_bytes"),
        ({"target_bytes": "1k"}, "target_bytes"),
        ({"level": "high"}, "level"),
        ({"quality": True}, "quality"),
        ({"preview": 7}, "preview"),
        ({"quality": 50, "lossless": True}, "quality and lossless"),
        ({"quality": 50, "level": 2.0}, "quality and level"),
        ({"engine": "float16"}, "engine"),
        ({"preview": b"no jpeg"}, "preview"),
    ],
)
def test_options_out_of_range_are_refused(photo: Pixels, options: dict[str, object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        encode(photo[:16, :16], **options)  # type: ignore[arg-type]


def test_pictures_beyond_the_limit_are_refused_before_anything_is_allocated(coded: bytes) -> None:
    with PicoFile(coded, max_pixels=1000) as file:
        with pytest.raises(ImageTooLargeError, match="600x520"):
            file.decode()
        assert file.decode_region((0, 0, 30, 30)).shape == (30, 30, 3)


def test_unknown_weights_are_named(coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from pico_core import registry

    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry, "SHIPPED", Path("nowhere"))
    with PicoFile(coded) as file:
        for on_missing in ("error", "grey"):
            with pytest.raises(UnknownModelError, match=str(file.model_id)):
                file.decode(on_missing=on_missing)  # type: ignore[arg-type]


def test_everything_raised_is_a_pico_error() -> None:
    errors = [getattr(pico_core, name) for name in pico_core.__all__ if name.endswith("Error")]
    assert len(errors) >= 12
    assert all(issubclass(error, PicoError) for error in errors)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_preview_looks_like_the_picture(photo: Pixels, channels: int) -> None:
    large = np.tile(photo, (4, 4, 1))[:2071, :2333]
    opaque = np.full((*large.shape[:2], 1), 255, np.uint8)
    pixels = {1: large[..., :1], 3: large}.get(channels)
    if pixels is None:
        pixels = np.concatenate([large[..., : channels - 1], opaque], axis=2)
    content = make_preview(pixels)
    assert content is not None
    with Image.open(io.BytesIO(content)) as preview:
        assert max(preview.size) == 320
        shown = np.asarray(preview.convert("RGB"))
    whole = Image.fromarray(large if channels > 2 else large[..., 0]).convert("RGB")
    assert psnr(shown, np.asarray(whole.resize(shown.shape[1::-1], Image.Resampling.BOX))) > 24


def test_a_target_of_bytes_codes_losslessly_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    encode_lossless = lossless.encode
    monkeypatch.setattr(lossless, "encode", lambda *a: calls.append(1) or encode_lossless(*a))
    drawn = np.zeros((700, 100, 3), np.uint8)
    drawn[::7] = 255
    assert len(encode(drawn, target_bytes=100_000, preview=False)) <= 100_000
    assert len(calls) == 2, "one for each tile, however many qualities were tried"
