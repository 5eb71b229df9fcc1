"""What raters are shown: colour plates, windows of originals and coded pictures, and files that tell nothing."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_samples import deep_png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin
from study_samples import WINDOW, codecs, originals, study

from pico_bench.codecs import PILLOW_CODECS, PicoCodec
from pico_bench.originals import find_originals, read_rgb
from pico_bench.store import FILES
from pico_core.errors import InvalidImageError, OptionError
from pico_metrics.pictures import Pixels
from pico_study import plates, windows
from pico_study.cli import main
from pico_study.create import CODED, Plan, create
from pico_study.database import DATABASE, PICTURES, Settings


def rows(folder: Path, query: str) -> list[sqlite3.Row]:
    connection = sqlite3.connect(folder / DATABASE)
    connection.row_factory = sqlite3.Row
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def linear(colours: Pixels) -> np.ndarray:
    coded = colours / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def separation(kind: str, seen: np.ndarray) -> float:
    """How well a plate's colours, 400 of figure and ground each, are told apart by the best linear rule: 0.5 to 1."""
    figure, ground = seen[:400], seen[400:]
    spread = np.cov(figure.T) + np.cov(ground.T) + 1e-9 * np.eye(seen.shape[1])
    direction = np.linalg.solve(spread, figure.mean(axis=0) - ground.mean(axis=0))
    middle = (figure.mean(axis=0) + ground.mean(axis=0)) @ direction / 2
    right = ((figure @ direction > middle).mean() + (ground @ direction < middle).mean()) / 2
    return float(right)


@pytest.mark.parametrize(("kind", "lost"), [("protan", 0), ("deutan", 1), ("tritan", 2)])
def test_a_plate_is_read_by_three_kinds_of_cones_and_not_without_the_one_it_tests(
    kind: str, lost: int
) -> None:
    rng = np.random.default_rng(0)
    dots = np.array([plates.colour(kind, is_figure, rng) for is_figure in [True] * 400 + [False] * 400])
    cones = np.log(linear(dots) @ plates.CONES_OF_RGB.T + 1e-4)
    assert separation(kind, cones) > 0.99
    assert separation(kind, np.delete(cones, lost, axis=1)) < 0.62


def test_the_control_plate_is_read_by_lightness_alone() -> None:
    rng = np.random.default_rng(0)
    dots = np.array([plates.colour(plates.CONTROL, f, rng) for f in [True] * 400 + [False] * 400])
    assert separation(plates.CONTROL, linear(dots).mean(axis=1, keepdims=True)) > 0.99


def test_plates_of_one_figure_differ_in_their_dots() -> None:
    one, other = (plates.plate("protan", "5", seed) for seed in (1, 2))
    assert one.shape == (plates.SIDE, plates.SIDE, 3)
    assert (one != other).any()
    assert (one == plates.plate("protan", "5", 1)).all()


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5000), st.integers(0, 2**32 - 1))
def test_padded_files_have_the_length_asked_for_and_the_same_pixels(
    width: int, height: int, more: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    plain = windows.as_png(pixels)
    padded = windows.as_long_as(plain, len(plain) + 12 + more)
    assert len(padded) == len(plain) + 12 + more
    with Image.open(io.BytesIO(padded)) as image:
        image.load()
        assert (np.asarray(image) == pixels).all()


def test_files_of_a_picture_tell_nothing_by_name_length_order_or_metadata(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    exhibits = rows(folder, "SELECT * FROM exhibits")
    lengths: dict[int, set[int]] = {}
    for row in exhibits:
        path = folder / PICTURES / row["file"]
        lengths.setdefault(row["picture"], set()).add(path.stat().st_size)
        assert not any(word in row["file"] for word in ("jpeg", "webp", "original"))
        chunks = []
        content = path.read_bytes()
        at = 8
        while at < len(content):
            (size,) = struct.unpack(">I", content[at : at + 4])
            chunks.append(content[at + 4 : at + 8])
            at += size + 12
        assert set(chunks) == {b"IHDR", b"IDAT", b"pdDg", b"IEND"}
    assert all(len(found) == 1 for found in lengths.values())
    variants = [row["condition"] for row in exhibits if row["kind"] == "variant" and row["picture"] == 1]
    others = [row["condition"] for row in exhibits if row["kind"] == "variant" and row["picture"] == 2]
    assert sorted(variants) == sorted(others)
    assert variants != others or variants != sorted(variants)


def test_variants_are_what_the_codecs_decode_and_rates_those_of_whole_files(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    source = find_originals(originals(tmp_path / "again"))[1]
    (row,) = rows(
        folder,
        "SELECT file, bits_per_pixel, window_left, window_top FROM exhibits e JOIN pictures p ON p.id = picture "
        f"JOIN conditions c ON c.id = condition WHERE name = '{source.name}' AND codec = 'JPEG' AND quality = '15'",
    )
    coded = replace(PILLOW_CODECS["jpeg"], ladder=("15",)).code(source, "15")
    height, width = source.pixels.shape[:2]
    assert row["bits_per_pixel"] == pytest.approx(8 * coded.size / (width * height))
    left, top = row["window_left"], row["window_top"]
    expected = coded.pixels[top : top + WINDOW[1], left : left + WINDOW[0]]
    assert (read_rgb(folder / PICTURES / row["file"]) == expected).all()


def test_originals_with_a_profile_or_turned_are_shown_as_upright_srgb(tmp_path: Path) -> None:
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:40] = (200, 30, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(pixels)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "turned.png", exif=exif, icc_profile=profile)
    found = windows.as_srgb(tmp_path / "turned.png", tmp_path / "originals")
    assert found.pixels.shape == (120, 80, 3)
    assert np.abs(found.pixels[60, 60].astype(int) - (200, 30, 30)).max() <= 2
    with Image.open(found.path) as written:
        assert isinstance(written, PngImagePlugin.PngImageFile)
        assert "icc_profile" not in written.info


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_originals_of_every_mode_may_carry_a_profile_of_rgb(tmp_path: Path, mode: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (80, 80), (255, 255, 255)).convert(mode).save(tmp_path / "x.png", icc_profile=profile)
    found = windows.as_srgb(tmp_path / "x.png", tmp_path / "originals")
    assert (found.pixels >= 254).all()


def test_a_picture_too_large_to_be_safe_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = originals(tmp_path / "originals", 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert main(["create", str(folder), str(tmp_path / "study"), "--codec", "jpeg:10,50"]) == 1
    assert "osprey.png cannot be read as a picture" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_deep_pictures_are_refused_with_advice(tmp_path: Path, kind: str) -> None:
    if kind == "grey":
        Image.fromarray(np.zeros((80, 80), np.uint16)).save(tmp_path / "deep.png")
    else:
        (tmp_path / "deep.png").write_bytes(deep_png(80, 80))
    with pytest.raises(InvalidImageError, match="convert it to 8-bit"):
        windows.as_srgb(tmp_path / "deep.png", tmp_path / "originals")


def test_a_window_lies_as_its_picture_lies_and_small_pictures_are_whole(tmp_path: Path) -> None:
    for name, size in (("wide", (300, 200)), ("tall", (200, 300)), ("small", (100, 90))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    boxes = {o.name: windows.window_of(o, (192, 128), None) for o in find_originals(tmp_path)}
    assert boxes["wide"] == (54, 36, 246, 164)
    assert boxes["tall"] == (36, 54, 164, 246)
    assert boxes["small"] == (0, 0, 100, 90)
    with pytest.raises(OptionError, match="does not lie within small"):
        windows.window_of(find_originals(tmp_path, ["small"])[0], (64, 64), (50, 50))


def test_chosen_windows_are_kept_and_unknown_names_refused(tmp_path: Path) -> None:
    folder = originals(tmp_path / "originals", 1)
    chosen = tmp_path / "windows.csv"
    chosen.write_text("name,left,top\nosprey,3,5\n")
    command = ["create", str(folder), str(tmp_path / "study"), "--codec", "jpeg:10,50", "--window", "96x64"]
    assert main([*command, "--windows", str(chosen)]) == 0
    (row,) = rows(tmp_path / "study", "SELECT * FROM pictures")
    assert (row["window_left"], row["window_top"], row["width"], row["height"]) == (3, 5, 96, 64)
    chosen.write_text("name,left,top\nosprey,3,5\n", "utf-8-sig")  # as Excel writes "CSV UTF-8"
    assert windows.read_boxes(chosen) == {"osprey": (3, 5)}
    chosen.write_text("name,left,top\nnobody,3,5\n")
    assert (
        main([command[0], command[1], str(tmp_path / "other"), *command[3:], "--windows", str(chosen)]) == 2
    )
    assert not (tmp_path / "other").exists()


def test_a_failed_creation_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = originals(tmp_path / "originals", 1)
    (folder / "broken.png").write_bytes(b"no picture")
    before = set(tmp_path.iterdir())
    assert main(["create", str(folder), str(tmp_path / "study"), "--codec", "jpeg:10,50"]) == 1
    assert set(tmp_path.iterdir()) == before
    assert "broken.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "name what to compare"),
        (("--codec", "jpeg:10"), "name two codecs, or one at two qualities"),
        (("--codec", "nonsense"), "no codec nonsense"),
        (("--codec", "jpeg:10,50", "--window", "8x8"), "out of range"),
        (("--codec", "jpeg:10,50", "--repeats", "2"), "not a share"),
        (("--codec", "jpeg:10,50", "--consent", "missing.txt"), "cannot be read"),
    ],
)
def test_a_wrong_command_line_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    folder = originals(tmp_path / "originals", 1)
    assert main(["create", str(folder), str(tmp_path / "study"), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    folder = originals(tmp_path / "originals", 1)
    before = sorted(folder.iterdir())
    assert main(["create", str(folder), str(folder), "--codec", "jpeg:10,50"]) == 2
    assert sorted(folder.iterdir()) == before


def test_an_empty_folder_becomes_the_study_and_stays_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["create", str(originals(tmp_path / "originals", 1)), "--codec", "jpeg:10,50"]
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    assert main([*command[:2], ".", *command[2:]]) == 0
    assert Path(DATABASE).is_file()  # whoever stands in the folder sees the study
    (tmp_path / "link").symlink_to(elsewhere)
    assert main([*command[:2], str(tmp_path / "link"), *command[2:]]) == 0
    assert (elsewhere / DATABASE).is_file()
    assert (tmp_path / "link").is_symlink()
    for folder in (here, elsewhere):
        assert {path.name for path in folder.iterdir()} == {DATABASE, PICTURES, CODED}
    assert {path.name for path in tmp_path.iterdir()} == {"originals", "here", "elsewhere", "link"}


def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path: Path) -> None:
    folder, cache = originals(tmp_path / "originals", 1), tmp_path / "cache"
    command = ["--codec", "jpeg:10,50", "--cache", str(cache)]
    assert main(["create", str(folder), str(tmp_path / "one"), *command]) == 0
    files = {path: path.read_bytes() for path in (cache / FILES).iterdir()}
    damaged = next(iter(files))
    damaged.write_bytes(b"no picture")
    assert main(["create", str(folder), str(tmp_path / "two"), *command]) == 0
    assert {path: path.read_bytes() for path in (cache / FILES).iterdir()} == files


def test_two_codecs_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = originals(tmp_path / "originals", 1)
    command = ["create", str(folder), str(tmp_path / "study")]
    for place in ("one", "other"):
        published = tmp_path / place / "BPG"
        shutil.copytree(folder, published)
        (published / "bpp.json").write_text(json.dumps({"osprey.png": 0.2}))
        command += ["--reconstructions", str(published)]
    assert main(command) == 2
    assert "two codecs are called BPG; rename one" in capsys.readouterr().err


def test_codecs_that_fail_on_a_picture_lose_that_variant_only(tmp_path: Path) -> None:
    folder = originals(tmp_path / "originals", 2)
    other = tmp_path / "other codec"
    other.mkdir()
    Image.new("RGB", (240, 160)).save(other / "osprey.png")
    Image.new("RGB", (9, 9)).save(other / "chapel.png")
    (other / "bpp.json").write_text(json.dumps({"osprey.png": 0.2, "chapel.png": 0.2}))
    command = ["create", str(folder), str(tmp_path / "study"), "--codec", "jpeg:10,50", "--window", "96x64"]
    assert main([*command, "--reconstructions", str(other)]) == 1
    found = rows(
        tmp_path / "study", "SELECT picture, COUNT(*) AS n FROM exhibits WHERE kind = 'variant' GROUP BY 1"
    )
    assert sorted(row["n"] for row in found) == [2, 3]


def test_our_own_codec_takes_part(tmp_path: Path) -> None:
    found = find_originals(originals(tmp_path / "originals", 1))
    plan = Plan(found, [PicoCodec(("20", "60")), *codecs()[:1]], Settings(), (96, 64))
    made = create(tmp_path / "study", plan, lambda line: None)
    assert made.failures == []
    names = {(row["codec"], row["quality"]) for row in rows(tmp_path / "study", "SELECT * FROM conditions")}
    assert {(".pico", "20"), (".pico", "60")} <= names
