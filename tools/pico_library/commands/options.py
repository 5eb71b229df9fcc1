"""The options that commands have in common which shrink photos: what they are called, take and mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pico_core.errors import OptionError
from pico_library.arguments import Flag, Instead, Listed, UsageError, path_of
from pico_library.commands.settings_file import ConfigError
from pico_library.model.settings import (
    DEFAULT_DIFFERENCE,
    DEFAULT_QUALITY,
    DEFAULT_SAVING,
    Mode,
    Settings,
    parse_share,
    parse_size,
    parse_target,
)
from pico_library.model.url import Url
from pico_library.store.paths import why_no_folder
from pico_library.store.places import config_file
from pico_library.store.scan import Choice

T = TypeVar("T")
N = TypeVar("N", int, float)
Group: TypeAlias = "argparse._ArgumentGroup | argparse._MutuallyExclusiveGroup"

_MOST_SHOWN = 16  # characters of a number that is too large
_MODES = {
    "beside": Mode.BESIDE,
    "output": Mode.OUTPUT,
    "replace": Mode.REPLACE,
    "archive": Mode.ARCHIVE,
    "delete_originals": Mode.DELETE,
}


def add_where(command: argparse.ArgumentParser, place: Callable[[str], Path] = path_of) -> None:
    """Where .pico files and originals go; `place` makes the output folder of its name."""
    where = command.add_argument_group("where .pico files and originals go")

    def add(name: str, about: str, kind: Callable[[str], Path] | None = None) -> None:
        form: dict[str, Any] = {"nargs": 0} if kind is None else {"type": kind, "metavar": "DIR"}
        where.add_argument(name, action=_Where, help=about, **form)

    add("--beside", "write beside the originals, and keep the originals (default)")
    add("--output", "write to DIR, in the same subfolders, and keep the originals", place)
    add("--replace", "move originals to the Trash after the check")
    add("--archive", "move originals to DIR after the check", path_of)
    add("--delete-originals", "remove originals for good after the check")


class _Where(argparse.Action):
    """An option that says where things go. On the command line it puts aside all that the settings' file says of it."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Take it over, unless another one contradicts."""
        if not getattr(namespace, "where_is_given", False):
            for name in _MODES:
                setattr(namespace, name, None)
            namespace.where_is_given = True
        setattr(namespace, self.dest, True if self.nargs == 0 else values)
        others = [name for name in _modes_of(namespace) if name != self.dest]
        if len(_modes_of(namespace)) > 1:
            raise argparse.ArgumentError(self, f"not allowed with argument --{others[0].replace('_', '-')}")


def _modes_of(arguments: argparse.Namespace) -> list[str]:
    """The options that say where things go; more than one is a contradiction."""
    names = [name for name in _MODES if getattr(arguments, name)]
    if "replace" in names and {"archive", "delete_originals"} & set(names):
        names.remove("replace")  # the other says what becomes of the originals that it replaces
    return names


def add_look(command: argparse.ArgumentParser) -> None:
    """How the photos look, and what they take."""
    look = command.add_argument_group("how the photos look, and how large they are")
    rate = look.add_mutually_exclusive_group()
    rate.add_argument(
        "--quality",
        action=Instead,
        aside={"target_size": None},
        type=quality,
        default=DEFAULT_QUALITY,
        metavar="N",
        help=f"0 to 100 (default {DEFAULT_QUALITY})",
    )
    rate.add_argument(
        "--target-size",
        type=by(parse_target),
        metavar="SIZE",
        help="the best quality that fits, for example 500kB or 25%% (slow)",
    )
    look.add_argument(
        "--min-saving",
        type=by(parse_share),
        default=DEFAULT_SAVING,
        metavar="SHARE",
        help=f"skip photos that save less than this (default {DEFAULT_SAVING:.0%}%)",
    )
    look.add_argument(
        "--max-difference",
        type=_difference,
        default=DEFAULT_DIFFERENCE,
        metavar="X",
        help="how strong the worst difference may be; beyond it the quality is raised. 1 is what passes at the quality "
        f"asked for, 0.5 is twice as strict (default {DEFAULT_DIFFERENCE:g})",
    )
    look.add_argument(
        "--skip-extras",
        action=Flag,
        help="leave photos alone that hold more: a gain map, a video ... (default: all of it comes along)",
    )


def add_update(group: argparse._ArgumentGroup) -> None:
    """What becomes of .pico files whose photo was edited since."""
    group.add_argument(
        "--update",
        action=Flag,
        help="make a new .pico file when a photo was edited; the old file goes to the Trash",
    )


def add_which(command: argparse.ArgumentParser) -> None:
    """Which files are taken."""
    which = command.add_argument_group("which files")
    which.add_argument(
        "--include", action=Listed, metavar="PATTERN", help="only these files, for example '*.jpg'"
    )
    which.add_argument("--exclude", action=Listed, metavar="PATTERN", help="skip these files and folders")


def add_load(group: argparse._ArgumentGroup, jobs: int = 2) -> None:
    """How much is at work at once."""
    group.add_argument(
        "--jobs",
        type=_jobs,
        default=jobs,
        metavar="N",
        help=f"number of photos at the same time (default {jobs})",
    )
    group.add_argument(
        "--max-memory",
        type=by(parse_size),
        metavar="SIZE",
        help="use no more memory than this, for example 2GB",
    )


def add_form(group: Group, name: str, about: str, **aside: Any) -> None:
    """A form in which to print; `aside` are the others, and what they are without it."""
    group.add_argument(
        f"--{name}", action=Instead, aside=aside, nargs=0, const=True, default=False, help=about
    )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that a command line asks for, after the settings' file."""
    names = _modes_of(arguments)
    if len(names) > 1:
        msg = f"{config_file()}: {' and '.join(names)} contradict each other; keep one of them"
        raise ConfigError(msg)
    mode = _MODES[names[0]] if names else Mode.BESIDE
    return Settings(
        mode=mode,
        quality=arguments.quality,
        target_size=arguments.target_size,
        min_saving=arguments.min_saving,
        max_difference=arguments.max_difference,
        skip_extras=arguments.skip_extras,
        update=arguments.update,
        archive=folder_of(arguments.archive, "--archive") if mode is Mode.ARCHIVE else None,
        dry_run=getattr(arguments, "dry_run", False),
        max_memory=arguments.max_memory,
    )


def choice_of(arguments: argparse.Namespace, settings: Settings) -> Choice:
    """Which files a command line asks for."""
    return Choice(
        folder_of(arguments.output, "--output") if arguments.output else None,
        tuple(arguments.include or ()),
        tuple(arguments.exclude or ()),
        settings.skip_extras,
        settings.mode.lets_go,
    )


def folder_of(path: Path, option: str) -> Path:
    """Where a folder lies that an option names, links followed. It need not be there yet. Raises UsageError."""
    if isinstance(path, Url):
        return path
    problem = why_no_folder(path)
    if problem is not None:
        msg = f"{path}: {problem}; choose another folder with {option}"
        raise UsageError(msg)
    return path.resolve()


def by(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of values as argparse wants it."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        except OverflowError as error:
            msg = f"{text[:_MOST_SHOWN]}{'...' if len(text) > _MOST_SHOWN else ''} is too large a number"
            raise argparse.ArgumentTypeError(msg) from error

    return convert


def _number(kind: Callable[[str], N], low: int, high: int, name: str) -> Callable[[str], N]:
    """A parser of numbers of a kind, which `name` says, from `low` to `high`."""

    def convert(text: str) -> N:
        msg = f"{text!r} is not {name} from {low} to {high}"
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(msg) from error
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(msg)
        return value

    return convert


_jobs = _number(int, 1, 64, "a whole number")
_difference = _number(float, 0, 10, "a number")
#: Parsers of a quality and of the length of a side in pixels.
quality = _number(int, 0, 100, "a whole number")
side = _number(int, 1, 65_535, "a whole number")
