"""Weights are found by the id that a file carries, and damage to them is noticed."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from pico_core import registry
from pico_core.errors import UnknownModelError, WeightsError

DEFAULT = registry.SHIPPED / f"{registry.default_id().hex()}.safetensors"


def test_shipped_weights_carry_the_id_of_their_content_and_fit_a_wheel() -> None:
    total = 0
    for path in registry.SHIPPED.glob("*.safetensors"):
        content = path.read_bytes()
        total += len(content)
        assert registry.model_id(content).hex() == path.stem
    assert 0 < total < 25_000_000


def test_weights_are_loaded_once() -> None:
    assert registry.get(registry.default_id()) is registry.get(registry.default_id())


def test_unknown_id_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(UnknownModelError, match=r"0707.*not installed.*PICO_WEIGHTS"):
        registry.get(b"\7" * 16)


def test_weights_are_found_in_folders_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DEFAULT, tmp_path / DEFAULT.name)
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "nothing")
    monkeypatch.setattr(registry, "_loaded", {})
    wanted = bytes.fromhex(DEFAULT.stem)
    with pytest.raises(UnknownModelError):
        registry.get(wanted)
    monkeypatch.setenv("PICO_WEIGHTS", str(tmp_path))
    assert registry.get(wanted).id == wanted


def test_damaged_weights_are_refused_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(DEFAULT.read_bytes())
    content[-100] ^= 1
    (tmp_path / DEFAULT.name).write_bytes(content)
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    monkeypatch.setattr(registry, "_loaded", {})
    with pytest.raises(WeightsError, match="damaged"):
        registry.get(bytes.fromhex(DEFAULT.stem))


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 100])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.safetensors"):
        registry.load(path)


def test_quality_is_a_strictly_rising_scale_over_all_levels() -> None:
    weights = registry.get(registry.default_id())
    levels = [weights.level_of_quality(quality) for quality in range(101)]
    assert levels[0] == 0
    assert levels[-1] == weights.max_level
    assert all(a < b for a, b in pairwise(levels))
    assert all(level * 4096 == int(level * 4096) for level in levels)
