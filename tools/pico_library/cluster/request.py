"""Which engine a command line asks for, and whether that can do what else it asks for."""

from __future__ import annotations

import argparse

from pico_library.model.settings import Settings
from pico_library.model.url import Url

LOCAL, DASK = "local", "dask"


def objection(arguments: argparse.Namespace, settings: Settings) -> str | None:
    """Why the engine cannot do what the command line of `shrink` asks for; None if it can."""
    if arguments.engine == LOCAL:
        url = next((path for path in (*arguments.paths, arguments.output) if isinstance(path, Url)), None)
        if url is not None:
            return f"knows files and folders only, not {url}; say --engine dask"
        if arguments.scheduler is not None:
            return "works on this machine alone; say --engine dask with --scheduler"
        return None
    if settings.mode.lets_go:
        return (
            "moves and removes no originals; leave out --replace, --archive and --delete-originals, "
            "and run again with --engine local for that"
        )
    if settings.update:
        return "makes no .pico file anew; leave out --update, or run with --engine local"
    if arguments.scheduler is not None and settings.max_memory is not None:
        return "the workers of a scheduler have limits of their own; say --max-memory without --scheduler"
    return None
