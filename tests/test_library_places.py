"""Places that take no file: full disks are named, and what can be no folder is found out before the work."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from library_samples import drawing, files_below, fingerprint, folder_of_drawings
from watching import is_done, order, watching

from pico_library.cli import main
from pico_library.model.faults import VARIABLE
from pico_library.model.photo import Photo
from pico_library.model.settings import Mode
from pico_library.outcomes import Result
from pico_library.photo import Pipeline
from pico_library.store import originals

pytestmark = pytest.mark.usefixtures("home", "verifier")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 3)


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path / "loop"


def on_another_disk(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what lies outside a library lie on another disk."""
    link = os.link

    def refuse(source: Path, target: Path) -> None:
        if Path(source).is_relative_to(library) != Path(target).is_relative_to(library):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)


def test_full_disk_of_the_archive_is_named_with_how_many_photos_are_left(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(library)
    on_another_disk(library, monkeypatch)
    monkeypatch.setenv(VARIABLE, "copied=ENOSPC")
    archive = tmp_path / "archive"
    assert main(["shrink", str(library), "--archive", str(archive)]) == 1
    said = f"pico-library: {archive}: the disk is full; free some space and run again (2 left)\n"
    assert capsys.readouterr().err.endswith(said)
    assert fingerprint(library) == before


def test_archive_that_fills_up_is_named(
    library: Path, disk_of: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    archive = disk_of(300) / "archive"
    assert main(["shrink", str(library), "--jobs", "1", "--archive", str(archive)]) == 1
    assert files_below(archive) == ["0.png", "1.png"]
    assert f"{archive}: the disk is full; free some space and run again\n" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["beside", "output"])
def test_full_disk_of_the_pico_files_is_named_whatever_an_earlier_run_did(
    where: str,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = library if where == "beside" else tmp_path / "small"
    options = [] if where == "beside" else ["--output", str(folder)]
    assert main(["shrink", str(library), *options]) == 0
    for pico in folder.glob("*.pico"):
        pico.unlink()
    (folder / "notes.txt").touch()  # an empty folder would be taken for the place of a disk that is away
    capsys.readouterr()
    monkeypatch.setenv(VARIABLE, "written=ENOSPC")
    assert main(["shrink", str(library), *options]) == 1
    said = f"pico-library: {folder}: the disk is full; free some space and run again (2 left)\n"
    assert capsys.readouterr().err.endswith(said)


def test_full_disk_of_the_trash_is_named(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "recorded=ENOSPC")
    assert main(["shrink", str(library), "--replace"]) == 1
    said = "pico-library: the Trash: the disk is full; free some space and run again (2 left)\n"
    assert capsys.readouterr().err.endswith(said)


def test_full_disk_is_named_once_however_many_photos_were_at_work(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing(library / "3.png", 3)
    process = Pipeline.process

    def fill(pipeline: Pipeline, photo: Photo) -> Result:
        if photo.name != "0.png":
            monkeypatch.setenv(VARIABLE, "written=ENOSPC")
        return process(pipeline, photo)

    monkeypatch.setattr(Pipeline, "process", fill)
    assert main(["shrink", str(library)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "the disk is full" in line]
    assert lines == [f"pico-library: {library}: the disk is full; free some space and run again (1 left)"]


def test_watcher_names_the_disk_of_the_archive(library: Path, disk_of: Callable[[int], Path]) -> None:
    archive = disk_of(64) / "archive"
    archive.mkdir()
    wanted = order(library, settings={"mode": Mode.ARCHIVE, "archive": archive})
    with watching(wanted) as at_work:
        at_work.until(lambda: at_work.notes.said(f"the disk of {archive} is full"))
    assert is_done(library / "0.png")()


@pytest.mark.parametrize("option", ["--output", "--archive"])
@pytest.mark.parametrize("command", ["shrink", "watch --once", "watch --install"])
def test_file_in_the_place_of_a_folder_is_named_before_the_work(
    command: str, option: str, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, why in (("file", "is no folder"), ("file/below", "lies below a file")):
        assert main([*command.split(), str(library), option, str(tmp_path / path)]) == 2
        said = f"pico-library: {tmp_path / path}: {why}; choose another folder with {option}\n"
        assert capsys.readouterr() == ("", said)
    assert files_below(library) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    "words",
    ["shrink --output", "shrink --archive", "watch --once --output", "watch --archive", "restore --output"],
)
def test_link_that_leads_to_itself_is_named_before_the_work(
    words: str, library: Path, loop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), str(loop / "small"), str(library)]) == 2
    option = words.split()[-1]
    said = f"{loop / 'small'}: a link on the way there leads to itself; choose another folder with {option}"
    assert capsys.readouterr() == ("", f"pico-library: {said}\n")


@pytest.mark.parametrize("words", ["shrink", "restore", "verify", "view", "watch", "report --html"])
def test_path_whose_link_leads_to_itself_is_named(
    words: str, loop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), str(loop)]) == 1
    assert capsys.readouterr().err.startswith(f"pico-library: {loop}: ")


def test_folder_that_a_watcher_cannot_make_is_named(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Path, *_: object, **_more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("pico_library.store.places.data_folder", lambda: tmp_path)
    assert main(["watch", "--once", str(library), "--output", str(tmp_path / "small")]) == 2
    said = f"{tmp_path / 'small'}: cannot be made (Permission denied); choose another folder with --output"
    assert capsys.readouterr() == ("", f"pico-library: {said}\n")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (PureWindowsPath(r"C:\Photos\1.jpg"), ["C", "Photos", "1.jpg"]),
        (PureWindowsPath(r"\\nas\photos\2024\1.jpg"), ["nas", "photos", "2024", "1.jpg"]),
        (PureWindowsPath("\\\\?\\C:\\Photos\\1.jpg"), ["C", "Photos", "1.jpg"]),
        (PurePosixPath("/home/me/1.jpg"), ["home", "me", "1.jpg"]),
    ],
)
def test_what_goes_to_an_archive_stays_below_it_on_every_system(path: PurePath, parts: list[str]) -> None:
    assert originals.below(path) == parts
    assert type(path)("archive").joinpath(*originals.below(path)).parts[0] == "archive"


def test_folder_on_a_drive_that_is_away_is_an_error_and_no_endless_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda _: False)  # as nothing is on a drive of Windows that is away
    with pytest.raises(FileNotFoundError):
        originals.make_folder(tmp_path / "archive")
