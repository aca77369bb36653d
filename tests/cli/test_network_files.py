"""Networks in users' own files, from the command: checked from end to end, or refused in a sentence before any work."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from prunecheck.pruning import load_ticket
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from tests.cli.conftest import Call
from tests.fixtures.networks import HEAD, PLAIN, REFUSED, SOUND, refused_file, sound_file

Refused = Callable[..., str]

SMALL = [
    *("--epochs", "1", "--seeds", "1", "--train-images", "100", "--test-images", "50", "--samples-per-class", "2"),
    *("--baseline", "none", "--workers", "1"),
]

CHECK = ["check", "snip", "--model", "net.py:build", "--sparsity", "0.5", "--checks", "rearrange-mask", *SMALL]


def results() -> dict[RunSpec, RunResult]:
    return RunStore(Path("runs")).results()


def ticket_result() -> RunResult:
    """Return what the unchanged ticket ended with."""
    (own,) = (result for spec, result in results().items() if spec.method != "dense" and spec.check is None)
    return own


@pytest.mark.parametrize("kind", SOUND)
def test_networks_of_every_kind_are_checked(call: Call, kind: str) -> None:
    Path("net.py").write_text(sound_file(kind))
    ended = call(*CHECK, "--json")
    assert ended.code == 0, ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["model"] == "net.py:build"
    assert [result.status for result in results().values()] == ["trained"] * 3
    kept, total = map(sum, zip(*ticket_result().kept.values(), strict=True))
    assert kept == round(total / 2)


def test_what_is_left_dense_is_said_before_training_and_in_the_report(call: Call) -> None:
    Path("net.py").write_text(sound_file("attention of torch, with a class token and LayerNorm"))
    said = "attention.in_proj_weight (MultiheadAttention, 192 weights), token (Network, 8 weights)"
    ended = call(*CHECK)
    assert ended.stderr.splitlines()[0] == f"left dense in net.py:build: {said}"
    assert list(ticket_result().kept) == ["patches", "attention.out_proj", "head"]
    assert said in Path("runs/report.html").read_text()
    assert "left dense" not in call(*CHECK, "--quiet").stderr
    audited = call("audit", "snip", "--model", "net.py:build", "--sparsity", "0.5", "--seeds", "1")
    assert f"left dense: {said}" in " ".join(audited.stdout.split())
    audited = call("audit", "snip", "--model", "net.py:build", "--sparsity", "0.5", "--seeds", "1", "--json")
    assert json.loads(audited.stdout)["methods"][0]["left_dense"] == [
        {"name": "token", "kind": "Network", "count": 8},
        {"name": "attention.in_proj_weight", "kind": "MultiheadAttention", "count": 192},
    ]


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_networks_in_which_a_mask_or_a_seed_means_nothing_are_refused(refused: Refused, kind: str) -> None:
    Path("net.py").write_text(refused_file(kind))
    assert REFUSED[kind][1] in refused(*CHECK)


@pytest.mark.parametrize(
    "command",
    [
        ["audit", "snip", "--model", "net.py:build"],
        ["prune", "snip", "--model", "net.py:build", "--dataset", "digits", "--sparsity", "0.5"],
        ["plan", "study.toml"],
        ["run", "study.toml", "--workers", "1"],
    ],
)
def test_every_command_refuses_them(refused: Refused, command: list[str]) -> None:
    Path("net.py").write_text(refused_file("a copy of a weight"))
    Path("study.toml").write_text('methods = ["snip"]\ndatasets = ["digits"]\nmodels = ["net.py:build"]\n')
    assert "does not depend on the weight of layer mid" in refused(*command)


def test_a_layer_without_effect_may_be_kept_dense(call: Call) -> None:
    Path("net.py").write_text(refused_file("a copy of a weight"))
    ended = call(*CHECK, "--keep-dense", "mid")
    assert ended.code == 0, ended.stderr
    assert list(ticket_result().kept) == ["conv", "head"]


FROZEN = """
class Network(Plain):
    def __init__(self, num_classes, input_channels):
        super().__init__(num_classes, input_channels)
        self.conv.weight.requires_grad_(False)


def build(num_classes, input_channels=3):
    return Network(num_classes, input_channels)
"""


def test_frozen_weights_are_pruned_and_never_trained(call: Call) -> None:
    Path("net.py").write_text(HEAD + PLAIN + FROZEN)
    ended = call(*CHECK, "--learning-rate", "0.5")
    assert ended.code == 0, ended.stderr
    for spec in results():
        folder = RunStore(Path("runs")).folder(spec)
        ticket, end = folder.ticket(), folder.checkpoint()
        assert ticket and end
        for layer, is_frozen in (("conv", True), ("mid", False)):
            start = ticket.weights[f"{layer}.weight"]
            kept = ticket.masks.get(layer, torch.ones_like(start, dtype=torch.bool))
            assert torch.equal(end.weights[f"{layer}.weight"], start * kept) is is_frozen


def test_layers_are_chosen_in_study_files_and_by_options_alike(call: Call) -> None:
    common = "epochs = 1\nbatch_size = 64\nlearning_rate = 0.2\n"
    Path("study.toml").write_text(
        'methods = ["snip"]\nsparsities = [0.5]\nchecks = ["rearrange-mask"]\nbaseline = "none"\nseeds = 1\n'
        'models = ["resnet8"]\nwidths = [2]\ntrain_images = 100\ntest_images = 50\nsamples_per_class = 2\n'
        'prunable = ["layer*", "fc"]\nkeep_dense = ["last"]\n'
        f'recipes = ["a"]\ndatasets = ["digits"]\n[recipe.a]\n{common}'
    )
    assert call("run", "study.toml", "--workers", "1", "--quiet").code == 0
    chosen = ["--model", "resnet8", "--width", "2", "--prunable", "fc,layer*", "--keep-dense", "last"]
    words = "resnet8 of width 2 (only fc and layer* prunable, last kept dense)"
    before = results()
    ended = call("check", "snip", "--sparsity", "0.5", "--checks", "rearrange-mask", *chosen, *SMALL)
    assert results() == before
    assert len(before) == 3
    assert words in " ".join(ended.stdout.split())
    assert all(layer.startswith("layer") for layer in ticket_result().kept)
    planned = json.loads(call("plan", "study.toml", "--json").stdout)
    assert planned["done"] == 3
    assert planned["questions"][0]["keep_dense"] == ["last"]
    audited = call("audit", "snip", "--sparsity", "0.5", "--seeds", "1", *chosen)
    assert words in " ".join(audited.stdout.split())
    answer = json.loads(call("run", "study.toml", "--workers", "1", "--quiet", "--json").stdout)["answers"][0]
    assert (answer["prunable"], answer["keep_dense"]) == (["fc", "layer*"], ["last"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "snip", "--keep-dense", "fc2"], "--keep-dense names 'fc2', and no Conv2d or Linear layer"),
        (["audit", "snip", "--prunable", "laier1"], "--prunable names 'laier1', .* did you mean layer1"),
        (["check", "snip", "--keep-dense", "*"], "--keep-dense leaves no layer to prune"),
        (["check", "snip", "--keep-dense", "first,,last"], "--keep-dense takes one or more values with commas"),
        (
            ["prune", "magnitude", "--model", "resnet8", "--num-classes", "3", "--sparsity", "0.5", "--prunable", "x"],
            "--prunable names 'x'",
        ),
    ],
)
def test_a_choice_of_no_layer_is_refused(refused: Refused, arguments: list[str], sentence: str) -> None:
    assert re.search(f"^{sentence}", refused(*arguments))


def test_a_study_file_that_names_no_layer_is_refused_with_its_line(refused: Refused) -> None:
    Path("study.toml").write_text('methods = ["snip"]\ndatasets = ["digits"]\nkeep_dense = "first"\n')
    assert "study.toml, line 3: keep_dense takes a list of names or patterns of layers" in refused("run", "study.toml")


def test_a_ticket_of_chosen_layers_says_so(call: Call) -> None:
    arguments = ["--model", "resnet8", "--width", "2", "--num-classes", "3", "--sparsity", "0.5"]
    assert call("prune", "magnitude", *arguments, "--keep-dense", "first,last").code == 0
    ticket, description = load_ticket(Path("ticket.safetensors"))
    assert description["keep_dense"] == ["first", "last"]
    assert not {"conv1", "fc"} & set(ticket.masks)
    total = sum(mask.numel() for mask in ticket.masks.values())
    assert sum(int(mask.sum()) for mask in ticket.masks.values()) == round(total / 2)
