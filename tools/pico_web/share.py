"""Albums: a folder of .pico files and a page that shows them, for any web host or a USB stick. No server code."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from pico_core import PicoFile, encode
from pico_core.errors import PicoError
from pico_web import pages
from pico_web.errors import AlbumError

EXTENSION = ".pico"
DECODER, PHOTOS, INDEX = "decoder", "photos", "index.html"


@dataclass
class Shared:
    """What became of the pictures: how many are in the album, its bytes, and what was left out and why."""

    output: Path
    pictures: int = 0
    bytes: int = 0
    left_out: list[tuple[Path, str]] = field(default_factory=list)


def share(
    paths: Sequence[Path],
    output: Path,
    *,
    title: str | None = None,
    max_side: int | None = None,
    for_disk: bool = True,
) -> Shared:
    """Writes an album of .pico files, and of those in folders, to the folder `output`, whole or not at all.

    `max_side` makes larger pictures smaller, to so many pixels on the longer side; others are copied as they are.
    `for_disk` also writes each picture as a script, a third larger than the picture: a page that was opened from a disk
    may read nothing else. The originals are only read. Damaged files are left out, and named in the result.

    Raises AlbumError where `output` holds something already, or where no picture is left; OSError.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        msg = f"{output} is there already; choose another name, or remove it first"
        raise AlbumError(msg)
    found = list(_pictures(paths))
    output.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".pico-album-", dir=output.parent))
    try:
        result = _write(found, work, title or output.name, max_side, for_disk)
        if not result.pictures:
            first = f": {result.left_out[0][0]}: {result.left_out[0][1]}" if result.left_out else ""
            msg = f"there is no .pico file to share{first}"
            raise AlbumError(msg)
        work.chmod(0o755)  # mkdtemp's folders are private; a web host must read this one
        if output.exists():
            output.rmdir()
        work.rename(output)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    result.output = output
    return result


def _pictures(paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Files, and where they go below the folder of photos; each file once, no two to the same place."""
    files: set[Path] = set()
    places: set[str] = set()
    for path in paths:
        inside = sorted(_files_below(path)) if path.is_dir() else [path]
        for file in inside:
            if file.resolve() in files:
                continue
            files.add(file.resolve())
            place = file.relative_to(path) if path.is_dir() else Path(file.name)
            free, number = place, 1
            while str(free).casefold() in places:  # as disks that ignore case see it
                number += 1
                free = place.with_stem(f"{place.stem}-{number}")
            places.add(str(free).casefold())
            yield file, free


def _files_below(folder: Path) -> Iterator[Path]:
    for current, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(EXTENSION) and not name.startswith("."):
                yield Path(current, name)


def _write(
    found: Sequence[tuple[Path, Path]], work: Path, title: str, max_side: int | None, for_disk: bool
) -> Shared:
    result = Shared(work)
    listed, needed = [], set()
    for file, place in found:
        try:
            content = _content(file, max_side)
            with PicoFile(content) as opened:
                opened.verify()
                if opened.picture.model_id is not None:
                    pages.weights(opened.picture.model_id)  # or nobody could see it
                    needed.add(opened.picture.model_id)
        except (PicoError, OSError) as error:
            result.left_out.append((file, str(error)))
            continue
        address = quote(f"{PHOTOS}/{place.as_posix()}")
        target = work / PHOTOS / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if for_disk:
            script = pages.asset_script(address, content)
            target.with_name(f"{target.name}.js").write_text(script, "utf-8", newline="\n")
        listed.append(pages.Listed(place.name, address, len(content)))
        result.bytes += len(content)
    result.pictures = len(listed)
    (work / DECODER).mkdir()
    for name, text in pages.decoder_files(sorted(needed)).items():
        (work / DECODER / name).write_text(text, "utf-8", newline="\n")
    (work / INDEX).write_text(pages.album_page(title, listed, DECODER), "utf-8", newline="\n")
    return result


def _content(file: Path, max_side: int | None) -> bytes:
    """The bytes of the file, or of a smaller picture with its metadata and quality."""
    content = file.read_bytes()
    with PicoFile(content) as opened:
        longer = max(opened.width, opened.height)
        if max_side is None or longer <= max_side:
            return content
        sides = [max(1, round(side * max_side / longer)) for side in (opened.width, opened.height)]
        pixels = opened.decode()
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[opened.channels]
        image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)
        smaller = np.asarray(image.resize((sides[0], sides[1]), Image.Resampling.LANCZOS))
        lossless = opened.model_id is None and opened.quality is None
        return encode(
            smaller,
            quality=None if lossless else opened.quality,
            lossless=lossless,
            metadata=opened.metadata,
        )
