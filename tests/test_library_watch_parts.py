"""The parts of the watcher by themselves: settling, hints, looks, network disks, stopping."""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from library_samples import command, drawing, use_own_folders
from watchdog.events import DirCreatedEvent, FileClosedEvent, FileCreatedEvent, FileMovedEvent
from watching import order, until, watching

from pico_core import PicoFile
from pico_library.cli import main
from pico_library.commands.watch import parse_time
from pico_library.console import complain
from pico_library.model.photo import Skipped
from pico_library.model.reasons import Reason
from pico_library.model.records import Outcome
from pico_library.run.plan import Plan
from pico_library.store import places
from pico_library.store.scan import Choice, Found, scan
from pico_library.watch import look
from pico_library.watch.events import Hints
from pico_library.watch.folders import WatchedFolder, remote_kind
from pico_library.watch.photos import Photos
from pico_library.watch.reporter import Reporter
from pico_library.watch.settle import Look, Settling, is_being_written, look_at
from pico_library.watch.tally import Tally
from pico_library.watch.worker import Done


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_own_folders(monkeypatch, tmp_path / "home")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


@given(
    some.lists(some.tuples(some.integers(0, 30), some.integers(0, 2), some.booleans()), max_size=40),
    some.integers(1, 20),
)
@example([(0, 1, False), (0, 0, False), (1, 1, False)], 1)
def test_photo_settles_only_after_two_equal_looks_that_far_apart(
    looks: list[tuple[int, int, bool]], seconds: int
) -> None:
    """Looks come at any pace; the file has one of three sizes, and is at times being written."""
    settling = Settling(seconds)
    now, equal_since, last = 0, 0, None
    for pause, size, is_written in looks:
        now += pause
        found = Look(size, 0, 1, is_written)
        if last is None:
            settling.note("photo", found, now)
            equal_since, last = now, found
            continue
        asked: list[str] = []

        def look_again(path: str, found: Look = found, asked: list[str] = asked) -> Look:
            asked.append(path)
            return found

        if settling.settled(now, look_again):
            assert found == last
            assert not is_written
            assert now - equal_since >= seconds
            last = None
        elif asked:
            equal_since, last = now, found


def test_photo_that_rests_settles_and_one_that_goes_is_forgotten() -> None:
    settling = Settling(10)
    settling.note("a", Look(1, 1, 1), 0)
    settling.note("b", Look(2, 2, 2), 5)
    settling.note("a", Look(1, 1, 1), 9)
    assert settling.due() == 10
    assert settling.settled(10, {"a": Look(1, 1, 1)}.get) == {"a": Look(1, 1, 1)}
    assert settling.settled(15, lambda _: None) == {}
    assert len(settling) == 0
    assert settling.due() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who writes a file")
def test_file_open_for_writing_is_known_to_be_and_nobody_is_kept_from_it(folder: Path) -> None:
    photo = folder / "0.png"
    with photo.open("wb") as stream:
        assert is_being_written(str(photo))
        seen = look_at(str(photo))
        assert seen is not None
        assert seen.is_written
        stream.write(b"x")
    assert not is_being_written(str(photo))
    with photo.open("rb"):
        assert not is_being_written(str(photo)), "readers do no harm"
    with photo.open("ab"):
        pass
    assert not is_being_written(str(folder / "missing.png"))
    assert look_at(str(folder)) is None


def test_own_output_and_other_files_wake_nobody() -> None:
    woken: list[bool] = []
    hints = Hints(lambda: woken.append(True))
    for name in ("0.jpg.pico", ".12ab.pico-part", "x.xmp", ".hidden.jpg", "film.mov"):
        hints.dispatch(FileCreatedEvent(f"/p/{name}"))
        hints.dispatch(FileClosedEvent(f"/p/{name}"))
        hints.dispatch(FileMovedEvent("/p/.part.pico-part", f"/p/{name}"))
    hints.dispatch(DirCreatedEvent("/p/.thumbnails"))
    assert not woken
    assert hints.due(1) is None
    hints.dispatch(FileMovedEvent("/p/x.part", "/p/a/x.JPG"))
    hints.dispatch(FileClosedEvent("/p/b/y.jpeg"))
    assert len(woken) == 1
    assert hints.take() == {"/p/a", "/p/b"}
    assert hints.due(1) is None


def test_shrinking_in_a_watched_folder_makes_no_hint(folder: Path) -> None:
    drawing(folder / "0.png")
    (folder / "sub").mkdir()
    woken: list[bool] = []
    hints = Hints(lambda: woken.append(True))
    watched = WatchedFolder(folder, hints, lambda *_: None, 60)
    assert watched.check()
    try:
        assert main(["shrink", str(folder)]) == 0
        drawing(folder.parent / "last.png").rename(folder / "sub" / "last.png")
        until(lambda: woken)
        assert hints.take() == {str(folder / "sub")}
    finally:
        watched.close()


def test_more_folders_than_are_worth_it_become_one_look_over_everything() -> None:
    hints = Hints(lambda: None)
    for number in range(1001):
        hints.look_in(f"/p/{number}")
    assert hints.take() is None
    assert hints.due(1) is None


def test_look_into_every_folder_finds_what_a_scan_finds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "share"))
    for below in ("", "a", "a/b", ".hidden/c", "Skipped/d", "share/Trash/files", "$RECYCLE.BIN"):
        (folder / below).mkdir(parents=True, exist_ok=True)
        for name in ("0.jpg", "1.PNG", "2.txt", ".3.jpg", "0.jpg.pico"):
            (folder / below / name).write_bytes(b"x")
    (folder / "link").symlink_to(folder / "a")
    every = [str(folder), *(str(path) for path in folder.rglob("*") if path.is_dir())]
    choice = Choice(exclude=("skipped", "1.*"), output=folder.parent / "out")
    whole, parts = scan([folder], choice), look.into([*every, "/nowhere"])([folder], choice)
    assert {photo.key: photo.target for photo in parts.photos} == {
        photo.key: photo.target for photo in whole.photos
    }
    assert sorted(map(str, (one.path for one in parts.skipped))) == sorted(
        map(str, (one.path for one in whole.skipped))
    )
    assert len(whole.photos) == 3
    assert not parts.problems


def test_network_disk_is_polled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hints = Hints(lambda: None)
    local = WatchedFolder(folder, hints, lambda *_: None, 0.1)
    monkeypatch.setattr(
        "pico_library.store.places.file_system", lambda path: "nfs4" if path.is_relative_to(folder) else None
    )
    remote = WatchedFolder(folder, hints, lambda *_: None, 0.1)
    assert remote.check()
    assert remote.is_polled
    assert remote.manner == "watching, every 0.1 s, as it lies on nfs4"
    remote.close()
    with watching(order(folder), rescan=3600) as at_work:
        assert at_work.notes.said("as it lies on nfs4")
        photo = drawing(folder / ".0.png").rename(folder / "0.png")
        at_work.until(photo.with_name("0.png.pico").exists)
    monkeypatch.undo()
    assert local.check()
    assert not local.is_polled
    local.close()


@pytest.mark.parametrize(
    ("kind", "is_remote"),
    [
        ("ext4", False),
        ("apfs", False),
        ("fuseblk", False),
        ("CIFS", True),
        ("fuse.sshfs", True),
        ("9p", True),
        *((kind, True) for kind in sorted(places.NETWORK)),
    ],
)
def test_kinds_of_file_systems(kind: str, is_remote: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pico_library.store.places.file_system", lambda _: kind)
    assert (remote_kind(Path("/")) is not None) == is_remote


@pytest.fixture
def watch_command(folder: Path) -> list[str]:
    return command("watch", "--settle", "0.2s", "--rescan", "1h", folder)


@pytest.mark.parametrize("everyone", [False, True])
def test_stopped_amid_a_photo_it_is_finished_or_untouched(
    everyone: bool, folder: Path, watch_command: list[str]
) -> None:
    """`kill PID`, and a whole service that is told at once, verifier and all."""
    before = {drawing(folder / f"{n:02}.png", n).name: None for n in range(30)}
    with subprocess.Popen(
        [*watch_command, "--delete-originals", "--yes"], stderr=subprocess.PIPE, text=True
    ) as run:
        until(lambda: list(folder.glob("*.pico")) or run.poll() is not None)
        processes = [psutil.Process(run.pid)]
        for process in processes + (processes[0].children(recursive=True) if everyone else []):
            process.send_signal(signal.SIGTERM)
        said = run.communicate()[1]
    assert run.returncode == 0, said
    assert "stopped: " in said
    assert not list(folder.glob(".*")), "a partial file is left"
    assert not any("failed" in line for line in said.splitlines())
    for name in before:
        pico = folder / f"{name}.pico"
        assert (folder / name).exists() != pico.exists(), "neither half-done nor both"
        if pico.exists():
            with PicoFile(pico) as file:
                file.verify()
    assert len(list(folder.glob("*.pico"))) < len(before), "it did not stop early"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="makes the queue of inotify overflow")
def test_photo_whose_event_was_lost_is_found(folder: Path, watch_command: list[str], tmp_path: Path) -> None:
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if room > 50_000:
        pytest.skip("the queue is too long to be filled here")
    if tuple(map(int, importlib.metadata.version("watchdog").split(".")[:2])) < (7, 1):
        watch_command = [word.replace("1h", "2s") for word in watch_command]  # it does not say so before
    log = tmp_path / "log"
    with log.open("w") as stream, subprocess.Popen(watch_command, stderr=stream) as run:
        try:
            until(lambda: "found: 0 photos" in log.read_text())
            run.send_signal(signal.SIGSTOP)
            for number in range(room // 2 + 1000):
                (folder / f"{number}.txt").touch()
            drawing(tmp_path / "late.png").rename(folder / "late.png")
            run.send_signal(signal.SIGCONT)
            until((folder / "late.png.pico").exists, log.read_text)
        finally:
            run.terminate()
    assert run.returncode == 0


class Line(Reporter):
    """Keeps what would stand in the terminal's last line."""

    text = ""

    def idle(self, text: str) -> None:
        self.text = text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_message_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, io.TextIOWrapper(full, write_through=True) as log:
        monkeypatch.setattr(sys, "stderr", log)
        complain("0.png", "is odd")
        reporter = Reporter()
        reporter.event("0.png", "is fine")
        reporter.problem("0.png", "is odd")
        reporter.close("1 photo shrunk")
    complain("0.png", "has nobody to tell it to")


def test_resting_watcher_tells_of_failures_and_of_what_waits(folder: Path) -> None:
    line, photos = Line(), Photos(10.0, 3600.0)
    tally = Tally(line)
    watched = WatchedFolder(folder, Hints(lambda: None), tally.problem, 60.0)
    watched.check(observe=False)
    for name, outcome in (("a", Outcome.SAVED), ("b", Outcome.SAVED), ("c", Outcome.FAILED)):
        tally.add(Done(name, outcome, None, 5000, 1000))
    tally.show([watched], photos, "")
    assert line.text == "Watching 1 folder: 2 photos shrunk, originals 10.0 kB, .pico 2.0 kB; 1 failed"
    tally.add(Done("d", Outcome.SKIPPED, Reason.CHANGED_SINCE, 5000, 0))
    tally.show([watched], photos, "")
    assert "; 1 left alone (changed since its .pico file was made; --update makes that anew)" in line.text
    found = Found(
        skipped=[Skipped(folder / "a.dng", Reason.RAW), Skipped(folder / "b.txt", Reason.NO_PICTURE)]
    )
    tally.found(Plan([], found), 0, everything=True)
    assert "; 2 left alone (1 camera RAW, 1 changed since" in tally.summary, "and what is no photo is none"
    photos.ready["e"] = Look(1, 1, 1)
    tally.show([watched], photos, "on battery")
    assert line.text.endswith("1 failed; 1 wait: on battery")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for priorities")
def test_watcher_lets_others_go_first() -> None:
    program = (
        "import os, psutil; from pico_library.watch.power import lower_priority; lower_priority(); lower_priority();"
        "print(os.nice(0), psutil.Process().ionice().ioclass == psutil.IOPRIO_CLASS_IDLE)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(max(10, os.nice(0))), "True"]


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1.5 min", 90), ("1h", 3600), ("7", 7)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-1s", "8000h", "1d2"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        _convert(text)


def _convert(text: str) -> object:
    from pico_library.commands.options import by

    return by(parse_time)(text)
