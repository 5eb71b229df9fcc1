"""The thumbnailer: what it writes, what it refuses, and what it must not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin

import pillow_pico
from pico_library.model.orientation import orientation_of, upright
from pico_library.thumbnail import main, path_of, uri_of, write_thumbnail


def drawing(size: tuple[int, int] = (1300, 900), mode: str = "RGB") -> Image.Image:
    """Flat colours, different in each corner, large enough for a preview; coded without the networks."""
    im = Image.new("RGB", size, (240, 240, 235))
    pencil = ImageDraw.Draw(im)
    pencil.rectangle((0, 0, size[0] // 2, size[1] // 2), (200, 30, 30))
    pencil.rectangle((size[0] // 2, size[1] // 2, *size), (30, 60, 200))
    if mode == "RGBA":
        alpha = Image.new("L", size, 255)
        ImageDraw.Draw(alpha).rectangle((0, size[1] // 2, size[0] // 2, size[1]), 0)
        im.putalpha(alpha)
    return im.convert(mode)


def pico(
    path: Path, im: Image.Image | None = None, orientation: int | None = None, **options: object
) -> Path:
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    path.write_bytes(pillow_pico.to_bytes(im or drawing(), lossless=True, **options))
    return path


def test_thumbnail_is_a_png_within_the_size_with_what_desktops_note(tmp_path: Path) -> None:
    source = pico(tmp_path / "a b\u00e9%.pico")
    target = tmp_path / "out.png"
    assert main([str(source), str(target), "128"]) == 0
    with Image.open(target) as im:
        assert (im.format, im.size) == ("PNG", (128, 89))
        assert isinstance(im, PngImagePlugin.PngImageFile)
        assert im.text["Thumb::URI"] == source.as_uri()
        assert im.text["Thumb::MTime"] == str(int(source.stat().st_mtime))
        assert im.text["Thumb::Image::Width"] == "1300"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, "out.png"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnail_stands_upright_as_exif_says(orientation: int, tmp_path: Path) -> None:
    source = pico(tmp_path / "a.pico", orientation=orientation)
    write_thumbnail(str(source), str(tmp_path / "out.png"), 100)
    with Image.open(source) as im:
        wanted = ImageOps.exif_transpose(im).convert("RGB")
    with Image.open(tmp_path / "out.png") as im:
        expected = wanted.resize(im.size)
        assert np.abs(np.asarray(im, np.int16) - np.asarray(expected, np.int16)).mean() < 8


def test_thumbnail_keeps_transparency_and_colours(tmp_path: Path) -> None:
    source = pico(tmp_path / "a.pico", drawing(mode="RGBA"))
    write_thumbnail(str(source), str(tmp_path / "out.png"), 100)
    with Image.open(tmp_path / "out.png") as im:
        assert im.mode == "RGBA"
        pixels = np.asarray(im, np.int16)
    assert pixels[60, 20, 3] == 0
    assert pixels[20, 20, 3] == 255
    assert np.abs(pixels[20, 20, :3] - (200, 30, 30)).max() < 30


def test_picture_too_small_for_a_preview_is_decoded_and_not_enlarged(tmp_path: Path) -> None:
    source = pico(tmp_path / "a.pico", drawing((90, 60)))
    assert main([str(source), str(tmp_path / "out.png"), "256"]) == 0
    with Image.open(tmp_path / "out.png") as im:
        assert im.size == (90, 60)


def test_preview_that_shows_only_a_part_is_not_used(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "green").save(tmp_path / "part.jpg")
    source = pico(tmp_path / "a.pico", preview=(tmp_path / "part.jpg").read_bytes())
    write_thumbnail(str(source), str(tmp_path / "out.png"), 100)
    with Image.open(tmp_path / "out.png") as im:
        assert im.size == (100, 69)


def test_file_address_is_taken_like_a_path(tmp_path: Path) -> None:
    source = pico(tmp_path / "a #?100%.pico")
    assert main([source.as_uri(), str(tmp_path / "out.png"), "64"]) == 0
    assert main([f"file://localhost{source.as_uri()[7:]}", str(tmp_path / "out.png"), "64"]) == 0


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_address_leads_back_to_the_path(name: str) -> None:
    path = os.path.abspath("/" + name)  # noqa: PTH100
    assert path_of(uri_of(path)) == path


def test_damaged_file_gives_a_message_and_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = pico(tmp_path / "a.pico")
    whole = source.read_bytes()
    start = whole.index(b"\xff\xd8\xff")
    damages = {
        "headers": whole[:60] + b"\xff" + whole[61:],
        "preview": whole[: start + 50] + bytes([whole[start + 50] ^ 1]) + whole[start + 51 :],
        "end": whole[: start + 50],
        "nothing": b"",
        "other": b"\xff\xd8\xff\xe0 a JPEG file",
    }
    for name, content in damages.items():
        source.write_bytes(content)
        assert main([str(source), str(tmp_path / "out.png"), "64"]) == 1, name
        assert f"pico-thumbnail: {source}: no thumbnail, because " in capsys.readouterr().err
    assert main([str(tmp_path / "gone.pico"), str(tmp_path / "out.png"), "64"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pico"]


def test_file_cut_off_after_its_preview_still_has_a_thumbnail(tmp_path: Path) -> None:
    source = pico(tmp_path / "a.pico", drawing((3000, 2000)))
    content = source.read_bytes()
    source.write_bytes(content[:-100])
    assert main([str(source), str(tmp_path / "out.png"), "64"]) == 0


def test_output_that_exists_is_replaced_only_by_a_whole_thumbnail(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    bad = tmp_path / "bad.pico"
    bad.write_bytes(b"x" * 100)
    assert main([str(bad), str(target), "64"]) == 1
    assert target.read_bytes() == b"old"
    assert main([str(pico(tmp_path / "a.pico")), str(target), "64"]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert main([str(tmp_path / "a.pico"), str(tmp_path / "no" / "out.png"), "64"]) == 1


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "b", "0"], ["a", "b", "x"], ["a", "b", "99999"]])
def test_wrong_command_line_is_told_apart_from_a_wrong_file(arguments: list[str]) -> None:
    assert main(arguments) == 2


def test_thumbnail_from_the_preview_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    source = pico(tmp_path / "a.pico", orientation=6)
    script = (
        "import sys; from pico_library.thumbnail import main; code = main(sys.argv[1:]);"
        "print(code, {'torch', 'numpy', 'argparse', 'platformdirs'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out.png"), "128"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0 set()\n"


@given(st.binary(max_size=80))
def test_orientation_of_any_bytes_is_one_of_the_eight(exif: bytes) -> None:
    for prefix in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert 1 <= orientation_of(prefix + exif) <= 8


@given(st.integers(1, 8), st.booleans())
def test_orientation_is_read_from_what_pillow_writes(orientation: int, prefixed: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    data = exif.tobytes()
    assert orientation_of(data if prefixed else data.removeprefix(b"Exif\0\0")) == orientation


def test_orientation_one_changes_nothing() -> None:
    im = Image.new("L", (3, 2))
    assert upright(im, 1) is im
