"""The viewer reads the journal, and changes nothing about it."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from view_samples import drawing

import pillow_pico
from pico_library.model.records import Identity, Original, Outcome, Record
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.view.before import Before, find_before, record_of
from pico_library.view.catalogue import read_entry


@pytest.fixture
def pico(tmp_path: Path) -> Path:
    """A .pico file whose original is in the folder `archive` beside it."""
    path = tmp_path / "a.jpg.pico"
    path.write_bytes(pillow_pico.to_bytes(drawing((90, 60)), lossless=True))
    (tmp_path / "archive").mkdir()
    drawing((90, 60)).save(tmp_path / "archive" / "a.jpg")
    return path


def note(journal: Journal, pico: Path) -> None:
    """Record that the original went to the archive."""
    photo = Record(pico.with_suffix(""), Identity.of(pico.stat()), Outcome.SAVED, target=pico, run=1)
    journal.record(photo.with_original(Original.ARCHIVED, pico.parent / "archive" / "a.jpg"))


def found(pico: Path) -> Before | None:
    return find_before(read_entry("x", pico, "a"))


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.iterdir() if path.is_file()]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_looking_at_a_picture_makes_no_journal_and_no_folder_for_it(
    pico: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "none"))
    assert found(pico) is None
    assert not (tmp_path / "none").exists()


def test_looking_at_a_picture_changes_no_journal_and_leaves_nothing_beside_it(pico: Path, home: Path) -> None:
    with Journal(places.journal_file()) as journal:
        note(journal, pico)
    before = content(home)
    assert found(pico) is not None
    assert content(home) == before


def test_original_is_found_by_a_journal_on_a_read_only_disk(
    pico: Path, disk_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = disk_of(512)
    monkeypatch.setenv(places.VARIABLE, str(disk))
    with Journal(places.journal_file()) as journal:
        note(journal, pico)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert found(pico) is not None


def test_viewer_sees_what_a_run_at_work_has_recorded_and_keeps_nobody_from_recording(
    pico: Path, home: Path
) -> None:
    with Journal(places.journal_file()) as journal:
        assert record_of(pico) is None
        note(journal, pico)  # not yet in the journal's main file
        assert found(pico) is not None


def test_viewer_reads_a_journal_of_an_earlier_version_and_leaves_it_so(pico: Path, home: Path) -> None:
    with Journal(places.journal_file()) as journal:
        note(journal, pico)
    with contextlib.closing(sqlite3.connect(places.journal_file())) as database:
        for column in ("wrote", "kind", "measure"):
            database.execute(f"ALTER TABLE photos DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    before = content(home)
    assert found(pico) is not None
    assert content(home) == before


@pytest.mark.parametrize("damage", [b"", b"no database" * 200])
def test_viewer_goes_without_a_journal_that_is_empty_or_damaged(
    damage: bytes, pico: Path, home: Path
) -> None:
    places.journal_file().write_bytes(damage)
    before = content(home)
    assert record_of(pico) is None
    assert content(home) == before
