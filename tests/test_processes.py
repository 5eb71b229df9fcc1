"""Coding goes on where a program ends, or forks, while its threads are at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pico_core import Metadata, encode, workers

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def run(script: str, *arguments: str | Path, folder: Path) -> tuple[int, str]:
    """Exit code and output of a program of its own, which is not waited for for ever."""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=120)
            return process.returncode, output
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def folder(photo: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs run: a photo of two tiles as PNG file, and one of four with metadata as .pico file."""
    folder = tmp_path_factory.mktemp("processes")
    Image.fromarray(photo[:70]).save(folder / "photo.png")
    (folder / "photo.pico").write_bytes(encode(photo, metadata=Metadata(xmp=b"<x/>")))
    return folder


# After the main thread

ROUND_TRIPS = """
import atexit, sys, threading, time
from PIL import Image
import pillow_pico

def round_trips():
    with Image.open("photo.png") as photo:
        photo.save("exact.pico", lossless=True)
        photo.save("photo.coded.pico")
        photo.putalpha(200)
        photo.save("alpha.pico")
    with Image.open("exact.pico") as exact, Image.open("photo.png") as photo:
        assert exact.tobytes() == photo.tobytes()
    for name in ("photo.coded.pico", "alpha.pico"):
        with Image.open(name) as coded:
            coded.load()
    print("fine", flush=True)

def later():
    threading.main_thread().join()
    time.sleep(0.5)
    round_trips()

when, used = sys.argv[1:]
if used == "used before":
    round_trips()
if when == "in a thread":
    threading.Thread(target=later).start()
else:
    atexit.register(round_trips)
"""


@pytest.mark.parametrize("used", ["used before", "for the first time"])
@pytest.mark.parametrize("when", ["in a thread", "in an exit handler"])
def test_pictures_are_saved_and_loaded_after_the_main_thread_has_ended(
    when: str, used: str, folder: Path
) -> None:
    _, output = run(ROUND_TRIPS, when, used, folder=folder)
    assert output.count("fine") == 1 + (used == "used before"), output


ENDING_MEANWHILE = """
import io, threading, time
import numpy as np
import pico_core

class SlowStream(io.BytesIO):
    def read(self, size=-1):
        begun.set()
        time.sleep(0.03)
        return super().read(size)

def decode():
    assert np.array_equal(pico_core.decode(stream), pixels)
    print("fine", flush=True)

pixels = np.arange(60_000, dtype=np.uint32).astype(np.uint8).reshape(1, -1, 1)
stream = SlowStream(pico_core.encode(pixels, lossless=True))
begun = threading.Event()
threading.Thread(target=decode).start()
begun.wait()
"""


def test_a_picture_is_decoded_to_its_end_though_the_main_thread_ends_meanwhile(folder: Path) -> None:
    _, output = run(ENDING_MEANWHILE, folder=folder)
    assert output == "fine\n"


IMPORTED_LATE = """
import threading, time
from PIL import Image

def late():
    threading.main_thread().join()
    time.sleep(0.5)
    import pillow_pico
    with Image.open("photo.png") as photo:
        photo.save("late.pico", lossless=True)
        with Image.open("late.pico") as again:
            assert again.tobytes() == photo.tobytes()
    print("fine", flush=True)

threading.Thread(target=late).start()
"""


def test_the_plug_in_can_be_imported_after_the_main_thread_has_ended(folder: Path) -> None:
    _, output = run(IMPORTED_LATE, folder=folder)
    assert output == "fine\n"


def test_workers_that_cannot_be_started_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Any:
            msg = "can't start new thread"
            raise RuntimeError(msg)

    monkeypatch.setattr("concurrent.futures.thread.ThreadPoolExecutor", Full)
    monkeypatch.setattr(workers, "worker_count", lambda: 4)
    here = threading.current_thread()
    assert list(workers.in_order(lambda task: (task, threading.current_thread()), range(9))) == [
        (task, here) for task in range(9)
    ]


def test_the_environment_limits_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICO_THREADS", "1")
    assert workers.worker_count() == 1
    for nonsense in ("", "0", "-3", "many"):
        monkeypatch.setenv("PICO_THREADS", nonsense)
        assert 1 <= workers.worker_count() <= workers.MOST_WORKERS


# Forks

FORKING_BESIDE_TORCH = """
import os, sys, torch
import pico_core
torch.set_num_threads(2)
data = open("photo.pico", "rb").read()
torch.ones(1000, 1000).add(1).sum()  # in two threads
child = os.fork()
if child == 0:
    os._exit(0 if pico_core.decode(data).size else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@needs_fork
def test_a_child_forked_beside_torch_decodes(folder: Path) -> None:
    assert run(FORKING_BESIDE_TORCH, folder=folder) == (0, "")


FORKING_MEANWHILE = """
import os, signal, sys, threading, time
prepare, slow, work = sys.argv[1:]
exec(prepare)
owner, name = eval(slow.rpartition(".")[0]), slow.rpartition(".")[2]
quick = getattr(owner, name)
begun = threading.Event()

def slowly(*arguments, **options):
    if not begun.is_set():
        begun.set()
        time.sleep(1)
    return quick(*arguments, **options)

setattr(owner, name, slowly)
threading.Thread(target=lambda: eval(work)).start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    eval(work)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
SLOW_PROFILE = "Profile = type('Profile', (dict,), {'get': lambda *arguments: dict.get(*arguments)})"
SHIPPED = "from pico_core import engines, registry; weights = registry.get(registry.default_id())"


@needs_fork
@pytest.mark.parametrize(
    ("prepare", "slow", "work"),
    [
        (
            "from pico_core import registry",
            "registry.load",
            "registry.get(registry.default_id())",
        ),
        (SHIPPED, "engines._make", "engines.engine_for(weights)"),
        (
            "from pico_core.container import Container; file = open('photo.pico', 'rb').read(); import io",
            "Container._read_item",
            "Container(io.BytesIO(file)).metadata",
        ),
        (
            f"import numpy; from pico_core import image; {SLOW_PROFILE}",
            "Profile.get",
            "image.encode(numpy.zeros((8, 8), numpy.uint8), lossless=True, profile=Profile())",
        ),
    ],
    ids=["weights", "engine", "metadata", "profile"],
)
def test_a_child_forked_while_another_thread_loads_something_can_load_it_too(
    prepare: str, slow: str, work: str, folder: Path
) -> None:
    assert run(FORKING_MEANWHILE, prepare, slow, work, folder=folder) == (0, "")
