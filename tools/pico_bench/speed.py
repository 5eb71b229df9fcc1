"""`pico-bench speed`: time and memory of .pico beside other codecs, on the same picture.

Every codec and operation runs in a process of its own. This process only collects: it must stay small,
because a child's peak of memory counts from that of the process that started it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pico_bench.measure import (
    MOZJPEG,
    MOZJPEG_QUALITY,
    PICO,
    PICO_ENGINES,
    PICO_QUALITY,
    PILLOW_OPTIONS,
    PLUGINS,
)

REFERENCE = "WebP"
CODECS = (*PILLOW_OPTIONS, MOZJPEG, *PICO_ENGINES)
NEEDED = ("JPEG", REFERENCE, PICO)  # measured in every run
NAME = "pico-bench speed"
PARTS = ("networks", "lossless coding", "drawings", "container")
THREADS = 2
_STARTS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, 1 if a measurement failed, or 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="pico-speed-") as folder:
        try:
            results = _measure_all(arguments, Path(folder))
        except subprocess.CalledProcessError as error:
            _say((error.stderr.strip().splitlines() or ["a measurement ended without a word"])[-1])
            return 1
        except KeyboardInterrupt:
            return 130
    print(json.dumps(results, indent=2) if arguments.json else as_text(results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Time and peak memory of each codec on one picture, each in a process of its own.",
    )
    parser.add_argument(
        "--megapixels",
        type=_megapixels,
        default=12.0,
        help="size of the picture, up to 200 megapixels (default 12)",
    )
    parser.add_argument("--runs", type=_runs, default=3, help="number of runs; the median counts (default 3)")
    parser.add_argument("--image", type=_picture, help="measure this picture instead of a mosaic of samples/")
    parser.add_argument(
        "--codec",
        action="append",
        choices=CODECS,
        metavar="NAME",
        help=f"measure only this codec, {', '.join(NEEDED)}; may be repeated: {', '.join(CODECS)}. Default: all "
        "that work here",
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    return parser


def _megapixels(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0.01 <= size <= 200:
        msg = f"{text!r} is not a number from 0.01 to 200"
        raise argparse.ArgumentTypeError(msg)
    return size


def _runs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not a number of runs, 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _picture(text: str) -> Path:
    if not Path(text).is_file():
        msg = f"there is no picture {text}"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def _measure_all(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    picture = folder / "picture.bmp"
    image = None if arguments.image is None else str(arguments.image.resolve())
    size = _child(operation="picture", path=picture, megapixels=arguments.megapixels, image=image)
    codecs: dict[str, Any] = {}
    for codec in codecs_of(arguments.codec):
        encoded = folder / f"encoded.{codec}"
        runs = {"codec": codec, "runs": arguments.runs}
        codecs[codec] = {
            "encode": _child(operation="encode", path=picture, output=encoded, **runs),
            "decode": _child(operation="decode", path=encoded, **runs),
        }
    _add_ratios(codecs)
    return {
        "picture": {**size, "source": image or "mosaic of samples/"},
        "threads": THREADS,
        "runs": arguments.runs,
        "processor": _processor(),
        "holding_the_picture_bytes": _child(operation="hold", path=picture)["peak_bytes"],
        "codecs": codecs,
        "open_seconds": {
            c: _child(operation="open", path=folder / f"encoded.{c}")["seconds"] for c in NEEDED
        },
        "import_seconds": statistics.median(_child(operation="import")["seconds"] for _ in range(5)),
        "start_seconds": _start_up(folder),
    }


def _start_up(folder: Path) -> dict[str, float]:
    """Seconds from the start of a fresh process to the pixels of a small picture, and of Python and Pillow alone."""
    small = folder / "small.bmp"
    _child(operation="picture", path=small, megapixels=0.01, image=None)
    files = {"Pillow alone": small, "WebP": folder / "small.WebP", ".pico": folder / "small.pico"}
    for codec in (REFERENCE, PICO):
        _child(operation="encode", path=small, output=folder / f"small.{codec}", codec=codec, runs=1)
    programs = {
        name: f"import {'pillow_pico' if name == '.pico' else 'PIL'}\n"
        f"from PIL import Image\nImage.open({str(file)!r}).load()"
        for name, file in files.items()
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(_STARTS):  # in turn, so that a busy moment meets them all
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def codecs_of(asked: Sequence[str] | None) -> list[str]:
    """The codecs to measure, in their order; those that cannot be had here are named on standard error."""
    wanted = [codec for codec in CODECS if asked is None or codec in asked or codec in NEEDED]
    modules = {**PLUGINS, MOZJPEG: "pyvips"}
    usable = []
    for codec in wanted:
        if codec in modules and importlib.util.find_spec(modules[codec]) is None:
            _say(f"{codec} left out: {modules[codec]} is not installed")
        elif codec in PICO_ENGINES and _child(operation="kernels", codec=codec)["kernels"] is None:
            _say(f"{codec} left out: this machine cannot run it")
        else:
            usable.append(codec)
    return usable


def _say(line: str) -> None:
    print(f"{NAME}: {line}", file=sys.stderr)


def _child(**job: Any) -> dict[str, Any]:
    """Run one measurement in a new process."""
    text = json.dumps({"threads": THREADS, **job}, default=str)
    command = [sys.executable, "-m", "pico_bench.measure", text]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "PICO_THREADS": str(THREADS)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _add_ratios(codecs: dict[str, Any]) -> None:
    for operation in ("encode", "decode"):
        reference = codecs[REFERENCE][operation]["seconds"]
        for results in codecs.values():
            results[operation]["ratio"] = results[operation]["seconds"] / reference


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def as_text(results: dict[str, Any]) -> str:
    """The results as tables for people."""
    picture = results["picture"]
    pixels = picture["width"] * picture["height"]
    lines = [
        f"{pixels / 1e6:.1f} megapixels ({picture['width']} x {picture['height']}, {picture['source']}), "
        f"{results['threads']} threads, median of {results['runs']} runs",
        f"on {results['processor']}",
        "",
        f"{'':18}{'bits/px':>8}{'encode':>11}{'x WebP':>8}{'peak':>9}{'decode':>11}{'x WebP':>8}{'peak':>9}",
    ]
    for codec, result in results["codecs"].items():
        rate = 8 * result["encode"]["bytes"] / pixels
        cells = "".join(_operation(result[operation]) for operation in ("encode", "decode"))
        lines.append(f"{_title(codec):18}{rate:8.2f}{cells}")
    held = _megabytes(results["holding_the_picture_bytes"])
    lines += [f"Peaks count everything: a process that only holds the picture has {held}.", ""]
    return "\n".join([*lines, *_pico_parts(results["codecs"][PICO]), "", *_openings(results)])


def _title(codec: str) -> str:
    name = codec.replace(" speed ", "/s").replace(PICO, ".pico")
    if codec in PILLOW_OPTIONS:
        options = PILLOW_OPTIONS[codec]
        return f"{name} q{options['quality']}" if "quality" in options else f"{name} {_decibels(options)}"
    return f"{name} q{MOZJPEG_QUALITY if codec == MOZJPEG else PICO_QUALITY}"


def _decibels(options: dict[str, Any]) -> str:
    return f"{options['quality_layers'][0]} dB"


def _operation(result: dict[str, Any]) -> str:
    return f"{result['seconds']:9.3f} s{result['ratio']:8.2f}{_megabytes(result['peak_bytes']):>9}"


def _pico_parts(pico: dict[str, Any]) -> list[str]:
    lines = [".pico: seconds of work in each part, all threads together; the parts run side by side"]
    lines += [f"  {part:18}{_part(pico, 'encode', part)}{_part(pico, 'decode', part)}" for part in PARTS]
    return lines


def _part(pico: dict[str, Any], operation: str, part: str) -> str:
    return f"{pico[operation]['parts'].get(part, 0.0):9.3f} s"


def _openings(results: dict[str, Any]) -> list[str]:
    times = ", ".join(f"{_title(c).split()[0]} {1e3 * s:.2f} ms" for c, s in results["open_seconds"].items())
    return [
        f"Image.open, size and EXIF: {times}",
        f"import pillow_pico, beyond Pillow's own: {1e3 * results['import_seconds']:.1f} ms",
        "a fresh process until it has the pixels of a small picture: "
        + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in results["start_seconds"].items()),
    ]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
