"""`pico-bench rd`, `crops` and `report` as a user runs them: cache, codecs, failures, the page."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_pictures import coarse, picture
from PIL import Image

from pico_bench import crops
from pico_bench import mozjpeg as mozjpeg_module
from pico_bench.cli import main
from pico_bench.codecs import PILLOW_CODECS, CodecFailedError, PicoCodec
from pico_bench.commands import VvcCodec, from_planes, read_commands, to_planes
from pico_bench.mozjpeg import MozjpegCodec
from pico_bench.originals import Original
from pico_bench.reconstructions import Reconstructions
from pico_core.errors import OptionError, PicoError
from pico_metrics.psnr import psnr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three small pictures."""
    target = tmp_path / "pictures"
    target.mkdir()
    for number in range(3):
        Image.fromarray(np.roll(picture(80, 64), 9 * number, axis=1)).save(target / f"p{number}.png")
    return target


def rd(folder: Path, out: Path, *more: str | Path, codec: str = "jpeg:20,50,80") -> int:
    return main(["rd", str(folder), "--out", str(out), "--codec", codec, *map(str, more)])


def results(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


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


def toml(name: str, script: str, extension: str = ".jpg", decode: str = "") -> str:
    """A codec whose command is this Python with a script in one line."""
    encode = f"{sys.executable} -c '{script}' {{input}} {{output}} {{quality}}"
    lines = [
        f"[{name}]",
        f"encode = {json.dumps(encode)}",
        f'extension = "{extension}"',
        "qualities = [30, 60]",
    ]
    if decode:
        lines.append(
            f"decode = {json.dumps(f'{sys.executable} -c {chr(39)}{decode}{chr(39)} {{input}} {{output}}')}"
        )
    return "\n".join(lines)


SAVE = (
    "import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2], quality=int(sys.argv[3]))"
)


ENCODE = '[a]\nencode = "x {input} {output} {quality}"\nextension = ".x"\n'


def test_the_example_of_the_documentation_describes_two_codecs(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(example)
    first, second = read_commands(recipe)
    assert (first.name, second.name) == ("jpegli", "JPEG XL, cjxl")
    assert first.ladder == ("20", "40", "60", "80")
    assert second.decode_command == "djxl {input} {output}"


def test_a_changed_script_is_another_codec_to_the_cache(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, script = tmp_path / "codecs.toml", tmp_path / "encoder.py"
    script.write_text(SAVE.replace("; ", "\n"))
    words = f"{sys.executable} {script} {{input}} {{output}} {{quality}}"
    recipe.write_text(f"[own]\nencode = {json.dumps(words)}\nextension = '.jpg'\nqualities = [30, 60, 90]")
    more = ("--metrics", "psnr", "--only", "p0", "--commands", recipe)
    for change, new in (("", "12 new numbers"), ("", "0 new numbers"), ("# changed", "6 new numbers")):
        script.write_text(script.read_text() + change)
        assert rd(folder, tmp_path / "out", *more) == 0
        assert new in capsys.readouterr().out


def test_a_command_template_is_the_codec_that_it_runs(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(toml("by command", SAVE).replace("[by command]", '["by command"]'))
    (codec,) = read_commands(recipe)
    original = Original(folder / "p0.png")
    coded = codec.code(original, "60")
    assert coded.content is not None
    assert coded.content[:3] == b"\xff\xd8\xff"
    assert coded.size == len(coded.content) > codec.code(original, "30").size
    assert psnr(original.pixels, coded.pixels) > 20
    assert "-c" in codec.identity(original, "60")["command 0"]


def test_a_command_may_bring_its_own_decoder(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "codecs.toml"
    hide = 'import sys, zlib; open(sys.argv[2], "wb").write(zlib.compress(open(sys.argv[1], "rb").read()))'
    show = 'import sys, zlib; open(sys.argv[2], "wb").write(zlib.decompress(open(sys.argv[1], "rb").read()))'
    recipe.write_text(toml("hidden", hide, ".z", show))
    (codec,) = read_commands(recipe)
    original = Original(folder / "p0.png")
    np.testing.assert_array_equal(codec.code(original, "30").pixels, original.pixels)


def test_a_failing_command_costs_its_rows_and_the_exit_code(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(toml("broken", 'raise SystemExit("no such mood")'))
    assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--commands", recipe) == 1
    said = capsys.readouterr()
    assert "9 coded pictures" in said.out
    assert "broken 30 on p0" in said.err
    assert "no such mood" in said.err


def test_a_command_that_writes_nothing_is_a_failure(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(toml("idle", "pass"))
    (codec,) = read_commands(recipe)
    with pytest.raises(CodecFailedError, match="wrote no file"):
        codec.code(Original(folder / "p0.png"), "30")


def test_a_command_that_is_not_installed_is_left_out_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(
        '[ghost]\nencode = "no-such-program {input} {output} {quality}"\nextension = ".x"\nqualities = [1]'
    )
    assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--commands", recipe) == 0
    assert "ghost left out: there is no program no-such-program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a", "cannot be read as TOML"),
        ('[a]\nencode = "x {input} {output} {quality}"', "needs encode, extension and qualities"),
        ('[a]\nencode = "x {input}"\nextension = ".x"\nqualities = [1]', "no {output} and no {quality}"),
        ("a = 1", "needs encode"),
        (
            '[a]\nencode = "x {input} {output} {quality}"\nextension = ".x"\nqualities = [1]\nspeed = 3',
            "may have",
        ),
        (f"{ENCODE}qualities = 5", "qualities of [a] must be a list"),
        (f"{ENCODE}qualities = []", "qualities of [a] must be a list"),
        (f'{ENCODE}qualities = "abc"', "qualities of [a] must be a list"),
        (f"{ENCODE}qualities = [1, 1]", "qualities of [a] must be a list"),
        (f'{ENCODE}qualities = [1]\ninput = ".nonsense"', "Pillow writes no .nonsense"),
        (
            '[a]\nencode = "x \\"{input} {output} {quality}"\nextension = ".x"\nqualities = [1]',
            "encode of [a] cannot be split into words",
        ),
    ],
)
def test_a_senseless_commands_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    recipe = tmp_path / "codecs.toml"
    recipe.write_text(text)
    with pytest.raises(OptionError, match=re.escape(complaint)):
        read_commands(recipe)


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


def test_a_reconstruction_of_another_size_is_a_failure(folder: Path, published: Path) -> None:
    Image.new("RGB", (5, 5)).save(published / "low/p0.png")
    with pytest.raises(CodecFailedError, match="5x5 pixels, unlike the original"):
        Reconstructions(published).code(Original(folder / "p0.png"), "low")


@pytest.mark.parametrize("content", ["", "[1]", '{"low/p9.png": 0.1}', '{"low/p0.png": -1}', "{}"])
def test_reconstructions_without_usable_rates_are_refused(published: Path, content: str) -> None:
    (published / "bpp.json").write_text(content)
    with pytest.raises(OptionError, match=r"bpp\.json"):
        Reconstructions(published).check()


@pytest.mark.parametrize("name", PILLOW_CODECS)
def test_every_codec_of_pillow_codes_and_decodes(folder: Path, name: str) -> None:
    codec = PILLOW_CODECS[name]
    if codec.missing():
        pytest.skip(codec.missing() or "")
    original = Original(folder / "p0.png")
    small, large = (codec.code(original, codec.ladder[at]) for at in (0, -1))
    assert small.size < large.size
    assert psnr(original.pixels, small.pixels) < psnr(original.pixels, large.pixels)
    again = codec.code(original, codec.ladder[0], stored=small.content)
    np.testing.assert_array_equal(again.pixels, small.pixels)


@pytest.fixture
def mozjpeg() -> MozjpegCodec:
    codec = MozjpegCodec()
    if codec.missing():
        pytest.skip(codec.missing() or "")
    return codec


def test_mozjpeg_writes_smaller_jpeg_files_than_pillow_at_equal_error(
    mozjpeg: MozjpegCodec, samples: Path
) -> None:
    original = Original(samples / "lake.jpg")
    ours = mozjpeg.code(original, "50")
    assert ours.content is not None
    assert ours.content[:3] == b"\xff\xd8\xff"
    assert b"\xff\xc2" in ours.content  # progressive
    pillow = PILLOW_CODECS["jpeg"]
    rival = next(
        coded
        for quality in range(1, 101)
        if psnr(original.pixels, (coded := pillow.code(original, str(quality))).pixels)
        >= psnr(original.pixels, ours.pixels)
    )
    assert ours.size < 0.95 * rival.size
    assert mozjpeg.code(original, "20").size < ours.size


def test_libvips_without_mozjpeg_is_not_called_mozjpeg(
    mozjpeg: MozjpegCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = mozjpeg_module._vips().Image.jpegsave_buffer
    monkeypatch.setattr(
        mozjpeg_module._vips().Image,
        "jpegsave_buffer",
        lambda picture, **o: plain(picture, Q=o["Q"]),
        raising=False,
    )
    mozjpeg_module._unusable.cache_clear()
    assert "built without mozjpeg" in (mozjpeg.missing() or "")
    mozjpeg_module._unusable.cache_clear()


def test_pico_files_are_whole_files_known_by_their_model(folder: Path) -> None:
    original, codec = Original(folder / "p0.png"), PicoCodec(("20",))
    coded = codec.code(original, "20")
    assert coded.content is not None
    assert coded.content[4:12] == b"ftyppico"
    assert coded.size == len(coded.content)
    identity = codec.identity(original, "20")
    assert re.fullmatch("[0-9a-f]{32}", identity["model"])
    assert {"pico", "precision", "code"} <= set(identity)


@settings(max_examples=15)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_flat_colours_survive_the_planes_of_vvc(height: int, width: int, r: int, g: int, b: int) -> None:
    pixels = np.full((height, width, 3), (r, g, b), np.uint8)
    planes = to_planes(pixels)
    assert planes[0].shape == (height + height % 2, width + width % 2)
    back = from_planes(planes)[:height, :width].astype(int)
    assert np.abs(back - pixels).max() <= 1


def test_avif_pays_nothing_for_tiles_that_only_make_it_faster() -> None:
    grain = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    picture = Image.fromarray(grain).resize((1024, 768), Image.Resampling.BICUBIC)
    sizes = []
    for tiles in ({"autotiling": False}, {"autotiling": True}):
        stream = io.BytesIO()
        picture.save(stream, "AVIF", quality=30, subsampling="4:2:0", speed=4, **tiles)
        sizes.append(stream.tell())
    assert len(PILLOW_CODECS["avif"].encode(np.asarray(picture), "30")) == sizes[0] < sizes[1]


def test_vvc_codes_and_decodes(folder: Path) -> None:
    codec = VvcCodec()
    if codec.missing():
        pytest.skip(codec.missing() or "")
    original = Original(folder / "p0.png")
    coarse_file, fine_file = codec.code(original, "42"), codec.code(original, "22")
    assert coarse_file.size < fine_file.size
    assert psnr(original.pixels, fine_file.pixels) > 30


def test_a_missing_package_leaves_its_codec_out_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("pillow_heif", "pillow_jxl", "pyvips", "matplotlib", "bjontegaard"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    more = [
        argument
        for name in ("heic", "jxl", "mozjpeg", "vvc", "webp:20,50,80")
        for argument in ("--codec", name)
    ]
    assert rd(folder, tmp_path / "out", "--metrics", "psnr", *more) == 0
    said = capsys.readouterr()
    for line in (
        "HEIC left out: the package pillow-heif is not installed (pip install 'pillow-pico[bench]')",
        "JPEG XL left out: the package pillow-jxl-plugin is not installed",
        "JPEG (mozjpeg) left out: the package pyvips is not installed",
        "VVC left out: vvencapp and vvdecapp not found on the PATH",
        "plots left out: the package matplotlib is not installed",
        "BD-rates left out: the package bjontegaard is not installed",
    ):
        assert said.err.count(line) == 1
    assert "WebP, mean of 3" in said.out
    assert main(["report", "--out", str(tmp_path / "out")]) == 0


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


def test_fractions_of_decibels_are_qualities_of_jpeg_2000(folder: Path, tmp_path: Path) -> None:
    assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--only", "p0", codec="jpeg2000:30,30.5") == 0
    rows = json.loads((tmp_path / "out/run.json").read_text())["rows"]
    assert [row["quality"] for row in rows] == ["30", "30.5"]


def test_a_report_without_a_run_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(tmp_path)]) == 2
    assert "run pico-bench rd first" in capsys.readouterr().err


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


def test_the_page_shows_names_as_text_not_as_markup(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "p0.png", folder / "<b>bold&.png")
    rd(folder, tmp_path / "out", "--metrics", "psnr", "--only", "<b>bold&")
    main(["report", "--out", str(tmp_path / "out")])
    text = (tmp_path / "out/report.html").read_text("utf-8")
    assert "&lt;b&gt;bold&amp;" in text
    assert "<b>bold" not in text


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
