"""Originals stay where the weights that their .pico files need are missing, and the photos are said to have failed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from library_samples import pico_library, scene
from safetensors.numpy import load, save

from pico_codec import origin
from pico_codec.source import read_source
from pico_core import encode, registry

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder of weights that are those that ship in all but their name."""
    content = (registry.SHIPPED / f"{registry.default_id().hex()}.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    facts = json.loads(header["__metadata__"]["pico"]) | {"name": "others"}
    copy = save(load(content), header["__metadata__"] | {"pico": json.dumps(facts)})
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / f"{registry.model_id(copy).hex()}.safetensors").write_bytes(copy)
    return folder


@pytest.fixture
def photo(tmp_path: Path, samples: Path, others: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photo with its .pico file beside it, which needs those weights."""
    path = tmp_path / "Photos" / "lake.jpg"
    path.parent.mkdir()
    scene(samples).save(path, "JPEG", quality=95)
    source = read_source(path.read_bytes())
    metadata = origin.marked(source.metadata, hashlib.sha256(path.read_bytes()).digest())
    (weights,) = others.iterdir()
    monkeypatch.setenv("PICO_WEIGHTS", str(others))
    monkeypatch.setattr(registry, "default_id", lambda: bytes.fromhex(weights.stem))
    path.with_name("lake.jpg.pico").write_bytes(encode(source.pixels, metadata=metadata))
    return path


@pytest.mark.parametrize("mode", ["--delete-originals", "--replace"])
def test_original_of_a_known_photo_stays_when_the_weights_of_its_pico_file_are_gone(
    photo: Path, others: Path, mode: str
) -> None:
    content = photo.read_bytes()
    first = pico_library("shrink", photo.parent, PICO_WEIGHTS=str(others))
    assert first.returncode == 0, first.stderr
    second = pico_library("shrink", photo.parent, mode, "--yes", PICO_WEIGHTS="")
    assert second.returncode == 1
    assert "which are not installed" in second.stderr
    assert photo.read_bytes() == content
    third = pico_library("shrink", photo.parent, mode, "--yes", PICO_WEIGHTS=str(others))
    assert third.returncode == 0, third.stderr
    assert not photo.exists()


def test_pico_file_that_cannot_be_read_here_is_not_called_another_photos(photo: Path) -> None:
    content = photo.read_bytes()
    done = pico_library("shrink", photo.parent, "--replace", "--yes", PICO_WEIGHTS="")
    assert done.returncode == 1
    assert "which are not installed" in done.stderr
    assert "another file has the name" not in done.stdout
    assert photo.read_bytes() == content
