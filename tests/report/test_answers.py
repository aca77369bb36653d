import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from html import unescape
from typing import Any

import pytest
from rich.console import Console

from prunecheck.analysis.families import Conclusion
from prunecheck.report import answer_html, answer_json, answer_latex, answer_markdown, answer_table
from prunecheck.report.reading import reading

Conclude = Callable[..., Conclusion]
N = 6
OWN = [80.0 + 0.25 * seed for seed in range(N)]
CHANGED: dict[str | None, list[float] | list[str]] = {
    "rearrange-mask": [accuracy - 10 - 0.1 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
    "corrupted-data": [accuracy - 0.1 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
    "shuffle-weights": [accuracy - 1 + 3 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
    "reinit": ["collapsed"] * N,
}
BASELINES: dict[str, list[float]] = {
    "better": [accuracy - 10 - 0.1 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
    "worse": [accuracy + 10 - 0.1 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
    "equivalent": [accuracy - 0.1 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
    "undecided": [accuracy + 20 * (-1) ** seed for seed, accuracy in enumerate(OWN)],
}
KEYS = {"method", "sparsity", "check", "accuracy", "changed_accuracy", "difference", "interval", "n", "verdict"}


@pytest.fixture(scope="module")
def every_verdict(conclude: Conclude) -> Conclusion:
    outcomes: dict[tuple[float, str | None], list[float] | list[str]] = {}
    for sparsity, random in zip((0.5, 0.8, 0.9, 0.95), BASELINES.values(), strict=True):
        outcomes[sparsity, None] = OWN
        outcomes |= {(sparsity, check): changed for check, changed in CHANGED.items()}
        outcomes[sparsity, "random-smart"] = random
    return conclude(outcomes, dense=97.25)


def as_user_reads_it(answer: Conclusion) -> dict[str, Any]:
    """Write and read again what the command prints; anything that is not a JSON number is refused."""
    return dict(json.loads(json.dumps(answer_json(answer), allow_nan=False)))


def test_json_has_an_item_per_check_and_sparsity_and_a_baseline_per_sparsity(every_verdict: Conclusion) -> None:
    found = as_user_reads_it(every_verdict)
    verdicts = {(item["sparsity"], item["check"]): item["verdict"] for item in found["verdicts"]}
    assert len(found["verdicts"]) == len(verdicts) == 16
    expected = {
        "rearrange-mask": "uses it",
        "corrupted-data": "does not use it",
        "shuffle-weights": "undecided",
        "reinit": "collapsed",
    }
    assert verdicts == {(sparsity, check): expected[check] for sparsity in (0.5, 0.8, 0.9, 0.95) for check in expected}
    baselines = {item["verdict"]: item for item in found["baselines"]}
    assert list(baselines) == ["better", "worse", "equivalent", "undecided"]
    assert {item["check"] for item in found["baselines"]} == {"random-smart"}
    assert all(item.keys() >= KEYS and item["method"] == "snip" for item in found["verdicts"] + found["baselines"])


def test_json_numbers_are_those_of_the_runs(every_verdict: Conclusion) -> None:
    found = as_user_reads_it(every_verdict)
    item = found["verdicts"][0]
    assert found["dense"]["accuracy"] == 97.25
    assert item["accuracy"] == pytest.approx(sum(OWN) / N, abs=1e-4)
    assert item["changed_accuracy"] == pytest.approx(sum(OWN) / N - 10, abs=1e-4)
    assert (item["difference"], item["n"]) == (10.0, N)
    low, high = item["interval"]
    assert 9.8 < low < 10 < high < 10.2
    assert low + high == pytest.approx(20.0, abs=1e-3)


def test_json_of_collapsed_tickets_has_no_number_for_them_but_names_them(every_verdict: Conclusion) -> None:
    item = next(item for item in as_user_reads_it(every_verdict)["verdicts"] if item["check"] == "reinit")
    assert (item["changed_accuracy"], item["difference"], item["interval"], item["n"]) == (None, None, None, 0)
    assert item["changed_lost"] == [
        {"seed": seed, "status": "collapsed", "layer": "layer2.0.conv1", "reason": "no weight is left"}
        for seed in range(N)
    ]
    assert (item["lost"], item["pairs"]) == ([], [])
    assert item["lost_by_the_change"] == list(range(N))


def test_json_of_one_seed_has_no_interval_and_is_undecided(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): [90.0], (0.9, "reinit"): [10.0], (0.9, "random-smart"): [10.0]})
    found = as_user_reads_it(answer)
    for item in found["verdicts"] + found["baselines"]:
        assert (item["difference"], item["interval"], item["n"], item["verdict"]) == (80.0, None, 1, "undecided")


def test_json_of_a_study_in_which_everything_collapsed_can_be_written(conclude: Conclude) -> None:
    tickets = (None, "reinit", "random-smart")
    found = as_user_reads_it(conclude({(0.9, ticket): ["collapsed"] * 2 for ticket in tickets}, dense="diverged"))
    assert found["dense"]["accuracy"] is None
    assert found["verdicts"][0]["verdict"] == found["baselines"][0]["verdict"] == "collapsed"


def lines_of(answer: Conclusion, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(answer_table(answer))
    return capture.get().splitlines()


def column(lines: list[str], heading: str) -> str:
    """Return all text from a heading's place to the right end, in one line."""
    begin = next(line.index(heading) for line in lines if heading in line)
    return re.sub(r"\s+", " ", " ".join(line[begin:] for line in lines))


@pytest.mark.parametrize("width", [80, 110, 120, 200])
def test_table_keeps_verdicts_and_numbers_whole(every_verdict: Conclusion, width: int) -> None:
    lines = lines_of(every_verdict, width)
    assert max(map(len, lines)) <= width
    verdicts = column(lines, "verdict")
    for verdict, times in (("does not use it", 4), ("uses it", 4), ("undecided (about", 5), ("seeds would decide", 5)):
        assert verdicts.count(verdict) == times, verdict
    for verdict in ("better", "worse", "equivalent"):
        assert len(re.findall(rf"\b{verdict}\b", verdicts)) == 1, verdict
    assert verdicts.count("6 of 6 collapsed") == 4
    text = "\n".join(lines)
    assert "…" not in text
    assert len(re.findall(r" \+10\.00 +\+9\.\d\d to \+10\.\d\d ", text)) == 5
    assert "97.25" in text


def test_table_has_a_row_per_ticket_in_the_order_of_the_study(every_verdict: Conclusion) -> None:
    names = r"dense|sparsity [\d.]+|snip|rearrange-mask|corrupted-data|shuffle-weights|reinit|random-smart"
    rows = [match[1] for line in lines_of(every_verdict, 120) if (match := re.match(rf" +({names}) ", line))]
    group = ["snip", *[check for check in CHANGED if check], "random-smart"]
    sparsities = [[f"sparsity {sparsity:g}", *group] for sparsity in (0.5, 0.8, 0.9, 0.95)]
    assert rows == ["dense", *[row for rows in sparsities for row in rows]]


def test_table_says_what_the_method_lost(conclude: Conclude) -> None:
    own = ["collapsed", "diverged", *OWN[2:]]
    lines = lines_of(conclude({(0.9, None): own, (0.9, "reinit"): OWN, (0.9, "random-smart"): OWN}), 120)
    (row,) = [line for line in lines if re.match(r" +snip ", line)]
    assert "2 of 6 collapsed or diverged" in row


def words_of(lines: list[str]) -> str:
    """Return what stands in the table without the places where it is broken into lines."""
    return re.sub(r"\s", "", "".join(lines))


LONG = "random-labels@0.25+random-pixels+rearrange-mask+shuffle-weights"


@pytest.mark.parametrize("width", [80, 110, 120])
@pytest.mark.parametrize("method", ["snip", "snip-ratios-of:random-smart-ascend"])
@pytest.mark.parametrize("check", ["rearrange-mask+reinit", "corrupted-data+reinit", LONG])
def test_long_names_take_nothing_from_numbers_and_verdicts(
    conclude: Conclude, check: str, method: str, width: int
) -> None:
    wide = [-100.0 * (-1) ** seed for seed in range(N)]
    alike = [accuracy + 0.05 * (-1) ** seed for seed, accuracy in enumerate(OWN)]
    outcomes: dict[tuple[float, str | None], list[Any]] = {(0.9, None): OWN, (0.9, check): wide}
    outcomes |= {(0.9, "reinit"): ["failed", *alike[1:]], (0.9, "random-smart"): alike}
    lines = lines_of(conclude(outcomes, method=method), width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    for heading in ("tickets", "accuracy", "difference", "95 % interval", "verdict"):
        assert any(heading in line for line in lines)
    (head,) = [line for line in lines if "tickets  " in line]
    end = head.index("accuracy") + len("accuracy") - len("0.00 ± 109.54")
    first_column = "".join(line[1:end].strip() for line in lines[lines.index(head) + 2 :])
    for name in (method, *check.split("+"), "random-smart"):
        assert name in first_column
    verdicts = re.sub(r"\s", "", column(lines, "verdict"))
    assert verdicts.count("undecided") == 1
    assert "1of6failed(RuntimeError:noluck)" in verdicts
    assert re.search(r" 0\.00 ± 109\.54  +\+80\.6[23]  +-3\d\.\d\d to \+19\d\.\d\d  ", "\n".join(lines))


@pytest.mark.parametrize(("dense", "who"), [(95.0, "snip"), (10.0, "the dense network"), ("diverged", "the dense")])
def test_table_says_who_learned_nothing(conclude: Conclude, dense: float | str, who: str) -> None:
    own = [10.0 + 0.1 * seed for seed in range(N)]
    lines = lines_of(
        conclude({(0.9, None): own, (0.9, "reinit"): own[::-1], (0.9, "random-smart"): OWN}, dense=dense), 120
    )
    (row,) = [line for line in lines if re.match(r" +reinit ", line)]
    assert f"undecided ({who}" in row
    assert "seeds would decide" not in row


def test_table_without_a_baseline_has_checks_alone(conclude: Conclude) -> None:
    lines = lines_of(conclude({(0.9, None): OWN, (0.9, "reinit"): OWN}, baseline=None), 110)
    assert any(re.match(r" +reinit ", line) for line in lines)
    assert "random" not in words_of(lines)


def test_tickets_that_are_compared_with_nothing_have_accuracies_and_what_was_lost(conclude: Conclude) -> None:
    outcomes = {(0.8, None): [80.0, 81.0], (0.9, None): ["collapsed", 70.5], (0.95, None): ["collapsed"] * 2}
    answer = conclude(outcomes, baseline=None)
    rows = [" ".join(line.split()) for line in lines_of(answer, 110)]
    lost = "collapsed (layer2.0.conv1: no weight is left)"
    assert [row for row in rows if row.startswith(("dense", "sparsity", "snip"))][1:] == [
        "dense 95.00 ± 0.00",
        "sparsity 0.8",
        "snip 80.50 ± 0.71",
        "sparsity 0.9",
        f"snip 70.50 1 of 2 {lost}",
        "sparsity 0.95",
        f"snip - 2 of 2 {lost}",
    ]
    assert "tickets accuracy not trained" in rows
    assert not re.search("difference|verdict|margin", "".join(rows))
    found = as_user_reads_it(answer)
    assert [(ticket["sparsity"], ticket["accuracy"], ticket["n"]) for ticket in found["tickets"]] == [
        (0.8, 80.5, 2),
        (0.9, 70.5, 1),
        (0.95, None, 0),
    ]
    assert found["reading"] == "Nothing is compared here: verdicts need checks or a baseline."


@pytest.mark.parametrize(
    ("train_images", "test_images", "said"),
    [
        (100, None, "digits (100 training images), "),
        (None, 200, "digits (200 test images), "),
        (100, 200, "digits (100 training images, 200 test images), "),
    ],
)
def test_a_shortened_data_set_is_said_in_the_title_and_in_json(
    conclude: Conclude, train_images: int | None, test_images: int | None, said: str
) -> None:
    answer = conclude({(0.9, ticket): OWN for ticket in (None, "reinit", "random-smart")})
    own = answer.question.own.changed(train_images=train_images, test_images=test_images)
    shortened = replace(answer, question=replace(answer.question, own=own))
    assert lines_of(shortened, 110)[0].startswith(f"snip on {said}")
    found = as_user_reads_it(shortened)
    assert (found["train_images"], found["test_images"]) == (train_images, test_images)


def test_json_says_what_guessing_gives_and_who_does_no_better(conclude: Conclude) -> None:
    outcomes = {(0.9, None): OWN, (0.9, "reinit"): OWN, (0.99, None): [10.0] * N, (0.99, "reinit"): [10.0] * N}
    answer = conclude(outcomes, baseline=None)
    found = as_user_reads_it(answer)
    assert found["chance"] == pytest.approx(answer.chance, abs=1e-4)
    assert [item["at_chance"] for item in found["verdicts"]] == [False, True]
    assert found["baselines"] == []


@pytest.mark.parametrize(("seeds", "said"), [(1, "7 epochs, 1 seed"), (2, "7 epochs, 2 seeds")])
def test_title_says_what_was_run(conclude: Conclude, seeds: int, said: str) -> None:
    answer = conclude({(0.9, ticket): OWN[:seeds] for ticket in (None, "reinit", "random-smart")})
    assert lines_of(answer, 110)[0].rstrip() == f"snip on digits, resnet8 of width 4, {said}"


def test_table_says_that_it_was_the_method_that_collapsed(conclude: Conclude) -> None:
    lines = lines_of(conclude({(0.9, None): ["collapsed"] * N, (0.9, "reinit"): OWN, (0.9, "random-smart"): OWN}), 120)
    (row,) = [line for line in lines if re.match(r" +random-smart ", line)]
    assert row.rstrip().endswith("collapsed: snip itself")


def test_the_reading_says_how_to_go_on_where_tickets_were_lost(conclude: Conclude) -> None:
    others = {(0.9, "reinit"): OWN, (0.9, "random-smart"): OWN}
    own = reading(conclude({(0.9, None): ["collapsed"] * N} | others))
    assert "ask at a sparsity lower than 0.9, or of another method or allocation." in own
    diverged = reading(conclude({(0.9, None): ["diverged"] * N} | others))
    assert "Where its tickets diverged (at sparsity 0.9), change the recipe: a lower learning rate" in diverged
    lost: dict[tuple[float, str | None], list[float | str]] = {(0.9, "random-smart"): ["collapsed"] * N}
    baseline = reading(conclude({(0.9, None): OWN, (0.9, "reinit"): OWN} | lost))
    assert (
        "compared with that were lost at sparsity 0.9: ask at a lower sparsity, for other checks, or with" in baseline
    )


def test_json_holds_each_seed_and_the_family(every_verdict: Conclusion) -> None:
    found = as_user_reads_it(every_verdict)
    assert found["schema"] == 1
    assert found["family"]["scope"] == "question"
    assert found["family"]["comparisons"] == 16  # four of twenty collapsed
    item = next(item for item in found["verdicts"] if item["check"] == "shuffle-weights")
    assert [pair["seed"] for pair in item["pairs"]] == list(range(N))
    assert [pair["accuracy"] for pair in item["pairs"]] == OWN
    for pair in item["pairs"]:
        assert pair["difference"] == pytest.approx(pair["accuracy"] - pair["changed_accuracy"], abs=2e-4)
    assert sum(pair["difference"] for pair in item["pairs"]) / N == pytest.approx(item["difference"], abs=2e-4)
    (tickets, *_) = found["tickets"]
    assert tickets["accuracies"] == {str(seed): accuracy for seed, accuracy in enumerate(OWN)}


def test_json_holds_what_the_answer_rests_on(every_verdict: Conclusion) -> None:
    versions = {"torch": ("2.11.0", "2.13.0"), "python": ("3.11.2",)}
    question = every_verdict.question
    answer = replace(every_verdict, found=replace(every_verdict.found, versions=versions))
    found = as_user_reads_it(answer)
    assert found["recipe"] == json.loads(json.dumps(asdict(question.setting.recipe)))
    assert (found["checks"], found["baseline"]) == (list(question.checks), question.baseline)
    assert found["hashes"]["checks"] == dict.fromkeys(question.checks)
    assert found["versions"] == {name: list(values) for name, values in versions.items()}
    assert found["devices"] == ["cpu"]


def caption(answer: Conclusion) -> str:
    return " ".join("".join(lines_of(answer, 200)).split())


FORMS: dict[str, Callable[[Conclusion], str]] = {
    "terminal": caption,
    "html": lambda answer: unescape(answer_html(answer)),
    "latex": lambda answer: answer_latex(answer).replace(r"\%", "%"),
    "markdown": answer_markdown,
    "json": lambda answer: str(answer_json(answer)["family"]["text"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_family(every_verdict: Conclusion, conclude: Conclude, form: str) -> None:
    assert "5 % over the 16 comparisons of this question (Holm)" in FORMS[form](every_verdict)
    nothing = conclude({(0.9, None): ["collapsed"] * N, (0.9, "reinit"): OWN}, baseline=None)
    assert "no comparison is tested" in FORMS[form](nothing)


@pytest.mark.parametrize("form", ["html", "latex", "markdown"])
def test_every_form_has_each_verdict_with_its_p_value(every_verdict: Conclusion, form: str) -> None:
    text = FORMS[form](every_verdict)
    for comparison in every_verdict.comparisons:
        assert comparison.verdict.value in text
    assert text.count("rearrange-mask") == 4
    tested = [one for one in every_verdict.comparisons if one.is_tested and (one.adjusted_p or 0) >= 0.001]
    assert tested
    for comparison in tested:
        assert f"{comparison.adjusted_p:.3f}" in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_verdict_stands_on_one_line_and_nothing_is_cut_off(conclude: Conclude, width: int) -> None:
    harmless = [accuracy - 0.1 * (-1) ** seed for seed, accuracy in enumerate(OWN)]
    lost: list[float | str] = ["collapsed", *harmless[1:]]
    answer = conclude(
        {(0.9, None): OWN, (0.9, "random-labels@0.25"): harmless, (0.9, "rearrange-mask+reinit"): lost}, baseline=None
    )
    lines = lines_of(answer, width)
    assert max(map(len, lines)) <= width
    assert any(line.rstrip().endswith(" does not use it") for line in lines)
    assert "and the survivors alone show nothing" in column(lines, "verdict")
