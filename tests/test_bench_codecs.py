"""The codecs that pico-bench compares: Pillow's, those given as command lines, mozjpeg, VVC and ours."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_samples import SAVE, rd, three_pictures, toml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pico_bench import mozjpeg as mozjpeg_module
from pico_bench.cli import main
from pico_bench.codecs import PILLOW_CODECS, CodecFailedError, PicoCodec
from pico_bench.commands import VvcCodec, from_planes, read_commands, to_planes
from pico_bench.mozjpeg import MozjpegCodec
from pico_bench.originals import Original
from pico_core.errors import OptionError
from pico_metrics.psnr import psnr

ENCODE = '[a]\nencode = "x {input} {output} {quality}"\nextension = ".x"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return three_pictures(tmp_path / "pictures")


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


def test_another_extension_is_another_codec_to_the_cache(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "codecs.toml"
    for extension, magic in ((".jpg", b"\xff\xd8\xff"), (".webp", b"RIFF")):
        recipe.write_text(toml("own", SAVE, extension))
        assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--only", "p0", "--commands", recipe) == 0
        kept = [path.read_bytes() for path in (tmp_path / "out/files").iterdir()]
        assert any(content.startswith(magic) for content in kept)


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
    assert {"pico", "model", "code"} <= set(identity)


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


def test_fractions_of_decibels_are_qualities_of_jpeg_2000(folder: Path, tmp_path: Path) -> None:
    assert rd(folder, tmp_path / "out", "--metrics", "psnr", "--only", "p0", codec="jpeg2000:30,30.5") == 0
    rows = json.loads((tmp_path / "out/run.json").read_text())["rows"]
    assert [row["quality"] for row in rows] == ["30", "30.5"]
