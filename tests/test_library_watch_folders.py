"""`pico-library watch`: folders that come and go, are made, moved, hidden, or lie on a disk that is taken out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from library_samples import drawing, journal_of, use_own_folders
from watching import drop, is_done, order, pico_of, watching

from pico_library.records import Outcome
from pico_library.settings import Mode


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_own_folders(monkeypatch, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"


def test_folders_that_are_made_or_moved_here_are_watched_too(folder: Path, tmp_path: Path) -> None:
    album = tmp_path / "Album"
    (album / "Day 1").mkdir(parents=True)
    moved = album / "Day 1" / "0.png"
    drawing(moved)
    with watching(order(folder)) as at_work:
        album.rename(folder / "Album")
        at_work.until(is_done(folder / "Album" / "Day 1" / "0.png"))
        (folder / "a" / "b").mkdir(parents=True)
        deep = drop(folder / "a" / "b", "1.png", 9)
        at_work.until(is_done(deep))
        later = drop(folder / "Album" / "Day 1", "2.png", 20)
        at_work.until(is_done(later))


def test_hidden_and_excluded_folders_are_left_alone(folder: Path) -> None:
    for name in (".cache", "Screenshots"):
        (folder / name).mkdir()
    with watching(order(folder, exclude=("screenshots",))) as at_work:
        hidden = [drop(folder / name, "0.png") for name in (".cache", "Screenshots")]
        seen = drop(folder, "1.png", 9)
        at_work.until(is_done(seen))
        at_work.until(lambda: at_work.is_resting)
    assert not any(pico_of(photo).exists() for photo in hidden)


def test_folder_that_vanishes_and_comes_back_is_watched_again(folder: Path, tmp_path: Path) -> None:
    photo = drawing(folder / "0.png")
    with watching(order(folder)) as at_work:
        at_work.until(is_done(photo))
        folder.rename(tmp_path / "away")
        at_work.until(lambda: at_work.notes.said("is not there"))
        second = drawing(tmp_path / "away" / "1.png", 9)
        (tmp_path / "away").rename(folder)
        at_work.until(is_done(folder / second.name))
        third = drop(folder, "2.png", 30)
        at_work.until(is_done(third))
    assert journal_of(photo).outcome is Outcome.SAVED
    assert len(list(folder.glob("*.pico"))) == 3


def test_folder_that_is_replaced_between_two_looks_is_watched_again(folder: Path) -> None:
    with watching(order(folder)) as at_work:
        for number in range(3):
            shutil.rmtree(folder)
            folder.mkdir()
            photo = drop(folder, f"{number}.png", number)
            at_work.until(is_done(photo))


def test_folder_that_is_not_there_at_first_is_waited_for(folder: Path) -> None:
    folder.rmdir()
    with watching(order(folder)) as at_work:
        folder.mkdir()
        photo = drop(folder, "0.png")
        at_work.until(is_done(photo))


def test_disk_that_is_taken_out_is_not_read_as_empty(folder: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        photo = drawing(folder / "0.png")
        with watching(order(folder)) as at_work:
            at_work.until(is_done(photo))
            subprocess.run(["umount", "-l", str(folder)], check=True)
            at_work.until(lambda: at_work.notes.said("is not there"))
            assert list(folder.iterdir()) == []
            assert journal_of(photo).outcome is Outcome.SAVED
            drawing(folder / "on-the-wrong-disk.png")
            looks = at_work.watcher.looks
            subprocess.run(mount, check=True)
            second = drawing(folder / "1.png", 9)
            at_work.until(is_done(second))
            assert at_work.watcher.looks > looks
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    assert not pico_of(folder / "on-the-wrong-disk.png").exists()


def test_output_folder_whose_disk_is_away_is_not_made_anew(folder: Path, tmp_path: Path) -> None:
    drawing(folder / "0.png")
    small = tmp_path / "disk" / "small"
    with watching(order(folder, output=small, settings={"mode": Mode.OUTPUT})) as at_work:
        at_work.until(lambda: at_work.notes.said("paused"))
        assert not small.exists()
        small.mkdir(parents=True)
        at_work.until(lambda: (small / "0.png.pico").exists())
