"""Small pictures and codecs of one line for the tests of pico-bench."""

from __future__ import annotations

import json
import sys
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
