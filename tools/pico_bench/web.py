"""`pico-bench web`: how long a browser takes to show a .pico picture, beside AVIF and JPEG in the same page; memory.

Each measurement has a page of its own, in headless Chromium. "first" counts from asking for the first picture of a
fresh page, whose decoder must start; "next" from asking for another one in the same page. "processor" is the time that
all processors worked for the next picture, which other programs on the machine hardly change.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import io
import statistics
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

import pillow_pico
from pico_bench.picture import mosaic
from pico_core.errors import PicoError
from pico_web import pages

CODECS: Mapping[str, Mapping[str, Any]] = {
    "pico": {"quality": 60},
    "AVIF": {"quality": 60},
    "JPEG": {"quality": 75},
}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
_SAMPLED_EVERY = 0.02  # seconds

# Draws a picture and asks for one of its pixels, so that it really is there; gives milliseconds.
_MEASURE = """async ([codec, text]) => {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const canvas = document.createElement("canvas");
  const old = document.querySelector("main > canvas");
  if (old) old.width = old.height = 0; // frees its memory, as the viewer does
  old?.remove();
  document.querySelector("main").append(canvas);
  await new Promise(resolve => setTimeout(resolve, 200));
  const start = performance.now();
  let preview = null;
  if (codec === "pico") {
    const picture = await pico.open(bytes);
    await picture.turn();
    const { failed } = await picture.paint(canvas, { shown: () => { preview = performance.now() - start; } });
    if (failed.length) throw failed[0];
  } else {
    const bitmap = await createImageBitmap(new Blob([bytes], { type: `image/${codec.toLowerCase()}` }));
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
    bitmap.close();
  }
  canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1);
  return { preview, full: performance.now() - start };
}"""


class BrowserMissingError(PicoError):
    """There is no browser to measure in."""


def measure(sizes: Sequence[float], repeats: int) -> list[dict[str, Any]]:
    """A row for each size (megapixels) and codec: bytes, milliseconds (medians), and megabytes of the page's process.

    Raises BrowserMissingError without playwright or Chromium, DecoderMissingError without the WebAssembly.
    """
    pictures = {size: _files(mosaic(size)) for size in sizes}
    rows = []
    with tempfile.TemporaryDirectory(prefix="pico-web-") as folder, _chromium() as browser:
        page = Path(folder, "pico.html")
        page.write_text(pages.whole_page(), "utf-8")
        (Path(folder) / "favicon.ico").touch()
        with _hosted(Path(folder)) as address:
            for size, files in pictures.items():
                for codec, content in files.items():
                    runs = [_run(browser, f"{address}/pico.html", codec, content) for _ in range(repeats)]
                    rows.append({"megapixels": size, "codec": codec, "bytes": len(content), **_medians(runs)})
    return rows


def _files(picture: Image.Image) -> dict[str, bytes]:
    found = {}
    for codec, options in CODECS.items():
        if codec == "pico":
            found[codec] = pillow_pico.to_bytes(picture, **options)
            continue
        stream = io.BytesIO()
        picture.save(stream, codec, **options)
        found[codec] = stream.getvalue()
    return found


def _run(browser: Any, address: str, codec: str, content: bytes) -> dict[str, float | None]:
    """Two pictures in a fresh page."""
    tab = browser.new_context().new_page()
    given = [codec, base64.b64encode(content).decode("ascii")]
    try:
        tab.goto(address)
        with _peak_of_pages() as peak:
            first = tab.evaluate(_MEASURE, given)
            used = _processor_time()
            after = tab.evaluate(_MEASURE, given)
            used = _processor_time() - used
        return {
            "preview": first["preview"],
            "first": first["full"],
            "next": after["full"],
            "processor": 1e3 * used,
            "memory": peak[0] / 1e6 if peak[0] else None,
        }
    finally:
        tab.context.close()


def _medians(runs: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for key in runs[0]:
        values = [value for run in runs if (value := run[key]) is not None]
        found[key] = statistics.median(values) if values else None
    return found


@contextmanager
def _peak_of_pages() -> Iterator[list[int]]:
    """The most memory, in bytes, that the page's process has of its own while the block runs; 0 where unknown.

    Memory that it shares with the browser's other processes counts in parts.
    """
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        renderers = _renderers()
        while not over.wait(_SAMPLED_EVERY):
            peak[0] = max([peak[0], *(_memory_of(process) for process in renderers)])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _renderers() -> list[psutil.Process]:
    """The processes of the browser's pages."""
    return [
        one for one in psutil.Process().children(recursive=True) if "--type=renderer" in _command_line(one)
    ]


def _processor_time() -> float:
    """Seconds that the processors have worked for the browser's pages; other programs do not change it."""
    total = 0.0
    for process in _renderers():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _memory_of(process: psutil.Process) -> int:
    try:
        return int(getattr(process.memory_full_info(), "pss", 0))
    except psutil.Error:
        return 0


@contextmanager
def _chromium() -> Iterator[Any]:
    import shutil

    program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        msg = "pico-bench web needs playwright: pip install playwright"
        raise BrowserMissingError(msg) from error
    if program is None:
        msg = "pico-bench web needs Chromium; on Debian and Ubuntu: apt install chromium"
        raise BrowserMissingError(msg)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _hosted(folder: Path) -> Iterator[str]:
    """A web host for a folder, on this machine only."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table, times in seconds and as multiples of those of JPEG."""
    lines = ["  MP  codec       kB   preview    first picture     next picture  processor   memory"]
    jpeg = {row["megapixels"]: row for row in rows if row["codec"] == "JPEG"}
    for row in rows:
        peer = jpeg[row["megapixels"]]
        times = [f"{row[key] / 1e3:7.2f} s {row[key] / peer[key]:5.1f} x" for key in ("first", "next")]
        preview = f"{row['preview'] / 1e3:6.2f} s" if row["preview"] is not None else f"{'-':>8}"
        memory = f"{row['memory']:5.0f} MB" if row["memory"] else f"{'-':>8}"
        about = f"{row['megapixels']:4g}  {row['codec']:5} {row['bytes'] / 1e3:8.0f}"
        lines.append(f"{about}  {preview}  {'  '.join(times)}  {row['processor'] / 1e3:7.2f} s  {memory}")
    return "\n".join(lines)
