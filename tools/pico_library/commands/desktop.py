"""Command `pico-library desktop`."""

from __future__ import annotations

import argparse

from pico_library.console import FINE, NOTHING

DESCRIPTION = """Teach the desktop about .pico files. File managers get the file type and thumbnails, and open .pico
files with `pico-library view`. This works on GNOME, KDE, Xfce and other freedesktop desktops. It writes below
$XDG_DATA_HOME, for this user only."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--install", dest="run", action="store_const", const=_install, help="write the files")
    what.add_argument(
        "--uninstall", dest="run", action="store_const", const=_uninstall, help="remove these files"
    )
    command.add_argument("--dry-run", action="store_true", help="show what would change, but change nothing")


def run(arguments: argparse.Namespace) -> int:
    """One of the options takes the place of this."""
    raise NotImplementedError


def _install(arguments: argparse.Namespace) -> int:
    from pico_library.desktop import integration

    integration.check_platform()
    files = integration.install(integration.data_home(), dry_run=arguments.dry_run)
    for path, content in files.items():
        print(f"{'Would write' if arguments.dry_run else 'Wrote'} {path}")
        if arguments.dry_run:
            print("\n" + "".join(f"    {line}\n" for line in content.splitlines()))
    for note in integration.notes():
        print(f"Note: {note}.")
    if not arguments.dry_run:
        print("`pico-library desktop --uninstall` removes these files again.")
    return FINE


def _uninstall(arguments: argparse.Namespace) -> int:
    from pico_library.desktop import integration

    integration.check_platform()
    paths = integration.uninstall(integration.data_home(), dry_run=arguments.dry_run)
    for path in paths:
        print(f"{'Would remove' if arguments.dry_run else 'Removed'} {path}")
    if not paths:
        print("Nothing is installed.")
        return NOTHING
    return FINE
