"""A headless browser, and the gallery's server, for the tests of what pico-library shows."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pico_library.view.server import Viewer

_OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser under Playwright's hand; the test is skipped where either is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="this test needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("this test needs Chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@contextmanager
def serving(*roots: Path, port: int = 0) -> Iterator[Viewer]:
    """The gallery of these folders, at work."""
    with Viewer(roots, port) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
