"""Kinds of options that have the last word over the settings' file, whose values are their defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pico_core.errors import PicoError


class UsageError(PicoError):
    """What the command line asks for cannot be."""


class Flag(argparse.Action):
    """`--name`, and `--no-name`, which takes back what the settings' file says."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        name = option_strings[0]
        names = (name, f"--no-{name.removeprefix('--')}")
        super().__init__(names, dest, nargs=0, default=False, help=help)

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        """Take it over."""
        setattr(namespace, self.dest, option == self.option_strings[0])


class Instead(argparse.Action):
    """An option that others contradict; `aside` are the values that these get, whatever the settings' file says.

    Contradictions on the command line itself are for a group of the parser to refuse.
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, aside: Mapping[str, Any], **kind: Any
    ) -> None:
        super().__init__(option_strings, dest, **kind)
        self._aside = aside

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Take it over, and put the others aside."""
        for name, value in self._aside.items():
            setattr(namespace, name, value)
        setattr(namespace, self.dest, self.const if self.nargs == 0 else values)
        namespace.given = {*getattr(namespace, "given", ()), self.dest}


class Listed(argparse._AppendAction):
    """An option that may be repeated; a list on the command line takes the place of that in the settings' file."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Take another value."""
        if getattr(namespace, self.dest) is self.default:
            setattr(namespace, self.dest, None)
        super().__call__(parser, namespace, values, option)


def plain_path(text: str) -> Path:
    """A path as it was typed. An empty one is refused: `Path` would take it for the current folder."""
    if not text:
        msg = "'' is no path; perhaps a variable of the shell is not set (the current folder is '.')"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def path_of(text: str) -> Path:
    """A path, in which `~` is the user's home: in the settings' file no shell puts that in."""
    return plain_path(os.path.expanduser(text))  # noqa: PTH111 (a name like ~x of no user stays what it is)


def file_of(text: str) -> Path:
    """The path of a file that is there."""
    path = path_of(text)
    if not path.is_file():
        msg = f"there is no file {text}"
        raise argparse.ArgumentTypeError(msg)
    return path
