"""The machine that trains: its device, and what it is in a few words."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pico_core.errors import OptionError

from .config import Config

Module = TypeVar("Module", bound=nn.Module)


def device_of(config: Config) -> torch.device:
    """The device that a config asks for. Raises OptionError where there is no such device."""
    if config.engine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.engine.device not in ("cpu", "cuda"):
        msg = f"config: engine.device is {config.engine.device!r}; it must be auto, cpu or cuda"
        raise OptionError(msg)
    if config.engine.device == "cuda" and not torch.cuda.is_available():
        msg = "config: engine.device is cuda, but PyTorch finds no such device here"
        raise OptionError(msg)
    return torch.device(config.engine.device)


def best_precision() -> str:
    """`bfloat16` where this CPU multiplies it natively, else `float32`."""
    # oneDNN emulates bfloat16 on CPUs without it, slower than float32: ask for the instructions themselves.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
    is_native = any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)
    return "bfloat16" if is_native else "float32"


def precision_of(config: Config, device: torch.device) -> torch.dtype:
    """What the trunk and Muon run in: with `auto` not bfloat16 where it is only emulated, slowly."""
    chosen = config.engine.precision
    if chosen == "auto" and device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        chosen = "bfloat16" if native else "float32"
    elif chosen == "auto":
        chosen = best_precision()
    return torch.bfloat16 if chosen == "bfloat16" else torch.float32


_layout = torch.channels_last


def set_layout(channels_last: bool) -> None:
    """Choose how images and weights lie in memory, in this process. channels_last is the fast way on every CPU."""
    global _layout
    _layout = torch.channels_last if channels_last else torch.contiguous_format


def arranged(x: Tensor) -> Tensor:
    """Images (N,C,H,W) in the chosen layout."""
    return x.contiguous(memory_format=_layout)


def place(module: Module, device: torch.device) -> Module:
    """Move a module to a device, in the chosen layout."""
    return module.to(device=device, memory_format=_layout)  # type: ignore[call-overload, no-any-return]


def describe() -> str:
    """Processor, cores, accelerator and PyTorch version, for logs and model cards."""
    parts = [f"{_processor()}, {os.cpu_count()} cores"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return "; ".join([*parts, f"PyTorch {torch.__version__}"])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
