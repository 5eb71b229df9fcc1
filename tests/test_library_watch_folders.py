"""`pico-library watch`: folders that come and go, are made, moved, hidden, or lie on a disk that is taken out."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from library_samples import command, drawing, journal_of
from watching import HURRIED, Notes, drop, is_done, order, pico_of, until, watching

from pico_library.model.records import Outcome
from pico_library.model.settings import Mode
from pico_library.watch.loop import Watcher

pytestmark = pytest.mark.usefixtures("home")


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


def limited(watches: int, folder: Path) -> list[str]:
    """The command that watches a folder where the system watches only so many, in a name space of its own."""
    limit = "/proc/sys/user/max_inotify_watches"
    enter = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    script = f'echo {watches} > {limit} && exec "$@"'
    if (
        shutil.which("unshare") is None
        or subprocess.run([*enter, script, "sh", "true"], check=False).returncode
    ):
        pytest.skip("limits of one's own need a user name space")
    watch = command(
        "watch", "--on-battery", "--settle", "0.2s", "--poll-every", "0.3s", "--rescan", "1h", folder
    )
    return [*enter, script, "sh", *watch]


@pytest.mark.parametrize("made", ["before", "later"])
def test_folders_beyond_the_limit_of_the_system_are_polled(made: str, folder: Path, tmp_path: Path) -> None:
    deepest = folder / "a" / "b" / "c"
    if made == "before":
        deepest.mkdir(parents=True)
    log = tmp_path / "log"
    with log.open("w") as stream, subprocess.Popen(limited(3, folder), stderr=stream) as run:
        try:
            until(lambda: "found: 0 photos" in log.read_text() or run.poll() is not None)
            deepest.mkdir(parents=True, exist_ok=True)
            until(lambda: "cannot be told of changes" in log.read_text(), log.read_text)
            photo = drop(deepest, "0.png")
            until(is_done(photo), log.read_text)
        finally:
            run.terminate()
    assert run.returncode == 0


def test_folders_within_the_limit_of_the_system_are_not_polled(folder: Path, tmp_path: Path) -> None:
    (folder / "a").mkdir()
    log = tmp_path / "log"
    with log.open("w") as stream, subprocess.Popen(limited(4, folder), stderr=stream) as run:
        try:
            until(lambda: "found: 0 photos" in log.read_text() or run.poll() is not None)
            until(is_done(drop(folder / "a", "0.png")), log.read_text)
        finally:
            run.terminate()
    assert "cannot be told of changes" not in log.read_text()


@pytest.mark.parametrize("gone", ["folder", "archive"])
@pytest.mark.parametrize("at_first", [False, True])
def test_once_ends_when_what_it_needs_goes(at_first: bool, gone: str, folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    photo = drawing(folder / "0.png")
    wanted, notes = order(folder, settings={"mode": Mode.ARCHIVE, "archive": archive}), Notes()
    watcher = Watcher(wanted, replace(HURRIED, settle=0.3 if at_first else 2.0), notes, once=True)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(watcher.run()), daemon=True)

    def go() -> None:
        {"folder": folder, "archive": archive}[gone].rename(tmp_path / "away")

    if at_first:
        go()
    thread.start()
    if not at_first:
        until(lambda: watcher.photos.settling)
        go()
    until(lambda: codes, lambda: "\n".join(notes.lines))
    assert codes == [1]
    assert notes.said("is not there")
    assert (photo if gone == "archive" else tmp_path / "away" / "0.png").exists()
