"""`pico-library shrink`: what it saves, what it refuses, and above all that no original is ever harmed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pico_codec.files import partial_file
from pico_codec.source import read_source_file
from pico_core import PicoFile, encode
from pico_core.errors import CorruptError
from pico_library.cli import main
from pico_library.scan import Photo, scan
from pico_library.shrink import CheckError, Saved, check, largest_block_error
from pico_library.table import MOST_ROWS, savings_table, size

EXIF_DATE = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x012\0\x02\0\0\0\x14\0\0\0\x1a\0\0\0\x002021:06:05 04:03:02\0"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pico_library", "shrink", *map(str, arguments)]


def pico_library(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Name, content, time and access rights of every file that is not a .pico file."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pico"
    }


@pytest.fixture(scope="module")
def scene(samples: Path) -> Image.Image:
    """A piece of a real photo, small enough to encode in a moment."""
    with Image.open(samples / "lake.jpg") as photo:
        return photo.crop((60, 60, 252, 188)).convert("RGB")


@pytest.fixture
def library(tmp_path: Path, scene: Image.Image) -> Path:
    """Two photos, one in a subfolder, with dates of their own."""
    folder = tmp_path / "Photos"
    (folder / "2021").mkdir(parents=True)
    scene.save(folder / "IMG_1.jpg", quality=95, exif=EXIF_DATE)
    scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "2021" / "IMG_2.JPG", "JPEG", quality=95)
    os.utime(folder / "IMG_1.jpg", ns=(10**18, 1_622_862_182_000_000_000))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_samples_shrink_and_stay_as_they_are(samples: Path, tmp_path: Path) -> None:
    for name in ("lake.jpg", "dunes.jpg", "screenshot.png"):
        (tmp_path / name).write_bytes((samples / name).read_bytes())
    before = fingerprint(tmp_path)
    done = pico_library(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert fingerprint(tmp_path) == before
    assert sorted(path.name for path in tmp_path.glob("*.pico")) == [
        f"{name}.pico" for name in sorted(before)
    ]
    for name in before:
        source = read_source_file(tmp_path / name)
        with PicoFile(tmp_path / f"{name}.pico") as file:
            assert file.metadata == source.metadata
            assert (file.height, file.width, file.channels) == source.pixels.shape
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["file", "before", "after", "saved"]
    assert [line.split()[0] for line in lines[2:5]] == sorted(before)
    total = sum((tmp_path / f"{name}.pico").stat().st_size for name in before)
    assert lines[6].startswith("3 photos")
    assert size(total) in lines[6]


def test_time_and_access_rights_are_kept(library: Path) -> None:
    (library / "IMG_1.jpg").chmod(0o600)
    assert main(["shrink", str(library)]) == 0
    original, shrunk = (library / name for name in ("IMG_1.jpg", "IMG_1.jpg.pico"))
    assert shrunk.stat().st_mtime_ns == original.stat().st_mtime_ns == 1_622_862_182_000_000_000
    assert shrunk.stat().st_mode == original.stat().st_mode
    with PicoFile(shrunk) as file:
        assert file.metadata.exif == EXIF_DATE


def test_dry_run_writes_nothing_and_tells_the_same(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = sorted(library.rglob("*"))
    assert main(["shrink", "--dry-run", str(library)]) == 0
    forecast = capsys.readouterr().out
    assert sorted(library.rglob("*")) == everything
    assert "Nothing was written" in forecast
    assert main(["shrink", str(library)]) == 0
    assert capsys.readouterr().out.splitlines()[:6] == forecast.splitlines()[:6]


def test_second_run_does_nothing(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library)]) == 0
    first = {path: path.stat().st_ino for path in library.rglob("*.pico")}
    assert len(first) == 2
    capsys.readouterr()
    assert main(["shrink", str(library)]) == 0
    assert {path: path.stat().st_ino for path in library.rglob("*.pico")} == first
    assert "2  already has a .pico file" in capsys.readouterr().out


def test_output_folder_mirrors_the_library(library: Path, tmp_path: Path) -> None:
    before = sorted(library.rglob("*"))
    assert main(["shrink", str(library), "--output", str(tmp_path / "small")]) == 0
    assert sorted(library.rglob("*")) == before
    written = [path.relative_to(tmp_path / "small") for path in (tmp_path / "small").rglob("*.pico")]
    assert sorted(written) == [Path("2021/IMG_2.JPG.pico"), Path("IMG_1.jpg.pico")]


def test_every_skipped_file_is_counted_with_its_reason(
    library: Path, scene: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    (library / "notes.txt").write_text("x")
    (library / "renamed.jpg").write_text("not a picture")
    (library / ".hidden.jpg").write_text("passed over")
    (library / "link.jpg").symlink_to("IMG_1.jpg")
    scene.save(library / "tiny.webp", quality=0)
    scene.convert("CMYK").save(library / "print.jpg")
    Image.new("I;16", (9, 9)).save(library / "deep.png")
    frames = [Image.new("L", (9, 9), level) for level in (0, 200)]
    frames[0].save(library / "moving.webp", save_all=True, append_images=frames[1:])
    scene.save(library / "two.jpg", "MPO", save_all=True, append_images=frames)
    (library / "motion.jpg").write_bytes((library / "IMG_1.jpg").read_bytes() + b"ftypmp42" * 10_000)
    before = fingerprint(library)
    assert main(["shrink", str(library)]) == 0
    assert fingerprint(library) == before
    assert len(list(library.rglob("*.pico"))) == 2
    output = capsys.readouterr().out
    assert "Skipped 9:" in output
    for line in (
        "1  not a JPEG, PNG or WebP picture",
        "1  not a picture in a format that Pillow reads",
        "1  symbolic link",
        "1  would save under 10 %",
        "1  CMYK or another colour space",
        "1  more than 8 bits a sample",
        "1  animation or several pages",
        "2  holds more than a photo",
    ):
        assert line in output


def test_broken_file_does_not_end_the_run(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (library / "IMG_1.jpg").read_bytes()
    (library / "AAA_cut.jpg").write_bytes(whole[: len(whole) // 2])
    (library / "AAB_empty.jpg").write_bytes(b"")
    (library / "AAC_garbled.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + bytes(40))
    before = fingerprint(library)
    assert main(["shrink", str(library)]) == 1
    assert fingerprint(library) == before
    assert sorted(path.name for path in library.rglob("*.pico")) == ["IMG_1.jpg.pico", "IMG_2.JPG.pico"]
    output = capsys.readouterr()
    assert f"pico-library: {library / 'AAA_cut.jpg'}: image file is truncated" in output.err
    assert "Failed" in output.out


def test_original_survives_full_disk(small_disk: Path, samples: Path) -> None:
    for name in ("IMG_1.jpg", "IMG_2.jpg"):
        (small_disk / name).write_bytes((samples / "flowers.jpg").read_bytes())
    room = os.statvfs(small_disk)
    (small_disk / "other.bin").write_bytes(bytes(room.f_bavail * room.f_frsize - 8192))
    before = fingerprint(small_disk)
    done = pico_library(small_disk)
    assert done.returncode == 1
    assert "no space left on device" in done.stderr
    assert "the disk is full; free some space and run again (1 left)" in done.stderr
    assert fingerprint(small_disk) == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["IMG_1.jpg", "IMG_2.jpg", "other.bin"]


def test_folder_without_write_access_is_named(small_disk: Path, scene: Image.Image) -> None:
    scene.save(small_disk / "IMG_1.jpg", quality=95)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = fingerprint(small_disk)
    done = pico_library(small_disk)
    assert done.returncode == 1
    assert f"cannot write in {small_disk} (Read-only file system)" in done.stderr
    assert fingerprint(small_disk) == before
    assert [path.name for path in small_disk.iterdir()] == ["IMG_1.jpg"]


def wait_for_partial_file(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(".*.pico-part")):
        assert time.monotonic() < deadline, "the run never began to write"
        time.sleep(0.005)


def test_killed_run_leaves_no_litter_after_the_next(library: Path) -> None:
    before = fingerprint(library)
    with subprocess.Popen(command(library), stdout=subprocess.DEVNULL) as run:
        wait_for_partial_file(library / "2021")
        run.kill()
    assert list(library.rglob("*.pico-part")), "the kill came too late to test anything"
    assert pico_library(library).returncode == 0
    assert fingerprint(library) == before
    assert len(list(library.rglob("*.pico"))) == 2


def test_interrupted_run_keeps_what_it_saved(library: Path) -> None:
    with subprocess.Popen(command(library), stdout=subprocess.PIPE, text=True) as run:
        wait_for_partial_file(library / "2021")
        run.send_signal(signal.SIGINT)
        output = run.communicate()[0]
    assert run.returncode == 130
    assert "Stopped early" in output
    assert not list(library.rglob("*.pico-part"))
    for path in library.rglob("*.pico"):
        with PicoFile(path) as file:
            file.verify()


def test_two_runs_at_once_get_along(library: Path) -> None:
    runs = [subprocess.Popen(command(library), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert sorted(path.name for path in library.rglob("*.pico*")) == ["IMG_1.jpg.pico", "IMG_2.JPG.pico"]


def test_missing_path_is_exit_code_2_and_nothing_is_done(library: Path) -> None:
    assert main(["shrink", str(library), str(library / "missing")]) == 2
    assert main(["shrink", str(library), "--quality", "-1"]) == 2
    assert main(["shrink"]) == 2
    assert not list(library.rglob("*.pico"))


def test_file_found_twice_is_shrunk_once(library: Path) -> None:
    found = scan([library, library / "2021", library / "IMG_1.jpg"])
    assert [photo.path.name for photo in found.photos] == ["IMG_1.jpg", "IMG_2.JPG"]


def test_scan_needs_no_torch(library: Path) -> None:
    program = (
        "import sys; from pico_library.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 10 * ('torch' in sys.modules))"
    )
    (library / "IMG_1.jpg").unlink()
    (library / "2021" / "IMG_2.JPG").unlink()
    assert (
        subprocess.run([sys.executable, "-c", program, "shrink", str(library)], check=False).returncode == 0
    )


def test_check_refuses_other_metadata_size_or_content(library: Path) -> None:
    source = read_source_file(library / "IMG_1.jpg")
    copies = {
        "metadata": encode(source.pixels, lossless=True),
        "instead of": encode(source.pixels[:-1], lossless=True, metadata=source.metadata),
    }
    for message, content in copies.items():
        with partial_file(library) as partial:
            partial.stream.write(content)
            partial.sync()
            with pytest.raises(CheckError, match=message):
                check(partial.path, source)
    flipped = bytearray(encode(source.pixels, quality=0, metadata=source.metadata))
    flipped[-100] ^= 1
    with partial_file(library) as partial:
        partial.stream.write(flipped)
        partial.sync()
        with pytest.raises(CorruptError):
            check(partial.path, source)


def test_picture_that_would_not_look_alike_is_left_alone(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a limit that no lossy coding keeps, every photo is such a picture."""
    monkeypatch.setattr("pico_library.shrink.LARGEST_BLOCK_ERROR", 0.01)
    before = sorted(library.rglob("*"))
    assert main(["shrink", str(library)]) == 0
    assert sorted(library.rglob("*")) == before
    assert "2  would not look like the original" in capsys.readouterr().out


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 4), st.integers(25, 100))
def test_block_error_ignores_grain_and_sees_a_wrong_block(w: int, h: int, channels: int, shift: int) -> None:
    random = np.random.default_rng(w + 71 * h)
    flat = np.full((h, w, channels), 128, np.uint8)
    assert largest_block_error(flat, flat) == 0
    grain = (flat + random.integers(-3, 4, flat.shape)).astype(np.uint8)
    assert largest_block_error(grain, flat) <= 3
    wrong = flat.copy()
    top, left = (h - 1) // 32 * 16, (w - 1) // 32 * 16
    wrong[top : top + 32, left : left + 32] += np.uint8(shift)
    assert largest_block_error(wrong, flat) > 24


def test_table_of_many_files_shows_those_that_saved_most() -> None:
    saved = [
        Saved(Photo(Path(f"a/{n:04}.jpg"), Path("x")), before=10_000 + n, after=1000)
        for n in range(MOST_ROWS + 9)
    ]
    lines = savings_table(saved).splitlines()
    assert lines[2].startswith("0048.jpg")
    assert "... and 9 more" in lines[MOST_ROWS + 2]
    assert lines[-1].startswith("49 photos")
    assert len({len(line) for line in lines if "kB" in line}) == 1, "columns line up"


def test_table_never_sends_control_characters_to_the_terminal() -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m\n.jpg")
    table = savings_table([Saved(Photo(Path(name), Path("x")), 100, 50)])
    assert "caf??[31m?.jpg" in table
    table.encode()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_499, "999.5 kB"),
        (999_999, "1.0 MB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size(count) == text
