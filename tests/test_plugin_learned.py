"""The plug-in with the networks behind it: quality, size, exact alpha, and many threads."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import pillow_pico

SIZE = (200, 136)


def scene(mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Soft shapes with fine grain, which no lossless coder makes small and the networks can."""
    noise = np.random.default_rng(seed).integers(0, 256, (17, 25, 3), dtype=np.uint8)
    soft = Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)
    grain = Image.fromarray(np.random.default_rng(seed).integers(98, 158, SIZE[::-1], dtype=np.uint8))
    im = Image.blend(soft, grain.filter(ImageFilter.GaussianBlur(0.6)).convert("RGB"), 0.2)
    if mode in ("LA", "RGBA"):
        im.putalpha(Image.linear_gradient("L").resize(SIZE))
    return im.convert(mode)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def mean_error(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean())


@pytest.fixture(scope="module")
def coded() -> tuple[Image.Image, bytes]:
    im = scene()
    return im, pillow_pico.to_bytes(im, quality=70, effort=0)


def test_picture_comes_back_alike_and_smaller(coded: tuple[Image.Image, bytes]) -> None:
    im, data = coded
    again = opened(data)
    assert (again.mode, again.size) == ("RGB", SIZE)
    assert mean_error(again, im) < 10
    assert len(data) < len(pillow_pico.to_bytes(im, lossless=True)) / 2


def test_real_photo_comes_back_alike_and_smaller(samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.pico"
    with Image.open(samples / "lake.jpg") as photo:
        photo.crop((100, 60, 420, 300)).save(path, quality=60)
        with Image.open(path) as again:
            assert again.size == (320, 240)
            assert mean_error(again, photo.crop((100, 60, 420, 300))) < 12
            assert len(again.info["exif"]) < len(photo.info["exif"]), "less the thumbnail of the whole photo"
            assert dict(again.getexif()) == dict(photo.getexif())
    photo_bytes = path.stat().st_size - len(again.info["exif"])
    assert photo_bytes < 320 * 240 * 2 / 8


def test_info_names_quality_level_and_model(coded: tuple[Image.Image, bytes]) -> None:
    info = opened(coded[1]).info
    assert info["quality"] == 70
    assert info["level"] > 0
    assert len(bytes.fromhex(info["model"])) == 16


def test_same_file_always_gives_the_same_pixels(coded: tuple[Image.Image, bytes]) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(lambda _: opened(coded[1]).tobytes(), range(8)))
    assert len(results) == 1


def test_higher_quality_costs_more_bytes_and_is_closer() -> None:
    im = scene(seed=1)
    low, high = (pillow_pico.to_bytes(im, quality=quality, effort=0) for quality in (10, 90))
    assert len(low) < len(high)
    assert mean_error(opened(high), im) < mean_error(opened(low), im)


def test_quality_defaults_to_sixty() -> None:
    stream = io.BytesIO()
    scene().save(stream, "PICO")
    assert opened(stream.getvalue()).info["quality"] == 60


def test_level_is_kept_and_leaves_quality_open() -> None:
    info = opened(pillow_pico.to_bytes(scene(), level=1.5, effort=0)).info
    assert (info["level"], info["quality"]) == (1.5, None)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_alpha_is_exact_and_grey_stays_grey(mode: str) -> None:
    im = scene(mode)
    again = opened(pillow_pico.to_bytes(im, quality=60, effort=0))
    assert again.mode == mode
    assert mean_error(again, im) < 12
    if mode != "L":
        assert again.getchannel("A").tobytes() == im.getchannel("A").tobytes()


def test_target_bytes_gives_a_quality_that_fits(tmp_path: Path) -> None:
    im = scene()
    path = tmp_path / "fitted.pico"
    target = len(pillow_pico.to_bytes(im, quality=40, effort=0, preview=False)) + 1
    im.save(path, target_bytes=target, effort=0, preview=False)
    assert path.stat().st_size <= target
    with Image.open(path) as fitted:
        assert 37 <= fitted.info["quality"] <= 43


def test_impossible_target_is_refused_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "none.pico"
    with pytest.raises(ValueError, match="target of 20"):
        scene().save(path, target_bytes=20)
    assert not path.exists()


def test_threads_saving_and_decoding_do_not_disturb_each_other() -> None:
    sources = [scene(mode, seed) for seed, mode in enumerate(["RGB", "L", "RGBA", "RGB", "LA", "L"])]
    expected = [pillow_pico.to_bytes(im, quality=50, effort=0) for im in sources]
    pixels = [opened(data).tobytes() for data in expected]

    def round_trip(im: Image.Image) -> tuple[bytes, bytes]:
        data = pillow_pico.to_bytes(im, quality=50, effort=0)
        return data, opened(data).tobytes()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(round_trip, sources)) == list(zip(expected, pixels, strict=True))
