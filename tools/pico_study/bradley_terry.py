"""Bayesian Elo: strengths of things that were compared in pairs, with ties, and how sure they are.

The model is Bradley-Terry with Davidson's ties. With d the difference of two strengths and nu the weight of ties,

    P(first) : P(tie) : P(second)  =  exp(d / 2) : nu : exp(-d / 2),

so that answers other than ties follow the logistic curve of d. Strengths have a normal prior of mean 0, log nu one of
mean 0 and standard deviation 1.5. The posterior is strictly log-concave; it is approximated by the normal
distribution around its mode that has its curvature there (Laplace). One unit of strength is 400 / ln 10 Elo points:
400 points are odds of ten to one among answers that are no ties.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pico_core.errors import PicoError

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

ELO = 400 / math.log(10)
PRIOR_SPREAD = 3.0  # standard deviation of strengths: 521 Elo points
_TIES_SPREAD = 1.5  # standard deviation of log nu
_NO_TIES = -60.0  # log nu where ties were not offered
_SPREADS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)  # of picture effects, that are tried
_MOST_STEPS = 200

FIRST, TIE, SECOND = 1, 0, -1


class StatisticsError(PicoError):
    """Comparisons that no model can be fitted to."""


@dataclass(frozen=True)
class Comparisons:
    """Counts by pair of items; each pair stands once, and both its items are numbers below `items`."""

    items: int
    first: Indices
    second: Indices
    wins: Floats  # of the first
    losses: Floats
    ties: Floats

    @property
    def total(self) -> int:
        """Number of answers."""
        return int((self.wins + self.losses + self.ties).sum())


@dataclass(frozen=True)
class Posterior:
    """Strengths (natural units) and log nu: the mode, and the covariance of the strengths around it."""

    mean: Floats  # (items,)
    covariance: Floats  # (items, items)
    log_nu: float
    log_evidence: float  # of the data, by Laplace's approximation

    def seen_as(self, weights: Floats) -> Posterior:
        """The posterior of linear combinations of the strengths: `weights` is (combinations, items)."""
        covariance = weights @ self.covariance @ weights.T
        return Posterior(weights @ self.mean, covariance, self.log_nu, self.log_evidence)

    def centred(self, groups: Sequence[Sequence[int]]) -> Posterior:
        """Strengths minus the mean strength of their group; only these differences are told by comparisons."""
        weights = np.eye(len(self.mean))
        for group in groups:
            weights[np.ix_(group, group)] -= 1 / len(group)
        return self.seen_as(weights)

    def draws(self, count: int, rng: np.random.Generator) -> Floats:
        """Strengths drawn from the posterior: (count, items)."""
        values, vectors = np.linalg.eigh(self.covariance)
        roots = vectors * np.sqrt(np.maximum(values, 0))
        drawn: Floats = self.mean + rng.standard_normal((count, len(self.mean))) @ roots.T
        return drawn


def count(items: int, answers: Iterable[tuple[int, int, int]]) -> Comparisons:
    """Count answers `(first item, second item, FIRST, TIE or SECOND)`. Raises StatisticsError."""
    counts: dict[tuple[int, int], list[float]] = {}
    for first, second, outcome in answers:
        if first == second or not (0 <= first < items and 0 <= second < items):
            msg = f"an answer compares item {first} with item {second} of {items}; two different items are needed"
            raise StatisticsError(msg)
        swapped = first > second
        line = counts.setdefault((second, first) if swapped else (first, second), [0.0, 0.0, 0.0])
        line[1 if outcome == TIE else 0 if (outcome == FIRST) != swapped else 2] += 1
    pairs = sorted(counts)
    numbers = np.array([counts[pair] for pair in pairs]).reshape(-1, 3)
    places = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return Comparisons(items, places[:, 0], places[:, 1], numbers[:, 0], numbers[:, 2], numbers[:, 1])


def connected(comparisons: Comparisons) -> list[list[int]]:
    """Groups of items that comparisons link, directly or through others, largest first."""
    parent = list(range(comparisons.items))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for first, second in zip(comparisons.first.tolist(), comparisons.second.tolist(), strict=True):
        parent[root(first)] = root(second)
    groups: dict[int, list[int]] = {}
    for item in range(comparisons.items):
        groups.setdefault(root(item), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def independent_prior(items: int, spread: float = PRIOR_SPREAD) -> Floats:
    """Covariance of strengths that know nothing of each other."""
    return np.eye(items) * spread**2


def grouped_prior(groups: Indices, within: float, spread: float = PRIOR_SPREAD) -> Floats:
    """Covariance of strengths that are one of their group (`spread`) plus one of their own (`within`)."""
    same: Floats = (groups[:, None] == groups[None, :]) * spread**2
    return same + np.eye(len(groups)) * within**2


def fit(comparisons: Comparisons, prior: Floats, ties: bool = True) -> Posterior:
    """The posterior of the strengths under a normal prior of mean 0 and this covariance (items, items).

    `ties` says whether ties were on offer; without them nu is 0. Raises StatisticsError if ties were counted
    though not on offer, or if the mode is not found, which would be a defect.
    """
    if not ties and comparisons.ties.any():
        msg = "ties were answered in a study that offers none; its database is damaged"
        raise StatisticsError(msg)
    precision: Floats = np.linalg.inv(prior).astype(np.float64)
    problem = _Problem(comparisons, precision, ties)
    at = problem.start()
    value = problem.value(at)
    for _ in range(_MOST_STEPS):
        gradient, curvature = problem.slopes(at)
        step = np.linalg.solve(curvature, gradient)
        gain = float(gradient @ step)
        if gain < 1e-14 * (1 + abs(value)):
            return problem.posterior(at, value, curvature, prior)
        size = 1.0
        while (further := problem.value(at + size * step)) < value + 1e-4 * size * gain and size > 1e-10:
            size /= 2
        if size <= 1e-10:
            return problem.posterior(at, value, curvature, prior)
        at, value = at + size * step, further
    msg = f"no mode found in {_MOST_STEPS} steps for {comparisons.total} answers; please report this study"
    raise StatisticsError(msg)


def fit_grouped(comparisons: Comparisons, groups: Indices, ties: bool = True) -> tuple[Posterior, float]:
    """As `fit`, for items in groups (one condition on several pictures) that differ within their group.

    How much they differ is the spread, of a few, that makes the answers most likely (Laplace evidence); it is
    returned with the posterior of the items.
    """
    fitted = [(fit(comparisons, grouped_prior(groups, within), ties), within) for within in _SPREADS]
    return max(fitted, key=lambda pair: pair[0].log_evidence)


def probabilities(difference: Floats, log_nu: float) -> tuple[Floats, Floats, Floats]:
    """Chances of first, tie and second at differences of strength (any shape)."""
    logits = np.stack([difference / 2, np.full_like(difference, log_nu), -difference / 2])
    weights = np.exp(logits - logits.max(axis=0))
    first, tie, second = weights / weights.sum(axis=0)
    return first, tie, second


class _Problem:
    """Log posterior of (strengths, log nu), its gradient and its negative curvature."""

    def __init__(self, comparisons: Comparisons, precision: Floats, ties: bool) -> None:
        self._counts = comparisons
        self._precision = precision
        self._ties = ties
        self._items = comparisons.items
        self._each = comparisons.wins + comparisons.losses + comparisons.ties

    def start(self) -> Floats:
        return np.zeros(self._items + self._ties)

    def _parts(self, at: Floats) -> tuple[Floats, Floats, float]:
        strengths = at[: self._items]
        difference = strengths[self._counts.first] - strengths[self._counts.second]
        return strengths, difference, float(at[-1]) if self._ties else _NO_TIES

    def value(self, at: Floats) -> float:
        strengths, difference, log_nu = self._parts(at)
        scale = np.logaddexp(np.logaddexp(difference / 2, -difference / 2), log_nu)
        counts = self._counts
        likelihood = (counts.wins - counts.losses) @ difference / 2 + counts.ties.sum() * log_nu * self._ties
        prior = strengths @ self._precision @ strengths + (log_nu / _TIES_SPREAD) ** 2 * self._ties
        return float(likelihood - self._each @ scale - prior / 2)

    def slopes(self, at: Floats) -> tuple[Floats, Floats]:
        strengths, difference, log_nu = self._parts(at)
        first, tie, second = probabilities(difference, log_nu)
        counts, each, size = self._counts, self._each, self._items
        pull = (counts.wins - counts.losses - each * (first - second)) / 2
        gradient = np.zeros(len(at))
        np.add.at(gradient, counts.first, pull)
        np.add.at(gradient, counts.second, -pull)
        gradient[:size] -= self._precision @ strengths
        curvature = np.zeros((len(at), len(at)))
        curvature[:size, :size] = self._precision
        bend = each * ((first + second) - (first - second) ** 2) / 4
        for one, other, sign in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
            sides = (counts.first, counts.second)
            np.add.at(curvature, (sides[one], sides[other]), sign * bend)
        if self._ties:
            gradient[-1] = (counts.ties - each * tie).sum() - log_nu / _TIES_SPREAD**2
            curvature[-1, -1] = (each * tie * (1 - tie)).sum() + _TIES_SPREAD**-2
            cross = -each * tie * (first - second) / 2
            line = np.zeros(size)
            np.add.at(line, counts.first, cross)
            np.add.at(line, counts.second, -cross)
            curvature[-1, :size] += line
            curvature[:size, -1] += line
        return gradient, curvature

    def posterior(self, at: Floats, value: float, curvature: Floats, prior: Floats) -> Posterior:
        size = self._items
        covariance = np.linalg.inv(curvature)[:size, :size]
        volume = np.linalg.slogdet(curvature)[1] + np.linalg.slogdet(prior)[1]
        volume += 2 * math.log(_TIES_SPREAD) * self._ties
        log_nu = float(at[-1]) if self._ties else _NO_TIES
        return Posterior(at[:size], (covariance + covariance.T) / 2, log_nu, float(value - volume / 2))
