"""Desktop integration, with the desktop's own tools: what is installed, that it works, and that it goes again."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from library_samples import drawing
from PIL import Image

import pillow_pico
from pico_library.cli import main
from pico_library.desktop import files, integration

PLACES = [
    "applications/pico-library-view.desktop",
    "mime/packages/pico-library.xml",
    "thumbnailers/pico-library.thumbnailer",
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop of its own, without the types that this machine knows."""
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share"


def needs(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"this test needs {tool}")


def written(folder: Path) -> list[str]:
    """The files that were installed: without what the desktop's tools make of them."""
    made = ("mime/packages/", "thumbnailers/", "applications/")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in names if name.startswith(made) and name != "applications/mimeinfo.cache"]


def test_uninstall_removes_exactly_what_install_wrote(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "applications").mkdir(parents=True)
    (data / "applications" / "other.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=x\nExec=x\n"
    )
    assert main(["desktop", "--install"]) == 0
    said = capsys.readouterr().out
    assert written(data) == sorted([*PLACES, "applications/other.desktop"])
    assert all(f"Wrote {data / place}" in said for place in PLACES)
    assert "--uninstall" in said
    assert main(["desktop", "--install"]) == 0, "installing again is no fault"
    assert main(["desktop", "--uninstall"]) == 0
    assert written(data) == ["applications/other.desktop"]
    assert main(["desktop", "--uninstall"]) == 3


def test_dry_run_shows_the_files_and_changes_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["desktop", "--install", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "ftyppico" in shown
    assert not data.exists()
    assert main(["desktop", "--install"]) == 0
    assert main(["desktop", "--uninstall", "--dry-run"]) == 0
    assert written(data) == PLACES


def test_file_of_somebody_else_is_neither_replaced_nor_removed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = data / "thumbnailers" / "pico-library.thumbnailer"
    taken.parent.mkdir(parents=True)
    taken.write_text("[Thumbnailer Entry]\n")
    assert main(["desktop", "--install"]) == 1
    assert "is not from pico-library" in capsys.readouterr().err
    assert main(["desktop", "--uninstall"]) == 3
    assert written(data) == ["thumbnailers/pico-library.thumbnailer"]


def test_command_needs_to_be_told_what_to_do() -> None:
    assert main(["desktop"]) == 2
    assert main(["desktop", "--install", "--uninstall"]) == 2


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_other_platforms_are_told_what_works_there(platform: str, name: str) -> None:
    with pytest.raises(integration.DesktopError, match=f"{name}.*nothing was installed.*pico-library view"):
        integration.check_platform(platform)


def type_of(path: Path) -> str:
    command = ["gio", "info", "-a", "standard::content-type", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.rpartition(": ")[2].strip()


@pytest.fixture
def installed(data: Path) -> Path:
    needs("update-mime-database", "gio")
    assert main(["desktop", "--install"]) == 0
    return data


def test_desktop_knows_pico_files_by_name_and_by_content(installed: Path, tmp_path: Path) -> None:
    content = pillow_pico.to_bytes(Image.open(drawing(tmp_path / "a.png")), lossless=True)
    for name in ("photo.pico", "without-extension", "PHOTO.PICO"):
        (tmp_path / name).write_bytes(content)
        assert type_of(tmp_path / name) == files.MIME_TYPE, name


@pytest.mark.parametrize(
    ("brand", "others", "wanted"),
    [
        (b"heic", b"mif1heic", "image/hei"),
        (b"mif1", b"mif1heicpico", "image/hei"),
        (b"avif", b"avifmif1pico", "image/avif"),
        (b"isom", b"isommp42pico", "video/mp4"),
        (b"qt  ", b"qt  ", "video/quicktime"),
    ],
)
def test_other_files_of_the_same_family_keep_their_type(
    brand: bytes, others: bytes, wanted: str, installed: Path, tmp_path: Path
) -> None:
    body = b"ftyp" + brand + bytes(4) + others
    (tmp_path / "file").write_bytes(
        (len(body) + 4).to_bytes(4, "big") + body + b"\0\0\0\x08mdat" + b"ftyppico"
    )
    assert type_of(tmp_path / "file").startswith(wanted)


def test_desktop_opens_pico_files_with_the_gallery(installed: Path) -> None:
    needs("update-desktop-database", "xdg-mime")
    asked = ["gio", "mime", files.MIME_TYPE]
    assert (
        "pico-library-view.desktop"
        in subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    )
    if shutil.which("desktop-file-validate") is not None:
        subprocess.run(["desktop-file-validate", str(installed / PLACES[0])], check=True)


def test_type_is_forgotten_after_uninstalling(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pico").write_bytes(b"\0\0\0\x18ftyppico\0\1\0\0picomif1")
    assert type_of(tmp_path / "a.pico") == files.MIME_TYPE
    assert main(["desktop", "--uninstall"]) == 0
    assert type_of(tmp_path / "a.pico") != files.MIME_TYPE


def exec_of(entry: Path) -> list[str]:
    """The arguments of Exec, read by the rules of the specification, written down here a second time."""
    line = next(line for line in entry.read_text().splitlines() if line.startswith("Exec="))
    return parsed(line.removeprefix("Exec="))


def parsed(value: str) -> list[str]:
    text = value.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    text = text.replace("\0", "\\")
    found, current, quoted, place = [], "", False, 0
    while place < len(text):
        letter = text[place]
        if quoted and letter == "\\":
            place += 1
            current += text[place]
        elif letter == '"':
            quoted = not quoted
        elif letter == " " and not quoted:
            found.append(current)
            current = ""
        elif letter == "%" and text[place + 1] == "%":
            current += "%"
            place += 1
        else:
            current += letter
        place += 1
    return [*found, current]


def test_installed_thumbnailer_makes_a_thumbnail_without_a_path(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pico").write_bytes(
        pillow_pico.to_bytes(Image.new("RGB", (1200, 900), "red"), lossless=True)
    )
    values = {"%i": str(tmp_path / "a.pico"), "%o": str(tmp_path / "out.png"), "%s": "128"}
    command = [values.get(part, part) for part in exec_of(installed / PLACES[2])]
    assert Path(command[0]).is_absolute()
    subprocess.run(command, check=True, env={"PATH": "/nowhere"}, cwd="/")
    with Image.open(tmp_path / "out.png") as im:
        assert im.size == (128, 96)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=4
    )
)
def test_command_line_is_read_back_as_it_was(command: list[str]) -> None:
    assert parsed(files.command_line(command)) == command


def test_desktop_starts_a_program_whose_path_needs_quoting(tmp_path: Path) -> None:
    needs("gio")
    odd = tmp_path / 'a "b" $HOME `c` \\d \u00e9'
    odd.mkdir()
    program = odd / "program"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/said.part"\nmv "{tmp_path}/said.part" "{tmp_path}/said"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    entry = tmp_path / "odd.desktop"
    entry.write_text(files.application([str(program), "100% a $b"]), encoding="utf-8")
    photo = tmp_path / "my photo.pico"
    photo.touch()
    subprocess.run(["gio", "launch", str(entry), str(photo)], check=True, capture_output=True)
    for _ in range(100):
        if (tmp_path / "said").exists():
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert (tmp_path / "said").read_text().splitlines() == ["100% a $b", str(photo)]


def test_gnome_users_are_told_why_there_are_no_thumbnails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("bwrap", "update-mime-database"):
        (tmp_path / "bin" / tool).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    inside = Path(sys.executable).resolve().is_relative_to("/usr") and not os.environ.get("VIRTUAL_ENV")
    notes = integration.notes()
    assert inside or any("GNOME" in note for note in notes)
    monkeypatch.setenv("PATH", "/nowhere")
    assert any("shared-mime-info" in note for note in integration.notes())
