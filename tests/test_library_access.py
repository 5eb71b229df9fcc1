"""Who may read a photo may read its .pico file and its original in the archive, and nobody else."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from library_samples import archive, ask, drawing

from pico_library.check.verifier import Verifier
from pico_library.cli import main
from pico_library.store import originals

pytestmark = [
    pytest.mark.usefixtures("home", "verifier"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such access rights"),
]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """A photo in a folder that only its owner may enter."""
    before = os.umask(0o022)
    folder = tmp_path / "Photos" / "private"
    folder.mkdir(parents=True)
    drawing(folder / "a.png")
    folder.chmod(0o700)
    yield tmp_path / "Photos"
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_that_mirrors_a_closed_one_is_closed(library: Path, tmp_path: Path) -> None:
    assert main(["shrink", str(library), "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "private" / "a.png.pico").exists()
    assert mode(tmp_path / "out" / "private") == 0o700
    assert mode(tmp_path / "out") == 0o755


def test_folder_in_an_archive_is_closed_as_the_one_that_its_originals_come_from(library: Path) -> None:
    assert main(archive(library)) == 0
    folder = (library.parent / "archive").joinpath(*(library / "private").parts[1:])
    assert (folder / "a.png").exists()
    assert mode(folder) == 0o700
    assert mode(folder.parent) == mode(library)


def test_nobody_else_may_read_a_pico_file_before_it_is_done(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (library / "private" / "a.png").chmod(0o600)
    check, seen = Verifier.check_against, []

    def look(self: Verifier, target: Path, original: Path, *, keep_extras: bool = False) -> object:
        seen.append(mode(target))
        return check(self, target, original, keep_extras=keep_extras)

    monkeypatch.setattr(Verifier, "check_against", look)
    assert main(ask("beside", library)) == 0
    assert seen == [0o600]
    assert mode(library / "private" / "a.png.pico") == 0o600


def test_photo_that_root_moves_to_another_disk_and_back_stays_its_owners(
    library: Path, disk_of: Callable[[int], Path]
) -> None:
    disk = disk_of(512)
    photo = library / "private" / "a.png"
    photo.chmod(0o640)
    os.chown(photo, 1234, 2345)
    os.chown(photo.parent, 1234, 2345)
    assert main(["shrink", str(library), "--archive", str(disk / "archive")]) == 0
    (archived,) = disk.rglob("a.png")
    for path in (archived, archived.parent, photo.with_name("a.png.pico")):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)
    assert main(["undo", "1"]) == 0
    assert (photo.stat().st_uid, photo.stat().st_gid, mode(photo)) == (1234, 2345, 0o640)


def test_folder_without_a_counterpart_is_made_as_any_other(tmp_path: Path, library: Path) -> None:
    originals.make_folder(tmp_path / "x" / "private" / "deep", library / "private")
    assert mode(tmp_path / "x" / "private" / "deep") == 0o755
