"""How far verify and restore are, and what Ctrl-C does to the commands that go through a whole library."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from library_samples import command, fingerprint, folder_of_drawings

from pico_codec.files import PartialFile
from pico_library.check.checking import Checked, check_whole
from pico_library.check.verifier import Verifier
from pico_library.cli import main
from pico_library.commands import progress as walk
from pico_library.model.records import Original
from pico_library.run.interrupts import held_back
from pico_library.run.restore import find
from pico_library.store import originals

FINISHING = "pico-library: Ctrl-C: finishing the photos at work; press it again to end at once\n"
pytestmark = pytest.mark.usefixtures("home", "verifier")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 3)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)  # Python looks for signals between two of its steps


@pytest.mark.parametrize("asked", ["verify", "restore", "undo"])
def test_progress_is_shown_in_a_terminal_only(
    asked: str,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Verifier, "check_whole", lambda _, target: check_whole(target))
    for attempt in ("1", "2"):
        main(["shrink", str(library)])
        capsys.readouterr()
        if attempt == "2":
            monkeypatch.setattr(sys, "stderr", Terminal())
        options = ["--output", str(tmp_path / attempt)] if asked == "restore" else []
        assert main([asked, attempt if asked == "undo" else str(library), *options]) == 0
    assert not capsys.readouterr().err
    assert isinstance(sys.stderr, Terminal)
    drawn = [line.strip() for line in sys.stderr.getvalue().split("\r") if line.strip()]
    things = "photos" if asked == "undo" else ".pico files"
    assert f"0 of 3 {things}" in drawn[0]
    assert f"3 of 3 {things}" in drawn[-1]
    assert "\n" not in sys.stderr.getvalue()


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_verify_prints_what_was_found_by_then(
    times: int, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library)]) == 0
    (library / "0.png.pico").write_bytes(b"\xff\xd8\xff")

    def check(_: Verifier, target: Path) -> Checked:
        if target.name == "1.png.pico":
            for _time in range(times):
                press_ctrl_c()
        return check_whole(target)

    monkeypatch.setattr(Verifier, "check_whole", check)
    capsys.readouterr()
    assert main(["verify", str(library)]) == 130
    said = capsys.readouterr()
    fine, left = ("1 .pico file", "1 .pico file") if times == 1 else ("0 .pico files", "2 .pico files")
    assert said.out == f"{fine} fine. 1 NOT: see above. Stopped early; {left} left.\n"
    assert "Ctrl-C: finishing the .pico file at work; press it again to end at once" in said.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_restore_leaves_whole_files_only_and_says_how_many(
    times: int,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["shrink", str(library)]) == 0
    take_name = PartialFile.take_name

    def named(partial: PartialFile, target: Path) -> None:
        if target.name == "1.png":
            for _time in range(times):
                press_ctrl_c()
        take_name(partial, target)

    monkeypatch.setattr(PartialFile, "take_name", named)
    capsys.readouterr()
    assert main(["restore", str(library), "--output", str(tmp_path / "out")]) == 130
    restored = ["0.png", "1.png"] if times == 1 else ["0.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == restored
    left = "1 .pico file" if times == 1 else "2 .pico files"
    pictures = "2 pictures" if times == 1 else "1 picture"
    assert capsys.readouterr().out == f"Restored {pictures}. Stopped early; {left} left.\n"


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_undo_leaves_no_photo_half_undone_and_can_go_on(
    times: int, library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(library)
    archive = library.parent / "Archive"
    assert main(["shrink", str(library), "--archive", str(archive), "--yes"]) == 0
    bring_back = originals.bring_back

    def brought_back(where: Path, path: Path, kind: Original) -> None:
        if path.name == "1.png":
            for _time in range(times):
                press_ctrl_c()
        bring_back(where, path, kind)

    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(originals, "bring_back", brought_back)
        assert main(["undo", "1"]) == 130
    done, back, left = ("2 photos", "2 originals", 1) if times == 1 else ("1 photo", "1 original", 2)
    ending = f"Stopped early; {left} photo{'s' * (left > 1)} left."
    said = capsys.readouterr()
    assert said.out == f"Undid {done} of run 1; {back} brought back. {ending}\n"
    assert "finishing the photo at work" in said.err
    assert len(list(library.glob("*.pico"))) == left
    assert main(["undo", "1"]) == 0
    assert fingerprint(library) == before


def test_ctrl_c_while_files_are_looked_for_ends_the_search(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    def interrupted(*how: Any) -> Iterator[tuple[Path, Path]]:
        press_ctrl_c()
        return find(*how)

    monkeypatch.setattr(walk, "find", interrupted)
    assert main(["shrink", str(library)]) == 0
    capsys.readouterr()
    assert main(["restore", str(library)]) == 130
    assert capsys.readouterr().out == "Restored 0 pictures. Stopped early.\n"


def test_interrupted_shrink_says_that_photos_at_work_are_finished(library: Path) -> None:
    with running_shrink(library) as run:
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate()
    assert run.returncode == 130
    assert errors == FINISHING
    assert "Stopped early" in output
    assert [path.name for path in library.glob("*.pico*")] == ["0.png.pico"]


def test_second_ctrl_c_ends_shrink_at_once_and_the_next_run_clears_up(library: Path) -> None:
    before = fingerprint(library)
    with running_shrink(library) as run:
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        assert run.stderr.readline() == FINISHING
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate()
    assert (run.returncode, output, errors) == (130, "", "")
    assert not list(library.glob("*.pico"))
    assert main(["shrink", str(library)]) == 0
    assert fingerprint(library) == before
    assert len(list(library.glob("*.pico"))) == 3


def test_ctrl_c_while_a_photo_is_begun_waits_for_that_photo(
    library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("photo"):
            press_ctrl_c()

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    assert main(["shrink", str(library)]) == 130
    told = capsys.readouterr()
    assert told.err == FINISHING
    assert "0.png" in told.out
    assert [path.name for path in library.glob("*.pico*")] == ["0.png.pico"]


@pytest.mark.parametrize("raises", [True, False])
def test_held_back_ctrl_c_comes_after_all_steps(raises: bool) -> None:
    steps = []
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not raises:
        signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))
    try:
        with pytest.raises(KeyboardInterrupt) if raises else contextlib.nullcontext():
            with held_back():
                press_ctrl_c()
                steps.append(len(heard))
            steps.append(2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps == ([0] if raises else [1, 2]), "another's handler is called at once"


@contextlib.contextmanager
def running_shrink(library: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that is at work on its first photo: its verifier takes a while to begin."""
    with subprocess.Popen(
        command("shrink", library), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        deadline = time.monotonic() + 60
        while not list(library.glob(".*.pico-part")):
            assert time.monotonic() < deadline, "the run never began with a photo"
            time.sleep(0.005)
        yield run
