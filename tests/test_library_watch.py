"""`pico-library watch`: which photos it takes and when, and that nothing it meets makes it lose one or die."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from library_samples import ask, command, drawing, fingerprint, journal_of, pico_library
from watching import HURRIED, Notes, drop, is_done, order, pico_of, until, watching

from pico_core import PicoFile
from pico_library.cli import main
from pico_library.model.faults import VARIABLE
from pico_library.model.reasons import Reason
from pico_library.model.records import Identity, Original, Outcome, Record
from pico_library.model.settings import Mode, Settings
from pico_library.report.words import in_words
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.store.run_lock import BusyError, alone
from pico_library.watch.loop import Watcher

pytestmark = pytest.mark.usefixtures("home")


def test_photos_there_and_photos_that_appear_are_shrunk(folder: Path) -> None:
    first = drawing(folder / "0.png")
    before = fingerprint(folder)
    with watching(order(folder)) as at_work:
        at_work.until(is_done(first))
        second = drop(folder, "1.png", 9)
        at_work.until(is_done(second))
        at_work.until(lambda: at_work.is_resting)
    assert {**fingerprint(folder), **before} == fingerprint(folder)
    for photo in (first, second):
        with PicoFile(pico_of(photo)) as file:
            file.verify()
        assert journal_of(photo).outcome is Outcome.SAVED
    assert not list(folder.glob(".*"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who writes a file")
def test_photo_that_is_still_being_written_is_not_touched_however_long_it_rests(folder: Path) -> None:
    whole = drawing(folder.parent / "whole.png").read_bytes()
    slow = folder / "slow.png"
    with watching(order(folder), settle=0.05, rescan=0.1) as at_work:
        with slow.open("wb") as stream:
            for start in range(0, len(whole), len(whole) // 4):
                stream.write(whole[start : start + len(whole) // 4])
                stream.flush()
                looks = at_work.watcher.looks
                at_work.until(lambda looks=looks: at_work.watcher.looks > looks + 2)  # type: ignore[misc]
                assert at_work.watcher.batches == 0
        at_work.until(is_done(slow))
    assert journal_of(slow).digest is not None
    assert not at_work.notes.said("truncated")


def test_download_is_taken_when_it_gets_its_name(folder: Path) -> None:
    with watching(order(folder)) as at_work:
        download = drawing(folder / "photo.png").rename(folder / "photo.png.part")
        (folder / "photo.png.part").rename(folder / "photo.png")
        at_work.until(is_done(folder / "photo.png"))
    assert not download.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["photo.png", "photo.png.pico"]


def test_burst_of_ten_thousand_files_is_one_pass(folder: Path, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()
    known = []
    for number in range(10_000):
        path = staging / f"{number:05}.jpg"
        path.touch()
        identity = Identity.of(path.stat())
        known.append(
            Record(folder / path.name, identity, Outcome.SKIPPED, Reason.SMALL_SAVING, Settings().decisive)
        )
    with Journal(places.journal_file()) as journal:
        journal.record(*known)
    with watching(order(folder)) as at_work:
        for record in known:
            (staging / record.path.name).rename(record.path)
        photo = drop(folder, "new.png")
        at_work.until(is_done(photo))
        at_work.until(lambda: at_work.is_resting)
        assert at_work.watcher.looks < 50
        assert at_work.watcher.batches == 1
    assert len(list(folder.glob("*.pico"))) == 1


def test_photo_that_changes_while_it_settles_is_taken_as_it_is_in_the_end(folder: Path) -> None:
    with watching(order(folder), settle=1.0) as at_work:
        photo = drop(folder, "0.png", 1)
        at_work.until(lambda: at_work.watcher.photos.settling)
        final = drawing(folder.parent / "final.png", 90).read_bytes()
        photo.write_bytes(final)
        at_work.until(is_done(photo))
    record = journal_of(photo)
    assert record.identity.size == len(final)
    assert at_work.watcher.batches == 1


def test_other_run_is_waited_for_and_can_work_between_bursts(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    with alone(), watching(order(folder)) as at_work:
        at_work.until(lambda: at_work.notes.said("another run is at work"))
        assert not pico_of(photo).exists()
    with watching(order(folder)) as at_work:
        at_work.until(is_done(photo))
        at_work.until(lambda: at_work.is_resting)
        assert at_work.watcher.worker_id is not None, "it is kept for the next photo"
        assert main(["shrink", str(folder)]) == 3, "and yet another run may work"
        second = drop(folder, "1.png", 9)
        at_work.until(is_done(second))


def test_photo_done_by_another_run_meanwhile_is_not_done_again(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    with watching(order(folder), settle=2.0) as at_work:
        at_work.until(lambda: at_work.watcher.photos.settling)
        assert main(["shrink", str(folder)]) == 0
        at_work.until(lambda: at_work.watcher.batches and at_work.is_resting)
    assert journal_of(photo).run == 1


def test_watcher_leaves_alone_what_was_undone(folder: Path, tmp_path: Path) -> None:
    photo = drawing(folder / "0.png")
    content = photo.read_bytes()
    assert main(["shrink", "--archive", str(tmp_path / "archive"), str(folder)]) == 0
    assert not photo.exists()
    with watching(order(folder, settings={"mode": Mode.DELETE})) as at_work:
        assert main(["undo", "1"]) == 0
        other = drop(folder, "1.png", 9)
        at_work.until(lambda: is_done(other)() and not other.exists())
        at_work.until(lambda: at_work.is_resting)
        assert photo.read_bytes() == content
        assert not pico_of(photo).exists()
        drawing(folder / ".hidden.png", 50).replace(photo)
        at_work.until(lambda: is_done(photo)() and not photo.exists())


def test_photo_undone_before_its_turn_comes_is_left_alone(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    with watching(order(folder), settle=2.0) as at_work:
        at_work.until(lambda: at_work.watcher.photos.settling)
        assert main(["shrink", str(folder)]) == 0
        at_work.until(lambda: main(["undo", "1"]) == 0)
        at_work.until(lambda: at_work.watcher.batches and at_work.is_resting)
    assert not pico_of(photo).exists()
    assert journal_of(photo).outcome is Outcome.UNDONE


def test_once_leaves_alone_what_was_undone_and_shrink_takes_it(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    assert main(["shrink", str(folder)]) == 0
    assert main(["undo", "1"]) == 0
    once = [
        "watch",
        "--once",
        "--settle",
        "0.1s",
        "--priority",
        "normal",
        "--delete-originals",
        "--yes",
        str(folder),
    ]
    assert main(once) == 3
    assert photo.exists()
    assert not pico_of(photo).exists()
    assert main(["shrink", str(folder)]) == 0
    assert pico_of(photo).exists()


def test_nothing_is_begun_on_battery(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("a battery can be laid out as files on Linux only")
    battery = tmp_path / "power" / "BAT0"
    battery.mkdir(parents=True)
    for name, value in (("energy_now", "50"), ("energy_full", "100"), ("status", "Discharging")):
        (battery / name).write_text(value)
    monkeypatch.setattr("psutil._pslinux.POWER_SUPPLY_PATH", str(battery.parent))
    photo = drawing(folder / "0.png")
    with watching(order(folder, on_battery=False)) as at_work:
        at_work.until(lambda: at_work.notes.said("paused: on battery"))
        assert at_work.watcher.batches == 0
        (battery / "status").write_text("Charging")
        at_work.until(is_done(photo))
        (battery / "status").write_text("Discharging")
    assert main(["watch", "--once", "--settle", "0.1s", "--priority", "normal", str(folder)]) == 3


def test_worker_that_dies_costs_the_photo_at_work_and_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [drawing(folder / f"{number}.png", number) for number in range(3)]
    before = fingerprint(folder)
    monkeypatch.setenv(VARIABLE, "verified=kill")
    with watching(order(folder)) as at_work:
        at_work.until(lambda: sum("died over this one" in line for line in at_work.notes.lines) == 3)
        assert fingerprint(folder) == before, "no harm, and no litter"
        monkeypatch.delenv(VARIABLE)
        os.utime(photos[0])
        at_work.watcher._hints.look_everywhere()
        at_work.until(is_done(photos[0]))
        at_work.until(lambda: at_work.is_resting)
    assert not any(pico_of(photo).exists() for photo in photos[1:]), "put off until they change"


def test_photo_that_fails_is_not_tried_over_and_over(folder: Path) -> None:
    broken = folder / "cut.png"
    broken.write_bytes(drawing(folder.parent / "whole.png").read_bytes()[:5000])
    with watching(order(folder), rescan=0.1) as at_work:
        at_work.until(lambda: at_work.notes.said("cut.png"))
        looks = at_work.watcher.looks
        at_work.until(lambda: at_work.watcher.looks > looks + 5)
        assert at_work.watcher.batches == 1
        drawing(broken)
        at_work.until(is_done(broken))


def test_taken_name_is_tried_again_when_it_is_free(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    pico_of(photo).write_bytes(b"something else")
    with watching(order(folder), rescan=0.1) as at_work:
        at_work.until(lambda: at_work.notes.said(in_words(Reason.NAME_TAKEN)))
        assert pico_of(photo).read_bytes() == b"something else"
        pico_of(photo).unlink()
        at_work.until(is_done(photo))
    assert at_work.watcher.batches == 2


def test_full_disk_is_waited_out(disk_of: Callable[[int], Path]) -> None:
    disk = disk_of(512)
    photo = drawing(disk / "0.png")
    room = os.statvfs(disk)
    (disk / "other.bin").write_bytes(bytes(room.f_bavail * room.f_frsize))
    with watching(order(disk)) as at_work:
        at_work.until(lambda: at_work.notes.said("is full"))
        assert sorted(path.name for path in disk.iterdir()) == ["0.png", "other.bin"]
        (disk / "other.bin").unlink()
        at_work.until(is_done(photo))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_watcher_whose_log_is_full_goes_on(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    asked = command("watch", "--on-battery", "--settle", "0.2s", folder)
    with Path("/dev/full").open("w") as log, subprocess.Popen(asked, stderr=log) as run:
        until(lambda: is_done(photo)() or run.poll() is not None)
        assert run.poll() is None
        run.terminate()
    assert is_done(photo)()
    assert run.returncode == 0


def test_helpers_are_let_go_though_the_last_word_cannot_be_said(folder: Path) -> None:
    class Mute(Notes):
        def close(self, text: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    photo = drawing(folder / "0.png")
    watcher = Watcher(order(folder), HURRIED, Mute(), once=True)
    with pytest.raises(OSError, match="space"):
        watcher.run()
    assert is_done(photo)()
    assert watcher.worker_id is None


def test_worker_and_verifier_are_let_go_when_there_is_nothing_to_do(folder: Path) -> None:
    first = drawing(folder / "0.png")
    with watching(order(folder), idle=0.5) as at_work:
        at_work.until(is_done(first))
        at_work.until(lambda: at_work.watcher.worker_id is None)
        at_work.until(lambda: not _helpers())
        second = drop(folder, "1.png", 9)
        at_work.until(is_done(second))
    assert not _helpers()


def _helpers() -> list[str]:
    """The processes below this one that shrink or check photos."""
    names = []
    for process in psutil.Process().children(recursive=True):
        try:
            names += [word for word in process.cmdline() if word.startswith("pico_library.")]
        except psutil.Error:
            continue
    return names


def test_once_ends_with_the_exit_codes_of_shrink(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once = ["watch", "--once", "--settle", "0.1s", "--priority", "normal", str(folder)]
    assert main(once) == 3
    photo = drawing(folder / "0.png")
    assert main(once) == 0
    assert pico_of(photo).exists()
    assert main(once) == 3
    (folder / "cut.png").write_bytes(photo.read_bytes()[:5000])
    drawing(folder / "1.png", 9)
    assert main(once) == 1
    assert is_done(folder / "1.png")()
    assert main([*once, str(folder / "missing")]) == 2
    assert main([*once, str(photo)]) == 2
    assert main(["watch", "--once"]) == 2
    assert main([*once, "--settle", "soon"]) == 2
    said = capsys.readouterr().err
    assert f"{photo}: shrunk, " in said
    assert "is not a folder" in said


def test_once_leaves_a_photo_that_is_being_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells who writes a file")
    whole = drawing(folder.parent / "whole.png").read_bytes()
    with (folder / "0.png").open("wb") as stream:
        stream.write(whole[:2000])
        stream.flush()
        assert main(["watch", "--once", "--settle", "0.1s", "--priority", "normal", str(folder)]) == 3
    assert "1 photo: is still being written" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["0.png"]


def test_real_photo_is_shrunk_and_the_watcher_itself_never_loads_torch(folder: Path, samples: Path) -> None:
    photo = folder / "flowers.jpg"
    photo.write_bytes((samples / "flowers.jpg").read_bytes())
    program = (
        "import sys; from pico_library.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    asked = [sys.executable, "-c", program, "watch", "--once", "--settle", "0.1s", str(folder)]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with PicoFile(pico_of(photo)) as file:
        assert file.quality == 60


def test_settings_file_has_every_option(folder: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing(folder / "0.png")
    (home / "config.toml").write_text('[watch]\nsettle = "0.1s"\npriority = "normal"\nexclude = ["*.png"]\n')
    assert main(["watch", "--once", str(folder)]) == 3
    (home / "config.toml").write_text("[watch]\ninstall = true\n")
    assert main(["watch", "--once", str(folder)]) == 2
    assert "install is not a setting" in capsys.readouterr().err


def test_originals_are_archived_as_they_appear(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    settings = {"mode": Mode.ARCHIVE, "archive": archive}
    with watching(order(folder, settings=settings)) as at_work:
        photo = drop(folder, "0.png")
        content = photo.read_bytes()
        at_work.until(lambda: pico_of(photo).exists() and not photo.exists())
        at_work.until(lambda: at_work.is_resting)
    (archived,) = archive.rglob("*.png")
    assert archived.read_bytes() == content
    inside = pico_library("watch", "--once", folder, "--archive", folder / "inside")
    assert inside.returncode == 2
    assert "lies inside" in inside.stderr


@pytest.mark.parametrize("step", ["recorded", "copied", "moved"])
def test_watcher_finds_out_what_became_of_an_original_that_was_leaving_at_a_kill(
    step: str, folder: Path
) -> None:
    photo = drawing(folder / "0.png")
    content = photo.read_bytes()
    assert pico_library(*ask("archive", folder), **{VARIABLE: f"{step}=kill"}).returncode != 0
    assert journal_of(photo).original is Original.LEAVING
    with alone():  # another run may be at work with it
        assert main(["watch", "--once", "--settle", "0.1s", "--exclude", "*", str(folder)]) == 3
    assert journal_of(photo).original is Original.LEAVING
    assert main(["watch", "--once", "--settle", "0.1s", "--exclude", "*", str(folder)]) == 3
    record = journal_of(photo)
    assert record.original is (Original.ARCHIVED if step == "moved" else Original.KEPT)
    places_of_it = [path for path in folder.parent.rglob("0.png") if path.read_bytes() == content]
    assert places_of_it == [record.original_at or photo]


def test_lock_of_the_run_is_free_after_the_watcher(folder: Path) -> None:
    drawing(folder / "0.png")
    assert main(["watch", "--once", "--settle", "0.1s", "--priority", "normal", str(folder)]) == 0
    try:
        with alone():
            pass
    except BusyError:
        pytest.fail("the lock is still held")
