"""A headless browser, and the gallery's server, for the tests of what pico-library shows."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

import pillow_pico
from pico_library.view.server import Viewer

OpenPage = Callable[..., Any]
LOADED = "document.querySelector('#after .full').naturalWidth > 0 && document.querySelector('#work').hidden"
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


def sheet(number: int) -> bytes:
    """A large drawing, coded without the networks, taken in its own month."""
    im = Image.new("RGB", (1600, 1000), (230 - 10 * number, 232, 228))
    pencil = ImageDraw.Draw(im)
    for step in range(8):
        pencil.rectangle((180 * step, 100 * step, 180 * step + 400, 100 * step + 300), (30 * step, 90, 180))
    exif = Image.Exif()
    exif[0x0132] = f"2020:{number:02}:11 10:00:00"
    return pillow_pico.to_bytes(im, lossless=True, exif=exif.tobytes())


def until(page: Any, expression: str) -> None:
    """Wait for a condition; the page's policy forbids what playwright has for this."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(20)


def tile(page: Any, name: str) -> Any:
    return page.locator(f'button.tile[aria-label^="{name},"]')


def show(page: Any, name: str) -> None:
    tile(page, name).click()
    until(page, LOADED)


def percent(page: Any) -> int:
    return int(page.inner_text("#level").removesuffix(" %"))


def position(page: Any) -> tuple[float, ...]:
    """Where the picture lies in the window: left, top, scale."""
    transform = page.evaluate("document.querySelector('#after .sheet').style.transform")
    return tuple(float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", transform))
