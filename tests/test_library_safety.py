"""Whatever breaks, and wherever: the original or a verified .pico file exists, and the next run leaves no litter."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from library_samples import (
    ENDINGS,
    ask,
    check_that_the_next_run_finishes,
    command,
    drawing,
    files_below,
    fingerprint,
    folder_of_drawings,
    journal_of,
    nothing_is_lost,
    pico_library,
)

from pico_library import photo as pipeline
from pico_library.cli import main
from pico_library.model.faults import VARIABLE, Step
from pico_library.model.records import Original

BEFORE_THE_NAME = [step for step in Step if step not in (Step.COPIED, Step.RESTORED)][:6]
AFTER_IT = [Step.PUBLISHED, Step.RECORDED, Step.MOVED]
pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


@pytest.fixture
def small_disk(disk_of: Callable[[int], Path]) -> Path:
    """A folder on a file system of its own, of 512 kB."""
    return disk_of(512)


@contextlib.contextmanager
def led_to_the_archive(how: str, library: Path) -> Iterator[None]:
    """Photos whose originals are archived are put back by a way that only leads to the archive."""
    archived = library.parent.joinpath("archive", *library.parts[1:])
    if how == "links":
        for path in archived.iterdir():
            (library / path.name).symlink_to(path)
        yield
        return
    for path in library.iterdir():
        path.rename(archived / path.name)
    if how == "linked folder":
        library.rmdir()
        library.symlink_to(archived)
        yield
        return
    try:
        subprocess.run(["mount", "--bind", str(archived), str(library)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(library)], check=True)


@pytest.mark.parametrize(
    ("mode", "step"),
    [("delete", step) for step in BEFORE_THE_NAME]
    + [(mode, step) for mode in ENDINGS for step in AFTER_IT]
    + [(mode, Step.COPIED) for mode in ("archive", "replace")]
    + [("beside", Step.PUBLISHED)],
)
def test_killed_anywhere_nothing_is_lost_and_the_next_run_finishes(
    mode: str, step: Step, library: Path
) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    done = pico_library(*ask(mode, library), **{VARIABLE: f"{step}=kill"})
    if step is Step.DECODING:
        assert done.returncode == 1, "only the verifier died; the run goes on and tells"
        assert "died over this one twice" in done.stderr
    else:
        assert done.returncode == -signal.SIGKILL, done.stderr
    if step not in (Step.MOVED,):
        assert {path: path.read_bytes() for path in before if path.exists()} == before, (
            "an original left early"
        )
    check_that_the_next_run_finishes(mode, library, before)


@pytest.mark.parametrize("code", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("step", [*BEFORE_THE_NAME, *AFTER_IT, Step.COPIED])
def test_error_anywhere_loses_nothing(
    step: Step, code: str, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    monkeypatch.setenv(VARIABLE, f"{step}={code}")
    if step is Step.DECODING:  # a verifier that was born with the fault
        assert pico_library(*ask("archive", library)).returncode == 1
    else:
        assert main(ask("archive", library)) == 1
        assert capsys.readouterr().err
    assert not list(library.rglob("*.pico-part"))
    if step in BEFORE_THE_NAME:
        assert files_below(library) == ["0.png", "1.png"]
    monkeypatch.delenv(VARIABLE)
    check_that_the_next_run_finishes("archive", library, before)


def test_name_taken_after_a_kill_does_not_hide_where_the_original_went(library: Path) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    assert pico_library(*ask("archive", library), **{VARIABLE: "moved=kill"}).returncode == -signal.SIGKILL
    (gone,) = [path for path in before if not path.exists()]
    drawing(gone, 88)
    assert main(ask("archive", library)) == 0
    assert gone.exists()
    assert main(["undo", "1"]) == 1, "its place is taken"
    archived = [path for path in (library.parent / "archive").rglob("*.png") if path.name == gone.name]
    assert [path.read_bytes() for path in archived] == [before[gone]]


@pytest.mark.parametrize("how", ["links", "linked folder", "bound folder"])
def test_undo_never_takes_a_link_for_the_original(
    how: str, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    assert main(ask("archive", library)) == 0
    with led_to_the_archive(how, library):
        there = files_below(library.parent)
        assert main(["undo", "1"]) == 1
        assert files_below(library.parent) == there
        assert sorted(path.name for path in library.glob("*.pico")) == ["0.png.pico", "1.png.pico"]
        assert "only leads to" in capsys.readouterr().err
    assert nothing_is_lost(before, library.parent / "archive")


@pytest.mark.parametrize("way", ["another name", "a copy"])
def test_undo_that_was_cut_off_between_two_files_is_finished(way: str, library: Path) -> None:
    before = fingerprint(library)
    assert main(ask("archive", library)) == 0
    for path in (library / "0.png", library / "1.png"):
        archived = journal_of(path).original_at
        assert archived is not None
        if way == "another name":
            path.hardlink_to(archived)
        else:
            path.write_bytes(archived.read_bytes())
            os.utime(path, ns=(10**18, archived.stat().st_mtime_ns))
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before
    assert files_below(library.parent / "archive") == []


def test_run_after_a_kill_never_takes_a_link_for_the_original(library: Path) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    assert pico_library(*ask("archive", library), **{VARIABLE: "moved=kill"}).returncode == -signal.SIGKILL
    (gone,) = [path for path in before if not path.exists()]
    (archived,) = (library.parent / "archive").rglob("*.png")
    gone.symlink_to(archived)
    assert main(ask("archive", library)) == 0
    assert archived.read_bytes() == before[gone]
    assert (journal_of(gone).original, journal_of(gone).original_at) == (Original.ARCHIVED, archived)


@pytest.mark.parametrize("arguments", [["shrink", "Other"], ["undo", "1"]])
def test_original_that_cannot_be_looked_for_after_a_kill_blocks_no_command(
    arguments: list[str],
    library: Path,
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its half-done move left a second copy, on a disk that is read-only since."""
    asked = ["shrink", str(library), "--jobs", "1", "--archive", str(small_disk / "archive")]
    assert pico_library(*asked, **{VARIABLE: "copied=kill"}).returncode == -signal.SIGKILL
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = fingerprint(library)
    (library.parent / "Other").mkdir()
    drawing(library.parent / "Other" / "2.png", 3)
    monkeypatch.chdir(library.parent)
    assert main(arguments) == 0
    complaint = f"{library / '0.png'}: where its original is cannot be settled now (Read-only file system)"
    assert complaint in capsys.readouterr().err
    assert fingerprint(library) == before
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert main(asked) == 0
    assert files_below(library) == ["0.png.pico", "1.png.pico"]
    assert "0.png" in files_below(small_disk)


def test_killed_while_an_original_moves_to_another_disk(library: Path, small_disk: Path) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    arguments = ["shrink", str(library), "--jobs", "1", "--archive", str(small_disk / "archive")]
    assert pico_library(*arguments, **{VARIABLE: "copied=kill"}).returncode == -signal.SIGKILL
    assert (library / "0.png").read_bytes() == before[library / "0.png"]
    assert main(arguments) == 0
    assert files_below(small_disk) == ["0.png", "1.png"]
    assert files_below(library) == ["0.png.pico", "1.png.pico"]
    assert sorted(path.read_bytes() for path in small_disk.rglob("*.png")) == sorted(before.values())


def test_archive_on_a_full_disk_leaves_the_originals(library: Path, small_disk: Path) -> None:
    before = fingerprint(library)
    room = os.statvfs(small_disk)
    (small_disk / "other.bin").write_bytes(bytes(room.f_bavail * room.f_frsize - 65_536))
    assert main(["shrink", str(library), "--jobs", "1", "--archive", str(small_disk / "archive")]) == 1
    assert fingerprint(library) == before
    assert files_below(small_disk) == ["other.bin"]
    assert journal_of(library / "0.png").original is Original.KEPT


def test_original_survives_full_disk(small_disk: Path) -> None:
    for name in ("0.png", "1.png"):
        drawing(small_disk / name)
    room = os.statvfs(small_disk)
    (small_disk / "other.bin").write_bytes(bytes(room.f_bavail * room.f_frsize))
    before = fingerprint(small_disk)
    done = pico_library(*ask("delete", small_disk))
    assert done.returncode == 1
    assert "no space left on device" in done.stderr.lower()
    assert "the disk is full; free some space and run again (1 left)" in done.stderr
    assert fingerprint(small_disk) == before
    assert files_below(small_disk) == ["0.png", "1.png", "other.bin"]


def test_folder_without_write_access_is_named(small_disk: Path) -> None:
    drawing(small_disk / "0.png")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = fingerprint(small_disk)
    done = pico_library(*ask("replace", small_disk))
    assert done.returncode == 1
    assert f"cannot write in {small_disk} (Read-only file system)" in done.stderr
    assert fingerprint(small_disk) == before
    assert files_below(small_disk) == ["0.png"]


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_place_of_the_journal_without_room_or_access_is_named(
    trouble: str, library: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(small_disk / "home"))
    (small_disk / "home").mkdir()
    room = os.statvfs(small_disk)
    (small_disk / "other.bin").write_bytes(bytes(room.f_bavail * room.f_frsize))
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = fingerprint(library)
    for arguments in (ask("delete", library), ["undo", "1"], ["status"]):
        done = pico_library(*arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert f"pico-library: {small_disk / 'home'}" in done.stderr
        assert "room" in done.stderr
    assert fingerprint(library) == before


def interrupted(mode: str, library: Path, sign: str) -> str:
    """What a run over thirty pictures prints that gets Ctrl-C as soon as there is a file of a pattern."""
    for number in range(2, 30):
        drawing(library / f"{number:02}.png", number)
    with subprocess.Popen(command(*ask(mode, library)), stdout=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while not list(library.glob(sign)):
            assert time.monotonic() < deadline, f"the run never made a file {sign}"
            time.sleep(0.005)
        run.send_signal(signal.SIGINT)
        output = run.communicate()[0]
    assert run.returncode == 130
    return output


def test_interrupted_run_finishes_the_photo_at_work(library: Path) -> None:
    output = interrupted("delete", library, "*.pico")
    assert "Stopped early" in output
    assert not list(library.rglob("*.pico-part"))
    for number in range(30):
        name = f"{number}.png" if number < 2 else f"{number:02}.png"
        assert (library / name).exists() != (library / f"{name}.pico").exists(), "neither half-done nor both"


def test_interrupted_run_tells_of_the_photo_that_was_at_work(library: Path) -> None:
    output = interrupted("archive", library, "*.pico")
    gone = [path.stem for path in library.glob("*.pico")]
    assert gone, output
    assert all(f"{name} " in output for name in gone), output
    assert f"{len(gone)} original" in output, output
    assert "Every original is as it was" not in output


def test_python_files_of_the_folder_that_is_current_are_not_run(library: Path) -> None:
    (library / "calendar.py").write_text("raise SystemExit('not to be run')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pico_library", "shrink", "."],
        cwd=library,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_photo_that_was_edited_under_its_old_size_and_time_is_not_removed(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo, *_) = sorted(library.glob("*.png"))
    status = photo.stat()
    edited = photo.read_bytes()[:-1] + b"!"

    def edit(step: Step) -> None:
        if step is Step.RECORDED and photo.exists():
            photo.write_bytes(edited)
            os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))

    monkeypatch.setattr(pipeline, "reach", edit)
    assert main(["shrink", str(photo), "--delete-originals", "--yes"]) == 1
    assert photo.read_bytes() == edited
