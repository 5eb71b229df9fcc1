"""What several test modules share: where real pictures lie, and the shipped codec."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from library_samples import one_verifier, use_own_folders
from numpy.typing import NDArray
from PIL import Image

from pico_core import registry
from pico_core.engines import Engine, engine_for
from pico_core.registry import Weights

ROOT = Path(__file__).resolve().parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts jobs in the background so, and the programs that tests stop by Ctrl-C would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("default", deadline=None, max_examples=40)
settings.load_profile("default")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The photographs that the repository carries."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data beside the repository, which users do not have."""
    folder = Path(os.environ.get("PICO_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("development data is not here; set PICO_SHARED to its folder to run this test")
    return folder


@pytest.fixture(scope="session")
def photo(samples: Path) -> NDArray[np.uint8]:
    """A real photograph, 600x520 pixels of RGB: four tiles."""
    path = sorted(samples.glob("*.jpg"))[0]
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((600, 520), Image.Resampling.LANCZOS))


@pytest.fixture(scope="session")
def weights() -> Weights:
    """The weights that ship."""
    return registry.get(registry.default_id())


@pytest.fixture(scope="session")
def engine(weights: Weights) -> Engine:
    """The engine that this machine uses, with the weights that ship."""
    return engine_for(weights)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for what pico-library and the Trash keep."""
    use_own_folders(monkeypatch, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def verifier() -> Iterator[None]:
    """One verifier for all runs of pico-library in a module, so that torch is imported once."""
    with one_verifier():
        yield


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes folders on file systems of their own, of so many kB, to fill up."""
    mounted: list[Path] = []

    def mount(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the fuzz targets run."""
    parser.addoption("--fuzz-seconds", type=float, default=60, help="seconds that each fuzz target runs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for photos."""
    (tmp_path / "Photos").mkdir()
    return tmp_path / "Photos"
