"""What `pico-codec decode` does where the format of the output holds less than the picture has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.IcoImagePlugin import IcoImageFile

from pico_codec.cli import main
from pico_core import Metadata, encode


def pico_of(pixels: NDArray[np.uint8], folder: Path) -> str:
    (folder / "a.pico").write_bytes(encode(pixels, lossless=True, preview=False))
    return str(folder / "a.pico")


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def two_colours(*shape: int) -> NDArray[np.uint8]:
    return (noise(*shape, 1) // 128 * 255).repeat(3, axis=2)


@pytest.mark.parametrize(
    ("name", "shape", "holds"),
    [
        ("a.ico", (257, 20, 3), "ICO holds at most 256x256 pixels, and the picture has 20x257"),
        ("a.icns", (32, 20, 3), "ICNS holds squares of 32, 64, 128, 256, 512 and 1024 pixels a side only"),
        ("a.icns", (40, 40, 3), "and the picture has 40x40; choose .png"),
    ],
)
def test_picture_of_a_size_that_an_icon_cannot_have_is_refused(
    name: str, shape: tuple[int, int, int], holds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = pico_of(two_colours(*shape[:2]), tmp_path)
    assert main(["decode", source, str(tmp_path / name)]) == 1
    assert holds in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_tiff_gets_the_tags_of_exif_and_the_note_says_that_they_are_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[271] = "Leica"
    data = encode(noise(8, 8, 3), lossless=True, metadata=Metadata(exif=exif.tobytes()))
    (tmp_path / "a.pico").write_bytes(data)
    assert main(["decode", str(tmp_path / "a.pico"), str(tmp_path / "a.tif")]) == 0
    assert "this format cannot carry EXIF as it was (its tags are written anew)" in capsys.readouterr().err
    with Image.open(tmp_path / "a.tif") as im:
        assert im.getexif()[271] == "Leica"


@pytest.mark.parametrize(("name", "size"), [("a.ico", (50, 30)), ("a.ico", (256, 7)), ("a.icns", (128, 128))])
def test_icon_holds_the_very_pixels(
    name: str, size: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = two_colours(size[1], size[0])
    assert main(["decode", pico_of(pixels, tmp_path), str(tmp_path / name)]) == 0
    assert not capsys.readouterr().err
    with Image.open(tmp_path / name) as icon:
        # Of the sizes that are in there, Pillow shows the largest.
        shown = icon if isinstance(icon, IcoImageFile) else icon.icns.getimage((*size, 1))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), pixels)


@pytest.mark.parametrize(
    ("name", "pixels", "lost"),
    [
        ("a.gif", noise(40, 50, 3), "all of the colours"),
        ("a.gif", np.dstack([two_colours(40, 50), noise(40, 50)]), "all of the transparency"),
        ("a.bmp", noise(40, 50, 4), "all of the transparency"),
        ("a.ppm", noise(40, 50, 4), "all of the transparency"),
    ],
)
def test_what_the_output_cannot_hold_of_the_pixels_is_named(
    name: str, pixels: NDArray[np.uint8], lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", pico_of(pixels, tmp_path), str(tmp_path / name)]) == 0
    assert f"{name}: note: this format cannot carry {lost}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("a.gif", two_colours(40, 50)),
        ("a.gif", noise(40, 50, 1)),
        ("a.gif", np.dstack([two_colours(40, 50), noise(40, 50) // 128 * 255])),
        ("a.bmp", noise(40, 50, 3)),
        ("a.ppm", np.dstack([noise(40, 50, 3), np.full((40, 50), 255, np.uint8)])),
    ],
)
def test_nothing_is_said_to_be_lost_of_pixels_that_the_output_holds(
    name: str, pixels: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", pico_of(pixels, tmp_path), str(tmp_path / name)]) == 0
    assert not capsys.readouterr().err


def test_multi_picture_file_is_written_as_a_jpeg_file_is(tmp_path: Path) -> None:
    source = pico_of(noise(40, 50, 3), tmp_path)
    tables = []
    for name in ("a.jpg", "a.mpo"):
        assert main(["decode", source, str(tmp_path / name)]) == 0
        with Image.open(tmp_path / name) as im:
            tables.append((im.quantization, [layer[1:3] for layer in im.layer]))  # type: ignore[attr-defined]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("name", ["a.qoi", "a.pcx"])
def test_format_that_cannot_hold_the_pixels_says_which_can(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", pico_of(noise(40, 50, 2), tmp_path), str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert f"{name}: {name[2:].upper()} cannot hold LA pixels" in said
    assert "choose .png or .webp" in said
