"""`pico-library status` tells whether a run is at work, and is in no run's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from filelock import BaseFileLock

from pico_library.cli import main
from pico_library.store import places
from pico_library.store.run_lock import alone

pytestmark = pytest.mark.usefixtures("home")

RUN = """
import sys
from pico_library.store.run_lock import alone
with alone():
    print("at work", flush=True)
    sys.stdin.read()
"""


def at_work(capsys: pytest.CaptureFixture[str]) -> bool:
    """What `status` says."""
    capsys.readouterr()
    assert main(["status", "--json"]) == 3
    return bool(json.loads(capsys.readouterr().out)["at_work"])


def test_looking_at_the_status_never_takes_the_lock_of_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that starts just then would find another one at work."""
    taken, acquire = [], BaseFileLock.acquire

    def note(self: BaseFileLock, *arguments: Any, **options: Any) -> Any:
        taken.append(os.fspath(self.lock_file))
        return acquire(self, *arguments, **options)

    monkeypatch.setattr(BaseFileLock, "acquire", note)
    assert not at_work(capsys)
    assert os.fspath(places.lock_file()) not in taken


def test_status_tells_of_a_run_as_long_as_it_is_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert not at_work(capsys)
    with alone():
        assert at_work(capsys)
    assert not at_work(capsys)


@pytest.mark.parametrize("ending", ["killed", "in peace"])
def test_status_tells_of_a_run_of_another_process_until_that_ends(
    ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdout.readline()
        try:
            assert at_work(capsys)
        finally:
            if ending == "killed":
                run.kill()
            run.stdin.close()
    assert not at_work(capsys)


def test_process_that_has_the_number_of_a_killed_run_is_not_taken_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with alone():
        note = places.data_folder() / "run.pid"
        written = note.read_bytes()
    note.write_bytes(written)  # a killed run leaves it
    os.utime(note, (0, 0))  # since before this process began
    assert not at_work(capsys)


@pytest.mark.parametrize("content", [b"", b"?", b"-1", b"99999999999999999999999", b"\xff"])
def test_note_that_says_nothing_means_no_run(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (places.data_folder() / "run.pid").write_bytes(content)
    assert not at_work(capsys)
