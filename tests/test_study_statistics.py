"""Bayesian Elo and active sampling: closed forms, invariances, and truths that are found again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pico_study.analysis import analyse
from pico_study.answers import Answer, Condition, Evidence, Rater
from pico_study.bradley_terry import (
    ELO,
    FIRST,
    PRIOR_SPREAD,
    SECOND,
    TIE,
    Comparisons,
    Floats,
    StatisticsError,
    _Problem,
    connected,
    count,
    draws_of,
    fit,
    fit_grouped,
    independent_prior,
    probabilities,
)
from pico_study.database import Settings
from pico_study.sampling import choose, expected_information

WIDE = 1e4  # spread of a prior that says nothing


def asked(
    true: Floats, number: int, rng: np.random.Generator, log_nu: float = -0.5
) -> list[tuple[int, int, int]]:
    """Answers to random pairs by raters of these true strengths."""
    first = rng.integers(0, len(true), number)
    second = (first + rng.integers(1, len(true), number)) % len(true)
    chances = np.stack(probabilities(true[first] - true[second], log_nu)).cumsum(axis=0)
    outcome = np.array([FIRST, TIE, SECOND])[(rng.random(number) > chances[:2]).sum(axis=0)]
    return list(zip(first.tolist(), second.tolist(), outcome.tolist(), strict=True))


def evidence(
    answers: Sequence[tuple[int, int, int]], conditions: Sequence[Condition], raters: int = 1
) -> Evidence:
    """Answers about one picture as if they came from the database, dealt to raters who all pass."""
    variants = {(item, 0): condition.bpp for item, condition in enumerate(conditions)}
    return evidence_of({0: answers}, variants, [(c.codec, c.quality) for c in conditions], raters)


def evidence_of(
    answers: Mapping[int, Sequence[tuple[int, int, int]]],
    variants: Mapping[tuple[int, int], float],
    names: Sequence[tuple[str, str]],
    raters: int = 1,
) -> Evidence:
    """The same by picture, for conditions of these names; `variants` are rates by condition and picture."""
    found = [Rater(number + 1, "") for number in range(raters)]
    listed = [(picture, answer) for picture, own in answers.items() for answer in own]
    for number, (picture, (a, b, outcome)) in enumerate(listed):
        rater = found[number % raters]
        more = (outcome, False, number, None, 1000, "", "", {})
        rater.answers.append(Answer(rater.number, picture, a, b, *more))
    rates = [[rate for (own, _), rate in variants.items() if own == item] for item in range(len(names))]
    conditions = [Condition(*name, float(np.mean(own))) for name, own in zip(names, rates, strict=True)]
    pictures = [f"picture {number}" for number in range(1 + max(picture for _, picture in variants))]
    return Evidence(Settings(), "2026", "", False, conditions, pictures, variants, found, [])


answers_of_five = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([FIRST, TIE, SECOND])).filter(
        lambda answer: answer[0] != answer[1]
    ),
    min_size=1,
    max_size=60,
)


def test_true_strengths_lie_inside_the_95_percent_intervals_about_95_percent_of_the_time() -> None:
    rng = np.random.default_rng(20)
    inside = []
    for _ in range(250):
        true = rng.normal(0, 1.5, 8)
        true -= true.mean()
        found = count(8, asked(true, 300, rng))
        posterior = fit(found, independent_prior(8)).centred(connected(found))
        inside.append(np.abs(posterior.mean - true) < 1.96 * np.sqrt(np.diag(posterior.covariance)))
    assert 0.93 < np.mean(inside) < 0.97


def test_draws_are_those_of_the_posterior_by_quadrature_where_one_side_won_always() -> None:
    """There the posterior is skewed, and the normal around its mode far from it."""
    drawn = draws_of(
        count(2, [(0, 1, FIRST)] * 12), independent_prior(2), False, 4000, np.random.default_rng(2)
    )
    grid = np.linspace(-20, 40, 60_001)
    density = np.exp(-(grid**2) / (4 * PRIOR_SPREAD**2) - 12 * np.logaddexp(0, -grid))
    quantiles = np.interp([0.025, 0.5, 0.975], density.cumsum() / density.sum(), grid)
    found = np.percentile(drawn[:, 0] - drawn[:, 1], [2.5, 50, 97.5])
    np.testing.assert_allclose(found, quantiles, rtol=0.07)


def test_intervals_of_draws_hold_the_truth_also_of_the_best_and_the_worst_with_few_answers() -> None:
    rng = np.random.default_rng(8)
    inside, extreme = [], []
    for _ in range(50):
        true = rng.normal(0, PRIOR_SPREAD, 6)
        found = count(6, asked(true, 40, rng))
        drawn = draws_of(found, independent_prior(6), True, 500, rng)
        low, high = np.percentile(drawn - drawn.mean(axis=1, keepdims=True), [2.5, 97.5], axis=0)
        true -= true.mean()
        holds = (low < true) & (true < high)
        inside.append(holds.mean())
        extreme.append(holds[[true.argmin(), true.argmax()]].mean())
    assert 0.925 < np.mean(inside) < 0.975
    assert 0.9 < np.mean(extreme) < 0.99


def test_two_items_have_the_estimate_of_the_closed_form() -> None:
    answers = [(0, 1, FIRST)] * 60 + [(0, 1, SECOND)] * 15 + [(0, 1, TIE)] * 30
    posterior = fit(count(2, answers), independent_prior(2, WIDE))
    assert posterior.mean[0] - posterior.mean[1] == pytest.approx(math.log(60 / 15), abs=0.02)
    assert math.exp(posterior.log_nu) == pytest.approx(30 / math.sqrt(60 * 15), rel=0.03)


def test_400_points_are_odds_of_ten_to_one_without_ties() -> None:
    first, _, second = probabilities(np.array([400 / ELO]), -0.3)
    assert first / second == pytest.approx(10)


@settings(max_examples=25)
@given(answers_of_five, st.permutations(range(5)))
def test_names_of_items_do_not_matter(answers: list[tuple[int, int, int]], order: list[int]) -> None:
    plain = fit(count(5, answers), independent_prior(5))
    renamed = fit(
        count(5, [(order[a], order[b], outcome) for a, b, outcome in answers]), independent_prior(5)
    )
    np.testing.assert_allclose(renamed.mean[order], plain.mean, atol=1e-6)
    np.testing.assert_allclose(renamed.covariance[np.ix_(order, order)], plain.covariance, atol=1e-6)


@settings(max_examples=25)
@given(answers_of_five)
def test_sides_do_not_matter(answers: list[tuple[int, int, int]]) -> None:
    plain = fit(count(5, answers), independent_prior(5))
    swapped = fit(count(5, [(b, a, -outcome) for a, b, outcome in answers]), independent_prior(5))
    np.testing.assert_allclose(swapped.mean, plain.mean, atol=1e-9)


@settings(max_examples=25)
@given(answers_of_five)
def test_turning_every_answer_round_turns_strengths_round(answers: list[tuple[int, int, int]]) -> None:
    plain = fit(count(5, answers), independent_prior(5))
    turned = fit(count(5, [(a, b, -outcome) for a, b, outcome in answers]), independent_prior(5))
    np.testing.assert_allclose(turned.mean, -plain.mean, atol=1e-6)


@settings(max_examples=25)
@given(st.floats(-50, 50))
def test_a_constant_added_to_all_true_strengths_changes_nothing(constant: float) -> None:
    true = np.array([-1.0, 0.0, 0.5, 2.0])
    plain, moved = (asked(t, 80, np.random.default_rng(3)) for t in (true, true + constant))
    assert plain == moved
    assert abs(fit(count(4, plain), independent_prior(4)).mean.mean()) < 1e-9


@settings(max_examples=20)
@given(answers_of_five)
def test_slopes_are_those_of_the_log_posterior(answers: list[tuple[int, int, int]]) -> None:
    problem = _Problem(count(5, answers), np.eye(5) / 9, True)
    at = np.random.default_rng(1).normal(size=6)
    gradient, curvature = problem.slopes(at)
    for place in range(6):
        step = np.zeros(6)
        step[place] = 1e-5
        slope = (problem.value(at + step) - problem.value(at - step)) / 2e-5
        assert slope == pytest.approx(gradient[place], abs=1e-4)
        bend = (problem.slopes(at - step)[0] - problem.slopes(at + step)[0]) / 2e-5
        np.testing.assert_allclose(bend, curvature[place], atol=1e-4)


def test_separable_answers_keep_finite_strengths() -> None:
    answers = [(0, 1, FIRST)] * 500 + [(1, 2, FIRST)] * 500
    posterior = fit(count(3, answers), independent_prior(3))
    assert np.isfinite(posterior.mean).all()
    assert posterior.mean[0] > posterior.mean[1] > posterior.mean[2]
    assert np.abs(ELO * posterior.mean).max() < 3000
    assert (np.diag(posterior.covariance) > 0).all()


def test_nothing_but_ties_says_equal_strengths() -> None:
    posterior = fit(count(3, [(0, 1, TIE), (1, 2, TIE)] * 40), independent_prior(3))
    assert np.abs(posterior.mean).max() < 1e-9
    assert posterior.log_nu > 1


def test_ties_where_none_were_offered_are_refused() -> None:
    with pytest.raises(StatisticsError, match="offers none"):
        fit(count(2, [(0, 1, TIE)]), independent_prior(2), ties=False)
    with pytest.raises(StatisticsError, match="offers none"):
        draws_of(count(2, [(0, 1, TIE)]), independent_prior(2), False, 10, np.random.default_rng(0))


def test_without_ties_the_model_is_plain_bradley_terry() -> None:
    answers = [(0, 1, FIRST)] * 30 + [(0, 1, SECOND)] * 10
    posterior = fit(count(2, answers), independent_prior(2, WIDE), ties=False)
    assert posterior.mean[0] - posterior.mean[1] == pytest.approx(math.log(3), abs=0.01)


def test_an_item_against_itself_is_refused() -> None:
    with pytest.raises(StatisticsError, match="two different items"):
        count(3, [(1, 1, FIRST)])


def test_picture_effects_are_found_where_there_are_some_and_not_elsewhere() -> None:
    rng = np.random.default_rng(5)
    owners = np.repeat(np.arange(4), 6)
    means = np.array([-1.0, -0.3, 0.3, 1.0])[owners]
    for within in (0.0, 1.0):
        true = means + within * rng.normal(size=24)
        answers = []
        for picture in range(6):
            items = np.arange(4) * 6 + picture
            answers += [(int(items[a]), int(items[b]), o) for a, b, o in asked(true[items], 400, rng)]
        posterior, spread = fit_grouped(count(24, answers), owners)
        assert spread <= 0.2 if within == 0 else 0.5 <= spread <= 1.5
        # only differences within a picture are told by answers
        told, truth = (v.reshape(4, 6) - v.reshape(4, 6).mean(axis=0) for v in (posterior.mean, true))
        assert np.corrcoef(told.ravel(), truth.ravel())[0, 1] > 0.97


def curves(saving: float) -> tuple[list[Condition], Floats]:
    """Two codecs on one curve of strength over rate; the second needs `saving` fewer bits."""
    rates = np.array([0.1, 0.2, 0.4, 0.8])
    conditions = [Condition("JPEG", str(rate), float(rate)) for rate in rates]
    conditions += [Condition("new", str(rate), float(rate * (1 - saving))) for rate in rates]
    return conditions, np.tile(1.2 * np.log2(rates / 0.28), 2)


def test_bit_savings_are_recovered_and_lie_in_their_interval() -> None:
    conditions, true = curves(0.4)
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(8):
        found = analyse(evidence(asked(true, 1500, rng), conditions)).everyone
        (saving,) = found.savings
        assert saving.rate is not None
        assert -52 < saving.rate < -28
        inside.append(saving.credible[0] < -40 < saving.credible[1])
    assert np.mean(inside) > 0.7
    large = analyse(evidence(asked(true, 40_000, rng), conditions)).everyone.savings[0]
    assert large.rate == pytest.approx(-40, abs=2.5)


def test_intervals_over_raters_hold_the_truth_when_raters_are_alike() -> None:
    conditions, true = curves(0.4)
    found = analyse(evidence(asked(true, 3000, np.random.default_rng(2)), conditions, raters=20)).everyone
    truth = ELO * (true - true.mean())
    inside = [s.over_raters[0] < t < s.over_raters[1] for s, t in zip(found.scores, truth, strict=True)]
    assert sum(inside) >= 6


RATES = (0.1, 0.2, 0.4, 0.8)


@pytest.mark.parametrize("per_picture", [False, True])
def test_a_codec_that_lacks_the_dear_pictures_saves_no_bits_by_it(per_picture: bool) -> None:
    """Both codecs are one and the same, but the second one has only the two pictures that take few bits."""
    weights = (0.3, 0.4, 1.5, 1.8)
    names = [(codec, str(rate)) for codec in ("JPEG", "part") for rate in RATES]
    variants = {
        (item, picture): RATES[item % 4] * weights[picture]
        for item, (codec, _) in enumerate(names)
        for picture in range(4 if codec == "JPEG" else 2)
    }
    true = np.tile(1.2 * np.log2(np.array(RATES) / 0.28), 2)
    rng = np.random.default_rng(11)
    answers = {picture: asked(true[: 8 if picture < 2 else 4], 500, rng) for picture in range(4)}
    found = analyse(evidence_of(answers, variants, names, raters=6), per_picture=per_picture).everyone
    (saving,) = found.savings
    assert saving.rate == pytest.approx(0, abs=15)
    assert saving.credible[0] < 0 < saving.credible[1]
    assert saving.over_raters[0] < 0 < saving.over_raters[1]
    assert saving.left_out == ("picture 2", "picture 3")
    assert "2 of 4 pictures" in saving.remark
    assert any("part against JPEG" in note and "picture 2, picture 3" in note for note in found.notes)
    assert any("part 0.1, part 0.2" in note and "2 of 4 pictures" in note for note in found.notes)


def test_codecs_without_a_picture_in_common_have_no_bit_saving() -> None:
    names = [(codec, str(rate)) for codec in ("JPEG", "new", "both") for rate in RATES]
    has = {"JPEG": (0,), "new": (1,), "both": (0, 1)}
    variants = {(i, picture): RATES[i % 4] for i, (codec, _) in enumerate(names) for picture in has[codec]}
    true = np.tile(1.2 * np.log2(np.array(RATES) / 0.28), 2)
    rng = np.random.default_rng(12)
    answers = {
        picture: [(items[a], items[b], outcome) for a, b, outcome in asked(true, 300, rng)]
        for picture, items in ((0, [0, 1, 2, 3, 8, 9, 10, 11]), (1, [*range(4, 12)]))
    }
    found = analyse(evidence_of(answers, variants, names)).everyone
    rates = {saving.codec: saving.rate for saving in found.savings}
    assert rates["new"] is None
    assert rates["both"] == pytest.approx(0, abs=25)
    assert "no picture has all points" in next(s.reason for s in found.savings if s.codec == "new")


def test_groups_that_no_answer_links_are_named_and_not_compared() -> None:
    conditions, true = curves(0.4)
    rng = np.random.default_rng(4)
    apart = asked(true[:4], 200, rng) + [(a + 4, b + 4, o) for a, b, o in asked(true[4:], 200, rng)]
    found = analyse(evidence(apart, conditions)).everyone
    assert found.groups == 2
    assert "JPEG 0.1" in found.notes[0]
    assert "no answer links" in found.notes[0]
    assert [saving.rate for saving in found.savings] == [None]
    assert "no answers link" in found.savings[0].reason
    for group in (0, 1):
        assert abs(sum(score.elo for score in found.scores if score.group == group)) < 1e-6


def test_conditions_without_answers_have_no_elo() -> None:
    conditions, true = curves(0.4)
    found = analyse(evidence(asked(true[:7], 200, np.random.default_rng(4)), conditions)).everyone
    assert [c.name for c in found.unseen] == ["new 0.8"]
    assert len(found.scores) == 7
    assert any("Not compared yet: new 0.8" in note for note in found.notes)


def test_expected_information_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(6)
    posterior = fit(count(3, asked(np.array([0.0, 0.4, 1.5]), 60, rng)), independent_prior(3))
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    drawn = rng.multivariate_normal(posterior.mean, posterior.covariance, 200_000)
    chances = np.stack(probabilities(drawn[:, first] - drawn[:, second], posterior.log_nu))
    mean = chances.mean(axis=1)
    simulated = -(mean * np.log(mean)).sum(axis=0) + (chances * np.log(chances)).sum(axis=0).mean(axis=0)
    np.testing.assert_allclose(expected_information(posterior, first, second), simulated, rtol=0.03)


@settings(max_examples=25)
@given(answers_of_five)
def test_information_is_never_negative_and_at_most_that_of_three_answers(
    answers: list[tuple[int, int, int]],
) -> None:
    first, second = np.triu_indices(5, 1)
    information = expected_information(fit(count(5, answers), independent_prior(5)), first, second)
    assert (information > -1e-9).all()
    assert (information <= math.log(3)).all()


def test_active_sampling_asks_where_answers_tell_most_and_keeps_all_linked() -> None:
    true = np.array([-6.0, -0.2, 0.0, 0.2, 6.0])
    rng = np.random.default_rng(7)
    pairs = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    answers: list[tuple[int, int, int]] = []
    rules = []
    for _ in range(250):
        compared: Comparisons = count(5, answers)
        seen = np.bincount([item for answer in answers for item in answer[:2]], minlength=5).astype(float)
        at, rule = choose(fit(compared, independent_prior(5)), pairs, seen, rng)
        rules.append(rule)
        a, b = pairs[at]
        outcome = asked(np.array([true[a], true[b]]), 1, rng)[0]
        answers.append((a, b, outcome[2] if outcome[0] == 0 else -outcome[2]))
    assert connected(count(5, answers)) == [[0, 1, 2, 3, 4]]
    close = sum(a > 0 and b < 4 for a, b, _ in answers)
    extreme = sum((a, b) == (0, 4) for a, b, _ in answers)
    assert close > 3 * extreme
    assert 0.1 < rules.count("random") / len(rules) < 0.3
