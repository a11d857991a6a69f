"""Two results about the same images: the difference of each metric, and how sure it is (paired bootstrap)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .evaluation import Evaluation, Metric

ROUNDS = 1000
INTERVAL = 0.95
_SEED = 0


@dataclass(frozen=True)
class Difference:
    """A metric of two results."""

    metric: Metric  # of the first
    other: float
    low: float  # the interval in which the difference, first less other, lies with 95 % confidence
    high: float

    @property
    def value(self) -> float:
        """The first less the other."""
        return self.metric.value - self.other

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def compare(one: Evaluation, other: Evaluation, rounds: int = ROUNDS) -> tuple[Difference, ...]:
    """Compare two results by resampling the images, the same ones for both (Efron's percentile interval).

    Raises:
        InputError: the results are measured against other annotations.
    """
    images = np.array([image.id for image in one.annotations.images], np.int64)
    theirs = np.array([image.id for image in other.annotations.images], np.int64)
    if not np.array_equal(images, theirs) or len(one.annotations) != len(other.annotations):
        raise InputError("the results are measured against other annotations; give one file for both")
    shared = [m for m in one.comparable if m.name in {o.name for o in other.comparable}]
    random = np.random.default_rng(_SEED)
    differences: dict[str, list[float]] = {m.name: [] for m in shared}
    for _ in range(rounds):
        drawn = images[random.integers(0, len(images), len(images))]
        mine, others = one.over(drawn), other.over(drawn)
        for name, values in differences.items():
            values.append(mine[name] - others[name])
    all_of_it = other.over(images)
    edges = (50 * (1 - INTERVAL), 50 * (1 + INTERVAL))
    found = []
    for m in shared:
        drawn = np.array(differences[m.name])
        drawn = drawn[np.isfinite(drawn)]
        low, high = np.percentile(drawn, edges) if len(drawn) else (np.nan, np.nan)
        found.append(Difference(m, all_of_it[m.name], float(low), float(high)))
    return tuple(found)
