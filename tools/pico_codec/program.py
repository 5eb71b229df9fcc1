"""What the programs of this project have in common: subcommands, exit codes, and how errors reach people."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from pico_core import __version__
from pico_core.errors import OptionError, PicoError

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

Run = Callable[[argparse.Namespace], int]


class Program:
    """A command line with subcommands. `exit_codes` is the text that every `--help` ends with."""

    def __init__(self, name: str, description: str, exit_codes: str) -> None:
        self.name = name
        self._exit_codes = exit_codes
        self._parser = argparse.ArgumentParser(
            prog=name,
            description=description,
            epilog=exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._parser.add_argument("--version", action="version", version=f"{name} {__version__}")
        self._commands = self._parser.add_subparsers(metavar="COMMAND", required=True)

    def command(self, name: str, about: str, run: Run, description: str = "") -> argparse.ArgumentParser:
        """Add a subcommand; `about` is its line in the list, and its description if there is no longer one."""
        command: argparse.ArgumentParser = self._commands.add_parser(
            name,
            help=about,
            description=description or about[0].upper() + about[1:] + ".",
            epilog=self._exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run with these arguments (default: those of the process) and return the exit code.

        Commands find the whole line, as one would type it, in `arguments.command_line`. An OptionError is a wrong
        command line, any other PicoError or OSError a failure; both are said in one line.
        """
        given = sys.argv[1:] if argv is None else list(argv)
        try:
            arguments = self._parser.parse_args(given)
        except SystemExit as request:
            return int(request.code or FINE)
        arguments.command_line = shlex.join([self.name, *given])
        run: Run = arguments.run
        try:
            return run(arguments)
        except OptionError as error:
            say(self.name, str(error))
            return USAGE
        except (PicoError, OSError) as error:
            say(self.name, str(error))
            return FAILED
        except KeyboardInterrupt:
            return INTERRUPTED


def say(program: str, line: str) -> None:
    """Print one line on standard error, with the program's name before it."""
    print(f"{program}: {line}", file=sys.stderr, flush=True)
