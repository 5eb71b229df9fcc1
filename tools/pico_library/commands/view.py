"""Command `pico-library view`."""

from __future__ import annotations

import argparse
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from pico_library.arguments import plain_path
from pico_library.console import FAILED, FINE, USAGE, complain, printable
from pico_library.model.photo import PICO_EXTENSION
from pico_library.store.paths import exists

DESCRIPTION = """Show .pico files as a gallery in the web browser. You can zoom to single pixels, and compare a
photo with its original if that is still there. A single .pico file opens large, with its neighbours. Only this
computer can open the gallery, and nothing is changed. Ctrl-C ends it."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=plain_path, nargs="+", help=".pico files and folders of them"
    )
    command.add_argument(
        "--port", type=_port, default=0, metavar="N", help="port of the server (default: a free one)"
    )
    command.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    command.add_argument(
        "--until-closed", action="store_true", help="end 15 seconds after the page was closed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, or until nobody looks."""
    from pico_library.view.server import Viewer

    for path in arguments.paths:
        if not exists(path):
            complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    try:
        viewer = Viewer([_shown(path) for path in arguments.paths], arguments.port)
    except OSError as error:
        complain(
            f"port {arguments.port}",
            f"cannot be used ({error.strerror}); choose another, or leave --port out",
        )
        return FAILED
    with viewer:
        threading.Thread(target=viewer.serve_forever, args=(0.2,), daemon=True).start()
        try:
            print(
                f"Showing {_named(arguments.paths)} at\n  {viewer.address}{viewer.opened}\nCtrl-C ends it.",
                flush=True,
            )
            if not arguments.no_browser:
                threading.Thread(target=webbrowser.open, args=(viewer.invitation(),), daemon=True).start()
            _wait(viewer.presence.over if arguments.until_closed else lambda: False)
        except KeyboardInterrupt:
            print()
        viewer.shutdown()
    return FINE


def _shown(path: Path) -> Path:
    """The .pico file of a photo that was named without `.pico`, if there is one."""
    pico = path.with_name(f"{path.name}{PICO_EXTENSION}") if path.name else path
    return pico if path.is_file() and path.suffix.lower() != PICO_EXTENSION and pico.is_file() else path


def _wait(over: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not over():
        pause.wait(0.5)


def _named(paths: list[Path]) -> str:
    return printable(str(paths[0])) if len(paths) == 1 else f"{len(paths)} places"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65_535:
        msg = f"{text} is not a number from 0 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
