"""The Trash takes every original, and gives each back: nothing in it is ever written over."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from library_samples import files_below

from pico_library.store.originals import OriginalError
from pico_library.store.trash import to_trash

pytestmark = [
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system's own Trash is used there"),
]


def namesakes(folder: Path, count: int) -> list[Path]:
    """Files of one name in as many folders, each with bytes of its own."""
    paths = [folder / str(number) / "IMG_0001.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"photo %d" % number)
    return paths


def test_namesakes_that_go_to_the_trash_at_once_are_all_there(tmp_path: Path) -> None:
    paths = namesakes(tmp_path / "Photos", 64)
    before = {path: path.read_bytes() for path in paths}
    starting = threading.Barrier(8)

    def trash(some: list[Path]) -> dict[Path, Path | None]:
        starting.wait()
        return {path: to_trash(path) for path in some}

    with ThreadPoolExecutor(8) as pool:
        places = [pool.submit(trash, paths[first::8]) for first in range(8)]
    found = {path: place for future in places for path, place in future.result().items()}
    assert {path: place.read_bytes() if place else None for path, place in found.items()} == before
    assert not any(path.exists() for path in paths)


def test_name_that_another_program_has_taken_in_the_trash_stays_its_own(tmp_path: Path, home: Path) -> None:
    trash = home / "share" / "Trash"
    (trash / "info").mkdir(parents=True)
    (trash / "files").mkdir()
    (trash / "info" / "IMG_0001.jpg.trashinfo").write_text("its file is on the way")
    (trash / "files" / "IMG_0001 1.jpg").write_bytes(b"its note is on the way")
    (path,) = namesakes(tmp_path / "Photos", 1)
    assert to_trash(path) == trash / "files" / "IMG_0001 2.jpg"
    assert (trash / "info" / "IMG_0001.jpg.trashinfo").read_text() == "its file is on the way"
    assert (trash / "files" / "IMG_0001 1.jpg").read_bytes() == b"its note is on the way"


def test_file_that_appears_in_the_trash_at_the_last_moment_is_not_written_over(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, link = home / "share" / "Trash" / "files", os.link

    def come_first(source: Path, target: Path) -> None:
        if target.name == "IMG_0001.jpg":
            target.write_bytes(b"another photo")
        link(source, target)

    monkeypatch.setattr(os, "link", come_first)
    (path,) = namesakes(tmp_path / "Photos", 1)
    assert to_trash(path) == files / "IMG_0001 1.jpg"
    assert (files / "IMG_0001.jpg").read_bytes() == b"another photo"
    assert files_below(home / "share" / "Trash" / "info") == ["IMG_0001 1.jpg.trashinfo"]


def test_relative_data_folder_is_no_place_for_the_trash(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    (path,) = namesakes(tmp_path / "Photos", 1)
    assert to_trash(path) == home / ".local" / "share" / "Trash" / "files" / "IMG_0001.jpg"


def test_the_trash_is_for_its_owner_only(tmp_path: Path, home: Path) -> None:
    (path,) = namesakes(tmp_path / "Photos", 1)
    to_trash(path)
    trash = home / "share" / "Trash"
    folders = (trash, trash / "files", trash / "info")
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 3


@pytest.mark.parametrize("shared", [False, True])
def test_photo_on_another_disk_goes_to_the_trash_of_that_disk(
    shared: bool, disk_of: Callable[[int], Path]
) -> None:
    disk = disk_of(512)
    if shared:
        (disk / ".Trash").mkdir()
        (disk / ".Trash").chmod(0o1777)
    user = str(os.getuid())
    wanted = disk / ".Trash" / user if shared else disk / f".Trash-{user}"
    (path,) = namesakes(disk / "Photos", 1)
    assert to_trash(path) == wanted / "files" / "IMG_0001.jpg"
    note = (wanted / "info" / "IMG_0001.jpg.trashinfo").read_text().splitlines()
    assert note[:2] == ["[Trash Info]", "Path=Photos/0/IMG_0001.jpg"]


@pytest.mark.parametrize("whose", ["a link", "another user's"])
def test_photo_on_another_disk_never_goes_to_a_trash_of_somebody_else(
    whose: str, disk_of: Callable[[int], Path]
) -> None:
    disk = disk_of(512)
    theirs, trash = disk / "theirs", disk / f".Trash-{os.getuid()}"
    theirs.mkdir()
    if whose == "a link":
        trash.symlink_to(theirs)
    else:
        trash.mkdir()
        os.chown(trash, 1234, 1234)
    (path,) = namesakes(disk / "Photos", 1)
    with pytest.raises(OriginalError, match="is a link or another user's"):
        to_trash(path)
    assert path.read_bytes() == b"photo 0"
    assert files_below(disk) == ["IMG_0001.jpg"]


def test_photo_in_a_folder_that_is_mounted_twice_is_copied_to_the_trash(
    tmp_path: Path, home: Path, disk_of: Callable[[int], Path]
) -> None:
    """The system counts it as one disk and yet renames nothing between the two."""
    disk_of(64)  # skips where one may not mount
    (path,) = namesakes(tmp_path / "Photos", 1)
    seen = tmp_path / "Seen"
    seen.mkdir()
    subprocess.run(["mount", "--bind", str(tmp_path / "Photos"), str(seen)], check=True)
    try:
        place = to_trash(seen / "0" / "IMG_0001.jpg")
        assert place is not None
        assert place.read_bytes() == b"photo 0"
        assert not path.exists()
        assert files_below(home) == ["IMG_0001.jpg", "IMG_0001.jpg.trashinfo"]
    finally:
        subprocess.run(["umount", str(seen)], check=True)
