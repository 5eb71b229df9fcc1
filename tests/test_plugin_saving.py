"""What `im.save("x.pico")` promises: modes, metadata, options, and what becomes of the target on an error."""

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
from PIL import Image, ImageOps

import pillow_pico

NATIVE = ("L", "LA", "RGB", "RGBA")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><about>hills</about></x:xmpmeta>'
RGB_PROFILE = b"\0" * 16 + b"RGB " + bytes(200)
CMYK_PROFILE = b"\0" * 16 + b"CMYK" + bytes(200)


def random_picture(mode: str = "RGB", size: tuple[int, int] = (60, 44), seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


def saved(im: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    im.save(stream, "PICO", **{"lossless": True, **options})
    return stream.getvalue()


def reopened(im: Image.Image, **options: Any) -> Image.Image:
    opened = Image.open(io.BytesIO(saved(im, **options)))
    opened.load()
    return opened


def exif(orientation: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Maker of cameras"
    return tags


def camera_exif() -> bytes:
    """EXIF with a thumbnail directory, which Pillow's own rewriting loses."""
    first = b"\x01\x00" + b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + b"\x1a\x00\x00\x00"
    second = b"\x01\x00" + b"\x03\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + b"\x00\x00\x00\x00"
    return b"Exif\0\0II\x2a\x00\x08\x00\x00\x00" + first + second


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


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I", "F"])
def test_more_than_eight_bits_is_refused_with_advice(mode: str) -> None:
    with pytest.raises(OSError, match=r"cannot write mode .* as PICO.*0\.\.255"):
        saved(Image.new(mode, (4, 4)))


def test_the_advice_for_sixteen_bits_works() -> None:
    im = Image.fromarray(np.array([[0, 256, 30000, 65535]], dtype=np.uint16))
    again = reopened(im.point(lambda value: value / 256).convert("L"))
    assert list(again.tobytes()) == [0, 1, 117, 255]


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (70_000, 1)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=str(size[0])):
        saved(Image.new("L", size))


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
        for options in ({}, {"exif": part.getexif()}):
            again = reopened(part, **options)
            for key in ("exif", "xmp", "icc_profile"):
                assert again.info.get(key) == part.info.get(key), f"{key} of {path.name} changed"


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


@pytest.mark.parametrize("broken", [b"Exif\0\0garbage!", b"Exif\0\0II", b"II*\0", b"\0"])
def test_broken_exif_can_be_replaced(broken: bytes) -> None:
    im = random_picture()
    im.info["exif"] = broken
    tags = Image.Exif()
    tags[0x0112] = 6
    assert reopened(im, exif=tags).getexif()[0x0112] == 6


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
