"""The watcher as a service of one user: a systemd unit on Linux, a launchd agent on macOS. Nothing needs root."""

from __future__ import annotations

import argparse
import contextlib
import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pico_codec.files import write_whole
from pico_core.errors import PicoError
from pico_library.store import places

UNIT = "pico-library-watch.service"
LABEL = "pillow-pico.watch"

_SECONDS_TO_FINISH = 300  # the largest photos at low priority, on a slow machine
#: What tells the watcher where its files are, in the shell that installs it and in the service alike.
_KEPT = (places.VARIABLE, "XDG_DATA_HOME", "XDG_CONFIG_HOME")


class ServiceError(PicoError):
    """The watcher cannot be installed as a service, or be removed."""


@dataclass(frozen=True)
class Service:
    """A file that describes the service, and the commands with which the system takes and drops it.

    `start` has a service that is running already start anew. Where the system can only do that in two steps, the
    first is `end_old`, which fails if there is nothing to end.
    """

    file: Path
    content: bytes
    start: tuple[tuple[str, ...], ...]
    stop: tuple[tuple[str, ...], ...]
    log: str
    end_old: tuple[tuple[str, ...], ...] = ()

    def install(self) -> bool:
        """Write the file; return whether it replaced one. Raises ServiceError."""
        home = Path.home()
        if not self.file.is_relative_to(home):
            msg = f"{self.file}: lies outside of your home folder {home}; unset XDG_CONFIG_HOME and install again"
            raise ServiceError(msg)
        replaced = self.file.exists()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.file, self.content, overwrite=True)
        except (OSError, PicoError) as error:
            msg = f"{self.file}: cannot be written ({error}); see that the folder is yours"
            raise ServiceError(msg) from error
        return replaced

    def end(self) -> None:
        """Have the system stop the service. Raises ServiceError, also if nobody answers; some do if it does not run."""
        _run(self.stop)

    def remove(self) -> None:
        """Remove the service's file, so that it starts no more. Raises ServiceError."""
        try:
            self.file.unlink()
            link = self.file.parent / "default.target.wants" / self.file.name
            link.unlink(missing_ok=True)
        except OSError as error:
            msg = f"{self.file}: cannot be removed ({error.strerror}); see that the folder is yours"
            raise ServiceError(msg) from error

    def begin(self) -> None:
        """Have the system start the service, anew if it is running, and with every login. Raises ServiceError."""
        with contextlib.suppress(ServiceError):
            _run(self.end_old)
        _run(self.start)


def service_for(words: Sequence[str], platform: str = sys.platform) -> Service:
    """The service that runs `pico-library watch` with these arguments. Raises ServiceError."""
    command = [sys.executable, "-m", "pico_library", "watch", *words]
    environment = _environment()
    for text in (*command, *environment.values()):
        if not text.isprintable():
            msg = f"{text!r}: cannot be named in the description of a service; rename it"
            raise ServiceError(msg)
    environment["PYTHONSAFEPATH"] = "1"  # what lies in the home folder is no module of ours
    if platform.startswith("linux"):
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "systemd", "user")
        return Service(
            folder / UNIT,
            unit(command, environment).encode(),
            tuple(
                ("systemctl", "--user", *do)
                for do in (("daemon-reload",), ("enable", UNIT), ("restart", UNIT))
            ),
            (("systemctl", "--user", "disable", "--now", UNIT),),
            f"journalctl --user -u {UNIT}",
        )
    if platform == "darwin":
        file = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        log = Path.home() / "Library" / "Logs" / "pico-library-watch.log"
        domain = f"gui/{os.getuid()}"
        stop = (("launchctl", "bootout", f"{domain}/{LABEL}"),)
        return Service(
            file,
            agent(command, environment, log),
            (("launchctl", "bootstrap", domain, str(file)),),
            stop,
            f"tail {log}",
            end_old=stop,
        )
    msg = f"there is no service for {platform} yet; have its task scheduler run at login: {' '.join(command)}"
    raise ServiceError(msg)


def _environment() -> dict[str, str]:
    """What the service has to know of this shell's variables, whatever folder it starts in."""
    given = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    if places.VARIABLE in given:
        given[places.VARIABLE] = os.path.abspath(given[places.VARIABLE])  # noqa: PTH100 (links stay links)
    # The others are ignored unless they are absolute (XDG Base Directory Specification).
    return {name: value for name, value in given.items() if Path(value).is_absolute()}


def unit(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """A systemd user unit. Stopping signals the watcher alone, which then has its photo finished."""
    variables = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items())
    program, *others = (_quoted(word) for word in command)
    # In the name of the program systemd replaces no variables.
    words = " ".join([program, *(word.replace("$", "$$") for word in others)])
    return f"""[Unit]
Description=Shrink photos as they appear (pico-library watch)

[Service]
ExecStart={words}
{variables}
Nice=10
IOSchedulingClass=idle
KillMode=mixed
TimeoutStopSec={_SECONDS_TO_FINISH}
Restart=on-failure
RestartSec=60
RestartPreventExitStatus=2

[Install]
WantedBy=default.target
"""


def agent(command: Sequence[str], environment: Mapping[str, str], log: Path) -> bytes:
    """A launchd agent, as a property list."""
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "EnvironmentVariables": dict(environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 60,
            "ExitTimeOut": _SECONDS_TO_FINISH,
            "ProcessType": "Background",
            "LowPriorityIO": True,
            "Nice": 10,
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        }
    )


def words_of(
    command: argparse.ArgumentParser, arguments: argparse.Namespace, left_out: Sequence[str]
) -> list[str]:
    """The options on a command line that differ from the settings' file, and its paths, all of them absolute.

    A service starts in another folder. What the settings' file says it reads for itself, at every start.
    """
    words = []
    given = getattr(arguments, "given", ())
    for action in command._actions:
        value = getattr(arguments, action.dest, None)
        if not action.option_strings or action.dest in left_out or value is None:
            continue
        if value == action.default and action.dest not in given:
            continue
        name = action.option_strings[0]
        if action.nargs == 0:
            words.append(name if value else action.option_strings[-1])
            continue
        for item in value if isinstance(value, list) else [value]:
            # In one word: a value may begin with a dash.
            words.append(f"{name}={item.absolute() if isinstance(item, Path) else item}")
    return [*words, *(os.path.abspath(path) for path in arguments.paths)]  # noqa: PTH100 (links stay links)


def _quoted(word: str) -> str:
    """A word as systemd reads it back: in quotes, with its escapes, and without its specifiers."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _run(commands: Sequence[Sequence[str]]) -> None:
    for command in commands:
        program = shutil.which(command[0])
        if program is None:
            msg = f"there is no {command[0]} on this machine; start the service by the means it has instead"
            raise ServiceError(msg)
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            msg = f"{' '.join(command)}: {said[-1] if said else f'ended with {done.returncode}'}"
            raise ServiceError(msg)
