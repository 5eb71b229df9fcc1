"""Pictures of more than 8 bits a sample are refused, also where Pillow reads them as 8 bits and does not tell."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from codec_samples import png
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pico_codec.depth import bits_a_sample
from pico_codec.source import Unsuitable, UnsuitableError, read_source, read_source_file
from pico_core.boxes import box, full_box

NO_IMAGE = Image.new("L", (1, 1))


def saved(kind: str, im: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (im or Image.new("RGB", (64, 48), "red")).save(stream, kind, **options)
    return stream.getvalue()


def assert_refused(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as im:
        assert im.mode in ("RGB", "RGBA", "L"), "Pillow does not tell"
    with pytest.raises(UnsuitableError, match="more than 8 bits") as caught:
        read_source(data)
    assert caught.value.reason == Unsuitable.DEEP


def test_deep_colour_png_is_refused() -> None:
    assert_refused(png((16, 2), bytes(range(12))))


@pytest.mark.parametrize("most", [256, 1023, 65535])
def test_deep_colour_ppm_is_refused(most: int) -> None:
    assert_refused(b"P6 # by hand\n2 1\n%d\n" % most + bytes(12))


@pytest.mark.parametrize(
    "data", [b"P6 2 1 255\n" + bytes(6), b"P5 2 1 15\n\1\2", b"P4 2 1\n\x40", b"P3 2 1 9 " + b"1 " * 6]
)
def test_pnm_of_eight_bits_or_less_is_read(data: bytes) -> None:
    assert read_source(data).pixels.shape[:2] == (1, 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_deep_sgi_is_refused(channels: int) -> None:
    """Of such a file, Pillow takes the upper byte of each sample."""
    header = struct.pack(">hBBHHHH", 474, 0, 2, 2 if channels == 1 else 3, 4, 2, channels)
    assert_refused(header.ljust(512, b"\0") + bytes(2 * 4 * 2 * channels))


def codestream(*bits: int) -> bytes:
    """A JPEG 2000 codestream that says of its components that they have so many bits."""
    data = bytearray(saved("JPEG2000", Image.new({1: "L", 3: "RGB"}[len(bits)], (64, 48)), no_jp2=True))
    for number, depth in enumerate(bits):
        data[42 + 3 * number] = depth - 1
    return bytes(data)


@pytest.mark.parametrize("bits", [(10, 10, 10), (8, 8, 12), (16, 16, 16)])
def test_deep_jpeg_2000_is_refused(bits: tuple[int, ...]) -> None:
    assert_refused(codestream(*bits))
    whole = saved("JPEG2000")
    start = whole.index(b"jp2c") - 4
    assert_refused(whole[:start] + box(b"jp2c", codestream(*bits)))


def test_jpeg_2000_codestream_is_not_taken_for_one_in_the_metadata() -> None:
    whole = saved("JPEG2000")
    start = whole.index(b"jp2c") - 4
    decoy = box(b"xml ", codestream(12, 12, 12)[:200])
    assert read_source(whole[:start] + decoy + whole[start:]).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize(("flags", "bits"), [(0x40, 10), (0x60, 12)])
def test_deep_avif_is_refused(flags: int, bits: int) -> None:
    data = saved("AVIF")
    place = data.index(b"av1C") + 6
    data = data[:place] + bytes([data[place] | flags]) + data[place + 1 :]
    assert_refused(data.replace(b"\3\x08\x08\x08", bytes([3, bits, bits, bits])))


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_of_another_writer_is_refused_if_it_is_deep(bits: int, tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips", reason="pyvips is not installed")
    ramp = np.linspace(0, 65535 if bits > 8 else 255, 64 * 48 * 3).reshape(48, 64, 3)
    picture = pyvips.Image.new_from_array(ramp.astype(np.uint16 if bits > 8 else np.uint8))
    picture = picture.copy(interpretation="rgb16" if bits > 8 else "srgb")
    picture.write_to_file(str(tmp_path / "a.avif"), bitdepth=bits, compression="av1")
    if bits > 8:
        assert_refused((tmp_path / "a.avif").read_bytes())
    else:
        assert read_source_file(tmp_path / "a.avif").pixels.shape == (48, 64, 3)


def avif_items(*references: bytes, first: int = 1, form: int = 0) -> bytes:
    """The boxes of an AVIF file of three items: 1 has no coder's configuration, 2 is of 8 bits and 3 of 10."""
    configurations = (box(b"av1C", b"\x81\0\x0c\0"), box(b"av1C", b"\x81\0\x4c\0"))
    lists = full_box(b"ipma", struct.pack(">IHBBHBB", 2, 2, 1, 1, 3, 1, 2), version=form)
    properties = box(b"iprp", box(b"ipco", *configurations), lists)
    primary = full_box(b"pitm", struct.pack(">H", first))
    meta = full_box(b"meta", primary, full_box(b"iref", *references), properties)
    return box(b"ftyp", b"avif\0\0\0\0avif") + meta + box(b"mdat", b"av1C\0\0\xff")


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (avif_items(first=2), 8),
        (avif_items(first=3), 10),
        (avif_items(box(b"dimg", struct.pack(">HHH", 1, 1, 2))), 8),
        (avif_items(box(b"dimg", struct.pack(">HHHH", 1, 2, 2, 3))), 10),
        (avif_items(box(b"dimg", struct.pack(">HHHH", 9, 2, 2, 3)), first=2), 8),
        (avif_items(first=2, form=1), 10),
    ],
    ids=["picture", "deep picture", "grid", "grid with a deep part", "deep gain map", "unknown form"],
)
def test_depth_of_an_avif_file_is_that_of_the_picture_it_shows(data: bytes, bits: int) -> None:
    assert bits_a_sample("AVIF", data, NO_IMAGE) == bits


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PNG", "SGI", "TIFF"])
def test_eight_bits_are_read(kind: str, mode: str) -> None:
    assert read_source(saved(kind, Image.new(mode, (64, 48)))).format == kind


@given(st.binary(max_size=300), st.integers(0, 700))
def test_damaged_files_never_crash_the_search_for_their_depth(noise: bytes, place: int) -> None:
    for kind, whole in WHOLE.items():
        for data in (noise, whole[:place], whole[:place] + noise, whole[:place] + noise + whole[place:]):
            bits_a_sample(kind, data, NO_IMAGE)


WHOLE = {kind: saved(kind) for kind in ("AVIF", "JPEG2000", "PNG", "SGI", "PPM")}
