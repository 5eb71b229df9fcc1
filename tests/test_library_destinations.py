"""Folders to which .pico files and originals go: whose disk is away, that were emptied, or that lie in the Trash."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from library_samples import drawing, files_below, folder_of_drawings, journal_of
from watching import is_done, order, watching

from pico_library.cli import main
from pico_library.model.records import Original
from pico_library.model.settings import Mode
from pico_library.store import places
from pico_library.store import trash as trash_module
from pico_library.store.destinations import why_away
from pico_library.store.journal import Journal

pytestmark = pytest.mark.usefixtures("home", "verifier")

COMMANDS = ["shrink", "watch --once --settle 0.1s --priority normal"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


def take_away(folder: Path) -> Path:
    """Leave an empty folder in the place of one, as a disk does that is not mounted; return where it is now."""
    away = folder.rename(folder.with_name("away"))
    folder.mkdir()
    return away


@pytest.mark.parametrize("option", ["--archive", "--output"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_goes_into_the_empty_place_of_a_disk(
    command: str, option: str, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    asked = [*command.split(), str(library), option, str(disk / "files")]
    assert main(asked) == 0
    there = files_below(disk)
    away = take_away(disk)
    (disk / ".directory").write_text("left by a desktop")
    late = drawing(library / "late.png", 9)
    capsys.readouterr()
    assert main(asked) == 1
    said = capsys.readouterr().err
    assert f"{disk / 'files'}" in said
    assert "holds none of the 2 files that earlier runs put there; is a disk missing? If not, choose" in said
    assert files_below(disk) == [".directory"]
    assert late.exists()
    shutil.rmtree(disk)
    away.rename(disk)
    assert main(asked) == 0
    assert set(there) < set(files_below(disk))


@pytest.mark.parametrize("left", ["0.png", "1.png"])
def test_archive_that_was_emptied_in_part_is_used(left: str, library: Path, tmp_path: Path) -> None:
    asked = ["shrink", str(library), "--archive", str(tmp_path / "archive")]
    assert main(asked) == 0
    for path in (tmp_path / "archive").rglob("*.png"):
        if path.name != left:
            path.unlink()
    drawing(library / "late.png", 9)
    assert main(asked) == 0
    assert files_below(tmp_path / "archive") == [left, "late.png"]


@pytest.mark.parametrize("way", ["any file", "another folder"])
def test_archive_that_was_emptied_for_good_can_be_used(way: str, library: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    assert main(["shrink", str(library), "--archive", str(archive)]) == 0
    take_away(archive)
    late = drawing(library / "late.png", 9)
    assert main(["shrink", str(library), "--archive", str(archive)]) == 1
    if way == "any file":
        (archive / "new disk").touch()
    else:
        archive /= "new"
    assert main(["shrink", str(library), "--archive", str(archive)]) == 0
    assert journal_of(late).original is Original.ARCHIVED


def test_archive_whose_originals_are_all_back_is_used(library: Path, tmp_path: Path) -> None:
    asked = ["shrink", str(library), "--archive", str(tmp_path / "archive")]
    assert main(asked) == 0
    assert main(["undo", "1"]) == 0
    assert files_below(tmp_path / "archive") == []
    assert main(asked) == 0
    assert files_below(tmp_path / "archive") == ["0.png", "1.png"]


def test_run_that_has_nothing_to_do_needs_no_archive(library: Path, tmp_path: Path) -> None:
    asked = ["shrink", str(library), "--archive", str(tmp_path / "archive")]
    assert main(asked) == 0
    take_away(tmp_path / "archive")
    assert main(asked) == 3
    drawing(library / "late.png", 9)
    assert main([*asked, "--dry-run"]) == 0


def test_file_of_an_earlier_run_shows_that_a_disk_is_there_even_below_a_hidden_folder(
    library: Path, tmp_path: Path
) -> None:
    archive, hidden = tmp_path / "archive", library.rename(tmp_path / ".hidden")
    assert main(["shrink", str(hidden), "--archive", str(archive)]) == 0
    with Journal(places.journal_file()) as journal:
        assert why_away(archive, journal) is None
        assert why_away(tmp_path / "arch", journal) is None, "which is another folder"
        thrown_away = archive / ".Trash-1000" / "files"
        thrown_away.parent.mkdir()
        take_away(archive / tmp_path.relative_to("/") / ".hidden").rename(thrown_away)
        assert why_away(archive, journal) is not None


def test_watcher_waits_for_the_disk_of_its_archive_from_the_beginning_on(
    library: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    assert main(["shrink", str(library), "--archive", str(archive)]) == 0
    away = take_away(archive)
    late = drawing(library / "late.png", 9)
    with watching(order(library, settings={"mode": Mode.ARCHIVE, "archive": archive})) as at_work:
        at_work.until(lambda: at_work.notes.said("paused"))
        assert at_work.notes.said("is a disk missing?")
        assert files_below(archive) == []
        archive.rmdir()
        away.rename(archive)
        at_work.until(lambda: is_done(late)() and not late.exists())
    assert files_below(archive) == ["0.png", "1.png", "late.png"]


@pytest.mark.parametrize("command", COMMANDS)
def test_trash_inside_a_library_is_passed_over(
    command: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(library / "data"))
    asked = [*command.split(), str(library), "--replace"]
    assert main(asked) == 0
    assert main(asked) == 3
    assert files_below(library / "data" / "Trash" / "files") == ["0.png", "1.png"]


def test_watcher_does_not_take_photos_out_of_the_trash_again(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(library / "data"))
    with watching(order(library, settings={"mode": Mode.REPLACE})) as at_work:
        at_work.until(lambda: not (library / "1.png").exists() and at_work.is_resting)
        late = drawing(library / "late.png", 9)
        at_work.until(lambda: not late.exists() and at_work.is_resting)
        looks = at_work.watcher.looks
        at_work.watcher._hints.look_in(str(library / "data" / "Trash" / "files"))
        at_work.until(lambda: at_work.watcher.looks > looks)
        assert at_work.is_resting
    assert files_below(library / "data" / "Trash" / "files") == ["0.png", "1.png", "late.png"]


def test_folder_that_another_program_calls_trash_is_none(home: Path) -> None:
    (home / "notes" / ".trash").mkdir(parents=True)
    assert not trash_module.is_in_trash(home / "notes" / ".trash")
    assert not trash_module.is_in_trash(home / "notes" / ".trash-old" / "pictures")
    assert trash_module.is_in_trash(home / ".trash")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("trash", ["share/Trash", "share/Trash/files", "disk/.Trash-1000/files"])
def test_photos_in_the_trash_are_not_replaced(
    trash: str, command: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / trash).mkdir(parents=True)
    drawing(home / trash / "0.png")
    assert main([*command.split(), str(home / trash), "--replace"]) == 2
    assert f"{home / trash}: lies in the Trash, where its originals would go" in capsys.readouterr().err
    assert files_below(home / trash) == ["0.png"]
