"""Bayesian Elo: strengths of things that were compared in pairs, with ties, and how sure they are.

The model is Bradley-Terry with Davidson's ties. With d the difference of two strengths and nu the weight of ties,

    P(first) : P(tie) : P(second)  =  exp(d / 2) : nu : exp(-d / 2),

so that answers other than ties follow the logistic curve of d. Strengths have a normal prior of mean 0, log nu one of
mean 0 and standard deviation 1.5. The posterior is strictly log-concave. `fit` approximates it by the normal
distribution around its mode that has its curvature there (Laplace): quick, and good enough to choose the next pair.
Where one side won nearly always, the posterior is skewed and that normal too narrow; `draws_of` samples it. One unit
of strength is 400 / ln 10 Elo points: 400 points are odds of ten to one among answers that are no ties.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
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
_CHAINS, _WARMING, _WIDENED = 50, 30, 1.6

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
        return self.seen_as(centring(len(self.mean), groups))


def centring(items: int, groups: Sequence[Sequence[int]]) -> Floats:
    """Weights (items, items) that take the mean of its group from every item."""
    weights: Floats = np.eye(items)
    for group in groups:
        weights[np.ix_(group, group)] -= 1 / len(group)
    return weights


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
    problem = _problem(comparisons, prior, ties)
    return problem.posterior(*_mode(problem), prior)


def draws_of(
    comparisons: Comparisons, prior: Floats, ties: bool, number: int, rng: np.random.Generator
) -> Floats:
    """Strengths drawn from the posterior that `fit` approximates: (number, items).

    Elliptical slice sampling (Murray, Adams, MacKay 2010) in _CHAINS chains, with the normal around the mode, _WIDENED
    because tails are longer, in the place of the prior. Raises StatisticsError as `fit` does.
    """
    problem = _problem(comparisons, prior, ties)
    mode, _, curvature = _mode(problem)
    precision = curvature / _WIDENED**2
    roots = np.linalg.inv(np.linalg.cholesky(precision))  # of the normal's covariance

    def ratio(moved: Floats) -> Floats:
        """Logarithm of the posterior over the normal, at places relative to the mode."""
        found: Floats = problem.values(mode + moved) + ((moved @ precision) * moved).sum(axis=1) / 2
        return found

    moved: Floats = rng.standard_normal((_CHAINS, len(mode))) @ roots
    kept = []
    for sweep in range(_WARMING + math.ceil(number / _CHAINS)):
        moved = _slice(moved, rng.standard_normal(moved.shape) @ roots, ratio, rng)
        if sweep >= _WARMING:
            kept.append(mode + moved)
    return np.concatenate(kept)[:number, : comparisons.items]


def _slice(at: Floats, other: Floats, ratio: Callable[[Floats], Floats], rng: np.random.Generator) -> Floats:
    """One step of every chain, a line of `at` each, on the ellipse through it and a line of `other`."""
    least = ratio(at) + np.log(rng.random(len(at)))
    angle = rng.uniform(0, 2 * np.pi, len(at))
    low, high = angle - 2 * np.pi, angle.copy()
    found, left = at.copy(), np.arange(len(at))
    while len(left):
        found[left] = at[left] * np.cos(angle[left])[:, None] + other[left] * np.sin(angle[left])[:, None]
        left = left[ratio(found[left]) < least[left]]
        low[left] = np.where(angle[left] < 0, angle[left], low[left])
        high[left] = np.where(angle[left] < 0, high[left], angle[left])
        angle[left] = rng.uniform(low[left], high[left])
    return found


def _problem(comparisons: Comparisons, prior: Floats, ties: bool) -> _Problem:
    if not ties and comparisons.ties.any():
        msg = "ties were answered in a study that offers none; its database is damaged"
        raise StatisticsError(msg)
    return _Problem(comparisons, np.linalg.inv(prior).astype(np.float64), ties)


def _mode(problem: _Problem) -> tuple[Floats, float, Floats]:
    """The mode, the log posterior there and its negative curvature, by Newton's method. Raises StatisticsError."""
    at = problem.start()
    value = problem.value(at)
    for _ in range(_MOST_STEPS):
        gradient, curvature = problem.slopes(at)
        step = np.linalg.solve(curvature, gradient)
        gain = float(gradient @ step)
        if gain < 1e-14 * (1 + abs(value)):
            return at, value, curvature
        size = 1.0
        while (further := problem.value(at + size * step)) < value + 1e-4 * size * gain and size > 1e-10:
            size /= 2
        if size <= 1e-10:
            return at, value, curvature
        at, value = at + size * step, further
    msg = f"no mode found in {_MOST_STEPS} steps for {problem.answers} answers; please report this study"
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

    @property
    def answers(self) -> int:
        return self._counts.total

    def value(self, at: Floats) -> float:
        return float(self.values(at[None])[0])

    def values(self, at: Floats) -> Floats:
        """The log posterior, but for a constant, at every line of `at`."""
        strengths, counts = at[:, : self._items], self._counts
        difference = strengths[:, counts.first] - strengths[:, counts.second]
        log_nu = at[:, -1] if self._ties else np.full(len(at), _NO_TIES)
        scale = np.logaddexp(np.logaddexp(difference / 2, -difference / 2), log_nu[:, None])
        likelihood = difference @ (counts.wins - counts.losses) / 2 + counts.ties.sum() * log_nu * self._ties
        prior = ((strengths @ self._precision) * strengths).sum(axis=1)
        prior += (log_nu / _TIES_SPREAD) ** 2 * self._ties
        found: Floats = likelihood - scale @ self._each - prior / 2
        return found

    def slopes(self, at: Floats) -> tuple[Floats, Floats]:
        strengths = at[: self._items]
        difference = strengths[self._counts.first] - strengths[self._counts.second]
        log_nu = float(at[-1]) if self._ties else _NO_TIES
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
