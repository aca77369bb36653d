"""``prunecheck seeds`` says how many seeds a question needs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from prunecheck.cli.arguments import Whole
from prunecheck.cli.options import Json, Margin, MaxSeeds, Metric
from prunecheck.constraints import Constraint, Number, OrNone, WholeNumber, require_all
from prunecheck.errors import InputError

if TYPE_CHECKING:
    from prunecheck.analysis.power import PairedTest
    from prunecheck.metrics import Quantity

POWER: Mapping[str, Constraint[Any]] = {
    "sd": Number(at_least=0, what="a standard deviation"),
    "power": Number(above=0, below=1, what="a chance", such_as=0.8),
    "verdicts": WholeNumber(),
    "test_images": OrNone(WholeNumber()),
}
"""What the options take that are about power alone."""

USUAL_NUMBERS = (3, 5, 10)
"""Of seeds, whose power is shown beside the number that is needed."""


def seeds(
    *,
    sd: Annotated[float, Parameter(show_default=False)],
    metric: Metric = "accuracy",
    margin: Margin = None,
    power: float = 0.8,
    difference: float = 0.0,
    verdicts: Whole = 1,
    test_images: Whole | None = None,
    max_seeds: MaxSeeds = None,
    json: Json = False,
) -> None:
    """Say how many seeds decide a question, how often fewer would, and how many --seeds auto takes.

    Nothing is run: the numbers are the power of the tests that the verdicts follow from, for differences that vary
    normally. What befalls few seeds is missed by few seeds, whatever the power: the last line says how few.

    Parameters
    ----------
    sd
        Standard deviation of the differences between two runs of one seed, in points of accuracy, or in the unit of the
        metric, or in percent where the margin is: as in the field deviation of `prunecheck check --json`, or from a
        few runs of your own.
    power
        Chance that the runs decide, in (0, 1).
    difference
        What a change truly costs, or by how much a method's tickets are truly better than random ones, in the same
        unit.
    verdicts
        How many verdicts the report has, one for each check and sparsity: the more, the more seeds each of them needs,
        so that all of them together are wrong in at most 5 %.
    test_images
        How many images the test set has: below some thousand, what one of them is worth and what chance does to them
        is part of the error.
    """
    from prunecheck.metrics import find_metric
    from prunecheck.studies.question import AUTO, read_margin, read_seeds

    judged_by = find_metric(metric)
    stated = read_margin(judged_by.quantity, margin, judged_by.usual_margin)
    quantity, least = stated.quantity(judged_by.quantity), stated.amount
    given = {"sd": sd, "margin": least, "power": power, "difference": difference, "verdicts": verdicts}
    require_all({**POWER, "difference": _difference_of(quantity)}, given | {"test_images": test_images})
    if test_images is not None and not judged_by.counts_images:
        raise InputError(f"{quantity.name} is not a percentage of test images: leave --test-images out.")
    if abs(difference) == least:
        raise InputError(
            f"no number of seeds decides on which side of the margin a difference of just {quantity.amount(least)} "
            "lies: give a --difference that is less, or more."
        )

    from prunecheck.analysis.power import baseline_test, check_test
    from prunecheck.analysis.statistics import LEVEL

    level = LEVEL / verdicts
    tests = {
        _verdict_of_check(difference, least): check_test(difference, least, sd, level, test_images),
        _verdict_of_baseline(difference, least): baseline_test(difference, least, sd, level, test_images),
    }
    asked = {
        "metric": quantity.name,
        "unit": quantity.unit,
        "sd": sd,
        "margin": least,
        "differences_in": quantity.unit_of_differences,
        "power": power,
        "difference": difference,
        "verdicts": verdicts,
        "level": level,
        "test_images": test_images,
    }
    auto = _auto(asked, read_seeds(AUTO, max_seeds)[0])
    if json:
        _print_json(asked | {"auto": auto}, tests)
    else:
        _print_table(asked, tests, quantity, _auto_text(auto))


def _auto(asked: dict[str, Any], seeds: "Sequence[int]") -> dict[str, Any]:
    """Return what looks at growing numbers of seeds come to, for verdicts about checks; by simulation."""
    from prunecheck.analysis.simulated_looks import expected_looks
    from prunecheck.studies.looks import USUAL_LOOKS

    looks = USUAL_LOOKS.up_to(len(seeds))
    found = expected_looks(
        asked["verdicts"],
        asked["sd"],
        looks,
        difference=asked["difference"],
        margin=asked["margin"],
        test_images=asked["test_images"],
    )
    return {
        "looks": [look.seeds for look in looks],
        "mean_seeds": round(float(found.seeds.mean()), 2),
        "decided": round(float(found.is_decided.mean()), 4),
    }


def _auto_text(auto: dict[str, Any]) -> str:
    *first, last = map(str, auto["looks"])
    looks = f"looks at {', '.join(first)} and {last} seeds" if first else f"a look at {last} seeds"
    return (
        f"with --seeds auto ({looks}) a verdict about a check takes {auto['mean_seeds']:.1f} seeds in the mean, and "
        f"{100 * auto['decided']:.0f} % are decided in the end (by simulation)"
    )


def _difference_of(quantity: "Quantity") -> Constraint[float]:
    if quantity.is_percent:
        return Number(at_least=-100, at_most=100, what=quantity.differences_of)
    return Number(what=f"an amount of {quantity}")


def _verdict_of_check(difference: float, margin: float) -> tuple[str, str]:
    from prunecheck.analysis.verdicts import Verdict

    return "check", Verdict.USES if difference > margin else Verdict.DOES_NOT_USE


def _verdict_of_baseline(difference: float, margin: float) -> tuple[str, str]:
    from prunecheck.analysis.verdicts import Verdict

    if abs(difference) < margin:
        return "random tickets", Verdict.EQUIVALENT
    return "random tickets", Verdict.BETTER if difference > 0 else Verdict.WORSE


def _numbers_shown(test: "PairedTest", power: float) -> tuple[int | None, dict[int, float]]:
    """Return the number of seeds that is needed, and the power of it and of usual numbers."""
    needed = test.seeds(power)
    numbers = sorted({*USUAL_NUMBERS, *([needed] if needed else [])})
    return needed, {n: test.power(n) for n in numbers}


def _print_json(asked: dict[str, Any], tests: "dict[tuple[str, str], PairedTest]") -> None:
    import json

    from prunecheck.analysis.statistics import unseen_share

    answers = []
    for (kind, verdict), test in tests.items():
        needed, powers = _numbers_shown(test, asked["power"])
        by_seeds = {str(n): round(power, 4) for n, power in powers.items()}
        unseen = {str(n): round(unseen_share(n), 4) for n in powers}
        answers.append(
            {
                "of": kind,
                "verdict": verdict,
                "seeds": needed,
                "power_by_seeds": by_seeds,
                "unseen_share_by_seeds": unseen,
            }
        )
    print(json.dumps({"schema": 1, **asked, "answers": answers}, indent=2, allow_nan=False))


def _print_table(
    asked: dict[str, Any], tests: "dict[tuple[str, str], PairedTest]", quantity: "Quantity", auto: str
) -> None:
    from prunecheck.analysis.statistics import MOST_SEEDS
    from prunecheck.cli.output import print_out
    from prunecheck.report.table import Table, numbers, one_group, words

    note = (
        "power: the chance that so many seeds decide, if the differences vary normally with this standard deviation; "
        f"one-sided tests, each at a level of {100 * asked['level']:.2g} %"
    )
    columns = (*words("about", "verdict"), *numbers("seeds needed", *(f"power of {n}" for n in USUAL_NUMBERS)))
    rows = []
    for (kind, verdict), test in tests.items():
        needed, powers = _numbers_shown(test, asked["power"])
        shown = f"more than {MOST_SEEDS:,}" if needed is None else f"{needed}"
        rows.append((kind, verdict, shown, *(f"{powers[n]:.2f}" for n in USUAL_NUMBERS)))
    print_out(Table(_title(asked, quantity), columns, one_group(rows), (note, auto, _unseen())))


def _unseen() -> str:
    """Return what usual numbers of seeds cannot know of."""
    from prunecheck.analysis.statistics import unseen_share

    shares = [f"{100 * unseen_share(n):.0f} %" for n in USUAL_NUMBERS]
    numbers = [f"{n}" for n in USUAL_NUMBERS]
    return (
        f"what befalls less than {_listed(shares)} of all seeds, such as a training that fails, may befall none of "
        f"{_listed(numbers)} (chance over 5 %)"
    )


def _listed(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]


def _title(asked: dict[str, Any], quantity: "Quantity") -> str:
    of = "a verdict" if asked["verdicts"] == 1 else f"each of {asked['verdicts']} verdicts"
    return (
        f"{of} reached with power {asked['power']:g}: differences of {asked['difference']:g} ± "
        f"{quantity.amount(asked['sd'])}, margin {asked['margin']:g}"
    )
