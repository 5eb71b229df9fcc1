"""Small pictures and codecs of one line for the tests of pico-bench."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from metric_pictures import picture
from PIL import Image

from pico_bench.cli import main

SAVE = (
    "import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2], quality=int(sys.argv[3]))"
)


def three_pictures(folder: Path) -> Path:
    """A new folder of three small pictures."""
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.roll(picture(80, 64), 9 * number, axis=1)).save(folder / f"p{number}.png")
    return folder


def deep_png(width: int, height: int) -> bytes:
    """A PNG file of 16 bits for each of red, green and blue; Pillow writes none."""
    rows = np.zeros((height, 1 + 6 * width), np.uint8)  # the first byte of a row is its filter
    rows[:, 1:] = np.arange(6 * width) % 251
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(width: int, height: int) -> bytes:
    """A TIFF file of 16 bits for each of red, green and blue; Pillow writes none."""
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 14), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, 6 * width * height)]
    samples = (np.arange(3 * width * height) % 65521).astype("<u2").tobytes()
    depths = struct.pack("<HHH", 16, 16, 16)
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    end = struct.pack("<H", len(tags)) + directory + bytes(4)
    return b"II*\0" + struct.pack("<I", 14 + len(samples)) + depths + samples + end


def rd(folder: Path, out: Path, *more: str | Path, codec: str = "jpeg:20,50,80") -> int:
    return main(["rd", str(folder), "--out", str(out), "--codec", codec, *map(str, more)])


def results(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def toml(name: str, script: str, extension: str = ".jpg", decode: str = "") -> str:
    """A codec whose command is this Python with a script in one line."""
    encode = f"{sys.executable} -c '{script}' {{input}} {{output}} {{quality}}"
    lines = [
        f"[{name}]",
        f"encode = {json.dumps(encode)}",
        f'extension = "{extension}"',
        "qualities = [30, 60]",
    ]
    if decode:
        lines.append(
            f"decode = {json.dumps(f'{sys.executable} -c {chr(39)}{decode}{chr(39)} {{input}} {{output}}')}"
        )
    return "\n".join(lines)
