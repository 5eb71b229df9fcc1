"""Command `pico-library`: how its commands end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from pico_codec.program import brought_out, have_all_streams, print_any_name, say
from pico_core.errors import PicoError
from pico_library.arguments import UsageError
from pico_library.commands.parsers import parsed
from pico_library.commands.settings_file import ConfigError
from pico_library.console import BUSY, FAILED, FINE, INTERRUPTED, USAGE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    from pico_library.store.run_lock import BusyError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on sloppy EXIF are no help here
        have_all_streams()
        print_any_name()
        try:
            arguments = parsed(argv)
            code: int = arguments.run(arguments)
        except SystemExit as exit_request:
            code = int(exit_request.code or FINE)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except (ConfigError, UsageError) as error:
            code = _say(error, USAGE)
        except BusyError as error:
            code = _say(error, BUSY)
        except PicoError as error:
            code = _say(error, FAILED)
        except OSError as error:
            if brought_out("pico-library") and not isinstance(error, BrokenPipeError):
                say("pico-library", str(error))
            return FAILED
    return code if brought_out("pico-library") or code != FINE else FAILED


def _say(error: PicoError, code: int) -> int:
    say("pico-library", str(error))
    return code
