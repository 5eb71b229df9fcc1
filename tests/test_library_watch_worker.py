"""The watcher's worker: which photo its death is put down to, and that it ends in peace when its watcher has died."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from library_samples import drawing
from watching import is_done, order, watching

from pico_library.faults import VARIABLE
from pico_library.scan import Choice
from pico_library.settings import Settings
from pico_library.watch.worker import Batch

pytestmark = pytest.mark.usefixtures("home")


def test_death_of_the_worker_is_put_down_to_the_photo_that_was_at_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = folder / "a-b", folder / "a" / "b"  # a scan comes to them the other way round
    for number, place in enumerate((first, second)):
        place.mkdir(parents=True)
        drawing(place / "0.png", number)
    monkeypatch.setenv(VARIABLE, "opened=kill")
    with watching(order(folder)) as at_work:
        at_work.until(lambda: sum("died over this one" in line for line in at_work.notes.lines) == 2)
    died = [line.partition(": ")[0] for line in at_work.notes.lines if "died over this one" in line]
    assert died == [str(first / "0.png"), str(second / "0.png")]


def test_death_of_the_worker_before_it_began_a_photo_is_put_down_to_none(folder: Path) -> None:
    photo = drawing(folder / "0.png")
    with watching(order(folder)) as at_work:
        at_work.until(lambda: at_work.watcher.worker_id is not None)
        psutil.Process(at_work.watcher.worker_id).kill()
        at_work.until(is_done(photo))
    assert at_work.notes.said("died while it had none at work")
    assert not at_work.notes.said("died over this one")


def test_worker_whose_watcher_has_died_ends_in_peace(folder: Path) -> None:
    batch = Batch((folder,), Choice(), Settings(), 1, {})
    with subprocess.Popen(
        [sys.executable, "-m", "pico_library.watch.worker_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdout.close()
        pickle.dump(batch, worker.stdin)
        worker.stdin.close()
        assert worker.stderr.read() == b""
    assert worker.returncode == 0
