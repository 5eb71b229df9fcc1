"""Command `pico-library watch`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from pico_core.errors import OptionError
from pico_library.arguments import Flag, UsageError, plain_path
from pico_library.commands.consent import is_given, what_becomes_of_originals
from pico_library.commands.options import (
    add_load,
    add_look,
    add_update,
    add_where,
    add_which,
    by,
    choice_of,
    settings_of,
)
from pico_library.console import FINE, NOTHING, USAGE, WEIGHTS_MAY_CHANGE, complain
from pico_library.model.settings import Mode, Settings
from pico_library.store import destinations
from pico_library.store.paths import exists, is_folder
from pico_library.store.scan import Choice

DESCRIPTION = f"""Shrink the photos that are in the folders now, and photos that appear there later. Each photo is
handled as by `pico-library shrink`. The watcher takes a photo only after nobody has changed it for a while. It runs
until you stop it, and lets other programs go first. With --install it starts at every login.

{WEIGHTS_MAY_CHANGE}"""

_LEFT_OUT = ("paths", "once", "install", "uninstall", "start")
_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LONGEST = 7 * 86_400.0


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument("paths", metavar="PATH", type=plain_path, nargs="*", help="folders of photos")
    add_where(command)
    add_look(command)
    add_which(command)
    when = command.add_argument_group("when (TIME: 30s, 10min, 1h)")
    time = by(parse_time)
    when.add_argument(
        "--settle",
        type=time,
        default=10.0,
        metavar="TIME",
        help="take a photo when it has not changed for this long (default 10s)",
    )
    when.add_argument(
        "--rescan",
        type=time,
        default=1800.0,
        metavar="TIME",
        help="look at all folders again after this long (default 30min)",
    )
    when.add_argument(
        "--poll-every",
        type=time,
        default=60.0,
        metavar="TIME",
        help="on network disks, look for changes this often (default 1min)",
    )
    when.add_argument("--poll", action=Flag, help="look for changes like that on every disk")
    when.add_argument("--on-battery", action=Flag, help="do not pause on battery")
    when.add_argument(
        "--idle",
        type=time,
        default=300.0,
        metavar="TIME",
        help="keep the networks in memory this long (default 5min)",
    )
    when.add_argument("--once", action="store_true", help="shrink the photos that are there now, then end")
    how = command.add_argument_group("how")
    add_update(how)
    add_load(how, jobs=1)
    how.add_argument(
        "--priority", choices=("low", "normal"), default="low", help="low (default): let others go first"
    )
    how.add_argument("--quiet", action=Flag, help="print problems only")
    how.add_argument("--yes", action="store_true", help="do not ask before originals are moved")
    service = command.add_argument_group("as a service (systemd on Linux, launchd on macOS)")
    change = service.add_mutually_exclusive_group()
    change.add_argument(
        "--install", action="store_true", help="install a service for this user, and say how to start it"
    )
    change.add_argument("--uninstall", action="store_true", help="stop the service and remove it")
    service.add_argument("--start", action="store_true", help="with --install: also start it")


def run(arguments: argparse.Namespace) -> int:
    """Watch, or install or remove the service."""
    if arguments.uninstall:
        return _uninstall()
    settings = settings_of(arguments)
    choice = choice_of(arguments, settings)
    problem = _objection(arguments, settings)
    if problem is not None:
        complain(*problem)
        return USAGE
    if settings.mode.lets_go and not _agreed(arguments, settings):
        return USAGE
    if arguments.once or arguments.install or sys.stdin.isatty():
        # Later, and as a service, a folder that is missing is one whose disk is away.
        _make(choice.output, "--output")
        _make(settings.archive, "--archive")
    return _install(arguments, settings) if arguments.install else _watch(arguments, settings, choice)


def parse_time(text: str) -> float:
    """Seconds, from `30s`, `10min` or `1h`. Raises OptionError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found is not None and found[2] in _UNITS else -1.0
    if not 0 < seconds <= _LONGEST:
        msg = f"{text!r} is not a time of up to a week; write 30s, 10min or 1h"
        raise OptionError(msg)
    return seconds


def _make(folder: Path | None, option: str) -> None:
    """Make a folder that an option names, unless it is there. Raises UsageError."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: cannot be made ({error.strerror}); choose another folder with {option}"
        raise UsageError(msg) from error


def _watch(arguments: argparse.Namespace, settings: Settings, choice: Choice) -> int:
    from pico_library.watch.loop import Order, Rhythm, Watcher
    from pico_library.watch.power import lower_priority
    from pico_library.watch.reporter import Reporter

    if arguments.priority == "low":
        lower_priority()
    order = Order(
        tuple(arguments.paths),
        choice,
        settings,
        arguments.jobs,
        always_poll=arguments.poll,
        on_battery=arguments.on_battery,
    )
    rhythm = Rhythm(
        settle=arguments.settle, rescan=arguments.rescan, poll=arguments.poll_every, idle=arguments.idle
    )
    return Watcher(order, rhythm, Reporter(quiet=arguments.quiet), once=arguments.once).run()


def _install(arguments: argparse.Namespace, settings: Settings) -> int:
    from pico_library.commands.parsers import parsers
    from pico_library.watch.service import service_for, words_of

    # Nobody can be asked when the service starts: that was done by now.
    arguments.yes = settings.mode is Mode.DELETE
    service = service_for(words_of(parsers()["watch"], arguments, _LEFT_OUT))
    replaced = service.install()
    print(f"{'Replaced' if replaced else 'Wrote'} {service.file}")
    if arguments.start:
        service.begin()
        print("It is running, and starts with every login.")
    else:
        if replaced:
            print("A service that is running keeps its old options until it is started anew.")
        print("To start it, now and with every login:")
        commands = (*service.end_old, *service.start) if replaced else service.start
        print(*(f"    {' '.join(command)}" for command in commands), sep="\n")
    print(f"What it says: {service.log}")
    print("To stop and remove it: pico-library watch --uninstall")
    return FINE


def _uninstall() -> int:
    from pico_library.watch.service import ServiceError, service_for

    service = service_for(())
    if not service.file.exists():
        print(f"There is no {service.file}; nothing to remove.")
        return NOTHING
    done = "Stopped the service and removed"
    try:
        service.end()
    except ServiceError as error:
        done = "Removed"
        complain(
            "watch", f"the service cannot be stopped ({error}); if it runs, it goes on until you log out"
        )
    service.remove()
    print(f"{done} {service.file}. Photos, .pico files and the journal are as they were.")
    return FINE


def _objection(arguments: argparse.Namespace, settings: Settings) -> tuple[Path | str, str] | None:
    """What is wrong with the command line, and with what in it; None if nothing is."""
    if not arguments.paths:
        return "watch", "name the folders to watch, as in: pico-library watch ~/Pictures"
    if arguments.start and not arguments.install:
        return "--start", "goes with --install; to watch in this terminal, leave it out"
    if arguments.once and arguments.install:
        return "--once", "does not go with --install: a service runs until it is stopped"
    for path in arguments.paths:
        if exists(path) and not is_folder(path):
            return path, "is not a folder; a single photo is shrunk with: pico-library shrink"
        if not exists(path) and (arguments.once or arguments.install):
            return path, "there is no such folder; check the spelling, and that its disk is connected"
        if (refused := destinations.objection(path, settings)) is not None:
            return refused
    return None


def _agreed(arguments: argparse.Namespace, settings: Settings) -> bool:
    """Ask, in a terminal, before originals are moved; elsewhere they were asked for on the command line."""
    what = what_becomes_of_originals(settings)
    question = f"From now on, the originals of photos in these folders will be {what}. Go on?"
    return is_given(question, settings, yes=arguments.yes)
