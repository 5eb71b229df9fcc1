"""`pico-library shrink`: what it saves, what it refuses, and above all that no original is ever harmed."""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from library_samples import (
    EXIF_DATE,
    drawing,
    fingerprint,
    journal_of,
    nothing_is_lost,
    one_verifier,
    pico_library,
)
from library_samples import scene as piece_of_a_photo
from PIL import Image
from tqdm import tqdm

from pico_codec import origin
from pico_codec.source import read_source_file
from pico_core import PicoFile, encode
from pico_library.cli import main
from pico_library.commands import shrink
from pico_library.model.reasons import Reason
from pico_library.model.records import Identity, Original, Outcome, Record
from pico_library.report.table import MOST_ROWS, savings_table, size
from pico_library.store.memory import BASE_BYTES
from pico_library.store.scan import scan


@pytest.fixture(scope="module", autouse=True)
def _verifier() -> Iterator[None]:
    with one_verifier():
        yield


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def scene(samples: Path) -> Image.Image:
    return piece_of_a_photo(samples)


@pytest.fixture
def library(tmp_path: Path, scene: Image.Image) -> Path:
    """Two photos, one in a subfolder, with dates of their own."""
    folder = tmp_path / "Photos"
    (folder / "2021").mkdir(parents=True)
    scene.save(folder / "IMG_1.jpg", quality=95, exif=EXIF_DATE)
    scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "2021" / "IMG_2.JPG", "JPEG", quality=95)
    os.utime(folder / "IMG_1.jpg", ns=(10**18, 1_622_862_182_000_000_000))
    return folder


def tag(photo: Path) -> bool:
    """Give a photo a tag; whether its disk can hold one."""
    try:
        os.setxattr(photo, "user.xdg.tags", b"grandma")
    except OSError:
        return False
    return True


def test_samples_shrink_and_stay_as_they_are(samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Photos"
    folder.mkdir()
    for name in ("lake.jpg", "mountain.jpg", "screenshot.png"):
        (folder / name).write_bytes((samples / name).read_bytes())
    before = fingerprint(folder)
    done = pico_library("shrink", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert fingerprint(folder) == before
    assert sorted(path.name for path in folder.glob("*.pico")) == [f"{name}.pico" for name in sorted(before)]
    for name in before:
        source = read_source_file(folder / name)
        with PicoFile(folder / f"{name}.pico") as file:
            assert origin.parted(file.metadata)[0] == source.metadata
            assert (file.height, file.width, file.channels) == source.pixels.shape
            assert file.quality == 60, "it looks right without a raise"
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["file", "original", ".pico", "smaller", "difference"]
    assert [line.split()[0] for line in lines[2:5]] == sorted(before)
    total = sum((folder / f"{name}.pico").stat().st_size for name in before)
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


def test_dry_run_leaves_out_what_would_not_look_alike(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["shrink", "--json", "--max-difference", "0.001", str(library)]
    assert main([*asked, "--dry-run"]) == 0
    forecast = json.loads(capsys.readouterr().out)
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == forecast["skipped"]
    assert str(Reason.UNLIKE) in forecast["skipped"]


def test_second_run_does_nothing(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library)]) == 0
    first = {path: path.stat().st_ino for path in library.rglob("*.pico")}
    assert len(first) == 2
    capsys.readouterr()
    assert main(["shrink", str(library)]) == 3
    assert {path: path.stat().st_ino for path in library.rglob("*.pico")} == first
    assert "Nothing to do: 2 photos, all as an earlier run left them." in capsys.readouterr().out


def test_no_original_goes_whose_pico_file_looks_worse_than_this_run_allows(library: Path) -> None:
    photo = library / "IMG_1.jpg"
    assert main(["shrink", str(photo), "--quality", "0", "--max-difference", "2"]) == 0
    made = journal_of(photo)
    assert made.score is not None
    assert made.score > 0.05
    before = fingerprint(library)
    strict = ["shrink", str(photo), "--quality", "90", "--max-difference", "0.05"]
    assert main([*strict, "--delete-originals", "--yes"]) == 0
    assert fingerprint(library) == before
    record = journal_of(photo)
    assert (record.outcome, record.reason) == (Outcome.SKIPPED, Reason.TOO_UNLIKE)
    assert record.target_digest == made.target_digest
    lenient = ["--quality", "0", "--max-difference", "2"]
    assert main(["shrink", str(photo), "--delete-originals", "--yes", *lenient]) == 0
    assert not photo.exists(), "as the owner wants it"


@pytest.mark.parametrize("maker", ["an earlier run", "another program"])
def test_date_rights_and_tags_of_today_are_kept_when_the_pico_file_was_there(
    maker: str, library: Path
) -> None:
    photo = drawing(library / "0.png")
    target = library / "0.png.pico"
    if maker == "an earlier run":
        assert main(["shrink", str(photo)]) == 0
    else:
        source = read_source_file(photo)
        target.write_bytes(encode(source.pixels, metadata=source.metadata))
    os.utime(photo, ns=(10**18, 1_000_000_000_000_000_000))
    photo.chmod(0o600)
    tagged = tag(photo)
    assert main(["shrink", str(photo), "--delete-originals", "--yes"]) == 0
    assert not photo.exists()
    assert main(["restore", str(target)]) == 0
    status = photo.stat()
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (1_000_000_000_000_000_000, 0o600)
    assert not tagged or os.getxattr(photo, "user.xdg.tags") == b"grandma"


def test_original_whose_tags_a_pico_file_that_was_there_cannot_take_stays(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = drawing(library / "0.png")
    assert main(["shrink", str(photo)]) == 0
    if not tag(photo):
        pytest.skip("this disk has no extended attributes")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", refuse)
        assert main(["shrink", str(photo), "--delete-originals", "--yes"]) == 0
        assert photo.exists()
        assert journal_of(photo).reason == Reason.ATTRIBUTES
    os.setxattr(library / "0.png.pico", "user.xdg.tags", b"grandma")
    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", refuse)
        assert main(["shrink", str(photo), "--delete-originals", "--yes", "--min-saving", "0"]) == 0
        assert not photo.exists(), "what is there need not be given"


@pytest.mark.parametrize("trouble", ["disk", "memory"])
def test_passing_trouble_makes_no_photo_changed_since(
    trouble: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = drawing(library / "0.png")
    before = {photo: photo.read_bytes()}
    assert main(["shrink", str(photo)]) == 0
    opened = os.open

    def refuse(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path) == photo:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, flags, mode)

    archive = ["shrink", str(photo), "--archive", str(library.parent / "archive")]
    with monkeypatch.context() as patch:
        if trouble == "disk":
            patch.setattr(os, "open", refuse)
            assert main(archive) == 1
        else:
            assert main([*archive, "--max-memory", str(BASE_BYTES + 1)]) == 0
    assert journal_of(photo).outcome is not Outcome.SAVED
    assert photo.exists()
    assert main(["undo", "2"]) == 3, "that run did nothing with it"
    assert main(archive) == 0
    assert (journal_of(photo).outcome, journal_of(photo).original) == (Outcome.SAVED, Original.ARCHIVED)
    assert nothing_is_lost(before, library.parent)


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
    (library / ".hidden.jpg").write_text("passed over")
    (library / "link.jpg").symlink_to("IMG_1.jpg")
    scene.save(library / "tiny.webp", quality=0)
    scene.convert("CMYK").save(library / "print.jpg")
    Image.new("I;16", (9, 9)).save(library / "deep.png")
    frames = [Image.new("L", (9, 9), level) for level in (0, 200)]
    frames[0].save(library / "moving.webp", save_all=True, append_images=frames[1:])
    scene.save(library / "two.jpg", "MPO", save_all=True, append_images=frames)
    (library / "motion.jpg").write_bytes(
        (library / "IMG_1.jpg").read_bytes() + b"\0\0\0\x18ftypmp42" * 10_000
    )
    os.mkfifo(library / "pipe.jpg")
    before = fingerprint(library)
    assert main(["shrink", str(library), "--skip-extras"]) == 0
    assert fingerprint(library) == before
    assert len(list(library.rglob("*.pico"))) == 2
    output = capsys.readouterr().out
    assert "Skipped 8 (" in output
    assert "No photos 1 (1 B):" in output
    assert "By name: pico-library report 1 --csv" in output
    for line in (
        "1  no picture",
        "1  symbolic link",
        "1  would save too little",
        "1  CMYK or another colour space",
        "1  more than 8 bits a sample",
        "1  animation or several pages",
        "1  holds further pictures",
        "1  motion photo: a video follows the picture",
        "1  a pipe, socket or device",
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
    assert f"{library / 'AAB_empty.jpg'}: the file is empty; restore it from a copy" in output.err
    assert f"{library / 'AAC_garbled.png'}: cannot be read as a picture" in output.err
    assert "Failed 3:" in output.out


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
        "sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    (library / "IMG_1.jpg").unlink()
    (library / "2021" / "IMG_2.JPG").unlink()
    asked = [sys.executable, "-c", program, "shrink", str(library)]
    assert subprocess.run(asked, check=False).returncode == 3


def saved_photo(path: Path, before: int, after: int) -> Record:
    return Record(path, Identity(1, 2, before, 3), Outcome.SAVED, before=before, after=after)


def test_table_of_many_files_shows_those_that_saved_most() -> None:
    saved = [saved_photo(Path(f"a/{n:04}.jpg"), 10_000 + n, 1000) for n in range(MOST_ROWS + 9)]
    lines = savings_table(saved).splitlines()
    assert lines[2].startswith("0048.jpg")
    assert "... and 9 more" in lines[MOST_ROWS + 2]
    assert lines[-1].startswith("49 photos")
    assert len({len(line) for line in lines if "kB" in line}) == 1, "columns line up"


def test_table_never_sends_control_characters_to_the_terminal() -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m\n.jpg")
    table = savings_table([saved_photo(Path(name), 100, 50)])
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


def test_progress_is_one_calm_line_from_its_first_moment(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    # As if the photos were done before tqdm would draw again, which happens on fast machines.
    monkeypatch.setattr(shrink, "tqdm", functools.partial(tqdm, mininterval=3600))
    assert main(["shrink", str(library), "--yes"]) == 0
    assert isinstance(sys.stderr, Terminal)
    drawn = [line.strip() for line in sys.stderr.getvalue().split("\r") if line.strip()]
    assert "\n" not in sys.stderr.getvalue()
    assert drawn[0].endswith("0 of 2 photos, originals 0 B, .pico 0 B, ? left")
    assert " kB, .pico " in drawn[-1]


def test_photo_left_alone_for_its_saving_is_tried_again_with_another_check_or_other_weights(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["shrink", str(library), "--min-saving", "99.9%"]
    main(asked)
    assert main(asked) == 3, "nothing to do"
    monkeypatch.setattr("pico_library.model.settings.CHECK", 99)
    assert main(asked) == 0
    assert main(asked) == 3
    monkeypatch.setattr("pico_core.registry.default_id", lambda: bytes(32))
    assert main(asked) != 3


def test_columns_line_up_for_names_in_any_script() -> None:
    names = ["a.jpg", "\u65e5\u672c \u65c5\u884c.jpg", "U\u0308bung.jpg"]
    lines = savings_table([saved_photo(Path(f"x/{name}"), 100, 50) for name in names]).splitlines()
    cells = {
        sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in line)
        for line in lines
    }
    assert len(cells) == 1


def test_number_that_can_be_no_size_is_asked_about(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library), "--target-size", "60"]) == 2
    assert "write 60kB or 60%" in capsys.readouterr().err
