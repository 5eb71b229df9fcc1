"""The watcher's worker: which photo its death is put down to, and that it ends in peace when its watcher has died."""

from __future__ import annotations

import io
import queue
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from library_samples import drawing
from watching import is_done, order, watching

from pico_library.model.faults import VARIABLE
from pico_library.model.settings import Settings
from pico_library.store.scan import Choice
from pico_library.watch import worker_child
from pico_library.watch.messages import packed
from pico_library.watch.worker import Batch

WORKER = "pico_library.watch.worker_child"

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


def ended(module: str, sent: bytes) -> tuple[int, bytes]:
    """Exit code and complaints of a helping process whose parent died once it had sent so much, and hears nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as helper:
        assert helper.stdout is not None
        helper.stdout.close()
        try:
            _, said = helper.communicate(sent, timeout=120)
        finally:
            helper.kill()
    return helper.returncode, said


def test_worker_whose_watcher_has_died_ends_in_peace(folder: Path) -> None:
    assert ended(WORKER, packed(Batch((folder,), Choice(), Settings(), 1, {}))) == (0, b"")


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_worker_whose_watcher_died_amid_a_message_ends_in_peace(part: float, folder: Path) -> None:
    message = packed(Batch((folder,), Choice(), Settings(), 1, {}))
    assert ended(WORKER, message[: max(1, int(part * len(message)))]) == (0, b"")


def test_any_part_of_a_message_ends_the_questions_without_one(folder: Path) -> None:
    message = packed(Batch((folder,), Choice(), Settings(), 1, {}))
    for length in range(len(message)):
        tasks: queue.SimpleQueue[worker_child.Task | None] = queue.SimpleQueue()
        worker_child._listen(io.BytesIO(message[:length]), tasks)
        assert tasks.get_nowait() is None


@pytest.mark.parametrize("sent", [b"", b'{"target": "', b'{"target": "/none", "original": null}\n'])
def test_verifier_whose_parent_has_died_ends_in_peace(sent: bytes) -> None:
    assert ended("pico_library.check.verifier_child", sent) == (0, b"")
