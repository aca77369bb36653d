"""Shares of studies that a rule gets wrong, or decides."""

import zlib
from collections.abc import Sequence

import numpy

from benchmarks.error_rates.populations import MARGIN, OF_IMAGES, POPULATIONS, Draw, harmless, heavy_tails, of_images
from benchmarks.error_rates.rules import RULES, Rule, guarded, t_test
from prunecheck.analysis.mean_test import ROUNDING
from prunecheck.analysis.statistics import LEVEL, seeds_to_decide

FAMILY = 6
"""Verdicts of the default check: two checks and random tickets, at two sparsities."""

DEVIATIONS = (0.5, 0.7, 0.9, 1.2, 1.5, 2.0)

LOOKS: dict[str, tuple[int, ...]] = {
    "once, at 5": (5,),
    "at 5 and 10": (5, 10),
    "at 5, 10, 15 and 20": (5, 10, 15, 20),
    "at 3 to 20": tuple(range(3, 21)),
    "at 5 to 50": tuple(range(5, 51)),
}

MOST_LOOKS = 5
"""At the numbers of seeds that tables name, before one gives up; at most this many times as many seeds as ever."""

MOST_FOLLOWED = 200
"""A larger number of seeds than this is not run."""


def draws(*purpose: str | int) -> numpy.random.Generator:
    """Return a generator for one use."""
    return numpy.random.default_rng(zlib.crc32("/".join(str(part) for part in purpose).encode()))


def shares_of_rules(repetitions: int, numbers: Sequence[int]) -> list[dict[str, object]]:
    """Return, per population, number of seeds and rule, how often it says that the mean lies below the margin."""
    populations: dict[str, Draw] = {f"wrong: {name}": draw for name, draw in POPULATIONS.items()}
    populations |= {f"right: normal, sd {deviation}": harmless(deviation) for deviation in DEVIATIONS}
    populations["right: t of 3 degrees"] = heavy_tails
    rows: list[dict[str, object]] = []
    for name, draw in populations.items():
        for n in numbers:
            differences = draw(draws(name, n), (repetitions, n))
            for rule, p_values in RULES.items():
                p = p_values(differences, MARGIN)
                alone, among = ((p < level).mean() for level in (LEVEL, LEVEL / FAMILY))
                rows.append({"population": name, "seeds": n, "rule": rule, "alone": alone, "among": among})
    return rows


def shares_of_families(repetitions: int, numbers: Sequence[int]) -> list[dict[str, object]]:
    """Return how often any verdict of a family, all of which are wrong, stands after Holm's correction."""
    rows: list[dict[str, object]] = []
    for name, draw in POPULATIONS.items():
        for n in numbers:
            for family in (1, 6, 40):
                studies = max(repetitions // family, 1000)
                differences = draw(draws("family", name, n, family), (studies * family, n))
                for rule, p_values in (("t", t_test), ("guard 1", guarded())):
                    smallest = p_values(differences, MARGIN).reshape(studies, family).min(axis=1)
                    share = (smallest < LEVEL / family).mean()
                    rows.append({"population": name, "seeds": n, "family": family, "rule": rule, "wrong": share})
    return rows


def shares_of_images(repetitions: int, numbers: Sequence[int]) -> list[dict[str, object]]:
    """Return how often a test set of few images leads to a wrong verdict."""
    rows: list[dict[str, object]] = []
    for kind in OF_IMAGES:
        for images in (50, 100, 400, 2000):
            for n in numbers:
                differences = of_images(kind, images)(draws(kind, images, n), (repetitions, n))
                rules: dict[str, Rule] = {"t": t_test, "guard 1": guarded(), "with images": guarded(1.0, images)}
                row: dict[str, object] = {"kind": kind, "images": images, "seeds": n}
                rows.append(row | {rule: (p(differences, MARGIN) < LEVEL).mean() for rule, p in rules.items()})
    return rows


def shares_of_looks(repetitions: int, deviation: float = 2.0) -> list[dict[str, object]]:
    """Return how often a verdict that is wrong is reached when seeds are added until there is one."""
    rows: list[dict[str, object]] = []
    for rule, p_values in (("t", t_test), ("guard 1", guarded())):
        for name, looks in LOOKS.items():
            differences = draws("looks", name).normal(MARGIN, deviation, (repetitions, max(looks)))
            wrong = numpy.zeros(repetitions, dtype=bool)
            for n in looks:
                wrong |= p_values(differences[:, :n], MARGIN) < LEVEL
            rows.append({"looks": name, "rule": rule, "wrong": wrong.mean()})
    for first in (3, 5):
        for rule, p_values in (("t", t_test), ("guard 1", guarded())):
            found = [
                _followed(draws("followed", first, study), p_values, first, deviation) for study in range(repetitions)
            ]
            rows.append({"looks": f"at {first}, then as the table says", "rule": rule, "wrong": numpy.mean(found)})
    return rows


def _followed(generator: numpy.random.Generator, p_values: Rule, n: int, deviation: float) -> bool:
    """Say whether a wrong verdict is reached by a user who runs the number of seeds that the table names."""
    differences = generator.normal(MARGIN, deviation, (1, MOST_FOLLOWED))
    for _ in range(MOST_LOOKS):
        seen = differences[:, :n]
        if p_values(seen, MARGIN)[0] < LEVEL:
            return True
        if p_values(-seen, -MARGIN)[0] < LEVEL:
            return False  # decided the other way
        distance, spread = float(abs(seen.mean() - MARGIN)), float(seen.std(ddof=1))
        needed = _plain_seeds(distance, spread) if p_values is t_test else seeds_to_decide(distance, spread)
        if needed is None or needed > MOST_FOLLOWED:
            return False
        n = max(needed, n + 1)
    return False


def _plain_seeds(distance: float, deviation: float) -> int | None:
    """Return how many seeds let the t test decide if mean and deviation stay as they are."""
    from scipy.special import stdtrit

    numbers = numpy.arange(2, MOST_FOLLOWED + 1)
    enough = distance > -stdtrit(numbers - 1, LEVEL) * max(deviation, ROUNDING) / numpy.sqrt(numbers)
    return int(numbers[enough.argmax()]) if enough.any() else None
