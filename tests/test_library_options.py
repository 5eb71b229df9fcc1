"""Where originals go: the command line has the last word, whatever the settings' file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pico_library import places
from pico_library.cli import main, parsers
from pico_library.options import choice_of, settings_of
from pico_library.settings import Mode


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path))
    places.config_file().parent.mkdir(parents=True, exist_ok=True)


def chosen(*words: str, file: str = "") -> tuple[Mode, Path | None, Path | None]:
    """Mode, output folder and archive of a command line over a settings' file."""
    places.config_file().write_text(f"[shrink]\n{file}\n")
    arguments = parsers()["shrink"].parse_args([*words, "photos"])
    settings = settings_of(arguments)
    return settings.mode, choice_of(arguments, settings).output, settings.archive


@pytest.mark.parametrize(
    "file", ["replace = true", 'archive = "/old"', 'output = "/mirror"', "beside = true"]
)
def test_command_line_decides_where_things_go(file: str) -> None:
    assert chosen("--beside", file=file) == (Mode.BESIDE, None, None)
    assert chosen("--output", "/new", file=file) == (Mode.OUTPUT, Path("/new"), None)
    assert chosen("--replace", file=file) == (Mode.REPLACE, None, None)
    assert chosen("--archive", "/new", file=file) == (Mode.ARCHIVE, None, Path("/new"))
    assert chosen("--delete-originals", file=file) == (Mode.DELETE, None, None)


def test_settings_file_decides_where_the_command_line_is_silent() -> None:
    assert chosen() == (Mode.BESIDE, None, None)
    assert chosen(file="replace = true") == (Mode.REPLACE, None, None)
    assert chosen(file='archive = "/old"') == (Mode.ARCHIVE, None, Path("/old"))
    assert chosen("--quality", "30", file='output = "/mirror"') == (Mode.OUTPUT, Path("/mirror"), None)


def test_replace_may_be_said_beside_what_becomes_of_the_originals() -> None:
    assert chosen("--replace", "--archive", "/new") == (Mode.ARCHIVE, None, Path("/new"))
    assert chosen("--delete-originals", "--replace") == (Mode.DELETE, None, None)
    assert chosen(file='replace = true\narchive = "/old"') == (Mode.ARCHIVE, None, Path("/old"))


@pytest.mark.parametrize(
    "words",
    [
        ("--replace", "--beside"),
        ("--output", "out", "--replace"),
        ("--archive", "old", "--delete-originals"),
        ("--output", "out", "--beside"),
        ("--replace", "--archive", "old", "--delete-originals"),
    ],
)
def test_contradictions_on_the_command_line_are_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", *words, str(tmp_path)]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_contradictions_in_the_settings_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.config_file().write_text('[shrink]\nreplace = true\noutput = "/mirror"\n')
    assert main(["shrink", str(tmp_path)]) == 2
    assert f"{places.config_file()}: output and replace contradict" in capsys.readouterr().err
