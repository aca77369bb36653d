import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prunecheck.models import build_model
from prunecheck.pruning import prunable_shapes

Call = Callable[..., Any]
Refused = Callable[..., str]

SMALL = ["--model", "resnet8", "--width", "4", "--sparsity", "0.9"]


def printed_counts(stdout: str) -> dict[str, tuple[int, int, float]]:
    rows = re.findall(r"^ *([\w.]+) +([\d,]+) +([\d,]+) +([\d.]+) *$", stdout, re.MULTILINE)
    return {
        layer: (int(kept.replace(",", "")), int(total.replace(",", "")), float(ratio))
        for layer, kept, total, ratio in rows
    }


@pytest.mark.parametrize("method", ["snip", "grasp", "magnitude", "random-smart"])
def test_the_file_holds_what_the_table_says(call: Call, method: str) -> None:
    ended = call("prune", method, *SMALL, "--dataset", "digits", "--out", "ticket.safetensors")
    assert (ended.code, ended.stderr) == (0, "")
    assert "wrote ticket.safetensors" in ended.stdout
    tensors = load_file("ticket.safetensors")
    masks = {name.removeprefix("masks/"): mask for name, mask in tensors.items() if name.startswith("masks/")}
    counts = printed_counts(ended.stdout)
    kept, total, ratio = counts.pop("all")
    assert counts.keys() == masks.keys()
    for layer, mask in masks.items():
        assert mask.dtype == torch.bool
        assert counts[layer][:2] == (int(mask.sum()), mask.numel())
        assert counts[layer][2] == pytest.approx(int(mask.sum()) / mask.numel(), abs=1e-4)
    assert (kept, total) == (sum(c[0] for c in counts.values()), sum(c[1] for c in counts.values()))
    assert kept / total == pytest.approx(ratio, abs=1e-4)
    assert kept / total == pytest.approx(0.1, abs=0.002)


def test_the_file_holds_the_initial_weights_of_the_seed(call: Call) -> None:
    call("prune", "magnitude", *SMALL, "--num-classes", "7", "--seed", "3", "-o", "ticket.safetensors")
    model = build_model("resnet8", 7, 3, input_channels=3, width=4)
    tensors = load_file("ticket.safetensors")
    expected = {f"weights/{name}": value for name, value in model.state_dict().items()}
    assert tensors.keys() == expected.keys() | {f"masks/{layer}" for layer in prunable_shapes(model)}
    assert all(torch.equal(tensors[name], value) for name, value in expected.items())


def test_magnitude_keeps_the_largest_weights(call: Call) -> None:
    call("prune", "magnitude", *SMALL, "--num-classes", "7")
    tensors = load_file("ticket.safetensors")
    masks = {name.removeprefix("masks/"): mask for name, mask in tensors.items() if name.startswith("masks/")}
    sizes = {layer: tensors[f"weights/{layer}.weight"].abs() for layer in masks}
    smallest_kept = min(float(sizes[layer][mask].min()) for layer, mask in masks.items() if mask.any())
    largest_removed = max(float(sizes[layer][~mask].max()) for layer, mask in masks.items() if not mask.all())
    assert smallest_kept >= largest_removed


def test_the_same_ticket_again_is_fine_and_another_is_refused(call: Call, refused: Refused) -> None:
    arguments = ["prune", "random-smart", *SMALL, "--num-classes", "10", "-o", "mine.safetensors"]
    first = call(*arguments)
    file = Path("mine.safetensors")
    content, written = file.read_bytes(), file.stat().st_mtime_ns
    assert call(*arguments) == first
    assert "mine.safetensors exists" in refused(*arguments, "--seed", "1")
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (content, written)


def test_a_collapsed_ticket_is_reported_with_its_layer(call: Call) -> None:
    ended = call(
        "prune", "magnitude", "--model", "resnet8", "--width", "4", "--sparsity", "0.99", "--num-classes", "10"
    )
    masks = {
        name.removeprefix("masks/"): mask
        for name, mask in load_file("ticket.safetensors").items()
        if name.startswith("masks/")
    }
    empty = {layer for layer, mask in masks.items() if not mask.any()}
    assert ended.code == 0
    (layer,) = re.findall(r"^collapsed: ([\w.]+): no weight is left$", ended.stdout, re.MULTILINE)
    assert layer in empty


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["snip", *SMALL, "--num-classes", "10"], "snip scores with data: name a data set with --dataset"),
        (["magnitude", *SMALL], "--num-classes is missing"),
        (["magnitude", *SMALL, "--num-classes", "1"], "at least 2 classes, not 1."),
        (
            ["magnitude", *SMALL, "--num-classes", "3", "--dataset", "digits"],
            "--num-classes is 3 and the data set has 10",
        ),
        (
            ["snip", *SMALL, "--input-channels", "3", "--dataset", "digits"],
            "--input-channels is 3 and the data set has 1",
        ),
        (["snip", *SMALL, "--dataset", "digit"], "did you mean digits?"),
        (["snipp", *SMALL, "--num-classes", "10"], "there is no method named 'snipp': did you mean snip"),
        (["lt", *SMALL, "--num-classes", "10"], "use `prunecheck check lt`, which trains it."),
        (["imp@2", *SMALL, "--dataset", "digits"], "use `prunecheck check imp@2`, which trains it."),
        (["random-ratios-of:hybrid", *SMALL, "--dataset", "digits"], "prunes a network that was trained"),
        (["random-ratios-of:snip", *SMALL, "--num-classes", "10"], "scores with data: name a data set"),
        (["magnitude", *SMALL, "--num-classes", "10", "--seed", "-1"], "--seed takes a whole number, at least 0"),
        (
            ["magnitude", *SMALL, "--num-classes", "10", "--seed", str(2**63)],
            "--seed takes a whole number, less than 2**63, not 9223372036854775808.",
        ),
        (
            ["snip", *SMALL, "--dataset", "digits", "--scoring-rounds", "0"],
            "--scoring-rounds takes a whole number, at least 1, not 0.",
        ),
        (["snip", *SMALL, "--dataset", "digits", "--samples-per-class", "65"], "64 training images"),
        (["snip", *SMALL, "--dataset", "digits", "--data-root", "nowhere"], "nowhere is not a folder"),
        (["magnitude", "--model", "resnet8", "--num-classes", "10"], "--sparsity needs a value"),
        (["magnitude", "--sparsity", "0.9", "--num-classes", "10"], "--model needs a value"),
        (["magnitude", "--model", "resnet8", "--num-classes", "10", "--sparsty", "0.9"], "--sparsity"),
        (["magnitude", "--model", "resnet8", "--num-classes", "10", "--sparsity", "1"], "less than 1, not 1."),
        (["magnitude", "--model", "resnet8", "--num-classes", "10", "--sparsity", "nan"], "less than 1, not nan."),
        (["magnitude", "--model", "vgg11", "--sparsity", "0.9", "--dataset", "digits"], "16x16"),
        (["magnitude", *SMALL, "--num-classes", "10", "--seed", "1.5"], "--seed takes a whole number, not '1.5'."),
        (
            ["snip", *SMALL, "--dataset", "digits", "--samples-per-class", "0"],
            "--samples-per-class takes a whole number, at least 1",
        ),
        (["magnitude", *SMALL, "--num-classes", "10", "-o", "."], ". is a folder"),
        (["magnitude", *SMALL, "--num-classes", "10", "-o", "no/ticket"], "there is no folder no"),
        (["user.py:score", *SMALL, "--num-classes", "10"], "there is no file user.py"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_wrong_input_is_refused_and_no_file_is_written(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("prune", *arguments)


def test_a_user_function_that_raises_is_refused(refused: Refused) -> None:
    Path("user.py").write_text("def score(model, batches):\n    raise RuntimeError('no')\n")
    assert "user.py:score failed" in refused("prune", "user.py:score", *SMALL, "--dataset", "digits")


OWN = """
from prunecheck.pruning import prunable_weights

def score(model):
    return {layer: weight.detach().abs() for layer, weight in prunable_weights(model).items()}

def masks(model, sparsity, largest=True):
    kept = {}
    for layer, score in score_of(model).items():
        count = round((1 - sparsity) * score.numel())
        order = score.flatten().argsort(descending=largest)
        mask = order.new_zeros(score.numel(), dtype=bool)
        mask[order[:count]] = True
        kept[layer] = mask.view(score.shape)
    return kept

def ticket(model, sparsity):
    state = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    return state, masks(model, sparsity)

def infinite(model):
    return {layer: score / 0 for layer, score in score_of(model).items()}

score_of = score
"""


def test_masks_and_tickets_of_ones_own_are_written_with_the_hash_of_their_code(call: Call) -> None:
    from prunecheck.pruning import find_method, load_ticket

    Path("own.py").write_text(OWN)
    classes = ("--num-classes", "10")
    ended = call("prune", "own.py:masks?largest=false", *SMALL, *classes, "-o", "masks.safetensors")
    assert (ended.code, ended.stderr) == (0, "")
    ticket, description = load_ticket(Path("masks.safetensors"))
    assert description["method"] == "own.py:masks?largest=false"
    assert description["method_hash"] == find_method("own.py:masks").source_hash
    assert "model_hash" not in description
    for layer, mask in ticket.masks.items():
        size = ticket.weights[f"{layer}.weight"].abs()
        assert float(size[mask].max()) <= float(size[~mask].min())
    call("prune", "own.py:ticket", *SMALL, *classes, "-o", "ticket.safetensors")
    other, _ = load_ticket(Path("ticket.safetensors"))
    assert all(torch.equal(other.weights[name], tensor + 1) for name, tensor in ticket.weights.items())
    assert not torch.equal(other.masks["fc"], ticket.masks["fc"])


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("own.py:infinite", "own.py:infinite returned scores that are not finite for layer conv1: correct it first."),
        ("own.py:masks?smallest=true", "own.py:masks has no argument smallest: its arguments are largest."),
        ("own.py:masks?sparsity=0.5", "sparsity is given to own.py:masks by prunecheck: leave it out."),
    ],
)
def test_a_wrong_method_of_ones_own_writes_nothing(refused: Refused, method: str, said: str) -> None:
    Path("own.py").write_text(OWN)
    assert said in refused("prune", method, *SMALL, "--num-classes", "10")
