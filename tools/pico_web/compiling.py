"""Compiles the native engine to WebAssembly, with the compiler that PyPI has as `ziglang`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

WASM = "pico.wasm"
SOURCES = Path(__file__).resolve().parents[2] / "pico_core" / "native"

# As for the library (pico_core/native/hatch_build.py): without contraction each product and each sum is rounded on its
# own, which is part of the file format.
_FLAGS = (
    *("-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128"),
    *("-std=c11", "-O3", "-ffp-contract=off", "-fno-sanitize=all", "-fvisibility=hidden"),
    *("-Wall", "-Wextra", "-Wno-unused-function", "-Wl,--strip-all"),
)
_EXPORTS = ("malloc", "free", "pico_interface", "pico_model_new", "pico_coder_new", "pico_decode")


def command(output: Path, sources: Path = SOURCES) -> list[str]:
    """The compiler's command line for all C sources of the folder `sources`."""
    exports = [f"-Wl,--export={name}" for name in _EXPORTS]
    files = sorted(str(path) for path in sources.glob("*.c"))
    return [sys.executable, "-m", "ziglang", "cc", *_FLAGS, *exports, "-o", str(output), *files]


def compile_wasm(output: Path, sources: Path = SOURCES) -> Path:
    """Makes the module at `output`, whole or not at all. Raises RuntimeError with the compiler's words."""
    with tempfile.TemporaryDirectory(prefix=".building-", dir=output.parent) as work:
        made = Path(work) / WASM
        # From that folder, so that no local file is in the way of `-m ziglang`.
        done = subprocess.run(command(made, sources), cwd=work, capture_output=True, text=True, check=False)
        if done.returncode or not made.is_file():
            msg = f"the decoder for browsers does not compile:\n{done.stdout}{done.stderr}"
            raise RuntimeError(msg)
        made.replace(output)
    return output


def is_current(output: Path, sources: Path = SOURCES) -> bool:
    """Whether the module is there and no source is newer; a wheel has no sources, and there it is enough."""
    if not output.is_file():
        return False
    made = output.stat().st_mtime
    return all(path.stat().st_mtime <= made for path in sources.glob("*.[ch]"))
