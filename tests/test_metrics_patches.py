"""The patch distance: its statistic against a plain double loop, and what it sees in pictures."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from metric_pictures import coarse, picture
from PIL import Image

from pico_metrics import patches
from pico_metrics.patches import discrepancy, patch_distance
from pico_metrics.windows import windows


def test_the_discrepancy_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(1, 1, size=(7, 3)).astype(np.float32)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return math.exp(-float(((a - b).astype(np.float64) ** 2).sum()) / 2)

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    terms = [
        kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i]) for i, j in pairs
    ]
    assert discrepancy(x, y) == pytest.approx(sum(terms) / len(pairs), rel=1e-6)


def test_the_discrepancy_of_two_points_is_the_closed_form() -> None:
    x, y = np.zeros((5, 4), np.float32), np.full((5, 4), 0.5, np.float32)
    assert discrepancy(x, y) == pytest.approx(2 - 2 * math.exp(-0.5))


def test_the_discrepancy_of_two_gaussians_is_the_closed_form() -> None:
    """For N(0, 1) and N(m, 1) in one dimension: 2 (1 - exp(-m^2 / 6)) / sqrt(3)."""
    points = np.array([NormalDist().inv_cdf((i + 0.5) / 1500) for i in range(1500)])
    x, y = points[:, None], np.random.default_rng(2).permutation(points)[:, None] + 2
    expected = 2 * (1 - math.exp(-4 / 6)) / math.sqrt(3)
    assert discrepancy(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(expected, abs=0.003)


def test_blur_costs_more_than_a_small_shift(photo: np.ndarray) -> None:
    reference = photo[:256, :384]
    half = Image.fromarray(reference).resize((192, 128), Image.Resampling.BICUBIC)
    blurred = np.asarray(half.resize((384, 256), Image.Resampling.BICUBIC))
    assert patch_distance(reference, blurred) > 4 * patch_distance(reference, photo[:256, 3:387])


def test_patches_of_windows_are_those_of_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(330, 300)
    whole = patches.patches(pixels)
    monkeypatch.setattr(patches, "windows", lambda height, width: windows(height, width, core=160))
    parts = patches.patches(pixels)
    assert whole.shape == parts.shape
    order = np.lexsort(np.round(whole.T, 3))
    np.testing.assert_allclose(whole[order].mean(0), parts.mean(0), atol=1e-5)


def test_at_most_2048_patches_count() -> None:
    vectors = np.arange(5000, dtype=np.float32)[:, None]
    spread = patches._spread(vectors)
    assert len(spread) == 2048
    assert (spread[0], spread[-1]) == (0, 4999)
    assert patch_distance(picture(128, 128), coarse(picture(128, 128))) > 0
