"""Small libraries of photos for the tests of pico-library, and what they promise in common."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from pico_core import PicoFile, decode
from pico_library.check.verifier import Verifier
from pico_library.cli import main
from pico_library.model.records import Original, Outcome, Record
from pico_library.store import places
from pico_library.store.journal import Journal

EXIF_DATE = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x012\0\x02\0\0\0\x14\0\0\0\x1a\0\0\0\x002021:06:05 04:03:02\0"
ENDINGS = {"archive": Original.ARCHIVED, "replace": Original.TRASHED, "delete": Original.DELETED}


def scene(samples: Path) -> Image.Image:
    """A piece of a real photo, small enough to encode in a moment."""
    with Image.open(samples / "lake.jpg") as photo:
        return photo.crop((60, 60, 252, 188)).convert("RGB")


def drawing(path: Path, shade: int = 0) -> Path:
    """A picture of flat colours, which is coded without loss: neither encoding nor checking it needs the networks."""
    im = Image.new("RGB", (240, 160), (200, 220, 240 - shade))
    pencil = ImageDraw.Draw(im)
    for step in range(6):
        pencil.rectangle(
            (20 * step, 15 * step, 20 * step + 90, 15 * step + 60), (40 * step, 90, 255 - 40 * step)
        )
    im.save(path, compress_level=0)
    return path


def folder_of_drawings(folder: Path, count: int) -> Path:
    """A new folder with that many drawings: 0.png, 1.png, and so on."""
    folder.mkdir()
    for number in range(count):
        drawing(folder / f"{number}.png", number)
    return folder


@contextmanager
def one_verifier() -> Iterator[pytest.MonkeyPatch]:
    """Runs inside this process share one verifier, so that it is started once and not for every test."""
    with pytest.MonkeyPatch.context() as patch, Verifier() as verifier:

        class Shared:
            def __enter__(self) -> Verifier:
                return verifier

            def __exit__(self, *_: object) -> None:
                pass

        patch.setattr("pico_library.run.session.Verifier", Shared)
        yield patch


def use_own_folders(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Let pico-library and the Trash keep everything below `home`."""
    patch.setenv("PICO_LIBRARY_HOME", str(home))
    patch.setenv("HOME", str(home))
    patch.setenv("XDG_DATA_HOME", str(home / "share"))
    (home / "share").mkdir(parents=True)
    for name in [name for name in sys.modules if name.startswith("send2trash")]:
        patch.delitem(sys.modules, name)  # it looks at HOME once, when it is imported


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pico_library", *map(str, arguments)]


def pico_library(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Name, content, time and access rights of every file that is not a .pico file."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pico"
    }


def journal_of(path: Path) -> Record:
    """What the journal knows of a photo."""
    with Journal(places.journal_file()) as journal:
        record = journal.newest(path)
    assert record is not None
    return record


def newest_of_all(journal: Journal) -> dict[Path, Record]:
    """The newest record of every photo."""
    return {record.path: record for run in journal.runs() for record in journal.photos(run.number)}


def nothing_is_lost(originals: Mapping[Path, bytes], *others: Path) -> bool:
    """Whether each original is in its place, or its bytes below one of the other folders, or its .pico decodes."""
    elsewhere = {path.read_bytes() for folder in others for path in folder.rglob("*") if path.is_file()}
    return all(
        (path.is_file() and path.read_bytes() == content) or content in elsewhere or _decodes(path)
        for path, content in originals.items()
    )


def _decodes(path: Path) -> bool:
    target = path.with_name(path.name + ".pico")
    return target.is_file() and decode(target.read_bytes()).size > 0


def archive(library: Path) -> list[str]:
    """The arguments of a run whose originals move to an archive beside the library."""
    return ["shrink", str(library), "--archive", str(library.parent / "archive")]


def ask(mode: str, library: Path) -> list[str]:
    """The arguments of a run in which originals leave their place in this mode."""
    options = {
        "archive": ["--archive", str(library.parent / "archive")],
        "replace": ["--replace"],
        "delete": ["--delete-originals", "--yes"],
        "beside": [],
    }
    return ["shrink", str(library), "--jobs", "1", *options[mode]]


def files_below(*folders: Path) -> list[str]:
    """The names of all files in some folders and in those below them."""
    return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())


def check_that_the_next_run_finishes(mode: str, library: Path, before: dict[Path, bytes]) -> None:
    """Run once more in a mode: every photo of `before` is shrunk then, and nothing else lies about."""
    assert nothing_is_lost(before, library.parent), "something was lost"
    assert main(ask(mode, library)) in (0, 3)
    assert nothing_is_lost(before, library.parent)
    originals = [] if mode != "beside" else ["0.png", "1.png"]
    assert files_below(library) == sorted(["0.png.pico", "1.png.pico", *originals]), "litter, or too little"
    for path in library.glob("*.pico"):
        with PicoFile(path) as file:
            file.verify()
            file.decode()
    ending = ENDINGS.get(mode, Original.KEPT)
    for path, content in before.items():
        record = journal_of(path)
        assert (record.outcome, record.original) == (Outcome.SAVED, ending)
        if ending in (Original.ARCHIVED, Original.TRASHED):
            assert record.original_at is not None
            assert record.original_at.read_bytes() == content
    if mode == "archive":
        assert files_below(library.parent / "archive") == ["0.png", "1.png"]
    if mode == "replace" and sys.platform not in ("win32", "darwin"):
        trash = Path(os.environ["XDG_DATA_HOME"]) / "Trash"
        assert files_below(trash) == ["0.png", "0.png.trashinfo", "1.png", "1.png.trashinfo"]


def closed_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody ask what there is at a path, as below a folder that one may not enter; root enters every one."""
    look = os.stat

    def refuse(path: Any, *how: Any, **more: Any) -> os.stat_result:
        if not isinstance(path, int) and os.fspath(path) == str(root):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, *how, **more)

    monkeypatch.setattr(os, "stat", refuse)
