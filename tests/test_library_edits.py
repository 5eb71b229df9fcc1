"""Photos that are edited, renamed or deleted after they were shrunk."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from library_samples import ask, drawing, files_below, folder_of_drawings, journal_of

from pico_codec import origin
from pico_core import PicoFile
from pico_library.cli import main
from pico_library.model.reasons import Reason
from pico_library.model.records import Outcome
from pico_library.store.originals import digest_of

pytestmark = [
    pytest.mark.usefixtures("home", "verifier"),
    pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system's own Trash is used there"),
]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


def made_from(pico: Path) -> bytes | None:
    with PicoFile(pico) as file:
        return origin.parted(file.metadata)[1]


def trash() -> list[Path]:
    return list((Path(os.environ["XDG_DATA_HOME"]) / "Trash" / "files").glob("*"))


def edited(photo: Path) -> Path:
    later = photo.stat().st_mtime + 10
    drawing(photo, 70)
    os.utime(photo, (later, later))
    return photo


def test_edited_photo_is_made_anew_on_request_and_the_old_file_can_be_found(library: Path) -> None:
    assert main(ask("beside", library)) == 0
    photo = edited(library / "0.png")
    old = (library / "0.png.pico").read_bytes()
    assert main(ask("beside", library)) == 0
    assert journal_of(photo).reason == Reason.CHANGED_SINCE
    assert main([*ask("beside", library), "--update"]) == 0
    assert made_from(library / "0.png.pico") == digest_of(photo)
    assert [path.read_bytes() for path in trash()] == [old]
    assert main([*ask("beside", library), "--update"]) == 3, "nothing to do"


def test_photo_of_the_name_of_one_that_left_takes_nothings_place(library: Path) -> None:
    """The .pico file is all that is left of the first one."""
    assert main(ask("delete", library)) == 0
    first = (library / "0.png.pico").read_bytes()
    drawing(library / "0.png", 70)
    main([*ask("beside", library), "--update"])
    assert (library / "0.png.pico").read_bytes() == first
    assert trash() == []


@pytest.mark.parametrize("step", ["encoded", "synced", "verified"])
def test_old_file_stays_until_the_new_one_is_verified(
    step: str, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(ask("beside", library)) == 0
    edited(library / "0.png")
    old = (library / "0.png.pico").read_bytes()
    monkeypatch.setenv("PICO_LIBRARY_FAULT", f"{step}=EIO")
    assert main([*ask("beside", library), "--update"]) == 1
    assert (library / "0.png.pico").read_bytes() == old


def test_renamed_photo_takes_its_pico_file_along(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ask("beside", library)) == 0
    inode = (library / "0.png.pico").stat().st_ino
    (library / "trip").mkdir()
    (library / "0.png").rename(library / "trip" / "sunset.png")
    assert main(ask("beside", library)) == 0
    assert files_below(library) == ["1.png", "1.png.pico", "sunset.png", "sunset.png.pico"]
    assert (library / "trip" / "sunset.png.pico").stat().st_ino == inode, "it was not encoded again"
    assert journal_of(library / "0.png").outcome is Outcome.UNDONE
    assert main(ask("beside", library)) == 3, "nothing to do"
    capsys.readouterr()
    main(["status", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert (facts["photos"]["saved"], facts["orphans"]) == (2, [])


def test_copy_of_a_photo_that_is_still_there_gets_a_file_of_its_own(library: Path) -> None:
    assert main(ask("beside", library)) == 0
    (library / "copy.png").write_bytes((library / "0.png").read_bytes())
    assert main(ask("beside", library)) == 0
    assert files_below(library) == [
        *("0.png", "0.png.pico", "1.png", "1.png.pico"),
        *("copy.png", "copy.png.pico"),
    ]


def test_pico_file_of_a_deleted_photo_is_named_by_status(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ask("beside", library)) == 0
    (library / "0.png").unlink()
    capsys.readouterr()
    assert main(["status"]) == 0
    assert str(library / "0.png.pico") in capsys.readouterr().out


def test_photo_whose_disk_is_away_was_not_renamed(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["shrink", str(library), "--output", str(out)]) == 0
    content = (library / "0.png").read_bytes()
    library.rename(tmp_path / "unplugged")
    other = folder_of_drawings(tmp_path / "Other", 0)
    (other / "copy.png").write_bytes(content)
    assert main(["shrink", str(other), "--output", str(out)]) == 0
    assert files_below(out) == ["0.png.pico", "1.png.pico", "copy.png.pico"]
