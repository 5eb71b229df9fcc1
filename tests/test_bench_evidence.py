"""The Markdown page of a run: its numbers, the places at equal bytes, and that it leaves other text alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from metric_pictures import picture
from PIL import Image

from pico_bench.cli import main
from pico_bench.curves import Curve, curves
from pico_bench.evidence import at_equal_rate, markdown, put_section, section, value_at
from pico_bench.rd import Row, Run
from pico_core.errors import OptionError
from pico_metrics.catalogue import METRICS

RATES = (0.1, 0.2, 0.4, 0.8)
PSNR = (26.0, 29.0, 32.0, 35.0)


def rows(codec: str, factor: float = 1) -> list[Row]:
    return [
        Row(f"image{i}", codec, str(q), factor * rate * (1 + i / 10), {"psnr": value})
        for i in range(4)
        for q, (rate, value) in enumerate(zip(RATES, PSNR, strict=True))
    ]


def run_of(*codecs: list[Row]) -> tuple[Run, list[Curve]]:
    every = [row for codec in codecs for row in codec]
    run = Run(
        every, {".pico": {"codec": ".pico", "model": "m"}}, {}, ["VVC left out"], command="pico-bench rd x"
    )
    return run, curves(every)[0]


def test_a_value_between_points_is_interpolated_in_the_logarithm_of_the_rate() -> None:
    (curve,) = run_of(rows("A"))[1]
    assert value_at(curve, "psnr", 1.15 * math.sqrt(0.1 * 0.2)) == pytest.approx(27.5)
    assert value_at(curve, "psnr", 1.15 * 0.4) == pytest.approx(32)
    assert math.isnan(value_at(curve, "psnr", 0.1))
    assert math.isnan(value_at(curve, "psnr", 0.93))


def test_at_equal_bytes_the_place_and_the_nearest_rival_are_named() -> None:
    _, found = run_of(rows(".pico"), rows("better", 0.5), rows("worse", 1.5))
    table = at_equal_rate(found, [METRICS["psnr"]], rates=(0.05, 0.3, 0.6))
    assert [row[0] for row in table] == ["bits per pixel", "0.3", "0.6"]  # .pico does not reach 0.05
    assert table[1][1].endswith("2 of 3 (better 33.15)")
    assert table[2][1].endswith("1 of 2 (worse 31.40)")  # "better" ends before it


def test_losses_and_wins_are_told_by_their_intervals() -> None:
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    run, found = run_of(rows(".pico"), rows("better", 0.5), rows("worse", 1.5))
    text = section(run, found, ["a note"], ["x/rd-x-overview.png"], "12 megapixels\n  1 s")
    assert "![Rate and distortion, overview](x/rd-x-overview.png)" in text
    assert "    12 megapixels\n      1 s" in text
    assert "- a note" in text
    assert "- PSNR: more bytes than better (+100 %); fewer than worse" in text
    assert "| better | +100.0 [+100.0, +100.0] |" in text
    assert "- VVC left out" in text
    assert "    pico-bench rd x" in text


def test_a_comparison_without_an_interval_is_called_neither_a_loss_nor_a_win() -> None:
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    few = [
        [row for row in rows(*codec) if row.image in ("image0", "image1")]
        for codec in ((".pico",), ("B", 0.5))
    ]
    run, found = run_of(*few)
    assert "- PSNR: no interval against B (+100 %)" in section(run, found, [], [], None)


def test_without_any_bd_rate_the_places_at_equal_bytes_tell_a_loss() -> None:
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    bent = [
        Row(r.image, r.codec, r.quality, r.bpp, {"psnr": min(r.values["psnr"], 31)}) for r in rows(".pico")
    ]
    run, found = run_of(bent, rows("B", 0.5))
    text = section(run, found, [], ["x/rd-x-text_accuracy.png"], None)
    assert "- PSNR: no BD-rate; at equal bytes 2 of 2 at 0.15, 2 of 2 at 0.2" in text
    assert "![Rate and characters read](x/rd-x-text_accuracy.png)" in text


def test_where_no_other_codec_reaches_a_rate_there_is_no_place() -> None:
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    bent = [
        Row(r.image, r.codec, r.quality, r.bpp, {"psnr": min(r.values["psnr"], 31)}) for r in rows(".pico")
    ]
    run, found = run_of(bent, rows("B", 0.5))
    text = section(run, found, [], [], None)
    assert "2 of 2 at 0.3 bits per pixel" in text
    assert "1 of 1" not in text
    assert "| 0.75 | 31.00 |" in text  # the value is told all the same


def test_a_run_without_pico_is_no_evidence() -> None:
    run, found = run_of(rows("A"))
    with pytest.raises(OptionError, match=r"no curve of \.pico"):
        section(run, found, [], [], None)


def test_a_table_in_markdown_keeps_its_columns() -> None:
    assert markdown([["a", "b"], ["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"


def test_sections_are_rewritten_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "evidence.md"
    page.write_text("# Evidence\n\nBy hand.\n")
    put_section(page, "kodak", "old numbers")
    put_section(page, "clic", "others")
    page.write_text(page.read_text().replace("## clic", "Between.\n\n## clic") + "\nThe end.\n")
    put_section(page, "kodak", "new numbers")
    text = page.read_text()
    assert "old numbers" not in text
    for part in ("# Evidence", "By hand.", "new numbers", "Between.", "others", "The end."):
        assert text.count(part) == 1
    put_section(page, "kodak", "new numbers")
    assert page.read_text() == text


def test_a_section_that_never_ends_is_not_guessed_at(tmp_path: Path) -> None:
    page = tmp_path / "evidence.md"
    put_section(page, "kodak", "numbers")
    page.write_text(page.read_text().split("<!-- pico-bench kodak: end")[0])
    before = page.read_text()
    with pytest.raises(OptionError, match="add that where the section ends"):
        put_section(page, "kodak", "others")
    assert page.read_text() == before


def test_report_writes_the_page_and_the_plots_that_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pictures, out, page = tmp_path / "pictures", tmp_path / "runs/small", tmp_path / "evidence.md"
    pictures.mkdir()
    for number in range(2):
        Image.fromarray(np.roll(picture(96, 80), 9 * number, axis=1)).save(pictures / f"p{number}.png")
    codecs = ["--codec", "pico:0,40,90", "--codec", "jpeg:10,40,80", "--metrics", "psnr", "lpips_alex"]
    assert main(["rd", str(pictures), "--out", str(out), *codecs]) == 0
    assert main(["report", "--out", str(out), "--markdown", str(page)]) == 0
    text = page.read_text()
    assert "## small" in text
    assert "2 pictures: p0, p1. Measured on " in text
    assert "![Rate and distortion, overview](evidence/rd-small-overview.png)" in text
    files = sorted(path.name for path in (tmp_path / "evidence").iterdir())
    assert files == [
        f"rd-small-{plot}.{kind}" for plot in ("lpips_alex", "overview") for kind in ("png", "svg")
    ]
