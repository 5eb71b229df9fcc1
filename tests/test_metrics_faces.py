"""Faces are found where they are, and what happens outside them does not count."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pico_core.errors import InvalidImageError
from pico_metrics.faces import Face, face_error, face_lpips, find_faces, mask_of

TWO_FACES = Path(__file__).parent / "pictures" / "two-faces.jpg"


@pytest.fixture(scope="module")
def people() -> NDArray[np.uint8]:
    with Image.open(TWO_FACES) as image:
        return np.asarray(image.convert("RGB"))


def middles(faces: tuple[Face, ...]) -> list[tuple[float, float]]:
    return sorted(((face.left + face.right) / 2, (face.top + face.bottom) / 2) for face in faces)


def test_two_faces_are_found_where_they_are(people: NDArray[np.uint8]) -> None:
    faces = find_faces(people)
    assert middles(faces) == [pytest.approx((84, 122), abs=10), pytest.approx((234, 120), abs=10)]
    assert all(60 < face.right - face.left < 100 for face in faces)


@pytest.mark.parametrize("factor", [0.5, 1.7])
def test_faces_are_found_at_other_sizes(people: NDArray[np.uint8], factor: float) -> None:
    size = round(320 * factor), round(256 * factor)
    resized = np.asarray(Image.fromarray(people).resize(size, Image.Resampling.LANCZOS))
    expected = [
        pytest.approx((84 * factor, 122 * factor), abs=10 * factor),
        pytest.approx((234 * factor, 120 * factor), abs=10 * factor),
    ]
    assert middles(find_faces(resized)) == expected


def test_faces_that_the_border_cuts_are_found(people: NDArray[np.uint8]) -> None:
    assert len(find_faces(people[:, 75:])) == 2


def test_no_face_is_found_where_there_is_none(photo: NDArray[np.uint8]) -> None:
    assert find_faces(photo) == ()
    assert find_faces(np.zeros((8, 8, 3), np.uint8)) == ()
    assert math.isnan(face_error(photo, photo))
    assert math.isnan(face_lpips(photo, photo))


def test_what_is_not_a_picture_is_refused(people: NDArray[np.uint8]) -> None:
    with pytest.raises(InvalidImageError):
        find_faces(people[..., 0])
    with pytest.raises(InvalidImageError):
        face_error(people, people[1:])


@pytest.mark.parametrize("metric", [face_error, face_lpips])
def test_measures_count_what_is_inside_faces_and_nothing_else(
    people: NDArray[np.uint8], metric: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
) -> None:
    inside = mask_of(find_faces(people), *people.shape[:2])
    noisy = np.random.default_rng(0).integers(0, 256, people.shape, dtype=np.uint8)
    far = people.copy()
    far[:8], far[-30:] = noisy[:8], noisy[-30:]
    near = np.where(inside[..., None], noisy, people)
    assert metric(people, people) == 0
    assert metric(people, far) < 0.02
    assert metric(people, near) > 0.2


def test_error_in_faces_is_the_mean_difference_there(people: NDArray[np.uint8]) -> None:
    darker = np.where(people >= 12, people - 12, people + 12).astype(np.uint8)
    assert face_error(people, darker) == pytest.approx(12 / 255)
