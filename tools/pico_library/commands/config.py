"""Command `pico-library config`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pico_codec.files import OutputError, write_whole
from pico_library.commands import settings_file
from pico_library.console import FAILED, FINE, complain
from pico_library.store import places

DESCRIPTION = """Print the settings and the place of their file. Every option of a command has the same name in the
file, below [the name of the command]. The command line overrides the file."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "--init", action="store_true", help="write a settings file that has all settings as comments"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the settings, or write them."""
    from pico_library.commands.parsers import parsers

    file = places.config_file()
    lines = []
    for name, command in parsers().items():
        settings = settings_file.effective(command)
        if settings and name != "config":
            lines += ["", f"[{name}]", *(_line(key, value) for key, value in settings.items())]
    if not arguments.init:
        print(f"# {file}{'' if file.exists() else ' (does not exist; --init writes it)'}")
        print("\n".join(lines).lstrip())
        return FINE
    if file.exists():
        complain(file, "exists already; edit it, or move it away first")
        return FAILED
    commented = [
        line if line.startswith("[") or not line else f"# {line.removeprefix('# ')}" for line in lines
    ]
    text = (
        "# Settings of pico-library. Remove the # of a line to change it. What is not set is written KEY = VALUE.\n"
        + "\n".join(commented)
        + "\n"
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.encode(), overwrite=False)
    except (OSError, OutputError) as error:
        what = (
            str(error)
            if isinstance(error, OutputError)
            else f"its folder cannot be created: {error.strerror}"
        )
        complain(file, f"{what}; set {places.VARIABLE} to a folder of yours")
        return FAILED
    print(f"Wrote {file}")
    return FINE


def _line(key: str, value: Any) -> str:
    if value is None:
        return f"# {key} is not set"
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, bool | int | float | str | list):
        return f"{key} = {json.dumps(value)}"
    return f'{key} = "{value}"'
