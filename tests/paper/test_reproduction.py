import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest
from scipy import stats

from prunecheck.cli.output import print_out
from prunecheck.metrics import Margin
from prunecheck.paper.published_accuracies import EpochChoice, PublishedAccuracy
from prunecheck.paper.reproduction import Agreement, Reproduced, beside_published, differences
from prunecheck.paper.reproduction_tables import (
    reproduction_json,
    reproduction_tables,
    sources_text,
    summary_line,
)
from prunecheck.pruning import Collapse, find_method
from prunecheck.report.formats.markdown import markdown
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.training import Recipe

Outcomes = Mapping[str, Sequence[float | None]]
"""Per ticket (``own``, ``dense``, ``random-smart``, or a check's), an accuracy per seed, None for a collapse."""

OWN = [92.0, 92.4, 92.2]
"""Mean 92.2, deviation 0.2."""

NUMBER = PublishedAccuracy(
    source="Someone 2020 (arXiv:0000.00000)",
    dataset="digits",
    model="resnet32",
    listed_as="resnet32",
    network="ResNet32",
    method="snip",
    check=None,
    sparsity=0.9,
    accuracy=92.2,
    seeds=None,
    recipe=Recipe(),
    batch_size=64,
    epoch_choice=EpochChoice.LAST,
    normalize=None,
    samples_per_class=10,
    scoring_rounds=1,
    differs="",
    doubt="",
    collapsed=False,
    note="",
)


def question(**changes: Any) -> CheckStudy:
    asked = CheckStudy(
        method=find_method("snip"),
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model="resnet32",
        width=32,
        sparsities=(0.9,),
        checks=("rearrange-mask",),
        baseline=find_method("random-smart"),
        seeds=range(3),
        samples_per_class=10,
        scoring_rounds=1,
        recipe=Recipe(),
        margin=Margin(2.0),
    )
    return replace(asked, **changes)


def result_of(accuracy: float | None, best_is_higher_by: float = 0.0) -> RunResult:
    return RunResult(
        status=Status.COLLAPSED if accuracy is None else Status.TRAINED,
        accuracy=accuracy,
        best_accuracy=None if accuracy is None else accuracy + best_is_higher_by,
        epochs=160,
        chance=10.0,
        sparsity=0.9,
        kept={},
        collapse=Collapse("fc", "no weight is left") if accuracy is None else None,
        reason=None,
        seconds=1.0,
        device="cpu",
        versions={},
    )


def reproduced(
    outcomes: Outcomes, published: Sequence[PublishedAccuracy], best_is_higher_by: float = 0.0, **changes: Any
) -> dict[str, Reproduced]:
    """Return what is found by ticket, of a question whose runs have ended so; a published number each at most."""
    asked = question(**changes)
    found: dict[RunSpec, RunResult] = {}
    for ticket, accuracies in outcomes.items():
        for seed, accuracy in zip(asked.seeds, accuracies, strict=False):
            run = {
                "dense": asked.dense_run(seed),
                "own": asked.method_run(0.9, None, seed),
                "random-smart": asked.baseline_run(0.9, seed),
            }.get(ticket) or asked.method_run(0.9, ticket, seed)
            found[run] = result_of(accuracy, best_is_higher_by)
    rows = beside_published([asked.question], found, published)
    return {
        row.measured.check or ("own" if row.measured.method == "snip" else row.measured.method): row for row in rows
    }


def verdict(accuracies: Sequence[float | None], published: PublishedAccuracy, **changes: Any) -> Agreement | None:
    return reproduced({"own": accuracies}, [published], **changes)["own"].verdict


def test_every_ticket_stands_once_with_its_mean_and_deviation() -> None:
    tickets = ["dense", "own", "rearrange-mask", "random-smart"]
    rows = reproduced({ticket: [number, number + 1, number + 2] for number, ticket in enumerate(tickets, 90)}, [])
    assert list(rows) == tickets
    for number, row in enumerate(rows.values(), 90):
        assert (row.accuracies.mean, row.accuracies.std) == (number + 1, 1.0)
        assert (row.published, row.verdict) == (None, None)
    assert [row.measured.sparsity for row in rows.values()] == [0.0, 0.9, 0.9, 0.9]


def test_questions_that_share_tickets_show_them_once() -> None:
    asked = [question(), question(method=find_method("grasp"))]
    rows = beside_published([one.question for one in asked], {}, [])
    assert [(row.measured.method, row.measured.check) for row in rows] == [
        ("dense", None),
        ("snip", None),
        ("snip", "rearrange-mask"),
        ("random-smart", None),
        ("grasp", None),
        ("grasp", "rearrange-mask"),
    ]


def test_a_check_that_cannot_reach_a_method_keeps_its_own_published_number() -> None:
    asked = question(method=find_method("magnitude"), checks=("corrupted-data",))
    about = replace(NUMBER, method="magnitude")
    numbers = [replace(about, accuracy=91.0), replace(about, accuracy=92.0, check="corrupted-data")]
    rows = beside_published([asked.question], {}, numbers)
    assert [row.published and row.published.accuracy for row in rows if row.measured.method == "magnitude"] == [91, 92]


@pytest.mark.parametrize("seeds", [None, 5])
def test_a_published_mean_is_within_the_t_interval_of_the_measured_mean_or_not(seeds: int | None) -> None:
    low, high = map(float, stats.ttest_1samp(OWN, 0).confidence_interval(0.95))
    found = [
        verdict(OWN, replace(NUMBER, accuracy=accuracy, seeds=seeds))
        for accuracy in (low - 0.01, low + 0.01, high - 0.01, high + 0.01)
    ]
    assert found == ["above", "within", "within", "below"]


def test_a_published_single_run_is_within_the_prediction_interval_or_not() -> None:
    half = stats.t.ppf(0.975, 2) * 0.2 * math.sqrt(1 + 1 / 3)
    for distance, outer in ((half - 0.01, None), (half + 0.01, "out")):
        above = verdict(OWN, replace(NUMBER, accuracy=92.2 - distance, seeds=1))
        below = verdict(OWN, replace(NUMBER, accuracy=92.2 + distance, seeds=1))
        assert (above, below) == (("above", "below") if outer else ("within", "within"))


def test_intervals_hold_what_they_promise() -> None:
    draws, inside = numpy.random.default_rng(5), {True: 0, False: 0}
    for _ in range(800):
        *own, other = draws.normal(92, 0.3, 5).tolist()
        row = reproduced({"own": own}, [NUMBER], seeds=range(4))["own"]
        for of_one_run, value in ((True, other), (False, 92.0)):
            low, high = row.accuracies.interval(of_one_run) or (math.nan, math.nan)
            inside[of_one_run] += low <= value <= high
    for count in inside.values():
        assert count / 800 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 800))


def test_one_seed_gives_no_verdict() -> None:
    row = reproduced({"own": [92.2]}, [NUMBER], seeds=[0])["own"]
    assert (row.verdict, row.interval) == ("no interval from one seed", None)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([92.2, 92.4], "not done"),
        ([], "not done"),
        ([None, None, 92.0], "collapsed"),
        ([None, None, None], "collapsed"),
        ([None, 92.2, 92.3], "within"),
    ],
)
def test_what_is_missing_or_collapsed_is_said(accuracies: list[float | None], expected: str) -> None:
    assert verdict(accuracies, NUMBER) == expected
    without = reproduced({"own": accuracies}, [])["own"]
    assert without.verdict == (None if expected == "within" else expected)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"recipe": Recipe(epochs=20, milestones=(10, 15))}, "recipe"),
        ({"recipe": Recipe(batch_size=128)}, "recipe"),
        ({"width": 16}, "network"),
        ({"model": "resnet8", "width": 32}, "network"),
        ({"train_images": 100}, "images"),
        ({"test_images": 100}, "images"),
        ({"augment": "none"}, "images"),
        ({"normalize": "none"}, "normalisation"),
        ({"samples_per_class": 5}, "samples"),
        ({"scoring_rounds": 2}, "samples"),
    ],
    ids=str,
)
def test_another_setting_than_the_published_one_is_shown_and_not_compared(
    changes: dict[str, Any], differs: str
) -> None:
    assert differences(question().method_run(0.9, None, 0), NUMBER) == ()
    rows = reproduced({"own": OWN}, [NUMBER], **changes)
    assert rows["own"].published == NUMBER
    assert (rows["own"].verdict, rows["own"].differences) == ("not comparable", (differs,))


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"recipe": None}, "recipe not said"),
        ({"recipe": Recipe(weight_decay=5e-4)}, "recipe"),
        ({"normalize": "mean=0.5 std=0.2"}, "normalisation"),
        ({"samples_per_class": 5}, "samples"),
        ({"differs": "scored in evaluation mode"}, "scored in evaluation mode"),
    ],
    ids=str,
)
def test_a_number_of_another_setting_is_shown_and_not_compared(changes: dict[str, Any], differs: str) -> None:
    row = reproduced({"own": OWN}, [replace(NUMBER, **changes)])["own"]
    assert (row.verdict, row.differences) == ("not comparable", (differs,))


def test_a_dense_network_has_no_samples_that_could_differ() -> None:
    number = replace(NUMBER, method="dense", sparsity=0.0, samples_per_class=5)
    assert reproduced({"dense": OWN}, [number])["dense"].verdict == "within"


def test_the_best_epoch_is_compared_with_the_best_epoch() -> None:
    last, best = (
        reproduced({"own": OWN}, [replace(NUMBER, epoch_choice=choice)], best_is_higher_by=1.0)["own"]
        for choice in (EpochChoice.LAST, EpochChoice.BEST)
    )
    assert (last.verdict, best.verdict) == (Agreement.WITHIN, Agreement.ABOVE)
    assert [row.accuracies.mean for row in (last, best)] == pytest.approx([92.2, 93.2])
    (cells,) = [row for group in reproduction_tables([best])[0].groups for row in group.rows]
    assert "93.20 ± 0.20 (best epoch)" in cells
    assert reproduction_json([best])[0]["epoch_choice"] == "best"


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(92.0, "not comparable"), (90.0, "above"), (95.0, "below"), (92.65, "within")]
)
def test_where_the_epoch_is_not_said_only_what_holds_of_the_last_and_the_best_one_is_said(
    accuracy: float, expected: str
) -> None:
    number = replace(NUMBER, accuracy=accuracy, epoch_choice=EpochChoice.NOT_SAID)
    row = reproduced({"own": OWN}, [number], best_is_higher_by=0.8)["own"]
    assert row.verdict == expected
    assert row.differences == (("last or best epoch not said",) if expected == "not comparable" else ())


def test_a_number_that_looks_wrong_is_shown_with_the_reason() -> None:
    rows = list(reproduced({"own": OWN}, [replace(NUMBER, doubt="nothing was pruned")]).values())
    (table,) = reproduction_tables(rows)
    assert any(
        "the published one looks wrong [a]" in cell for group in table.groups for row in group.rows for cell in row
    )
    assert sources_text(rows).endswith(";\n[a] nothing was pruned")
    (own,) = [row for row in reproduction_json(rows) if row["published"]]
    assert own["published"]["doubt"] == "nothing was pruned"


def test_a_network_of_another_family_has_no_published_number_beside_it() -> None:
    assert reproduced({"own": OWN}, [NUMBER], model="vgg11_bn", width=None)["own"].published is None
    assert reproduced({"own": OWN}, [replace(NUMBER, model="vgg19_bn")])["own"].published is None


def test_only_data_that_their_name_determines_are_the_published_ones() -> None:
    run = question().method_run(0.9, None, 0)
    assert differences(run.changed(dataset_hash="0" * 64), NUMBER) == ("images",)


@pytest.mark.parametrize(
    "change", [{"dataset": "cifar10"}, {"method": "grasp"}, {"check": "reinit"}, {"sparsity": 0.95}], ids=str
)
def test_numbers_about_something_else_stay_away(change: dict[str, Any]) -> None:
    rows = reproduced({"own": OWN}, [replace(NUMBER, **change)])
    assert all(row.published is None for row in rows.values())


def test_several_sources_stand_in_lines_of_their_own() -> None:
    numbers = [NUMBER, replace(NUMBER, source="Other", accuracy=80.0, seeds=1)]
    asked = question()
    found = {asked.method_run(0.9, None, seed): result_of(accuracy) for seed, accuracy in enumerate(OWN)}
    rows = [row for row in beside_published([asked.question], found, numbers) if row.published]
    assert [(row.published.source, row.verdict) for row in rows if row.published] == [
        (NUMBER.source, "within"),
        ("Other", "above"),
    ]


def shown_rows() -> list[Reproduced]:
    outcomes: Outcomes = {
        "dense": [95.0] * 3,
        "own": OWN,
        "rearrange-mask": [None, 91.0, 92.0],
        "random-smart": [None] * 3,
    }
    numbers = [
        NUMBER,
        replace(NUMBER, check="rearrange-mask", accuracy=10.0, seeds=1, collapsed=True, batch_size=128),
        replace(NUMBER, method="random-smart", accuracy=92.0),
    ]
    return list(reproduced(outcomes, numbers).values())


def test_the_tables_hold_the_same_numbers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = shown_rows()
    monkeypatch.setenv("COLUMNS", "160")
    print_out(*reproduction_tables(rows))
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    lines = markdown(reproduction_tables(rows)).splitlines()
    assert printed[0] == lines[0].removeprefix("## ") == "digits, resnet32 of width 32"
    expected = [
        ["dense", "95.00 ± 0.00", "95.00 to 95.00", "", ""],
        ["snip", "92.20 ± 0.20", "91.70 to 92.70", "92.20 [1]", "within"],
        [
            "snip + rearrange-mask",
            "91.50 ± 0.71",
            "80.50 to 102.50 *",
            "10.00 [2]",
            "above; 1 of 3 not trained; the published one collapsed",
        ],
        ["random-smart", "-", "-", "92.00 [1]", "collapsed; 3 of 3 not trained"],
    ]
    assert lines[2] == "| tickets | measured | 95 % interval | published | verdict |"
    assert lines.index("| **sparsity 0.9** |  |  |  |  |") == lines.index(f"| {' | '.join(expected[0])} |") + 1
    unescaped = [re.sub(r"\\(?=[][*])", "", line) for line in lines]
    for cells in expected:
        assert f"| {' | '.join(cells)} |" in unescaped
        name, *others = cells
        assert " ".join(filter(None, [name.split()[0], *others])) in printed  # a long name goes on in a line below
    assert printed.index("sparsity 0.9") == min(index for index, line in enumerate(printed) if "snip" in line) - 1
    source = "Someone 2020 (arXiv:0000.00000)"
    assert sources_text(rows) == f"[1] {source}, batches of 64;\n[2] {source}, one run, batches of 128"


def test_json_holds_what_the_tables_show() -> None:
    dense, own, changed, random = reproduction_json(shown_rows())
    assert (dense["published"], dense["verdict"], dense["n"]) == (None, "", 3)
    assert (own["accuracy"], own["deviation"], own["interval_of"]) == (92.2, 0.2, "mean")
    assert own["interval"] == pytest.approx(list(stats.ttest_1samp(OWN, 0).confidence_interval(0.95)), abs=1e-4)
    assert (changed["untrained"], changed["runs"], changed["interval_of"]) == (1, 3, "one run")
    assert (changed["published"]["accuracy"], changed["published"]["collapsed"]) == (10.0, True)
    assert (random["accuracy"], random["interval"], random["verdict"]) == (None, None, "collapsed")


def test_the_sentence_counts_what_is_compared() -> None:
    assert summary_line(shown_rows()) == "Of 3 published numbers, 2 are compared: 1 within, 1 above, 0 below."
    short = list(reproduced({"own": OWN}, [NUMBER], train_images=100).values())
    assert summary_line(short) == "None of 1 published number is compared."
    assert summary_line([]) == "No published number is known for these."


def test_names_do_not_break_the_lines_of_markdown() -> None:
    row = reproduced({"own": OWN}, [NUMBER])["own"]
    named = replace(row, measured=replace(row.measured, method="a|b.py:score"))
    assert "| a\\|b.py:score | " in markdown(reproduction_tables([named]))


def test_rows_stand_in_the_order_of_their_sparsities() -> None:
    asked = [question(sparsities=(0.95, 0.9)), question(sparsities=(0.9, 0.95), method=find_method("grasp"))]
    (table,) = reproduction_tables(beside_published([one.question for one in asked], {}, []))
    found = [group.title.removeprefix("sparsity ") for group in table.groups[1:] for _ in group.rows]
    assert found == ["0.9"] * 5 + ["0.95"] * 5
