"""How often sequential looks are wrong, how many runs they take, and how their looks and shares were chosen."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from benchmarks.error_rates.populations import MARGIN, Array
from benchmarks.error_rates.simulations import draws
from prunecheck.analysis.simulated_looks import SimulatedLooks, look_at
from prunecheck.studies.looks import USUAL_LOOKS, USUAL_MAX_SEEDS, Look

FAMILIES = {1: 1, 6: 3, 40: 4}
"""Comparisons of a study, and how many of them share the method's own tickets."""

DEVIATIONS = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
"""Of the differences, points; a study has one of them, and nobody knows which."""

DIFFERENCES = {"0": 0.0, "margin -": MARGIN - 1e-9, "margin +": MARGIN + 1e-9, "2 margins": 2 * MARGIN}
"""True ones."""

DECIDED = 0.95
"""Share of comparisons that a fixed number of seeds is to decide."""

MOST = 50
"""Seeds of the studies whose runs are counted: with fewer the most variable ones stay undecided."""

IMAGES = 400
"""Of the test set of discrete differences."""

Noise = Callable[[numpy.random.Generator, tuple[int, ...], float], Array]


def _lognormal(sigma: float) -> Noise:
    spread = math.sqrt(math.expm1(sigma**2) * math.exp(sigma**2))

    def draw(generator: numpy.random.Generator, shape: tuple[int, ...], deviation: float) -> Array:
        centred = numpy.exp(generator.normal(0, sigma, shape)) - math.exp(sigma**2 / 2)
        return centred * (deviation / spread)

    return draw


def _normal(generator: numpy.random.Generator, shape: tuple[int, ...], deviation: float) -> Array:
    return generator.normal(0, deviation, shape)


NOISES: dict[str, Noise] = {
    "normal": _normal,
    "lognormal 0.25": _lognormal(0.25),
    "lognormal 0.5": _lognormal(0.5),
}
"""By name, with mean 0; the long tail is on the side of larger costs, where it makes ``does not use it`` wrong."""


def _of_images(generator: numpy.random.Generator, shape: tuple[int, ...], mean: float, deviation: float) -> Array:
    """Draw normal differences to the next image, up or down by lot so that their mean stays."""
    counts = generator.normal(mean, deviation, shape) * IMAGES / 100
    return numpy.floor(counts + generator.random(shape)) * 100 / IMAGES


def drawn_studies(studies: int, family: int, noise: str, mean: float, deviation: float, seeds: int) -> Array:
    """Return differences of studies: (studies, family, seeds); ``images`` is the noise of a small test set."""
    generator = draws("sequential", family, noise, f"{mean:.6f}", f"{deviation}")
    shape = (studies, family, seeds)
    if noise == "images":
        return _of_images(generator, shape, mean, deviation)
    return mean + NOISES[noise](generator, shape, deviation)


def is_wrong(found: SimulatedLooks, mean: float) -> Array:
    """Say which verdicts are wrong."""
    wrong: Array = found.is_decided & (found.is_less == (mean > MARGIN))
    return wrong


def shares_of_sequential(repetitions: int) -> list[dict[str, object]]:
    """Return how often any verdict of a family is wrong and how many are decided, for looks and one fixed number."""
    rows: list[dict[str, object]] = []
    looks, most = USUAL_LOOKS.up_to(USUAL_MAX_SEEDS), USUAL_MAX_SEEDS
    for family in FAMILIES:
        studies = max(repetitions // family, min(repetitions, 250))
        for noise in (*NOISES, "images"):
            images = IMAGES if noise == "images" else None
            for deviation in DEVIATIONS:
                for name, mean in DIFFERENCES.items():
                    differences = drawn_studies(studies, family, noise, mean, deviation, most)
                    row: dict[str, object] = {"family": family, "noise": noise, "sd": deviation, "difference": name}
                    for rule, taken in (("looks", looks), ("fixed", (Look(most, 1.0),))):
                        found = look_at(differences, MARGIN, taken, images)
                        row |= {f"{rule}: wrong": is_wrong(found, mean).any(axis=1).mean()}
                        row |= {f"{rule}: decided": found.is_decided.mean(), f"{rule}: seeds": found.seeds.mean()}
                    rows.append(row)
    return rows


DESIGNS: dict[str, tuple[tuple[int, ...], float]] = {
    "as used": (tuple(look.seeds for look in USUAL_LOOKS.looks), USUAL_LOOKS.first.share),
    "slower": ((5, 8, 12, 20, 30, 50), 0.2),
    "faster": ((5, 8, 12, 20, 30, 50), 0.5),
    "from 3": ((3, 5, 8, 12, 20, 30, 50), 0.35),
    "from 4": ((4, 6, 9, 14, 20, 30, 45), 0.35),
    "denser": ((5, 6, 8, 10, 14, 20, 30, 45), 0.3),
    "sparser": ((5, 10, 20, 40), 0.5),
}
"""Looks, and the share that each spends of what is left of the level."""


def runs_of_designs(repetitions: int) -> list[dict[str, object]]:
    """Return the mean number of runs of looks over that of the fixed number that decides 95 % of comparisons.

    For studies whose deviation nobody knows beforehand, and for each one known.
    """
    rows: list[dict[str, object]] = []
    for family, sharing in FAMILIES.items():
        studies = max(repetitions // (4 * family), min(repetitions, 100))
        for name, mean in (("0", 0.0), ("2 margins", 2 * MARGIN)):
            by_deviation = {
                str(deviation): drawn_studies(studies, family, "normal", mean, deviation, MOST)
                for deviation in DEVIATIONS
            }
            populations = {"unknown": numpy.concatenate(list(by_deviation.values())), **by_deviation}
            for deviation, differences in populations.items():
                enough = _enough(differences)
                for design, (numbers, spent) in DESIGNS.items():
                    series = [Look(seeds, spent * (1 - spent) ** index) for index, seeds in enumerate(numbers)]
                    taken = [look for look in series if look.seeds <= MOST]
                    found = look_at(differences, MARGIN, taken)
                    runs = found.runs(sharing, taken[0].seeds).mean()
                    fixed = None if enough is None else enough * (1 + family // sharing + family)
                    rows.append(
                        {
                            "family": family,
                            "difference": name,
                            "sd": deviation,
                            "design": design,
                            "fixed": enough,
                            "ratio": None if fixed is None else runs / fixed,
                            "decided": found.is_decided.mean(),
                        }
                    )
    return rows


def _enough(differences: Array) -> int | None:
    """Return the least fixed number of seeds that decides 95 % of comparisons."""

    def decides(seeds: int) -> bool:
        return bool(look_at(differences, MARGIN, (Look(seeds, 1.0),)).is_decided.mean() >= DECIDED)

    numbers: Sequence[int] = range(3, differences.shape[-1] + 1)
    if not decides(numbers[-1]):
        return None
    low, high = 2, numbers[-1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def worst_rows(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield for each family, noise and true difference the row of the deviation at which looks are wrong most often."""
    worst: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (row["family"], row["noise"], row["difference"])
        if key not in worst or row["looks: wrong"] > worst[key]["looks: wrong"]:
            worst[key] = row
    yield from worst.values()
