"""The package for npm: the modules as they are, WebAssembly, weights, types and a README. Nothing is published."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pico_core
from pico_web import pages

_FILES = pages.HERE / "npm_files"
# What only pages in one script need.
_LEFT_OUT = frozenset({"assets", "entries", "gallery", "layout", "page", "stage", "viewer", "wasm"})


def description() -> dict[str, object]:
    """The content of package.json."""
    return {
        "name": "pillow-pico",
        "version": pico_core.__version__,
        "description": "Shows .pico pictures in web browsers",
        "license": "MIT",
        "type": "module",
        "main": "index.js",
        "types": "index.d.ts",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}, "./pico.wasm": "./pico.wasm"},
        "files": ["*.js", "index.d.ts", "pico.wasm", "weights"],
        "sideEffects": False,
        "keywords": ["image", "decoder", "pico", "wasm", "webassembly"],
    }


def write_package(folder: Path) -> None:
    """Writes the package into a folder, which may be there already. Raises PicoError or OSError."""
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(description(), indent=2) + "\n", "utf-8")
    for path in sorted(_FILES.iterdir()):
        (folder / path.name).write_text(path.read_text("utf-8"), "utf-8")
    for name, text in pages.modules().items():
        if name not in _LEFT_OUT:
            (folder / f"{name}.js").write_text(text, "utf-8")
    (folder / "pico.wasm").write_bytes(pages.wasm())
    name, content = pages.weights()
    (folder / "weights" / f"{name}.bin").write_bytes(gzip.compress(content, 9, mtime=0))
