"""pico-library takes no torch: on a computer where it cannot be imported everything works, and nobody tries to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from library_samples import command, files_below, scene

_HOOK = """
import os, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            with open(os.environ["TORCH_WANTED"], "a") as log:
                log.write(" ".join(sys.argv) + "\\n")
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
with open(os.environ["TORCH_WANTED"] + ".processes", "a") as log:
    log.write(" ".join(sys.orig_argv) + "\\n")
"""


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of a test that ask for torch are noted; none of them gets it."""
    hook, log = tmp_path / "hook", tmp_path / "wanted"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_HOOK)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(hook), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    )
    monkeypatch.setenv("TORCH_WANTED", str(log))
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))
    log.touch()
    return log


def run(*arguments: str | Path) -> str:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_library_is_shrunk_checked_and_restored_where_torch_is_missing(
    tmp_path: Path, samples: Path, wanted: Path
) -> None:
    library = tmp_path / "Photos"
    library.mkdir()
    scene(samples).save(library / "IMG_1.jpg", quality=95)
    run("shrink", library)
    assert (library / "IMG_1.jpg.pico").is_file()
    run("verify", library)
    run("verify", library, "--against", library)
    run("report", "--html", tmp_path / "page.html")
    assert "cannot be told apart" in run("report") or "visible (" in run("report")
    run("restore", library, "--output", tmp_path / "restored")
    assert files_below(tmp_path / "restored") == ["IMG_1.jpg"]
    assert wanted.read_text() == ""
    processes = wanted.with_name("wanted.processes").read_text()
    assert "pico_library.check.verifier_child" in processes, "the hook reaches every process"


def test_watcher_shrinks_where_torch_is_missing(tmp_path: Path, samples: Path, wanted: Path) -> None:
    library = tmp_path / "Photos"
    library.mkdir()
    scene(samples).save(library / "IMG_1.jpg", quality=95)
    os.utime(library / "IMG_1.jpg", (1e9, 1e9))
    run("watch", "--once", library)
    assert (library / "IMG_1.jpg.pico").is_file()
    assert wanted.read_text() == ""
    assert "pico_library.watch.worker_child" in wanted.with_name("wanted.processes").read_text()
