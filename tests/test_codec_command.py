"""The command pico-codec, as a user runs it, and the file handling behind it."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pico_codec.cli import main
from pico_codec.files import partial_file, remove_leftovers
from pico_core import decode


def pico_codec(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pico_codec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def lake_pico(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with EXIF and orientation 6, encoded by the command with its default options."""
    path = tmp_path_factory.mktemp("encoded") / "train.pico"
    done = pico_codec("encode", samples / "lake.jpg", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(path) in done.stdout
    return path


@pytest.fixture(scope="module")
def small_pico(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny lossless file, for everything that needs no networks."""
    folder = tmp_path_factory.mktemp("small")
    Image.linear_gradient("L").resize((40, 30)).save(folder / "small.png")
    assert main(["encode", "--lossless", str(folder / "small.png"), str(folder / "small.pico")]) == 0
    return folder / "small.pico"


@pytest.fixture
def tiny_disk(disk_of: Callable[[int], Path]) -> Path:
    """A folder on a file system of 16 kB."""
    return disk_of(16)


def test_photo_comes_back_with_its_metadata(samples: Path, lake_pico: Path, tmp_path: Path) -> None:
    with Image.open(samples / "lake.jpg") as original:
        pixels, exif = np.asarray(original), original.info["exif"]
    assert lake_pico.stat().st_size < (samples / "lake.jpg").stat().st_size / 2
    for name in ("out.png", "out.jpg", "out.webp"):
        assert pico_codec("decode", lake_pico, tmp_path / name).returncode == 0
        with Image.open(tmp_path / name) as decoded:
            assert decoded.size == original.size, (
                "the picture must not be turned: the EXIF tag still says how"
            )
            assert decoded.info["exif"].removeprefix(b"Exif\0\0") == exif.removeprefix(b"Exif\0\0")
            error = np.abs(np.asarray(decoded).astype(float) - pixels).mean()
        assert error < 12


def test_region_equals_the_same_part_of_the_whole(lake_pico: Path, tmp_path: Path) -> None:
    box = (450, 100, 578, 300)
    assert main(["decode", str(lake_pico), str(tmp_path / "all.png"), "--engine", "auto"]) == 0
    region = ["--region", ",".join(map(str, box)), "--engine", "auto"]
    assert main(["decode", str(lake_pico), str(tmp_path / "part.png"), *region]) == 0
    with Image.open(tmp_path / "all.png") as whole, Image.open(tmp_path / "part.png") as part:
        np.testing.assert_array_equal(np.asarray(part), np.asarray(whole.crop(box)))


def test_target_bytes_are_kept(samples: Path, tmp_path: Path) -> None:
    with Image.open(samples / "lake.jpg") as photo:
        photo.crop((0, 0, 256, 256)).save(tmp_path / "crop.png")
    assert (
        main(["encode", str(tmp_path / "crop.png"), str(tmp_path / "crop.pico"), "--target-bytes", "4000"])
        == 0
    )
    assert 2000 < (tmp_path / "crop.pico").stat().st_size <= 4000


def test_alpha_comes_back_exactly(tmp_path: Path) -> None:
    im = Image.effect_noise((50, 40), 60).convert("RGB")
    im.putalpha(Image.linear_gradient("L").resize(im.size))
    im.save(tmp_path / "in.png")
    assert main(["encode", str(tmp_path / "in.png"), str(tmp_path / "x.pico")]) == 0
    assert main(["decode", str(tmp_path / "x.pico"), str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as out:
        assert out.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(out)[..., 3], np.asarray(im)[..., 3])


def test_existing_output_survives_without_force(
    small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "holiday.png"
    target.write_bytes(b"precious")
    assert main(["decode", str(small_pico), str(target)]) == 1
    assert target.read_bytes() == b"precious"
    assert f"pico-codec: {target}: exists already" in capsys.readouterr().err
    assert main(["decode", str(small_pico), str(target), "--force"]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_input_is_never_its_own_output(small_pico: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pico"
    copy.write_bytes(small_pico.read_bytes())
    assert main(["encode", str(copy), str(copy), "--force"]) == 1
    (tmp_path / "link.pico").symlink_to(copy)
    assert main(["encode", str(copy), str(tmp_path / "link.pico"), "--force"]) == 1
    assert copy.read_bytes() == small_pico.read_bytes()


def test_damaged_input_leaves_nothing_behind(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.jpg").write_bytes((samples / "lake.jpg").read_bytes()[:60_000])
    assert main(["encode", str(tmp_path / "cut.jpg"), str(tmp_path / "cut.pico")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cut.jpg"]
    assert f"pico-codec: {tmp_path / 'cut.jpg'}: image file is truncated" in capsys.readouterr().err


def test_full_disk_leaves_nothing_behind(tiny_disk: Path, tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 90).save(tmp_path / "noise.png")
    done = pico_codec("encode", "--lossless", tmp_path / "noise.png", tiny_disk / "noise.pico")
    assert done.returncode == 1
    assert "noise.pico: cannot be written: No space left on device" in done.stderr
    assert not list(tiny_disk.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["encode", "a.jpg"],
        ["encode", "a.jpg", "b.pico", "--quality", "101"],
        ["encode", "a.jpg", "b.pico", "--quality", "50", "--lossless"],
        ["encode", "a.jpg", "b.pico", "--effort", "3"],
        ["encode", "a.jpg", "b.pico", "--target-bytes", "0"],
        ["decode", "a.pico", "b.png", "--region", "1,2,3"],
        ["decode", "a.pico", "b.png", "--engine", "float16"],
        ["info"],
        ["polish", "a.jpg"],
    ],
)
def test_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["decode", "b.png", "--region", "0,0,41,30"],
            "leaves the picture of 40x30 pixels; choose",
        ),
        (["encode", "b.pico", "--level", "80"], "level"),
    ],
)
def test_option_that_does_not_fit_the_picture_or_the_weights_is_exit_code_2(
    arguments: list[str], message: str, small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, output, *options = arguments
    before = sorted(tmp_path.iterdir())
    assert main([command, str(small_pico), str(tmp_path / output), *options]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "missing.jpg", "b.pico"], "missing.jpg: no such file or directory"),
        (["encode", "small.pico", "b.png"], "b.png: is not named *.pico; call the output so"),
        (["encode", "small.pico", "nowhere/b.pico"], "there is no folder nowhere; create it first"),
        (
            ["encode", "text.txt", "b.pico"],
            "text.txt: not a picture in a format that Pillow reads; convert it",
        ),
        (["encode", "empty.jpg", "b.pico"], "empty.jpg: the file is empty; restore it from a copy"),
        (
            ["decode", "text.txt", "b.png"],
            "text.txt: the file does not begin as a .pico file does; only .pico files can be read here",
        ),
        (["decode", "small.pico", "b.doc"], "b.doc: .doc is not an output format; .png always works"),
        (["decode", "small.pico", "b.pico"], ".png always works"),
        (["decode", "cut.pico", "b.png"], "cut.pico: "),
        (["verify", "folder"], "folder: is a directory"),
    ],
)
def test_failure_says_what_is_wrong_with_which_file(
    arguments: list[str],
    message: str,
    small_pico: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.pico").write_bytes(small_pico.read_bytes())
    Path("cut.pico").write_bytes(small_pico.read_bytes()[:-3])
    Path("text.txt").write_text("not a picture")
    Path("empty.jpg").touch()
    Path("folder").mkdir()
    before = sorted(Path().iterdir())
    assert main(arguments) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("pico-codec: ")
    assert output.err.count("\n") == 1, "one line a problem"
    assert sorted(Path().iterdir()) == before


def test_info_as_json(lake_pico: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", str(lake_pico)]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["channels"]) == (578, 771, 3)
    assert (facts["quality"], facts["model_installed"]) == (60, True)
    assert sum(facts["tiles"].values()) == 4
    assert facts["bytes"] == lake_pico.stat().st_size
    assert facts["exif_bytes"] == 5_086


def test_info_for_people_goes_on_after_a_bad_file(
    small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pico").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["info", str(tmp_path / "bad.pico"), str(small_pico)]) == 1
    output = capsys.readouterr()
    assert "40 x 30, grey" in output.out
    assert "lossless" in output.out
    assert "bad.pico" in output.err


def test_verify_names_the_damaged_file_only(
    lake_pico: Path, small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(lake_pico.read_bytes())
    content[-1000] ^= 1
    (tmp_path / "flipped.pico").write_bytes(content)
    assert main(["verify", str(tmp_path / "flipped.pico"), str(small_pico)]) == 1
    output = capsys.readouterr()
    assert output.out == f"{small_pico}: fine\n"
    assert "flipped.pico" in output.err


@pytest.mark.parametrize("command", ["info", "verify"])
def test_looking_into_files_never_imports_torch(command: str, lake_pico: Path) -> None:
    program = (
        "import sys; from pico_codec.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 10 * ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command, str(lake_pico)], capture_output=True, check=False
    )
    assert done.returncode == 0


def test_leftovers_go_and_files_at_work_stay(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.pico-part").write_bytes(b"left by a killed process")
    (tmp_path / "photo.pico-part").write_bytes(b"not hidden, so not ours")
    with (tmp_path / ".fedcba9876543210.pico-part").open("wb") as at_work:
        fcntl.flock(at_work, fcntl.LOCK_EX)
        assert remove_leftovers(tmp_path) == 1
        left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".fedcba9876543210.pico-part", "photo.pico-part"]


def test_partial_file_vanishes_unless_published(tmp_path: Path) -> None:
    def write_half_and_fail() -> None:
        with partial_file(tmp_path) as partial:
            partial.stream.write(b"half")
            assert partial.path.parent == tmp_path
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half_and_fail()
    assert not list(tmp_path.iterdir())
    with partial_file(tmp_path) as partial:
        partial.stream.write(b"whole")
        partial.publish(tmp_path / "file", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"whole")]


def test_partial_file_never_replaces_what_appeared_meanwhile(tmp_path: Path) -> None:
    with partial_file(tmp_path) as partial:
        partial.stream.write(b"late")
        (tmp_path / "file").write_bytes(b"first")
        with pytest.raises(FileExistsError):
            partial.publish(tmp_path / "file", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"first")]


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="needs a name for the standard input")
def test_picture_from_a_pipe_is_not_compared_with_its_size(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((40, 30)).save(tmp_path / "small.png")
    command = [
        sys.executable,
        "-m",
        "pico_codec",
        "encode",
        "--lossless",
        "/dev/stdin",
        tmp_path / "out.pico",
    ]
    with subprocess.Popen(["cat", tmp_path / "small.png"], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(command, stdin=cat.stdout, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bits a pixel" in done.stdout
    assert "source" not in done.stdout


def test_bytes_behind_a_picture_are_told_of_and_refused_by_verify(
    small_pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = tmp_path.joinpath("longer.pico")
    longer.write_bytes(small_pico.read_bytes() + b"tail")
    out = tmp_path.joinpath("longer.png")
    assert main(["decode", str(longer), str(out)]) == 0
    note = f"{longer}: note: 4 bytes follow the end of the picture; not read"
    assert note in capsys.readouterr().err
    assert np.array_equal(np.asarray(Image.open(out)), decode(small_pico.read_bytes())[..., 0])
    assert main(["info", "--json", str(longer)]) == 0
    told = capsys.readouterr()
    assert note in told.err
    assert json.loads(told.out)[0]["trailing_bytes"] == 4
    assert main(["verify", str(longer)]) == 1
    assert "4 bytes follow the end of the picture" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="4 bytes follow"):
        assert np.array_equal(decode(longer.read_bytes()), decode(small_pico.read_bytes()))
