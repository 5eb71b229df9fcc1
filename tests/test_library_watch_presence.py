"""`pico-library status` tells which watchers run: those that do, and no others."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from library_samples import command, drawing
from watching import is_done, order, until, watching

from pico_library.cli import main
from pico_library.watch.presence import watchers

pytestmark = pytest.mark.usefixtures("home")


def test_status_tells_which_watchers_run_and_not_those_that_were_killed(
    folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(command("watch", folder), stderr=subprocess.DEVNULL) as run:
        try:
            until(lambda: watchers() or run.poll() is not None)
            assert [(w.process, w.folders) for w in watchers()] == [(run.pid, (str(folder),))]
            assert main(["status"]) == 3
            assert f"Watched:  {folder} (process {run.pid}, since " in capsys.readouterr().out
        finally:
            run.kill()
    assert main(["status", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["watchers"] == []
    assert not list(home.rglob("watchers/*.*")), "the killed one left files"
    with watching(order(folder)):
        assert [w.process for w in watchers()] == [os.getpid()]
    assert watchers() == []


def test_watcher_that_cannot_be_announced_watches_all_the_same(folder: Path, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "watchers").write_text("no folder")
    photo = drawing(folder / "0.png")
    with watching(order(folder)) as at_work:
        at_work.until(is_done(photo))
        assert watchers() == []
