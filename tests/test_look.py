"""The look at content: what is gone or new is noticed where the eye would notice it, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pico_core import decode, encode
from pico_core.errors import InvalidImageError
from pico_look import WORDS, Kind, Look, in_words, limit_at, look, word_of

SIZE = (320, 256)
Pixels = NDArray[np.uint8]


def ground(grain: float = 2.0, seed: int = 0, level: int = 190) -> Pixels:
    """A flat ground with grain, or with more of it, which is texture."""
    noise = np.random.default_rng(seed).normal(0, grain, (SIZE[1], SIZE[0], 1))
    return np.clip(np.array([level, level, level - 6]) + noise, 0, 255).astype(np.uint8)


def with_line(pixels: Pixels, contrast: int, width: int = 1) -> Pixels:
    image = Image.fromarray(pixels)
    colour = tuple(int(value) - contrast for value in pixels.mean((0, 1)))
    ImageDraw.Draw(image).line([(60, 200), (160, 120), (270, 90)], colour, width)
    return np.asarray(image)


def with_dots(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    for x in range(100, 160, 8):
        for y in range(100, 148, 8):
            ImageDraw.Draw(image).ellipse((x, y, x + 2, y + 2), (120, 130, 120))
    return np.asarray(image)


def with_text(pixels: Pixels, text: str) -> Pixels:
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((96, 110), text, (40, 40, 50), ImageFont.load_default(18))
    return np.asarray(image)


def worst_content(found: Look) -> tuple[Kind, float]:
    place = next(place for place in found.places if place.kind not in (Kind.GENERAL, Kind.COLOUR))
    return place.kind, place.strength


@pytest.mark.parametrize("width", [1, 3])
def test_line_that_is_gone_or_new_is_found_where_it_was(width: int) -> None:
    original, decoded = with_line(ground(), 26, width), ground(seed=1)
    lost, new = look(original, decoded), look(decoded, original)
    assert not lost.accepted()
    assert not new.accepted()
    assert worst_content(lost)[0] is Kind.LOST_LINE
    assert worst_content(new)[0] is Kind.NEW_LINE
    box = lost.places[0].box
    assert (original[box.top : box.bottom, box.left : box.right] < 175).any()


def test_dots_that_became_texture_are_found() -> None:
    original, decoded = with_dots(ground()), ground(seed=1)
    blurred = np.asarray(Image.fromarray(original).filter(ImageFilter.GaussianBlur(5)))
    assert worst_content(look(original, decoded)) > (Kind.LOST_MARKS, 1.0)
    assert worst_content(look(original, blurred)) > (Kind.LOST_MARKS, 1.0)


def test_letter_that_became_another_is_found() -> None:
    found = look(with_text(ground(), "Delete 1482"), with_text(ground(seed=1), "Delete 7482"))
    kind, strength = worst_content(found)
    assert strength > 1
    assert kind is Kind.CHANGED


def test_line_is_seen_on_a_flat_ground_and_not_in_texture() -> None:
    flat, texture = (
        worst_content(look(with_line(ground(grain), 16), ground(grain)))[1] for grain in (2.0, 28.0)
    )
    assert flat > 1 > texture


@pytest.mark.parametrize("grain", [2.0, 5.0])
def test_grain_that_is_redrawn_is_not_content(grain: float) -> None:
    assert worst_content(look(ground(grain), ground(grain, seed=1)))[1] < 1


def test_photograph_passes_at_quality_60_and_not_at_0(photo: Pixels) -> None:
    good, bad = (look(photo, decode(encode(photo, quality=quality, effort=0))) for quality in (60, 0))
    assert good.accepted()
    assert not bad.accepted()
    assert good.score > bad.score


def test_smeared_place_in_a_good_photograph_is_found(photo: Pixels) -> None:
    """Far too little of the picture to move a mean over it."""
    smeared = decode(encode(photo, quality=60, effort=0)).copy()
    assert look(photo, smeared).accepted()
    place = slice(200, 264), slice(300, 364)
    blurred = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(3))
    smeared[place] = np.asarray(blurred)[place]
    found = look(photo, smeared)
    assert not found.accepted()
    box = found.places[0].box
    assert max(box.left, 300) < min(box.right, 364)
    assert max(box.top, 200) < min(box.bottom, 264)


def test_block_of_another_colour_is_found(photo: Pixels) -> None:
    wrong = photo.copy()
    wrong[64:96, 32:64] = np.roll(wrong[64:96, 32:64], 1, 2) // 2
    found = look(photo, wrong)
    assert found.block_error > 24
    assert Kind.COLOUR in [place.kind for place in found.places if place.strength > 1]


def test_mark_of_another_colour_and_equal_brightness_is_found() -> None:
    original = ground()
    decoded = original.copy()
    decoded[100:180, 60:66] = decoded[100:180, 60:66] + np.array([44, -26, 21], np.int16).astype(np.uint8)
    found = look(original, decoded)
    assert (found.places[0].kind, found.accepted()) == (Kind.COLOUR, False)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 2, 3, 4]), st.integers(0, 2**32 - 1))
def test_every_size_and_kind_can_be_looked_at(height: int, width: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (rng.integers(0, 256, (height, width, channels), np.uint8) for _ in range(2))
    found = look(one, other)
    for box in (found.crop, *(place.box for place in found.places)):
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
    assert look(one, one.copy()) == Look((), 100.0, found.crop, 0.0)


def test_look_goes_to_another_process_and_back() -> None:
    found = look(with_dots(ground()), ground(seed=1))
    assert Look.of_json(json.loads(json.dumps(found.as_json()))) == found


def test_alpha_does_not_count() -> None:
    one = np.dstack([ground(), np.full(SIZE[::-1], 255, np.uint8)])
    other = one.copy()
    other[..., 3] = 0
    assert look(one, other).strength < 0.001


def test_tiles_of_the_work_do_not_show() -> None:
    """Where a line lies makes no difference, also across the borders of the tiles that the work is cut into."""
    strengths = []
    for shift in (0, 90, 190):
        original = np.full((300, 1200, 3), 180, np.uint8)
        original[95 + shift] = 150
        found = look(original, np.full((300, 1200, 3), 180, np.uint8))
        strengths.append(worst_content(found)[1])
    assert max(strengths) < 1.1 * min(strengths)


def test_pictures_of_two_shapes_or_of_another_type_are_refused() -> None:
    with pytest.raises(InvalidImageError, match="one shape"):
        look(ground(), ground()[1:])
    with pytest.raises(InvalidImageError, match="uint8"):
        look(ground().astype(np.float32), ground().astype(np.float32))  # type: ignore[arg-type]


def test_torch_is_not_needed() -> None:
    code = (
        "import sys, numpy as np\nfrom pico_look import look\n"
        "a, b = np.random.default_rng(0).integers(0, 256, (2, 300, 300, 3), np.uint8)\n"
        "look(a, b)\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_words_fall_with_the_score_and_with_what_is_gone() -> None:
    words = [word_of(score, 0.5) for score in (95.0, 70.0, 50.0, 10.0, -40.0)]
    assert words == [*WORDS, WORDS[-1]]
    assert [word_of(95.0, strength) for strength in (0.0, 0.9, 1.2, 3.0)] == list(WORDS)
    assert in_words(63.6, 0.4) == "hardly visible (64 of 100)"


def test_limit_is_the_same_from_quality_60_on_and_wider_below() -> None:
    assert limit_at(100) == limit_at(60) == 1
    assert 1 < limit_at(40) < limit_at(0) < 2.5
