"""BD-rates: known values, refusals where curves do not overlap, intervals over pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_bench import tables
from pico_bench.curves import Comparison, bd_rate, compare, curves, mean_interval, overlap, student
from pico_bench.rd import Row
from pico_metrics.catalogue import EVERY_METRIC, METRICS

RATES = (0.1, 0.2, 0.4, 0.8)
PSNR = (26.0, 29.0, 32.0, 35.0)
LPIPS = (0.4, 0.3, 0.2, 0.1)


def rows(
    codec: str, rates: tuple[float, ...], values: tuple[float, ...], images: int = 4, metric: str = "psnr"
) -> list[Row]:
    """A codec that is a little better on every further picture."""
    return [
        Row(f"image{i}", codec, str(q), rate * (1 + i / 10), {metric: value})
        for i in range(images)
        for q, (rate, value) in enumerate(zip(rates, values, strict=True))
    ]


def compared(anchor: list[Row], test: list[Row], metric: str = "psnr") -> Comparison:
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    (first, second), _ = curves([*anchor, *test])
    return compare(first, second, metric)


@settings(max_examples=20)
@given(st.floats(0.2, 5))
def test_a_codec_that_takes_a_constant_factor_more_has_that_bd_rate(factor: float) -> None:
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    anchor = list(zip(RATES, PSNR, strict=True))
    test = [(rate * factor, value) for rate, value in anchor]
    assert bd_rate(anchor, test, "psnr") == pytest.approx(100 * (factor - 1), abs=1e-6)
    falling = [(rate, -value) for rate, value in anchor], [(rate, -value) for rate, value in test]
    assert bd_rate(*falling, "lpips_alex") == pytest.approx(100 * (factor - 1), abs=1e-6)


def test_a_bd_rate_covers_only_what_both_curves_reach() -> None:
    longer = compared(rows("A", RATES, PSNR), rows("B", (*RATES[1:], 1.6), (*PSNR[1:], 38.0)))
    assert longer.covers == (29.0, 35.0)
    assert longer.rate is not None
    assert longer.rate.value == pytest.approx(0, abs=1e-6)


def test_the_interval_of_a_constant_factor_is_a_point() -> None:
    found = compared(rows("A", RATES, PSNR), rows("B", tuple(2 * rate for rate in RATES), PSNR))
    assert found.rate is not None
    assert (found.rate.low, found.rate.high) == pytest.approx((100, 100), abs=1e-6)


def test_one_picture_apart_widens_the_interval_and_is_named_as_the_worst() -> None:
    test = rows("B", tuple(2 * rate for rate in RATES), PSNR)
    test = [
        Row(r.image, r.codec, r.quality, r.bpp * (1.5 if r.image == "image2" else 1), r.values) for r in test
    ]
    found = compared(rows("A", RATES, PSNR), test)
    assert found.rate is not None
    assert found.rate.low < 100 < found.rate.value < found.rate.high
    assert found.worst_image == "image2"
    assert found.worst_rate == pytest.approx(200)
    assert found.per_image == 4


def test_pictures_whose_own_curves_do_not_overlap_are_counted_beside_the_worst_one() -> None:
    test = [
        Row(
            r.image,
            r.codec,
            r.quality,
            r.bpp,
            {"psnr": r.values["psnr"] - (20 if r.image == "image3" else 0)},
        )
        for r in rows("B", RATES, PSNR, images=8)
    ]
    found = compared(rows("A", RATES, PSNR, images=8), test)
    assert (found.per_image, found.pictures) == (7, 8)
    (line,) = tables.bd_remarks({("B", "psnr"): found})
    assert line.endswith("; 1 of 8 pictures has no BD-rate of its own and may be worse")
    everywhere = compared(rows("A", RATES, PSNR), rows("B", RATES, PSNR))
    assert "no BD-rate" not in tables.bd_remarks({("B", "psnr"): everywhere})[0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((36.0, 38.0, 40.0, 42.0), "do not overlap"),
        ((34.0, 36.0, 38.0, 40.0), "overlap in only 17 %"),
        ((26.0, 29.0, 28.0, 35.0), "does not get better"),
        ((26.0, 29.0, math.inf, math.inf), "has 2 points"),
    ],
)
def test_no_bd_rate_is_given_where_the_curves_allow_none(values: tuple[float, ...], reason: str) -> None:
    found = compared(rows("A", RATES, PSNR), rows("B", RATES, values))
    assert found.rate is None
    assert reason in found.reason
    metric = "psnr"
    table = tables.bd_rates({("B", metric): found}, [METRICS[metric]])
    assert table[1] == ["B", "-"]
    assert reason in tables.bd_remarks({("B", metric): found})[0]


def test_lower_is_better_is_respected_in_what_counts_as_a_rising_curve() -> None:
    points = list(zip(RATES, LPIPS, strict=True))
    assert overlap(points, points, "lpips_alex") == ("", (0.1, 0.4))
    assert "does not get better" in overlap(points, points, "psnr")[0]


def test_curves_compare_only_pictures_that_every_codec_has() -> None:
    one, two = rows("A", RATES, PSNR), rows("B", RATES, PSNR)
    found, notes = curves([*one, *(row for row in two if row.image != "image3")])
    assert [curve.images for curve in found] == [("image0", "image1", "image2")] * 2
    assert notes == ["image3 is left out: B did not code it"]


def partly(codec: str, factor: float = 1) -> list[Row]:
    """A codec on four pictures of which the last two hold text; only there it is read."""
    read = (0.2, 0.5, 0.8, 1.0)
    return [
        Row(r.image, r.codec, r.quality, r.bpp, {**r.values, "text_accuracy": read[int(r.quality)]})
        if r.image in ("image2", "image3")
        else r
        for r in rows(codec, tuple(factor * rate for rate in RATES), PSNR)
    ]


def test_a_metric_that_few_pictures_have_is_averaged_over_those_at_their_rates() -> None:
    (curve,), _ = curves(partly("A"))
    assert list(curve.columns("text_accuracy")) == [2, 3]
    assert len(curve.columns("psnr")) == 4
    expected = [(1.25 * rate, value) for rate, value in zip(RATES, (0.2, 0.5, 0.8, 1.0), strict=True)]
    np.testing.assert_allclose(curve.points("text_accuracy"), expected)
    head, first, *_ = tables.means(curve, [EVERY_METRIC["psnr"], EVERY_METRIC["text_accuracy"]])
    assert head == ["quality", "bits per pixel", "PSNR", "characters read (2 pictures)"]
    assert first == ["0", "0.115", "26.00", "0.200"]
    assert tables.worst(curve, [EVERY_METRIC["text_accuracy"]])[1] == ["0", "image2 0.200"]


def test_a_metric_that_few_pictures_have_is_compared_on_those() -> None:
    found = compared(partly("A"), partly("B", 1.5), "text_accuracy")
    assert found.rate is not None
    assert found.rate.value == pytest.approx(50, abs=1e-6)
    assert math.isnan(found.rate.low)
    assert found.per_image == 2


def test_pictures_without_a_metric_leave_nothing_to_compare() -> None:
    with_text, without = partly("A"), rows("B", RATES, PSNR)
    (first, second), _ = curves([*with_text, *without])
    assert "text_accuracy" not in second.values
    assert [m.name for m in tables.metrics_of([first, second])] == ["psnr"]


def test_a_quality_that_lacks_a_picture_is_left_out() -> None:
    all_rows = rows("A", RATES, PSNR)
    found, notes = curves([row for row in all_rows if (row.image, row.quality) != ("image1", "2")])
    assert found[0].qualities == ("0", "1", "3")
    assert notes == ["A 2 is left out: it lacks some pictures"]


def test_points_lie_in_order_of_rate_whatever_the_qualities_are_called() -> None:
    renamed = [
        Row(r.image, r.codec, str(9 - int(r.quality)), r.bpp, r.values) for r in rows("A", RATES, PSNR)
    ]
    (curve,), _ = curves(renamed[::-1])
    assert curve.qualities == ("9", "8", "7", "6")
    expected = [(1.15 * rate, value) for rate, value in zip(RATES, PSNR, strict=True)]
    np.testing.assert_allclose(curve.points("psnr"), expected)


def test_the_interval_of_a_mean_is_that_of_student() -> None:
    values = np.random.default_rng(5).normal(10, 2, 100)
    interval = mean_interval(values)
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - 1.9842 * error, abs=1e-4)
    assert interval.high == pytest.approx(values.mean() + 1.9842 * error, abs=1e-4)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(2, 4.3027), (3, 3.1824), (6, 2.4469), (23, 2.0687), (999, 1.9623)]
)
def test_the_quantiles_of_student_are_those_of_printed_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=1e-4)


@pytest.mark.parametrize("count", [3, 4, 7, 24])
def test_95_of_100_intervals_of_a_mean_hold_the_true_one_however_few_the_pictures(count: int) -> None:
    samples = np.random.default_rng(count).normal(0, 1, (2000, count))
    held = [(found := mean_interval(values)).low <= 0 <= found.high for values in samples]
    assert 0.935 < np.mean(held) < 0.965


@pytest.mark.parametrize("count", [3, 7, 24])
def test_the_interval_of_a_bd_rate_is_as_wide_as_student_would_have_it(count: int) -> None:
    """Each picture takes so many times the bytes, so the BD-rate is a mean, whose error has a formula."""
    pytest.importorskip("bjontegaard", reason="bjontegaard is not installed")
    factors = np.random.default_rng(count).normal(1.2, 0.05, count)
    test = [
        Row(f"image{i}", "B", str(q), rate * factor, {"psnr": value})
        for i, factor in enumerate(factors)
        for q, (rate, value) in enumerate(zip(RATES, PSNR, strict=True))
    ]
    anchor = [Row(r.image, "A", r.quality, RATES[int(r.quality)], r.values) for r in test]
    found = compared(anchor, test).rate
    assert found is not None
    assert found.value == pytest.approx(100 * (factors.mean() - 1), abs=1e-6)
    reach = 100 * student(count - 1) * factors.std(ddof=1) / math.sqrt(count)
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.15)
    assert found.low < found.value < found.high


def test_two_pictures_have_no_interval() -> None:
    assert math.isnan(mean_interval(np.array([1.0, 2.0])).low)


def test_the_worst_picture_at_each_quality_is_named() -> None:
    found = [Row("good", "A", "1", 0.1, {"psnr": 30.0}), Row("bad", "A", "1", 0.1, {"psnr": 20.0})]
    (curve,), _ = curves(found)
    assert tables.worst(curve, [METRICS["psnr"]])[1] == ["1", "bad 20.00"]
