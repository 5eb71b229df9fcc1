"""Where pico-library keeps its own files: the journal and its lock in the data folder, settings in another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs

from pico_core.errors import PicoError

VARIABLE = "PICO_LIBRARY_HOME"  # a folder for both, instead of the platform's
_NAME = "pico-library"
_JOURNAL = "journal.sqlite3"
#: Kinds of file systems that lie on other computers, or on the one that this virtual machine runs on.
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs", "9p", "afs", "ceph"}
    | {"glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "ncpfs", "vboxsf", "vmhgfs", "prl_fs"}
    | {
        "virtiofs",
        "osxfs",
        "drvfs",
        "sshfs",
        "rclone",
        "s3fs",
        "gcsfuse",
        "davfs2",
        "ceph-fuse",
        "vmhgfs-fuse",
    }
)


class PlaceError(PicoError):
    """A folder that pico-library needs for itself cannot be used."""


def data_folder() -> Path:
    """The folder of the journal, created if need be. Raises PlaceError, also for a network disk."""
    folder = _data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: cannot be created ({error.strerror}); set {VARIABLE} to a folder of yours"
        raise PlaceError(msg) from error
    kind = file_system(folder)
    if kind is not None and is_network(kind):
        msg = f"{folder}: lies on a network disk ({kind}), where a journal breaks; set {VARIABLE} to a local folder"
        raise PlaceError(msg)
    return folder


def journal_file() -> Path:
    """The journal's file, whose folder is created if need be. Raises PlaceError."""
    return data_folder() / _JOURNAL


def journal_to_read() -> Path | None:
    """The journal's file if there is one; nothing is created."""
    file = _data_folder() / _JOURNAL
    return file if os.path.isfile(file) else None  # noqa: PTH113 (False, too, where one may not look)


def lock_file() -> Path:
    """The file that a run at work has locked. Raises PlaceError."""
    return data_folder() / "run.lock"


def config_file() -> Path:
    """The settings' file, which need not exist."""
    return _own(platformdirs.user_config_path) / "config.toml"


def file_system(path: Path) -> str | None:
    """The kind of file system that holds `path`, such as `ext4` or `nfs`; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    best, kind = "", None
    place = str(path.resolve())
    try:
        lines = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        _, mounted, its_kind, *_ = line.split(" ")
        point = mounted.replace("\\040", " ").rstrip("/") + "/"
        if (place + "/").startswith(point) and len(point) >= len(best):
            best, kind = point, its_kind
    return kind


def is_network(kind: str) -> bool:
    """Whether a kind of file system is known to lie on another computer; those that programs bring are `fuse.sshfs`."""
    return kind.lower().removeprefix("fuse.") in NETWORK


def _data_folder() -> Path:
    return _own(platformdirs.user_data_path)


def home() -> Path | None:
    """The user's home; None for a user of no name, as in a container, whose surroundings name none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def _own(usual: Callable[..., Path]) -> Path:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        return usual(_NAME, appauthor=False)
    except RuntimeError as error:
        msg = f"this user has no home folder; set HOME, or {VARIABLE} to a folder of yours"
        raise PlaceError(msg) from error
