"""What pico-bench shows beside its own numbers: published reconstructions, crops, and the page."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from bench_samples import rd, three_pictures, toml
from metric_pictures import coarse, picture
from PIL import Image

from pico_bench import codecs as codecs_module
from pico_bench import crops
from pico_bench.cli import main
from pico_bench.codecs import PILLOW_CODECS, CodecFailedError
from pico_bench.originals import Original
from pico_bench.reconstructions import Reconstructions
from pico_core.errors import OptionError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return three_pictures(tmp_path / "pictures")


@pytest.fixture
def published(folder: Path, tmp_path: Path) -> Path:
    """Reconstructions of p0 and p1 at two qualities, as another codec's authors would publish them."""
    target = tmp_path / "Elsewhere"
    rates = {}
    for quality, step in (("low", 40), ("high", 10)):
        (target / quality).mkdir(parents=True)
        for name in ("p0", "p1"):
            with Image.open(folder / f"{name}.png") as image:
                Image.fromarray(coarse(np.asarray(image), step)).save(target / quality / f"{name}.png")
            rates[f"{quality}/{name}.png"] = 2 / step
    (target / "bpp.json").write_text(json.dumps(rates))
    return target


def test_reconstructions_stand_beside_the_codecs_that_run_here(
    folder: Path, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--reconstructions", published) == 0
    said = capsys.readouterr()
    rows = json.loads((tmp_path / "out/run.json").read_text())["rows"]
    found = {(row["image"], row["quality"]): row for row in rows if row["codec"] == "Elsewhere"}
    assert sorted(found) == [("p0", "high"), ("p0", "low"), ("p1", "high"), ("p1", "low")]
    assert found["p0", "low"]["bpp"] == pytest.approx(0.05)
    assert found["p0", "high"]["values"]["psnr"] > found["p0", "low"]["values"]["psnr"]
    assert "p2 is left out: Elsewhere did not code it" in said.err
    assert "Elsewhere, mean of 2" in said.out


def test_reconstructions_in_folders_of_one_name_are_kept_apart(published: Path) -> None:
    rates = json.loads((published / "bpp.json").read_text())
    (name, rate), *_ = rates.items()
    for folder in ("x/low", "y/low"):
        (published / folder).mkdir(parents=True)
        shutil.copy(published / name, published / folder / Path(name).name)
    files = {f"{folder}/{Path(name).name}": rate for folder in ("x/low", "y/low")}
    (published / "bpp.json").write_text(json.dumps(files))
    found = Reconstructions(published)
    assert found.qualities(Original(Path(name))) == ["x/low", "y/low"]
    shutil.copy(published / name, published / "x" / "low" / f"{Path(name).stem}.bmp")
    (published / "bpp.json").write_text(json.dumps({**files, f"x/low/{Path(name).stem}.bmp": rate}))
    with pytest.raises(OptionError, match="at x/low twice"):
        Reconstructions(published).check()


def test_a_reconstruction_of_another_size_is_a_failure(folder: Path, published: Path) -> None:
    Image.new("RGB", (5, 5)).save(published / "low/p0.png")
    with pytest.raises(CodecFailedError, match="5x5 pixels, unlike the original"):
        Reconstructions(published).code(Original(folder / "p0.png"), "low")


@pytest.mark.parametrize("content", ["", "[1]", '{"low/p9.png": 0.1}', '{"low/p0.png": -1}', "{}"])
def test_reconstructions_without_usable_rates_are_refused(published: Path, content: str) -> None:
    (published / "bpp.json").write_text(content)
    with pytest.raises(OptionError, match=r"bpp\.json"):
        Reconstructions(published).check()


def test_a_report_without_a_run_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(tmp_path)]) == 2
    assert "run pico-bench rd first" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "[1", "[]", "{}"])
def test_a_report_without_its_file_of_times_says_which_file_is_amiss(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    times = tmp_path / "times.json"
    if content is not None:
        times.write_text(content)
    rd(folder, tmp_path / "out", "--metrics", "psnr", "--only", "p0")
    capsys.readouterr()
    assert main(["report", "--out", str(tmp_path / "out"), "--speed", str(times)]) == 2
    said = capsys.readouterr().err
    assert f"{times} is not what pico-bench speed --json prints" in said
    assert "no run" not in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["crops", "--quality", "abc"], "'abc' is not a whole number from 0 to 100"),
        (["crops", "--quality", "101"], "'101' is not a whole number from 0 to 100"),
        (["crops", "--bpp", "0"], "'0' is not a number of bits per pixel above 0"),
        (["crops", "--bpp", "nan"], "'nan' is not a number of bits per pixel above 0"),
        (["crops", "--bpp", "inf"], "'inf' is not a number of bits per pixel above 0"),
        (["text-pages", "--seed", "-1"], "'-1' is not a whole number of 0 or more"),
        (["text-pages", "--count", "0"], "'0' is not a whole number of 1 or more"),
    ],
)
def test_senseless_numbers_for_crops_and_pages_are_explained(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    command, *options = arguments
    more = ["--codec", "jpeg", "--out", str(tmp_path / "out")] if command == "crops" else []
    assert main([command, str(folder), *more, *options]) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.out == ""


def test_each_codec_takes_its_best_quality_within_the_bytes(folder: Path) -> None:
    original, codec = Original(folder / "p0.png"), PILLOW_CODECS["jpeg"]
    choice = crops.fit(codec, original, 1500)
    assert choice.coded.size <= 1500
    assert codec.code(original, str(int(choice.quality) + 1)).size > 1500
    assert crops.fit(codec, original, 10).quality == "1"


def test_crops_of_a_failing_codec_or_a_damaged_picture_cost_only_themselves(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], published: Path
) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(toml("broken", 'raise SystemExit("no such mood")'))
    (folder / "p0.png").write_bytes(b"no picture")
    words = ["crops", str(folder), "--out", str(tmp_path / "out"), "--bpp", "2", "--codec", "jpeg"]
    assert main([*words, "--side", "48", "--commands", str(recipe)]) == 1
    said = capsys.readouterr()
    assert "broken on p1" in said.err
    assert "p0.png cannot be read as a picture" in said.err
    assert sorted(path.name for path in (tmp_path / "out/crops").iterdir()) == ["p1.png", "p2.png"]
    assert main([*words, "--side", "48", "--only", "p2", "--reconstructions", str(published)]) == 0
    assert "it does not have this picture" in capsys.readouterr().err


def test_crops_lie_side_by_side_and_a_box_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ["crops", str(folder), "--only", "p0", "--out", str(out), "--codec", "jpeg", "--codec", "webp"]
    assert main([*common, "--bpp", "2", "--box", "0,0,40,32"]) == 0
    with Image.open(out / "crops/p0.png") as sheet:
        assert sheet.width > 3 * 80
        left, top = np.asarray(sheet)[8:72, 8:88], picture(80, 64)[:32, :40]
        np.testing.assert_array_equal(left, top.repeat(2, 0).repeat(2, 1))
    assert main([*common, "--bpp", "2", "--box", "0,0,81,32"]) == 2


class References(HTMLParser):
    """Everything that a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for key, value in attributes if key in ("src", "href", "srcset", "data")]
        assert tag not in ("script", "link", "iframe", "object", "embed")


def test_the_report_is_one_page_that_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    out = tmp_path / "out"
    rd(folder, out, "--metrics", "psnr", "colour_shift", "--codec", "webp:10,40,70")
    crop = [
        "crops",
        str(folder),
        "--only",
        "p0",
        "--out",
        str(out),
        "--codec",
        "jpeg",
        "--bpp",
        "2",
        "--box",
        "0,0,9,9",
    ]
    assert main(crop) == 0
    assert main(["report", "--out", str(out)]) == 0
    text = (out / "report.html").read_text("utf-8")
    page = References()
    page.feed(text)
    assert len(page.found) == 4  # overview, two metrics, one sheet of crops
    assert all(reference.startswith("data:image/") for reference in page.found)
    assert not re.search(r"url\(|@import|https?://", re.sub(r'src="data:[^"]*"', "", text))
    assert str(tmp_path) not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.S)
    for wanted in ("BD-rate against WebP", "Worst pictures", "quality 20", "bits per pixel"):
        assert wanted.replace("quality 20", "20") in text


def sheets_on_page(out: Path) -> list[str]:
    """The pictures of which the newest report shows crops."""
    assert main(["report", "--out", str(out)]) == 0
    return re.findall(r'alt="crops of ([^"]*)"', (out / "report.html").read_text("utf-8"))


def test_the_report_shows_only_crops_of_its_own_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ["crops", str(folder), "--out", str(out), "--codec", "jpeg", "--bpp", "2", "--box", "0,0,9,9"]
    assert main(words) == 0
    rd(folder, out, "--metrics", "psnr")
    assert sheets_on_page(out) == ["p0", "p1", "p2"]
    rd(folder, out, "--metrics", "psnr", "--only", "p0", "p2")
    assert sheets_on_page(out) == ["p0", "p2"]
    with Image.open(folder / "p2.png") as image:
        image.rotate(180).save(folder / "p2.png")
    rd(folder, out, "--metrics", "psnr")
    assert sheets_on_page(out) == ["p0", "p1"]
    assert "crops of p2 left out: they are not of this run's pictures" in capsys.readouterr().err
    monkeypatch.setattr(codecs_module, "version", lambda _: "another")
    rd(folder, out, "--metrics", "psnr")
    assert sheets_on_page(out) == []
    assert main(words) == 0
    assert sheets_on_page(out) == ["p0", "p1", "p2"]


def test_crops_of_published_pictures_and_of_unknown_making(
    folder: Path, published: Path, tmp_path: Path
) -> None:
    out, more = tmp_path / "out", ["--reconstructions", str(published), "--only", "p0", "p1"]
    assert rd(folder, out, "--metrics", "psnr", *more) == 0
    words = ["crops", str(folder), "--out", str(out), "--codec", "jpeg", "--bpp", "2", "--box", "0,0,9,9"]
    assert main([*words, *more]) == 0
    assert sheets_on_page(out) == ["p0", "p1"]
    shutil.copyfile(folder / "p1.png", out / "crops" / "p1.png")
    assert sheets_on_page(out) == ["p0"]


def test_the_page_shows_names_as_text_not_as_markup(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "p0.png", folder / "<b>bold&.png")
    rd(folder, tmp_path / "out", "--metrics", "psnr", "--only", "<b>bold&")
    main(["report", "--out", str(tmp_path / "out")])
    text = (tmp_path / "out/report.html").read_text("utf-8")
    assert "&lt;b&gt;bold&amp;" in text
    assert "<b>bold" not in text
