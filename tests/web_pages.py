"""pico.html in a headless browser, for the tests of what a browser shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_browser import chromium
from numpy.typing import NDArray
from PIL import Image

import pillow_pico
from pico_core import Metadata, encode
from pico_web import compiling, pages

__all__ = ["chromium", "decoded", "errors_of", "open_page", "page_in", "picture_files", "until"]

_OPEN = """
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const kindOf = error => error.kind ?? `${error.name}: ${error.message}`;
"""
_DECODE = (
    "async text => {"
    + _OPEN
    + """
  try {
    const picture = await pico.open(bytes(text));
    const { width, height, data } = await picture.decode();
    let letters = "";
    for (let i = 0; i < data.length; i += 32768) letters += String.fromCharCode(...data.subarray(i, i + 32768));
    return { width, height, pixels: btoa(letters) };
  } catch (error) {
    return { error: kindOf(error), message: error.message };
  }
}"""
)
_VERIFY = (
    "async texts => {"
    + _OPEN
    + """
  const kinds = [];
  for (const [text, allowTruncated, deep] of texts) {
    try {
      const picture = await pico.open(bytes(text), { allowTruncated });
      await picture.turn();
      if (deep) await picture.decode(); else if (!allowTruncated) await picture.verify();
      kinds.push(null);
    } catch (error) {
      kinds.push(kindOf(error));
    }
  }
  return kinds;
}"""
)


def page_in(folder: Path) -> Path:
    """pico.html in a folder; the test is skipped where there is no compiler for it."""
    output = pages.HERE / compiling.WASM
    if not compiling.is_current(output):
        pytest.importorskip("ziglang", reason="this test needs ziglang, which compiles the decoder")
        compiling.compile_wasm(output)
    path = folder / "pico.html"
    if not path.exists():
        path.write_text(pages.whole_page(), "utf-8")
    return path


def open_page(browser: Any, path: Path, **options: Any) -> Any:
    """A tab with the page, opened from the disk. What it logs, and errors in it, are in `tab.problems`."""
    tab = browser.new_context(**options).new_page()
    tab.problems = []
    tab.on("console", lambda message: tab.problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.goto(path.as_uri())
    return tab


def until(tab: Any, expression: str) -> None:
    """Wait for a condition; the page's policy forbids what playwright has for this."""
    for _ in range(3000):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(20)
    msg = f"never came true: {expression}"
    raise AssertionError(msg)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decoded(tab: Any, data: bytes) -> NDArray[np.uint8] | str:
    """The pixels (height, width, 4) that the page makes of a file, or the kind of its error."""
    found = tab.evaluate(_DECODE, _text(data))
    if "error" in found:
        return str(found["error"])
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    return pixels.reshape(found["height"], found["width"], 4)


def errors_of(tab: Any, files: Sequence[tuple[bytes, bool]], *, decode: bool = False) -> list[str | None]:
    """The kind of the error that opening and verifying (or decoding) each file ends in, None where it ends well.

    Files come with whether they may be truncated; those that may are only opened, unless they are decoded.
    """
    given = [(_text(data), allowed, decode) for data, allowed in files]
    return list(tab.evaluate(_VERIFY, given))


def picture_files(samples: Path) -> dict[str, bytes]:
    """Files of all kinds by name: photographs, grey, alpha, lossless, drawings, a turned one, tiny ones."""
    found: dict[str, bytes] = {}
    for path in sorted([*samples.glob("*.jpg"), *samples.glob("*.png")]):
        with Image.open(path) as image:
            found[path.name] = pillow_pico.to_bytes(image, exif=image.info.get("exif", b""))
    with Image.open(samples / "mountain.jpg") as image:
        photo = np.asarray(image.convert("RGB").resize((1100, 733), Image.Resampling.LANCZOS))
    fade = np.linspace(0, 255, 600, dtype=np.uint8)[None, :, None].repeat(530, 0)
    alpha = np.concatenate([photo[:530, :600], fade], axis=2)
    found["nine tiles"] = encode(np.tile(photo, (2, 1, 1))[:1200, :1100], quality=20)
    found["grey"] = encode(photo[..., 1], quality=80)
    found["alpha"] = encode(alpha, quality=40)
    found["grey and alpha"] = encode(np.ascontiguousarray(alpha[..., 2:]), quality=40)
    found["lossless"] = encode(photo[:520, :600], lossless=True)
    found["lossless, grey and alpha"] = encode(np.ascontiguousarray(alpha[..., 2:]), lossless=True)
    found["one pixel"] = encode(photo[:1, :1])
    found["a strip"] = encode(photo[:3])
    found["turned"] = encode(photo[:300, :700], metadata=Metadata(exif=exif_turned(6)))
    return found


def exif_turned(orientation: int) -> bytes:
    """EXIF with an orientation and nothing else."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def png_pixels(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture file as RGBA."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))
