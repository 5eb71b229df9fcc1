"""The command line has the last word, whatever the settings' file says: of where originals go, and of all else."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest
from library_samples import drawing

from pico_library.cli import main
from pico_library.commands.options import choice_of, settings_of
from pico_library.commands.parsers import parsers
from pico_library.console import WEIGHTS_MAY_CHANGE
from pico_library.model.settings import Mode
from pico_library.store import places
from pico_library.watch.service import words_of


class Terminal(io.StringIO):
    """Somebody who types this."""

    def isatty(self) -> bool:
        return True


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


@pytest.mark.parametrize("option", ["--jobs", "--quality", "--max-difference"])
@pytest.mark.parametrize("value", ["abc", "1e999", ""])
def test_value_that_is_no_number_is_said_in_words(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", f"{option}={value}", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: " in error
    assert " is not " in error
    places.config_file().write_text(f'[shrink]\n{option.removeprefix("--")} = "{value}"\n')
    assert main(["shrink", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert " is not " in error
    assert "literal" not in error


@pytest.mark.parametrize("option", ["--max-memory", "--target-size"])
def test_size_with_hundreds_of_digits_is_refused_in_a_line_that_can_be_read(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = "9" * 400
    assert main(["shrink", f"{option}={number}", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(f"argument {option}: 9999999999999999... is too large a number")
    places.config_file().write_text(f'[shrink]\n{option.removeprefix("--")} = "{number}"\n')
    assert main(["status"]) == 2
    assert "is too large a number" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["shrink", ""],
        ["shrink", "photos", ""],
        ["shrink", "photos", "--archive", ""],
        ["shrink", "photos", "--output="],
        ["watch", ""],
        ["watch", "photos", "--archive", ""],
        ["restore", ""],
        ["restore", "photos", "--output", ""],
        ["verify", ""],
        ["verify", "photos", "--against", ""],
        ["view", ""],
        ["report", "--html", ""],
    ],
    ids=" ".join,
)
def test_empty_path_is_refused_as_a_variable_that_is_not_set(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To most of the library an empty path is the current folder, which nobody asked to have shrunk."""
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(
        ": '' is no path; perhaps a variable of the shell is not set (the current folder is '.')"
    )


def test_empty_path_in_the_settings_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.config_file().write_text('[shrink]\narchive = ""\n')
    assert main(["shrink", str(tmp_path)]) == 2
    assert f"{places.config_file()}: [shrink]: archive = '' does not work: " in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["", "\n", "no\n", "yes, but\n"])
@pytest.mark.parametrize("command", ["shrink", "watch --once"])
def test_end_of_the_input_and_anything_but_yes_is_a_no(
    command: str,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    library = tmp_path / "Photos"
    library.mkdir()
    drawing(library / "0.png")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main([*command.split(), str(library), "--archive", str(tmp_path / "archive")]) == 2
    told = capsys.readouterr()
    assert WEIGHTS_MAY_CHANGE in told.out, "what speaks against it is said where it is asked"
    assert told.out.rstrip().endswith("Go on? [y/N]")
    assert not told.err
    assert [path.name for path in library.iterdir()] == ["0.png"]
    assert not (tmp_path / "archive").exists()


def test_contradictions_in_the_settings_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.config_file().write_text('[shrink]\nreplace = true\noutput = "/mirror"\n')
    assert main(["shrink", str(tmp_path)]) == 2
    assert f"{places.config_file()}: output and replace contradict" in capsys.readouterr().err


def typed(command: str, *words: str, file: str) -> argparse.Namespace:
    places.config_file().write_text(f"[{command}]\n{file}\n")
    return parsers()[command].parse_args([*words])


def test_quality_on_the_command_line_puts_a_size_in_the_file_aside() -> None:
    file = 'target-size = "25%"'
    assert settings_of(typed("shrink", "photos", file=file)).target_size is not None
    settings = settings_of(typed("shrink", "photos", "--quality", "60", file=file))
    assert (settings.quality, settings.target_size) == (60, None)
    settings = settings_of(typed("shrink", "photos", "--target-size", "1MB", file="quality = 20"))
    assert str(settings.target_size) == "1000000"


def test_form_on_the_command_line_puts_another_in_the_file_aside() -> None:
    for words, file, expected in [
        (["--csv"], "json = true", (False, True, None)),
        (["--json"], "csv = true", (True, False, None)),
        (["--html", "x"], "json = true", (False, False, Path("x"))),
        (["--csv"], 'html = "x"', (False, True, None)),
        ([], "json = true", (True, False, None)),
    ]:
        arguments = typed("report", *words, file=file)
        assert (arguments.json, arguments.csv, arguments.html) == expected
    arguments = typed("shrink", "photos", "--csv", file="json = true")
    assert (arguments.json, arguments.csv) == (False, True)


def test_list_on_the_command_line_takes_the_place_of_that_in_the_file() -> None:
    file = 'include = ["*.jpg"]\nexclude = ["a", "b"]'
    arguments = typed("shrink", "photos", "--include", "*.png", "--include", "*.webp", file=file)
    assert (arguments.include, arguments.exclude) == (["*.png", "*.webp"], ["a", "b"])
    assert typed("shrink", "photos", file=file).include == ["*.jpg"], "nothing sticks"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("shrink", "skip-extras"),
        ("shrink", "wait"),
        ("watch", "quiet"),
        ("watch", "poll"),
        ("watch", "on-battery"),
    ],
)
def test_what_the_file_turns_on_the_command_line_turns_off(command: str, name: str) -> None:
    for words, file, expected in [
        ([], "", False),
        ([f"--{name}"], "", True),
        ([], f"{name} = true", True),
        ([f"--no-{name}"], f"{name} = true", False),
        ([f"--{name}"], f"{name} = false", True),
    ]:
        arguments = typed(command, "photos", *words, file=file)
        assert getattr(arguments, name.replace("-", "_")) is expected


def test_home_is_found_in_the_file_where_no_shell_puts_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert typed("shrink", "photos", file='output = "~/small"').output == tmp_path / "small"
    assert typed("watch", "photos", file='archive = "~/old"').archive == tmp_path / "old"
    assert typed("restore", "photos", "--output=~/back", file="").output == tmp_path / "back"
    assert typed("verify", "photos", "--against=~nobody-here/x", file="").against == Path("~nobody-here/x")


def test_service_is_given_what_was_typed_against_the_file() -> None:
    file = 'target-size = "25%"\nquiet = true\non-battery = true'
    arguments = typed("watch", "/photos", "--quality", "60", "--no-quiet", file=file)
    words = words_of(parsers()["watch"], arguments, ("paths",))
    assert words == ["--quality=60", "--no-quiet", "/photos"]
    again = parsers()["watch"].parse_args(words)
    assert (again.target_size, again.quiet, again.on_battery) == (None, False, True)


@pytest.mark.parametrize(
    "bench", ["pico_library.bench", "pico_library.watch.bench", "pico_library.desktop.bench"]
)
def test_bench_of_a_photo_that_is_not_there_says_so(bench: str) -> None:
    command = [sys.executable, "-m", bench, "nowhere.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("there is no file nowhere.jpg\n")


@pytest.mark.parametrize("how", [["shrink"], ["watch", "--once"]])
def test_nothing_is_deleted_where_nobody_can_be_asked_but_by_yes(
    how: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = drawing(tmp_path / "0.png")
    assert main([*how, str(tmp_path), "--delete-originals"]) == 2
    assert "nobody is here to be asked; say --yes too" in capsys.readouterr().err
    assert photo.exists()
    assert not list(tmp_path.glob("*.pico"))


@pytest.mark.parametrize("command", ["shrink", "watch"])
def test_help_says_that_weights_may_change(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())  # help is filled to the width of the terminal
    assert " ".join(WEIGHTS_MAY_CHANGE.split()) in said


def test_command_alone_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "shrink photos as they appear in folders" in said.err
