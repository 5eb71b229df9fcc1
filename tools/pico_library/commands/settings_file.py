"""Settings from a TOML file, under the command line: every option has the same name there as here.

[shrink]
quality = 70
exclude = ["Screenshots"]
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pico_core.errors import PicoError

_NOT_SETTINGS = frozenset(
    {"help", "paths", "run", "dry_run", "yes", "delete_originals", "number", "estimate"}
)
_NOT_SETTINGS |= {"once", "runs", "install", "uninstall", "start"}


class ConfigError(PicoError):
    """The settings' file cannot be used."""


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The settings of each command; none if there is no file. Raises ConfigError."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file}: cannot be read ({error}); correct it or move it away"
        raise ConfigError(msg) from error
    for name, section in content.items():
        if not isinstance(section, dict):
            msg = (
                f"{file}: {name} stands outside a section; write it below [shrink] or another command's name"
            )
            raise ConfigError(msg)
    return content


def lay_under(command: argparse.ArgumentParser, section: Mapping[str, Any], where: str) -> None:
    """Make settings the defaults of a command's options. Raises ConfigError for those that it does not have."""
    actions = {action.dest: action for action in command._actions if action.dest not in _NOT_SETTINGS}
    for name, value in section.items():
        action = actions.get(name.replace("-", "_"))
        if action is None:
            known = ", ".join(sorted(dest.replace("_", "-") for dest in actions))
            msg = f"{where}: {name} is not a setting; there are {known or 'none here'}"
            raise ConfigError(msg)
        command.set_defaults(**{action.dest: _as_default(action, value, f"{where}: {name}")})


def effective(command: argparse.ArgumentParser) -> dict[str, Any]:
    """The defaults of a command's options as they are now, by the names they have in the file."""
    return {
        action.dest.replace("_", "-"): command.get_default(action.dest)
        for action in command._actions
        if action.dest not in _NOT_SETTINGS
    }


def _as_default(action: argparse.Action, value: Any, where: str) -> Any:
    """What argparse would have made of the value on the command line."""
    if action.nargs == 0:
        if isinstance(value, bool):
            return value
        msg = f"{where} = {value!r}; write true or false"
        raise ConfigError(msg)
    several = isinstance(action, argparse._AppendAction)
    if several != isinstance(value, list):
        wanted = 'a list, as in ["a", "b"]' if several else "one value"
        msg = f"{where} = {value!r}; write {wanted}"
        raise ConfigError(msg)
    values = [_converted(action, item, where) for item in (value if several else [value])]
    return values if several else values[0]


def _converted(action: argparse.Action, value: Any, where: str) -> Any:
    convert = action.type
    if not callable(convert):
        return str(value)
    try:
        return convert(str(value))
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        msg = f"{where} = {value!r} does not work: {error}"
        raise ConfigError(msg) from error
