"""What is said of bytes and of originals is so: on the disk, and now."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from library_samples import ask, folder_of_drawings

from pico_library.cli import main
from pico_library.report.table import size

pytestmark = [
    pytest.mark.usefixtures("home", "verifier"),
    pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system's own Trash is used there"),
]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def facts(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, object]:
    capsys.readouterr()
    main([*command, "--json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_nothing_counts_as_freed_while_originals_are_there(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = taken(library)
    assert main(ask("beside", library)) == 0
    said = capsys.readouterr().out
    assert taken(library) > before
    assert f"Nothing is freed yet. Removing them would free {size(before)}." in said
    assert "All of these originals are unchanged." in said
    for command in (["status"], ["report"]):
        account = facts(capsys, *command)
        assert (account["bytes_before"], account["bytes_in_place"], account["bytes_freed"]) == (
            before,
            before,
            0,
        )
        assert account["bytes_after"] == taken(library) - before


def test_what_lies_in_the_trash_waits_until_that_is_emptied(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = taken(library)
    assert main(ask("replace", library)) == 0
    assert f"In the Trash: empty it to free {size(before)}." in capsys.readouterr().out
    account = facts(capsys, "status")
    assert (account["bytes_in_trash"], account["bytes_freed"]) == (before, 0)
    shutil.rmtree(Path(os.environ["XDG_DATA_HOME"]) / "Trash")
    account = facts(capsys, "status")
    assert (account["bytes_in_trash"], account["bytes_freed"]) == (0, before - taken(library))
    assert account["originals_now"]["gone"] == 2  # type: ignore[index]
    assert main(["undo", "1"]) == 1
    said = capsys.readouterr().err
    assert "or the Trash emptied; `pico-library restore` makes a picture from the .pico file" in said
    assert "disk connected" not in said


def test_freed_is_what_the_disk_has_more_room_for(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = taken(library)
    assert main(ask("delete", library)) == 0
    freed = before - taken(library)
    assert f"Freed: {size(freed)}." in capsys.readouterr().out
    assert facts(capsys, "report")["bytes_freed"] == freed


def test_status_looks_where_each_original_is(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ask("beside", library)) == 0
    (library / "0.png").unlink()
    (library / "1.png").write_bytes(b"edited")
    now = facts(capsys, "status")["originals_now"]
    assert (now["gone"], now["changed"], now["in-place"]) == (1, 1, 0)  # type: ignore[index]
    main(["status"])
    said = capsys.readouterr().out
    assert "1 changed, or replaced by another file, since" in said
    assert "1 gone: deleted by somebody else" in said
    shutil.rmtree(library)
    assert facts(capsys, "status")["originals_now"]["away"] == 2  # type: ignore[index]


def test_archive_whose_disk_is_away_is_no_deletion(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ask("archive", library)) == 0
    assert facts(capsys, "status")["originals_now"]["in-archive"] == 2  # type: ignore[index]
    (tmp_path / "archive").rename(tmp_path / "unplugged")
    account = facts(capsys, "status")
    assert (account["originals_now"]["away"], account["bytes_freed"]) == (2, 0)  # type: ignore[index]


def test_second_run_says_nothing_of_an_original_that_it_did_not_look_at(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ask("beside", library)) == 0
    (library / "0.png").unlink()
    capsys.readouterr()
    assert main(ask("beside", library)) == 3
    assert "as it was" not in capsys.readouterr().out


def test_what_is_left_alone_is_known_by_name_and_size(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, length in (("clip.mov", 5000), ("raw.dng", 7000)):
        (library / name).write_bytes(bytes(length))
    capsys.readouterr()
    assert main(["shrink", str(library), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["photos"]
    sizes = {Path(row["path"]).name: (row["reason"], row["before"]) for row in rows if row["reason"]}
    assert sizes == {"clip.mov": ("video", 5000), "raw.dng": ("raw", 7000)}
    report = facts(capsys, "report")
    assert report["bytes_skipped"] == 12_000
    main(["report", "--csv"])
    assert f"{library / 'raw.dng'},skipped,raw,7000," in capsys.readouterr().out
