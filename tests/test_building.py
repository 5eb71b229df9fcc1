"""Building: the native engine compiled into the wheel for its platform, from an sdist too, and a wheel without it."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hatchling", reason="building needs hatchling")

ROOT = Path(__file__).resolve().parents[1]
BUILD: dict[str, Any] = runpy.run_path(str(ROOT / "pico_core" / "native" / "hatch_build.py"))
NATIVE = "pico_core/native/"
HERE: str | None = BUILD["platform_here"]()

compiles = pytest.mark.skipif(
    HERE is None or importlib.util.find_spec("ziglang") is None,
    reason="the native engine cannot be built here",
)
# What any system has. Everything else would have to be installed beside us.
SYSTEM_LIBRARIES = {
    "manylinux": {"libc.so.6", "libm.so.6"},
    "musllinux": {"libc.so"},
    "macosx": {"libpico.dylib", "libSystem.B.dylib"},  # the first is its own name
    "win": {"kernel32.dll"},  # and parts of the C library, api-ms-win-crt-*.dll
}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
LOAD = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).pico_interface())"


def run(*arguments: str | Path, folder: Path, **variables: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in {**os.environ, **variables}.items() if v is not None}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def build_wheel(source: Path, output: Path, platform: str) -> Path:
    arguments = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(output)]
    done = run(sys.executable, *arguments, folder=source, PICO_BUILD_FOR=platform)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = output.glob("*.whl")
    return wheel


def libraries(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith((".so", ".dylib", ".dll"))]


def interface_of(library: Path) -> int:
    """What the library answers to a process that has loaded nothing else."""
    done = run(sys.executable, "-c", LOAD, library, folder=library.parent)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an sdist unpacks to: all that a user has who builds from one."""
    folder = tmp_path_factory.mktemp("sdist")
    done = run(
        sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", folder, folder=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_sdist_holds_all_sources_of_the_engine_and_nothing_compiled(source: Path) -> None:
    here = {path.name for path in (ROOT / NATIVE).glob("*.[ch]")} | {"hatch_build.py"}
    there = {path.name for path in (source / NATIVE).iterdir()}
    assert here <= there
    assert not [name for name in there if name.endswith((".so", ".dylib", ".dll"))]


@compiles
def test_wheel_holds_the_engine_of_its_platform(source: Path, tmp_path: Path) -> None:
    wheel = build_wheel(source, tmp_path, "here")
    target = BUILD["TARGETS"][HERE]
    assert wheel.name.endswith(f"-py3-none-{HERE}.whl")
    assert libraries(wheel) == [NATIVE + target.file_name]
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        assert "Root-Is-Purelib: false" in archive.read(record).decode()
        assert not [name for name in archive.namelist() if name.endswith((".c", ".h", "hatch_build.py"))]
        archive.extractall(tmp_path)
    assert interface_of(tmp_path / NATIVE / target.file_name) >= 1
    assert not (source / NATIVE / target.file_name).exists(), (
        "a wheel may be for another system than this one"
    )


@compiles
def test_editable_installation_compiles_beside_the_sources(source: Path, tmp_path: Path) -> None:
    made = run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # pip and hatchling come from here; what they install goes there.
    packages = sysconfig.get_path("purelib")
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    installed = run(
        *(python, "-m", "pip", "install", *options, "--editable", source),
        folder=tmp_path,
        PYTHONPATH=packages,
        PICO_BUILD_FOR=None,
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    find = "import pico_core; print(pico_core.__file__)"
    found = run(python, "-c", find, folder=tmp_path, PYTHONPATH=packages)
    library = Path(found.stdout.strip()).parent / "native" / BUILD["TARGETS"][HERE].file_name
    assert library.is_relative_to(source)
    assert interface_of(library) >= 1
    library.unlink()


def test_without_the_compiler_the_wheel_is_pure_and_a_note_says_so(source: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['ziglang'] = None; from hatchling.cli import hatchling; sys.exit(hatchling())"
    arguments = ["build", "--target", "wheel", "--directory", str(tmp_path)]
    done = run(sys.executable, "-c", program, *arguments, folder=source, PICO_BUILD_FOR=None)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not libraries(wheel)
    assert "without the native engine" in done.stdout + done.stderr


def test_unknown_platform_is_refused_with_the_known_ones(source: Path, tmp_path: Path) -> None:
    arguments = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    done = run(sys.executable, *arguments, folder=source, PICO_BUILD_FOR="amiga")
    assert done.returncode != 0
    assert "amiga" in done.stderr
    assert "macosx_11_0_arm64" in done.stderr
    assert not list(tmp_path.iterdir())


@compiles
def test_code_that_does_not_compile_leaves_the_library_that_there_was(tmp_path: Path) -> None:
    target = BUILD["TARGETS"][HERE]
    (tmp_path / "hatch_build.py").write_text((ROOT / NATIVE / "hatch_build.py").read_text())
    (tmp_path / "broken.c").write_text("int pico_interface(void) { return missing; }\n")
    (tmp_path / target.file_name).write_bytes(b"older")
    build = runpy.run_path(str(tmp_path / "hatch_build.py"))
    with pytest.raises(RuntimeError, match=r"broken\.c:1:.*missing"):
        build["compile_library"](target, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["broken.c", "hatch_build.py", target.file_name]
    )
    assert (tmp_path / target.file_name).read_bytes() == b"older"


@compiles
def test_a_product_and_a_sum_are_rounded_separately(tmp_path: Path) -> None:
    """A compiler that fuses them, where a processor can, gives pixels that differ from other processors'."""
    (tmp_path / "hatch_build.py").write_text((ROOT / NATIVE / "hatch_build.py").read_text())
    (tmp_path / "sum.c").write_text(
        "#if defined(__x86_64__)\n"
        '__attribute__((target("fma")))\n'
        "#endif\n"
        '__attribute__((visibility("default")))\n'
        "float multiply_add(float a, float b, float c) { return a * b + c; }\n"
    )
    build = runpy.run_path(str(tmp_path / "hatch_build.py"))
    library = build["compile_library"](build["TARGETS"][HERE], tmp_path)
    program = (
        "import ctypes, sys; f = ctypes.CDLL(sys.argv[1]).multiply_add; f.restype = ctypes.c_float;"
        "a = 1 + 2**-12; print(f(*map(ctypes.c_float, (a, a, -1 - 2**-11))))"
    )
    done = run(sys.executable, "-c", program, library, folder=tmp_path)
    assert done.stdout.strip() == "0.0", done.stdout + done.stderr  # fused: 2**-24


@pytest.mark.slow
@compiles
@pytest.mark.parametrize("platform", BUILD["TARGETS"])
def test_each_wheel_needs_nothing_but_its_system(source: Path, tmp_path: Path, platform: str) -> None:
    lief = pytest.importorskip("lief", reason="reading libraries of other systems needs lief")
    wheel = build_wheel(source, tmp_path, platform)
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    (name,) = libraries(wheel)
    with zipfile.ZipFile(wheel) as archive:
        library = lief.parse(list(archive.read(name)))
    family = platform.split("_")[0]
    assert library.format.name == {"macosx": "MACHO", "win": "PE"}.get(family, "ELF")
    machine = next(machine for end, machine in MACHINES.items() if platform.endswith(end))
    assert library.abstract.header.architecture.name.lower() == machine
    needed = {Path(str(getattr(used, "name", used))).name.lower() for used in library.libraries}
    needed = {used for used in needed if not used.startswith("api-ms-win-crt-")}
    assert needed <= {used.lower() for used in SYSTEM_LIBRARIES[family]}
    exported = {str(function.name).lstrip("_") for function in library.exported_functions}
    assert {"pico_interface", "pico_decode", "pico_encode"} <= exported
