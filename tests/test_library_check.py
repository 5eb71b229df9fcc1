"""The check that a .pico file gives back its photo: bytes, metadata, and above all the look of the worst place."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_samples import EXIF_DATE, drawing, journal_of, one_verifier
from library_samples import scene as piece_of_a_photo
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pico_codec.source import read_source_file
from pico_core import decode, encode
from pico_library.check.checking import CheckError, check_against, check_whole
from pico_library.check.verifier import Verifier, VerifierError
from pico_library.cli import main
from pico_library.encoding import largest_strength
from pico_library.model.reasons import Reason
from pico_library.model.records import Outcome
from pico_library.model.settings import Settings, TargetSize
from pico_library.report.words import difference_in_words
from pico_look import Kind, limit_at


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


@pytest.fixture
def library(photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(photo_file.parent / ".home"))
    with one_verifier():
        yield photo_file.parent


def found_at(qualities: Iterable[int], photo: Path) -> dict[int, float]:
    """How strong the worst place of a photo is at each quality."""
    source, target = read_source_file(photo), photo.with_name("tried.pico")
    found = {}
    for quality in qualities:
        target.write_bytes(encode(source.pixels, quality=quality, metadata=source.metadata))
        look = check_against(target, photo).look
        assert look is not None
        found[quality] = look.strength
    target.unlink()
    return found


def test_quality_is_raised_until_the_photo_looks_like_the_original(library: Path) -> None:
    """At quality 0 the worst place differs visibly; the limit lies between that and what more quality gives."""
    strengths = found_at((0, 30), library / "IMG_1.jpg")
    assert strengths[0] > strengths[30]
    limit = (strengths[0] + strengths[30]) / 2
    asked = f"{limit / limit_at(0):.4f}"
    assert main(["shrink", str(library), "--quality", "0", "--max-difference", asked]) == 0
    record = journal_of(library / "IMG_1.jpg")
    assert record.quality in (15, 30)
    assert record.score is not None
    assert record.score <= limit
    assert record.similarity is not None
    assert record.similarity < 100


def test_what_passes_depends_on_the_quality_asked_for_and_not_on_the_one_it_was_raised_to(
    library: Path,
) -> None:
    """Who asks for quality 20 gets softer detail; the same file would not do for quality 60."""
    photo = library / "IMG_1.jpg"
    strengths = found_at((20, 35), photo)
    # Between the two, so that quality is raised once; the limit of quality 35 itself would be stricter.
    share = (strengths[20] + 2 * strengths[35]) / 3 / limit_at(20)
    assert strengths[35] < share * limit_at(20) < strengths[20]
    assert main(["shrink", str(photo), "--quality", "20", "--max-difference", f"{share:.4f}"]) == 0
    assert journal_of(photo).quality == 35
    softer = Settings(quality=20, max_difference=share)
    assert largest_strength(softer) == pytest.approx(share * limit_at(20))
    assert largest_strength(replace(softer, quality=75)) == share
    assert largest_strength(replace(softer, target_size=TargetSize(share=0.2))) == share


def test_photo_that_never_looks_alike_is_skipped_with_what_differs(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shrink", str(library), "--max-difference", "0.0001"]) == 0
    assert not list(library.glob("*.pico"))
    assert "1  would not look like the original" in capsys.readouterr().out
    record = journal_of(library / "IMG_1.jpg")
    assert record.outcome is Outcome.SKIPPED
    assert record.score is not None
    assert record.score > 0.0001
    assert record.target is None
    assert record.kind in list(Kind)


ROAD = ((0, 30), (191, 96))


def with_road(im: Image.Image) -> Image.Image:
    """A photo with a road through it, as from the air: a bright line of three pixels with soft edges."""
    mask = Image.new("L", (4 * im.width, 4 * im.height))
    ImageDraw.Draw(mask).line([(4 * x, 4 * y) for x, y in ROAD], 255, 12)
    return Image.composite(
        Image.new("RGB", im.size, (250, 245, 225)), im, mask.resize(im.size, Image.Resampling.BOX)
    )


@pytest.fixture
def road(library: Path, samples: Path) -> Path:
    """The only photo of the library: one with a road."""
    (library / "IMG_1.jpg").unlink()
    path = library / "road.png"
    with_road(piece_of_a_photo(samples)).save(path)
    return path


def drop_the_road(patch: pytest.MonkeyPatch, samples: Path, below: int) -> None:
    """Have the encoder lose the road at each quality below one."""
    without = np.asarray(piece_of_a_photo(samples))

    def encode_without(pixels: NDArray[np.uint8], *, quality: int, **options: Any) -> bytes:
        return encode(without if quality < below else pixels, quality=quality, **options)

    patch.setattr("pico_library.encoding.encode", encode_without)


def test_road_that_the_encoder_dropped_has_the_quality_raised(
    road: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_the_road(monkeypatch, samples, below=75)
    assert main(["shrink", str(road), "--min-saving", "0"]) == 0
    record = journal_of(road)
    assert (record.outcome, record.quality) == (Outcome.SAVED, 75)
    shrunk = decode(road.with_name("road.png.pico").read_bytes()).astype(int)
    assert shrunk[61:65, 90:102].max() > 200, "the road is there"


def test_photo_whose_road_is_always_dropped_is_left_alone_and_the_place_is_named(
    road: Path, samples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_the_road(monkeypatch, samples, below=101)
    before = road.read_bytes()
    assert main(["shrink", str(road), "--min-saving", "0", "--delete-originals", "--yes"]) == 0
    told = capsys.readouterr().out
    assert road.read_bytes() == before
    assert not road.with_name("road.png.pico").exists()
    record = journal_of(road)
    assert (record.outcome, record.reason, record.kind) == (Outcome.SKIPPED, Reason.UNLIKE, Kind.LOST_LINE)
    assert record.crop is not None
    left, top, right, bottom = record.crop
    crossing = [30 + 66 * x / 191 for x in range(left, right)]
    assert any(top <= y < bottom for y in crossing), "the road runs through the place"
    place = f"a line is gone at {left},{top} ({right - left}x{bottom - top} pixels)"
    assert f"road.png: {place}" in told
    assert main(["report", "--json"]) == 0
    (photo,) = json.loads(capsys.readouterr().out)["photos"]
    assert (photo["reason"], photo["worst_place"]) == ("unlike", place)
    assert photo["difference"].startswith("changed (")


def test_verify_names_what_differs_from_the_original(
    road: Path, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = read_source_file(road)
    target = road.with_name("road.png.pico")
    target.write_bytes(encode(np.asarray(piece_of_a_photo(samples)), quality=60, metadata=source.metadata))
    assert main(["verify", str(target), "--against", str(road.parent)]) == 1
    assert f"does not look like {road}: a line is gone at " in capsys.readouterr().err
    target.write_bytes(encode(source.pixels, quality=90, metadata=source.metadata))
    assert main(["verify", str(target), "--against", str(road.parent)]) == 0


def test_every_kind_of_difference_has_words() -> None:
    words = {difference_in_words(kind, (1, 2, 4, 8)) for kind in Kind}
    assert len(words) == len(Kind)
    assert not any(str(kind) in phrase for kind in Kind for phrase in words if kind is not Kind.GENERAL)
    assert "a line is gone at 1,2 (3x6 pixels)" in words
