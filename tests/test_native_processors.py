"""The native engine on processors that this one is not: arm64 under qemu, WebAssembly under node.

Both are tested where their tools are installed (Debian: qemu-user, nodejs).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from native_library import ROOT, compile_c
from small_networks import Shape, random_arrays, write_model_file

pytest.importorskip("ziglang", reason="the compiler for the native engine is not installed")

PROGRAMS = ROOT / "tests" / "native"
NARROW = ("encoder", "context", "decoder")
NETWORKS = {
    "plain": (Shape(), False),
    "extreme": (Shape(latent=32, decoder16=16, decoder8=80, hidden=80, narrow=NARROW), True),
}
ON_WASM = (
    "-target",
    "wasm32-wasi",
    "-msimd128",
    "-D_WASI_EMULATED_PROCESS_CLOCKS",
    "-lwasi-emulated-process-clocks",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processors")
    for name, (shape, extreme) in NETWORKS.items():
        write_model_file(folder / f"{name}.model", random_arrays(shape, seed=3, extreme=extreme))
    compile_c(folder / "here", str(PROGRAMS / "tiles.c"))
    return folder


def hashes(command: list[str], model: Path, kernels: str) -> str:
    """What tests/native/tiles.c prints: the hash of every payload and of its pixels."""
    done = subprocess.run([*command, str(model), kernels], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"kernels: {kernels}" in done.stderr
    return done.stdout


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kernels", ["portable", "neon", "dotprod"])
def test_arm64_codes_the_same_bits(folder: Path, kernels: str, network: str) -> None:
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if not emulator:
        pytest.skip("qemu-aarch64 is not installed")
    program, model = folder / "arm64", folder / f"{network}.model"
    if not program.exists():
        compile_c(program, "-target", "aarch64-linux-musl", "-static", str(PROGRAMS / "tiles.c"))
    assert hashes([emulator, str(program)], model, kernels) == hashes(
        [str(folder / "here")], model, "portable"
    )


def test_old_arm64_processors_use_no_dot_products(folder: Path) -> None:
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if not emulator:
        pytest.skip("qemu-aarch64 is not installed")
    program = compile_c(folder / "old", "-target", "aarch64-linux-musl", "-static", str(PROGRAMS / "tiles.c"))
    command = [emulator, "-cpu", "cortex-a53", str(program), str(folder / "plain.model"), "best", "64"]
    assert "kernels: neon" in subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize(("processor", "kernels"), [("Nehalem", "portable"), ("Haswell", "avx2")])
def test_old_x86_processors_use_what_they_have(folder: Path, processor: str, kernels: str) -> None:
    emulator = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if not emulator:
        pytest.skip("qemu-x86_64 is not installed")
    program = folder / "x86"
    if not program.exists():
        compile_c(program, "-target", "x86_64-linux-musl", "-static", str(PROGRAMS / "tiles.c"))
    command = [emulator, "-cpu", processor, str(program), str(folder / "plain.model"), "best", "64"]
    assert f"kernels: {kernels}" in subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kernels", ["portable", "wasm"])
def test_webassembly_codes_the_same_bits(folder: Path, kernels: str, network: str) -> None:
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    program, model = folder / "tiles.wasm", folder / f"{network}.model"
    if not program.exists():
        compile_c(program, *ON_WASM, str(PROGRAMS / "tiles.c"))
    command = [node, "--no-warnings", str(PROGRAMS / "run_wasi.mjs"), str(program)]
    assert hashes(command, model, kernels) == hashes([str(folder / "here")], model, "portable")
