"""The commands that there are, and what their command lines ask for, with the settings' file under them."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pico_codec.program import HelpFormatter
from pico_core import __version__
from pico_core.errors import PicoError
from pico_library.commands import settings_file
from pico_library.console import EXIT_CODES, USAGE
from pico_library.store import places


class _Command(NamedTuple):
    help: str
    description: str = ""


_COMMANDS = {
    "shrink": _Command("write a .pico file for every photo"),
    "watch": _Command("shrink photos as they appear in folders"),
    "restore": _Command("make JPEG, PNG or WebP pictures from .pico files again"),
    "export": _Command("make JPEG or AVIF pictures to share"),
    "share": _Command("write an album that opens in any browser"),
    "undo": _Command("take a run back: bring originals back, remove its .pico files"),
    "verify": _Command("check .pico files, with or without their originals"),
    "report": _Command("show what was saved: as a table, JSON, CSV or a web page"),
    "view": _Command("show .pico files as a gallery in the web browser"),
    "desktop": _Command("teach file managers about .pico files, with thumbnails"),
    "status": _Command("show the totals, and where the originals are now"),
    "history": _Command("list all runs"),
    "config": _Command("show the settings, and where they come from"),
}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, with the settings' file as its defaults. Raises ConfigError, PlaceError."""
    commands = _build()[1]
    _lay_settings_under(commands)
    return commands


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for; whoever asks for help gets it, whatever the settings' file holds."""
    parser, commands = _build()
    wrong = None
    try:
        _lay_settings_under(commands)
    except PicoError as error:
        wrong = error
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        raise SystemExit(USAGE)
    arguments = parser.parse_args(argv)
    if wrong is not None:
        raise wrong
    return arguments


def _build() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="pico-library",
        description="Shrink a photo library without ever losing a photo.",
        epilog=EXIT_CODES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pico-library {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    built = {}
    for name, about in _COMMANDS.items():
        module: Any = importlib.import_module(f"pico_library.commands.{name}")
        command = commands.add_parser(
            name,
            help=about.help,
            description=getattr(module, "DESCRIPTION", about.help[0].upper() + about.help[1:] + "."),
            epilog=EXIT_CODES,
            formatter_class=HelpFormatter,
        )
        module.add(command)
        command.set_defaults(run=module.run)
        built[name] = command
    return parser, built


def _lay_settings_under(commands: Mapping[str, argparse.ArgumentParser]) -> None:
    file = places.config_file()
    sections = settings_file.read(file)
    for name, command in commands.items():
        settings_file.lay_under(command, sections.pop(name, {}), f"{file}: [{name}]")
    if sections:
        msg = f"{file}: [{next(iter(sections))}] is not a command; there are {', '.join(_COMMANDS)}"
        raise settings_file.ConfigError(msg)
