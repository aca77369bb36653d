import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from prunecheck.report.keep_ratios import ratio_text

Call = Callable[..., Any]
Refused = Callable[..., str]

SMALL = ["--model", "resnet8", "--width", "4", "--samples-per-class", "2"]


def test_json_figure_and_table_hold_the_same_numbers(call: Call) -> None:
    arguments = ["audit", "snip,random-smart", *SMALL, "--seeds", "2", "--figure", "ratios.svg"]
    as_json = call(*arguments, "--json")
    assert (as_json.code, as_json.stderr) == (0, "wrote ratios.svg\n")
    found = json.loads(as_json.stdout)
    drawn = Path("ratios.svg").read_bytes()
    as_table = call(*arguments)
    assert (as_table.code, as_table.stderr) == (0, "")
    assert as_table.stdout.endswith("wrote ratios.svg\n")
    assert Path("ratios.svg").read_bytes() == drawn
    (words,) = [element.text or "" for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("desc")]
    assert [method["method"] for method in found["methods"]] == ["snip", "random-smart"]
    for method in found["methods"]:
        of_method = words.partition(f"{method['method']}: ")[2].partition(". ")[0].rstrip(".")
        assert of_method == ", ".join(
            f"{layer['layer']} {ratio_text(layer['keep_ratio'])}" for layer in method["layers"]
        )
        for layer in method["layers"]:
            row = (
                rf"^ *{re.escape(layer['layer'])} +{layer['total']:,} .* {re.escape(ratio_text(layer['keep_ratio']))} "
            )
            assert re.search(row, as_table.stdout, re.MULTILINE)
    title = "snip, random-smart at sparsity 0.9 on digits, resnet8 of width 4, 2 seeds"
    assert title in drawn.decode()


def test_the_same_call_prints_the_same(call: Call) -> None:
    arguments = ["audit", "snip", *SMALL, "--seeds", "1"]
    assert call(*arguments) == call(*arguments)


def test_nothing_is_written_unless_asked_for(call: Call) -> None:
    assert call("audit", "random-uniform", *SMALL, "--seeds", "1", "--sparsity", "0.5").code == 0
    assert list(Path().iterdir()) == []


def test_a_criterion_of_the_users_is_audited(call: Call) -> None:
    Path("mine.py").write_text(
        "from prunecheck.pruning import prunable_weights\n"
        "def score(model, batches):\n"
        "    [(x, y)] = batches\n"
        "    return {layer: weight.detach().abs() * x.std() for layer, weight in prunable_weights(model).items()}\n"
    )
    ended = call("audit", "mine.py:score", *SMALL, "--seeds", "1", "--sparsity", "0.5", "--json")
    assert (ended.code, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    (method,) = found["methods"]
    assert method["method"] == "mine.py:score"
    # The weights decide alone, whatever the data are.
    assert {entry["against"]: entry["agreement"] for entry in method["agreements"]} == {
        "corrupted-data": 1,
        "other-samples": 1,
        "perturbed-weights": 1,
    }


def test_a_collapse_is_a_result(call: Call) -> None:
    ended = call("audit", "snip", *SMALL, "--seeds", "1", "--sparsity", "0.998")
    assert ended.code == 0
    assert re.search(r"^collapsed, seed 0: fc: no path of kept weights", ended.stdout, re.MULTILINE)
    assert re.search(r"^seed 0: no weight is left in layer", ended.stdout, re.MULTILINE)


def test_an_older_figure_of_ours_is_drawn_anew(call: Call) -> None:
    arguments = ["audit", "random-uniform", *SMALL, "--seeds", "1", "--figure", "ratios.svg"]
    call(*arguments)
    first = Path("ratios.svg").read_text()
    assert call(*arguments, "--sparsity", "0.5").code == 0
    assert Path("ratios.svg").read_text() != first
    assert [path.name for path in Path().iterdir()] == ["ratios.svg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lt"], "lt prunes a trained network, and an audit trains nothing: use `prunecheck check lt`"),
        (["snip,hybrid"], "use `prunecheck check hybrid`"),
        (["snipp"], "did you mean snip"),
        (["snip,"], "METHOD takes one or more values"),
        (["snip,snip"], "method snip is given twice: name it once."),
        (["snip", "--dataset", "digit"], "did you mean digits?"),
        (["snip", "--sparsity", "1"], "less than 1, not 1."),
        (["snip", "--sparsity", "nan"], "is not a number"),
        (["snip", "--sparsity", "0.9,0.95"], "an audit has one --sparsity, not 2: call it once for each."),
        (["snip", "--seeds", "0"], "--seeds takes a number of seeds, at least 1 and at most 10,000, not 0."),
        (["snip", "--seeds", "1.5"], "--seeds takes a whole number"),
        (["snip", "--samples-per-class", "0"], "--samples-per-class takes a whole number, at least 1"),
        (["snip", "--samples-per-class", "65"], "class 0 of digits has 64 training images"),
        (["snip", "--model", "vgg11"], "16x16"),
        (["snip", "--device", "gpu"], "--device takes cpu, cuda or cuda:N"),
        (["snip", "--figure", "ratios.png"], "ratios.png does not end in .svg"),
        (["snip", "--figure", "no/ratios.svg"], "there is no folder no"),
        (["random-smart", "--sparsity", "0.9999"], "cannot be reached"),
        (["user.py:score"], "there is no file user.py"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("audit", *arguments)


def test_what_is_no_figure_of_ours_is_not_overwritten(refused: Refused) -> None:
    file = Path("ratios.svg")
    file.write_text("<svg>mine</svg>")
    assert "ratios.svg exists and holds something else" in refused("audit", "snip", "--figure", "ratios.svg")
    assert file.read_text() == "<svg>mine</svg>"


def test_no_check_is_done_where_none_is_wanted(call: Call) -> None:
    def compared(*checks: str) -> list[str]:
        ended = call("audit", "snip", *SMALL, "--seeds", "1", *checks, "--json")
        return [one["against"] for one in json.loads(ended.stdout)["methods"][0]["agreements"]]

    assert compared() == ["corrupted-data", "other-samples", "perturbed-weights"]
    assert compared("--checks", "none") == ["other-samples", "perturbed-weights"]
