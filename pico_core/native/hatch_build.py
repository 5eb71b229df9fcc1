"""Compiles the native engine for a wheel: hatch calls this hook whenever pip or a developer builds the project.

docs/building.md explains it to people. The module runs without the package and without numpy, in pip's empty build
environment.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

FOLDER = Path(__file__).resolve().parent

# Names the platform to build for: a key of TARGETS, "any" for a wheel without the library, "here" or nothing for the
# platform of the Python that builds.
VARIABLE = "PICO_BUILD_FOR"


class Target(NamedTuple):
    """A platform: what zig calls it, and the library's file name there."""

    zig: str
    file_name: str


# By the platform tag of the wheel, which says which systems pip installs it on. The versions in both must agree: zig
# lets the library use nothing of a newer system than the tag promises.
TARGETS = {
    "manylinux_2_17_x86_64": Target("x86_64-linux-gnu.2.17", "libpico.so"),
    "manylinux_2_17_aarch64": Target("aarch64-linux-gnu.2.17", "libpico.so"),
    "musllinux_1_1_x86_64": Target("x86_64-linux-musl", "libpico.so"),
    "musllinux_1_1_aarch64": Target("aarch64-linux-musl", "libpico.so"),
    "macosx_11_0_x86_64": Target("x86_64-macos.11.0", "libpico.dylib"),
    "macosx_11_0_arm64": Target("aarch64-macos.11.0", "libpico.dylib"),
    "win_amd64": Target("x86_64-windows-gnu", "pico.dll"),
    "win_arm64": Target("aarch64-windows-gnu", "pico.dll"),
}

# Without contraction each product and each sum is rounded on its own. That is part of the file format: a compiler that
# fuses them gives other pixels. zig compiles for the oldest processor of an architecture; files of kernels raise that
# for themselves.
FLAGS = (
    *("-std=c11", "-O3", "-ffp-contract=off", "-fno-sanitize=all"),
    *("-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function"),
    *("-shared", "-fPIC", "-s"),
)


def platform_here() -> str | None:
    """The key of TARGETS whose wheels the running Python installs; None where there is none."""
    return next((tag for tag in platform_tags() if tag in TARGETS), None)


def command(target: Target, output: Path) -> list[str]:
    """The compiler's command line for all C sources of this folder."""
    linking = {
        "libpico.so": "-Wl,-z,defs",  # else a missing function shows only when the library is loaded
        "libpico.dylib": "-Wl,-install_name,@rpath/libpico.dylib",  # else it holds the path of this folder
    }
    extra = [linking[target.file_name]] if target.file_name in linking else []
    sources = sorted(str(path) for path in FOLDER.glob("*.c"))
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig]
    return [*zig, *FLAGS, *extra, "-o", str(output), *sources, "-lm"]


def compile_library(target: Target, folder: Path) -> Path:
    """Makes the library in the folder and returns its path; replaces an older one only when the new one is complete.

    Raises RuntimeError with the compiler's words where it fails, or where the old library cannot be replaced.
    """
    library = folder / target.file_name
    # A folder of its own, since the linker also leaves files beside the library on Windows.
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as work:
        output = Path(work) / target.file_name
        # From that folder, so that no local file is in the way of `-m ziglang`.
        done = subprocess.run(command(target, output), cwd=work, capture_output=True, text=True, check=False)
        if done.returncode or not output.is_file():
            message = (
                f"the native engine does not compile for {target.zig}:\n{done.stdout}{done.stderr}\n"
                f"Set {VARIABLE}=any to build without it; pictures then open slowly."
            )
            raise RuntimeError(message)
        try:
            output.replace(library)
        except OSError as error:
            message = (
                f"{library} cannot be replaced ({error.strerror}); close the programs that use it, and repeat"
            )
            raise RuntimeError(message) from error
    return library


class NativeEngine(BuildHookInterface[BuilderConfig]):
    """Puts the library into the wheel; for an editable installation, beside its sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles before the wheel is put together. `version` is "standard" or "editable".

        Raises ValueError for a platform that TARGETS does not know, RuntimeError where compiling fails.
        """
        tag = self.chosen_platform()
        # Not beside the sources: there it would replace the developer's own by one for another system.
        self.work = tempfile.TemporaryDirectory(prefix="pico-build-")  # goes with this object
        self.add_decoder_for_browsers(version, build_data)
        if tag is None:
            return
        target = TARGETS[tag]
        if version == "editable":
            compile_library(target, FOLDER)
            return
        library = compile_library(target, Path(self.work.name))
        inside = FOLDER.relative_to(Path(self.root).resolve()) / library.name
        build_data["force_include"][str(library)] = inside.as_posix()
        build_data["pure_python"] = False
        # The library is loaded by ctypes and knows nothing of Python, so one wheel serves all versions of it.
        build_data["tag"] = f"py3-none-{tag}"

    def add_decoder_for_browsers(self, version: str, build_data: dict[str, Any]) -> None:
        """The same engine as WebAssembly, for tools/pico_web; left out where the compiler is missing."""
        if importlib.util.find_spec("ziglang") is None:
            return
        tool = Path(self.root).resolve() / "tools" / "pico_web"
        compiling = runpy.run_path(str(tool / "compiling.py"))
        if version == "editable":
            compiling["compile_wasm"](tool / compiling["WASM"])
            return
        made = compiling["compile_wasm"](Path(self.work.name) / compiling["WASM"])
        build_data["force_include"][str(made)] = f"pico_web/{made.name}"

    def chosen_platform(self) -> str | None:
        """The key of TARGETS to build for; None, after a note that says why, for a wheel without the library."""
        wanted = os.environ.get(VARIABLE) or "here"
        if wanted not in (*TARGETS, "any", "here"):
            message = f"{VARIABLE}={wanted}: not known; choose one of {', '.join(TARGETS)}, any, here"
            raise ValueError(message)
        if wanted == "any":
            return None
        tag = platform_here() if wanted == "here" else wanted
        if tag is None:
            self.note("there are no settings to compile it for this platform")
        elif importlib.util.find_spec("ziglang") is None:
            self.note("its compiler is missing (`pip install ziglang`)")
            return None
        return tag

    def note(self, reason: str) -> None:
        """Tells whoever builds that the result works, and what it lacks."""
        self.app.display_warning(
            f"pillow-pico: building without the native engine: {reason}. "
            "The package works, with the engine in numpy, which is many times slower."
        )


if __name__ == "__main__":
    print(*TARGETS)
