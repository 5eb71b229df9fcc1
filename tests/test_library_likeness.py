"""The check that a .pico file gives back its photo: bytes, metadata, and above all the look of the worst place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_samples import EXIF_DATE, drawing, newest_of_all, one_verifier
from library_samples import scene as piece_of_a_photo
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pico_codec.source import read_source_file
from pico_core import encode
from pico_library.check.checking import CheckError, check_against, check_whole
from pico_library.check.likeness import compare, largest_block_error
from pico_library.check.verifier import Verifier, VerifierError
from pico_library.cli import main
from pico_library.model.records import Outcome
from pico_library.store.journal import Journal
from pico_library.store.places import journal_file


@pytest.fixture
def photo_file(samples: Path, tmp_path: Path) -> Path:
    path = tmp_path / "IMG_1.jpg"
    piece_of_a_photo(samples).save(path, quality=95, exif=EXIF_DATE)
    return path


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier() as one:
        yield one


def test_check_refuses_other_metadata_size_or_damage(photo_file: Path, verifier: Verifier) -> None:
    source = read_source_file(photo_file)
    flipped = bytearray(encode(source.pixels, quality=0, metadata=source.metadata))
    flipped[-100] ^= 1
    copies = {
        "metadata": encode(source.pixels, lossless=True),
        "instead of": encode(source.pixels[:-1], lossless=True, metadata=source.metadata),
        "checksum": bytes(flipped),
    }
    target = photo_file.with_suffix(".pico")
    for message, content in copies.items():
        target.write_bytes(content)
        with pytest.raises(CheckError, match=message):
            verifier.check_against(target, photo_file)
    target.write_bytes(encode(source.pixels, lossless=True, metadata=source.metadata))
    assert verifier.check_against(target, photo_file) == check_against(target, photo_file)
    assert verifier.check_whole(target) == check_whole(target)


def test_transparency_must_come_back_exactly(tmp_path: Path) -> None:
    im = Image.new("RGBA", (40, 30), (9, 90, 200, 255))
    im.save(tmp_path / "a.png")
    pixels = np.asarray(im).copy()
    pixels[3, 4, 3] = 254
    (tmp_path / "a.pico").write_bytes(encode(pixels, lossless=True))
    with pytest.raises(CheckError, match="transparency"):
        check_against(tmp_path / "a.pico", tmp_path / "a.png")


def test_verifier_that_dies_is_replaced_by_another(tmp_path: Path, verifier: Verifier) -> None:
    original = drawing(tmp_path / "a.png")
    (tmp_path / "a.pico").write_bytes(encode(np.asarray(Image.open(original)), lossless=True))
    first = verifier.check_against(tmp_path / "a.pico", original)
    child = verifier._process
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert verifier.check_against(tmp_path / "a.pico", original) == first
    assert verifier._process is not child


def test_file_that_kills_every_verifier_fails_and_nothing_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = drawing(tmp_path / "a.png")
    (tmp_path / "a.pico").write_bytes(encode(np.asarray(Image.open(original)), lossless=True))
    monkeypatch.setenv("PICO_LIBRARY_FAULT", "decoding=kill")
    with Verifier() as doomed, pytest.raises(VerifierError, match="died over this one twice"):
        doomed.check_against(tmp_path / "a.pico", original)


def test_worst_place_counts_not_the_mean(photo: NDArray[np.uint8]) -> None:
    """The same blur over a small detailed place weighs as much as over the whole picture."""
    blurred = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(4)))
    patched = photo.copy()
    patched[128:384, 128:384] = blurred[128:384, 128:384]
    clean, local, everywhere = (compare(photo, other) for other in (photo, patched, blurred))
    assert clean.difference == 0
    assert local.difference is not None
    assert everywhere.difference is not None
    assert local.difference > 0.7 * everywhere.difference > 0.2
    left, top, right, bottom = local.crop
    assert max(left, 128) < min(right, 384)
    assert max(top, 128) < min(bottom, 384)
    assert not local.accepted()


@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 2, 3, 4]), st.integers(0, 2**32 - 1))
def test_every_size_and_kind_can_be_compared(height: int, width: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (rng.integers(0, 256, (height, width, channels), np.uint8) for _ in range(2))
    likeness = compare(one, other)
    left, top, right, bottom = likeness.crop
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert compare(one, one).accepted(0.0)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 4), st.integers(25, 100))
def test_block_error_ignores_grain_and_sees_a_wrong_block(w: int, h: int, channels: int, shift: int) -> None:
    random = np.random.default_rng(w + 71 * h)
    flat = np.full((h, w, channels), 128, np.uint8)
    assert largest_block_error(flat, flat) == 0
    grain = (flat + random.integers(-3, 4, flat.shape)).astype(np.uint8)
    assert largest_block_error(grain, flat) <= 3
    wrong = flat.copy()
    top, left = (h - 1) // 32 * 16, (w - 1) // 32 * 16
    wrong[top : top + 32, left : left + 32] += np.uint8(shift)
    assert largest_block_error(wrong, flat) > 24


@pytest.fixture
def library(photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(photo_file.parent / ".home"))
    with one_verifier():
        yield photo_file.parent


def test_quality_is_raised_until_the_photo_looks_like_the_original(library: Path) -> None:
    """At quality 0 the worst crop differs visibly; the limit lies between that and what more quality gives."""
    photo = library / "IMG_1.jpg"
    source = read_source_file(photo)
    scores = {}
    for quality in (0, 30):
        target = library / f"{quality}.pico"
        target.write_bytes(encode(source.pixels, quality=quality, metadata=source.metadata))
        likeness = check_against(target, photo).likeness
        assert likeness is not None
        scores[quality] = likeness.difference or 0.0
        target.unlink()
    assert scores[0] > scores[30]
    limit = (scores[0] + scores[30]) / 2
    assert main(["shrink", str(library), "--quality", "0", "--max-difference", f"{limit:.4f}"]) == 0
    with Journal(journal_file()) as journal:
        (record,) = newest_of_all(journal).values()
    assert record.quality in (15, 30)
    assert record.score is not None
    assert record.score <= limit


def test_photo_that_never_looks_alike_is_skipped_with_its_score(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library), "--max-difference", "0.0001"]) == 0
    assert not list(library.glob("*.pico"))
    assert "1  would not look like the original" in capsys.readouterr().out
    with Journal(journal_file()) as journal:
        (record,) = newest_of_all(journal).values()
    assert record.outcome is Outcome.SKIPPED
    assert record.score is not None
    assert record.score > 0.0001
    assert replace(record, score=None).target is None
