"""From answers to results: Elo for each codec and rate, and the bits that one codec saves at another one's Elo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pico_bench.curves import bd_rate, overlap
from pico_bench.curves import missing_package as missing_bd_package
from pico_core.errors import OptionError
from pico_study.answers import Answer, Condition, Evidence, Rater
from pico_study.bradley_terry import (
    ELO,
    Comparisons,
    Floats,
    Indices,
    Posterior,
    centring,
    connected,
    count,
    draws_of,
    fit,
    fit_grouped,
    grouped_prior,
    independent_prior,
)
from pico_study.database import StudyError

LEVEL = 95  # percent of all intervals
DRAWS = 2000  # of the posterior
_THINNED = 4  # one in so many of them for BD-rates, which take their time
RESAMPLES = 200
LEAST_RATERS = 5  # for intervals over raters
_LEAST_RISING = 0.1  # share of draws in which both curves rise, for a BD-rate interval
_LEAST_OVERLAPPING = 0.95
_RISING_METRIC = "psnr"  # tells pico_bench.curves that higher is better, as it is with Elo
ANCHORS = ("AVIF", "HEIC", "WebP", "JPEG")

Bounds = tuple[float, float]
NOWHERE: Bounds = (math.nan, math.nan)


@dataclass(frozen=True)
class Score:
    """Elo of one condition with its intervals: of the posterior, and over resampled raters (NaN for few raters)."""

    condition: Condition
    elo: float
    credible: Bounds
    over_raters: Bounds
    answers: int
    group: int  # conditions of different groups were never linked by answers; their Elo cannot be compared


@dataclass(frozen=True)
class Saving:
    """BD-rate of a codec on its Elo curve, in percent of the anchor's bits; or the reason why there is none."""

    codec: str
    anchor: str
    rate: float | None
    credible: Bounds = NOWHERE
    over_raters: Bounds = NOWHERE
    covers: Bounds = NOWHERE  # Elo that both curves reach
    reason: str = ""
    remark: str = ""
    left_out: tuple[str, ...] = ()  # pictures that not all points of the two curves have


@dataclass(frozen=True)
class Analysis:
    """The results of some of the raters."""

    title: str
    raters: int
    answers: int
    ties: float  # share
    tie_weight: float  # Davidson's nu
    scores: Sequence[Score]
    unseen: Sequence[Condition]  # without any answer
    groups: int
    savings: Sequence[Saving]
    notes: Sequence[str]
    picture_spread: float | None  # standard deviation of picture effects in Elo, where they are modelled


@dataclass(frozen=True)
class Results:
    """Everything that `pico-study results` shows."""

    evidence: Evidence
    anchor: str | None
    passed: Analysis | None  # raters who passed the screening: the main result
    everyone: Analysis
    agreement: dict[int, float]  # by rater: share of decisive answers for the condition of higher Elo


def analyse(evidence: Evidence, anchor: str | None = None, per_picture: bool = False) -> Results:
    """The results of a study. Raises StudyError without answers, OptionError for an unknown anchor."""
    codecs = list(dict.fromkeys(condition.codec for condition in evidence.conditions))
    if anchor is not None and anchor not in codecs:
        msg = f"the anchor {anchor} is not in the study; choose of {', '.join(codecs)}"
        raise OptionError(msg)
    chosen = anchor or next((name for name in ANCHORS if name in codecs), codecs[0])
    everyone = [rater for rater in evidence.raters if rater.comparisons]
    if not everyone:
        msg = "no comparison has been answered yet; send the link to raters, or try pico-study simulate"
        raise StudyError(msg)
    passed = [rater for rater in everyone if rater.passed]
    of_all = _Fit(evidence, everyone, per_picture).analysis("all raters", chosen)
    of_passed = None
    if len(passed) == len(everyone):
        of_passed = replace(of_all, title="raters who passed")
    elif passed:
        of_passed = _Fit(evidence, passed, per_picture).analysis("raters who passed", chosen)
    return Results(evidence, chosen, of_passed, of_all, _agreement(evidence, everyone, of_passed or of_all))


class _Fit:
    """The model fitted to the answers of some raters."""

    def __init__(self, evidence: Evidence, raters: Sequence[Rater], per_picture: bool) -> None:
        self._evidence = evidence
        self._raters = raters
        self._per_picture = per_picture
        self._answers = [answer for rater in raters for answer in rater.comparisons]
        self._conditions = list(evidence.conditions)
        self._variants = sorted(evidence.variants)
        compared = self._counted(self._answers)
        self._seen = _answers_of_each(compared)
        self._groups = [group for group in connected(compared) if self._seen[group].any()]
        self._group_of = {item: number for number, group in enumerate(self._groups) for item in group}
        self._restricted: dict[frozenset[int], _Fit] = {}
        self._mode, self._draws, self._spread = self._fitted(self._answers)

    def _counted(self, answers: Sequence[Answer]) -> Comparisons:
        return count(len(self._conditions), [(answer.a, answer.b, answer.outcome) for answer in answers])

    def _fitted(self, answers: Sequence[Answer]) -> tuple[Posterior, Floats, float | None]:
        """The mode and draws of the strengths of the conditions, centred in each group; the spread of pictures."""
        ties, size, rng = self._evidence.settings.ties, len(self._conditions), np.random.default_rng(0)
        weights = centring(size, self._groups)
        if not self._per_picture:
            counted, prior = self._counted(answers), independent_prior(size)
            drawn = draws_of(counted, prior, ties, DRAWS, rng)
            return fit(counted, prior, ties).seen_as(weights), drawn @ weights.T, None
        places = {variant: number for number, variant in enumerate(self._variants)}
        listed = [(places[a.a, a.picture], places[a.b, a.picture], a.outcome) for a in answers]
        owners: Indices = np.array([condition for condition, _ in self._variants], dtype=np.intp)
        counted = count(len(self._variants), listed)
        found, spread = fit_grouped(counted, owners, ties)
        drawn = draws_of(counted, grouped_prior(owners, spread), ties, DRAWS, rng)
        means = (owners[None, :] == np.arange(size)[:, None]).astype(np.float64)
        means /= np.maximum(means.sum(axis=1, keepdims=True), 1)
        weights = weights @ means
        return found.seen_as(weights), drawn @ weights.T, spread

    def analysis(self, title: str, anchor: str) -> Analysis:
        resampled = self._resampled
        scores = []
        for item, condition in enumerate(self._conditions):
            if item in self._group_of:
                elo, credible = ELO * float(self._mode.mean[item]), _bounds(ELO * self._draws[:, item])
                over = _bounds(ELO * resampled[:, item]) if len(resampled) else NOWHERE
                answers = int(self._seen[item])
                scores.append(Score(condition, elo, credible, over, answers, self._group_of[item]))
        savings = self._savings(anchor)
        return Analysis(
            title,
            len(self._raters),
            len(self._answers),
            sum(answer.outcome == 0 for answer in self._answers) / len(self._answers),
            math.exp(self._mode.log_nu) if self._evidence.settings.ties else 0.0,
            scores,
            [c for item, c in enumerate(self._conditions) if item not in self._group_of],
            len(self._groups),
            savings,
            [*self._notes(), *(_without(saving) for saving in savings if saving.left_out)],
            None if self._spread is None else ELO * self._spread,
        )

    def _notes(self) -> list[str]:
        notes = []
        if len(self._groups) > 1:
            names = " | ".join(
                ", ".join(self._conditions[item].name for item in group) for group in self._groups
            )
            notes.append(
                f"The comparisons fall into {len(self._groups)} groups that no answer links, so Elo can be "
                f"compared only within each: {names}. More trials will link them."
            )
        unseen = [c.name for item, c in enumerate(self._conditions) if not self._seen[item]]
        if unseen:
            notes.append(f"Not compared yet: {', '.join(unseen)}.")
        total = len(self._evidence.pictures)
        have = {c.name: len(self._evidence.pictures_of(item)) for item, c in enumerate(self._conditions)}
        for number in sorted(set(have.values()) - {total}):
            names = ", ".join(name for name, own in have.items() if own == number)
            notes.append(f"Bits per pixel and Elo of {names} are of {number} of {total} pictures.")
        if len(self._raters) < LEAST_RATERS:
            notes.append(f"Fewer than {LEAST_RATERS} raters: there are no intervals over raters.")
        return notes

    @cached_property
    def _resampled(self) -> Floats:
        """Strengths fitted to raters drawn with replacement: (resamples, conditions); none for few raters.

        Picture effects are left out of them. Resamples that do not link all conditions are passed over.
        """
        if len(self._raters) < LEAST_RATERS or len(self._groups) > 1:
            return np.zeros((0, len(self._conditions)))
        rng = np.random.default_rng(0)
        prior = independent_prior(len(self._conditions))
        own = [[(a.a, a.b, a.outcome) for a in rater.comparisons] for rater in self._raters]
        found = []
        for _ in range(RESAMPLES):
            drawn = rng.integers(0, len(own), len(own))
            compared = count(len(self._conditions), [answer for rater in drawn for answer in own[rater]])
            linked = [group for group in connected(compared) if len(group) > 1]
            if [len(group) for group in linked] == [len(group) for group in self._groups]:
                fitted = fit(compared, prior, self._evidence.settings.ties)
                found.append(fitted.centred(self._groups).mean)
        return np.array(found) if len(found) >= RESAMPLES / 2 else np.zeros((0, len(self._conditions)))

    def _savings(self, anchor: str) -> list[Saving]:
        if missing_bd_package():
            return []
        items: dict[str, list[int]] = {}
        for item in sorted(self._group_of):
            items.setdefault(self._conditions[item].codec, []).append(item)
        if anchor not in items:
            return []
        return [
            replace(self._saving(items[anchor], own), codec=codec, anchor=anchor)
            for codec, own in items.items()
            if codec != anchor
        ]

    def _saving(self, anchor: list[int], test: list[int]) -> Saving:
        """Of the pictures that all points of both curves have, for rates of others cannot be compared."""
        pictures = [self._evidence.pictures_of(item) for item in (*anchor, *test)]
        common, known = frozenset.intersection(*pictures), frozenset.union(*pictures)
        if common == known:
            return self._saving_here(anchor, test)
        left_out = tuple(self._evidence.pictures[picture] for picture in sorted(known - common))
        if not common:
            reason = "no picture has all points of the two curves"
            return Saving("", "", None, reason=reason, left_out=left_out)
        found = self._on(common)._saving_here(anchor, test)
        remark = f"over {len(common)} of {len(self._evidence.pictures)} pictures"
        remark = f"{remark}; {found.remark}" if found.remark else remark
        return replace(found, remark=remark, left_out=left_out)

    def _on(self, pictures: frozenset[int]) -> _Fit:
        """The model fitted to the answers about these pictures only."""
        if pictures not in self._restricted:
            evidence = replace(self._evidence, raters=self._raters).of_pictures(pictures)
            raters = [rater for rater in evidence.raters if rater.comparisons]
            self._restricted[pictures] = _Fit(evidence, raters, self._per_picture)
        return self._restricted[pictures]

    def _saving_here(self, anchor: list[int], test: list[int]) -> Saving:
        groups = {self._group_of.get(item) for item in (*anchor, *test)}
        if len(groups) > 1 or None in groups:
            return Saving("", "", None, reason="no answers link all points of the two curves")
        rates = np.array([condition.bpp for condition in self._conditions])
        curves = _Curves(rates, np.array(anchor), np.array(test))
        return curves.saving(self._mode.mean, self._draws[::_THINNED], self._resampled)


@dataclass(frozen=True)
class _Curves:
    """Two curves of Elo over rate: which conditions are their points."""

    rates: Floats
    anchor: Indices
    test: Indices

    def _points(self, strengths: Floats) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        def of(items: Indices) -> list[tuple[float, float]]:
            return [(float(self.rates[item]), float(ELO * strengths[item])) for item in items]

        return of(self.anchor), of(self.test)

    def _rises(self, strengths: Floats) -> bool:
        return all(
            (np.diff(strengths[items[np.argsort(self.rates[items])]]) > 0).all()
            for items in (self.anchor, self.test)
        )

    def saving(self, mean: Floats, draws: Floats, resampled: Floats) -> Saving:
        points = self._points(mean)
        reason, covers = overlap(*points, _RISING_METRIC)
        if reason:
            return Saving("", "", None, reason=reason, covers=covers)
        rate = bd_rate(*points, _RISING_METRIC)
        credible, remark = self._interval(draws)
        over = self._interval(resampled)[0] if len(resampled) else NOWHERE
        return Saving("", "", rate, credible, over, covers, remark=remark)

    def _interval(self, samples: Floats) -> tuple[Bounds, str]:
        """Bounds over the samples in which both curves rise with every step of rate, as quality does."""
        rising = [strengths for strengths in samples if self._rises(strengths)]
        if len(rising) < _LEAST_RISING * len(samples):
            return NOWHERE, "no interval: the order of the rates of one curve is too uncertain"
        rates = []
        for strengths in rising:
            points = self._points(strengths)
            if not overlap(*points, _RISING_METRIC)[0]:
                rates.append(bd_rate(*points, _RISING_METRIC))
        if len(rates) < _LEAST_OVERLAPPING * len(rising):
            return NOWHERE, "no interval: how far the curves overlap is too uncertain"
        share = len(rising) / len(samples)
        remark = (
            ""
            if share > 0.95
            else f"the interval assumes that more bits look better ({share:.0%} of the draws)"
        )
        return _bounds(np.array(rates)), remark


def _without(saving: Saving) -> str:
    names = ", ".join(saving.left_out)
    return (
        f"BD-rate of {saving.codec} against {saving.anchor} leaves out {names}, "
        "which not all points of the two curves have."
    )


def _bounds(values: Floats) -> Bounds:
    low, high = np.percentile(values, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


def _answers_of_each(compared: Comparisons) -> Floats:
    each = compared.wins + compared.losses + compared.ties
    seen = np.zeros(compared.items)
    np.add.at(seen, compared.first, each)
    np.add.at(seen, compared.second, each)
    return seen


def _agreement(evidence: Evidence, raters: Sequence[Rater], analysis: Analysis) -> dict[int, float]:
    elo = {score.condition: (score.elo, score.group) for score in analysis.scores}
    found = {}
    for rater in raters:
        alike = []
        for answer in rater.comparisons:
            a, b = (elo.get(evidence.conditions[item]) for item in (answer.a, answer.b))
            if answer.outcome and a is not None and b is not None and a[1] == b[1]:
                alike.append((answer.outcome > 0) == (a[0] > b[0]))
        found[rater.number] = sum(alike) / len(alike) if alike else math.nan
    return found
