"""The speed measurement: its picture, its numbers, and its tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pico_bench.measure import MOZJPEG, PILLOW_OPTIONS
from pico_bench.picture import mosaic
from pico_bench.speed import NEEDED, PARTS, as_text, codecs_of, main


@pytest.fixture(scope="module")
def results(samples: Path) -> dict[str, Any]:
    """One real run of everything, on a small photograph."""
    command = [sys.executable, "-m", "pico_bench.speed", "--json", "--runs", "1"]
    done = subprocess.run(
        [*command, "--image", str(samples / "lake.jpg")], capture_output=True, text=True, check=True
    )
    numbers: dict[str, Any] = json.loads(done.stdout)
    return numbers


def test_every_codec_is_measured_in_the_same_run(results: dict[str, Any]) -> None:
    assert list(results["codecs"]) == codecs_of(None)
    assert {*PILLOW_OPTIONS, "pico"} - set(results["codecs"]) <= {"HEIC", "JPEG XL"}
    assert (results["picture"]["width"], results["picture"]["height"]) == (578, 771)
    for result in results["codecs"].values():
        for operation in ("encode", "decode"):
            assert result[operation]["seconds"] > 0
            assert result[operation]["peak_bytes"] > 640 * 480 * 3
    assert results["codecs"]["WebP"]["encode"]["ratio"] == 1
    assert 1000 < results["codecs"]["pico"]["encode"]["bytes"] < 640 * 480


def test_time_is_split_into_the_parts_of_the_codec(results: dict[str, Any]) -> None:
    for operation in ("encode", "decode"):
        measured = results["codecs"]["pico"][operation]
        assert set(measured["parts"]) <= set(PARTS)
        assert {"networks", "container"} <= set(measured["parts"])


def test_mozjpeg_is_measured_where_it_is_installed(results: dict[str, Any]) -> None:
    pytest.importorskip("pyvips", reason="pyvips is not installed")
    assert results["codecs"][MOZJPEG]["encode"]["bytes"] < results["codecs"]["JPEG"]["encode"]["bytes"]


def test_codecs_asked_for_come_with_those_that_the_tables_need() -> None:
    assert set(codecs_of(["AVIF speed 6"])) == {"AVIF speed 6", *NEEDED}


def test_a_codec_without_its_package_is_left_out_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "HEIC" not in codecs_of(["HEIC"])
    assert capsys.readouterr().err.count("HEIC left out: pillow_heif is not installed") == 1


def test_tables_name_every_codec_and_part(results: dict[str, Any]) -> None:
    text = as_text(results)
    for word in (
        "JPEG q75",
        "WebP q75",
        "AVIF/s6 q60",
        "AVIF/s8 q60",
        ".pico q60",
        "JPEG 2000 36 dB",
        *PARTS,
        "a fresh process",
    ):
        assert word in text


def test_missing_picture_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pico_bench.speed", "--image", str(tmp_path / "missing.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"there is no picture {tmp_path / 'missing.jpg'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_picture_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    command = [sys.executable, "-m", "pico_bench.speed", "--image", str(tmp_path / "notes.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("pico-bench speed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("wrong", [["--runs", "0"], ["--megapixels", "-1"], ["--megapixels", "many"]])
def test_sizes_and_runs_that_make_no_sense_are_refused(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert f"pico-bench speed: error: argument {wrong[0]}: '{wrong[1]}' is not" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "whole_group", [True, False], ids=["Ctrl-C in a terminal", "a signal to the command"]
)
def test_ctrl_c_ends_the_measurement_without_a_traceback(tmp_path: Path, whole_group: bool) -> None:
    words = [sys.executable, "-c", "import sys; from pico_bench.cli import main; sys.exit(main())", "speed"]
    run = subprocess.Popen(
        [*words, "--megapixels", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("pico-speed-*/encoded.*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        (os.killpg if whole_group else os.kill)(run.pid, signal.SIGINT)
        output, errors = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert output == ""
    assert list(tmp_path.glob("pico-speed-*")) == []


def test_the_command_itself_adds_nothing_to_the_peaks_of_memory(samples: Path) -> None:
    """A process's peak counts from the memory of the one that started it, and pico-bench holds NumPy and more."""
    measured = []
    for start in ("from pico_bench.speed import main", "from pico_bench.cli import main"):
        words = [sys.executable, "-c", f"import sys; {start}; sys.exit(main())"]
        words += ["speed"] * ("cli" in start) + ["--json", "--runs", "1", "--codec", "JPEG"]
        words += ["--image", str(samples / "lake.jpg")]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        measured.append(json.loads(done.stdout)["holding_the_picture_bytes"])
    assert measured[1] < measured[0] + 4e6


def test_mosaic_has_the_size_asked_for_and_many_different_windows() -> None:
    picture = mosaic(12)
    assert (picture.width, picture.height) == (4000, 3000)
    pixels = np.asarray(picture)
    windows = {
        pixels[top : top + 256, left : left + 384].tobytes()
        for top in range(0, 2816, 256)
        for left in range(0, 3840, 384)
    }
    assert len(windows) > 90
    assert picture.info["exif"].startswith(b"Exif")


def test_mosaic_of_no_photographs_says_what_to_do(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "not-a-photo.png")
    with pytest.raises(FileNotFoundError, match="--image"):
        mosaic(1, tmp_path)
