"""Pictures for the gallery, and questions to its server."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_browser import serving
from library_samples import EXIF_DATE
from PIL import Image, ImageDraw

import pillow_pico
from pico_library.view.server import HOST, Viewer


def drawing(size: tuple[int, int] = (1300, 900)) -> Image.Image:
    im = Image.new("RGB", size, (240, 240, 235))
    pencil = ImageDraw.Draw(im)
    pencil.rectangle((0, 0, size[0] // 2, size[1] // 2), (200, 30, 30))
    pencil.rectangle((size[0] // 2, size[1] // 2, *size), (30, 60, 200))
    return im


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


class Answer:
    """What the server said."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    viewer: Viewer,
    path: str,
    method: str = "GET",
    *,
    host: str | None = None,
    whole: bool = False,
    **headers: str,
) -> Answer:
    """Ask for a path below the secret, or for exactly that path."""
    connection = http.client.HTTPConnection(HOST, viewer.port, timeout=60)
    try:
        connection.putrequest(
            method, path if whole else f"/{viewer.token}/{path}", skip_host=True, skip_accept_encoding=True
        )
        connection.putheader("Host", host or f"{HOST}:{viewer.port}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return Answer(connection.getresponse())
    finally:
        connection.close()


def entries(viewer: Viewer) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = json.loads(ask(viewer, f"list?from={len(found)}").body)
        found += answer["entries"]
        if answer["complete"]:
            return {entry["name"]: entry for entry in found}


def image(answer: Answer) -> Image.Image:
    assert answer.status == 200, answer.text
    return Image.open(io.BytesIO(answer.body))


def difference(a: Image.Image, b: Image.Image) -> float:
    sides = np.asarray(a.convert("RGB"), np.int16), np.asarray(b.convert("RGB"), np.int16)
    assert sides[0].shape == sides[1].shape
    return float(np.abs(sides[0] - sides[1]).mean())


def photos_in(folder: Path) -> Path:
    """Fill a folder with pictures that need no networks: with and without a preview, turned, damaged, linked."""
    (folder / "2021").mkdir(parents=True)
    (folder / "large.png.pico").write_bytes(pillow_pico.to_bytes(drawing(), lossless=True, exif=EXIF_DATE))
    small = drawing((90, 60))
    profile = b"\0\0\0\x80lcms" + bytes(120)
    turned = {"lossless": True, "exif": with_orientation(6), "icc_profile": profile}
    (folder / "2021" / "small.jpg.pico").write_bytes(pillow_pico.to_bytes(small, **turned))
    small.save(folder / "2021" / "small.jpg", exif=with_orientation(6), quality=95)
    (folder / "turned.webp.pico").write_bytes(pillow_pico.to_bytes(drawing((1300, 901)), **turned))
    drawing((1300, 901)).save(folder / "turned.webp", exif=with_orientation(6), lossless=True)
    whole = (folder / "large.png.pico").read_bytes()
    (folder / "headers.pico").write_bytes(whole[:60] + b"\xff" + whole[61:])
    (folder / "tile.pico").write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    (folder / "cut.pico").write_bytes(whole[:-20])
    (folder / "other.pico").write_bytes(b"<html><script>alert(1)</script>")
    secret = folder.parent / "secret.pico"
    secret.write_bytes(whole)
    (folder / "link.pico").symlink_to(secret)
    (folder / ".hidden.pico").write_bytes(whole)
    return folder


@contextmanager
def viewing(photos: Path) -> Iterator[Viewer]:
    """The gallery of a folder, at work, with a journal of its own beside the folder."""
    with pytest.MonkeyPatch.context() as patch, serving(photos) as server:
        patch.setenv("PICO_LIBRARY_HOME", str(photos.parent / "home"))
        yield server
