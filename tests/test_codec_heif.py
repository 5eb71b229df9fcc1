"""HEIC and HEIF pictures become .pico files: upright once, with all metadata, and with what else the file holds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from heif_samples import GAIN_MAP, coded, heif
from PIL import Image, ImageOps

pytest.importorskip("pi_heif", reason="needs pi-heif")

from pico_codec.cli import main
from pico_codec.source import Unsuitable, UnsuitableError, picture_size, read_source
from pico_core import PicoFile
from pico_core.errors import CorruptError

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><!-- as it is --></x:xmpmeta>"


def gradient(width: int = 96, height: int = 64) -> Image.Image:
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([2 * across, 3 * down, across + down], -1).astype(np.uint8))


def exif_of(orientation: int | None) -> bytes:
    """EXIF (TIFF header first) with an orientation, if any, and the name of a camera."""
    exif = Image.Exif()
    exif[0x010F] = "Phone"
    if orientation is not None:
        exif[0x0112] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def upright(data: bytes) -> np.ndarray:
    """What the container's own decoder shows."""
    with Image.open(io.BytesIO(data)) as im:
        return np.asarray(im.convert("RGB"))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
def test_picture_stands_as_the_container_says_whatever_exif_says(turns: int, orientation: int | None) -> None:
    exif = exif_of(orientation)
    data = heif(coded(gradient()), exif=exif, quarter_turns=turns)
    source = read_source(data)
    assert source.metadata.exif == b"Exif\0\0" + exif, "EXIF is carried byte for byte"
    seen = Image.fromarray(source.pixels)
    seen.info["exif"] = source.metadata.exif
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(seen)), upright(data))


def test_metadata_come_byte_for_byte() -> None:
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = read_source(heif(coded(gradient()), exif=exif_of(6), xmp=XMP, icc=icc)).metadata
    assert (metadata.xmp, metadata.icc, metadata.extras) == (XMP, icc, ())


def test_gain_map_and_video_are_carried_as_the_coded_bytes_they_are() -> None:
    gain_map = coded(gradient(48, 32))
    data = heif(coded(gradient()), exif=exif_of(1), gain_map=gain_map, video=b"ftypmp42 a video")
    extras = {extra.name: extra.data for extra in read_source(data).metadata.extras}
    assert extras.pop("HEIF meta") in data
    assert extras == {
        f"HEIF item 2 ({GAIN_MAP.decode()})": gain_map.data,
        "HEIF box mpvd": b"ftypmp42 a video",
    }


def test_ten_bits_are_refused_with_that_reason() -> None:
    with pytest.raises(UnsuitableError) as caught:
        read_source(heif(coded(gradient(), depth=10)))
    assert caught.value.reason is Unsuitable.DEEP


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_file_that_is_cut_off_is_damaged_and_not_unknown(share: float) -> None:
    data = heif(coded(gradient(320, 240)), exif=exif_of(6), gain_map=coded(gradient(48, 32)))
    with pytest.raises(CorruptError, match="restore"):
        read_source(data[: int(share * len(data))])


def test_size_is_known_without_decoding() -> None:
    assert picture_size(heif(coded(gradient()), quarter_turns=1)) == (64, 96)


def test_real_photos_of_phones_keep_what_they_hold(shared: Path) -> None:
    for name in ("heic/IMG_5195.HEIC", "immich/IMG_2682.heic"):
        data = (shared / "data" / "camera-files" / name).read_bytes()
        source = read_source(data)
        seen = Image.fromarray(source.pixels)
        seen.info["exif"] = source.metadata.exif
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(seen)), upright(data))
        assert (source.metadata.exif or b"").removeprefix(b"Exif\0\0") in data
        assert (source.metadata.xmp or b"") in data
        assert source.metadata.icc
        assert source.metadata.icc in data


def test_command_encodes_and_decodes(tmp_path: Path) -> None:
    picture = tmp_path / "photo.heic"
    picture.write_bytes(heif(coded(gradient()), exif=exif_of(6), xmp=XMP, quarter_turns=3))
    assert main(["encode", str(picture), str(tmp_path / "photo.pico"), "--lossless"]) == 0
    assert main(["decode", str(tmp_path / "photo.pico"), str(tmp_path / "photo.png")]) == 0
    with Image.open(tmp_path / "photo.png") as im:
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(im)), upright(picture.read_bytes()))
    with PicoFile(tmp_path / "photo.pico") as file:
        assert file.metadata.xmp == XMP
