"""The metrics that need no network weights, against closed forms, published values and scikit-image."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_pictures import coarse, picture
from numpy.typing import NDArray

from pico_core.errors import InvalidImageError
from pico_metrics.catalogue import METRICS, Metric
from pico_metrics.colour import colour_shift, lab_of_linear, linear_of_srgb
from pico_metrics.ms_ssim import ms_ssim, ssim
from pico_metrics.patterns import flat_pattern
from pico_metrics.pictures import block_means
from pico_metrics.psnr import psnr
from pico_metrics.text import text_error
from pico_metrics.tile_borders import tile_border_error, tile_interior_error


def flat(value: int, height: int = 192, width: int = 192) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


@given(st.integers(0, 255), st.integers(0, 255))
def test_psnr_of_flat_pictures_is_the_closed_form(a: int, b: int) -> None:
    expected = math.inf if a == b else 20 * math.log10(255 / abs(a - b))
    assert psnr(flat(a, 9, 5), flat(b, 9, 5)) == pytest.approx(expected)


def test_psnr_counts_rows_beyond_the_first_strip() -> None:
    reference = flat(0, 600, 4)
    distorted = reference.copy()
    distorted[599] = 255
    assert psnr(reference, distorted) == pytest.approx(10 * math.log10(600))


def test_ms_ssim_of_flat_pictures_is_the_luminance_term_of_the_last_scale() -> None:
    c1 = 2.55**2
    luminance = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ms_ssim(flat(100), flat(150)) == pytest.approx(luminance**0.1333, abs=1e-5)


def test_ms_ssim_of_a_picture_has_the_value_of_pytorch_msssim() -> None:
    assert ms_ssim(picture(), coarse(picture())) == pytest.approx(0.9800217747688293, abs=2e-6)


def test_ssim_has_the_value_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    reference, distorted = picture(), coarse(picture())
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = metrics.structural_similarity(reference, distorted, channel_axis=2, **settings)
    assert ssim(reference, distorted) == pytest.approx(expected, abs=1e-5)


def test_lab_of_published_colours() -> None:
    """Red, green, blue and mid grey of sRGB under D65, as the tables give them to two digits."""
    codes = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119], [255, 255, 255]])
    lab = lab_of_linear(linear_of_srgb()[codes])
    colours = [(53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86)]
    expected = np.array([*colours, (50.03, 0, 0), (100, 0, 0)])
    np.testing.assert_allclose(lab, expected, atol=0.011)


def test_lab_is_that_of_scikit_image() -> None:
    color = pytest.importorskip("skimage.color", reason="scikit-image is not installed")
    pixels = picture(64, 64)
    np.testing.assert_allclose(lab_of_linear(linear_of_srgb()[pixels]), color.rgb2lab(pixels), atol=0.02)


def test_colour_shift_of_grey_is_its_change_of_lightness() -> None:
    lightness = [116 * np.cbrt(linear_of_srgb()[code]) - 16 for code in (119, 130)]
    assert colour_shift(flat(119), flat(130)) == pytest.approx(lightness[1] - lightness[0], abs=1e-6)


def test_colour_shift_ignores_detail() -> None:
    reference, distorted = flat(0), flat(0)
    reference[::2], distorted[1::2] = 255, 255
    assert colour_shift(reference, distorted) < 1e-9
    assert psnr(reference, distorted) == 0


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16))
def test_block_means_weighted_by_their_pixels_are_the_mean(height: int, width: int, size: int) -> None:
    values = np.random.default_rng(height * 41 + width).random((height, width, 2))
    means = block_means(values, size)
    assert means.shape == (-(-height // size), -(-width // size), 2)
    np.testing.assert_allclose(means[0, 0], values[:size, :size].mean((0, 1)))
    last = values[(height - 1) // size * size :, (width - 1) // size * size :]
    np.testing.assert_allclose(means[-1, -1], last.mean((0, 1)))


def test_text_error_is_the_mean_inside_the_mask_only() -> None:
    reference, distorted = flat(10, 20, 20), flat(10, 20, 20)
    mask = np.zeros((20, 20), bool)
    mask[:5] = True
    distorted[:5, :10] += 51
    distorted[5:] = 255
    assert text_error(reference, distorted, mask) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "mask", [np.zeros((20, 20), bool), np.ones((20, 19), bool), np.ones((20, 20), np.uint8)], ids=str
)
def test_text_error_refuses_masks_that_say_nothing(mask: NDArray[np.bool_]) -> None:
    with pytest.raises(InvalidImageError, match="mask"):
        text_error(flat(0, 20, 20), flat(0, 20, 20), mask)


def shifted_tile(amount: int, width: int = 1016, height: int = 64) -> NDArray[np.uint8]:
    """A grey picture of two tiles, the second one brighter in all that it does not share."""
    pixels = flat(100, height, width)
    pixels[:, 512:] += np.uint8(amount)
    return pixels


def test_tile_border_error_is_the_step_between_two_tiles() -> None:
    assert tile_border_error(shifted_tile(0), shifted_tile(5)) == pytest.approx(5 / 255)
    assert tile_interior_error(shifted_tile(0), shifted_tile(5)) == 0


def test_tile_interior_error_is_the_step_in_the_middle_of_a_tile() -> None:
    distorted = shifted_tile(0)
    distorted[:, 252:] += np.uint8(7)
    assert tile_interior_error(shifted_tile(0), distorted) == pytest.approx(7 / 255)
    assert tile_border_error(shifted_tile(0), distorted) == 0


def test_tile_border_error_sees_horizontal_borders_too() -> None:
    reference, distorted = (shifted_tile(amount).swapaxes(0, 1) for amount in (0, 5))
    assert tile_border_error(reference, distorted) == pytest.approx(5 / 255)


def test_tile_border_error_ignores_drift_common_to_both_tiles() -> None:
    assert tile_border_error(shifted_tile(0), shifted_tile(0) + np.uint8(9)) == 0


def test_tile_border_error_is_not_defined_for_a_single_tile() -> None:
    assert math.isnan(tile_border_error(flat(0), flat(1)))


def patterned(amplitude: float, noise: float) -> NDArray[np.uint8]:
    """Flat grey of two tiles: in every block of either tile's grid the same checkerboard, and noise."""
    pixels = np.full((128, 1016, 3), 100.0) + np.random.default_rng(0).normal(0, noise, (128, 1016, 3))
    board = np.where(np.indices((128, 512, 3)).sum(0) // 4 % 2, amplitude, -amplitude)
    pixels[:, :512] += board
    pixels[:, 512:] += board[:, 8:512]  # the second tile begins at 504, in the middle of a block of the first
    return pixels.round().clip(0, 255).astype(np.uint8)


def test_flat_pattern_is_the_size_of_what_every_block_shares() -> None:
    reference = flat(100, 128, 1016)
    assert flat_pattern(reference, patterned(3, 0)) == pytest.approx(3)
    assert flat_pattern(reference, patterned(1, 4)) == pytest.approx(1, abs=0.1)
    assert flat_pattern(reference, patterned(0, 4)) < 0.2


def test_flat_pattern_does_not_look_at_busy_blocks() -> None:
    reference = flat(100, 128, 1016)
    reference[:64] = np.random.default_rng(1).integers(0, 256, (64, 1016, 3), np.uint8)
    distorted = reference.copy()
    distorted[:64:16, ::8] ^= 64
    assert flat_pattern(reference, distorted) == 0


def test_flat_pattern_is_not_defined_where_little_is_flat() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    assert math.isnan(flat_pattern(noise, noise))
    assert math.isnan(flat_pattern(flat(0, 112, 128), flat(1, 112, 128)))
    assert flat_pattern(flat(0, 128, 128), flat(1, 128, 128)) == 0


def grainy(strengths: tuple[float, ...], factor: float = 1.0) -> NDArray[np.uint8]:
    """Grey stripes of 256 pixels a side, each with grain of a standard deviation, `factor` times as strong."""
    grain = np.random.default_rng(0).standard_normal((256, 256 * len(strengths), 1))
    grain[:, ::256] = 0
    stripes = [128 + factor * s * grain[:, 256 * i : 256 * (i + 1)] for i, s in enumerate(strengths)]
    return np.concatenate(stripes, 1).round().clip(0, 255).astype(np.uint8).repeat(3, 2)


def test_texture_is_the_factor_that_details_are_stronger_by_in_flat_middling_and_busy_parts() -> None:
    reference = grainy((3, 10, 30))
    names = ("texture_flat", "texture_middling", "texture_busy")
    for factor in (0.5, 1.0, 1.2):
        values = [METRICS[name].function(reference, grainy((3, 10, 30), factor)) for name in names]
        assert values == pytest.approx([factor] * 3, abs=0.02)


def test_texture_is_found_only_where_the_original_is_flat_middling_or_busy() -> None:
    reference, distorted = grainy((3, 10, 30)), grainy((3, 10, 30))
    distorted[:, 512:] = 128  # nothing is left of the busy part
    values = [
        METRICS[f"texture_{part}"].function(reference, distorted) for part in ("flat", "middling", "busy")
    ]
    assert values == pytest.approx([1, 1, 0], abs=0.02)  # a blur looks a pixel beyond the border


def test_texture_has_no_value_in_parts_that_a_picture_lacks() -> None:
    assert math.isnan(METRICS["texture_busy"].function(grainy((3,)), grainy((3,))))
    assert math.isnan(METRICS["texture_flat"].function(flat(9), flat(9)))
    assert math.isnan(METRICS["texture_correlation"].function(flat(9), flat(9)))


def test_texture_correlation_sees_details_that_lie_elsewhere() -> None:
    reference = grainy((20,))
    assert METRICS["texture_correlation"].function(reference, 255 - reference) == pytest.approx(-1, abs=0.02)
    assert METRICS["texture_correlation"].function(reference, reference[::-1].copy()) == pytest.approx(
        0, abs=0.02
    )
    assert METRICS["texture_busy"].function(reference, 255 - reference) == pytest.approx(1, abs=0.02)


def test_metrics_with_a_right_value_count_too_much_as_bad_as_too_little() -> None:
    badness = METRICS["texture_busy"].badness
    assert badness(0.9) == pytest.approx(badness(1.1))
    assert badness(1.0) < badness(1.01) < badness(0.5)
    assert METRICS["psnr"].badness(30) > METRICS["psnr"].badness(40)
    assert METRICS["lpips_alex"].badness(0.1) < METRICS["lpips_alex"].badness(0.2)


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_every_metric_refuses_what_it_cannot_compare(metric: Metric) -> None:
    good = flat(0)
    for bad in (good.astype(np.float32), good[..., 0], good[..., :2], good[:-1]):
        with pytest.raises(InvalidImageError):
            metric.function(good, bad)  # type: ignore[arg-type]


# The pattern in flat parts does not rise with every kind of distortion: coarse steps repeat with no grid.
# Coarse steps also add details of one pixel, so the strength of texture does not move one way.
# There is no face in a drawn picture.
SPECIAL = ("flat_pattern", "face_error", "face_lpips")
GENERAL = [m for m in METRICS.values() if m.name not in SPECIAL and m.target is None]


@pytest.mark.parametrize("metric", GENERAL, ids=lambda metric: metric.name)
def test_every_metric_is_best_for_equal_pictures_and_falls_with_distortion(metric: Metric) -> None:
    small = metric.name not in ("tile_border", "tile_interior")
    reference = picture() if small else picture(1016, 64)
    values = [metric.function(reference, coarse(reference, step)) for step in (1, 8, 64)]
    best = {"psnr": math.inf, "ms_ssim": 1, "ssimulacra2": 100, "texture_correlation": 1}.get(metric.name, 0)
    assert values[0] == pytest.approx(best, abs=1e-6)
    assert values == sorted(values, reverse=metric.higher_is_better)
    assert len(set(values)) == 3


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_every_metric_says_which_pictures_are_too_small_for_it(metric: Metric) -> None:
    side = metric.least_side
    metric.function(flat(0, side, side), flat(9, side, side))
    if side > 1:
        with pytest.raises(InvalidImageError, match=str(side)):
            metric.function(flat(0, side, side - 1), flat(9, side, side - 1))


def test_importing_the_metrics_imports_no_torch() -> None:
    code = "import sys, pico_metrics.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
