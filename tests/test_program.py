"""What every program does with its output, and with whoever reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

FULL = Path("/dev/full")
COMMANDS = [
    ["pico_codec", "--help"],
    ["pico_library", "--help"],
    ["pico_library", "config"],
    ["pico_library", "status"],
]
pytestmark = pytest.mark.usefixtures("home")


def command(words: list[str]) -> list[str]:
    """The command line of a program, whose output Python keeps back as it does for users."""
    return [sys.executable, "-m", *words]


def surroundings() -> dict[str, str]:
    """What users have set."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.skipif(not FULL.exists(), reason="needs a file that is always full")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written_is_said_in_one_line(words: list[str]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            command(words), stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=surroundings()
        )
    assert done.stderr.count("\n") == 1, done.stderr
    assert "the output cannot be written (No space left on device)" in done.stderr
    assert done.returncode in (1, 3)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_reader_that_goes_away_gets_no_complaint(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            command(words), stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, env=surroundings()
        )
    assert done.stderr == ""
    assert done.returncode in (1, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the output")
@pytest.mark.parametrize("words", COMMANDS[2:], ids=" ".join)
def test_closed_output_is_no_error(words: list[str]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command(words)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=surroundings(),
    )
    assert done.stderr == ""
    assert done.returncode in (0, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are any bytes")
@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8:strict", "b2\udcff.pico"), ("ascii:strict", "b2\\udcff.pico")]
)
def test_name_that_the_output_cannot_spell_is_shown_all_the_same(
    encoding: str, shown: str, tmp_path: Path
) -> None:
    name = os.fsdecode(b"b2\xff.pico")
    Image.linear_gradient("L").resize((40, 30)).save(tmp_path / "small.png")
    encode = command(["pico_codec", "encode", "--lossless", "small.png", name])
    done = subprocess.run(
        encode,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env=surroundings() | {"PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(os.fsencode(shown) + b": ")
