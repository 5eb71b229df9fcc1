"""What `im.save("x.pico")` promises: modes, options, and what becomes of the target on an error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from plugin_samples import (
    CMYK_PROFILE,
    NATIVE,
    XMP,
    camera_exif,
    exif,
    random_picture,
    reopened,
    saved,
)

import pillow_pico

ROOT = Path(__file__).resolve().parents[1]


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(NATIVE),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_lossless_returns_every_pixel_of_any_size_and_mode(
    mode: str, width: int, height: int, seed: int
) -> None:
    im = random_picture(mode, (width, height), seed)
    again = reopened(im)
    assert (again.mode, again.size) == (mode, (width, height))
    assert again.tobytes() == im.tobytes()


def test_colours_under_full_transparency_survive_lossless() -> None:
    im = random_picture("RGBA")
    im.putalpha(0)
    assert reopened(im).tobytes() == im.tobytes()


@pytest.mark.parametrize(
    ("mode", "stored"),
    [
        ("1", "L"),
        ("La", "LA"),
        ("P", "RGB"),
        ("PA", "RGBA"),
        ("RGBa", "RGBA"),
        ("RGBX", "RGB"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("HSV", "RGB"),
        ("LAB", "RGB"),
    ],
)
def test_other_modes_are_stored_as_pillow_converts_them(mode: str, stored: str) -> None:
    im = _in_mode(mode)
    again = reopened(im)
    assert again.mode == stored
    assert again.tobytes() == im.convert(stored).tobytes()


def _in_mode(mode: str) -> Image.Image:
    if mode == "LAB":
        return random_picture("LAB")
    if mode == "PA":
        return random_picture("P").convert("PA")
    if mode == "P":
        return random_picture("RGB").quantize(32)
    if mode == "RGBX":
        return random_picture("RGBX")
    return random_picture("RGBA" if mode == "RGBa" else "LA" if mode == "La" else "RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "transparency", "stored"),
    [
        ("1", 0, "LA"),
        ("L", 7, "LA"),
        ("P", 0, "RGBA"),
        ("P", bytes([0, 80, 160, 255]), "RGBA"),
        ("RGB", (1, 2, 3), "RGBA"),
    ],
)
def test_transparent_colour_becomes_an_alpha_channel(mode: str, transparency: Any, stored: str) -> None:
    im = Image.new(mode, (8, 8))
    if mode != "P":
        im.putpixel((3, 3), transparency)
    im.info["transparency"] = transparency
    again = reopened(im)
    assert again.mode == stored
    assert again.tobytes() == im.convert(stored).tobytes()
    assert again.getchannel("A").getextrema()[0] == 0


def test_palette_with_alpha_becomes_an_alpha_channel() -> None:
    im = random_picture("RGBA").quantize(16)
    assert im.palette is not None
    assert im.palette.mode == "RGBA"
    assert reopened(im).mode == "RGBA"


SIXTEEN_BITS = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2"}


@pytest.mark.parametrize("mode", [*SIXTEEN_BITS, "I", "F"])
def test_more_than_eight_bits_is_refused_with_advice(mode: str) -> None:
    with pytest.raises(OSError, match=r"cannot write mode .* as PICO.*0\.\.255"):
        saved(Image.new(mode, (4, 4)))


@pytest.mark.parametrize("mode", SIXTEEN_BITS)
def test_the_advice_for_sixteen_bits_works(mode: str) -> None:
    values = np.array([0, 256, 30000, 40000, 65535], SIXTEEN_BITS[mode])
    im = Image.frombytes(mode, (5, 1), values.tobytes())
    with pytest.raises(OSError, match="for example with im") as caught:
        saved(im)
    advice = str(caught.value).partition("for example with ")[2]
    assert list(reopened(eval(advice, {"im": im})).tobytes()) == [0, 1, 117, 156, 255]
    assert advice.replace("'", '"') in (ROOT / "docs" / "pillow.md").read_text()


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (70_000, 1)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=str(size[0])):
        saved(Image.new("L", size))


BAD_OPTIONS: list[dict[str, Any]] = [
    {"quality": -1},
    {"quality": 101},
    {"quality": "keep"},
    {"quality": float("nan")},
    {"level": -0.5},
    {"level": 16},
    {"level": "high"},
    {"effort": 9},
    {"effort": "fast"},
    {"target_bytes": 0},
    {"target_bytes": -4},
    {"target_bytes": "small"},
    {"preview": 7},
    {"preview": "small"},
    {"lossless": "yes"},
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=str)
def test_bad_option_is_named_and_nothing_is_written(options: dict[str, Any], tmp_path: Path) -> None:
    (name,) = options
    stream = io.BytesIO()
    with pytest.raises((ValueError, TypeError), match=name):
        random_picture().save(stream, "PICO", **options)
    assert stream.getvalue() == b""
    target = tmp_path / "new.pico"
    with pytest.raises((ValueError, TypeError)):
        random_picture().save(target, **options)
    assert not target.exists()


def test_preview_that_is_no_jpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="preview is not a JPEG"):
        saved(random_picture(), preview=b"not a jpeg")


def test_contradicting_options_are_refused() -> None:
    with pytest.raises(ValueError, match="quality and lossless exclude each other"):
        saved(random_picture(), quality=50)


def test_to_bytes_leaves_an_existing_file_alone_when_an_option_is_bad(tmp_path: Path) -> None:
    target = tmp_path / "precious.pico"
    target.write_bytes(saved(random_picture()))
    before = target.read_bytes()
    with pytest.raises(ValueError, match="quality"):
        target.write_bytes(pillow_pico.to_bytes(random_picture(), quality=101))
    assert target.read_bytes() == before


def test_to_bytes_gives_what_save_writes() -> None:
    im = random_picture("RGBA")
    assert pillow_pico.to_bytes(im, lossless=True, exif=exif()) == saved(im, exif=exif())


def test_options_of_other_formats_are_ignored_as_pillow_promises() -> None:
    assert saved(random_picture(), optimize=True, progressive=True, method=6) == saved(random_picture())


def test_options_that_are_none_mean_the_default() -> None:
    assert saved(random_picture(), level=None, target_bytes=None) == saved(random_picture())


def test_caller_finds_the_image_as_it_was() -> None:
    im = random_picture("CMYK")
    im.info.update(icc_profile=CMYK_PROFILE, exif=camera_exif())
    info, pixels = dict(im.info), im.tobytes()
    saved(im)
    assert (im.mode, im.info, im.tobytes()) == ("CMYK", info, pixels)


class OnlyWrites:
    """A writer such as a socket's: it can neither seek nor tell nor flush."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def test_writer_that_cannot_seek_is_enough() -> None:
    writer = OnlyWrites()
    random_picture().save(writer, "PICO", lossless=True)  # type: ignore[arg-type]
    assert writer.data == saved(random_picture())


def test_writing_starts_where_the_stream_stands() -> None:
    stream = io.BytesIO(b"before")
    stream.seek(0, io.SEEK_END)
    random_picture().save(stream, "PICO", lossless=True)
    assert stream.getvalue() == b"before" + saved(random_picture())


def test_open_file_is_usable_after_saving_into_it(tmp_path: Path) -> None:
    content = saved(random_picture())
    path = tmp_path / "shared"
    path.write_bytes(b"0123456789")
    with path.open("r+b") as file:
        assert file.read(4) == b"0123"
        random_picture().save(file, "PICO", lossless=True)
        assert file.tell() == 4 + len(content)
        file.write(b"after")
    assert path.read_bytes() == b"0123" + content + b"after"


def test_pipe_takes_a_picture() -> None:
    reading, writing = os.pipe()
    content = saved(random_picture())
    with os.fdopen(reading, "rb") as reader, ThreadPoolExecutor(1) as pool:
        received = pool.submit(reader.read)
        with os.fdopen(writing, "wb") as writer:
            random_picture().save(writer, "PICO", lossless=True)
        assert received.result() == content


def test_file_can_be_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "self.pico"
    path.write_bytes(saved(random_picture(), xmp=XMP))
    with Image.open(path) as im:
        im.save(path, lossless=True)
    with Image.open(path) as im:
        assert im.tobytes() == random_picture().tobytes()
        assert im.info["xmp"] == XMP


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [random_picture(seed=seed) for seed in range(3)]
    with pytest.raises(ValueError, match="several frames"):
        saved(frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="several frames"):
        saved(frames[0], append_images=frames[1:])
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "moving.gif") as moving:
        with pytest.raises(ValueError, match="several frames"):
            saved(moving, save_all=True)
        moving.seek(1)
        assert reopened(moving).tobytes() == moving.convert("RGB").tobytes()


def test_save_all_of_one_frame_is_a_plain_save() -> None:
    assert saved(random_picture(), save_all=True) == saved(random_picture())


def test_append_is_refused_and_the_file_survives(tmp_path: Path) -> None:
    path = tmp_path / "kept.pico"
    path.write_bytes(saved(random_picture()))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="append"):
        random_picture(seed=1).save(path, append=True, lossless=True)
    assert path.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    script = """
        import resource, sys
        from PIL import Image
        import pillow_pico
        im = Image.effect_noise((40, 40), 60)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        try:
            im.save(sys.argv[1], lossless=True)
        except OSError:
            sys.exit(7)
    """
    target = tmp_path / "half.pico"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(target)], check=False)
    assert done.returncode == 7
    assert not target.exists()
