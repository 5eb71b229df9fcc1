"""`pico-bench rd` as a user runs it: its cache, failures, and wrong command lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_samples import deep_png, deep_tiff, rd, results, three_pictures, toml
from PIL import Image

from pico_bench.cli import main
from pico_bench.codecs import CodecFailedError, decode_with_pillow
from pico_core.errors import PicoError
from pico_metrics.psnr import psnr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return three_pictures(tmp_path / "pictures")


def test_a_second_run_computes_only_what_is_new(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert rd(folder, out, "--metrics", "psnr") == 0
    assert "9 coded pictures, 18 new numbers" in capsys.readouterr().out
    assert rd(folder, out, "--metrics", "psnr") == 0
    assert "9 coded pictures, 0 new numbers" in capsys.readouterr().out
    assert rd(folder, out, "--metrics", "psnr", "colour_shift") == 0
    assert "9 new numbers" in capsys.readouterr().out
    assert rd(folder, out, "--metrics", "psnr", codec="jpeg:20,50,80,90") == 0
    assert "12 coded pictures, 6 new numbers" in capsys.readouterr().out
    assert len(results(out)) == 33


def test_the_cache_knows_pictures_by_their_pixels(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rd(folder, out, "--metrics", "psnr", "--only", "p0")
    with Image.open(folder / "p0.png") as image:
        image.save(folder / "renamed.bmp")
        image.rotate(180).save(folder / "p0.png")
    capsys.readouterr()
    assert rd(folder, out, "--metrics", "psnr", "--only", "renamed") == 0
    assert "0 new numbers" in capsys.readouterr().out
    assert rd(folder, out, "--metrics", "psnr", "--only", "p0") == 0
    assert "6 new numbers" in capsys.readouterr().out


def test_a_line_cut_off_by_a_crash_costs_only_that_number(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rd(folder, out, "--metrics", "psnr")
    path = out / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    capsys.readouterr()
    assert rd(folder, out, "--metrics", "psnr") == 0
    said = capsys.readouterr()
    assert "1 new numbers" in said.out
    assert "1 lines of" in said.err
    assert rd(folder, out, "--metrics", "psnr") == 0
    assert "0 new numbers" in capsys.readouterr().out


def test_rates_are_those_of_the_real_files(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rd(folder, out, "--metrics", "psnr", "--only", "p0", codec="webp:30")
    size, score = (line["value"] for line in results(out))
    (kept,) = (out / "files").iterdir()
    assert kept.stat().st_size == size
    with Image.open(kept) as image, Image.open(folder / "p0.png") as original:
        assert image.format == "WEBP"
        assert psnr(np.asarray(original), np.asarray(image.convert("RGB"))) == pytest.approx(score)
    (row,) = json.loads((out / "run.json").read_text())["rows"]
    assert row["bpp"] == pytest.approx(8 * size / (80 * 64))


def test_a_lossless_result_survives_the_cache(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(
        toml("copy", "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])", extension=".png")
    )
    for _ in range(2):
        assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--commands", recipe) == 0
    rows = json.loads((tmp_path / "out/run.json").read_text())["rows"]
    assert [row["values"]["psnr"] for row in rows if row["codec"] == "copy"] == ["inf"] * 6
    assert "Infinity" not in (tmp_path / "out/results.jsonl").read_text()
    assert main(["report", "--out", str(tmp_path / "out")]) == 0


def test_a_damaged_kept_file_is_made_anew(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rd(folder, out, "--metrics", "psnr", "--only", "p0", codec="pico:20")
    (kept,) = (out / "files").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-9])
    assert rd(folder, out, "--metrics", "psnr", "colour_shift", "--only", "p0", codec="pico:20") == 0
    assert kept.read_bytes() == content


def test_a_damaged_picture_costs_only_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "p1.png").write_bytes(b"no picture")
    assert rd(folder, tmp_path / "out", "--metrics", "psnr") == 1
    said = capsys.readouterr()
    assert "6 coded pictures" in said.out
    assert "p1.png cannot be read as a picture" in said.err


def test_a_picture_of_more_than_8_bits_is_refused_not_clipped_to_white(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(folder / "p1.png") as image:
        grey = np.asarray(image.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "p1.png")
    assert rd(folder, tmp_path / "out", "--metrics", "psnr") == 1
    said = capsys.readouterr()
    assert "6 coded pictures" in said.out
    assert "p1.png has more than 8 bits per channel" in said.err


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_are_refused_not_cut_to_8(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    (folder / "p1.png").unlink()
    content = deep_png(80, 64) if suffix == ".png" else deep_tiff(80, 64)
    (folder / f"p1{suffix}").write_bytes(content)
    with Image.open(folder / f"p1{suffix}") as image:
        assert image.mode == "RGB"  # which is why the mode alone does not tell
    assert rd(folder, tmp_path / "out", "--metrics", "psnr") == 1
    said = capsys.readouterr()
    assert "6 coded pictures" in said.out
    assert f"p1{suffix} has more than 8 bits per channel" in said.err


def test_an_over_large_picture_costs_only_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(folder / "p1.png") as image:
        image.save(folder / "p3.bmp")
    content = bytearray((folder / "p3.bmp").read_bytes())
    content[18:22] = (30_000_000).to_bytes(4, "little")  # pixels in a row
    (folder / "p3.bmp").write_bytes(content)
    assert rd(folder, tmp_path / "out", "--metrics", "psnr") == 1
    said = capsys.readouterr()
    assert "9 coded pictures" in said.out
    assert "p3.bmp cannot be read as a picture: Image size" in said.err


def test_a_codec_that_writes_an_over_large_picture_has_failed() -> None:
    stream = io.BytesIO()
    Image.new("L", (80, 64)).save(stream, "BMP")
    content = bytearray(stream.getvalue())
    content[18:22] = (30_000_000).to_bytes(4, "little")
    with pytest.raises(CodecFailedError, match="file that ours wrote: Image size"):
        decode_with_pillow(bytes(content), "ours")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--codec", "gif"], "there is no codec gif"),
        (["--codec", "jpeg:x"], "quality 'x' of jpeg is not a whole number from 1 to 100"),
        (["--codec", "jpeg:5000"], "quality '5000' of jpeg is not"),
        (["--codec", "jpeg:0"], "quality '0' of jpeg is not"),
        (["--codec", "jpeg:"], "quality '' of jpeg is not"),
        (["--codec", "pico:12.5"], "quality '12.5' of pico is not a whole number from 0 to 100"),
        (["--codec", "vvc:64"], "quality '64' of vvc is not a whole number from 0 to 63"),
        (["--codec", "jpeg2000:0"], "quality '0' of jpeg2000 is not a number of decibels from 1 to 100"),
        (["--codec", "webp:20,20"], "quality 20 of webp is named twice"),
        (["--codec", "jpeg", "--codec", "jpeg:5"], "two codecs are called JPEG"),
        (["--codec", "jpeg", "--only", "p9"], "no picture named p9"),
        (
            ["--codec", "jpeg", "--metrics", "psnr", "--anchor", "AVIF"],
            "the anchor AVIF is not among the codecs",
        ),
    ],
)
def test_a_wrong_command_line_is_explained(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main(["rd", str(folder), "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.out == ""  # nothing was measured


def test_the_command_imports_neither_torch_nor_matplotlib_to_say_what_it_does() -> None:
    code = (
        "import sys, pico_bench.cli as c; c.main(['--help']); "
        "sys.exit(bool({'torch', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "crops" in done.stdout


def test_every_error_of_the_bench_is_a_pico_error() -> None:
    assert issubclass(CodecFailedError, PicoError)
