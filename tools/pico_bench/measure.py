"""One measurement in a process of its own, so that its peak of memory is nobody else's; run by `speed`.

The job comes as JSON in the only argument, the result goes to standard output as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PILLOW_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"format": "JPEG", "quality": 75},
    "WebP": {"format": "WEBP", "quality": 75},
    "AVIF speed 4": {"format": "AVIF", "quality": 60, "speed": 4},
    "AVIF speed 6": {"format": "AVIF", "quality": 60, "speed": 6},
    "AVIF speed 8": {"format": "AVIF", "quality": 60, "speed": 8},
    "JPEG 2000": {
        "format": "JPEG2000",
        "quality_mode": "dB",
        "quality_layers": [36],
        "irreversible": True,
        "mct": 1,
    },
    "HEIC": {"format": "HEIF", "quality": 45, "chroma": 420},
    "JPEG XL": {"format": "JXL", "quality": 75, "effort": 7},
}
PLUGINS = {"HEIC": "pillow_heif", "JPEG XL": "pillow_jxl"}  # modules that add these formats to Pillow
MOZJPEG = "JPEG mozjpeg"
MOZJPEG_QUALITY = 75
PICO = "pico"
# Name -> engine and, for the native one, its kernels. Those of 256 bits and those with AVX2 alone stand for laptops.
PICO_ENGINES: dict[str, tuple[str, str | None]] = {
    PICO: ("native", None),
    "pico avxvnni": ("native", "avxvnni"),
    "pico avx2": ("native", "avx2"),
    "pico dotprod": ("native", "dotprod"),
    "pico neon": ("native", "neon"),
    "pico torch": ("torch", None),
}
PICO_QUALITY = 60
_OPENINGS = 30


def main() -> int:
    """Do the job and print its result."""
    job = json.loads(sys.argv[1])
    _limit_processors(job["threads"])
    jobs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "picture": _picture,
        "hold": _hold,
        "encode": _encode,
        "decode": _decode,
        "open": _open,
        "import": _import,
        "kernels": _kernels,
    }
    print(json.dumps(jobs[job["operation"]](job)))
    return 0


def peak_bytes() -> int:
    """Most memory that this process has held so far. On Linux and macOS only."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _limit_processors(count: int) -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["PICO_THREADS"] = str(count)
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _picture(job: dict[str, Any]) -> dict[str, Any]:
    """Write the picture to measure on as BMP, which loads fast, and its EXIF beside it."""
    from PIL import Image

    from pico_bench.picture import mosaic

    picture = mosaic(job["megapixels"]) if job["image"] is None else Image.open(job["image"])
    exif = picture.info.get("exif", b"")
    picture.convert("RGB").save(job["path"], "BMP")
    Path(job["path"] + ".exif").write_bytes(exif)
    return {"width": picture.width, "height": picture.height}


def _hold(job: dict[str, Any]) -> dict[str, Any]:
    """Hold the picture and do nothing: the part of every peak that no codec is to blame for."""
    _load(job["path"])
    return {"peak_bytes": peak_bytes()}


def _load(path: str) -> Any:
    from PIL import Image

    picture = Image.open(path)
    picture.load()
    exif = Path(path + ".exif").read_bytes()
    if exif:
        picture.info["exif"] = exif
    return picture


def _encode(job: dict[str, Any]) -> dict[str, Any]:
    picture = _load(job["path"])
    if job["codec"] in PICO_ENGINES:
        import numpy as np

        from pico_core import Metadata, encode

        pixels = np.asarray(picture)
        metadata = Metadata(exif=picture.info.get("exif"))
        engine = _choose_engine(job["codec"])

        def run(profile: dict[str, float]) -> bytes:
            return encode(pixels, quality=PICO_QUALITY, metadata=metadata, engine=engine, profile=profile)

    elif job["codec"] == MOZJPEG:
        import numpy as np

        from pico_bench.mozjpeg import MozjpegCodec

        samples = np.asarray(picture)

        def run(profile: dict[str, float]) -> bytes:
            return MozjpegCodec().encode(samples, str(MOZJPEG_QUALITY))

    else:
        _register(job["codec"])
        options = {**PILLOW_OPTIONS[job["codec"]], "exif": picture.info.get("exif", b"")}

        def run(profile: dict[str, float]) -> bytes:
            stream = io.BytesIO()
            picture.save(stream, **options)
            return stream.getvalue()

    result, data = _repeat(job, run)
    Path(job["output"]).write_bytes(data)
    return {**result, "bytes": len(data)}


def _register(codec: str) -> None:
    """Import the plug-in that a codec needs, and tell it to register if it does not do so by itself."""
    if codec in PLUGINS:
        getattr(importlib.import_module(PLUGINS[codec]), "register_heif_opener", lambda: None)()


def _decode(job: dict[str, Any]) -> dict[str, Any]:
    data = Path(job["path"]).read_bytes()
    if job["codec"] in PICO_ENGINES:
        from pico_core import PicoFile

        engine = _choose_engine(job["codec"])

        def run(profile: dict[str, float]) -> Any:
            return PicoFile(data).decode(engine=engine, profile=profile)

    else:
        from PIL import Image

        _register(job["codec"])

        def run(profile: dict[str, float]) -> Any:
            return Image.open(io.BytesIO(data)).load()

    return _repeat(job, run)[0]


def _repeat(job: dict[str, Any], run: Callable[[dict[str, float]], Any]) -> tuple[dict[str, Any], Any]:
    """Run once to warm up and `runs` times for the median; the parts are those of the median run."""
    result = run({})
    timings = []
    for _ in range(job["runs"]):
        result = None  # the peak shall count one result, not this one and the one before
        profile: dict[str, float] = {}
        start = time.perf_counter()
        result = run(profile)
        timings.append((time.perf_counter() - start, profile))
    timings.sort(key=lambda timing: timing[0])
    seconds, parts = timings[len(timings) // 2]
    return {"seconds": seconds, "parts": parts, "peak_bytes": peak_bytes()}, result


def _choose_engine(codec: str) -> str:
    engine, kernels = PICO_ENGINES[codec]
    if kernels is not None:
        os.environ["PICO_KERNELS"] = kernels
    return engine


def _kernels(job: dict[str, Any]) -> dict[str, Any]:
    """The kernels that an engine runs here; None where it cannot run."""
    from pico_core import PicoError, registry
    from pico_core.engines import engine_for

    try:
        return {
            "kernels": engine_for(registry.get(registry.default_id()), _choose_engine(job["codec"])).kernels
        }
    except PicoError:
        return {"kernels": None}


def _open(job: dict[str, Any]) -> dict[str, Any]:
    """Open a file and read its size and EXIF, as a photo browser does with every file."""
    from PIL import Image

    import pillow_pico  # noqa: F401

    def run() -> float:
        start = time.perf_counter()
        with Image.open(job["path"]) as picture:
            _ = picture.size, dict(picture.getexif())
        return time.perf_counter() - start

    run()
    seconds = statistics.median(run() for _ in range(_OPENINGS))
    return {"seconds": seconds, "torch_imported": "torch" in sys.modules}


def _import(job: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image

    with contextlib.suppress(ImportError):
        Image.preinit()
    start = time.perf_counter()
    import pillow_pico  # noqa: F401

    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    sys.exit(main())
