"""Text in `pico-bench rd`: found once, transcripts, pictures without text, and the pages it draws itself."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from metric_pictures import picture
from PIL import Image, ImageDraw, ImageFont

from pico_bench import text_source
from pico_bench.cli import main
from pico_bench.originals import Original
from pico_bench.text_pages import HEIGHT, WIDTH, page, write_pages
from pico_bench.text_source import TextSource, read_truth
from pico_core.errors import OptionError
from pico_metrics.pictures import Pixels
from pico_metrics.text_regions import Outline, mask_of, readings


@pytest.fixture
def reader() -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the text recogniser is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sign, and a picture without text."""
    target = tmp_path / "pictures"
    target.mkdir()
    sign = Image.new("RGB", (320, 160), "white")
    ImageDraw.Draw(sign).text((40, 55), "Platform 9", "black", ImageFont.load_default(40))
    sign.save(target / "sign.png")
    Image.fromarray(picture(192, 128)).save(target / "waves.png")
    return target


def truth_of(folder: Path, text: str) -> Path:
    path = folder / "truth.json"
    outline = [[30, 50], [250, 50], [250, 105], [30, 105]]
    path.write_text(json.dumps({"sign.png": [{"outline": outline, "text": text}]}))
    return path


def rd(folder: Path, out: Path, *more: str) -> int:
    codec = ("--codec", "jpeg:5,40,80", "--metrics", "psnr", "text_error", "text_accuracy")
    return main(["rd", str(folder), "--out", str(out), *codec, *more])


@pytest.mark.usefixtures("reader")
def test_pictures_without_text_count_for_everything_but_text(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert rd(folder, out) == 0
    said = capsys.readouterr().out
    assert "characters read (1 picture)" in said
    assert "error in text (1 picture)" in said
    run = json.loads((out / "run.json").read_text())
    assert run["text"] == {"sign": {"lines": 1, "characters": 9, "read": 1.0}}
    values = {(row["image"], row["quality"]): row["values"] for row in run["rows"]}
    assert values["sign", "80"]["text_accuracy"] == 1
    assert values["sign", "80"]["text_error"] < values["sign", "5"]["text_error"]
    assert set(values["waves", "80"]) == {"psnr"}
    assert main(["report", "--out", str(out)]) == 0


@pytest.mark.usefixtures("reader")
def test_text_is_looked_for_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rd(folder, out)
    capsys.readouterr()

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(text_source, "find_regions", fail)
    assert rd(folder, out) == 0
    assert "0 new numbers" in capsys.readouterr().out


@pytest.mark.usefixtures("reader")
def test_a_line_of_regions_cut_off_by_a_crash_is_found_again(folder: Path, tmp_path: Path) -> None:
    original = Original(folder / "sign.png")
    first = TextSource(tmp_path / "out").of(original)
    path = tmp_path / "out/text.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert TextSource(tmp_path / "out").of(original) == first
    assert TextSource(tmp_path / "out").of(original) == first
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.usefixtures("reader")
def test_a_transcript_is_the_truth_whatever_the_recogniser_reads(folder: Path, tmp_path: Path) -> None:
    assert rd(folder, tmp_path / "out", "--text-truth", str(truth_of(tmp_path, "Platform 8"))) == 0
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["text"]["sign"]["read"] == pytest.approx(8 / 9)
    best = next(row for row in run["rows"] if row["image"] == "sign" and row["quality"] == "80")
    assert best["values"]["text_accuracy"] == pytest.approx(8 / 9)


@pytest.mark.usefixtures("reader")
def test_another_transcript_is_another_number(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rd(folder, out, "--text-truth", str(truth_of(tmp_path, "Platform 8")))
    capsys.readouterr()
    rd(folder, out, "--text-truth", str(truth_of(tmp_path, "Platform 9")))
    assert "6 new numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "[1]",
        '{"a": [{"text": "x"}]}',
        '{"a": [{"outline": [[1, 2]], "text": "x"}]}',
        '{"a": [{"outline": [[1, 2], [3, 4], [5, 6], [7, 8]], "text": " "}]}',
    ],
)
def test_senseless_transcripts_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(OptionError, match=re.escape("t.json")):
        read_truth(tmp_path / "t.json")


def test_without_the_recogniser_the_other_metrics_are_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    assert rd(folder, tmp_path / "out") == 0
    said = capsys.readouterr()
    line = "text metrics left out: the package rapidocr-onnxruntime is not installed (pip install 'pillow-pico[text]')"
    assert said.err.count(line) == 1
    assert "6 coded pictures, 12 new numbers" in said.out


def test_pages_are_the_same_every_time_and_their_words_lie_in_them(tmp_path: Path) -> None:
    write_pages(tmp_path, 2)
    made = page(1)
    with Image.open(tmp_path / "page01.png") as image:
        np.testing.assert_array_equal(np.asarray(image), made.pixels)
    truth = read_truth(tmp_path / "truth.json")
    assert [region.text for region in truth["page01.png"]] == [region.text for region in made.regions]
    assert made.pixels.shape == (HEIGHT, WIDTH, 3)
    for region in made.regions:
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in region.outline)
    assert not np.array_equal(page(1, seed=1).pixels, made.pixels)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_the_outlines_of_a_page_hold_all_its_ink(number: int) -> None:
    """Contrast with the paper is in the outlines, not around them."""
    made = page(number)
    mask = mask_of(made.regions, HEIGHT, WIDTH)
    inner = made.pixels[60:-60, 60:-60].astype(int).mean(2)
    paper = np.median(inner)
    ink = np.abs(inner - paper) > 90
    assert ink.any()
    assert (ink & mask[60:-60, 60:-60]).sum() > 0.98 * ink.sum()


@pytest.mark.usefixtures("reader")
def test_the_words_of_a_page_can_be_read(tmp_path: Path) -> None:
    made = page(5)
    outlines: Sequence[Outline] = [region.outline for region in made.regions[:2]]
    pixels: Pixels = made.pixels
    for read, region in zip(readings(pixels, outlines), made.regions, strict=False):
        assert "".join(read.split()) == "".join(region.text.split())


def test_the_command_draws_pages_and_says_how_to_measure_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["text-pages", str(tmp_path / "pages"), "--count", "1"]) == 0
    assert "--text-truth" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["page00.png", "truth.json"]
    assert main(["text-pages", str(tmp_path / "pages"), "--count", "0"]) == 2
