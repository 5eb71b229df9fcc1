"""Drawings keep their lines, in AVIF tiles; photographs stay with the networks; a tile may have a level of its own."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from pico_bench.drawings import KINDS, drawing
from pico_bench.text_pages import page
from pico_core import PicoFile, avif, decode, encode
from pico_core.container import Coder, Container, Metadata, Tile, write
from pico_core.content import drawing_score
from pico_core.errors import CorruptError, MissingCoderError

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")


def coders(content: bytes) -> set[Coder]:
    container = Container(io.BytesIO(content))
    return {container.read_tile(index).coder for index in range(container.tile_count)}


def with_tile(content: bytes, tile: Tile) -> bytes:
    """A file of one tile, with another tile in its place."""
    picture = Container(io.BytesIO(content)).picture
    if tile.coder is not Coder.LEARNED:
        picture = replace(picture, model_id=None)
    stream = io.BytesIO()
    write(stream, picture, [tile], metadata=Metadata())
    return stream.getvalue()


def avif_file(width: int = 96, height: int = 64) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(stream, "AVIF")
    return stream.getvalue()


@pytest.fixture(scope="module")
def town() -> NDArray[np.uint8]:
    """A map that was compressed once."""
    return drawing("map", 0, "compressed")[:512, :512]


@needs_avif
@pytest.mark.parametrize("kind", ["map", "diagram", "scan"])
def test_a_drawing_keeps_its_edges_better_than_the_networks_can_in_no_more_bytes(kind: str) -> None:
    pixels = drawing(kind, 1, "compressed")[:512, :512]
    ours, networks = encode(pixels, quality=60), encode(pixels, quality=60, effort=0)
    assert coders(ours) == {Coder.AVIF}
    assert len(ours) <= len(networks)
    error = avif.edge_error(pixels, decode(ours))
    assert error <= avif.accepted_error(1) * avif.edge_error(pixels, decode(networks))


@needs_avif
@pytest.mark.parametrize("quality", [60, 80, 95, 100])
def test_letters_in_colour_are_not_left_to_the_networks(quality: int) -> None:
    pixels = page(2).pixels[:, :512]
    ours, networks = encode(pixels, quality=quality), encode(pixels, quality=quality, effort=0)
    assert coders(ours) == {Coder.AVIF}
    assert avif.edge_error(pixels, decode(ours)) < 0.65 * avif.edge_error(pixels, decode(networks))


@needs_avif
def test_a_line_that_the_networks_lose_is_still_there() -> None:
    """As on a map: a pale road one pixel wide, and a grid of dots."""
    pixels = drawing("map", 2, "compressed")[:512, :512].copy()
    pixels[250, 40:480] = (200, 60, 60)
    found = decode(encode(pixels, quality=60)).astype(int)
    line = found[250, 60:460, 1] - found[244, 60:460, 1]
    true = pixels[250, 60:460, 1].astype(int) - pixels[244, 60:460, 1]
    assert np.corrcoef(line, true)[0, 1] > 0.9


def test_photographs_are_left_to_the_networks(samples: Path) -> None:
    for path in sorted(samples.glob("*.jpg")):
        if path.stem == "notes":  # handwriting on paper
            continue
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))[:512, :512]
        assert drawing_score(pixels) <= 0, path.name
        assert coders(encode(pixels)) == {Coder.LEARNED}, path.name


def test_most_drawings_are_told_from_photographs_however_they_come() -> None:
    kinds = [kind for kind in KINDS if kind != "caption"]
    for condition in ("clean", "compressed", "passed-on"):
        found = [
            drawing_score(drawing(kind, number, condition)[:512, :512]) > 0
            for kind in kinds
            for number in range(2)
        ]
        assert sum(found) >= 0.75 * len(found), condition


@pytest.mark.parametrize("size", [(1, 1), (3, 600), (40, 31)])
def test_small_pictures_are_no_drawings(size: tuple[int, int]) -> None:
    assert drawing_score(np.zeros((*size, 3), np.uint8)) <= 0


@needs_avif
def test_the_narrow_tiles_at_the_border_of_a_drawing_are_drawings_too() -> None:
    pixels = drawing("map", 0, "compressed")[:530, :530]
    assert coders(encode(pixels, quality=60)) == {Coder.AVIF}


@needs_avif
def test_grey_drawings_come_back_grey(town: NDArray[np.uint8]) -> None:
    grey = town.mean(2, keepdims=True).round().astype(np.uint8)
    content = encode(grey, quality=60)
    assert coders(content) == {Coder.AVIF}
    assert decode(content).shape == grey.shape
    assert np.abs(decode(content).astype(int) - grey).mean() < 4


@needs_avif
def test_a_region_of_mixed_tiles_is_the_same_part_of_the_whole(
    town: NDArray[np.uint8], photo: NDArray[np.uint8]
) -> None:
    pixels = np.concatenate([photo[:512], np.resize(town, (512, 512, 3))], 1)
    content = encode(pixels, quality=60)
    assert {Coder.AVIF, Coder.LEARNED} <= coders(content)
    with PicoFile(content) as file:
        assert np.array_equal(file.decode_region((450, 100, 700, 300)), file.decode()[100:300, 450:700])


def test_effort_0_never_chooses_avif(town: NDArray[np.uint8]) -> None:
    assert coders(encode(town, effort=0)) == {Coder.LEARNED}


def test_without_avif_drawings_are_coded_by_the_networks(
    town: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avif, "is_available", lambda: False)
    assert Coder.AVIF not in coders(encode(town))


@needs_avif
def test_without_avif_a_tile_in_it_says_what_is_missing(
    town: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(town)
    monkeypatch.setattr(avif, "is_available", lambda: False)
    with pytest.raises(MissingCoderError, match=r"Pillow 11\.3"):
        decode(content)


@needs_avif
@pytest.mark.parametrize(
    "payload",
    [b"no picture", avif_file()[:-40], avif_file(95, 64), avif_file().replace(b"avif", b"avis")],
    ids=["noise", "cut off", "of another size", "of another brand"],
)
def test_a_damaged_avif_tile_is_refused(payload: bytes) -> None:
    whole = encode(np.zeros((64, 96, 3), np.uint8), quality=60)
    content = with_tile(whole, Tile(Coder.AVIF, payload))
    with pytest.raises(CorruptError, match="AVIF tile"):
        decode(content)
    with PicoFile(content) as file:
        assert np.unique(file.decode(on_missing="grey")).size == 1


@needs_avif
def test_a_whole_avif_tile_is_read() -> None:
    whole = encode(np.zeros((64, 96, 3), np.uint8), quality=60)
    pixels = decode(with_tile(whole, Tile(Coder.AVIF, avif_file())))
    assert np.abs(pixels.astype(int) - (200, 30, 60)).max() <= 3


def test_a_tile_with_a_level_of_its_own_is_decoded_at_it(photo: NDArray[np.uint8]) -> None:
    low, high = (encode(photo[:512, :512], level=level, effort=0) for level in (2.0, 4.5))
    tile = Container(io.BytesIO(high)).read_tile(0)
    raised = with_tile(low, replace(tile, rise=40))
    assert np.array_equal(decode(raised), decode(high))
    assert PicoFile(raised).level == 2.0


def test_a_tile_whose_level_its_weights_do_not_know_is_refused(photo: NDArray[np.uint8]) -> None:
    content = encode(photo[:64, :64], level=6.5, effort=0)
    tile = Container(io.BytesIO(content)).read_tile(0)
    with pytest.raises(CorruptError, match=r"level is 7\.5; its weights know 0 to 7"):
        decode(with_tile(content, replace(tile, rise=16)))


def test_error_at_edges_counts_lines_and_not_flat_parts() -> None:
    original = np.full((64, 64, 3), 240, np.uint8)
    original[:, 30:32] = 20
    without_line, tinted = np.full_like(original, 240), original.copy()
    tinted[:, 40:] -= 12
    assert avif.edge_error(original, original) == 0
    assert avif.edge_error(original, without_line) > 20 * avif.edge_error(original, tinted)


@pytest.mark.parametrize("quality", [0, 17, 60, 100])
def test_quality_of_drawings_rises_with_that_of_photographs(quality: int) -> None:
    assert 0 < avif.quality_for(quality) <= 100
    assert avif.quality_for(quality) < avif.quality_for(quality + 10) or quality == 100


@needs_avif
def test_the_highest_qualities_are_beyond_what_networks_give(photo: NDArray[np.uint8]) -> None:
    sizes, errors, coders = [], [], []
    for quality in (95, 96, 100):
        coded = encode(photo[:200, :300], quality=quality, preview=False)
        with PicoFile(coded) as file:
            errors.append(float(np.square(file.decode().astype(float) - photo[:200, :300]).mean()))
            coders.append(file.container.read_tile(0).coder)
        sizes.append(len(coded))
    assert coders == [Coder.LEARNED, Coder.AVIF, Coder.AVIF]
    assert sizes[1] < sizes[2]
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]


def test_without_avif_the_highest_quality_is_the_networks(
    photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avif, "is_available", lambda: False)
    with PicoFile(encode(photo[:64, :64], quality=100)) as file:
        assert file.container.read_tile(0).coder is Coder.LEARNED
