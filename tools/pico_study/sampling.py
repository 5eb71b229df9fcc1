"""Which pair to ask about next: the one whose answer is expected to tell most, and now and then any pair.

The expected information of a pair is the mutual information between its answer and the strengths, under the Laplace
posterior of the answers so far. An answer depends on the strengths only through the difference d of two of them,
which is normal, so it is an integral over one variable (Gauss-Hermite quadrature).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pico_study.bradley_terry import Floats, Indices, Posterior, probabilities

RANDOM_SHARE = 0.2
_NEARLY_BEST = 0.9
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def expected_information(posterior: Posterior, first: Indices, second: Indices) -> Floats:
    """Expected information, in nats, of one answer to each pair of items."""
    mean = posterior.mean[first] - posterior.mean[second]
    covariance = posterior.covariance
    variance = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    spread = np.sqrt(np.maximum(variance, 0))
    chances = np.stack(probabilities(mean[:, None] + spread[:, None] * _NODES, posterior.log_nu))
    overall = _entropy(chances @ _WEIGHTS)
    information: Floats = overall - _entropy(chances) @ _WEIGHTS
    return information


def _entropy(chances: Floats) -> Floats:
    """Of distributions along the first axis, in nats."""
    safe = np.maximum(chances, 1e-300)
    entropy: Floats = -(safe * np.log(safe)).sum(axis=0)
    return entropy


def choose(
    posterior: Posterior, pairs: Sequence[tuple[int, int]], answers: Floats, rng: np.random.Generator
) -> tuple[int, str]:
    """The place in `pairs` of the next one to ask about, and by which rule it was chosen.

    One time in five ("random") it is any pair of the conditions with the fewest answers, so that the graph of
    comparisons stays connected whatever the model believes. Otherwise ("information") it is any of the pairs whose
    expected information is at least 90 % of the best one's: raters who answer at the same time then seldom get the
    same pair. `answers` is the number of answers that each item took part in.
    """
    first, second = np.array(pairs, dtype=np.intp).T
    if rng.random() < RANDOM_SHARE:
        seen = answers[first] + answers[second]
        return int(rng.choice(np.flatnonzero(seen == seen.min()))), "random"
    information = expected_information(posterior, first, second)
    good = np.flatnonzero(information >= _NEARLY_BEST * information.max())
    return int(rng.choice(good)), "information"
