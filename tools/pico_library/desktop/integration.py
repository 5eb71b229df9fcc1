"""Installing the files that tell a desktop about .pico files, and removing exactly these again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from pico_codec.files import OutputError, write_whole
from pico_core.errors import PicoError
from pico_library.desktop import files

_TIMEOUT_SECONDS = 120
_PLACES = ("mime/packages/pico-library.xml", "thumbnailers/pico-library.thumbnailer",
           "applications/pico-library-view.desktop")  # fmt: skip


class DesktopError(PicoError):
    """The desktop cannot be told about .pico files."""


def check_platform(platform: str = sys.platform) -> None:
    """Raise DesktopError on systems whose desktops work otherwise."""
    other = {"darwin": "macOS", "win32": "Windows"}.get(platform)
    if other is not None:
        msg = (
            f"{other} takes thumbnails and file types only from signed applications, which pico-library is not; "
            "nothing was installed. `pico-library view FOLDER` shows .pico files in the web browser all the same"
        )
        raise DesktopError(msg)


def data_home() -> Path:
    """$XDG_DATA_HOME, or its default; a relative one is ignored, as the specification says."""
    chosen = Path(os.environ.get("XDG_DATA_HOME") or "")
    return chosen if chosen.is_absolute() else Path.home() / ".local" / "share"


def install(folder: Path, *, dry_run: bool) -> dict[Path, str]:
    """Write the files below the data folder, and let the desktop read them; returns their paths and contents.

    A file of that name that somebody else wrote is a DesktopError, and then nothing is written.
    """
    contents = (
        files.mime_type(),
        files.thumbnailer(thumbnail_program()),
        files.application([*_program("pico-library", "pico_library"), "view", "--until-closed"]),
    )
    wanted = {folder / place: content for place, content in zip(_PLACES, contents, strict=True)}
    for path in wanted:
        if os.path.lexists(path) and not _is_ours(path):
            msg = f"{path}: exists already and is not from pico-library; move it away first"
            raise DesktopError(msg)
    if not dry_run:
        try:
            for path, content in wanted.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, os.fsencode(content), overwrite=True)
        except (OSError, OutputError) as error:
            msg = f"{path}: {error}; `pico-library desktop --uninstall` removes what was written so far"
            raise DesktopError(msg) from error
        _refresh(folder)
    return wanted


def uninstall(folder: Path, *, dry_run: bool) -> list[Path]:
    """Remove the files that `install` wrote, and return their paths. Raises DesktopError."""
    paths = [path for path in (folder / place for place in _PLACES) if _is_ours(path)]
    if not dry_run:
        for path in paths:
            try:
                path.unlink()
            except OSError as error:
                msg = f"{path}: cannot be removed ({error.strerror})"
                raise DesktopError(msg) from error
        if paths:
            _refresh(folder)
    return paths


def notes() -> list[str]:
    """What the user should know about this machine."""
    found = []
    if shutil.which("update-mime-database") is None:
        found.append(
            "update-mime-database was not found, so programs do not know the type yet; install the package "
            "shared-mime-info and run this command again"
        )
    program = Path(thumbnail_program()[0])
    if shutil.which("bwrap") is not None and not program.resolve().is_relative_to("/usr"):
        found.append(
            f"GNOME's file manager runs thumbnailers where they see nothing outside of /usr, and {program} is "
            "outside; other file managers show thumbnails. For GNOME, install pillow-pico below /usr/local"
        )
    return found


def thumbnail_program() -> list[str]:
    """The thumbnailer and its first arguments, with an absolute path."""
    return _program("pico-thumbnail", "pico_library.thumbnail")


def _program(script: str, module: str) -> list[str]:
    """The program with its absolute path: the PATH of a desktop session knows no virtual environments."""
    path = Path(sysconfig.get_path("scripts"), script)
    if os.access(path, os.X_OK):
        return [str(path)]
    return [sys.executable, "-P", "-m", module]  # -P: never import from the folder that happens to be current


def _is_ours(path: Path) -> bool:
    try:
        return not path.is_symlink() and files.MARK.encode() in path.read_bytes()
    except OSError:
        return False


def _refresh(folder: Path) -> None:
    """Let the desktop's own tools, where they are installed, read the files; without them it finds out later."""
    for tool, place in (("update-mime-database", "mime"), ("update-desktop-database", "applications")):
        program = shutil.which(tool)
        if program is None:
            continue
        try:
            done = subprocess.run(
                [program, str(folder / place)], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            msg = f"{tool} failed ({error})"
            raise DesktopError(msg) from error
        if done.returncode:
            msg = f"{tool} failed: {done.stderr.strip() or done.returncode}"
            raise DesktopError(msg)
