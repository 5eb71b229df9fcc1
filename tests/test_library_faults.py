"""Inputs and surroundings that others stumbled over: no photo is lost, shown to strangers, or left unnamed."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from library_samples import ask, command, drawing, folder_of_drawings, journal_of

from pico_library.cli import main
from pico_library.store import places
from pico_library.store.access import copy_rights
from pico_library.store.scan import Choice, scan

pytestmark = pytest.mark.usefixtures("home", "verifier")
LIST = "system.posix_acl_access"
SOMEBODY, NO_ONE = 65534, 0xFFFFFFFF


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 2)


def give_list(path: Path) -> None:
    """Let one more user read, and not the group; then the bits of the group say what that user may."""
    entries = [(1, 6, NO_ONE), (2, 4, SOMEBODY), (4, 0, NO_ONE), (16, 4, NO_ONE), (32, 0, NO_ONE)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    path.chmod(0o600)
    try:
        os.setxattr(path, LIST, value)
    except (AttributeError, OSError):
        pytest.skip("this disk has no access control lists")


@pytest.mark.parametrize("year", [1600, 1900, 1969, 2262, 2300, 2400])
def test_time_of_any_year_is_stored_and_the_next_photo_has_its_turn(year: int, library: Path) -> None:
    when = (year - 1970) * 31_556_952 * 10**9 + 123_456_789
    os.utime(library / "0.png", ns=(when, when))
    there = (library / "0.png").stat().st_mtime_ns
    assert main(ask("beside", library)) == 0
    assert journal_of(library / "0.png").identity.mtime_ns == there
    assert (library / "0.png.pico").stat().st_mtime_ns == there
    assert (library / "1.png.pico").exists()
    assert main(ask("beside", library)) == 3, "nothing to do"


def test_access_control_list_is_copied_to_pico_file_archive_and_back(library: Path, tmp_path: Path) -> None:
    photo = library / "0.png"
    give_list(photo)
    wanted = (os.getxattr(photo, LIST), stat.S_IMODE(photo.stat().st_mode))
    assert main(["shrink", str(library), "--archive", str(tmp_path / "archive")]) == 0
    for path in (library / "0.png.pico", next((tmp_path / "archive").rglob("0.png"))):
        assert (os.getxattr(path, LIST), stat.S_IMODE(path.stat().st_mode)) == wanted, path
    assert main(["undo", "1"]) == 0
    assert (os.getxattr(photo, LIST), stat.S_IMODE(photo.stat().st_mode)) == wanted


def test_where_no_list_can_be_kept_access_is_narrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.touch()
    target.touch()
    give_list(source)

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    copy_rights(source, target, source.stat().st_mode)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600, "the group could not read the source"


def test_list_that_a_folder_gives_to_new_files_is_not_the_photos(library: Path) -> None:
    entries = [(1, 7, NO_ONE), (2, 7, SOMEBODY), (4, 7, NO_ONE), (16, 7, NO_ONE), (32, 0, NO_ONE)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(library, "system.posix_acl_default", value)
    except (AttributeError, OSError):
        pytest.skip("this disk has no access control lists")
    assert main(ask("beside", library)) == 0
    assert LIST not in os.listxattr(library / "0.png.pico")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the stream")
@pytest.mark.parametrize("arguments", [["shrink"], ["watch", "--once", "--settle", "1s"]])
def test_work_is_done_though_nobody_takes_messages(arguments: list[str], library: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *command(*arguments, library)], stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == 0
    assert len(list(library.glob("*.pico"))) == 2
    none = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *command("shrink", "--json", library / "nothing")],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (none.returncode, none.stdout) == (2, b""), "messages are not for programs"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_name_of_a_folder_excludes_it_whatever_characters_it_has(form: str, library: Path) -> None:
    for name in ("Ferien [2019]", "Ferien 2", unicodedata.normalize(form, "Übung")):
        (library / name).mkdir()
        drawing(library / name / "a.png")
    found = scan([library], Choice(exclude=("Ferien [2019]", "Übung", "nothing like it")))
    assert {photo.path.parent.name for photo in found.photos} == {"Photos", "Ferien 2"}
    assert found.used == {"Ferien [2019]", "Übung"}


def test_pattern_that_fits_nothing_is_told(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library), "--exclude", "Privat", "--exclude", "1.png"]) == 0
    said = capsys.readouterr().err
    assert "--exclude Privat: fits nothing here; check the spelling" in said
    assert "1.png" not in said


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\0" * 5000, b"\xff\xd8 damaged"])
def test_file_that_is_named_like_a_photo_and_is_none_is_named_each_time(
    content: bytes, library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (library / "IMG.jpg").write_bytes(content)
    for _ in range(2):
        assert main(ask("beside", library)) == 1
        assert f"{library / 'IMG.jpg'}: " in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="needs files with holes")
def test_file_system_that_counts_no_blocks_has_photos_and_a_hole_is_none(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (library / "hole.png").open("wb") as stream:
        stream.truncate(100_000)
    look = Path.lstat
    monkeypatch.setattr("pico_library.store.scan._has_no_blocks", lambda status: status.st_size > 1 << 16)
    found = scan([library])
    assert [photo.name for photo in found.photos] == ["0.png", "1.png"]
    assert [one.path.name for one in found.skipped] == ["hole.png"]
    assert look(library / "0.png").st_size > 1 << 16


def test_user_of_no_home_works_with_a_folder_that_is_named(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody() -> Path:
        msg = "Could not determine home directory."
        raise RuntimeError(msg)

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert main([*ask("beside", library), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["saved"] == 2
    monkeypatch.delenv(places.VARIABLE)
    assert main(["status"]) in (1, 3)
