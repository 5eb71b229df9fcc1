"""What the programs of this project have in common: subcommands, exit codes, and how errors reach people."""

from __future__ import annotations

import argparse
import codecs
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from pico_core import __version__
from pico_core.errors import OptionError, PicoError

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

Run = Callable[[argparse.Namespace], int]


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs to the width of the terminal, and leaves lists alone: paragraphs with indented lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip("\n").split("\n\n")
        filled = (
            one if "\n  " in one else super(HelpFormatter, self)._fill_text(one, width, indent)
            for one in paragraphs
        )
        return "\n\n".join(filled)


class Program:
    """A command line with subcommands. `exit_codes` is the text that every `--help` ends with."""

    def __init__(self, name: str, description: str, exit_codes: str) -> None:
        self.name = name
        self._exit_codes = exit_codes
        self._parser = argparse.ArgumentParser(
            prog=name,
            description=description,
            epilog=exit_codes,
            formatter_class=HelpFormatter,
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
            formatter_class=HelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run with these arguments (default: those of the process) and return the exit code.

        Commands find the whole line, as one would type it, in `arguments.command_line`. An OptionError is a wrong
        command line, any other PicoError or OSError a failure; both are said in one line.
        """
        given = sys.argv[1:] if argv is None else list(argv)
        have_all_streams()
        print_any_name()
        try:
            code = self._run(given)
        except OptionError as error:
            say(self.name, str(error))
            code = USAGE
        except PicoError as error:
            say(self.name, str(error))
            code = FAILED
        except OSError as error:
            if brought_out(self.name) and not isinstance(error, BrokenPipeError):
                say(self.name, str(error))
            return FAILED
        except KeyboardInterrupt:
            code = INTERRUPTED
        return code if brought_out(self.name) or code != FINE else FAILED

    def _run(self, given: Sequence[str]) -> int:
        try:
            arguments = self._parser.parse_args(given)
        except SystemExit as request:
            return int(request.code or FINE)
        arguments.command_line = shlex.join([self.name, *given])
        run: Run = arguments.run
        return run(arguments)


def have_all_streams() -> None:
    """Have something at the numbers 0 to 2, which a service or a shell may have closed.

    Else the next file that is opened, the journal for instance, would get the number and all that is printed there;
    and what is meant for people would be printed where programs read.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def print_any_name() -> None:
    """Let names of files be printed that are no text in the output's encoding: as their bytes, or else as escapes."""
    output = sys.stdout
    if isinstance(output, io.TextIOWrapper) and output.errors == "strict":
        is_utf_8 = codecs.lookup(output.encoding).name == "utf-8"
        output.reconfigure(errors="surrogateescape" if is_utf_8 else "backslashreplace")


def brought_out(program: str) -> bool:
    """Bring out what was printed; if that fails say so, unless nobody reads on, and let go of it.

    Python would try again at its end, complain in many lines, and exit with a code of its own.
    """
    try:
        if sys.stdout is not None:  # as it is where the caller has closed it
            sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123 (the null device is no file)
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            say(program, f"the output cannot be written ({error.strerror}); send it elsewhere")
        return False
    return True


def say(program: str, line: str) -> None:
    """Print one line on standard error, with the program's name before it."""
    print(f"{program}: {line}", file=sys.stderr, flush=True)
