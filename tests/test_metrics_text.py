"""The metrics of text: reading by closed form, and by the real recogniser on pictures whose words are known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pico_core.errors import InvalidImageError, OptionError
from pico_metrics import text_regions
from pico_metrics.catalogue import EVERY_METRIC, METRICS, TEXT_METRICS
from pico_metrics.text import character_accuracy, edit_distance, error_in_regions, text_accuracy
from pico_metrics.text_regions import Region, find_regions, mask_of, readings

WORDS = "Platform 9"
BOX = ((30.0, 50.0), (250.0, 50.0), (250.0, 105.0), (30.0, 105.0))


def sign(words: str = WORDS, blur: float = 0, angle: int = 0) -> NDArray[np.uint8]:
    page = Image.new("RGB", (320, 160), "white")
    ImageDraw.Draw(page).text((40, 55), words, "black", ImageFont.load_default(40))
    return np.asarray(page.filter(ImageFilter.GaussianBlur(blur)).rotate(angle, expand=True))


@pytest.fixture
def reader() -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the text recogniser is not installed")


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("flaw", "lawn", 2), ("same", "same", 0), ("ab", "ba", 2)],
)
def test_edit_distances_are_the_published_ones(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == distance


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edit_distance_is_a_distance(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


def test_accuracy_is_weighted_by_length_clipped_by_line_and_blind_to_white_space() -> None:
    assert character_accuracy([("abcd efgh", "abcdefgh")]) == 1
    assert character_accuracy([("abcdefgh", "abXdefgh"), ("12", "")]) == pytest.approx(7 / 10)
    assert character_accuracy([("ab", "something else"), ("cd", "cd")]) == pytest.approx(2 / 4)


def test_accuracy_of_no_characters_is_refused() -> None:
    with pytest.raises(InvalidImageError, match="no characters"):
        character_accuracy([(" ", "x")])


def test_the_error_in_text_counts_only_what_lies_in_the_outlines() -> None:
    reference = np.full((40, 60, 3), 100, np.uint8)
    distorted = np.full((40, 60, 3), 255, np.uint8)
    distorted[9:21, 9:31] = 151
    region = Region(((10, 10), (30, 10), (30, 20), (10, 20)), "x")
    assert error_in_regions(reference, distorted, [region]) == pytest.approx(51 / 255)


def test_a_mask_covers_its_outlines_and_nothing_else() -> None:
    mask = mask_of([Region(((10, 10), (30, 10), (30, 20), (10, 20)), "x")], 40, 60)
    assert mask.shape == (40, 60)
    assert mask[10:21, 10:31].all()
    assert mask.sum() == 11 * 21


def test_outlines_outside_the_picture_are_refused() -> None:
    with pytest.raises(InvalidImageError, match="none of the 1 outlines"):
        mask_of([Region(((99, 99), (120, 99), (120, 120), (99, 120)), "x")], 40, 60)


@pytest.mark.usefixtures("reader")
def test_words_are_found_where_they_stand_and_read_as_they_are() -> None:
    (found,) = find_regions(sign())
    assert "".join(found.text.split()) == "Platform9"
    xs, ys = zip(*found.outline, strict=True)
    assert 20 < min(xs) < 45
    assert 45 < min(ys) < max(ys) < 115


@pytest.mark.usefixtures("reader")
def test_a_picture_without_text_has_no_regions() -> None:
    assert find_regions(np.full((160, 320, 3), 128, np.uint8)) == ()


@pytest.mark.usefixtures("reader")
def test_an_upright_line_is_laid_down_before_it_is_read() -> None:
    turned = sign(angle=-90)
    outline = tuple((160 - y, x) for x, y in (BOX[3], BOX[0], BOX[1], BOX[2]))
    assert turned.shape == (320, 160, 3)
    (text,) = readings(turned, [outline])
    assert "".join(text.split()) == "Platform9"


@pytest.mark.usefixtures("reader")
def test_a_perfect_copy_is_read_in_full_and_a_blurred_one_is_not() -> None:
    (region,) = find_regions(sign())
    regions = [region]
    assert text_accuracy(sign(), sign(), regions) == 1
    assert text_accuracy(sign(), sign("Platform 7"), regions) == pytest.approx(8 / 9)
    assert text_accuracy(sign(), sign(blur=14), regions) < 0.3
    assert error_in_regions(sign(), sign(), regions) == 0
    assert error_in_regions(sign(), sign(blur=3), regions) > 0.02


def test_reading_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    text_regions._engine.cache_clear()
    with pytest.raises(OptionError, match=r"pillow-pico\[text\]"):
        readings(sign(), [BOX])


def test_every_metric_has_a_name_of_its_own() -> None:
    assert len(EVERY_METRIC) == len(METRICS) + len(TEXT_METRICS)
    assert all(name == metric.name for name, metric in EVERY_METRIC.items())


def test_naming_the_metrics_of_text_imports_no_recogniser() -> None:
    code = "import sys, pico_metrics.catalogue; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
