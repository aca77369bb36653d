import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from benchmarks import __main__ as benchmarks
from benchmarks.accuracy import plain, settings, trainings
from benchmarks.accuracy.plain import train_plainly
from benchmarks.accuracy.settings import REFERENCE, Setting, chosen_settings, distinct_settings
from benchmarks.accuracy.task import RealTask
from benchmarks.accuracy.trainings import Trained, train_seeds
from benchmarks.accuracy.verdicts import compare
from benchmarks.training.contestants import NOTHING
from prunecheck.analysis.statistics import holm, paired_difference
from prunecheck.analysis.verdicts import Verdict
from prunecheck.data import Augmentation, Batches, DataPlaces, Dataset, ScoringData, load_dataset
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import find_method, make_ticket
from prunecheck.randomness import generator
from prunecheck.training import Acceleration, EpochMetrics, Recipe, Record, train

IMAGES = 200
RECIPE = Recipe(epochs=2, batch_size=10, learning_rate=0.1, milestones=(1,))
"""In which networks learn enough that seeds differ."""

FEW_STEPS = replace(RECIPE, batch_size=50)
"""In which rounding does not grow."""

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def task(tmp_path: Path) -> RealTask:
    return RealTask("digits", DataPlaces((), tmp_path), IMAGES, IMAGES, "resnet8", 8, 0.7, RECIPE, CPU)


def trained_by_hand(seed: int, acceleration: Acceleration = NOTHING, recipe: Recipe = RECIPE) -> Record:
    digits = load_dataset("digits").shortened(IMAGES, IMAGES)
    model = build_model("resnet8", 10, seed=seed, width=8, input_channels=1)
    placement = generator(seed, "mask placement")
    ticket = make_ticket(find_method("random-smart"), model, ScoringData(), 0.7, placement)
    (record,) = train([ticket], model, digits, recipe, [seed], acceleration=acceleration)
    return record


@pytest.mark.slow
def test_the_numbers_are_those_of_training(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In every setting, seed by seed, whatever process it was; only what differs in how it is trained is compared."""
    shortened = ["--train-images", str(IMAGES), "--test-images", str(IMAGES), "--width", "8", "--sparsity", "0.7"]
    recipe = ["--epochs", "2", "--batch-size", "10", "--learning-rate", "0.1"]
    statistics = ["--seeds", "2", "--margin", "2.5", "--workers", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "accuracy", *shortened, *recipe, *statistics])

    benchmarks.main()

    output = capsys.readouterr()
    found = json.loads(output.out)
    assert [found[name] for name in ("model", "width", "sparsity", "margin")] == ["resnet8", 8, 0.7, 2.5]
    assert found["recipe"]["milestones"] == [1]
    by_setting = {
        "prunecheck's loop alone": NOTHING,
        "loop + channels last": replace(NOTHING, channels_last=True),
        "loop + sparse convolutions": replace(NOTHING, sparse_convolutions=True),
    }
    assert {*by_setting, "all together", "plain loop"} == {*found["settings"], *found["left_out"]}
    for name in found["settings"].keys() & by_setting.keys():
        records = [trained_by_hand(seed, by_setting[name]) for seed in range(2)]
        assert found["settings"][name]["accuracies"] == [record.metrics[-1].test_accuracy for record in records]
        assert found["settings"][name]["used"] == list(records[0].acceleration)
    accuracies = {name: setting["accuracies"] for name, setting in found["settings"].items()}
    assert all(first != second for first, second in accuracies.values()), "the test would not tell seeds apart"
    concluded = compare(accuracies, REFERENCE, 0.7, found["chance"], margin=2.5)
    for expected, comparison in zip(concluded, found["comparisons"], strict=True):
        assert (expected.method, expected.against) == (comparison["setting"], comparison["reference"])
        assert expected.difference is not None
        assert expected.difference.mean == comparison["difference"]["mean"]
        assert (expected.verdict, expected.adjusted_p) == (comparison["verdict"], comparison["p"])
        assert comparison["verdict"] in output.err


def test_tickets_of_one_call_are_those_of_their_seeds(task: RealTask) -> None:
    together = train_seeds(task, Setting("", NOTHING), (2, 0))

    alone = [trained_by_hand(seed).metrics[-1].test_accuracy for seed in (2, 0)]
    assert [trained.accuracy for trained in together] == alone
    assert alone[0] != alone[1], "the test would not tell seeds apart"


def test_accuracy_is_that_of_the_last_epoch(task: RealTask, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = tuple(EpochMetrics(epoch, 0.1, 1.0, 1.0, 70.0, accuracy) for epoch, accuracy in ((1, 50.0), (2, 40.0)))
    monkeypatch.setattr(trainings, "train", lambda *_, **__: [Record({}, epochs, True, ("bfloat16",))])

    assert train_seeds(task, Setting("", NOTHING), (0,)) == [Trained(40.0, True, ("bfloat16",))]


def test_a_plain_loop_trains_what_training_trains(task: RealTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same batches, to rounding, through all epochs and learning rates of the recipe."""

    class SameBatches:
        def __init__(self, images: Any, batch_size: int, **_: Any) -> None:
            self.batches, self.epochs = Batches(images.dataset.train, images.dataset, batch_size), iter(range(2))

        def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            return self.batches.epoch(1, next(self.epochs))

    monkeypatch.setattr(plain, "DataLoader", SameBatches)
    digits = task.dataset()
    model = task.network(digits, 0)
    accuracy, diverged = train_plainly(task.ticket(digits, 1), model, digits, FEW_STEPS, 1, CPU)

    record = trained_by_hand(1, recipe=FEW_STEPS)
    assert not diverged
    assert accuracy == pytest.approx(record.metrics[-1].test_accuracy, abs=100 / IMAGES)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, record.weights[name], rtol=1e-3, atol=1e-4)


def test_a_plain_loop_goes_by_the_seed(task: RealTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the order, where images are not varied, and the augmentation, where they are not shuffled."""
    digits = task.dataset()
    not_varied = replace(digits, augmentation=Augmentation(padding=0, flip=False))

    def trained(seed: int, dataset: Dataset) -> torch.Tensor:
        model = task.network(digits, 0)
        train_plainly(task.ticket(digits, 0), model, dataset, FEW_STEPS, seed, CPU)
        weight: torch.Tensor = model.state_dict()["fc.weight"]
        return weight

    assert torch.equal(trained(1, digits), trained(1, digits))
    assert not torch.allclose(trained(1, not_varied), trained(2, not_varied), rtol=1e-3, atol=1e-3)
    monkeypatch.setattr(plain, "DataLoader", lambda images, batch_size, **_: DataLoader(images, batch_size))
    assert torch.equal(trained(1, not_varied), trained(2, not_varied))
    assert not torch.allclose(trained(1, digits), trained(2, digits), rtol=1e-3, atol=1e-3)


def test_a_plain_loop_that_diverges_says_so(task: RealTask) -> None:
    digits = task.dataset()
    steep = replace(FEW_STEPS, learning_rate=1e30)

    assert train_plainly(task.ticket(digits, 0), task.network(digits, 0), digits, steep, 0, CPU)[1]


def test_verdicts_are_on_the_setting_and_within_the_margin() -> None:
    """Differences of 2.0, 0.0 and -2.0 points on average, each +-0.1."""
    reference = [60.0, 62.0, 61.0, 59.0, 63.0]
    noise = [0.1, -0.1, 0.1, -0.1, 0.0]
    accuracies = {"reference": reference} | {
        name: [value + shift + each for value, each in zip(reference, noise, strict=True)]
        for name, shift in (("above", 2.0), ("same", 0.0), ("below", -2.0))
    }

    found = {comparison.method: comparison for comparison in compare(accuracies, "reference", 0.9, 10.0, margin=1.0)}

    assert {name: each.verdict for name, each in found.items()} == {
        "above": Verdict.BETTER,
        "same": Verdict.EQUIVALENT,
        "below": Verdict.WORSE,
    }
    assert found["above"].difference == paired_difference(accuracies["above"], reference)
    assert found["above"].own.mean == pytest.approx(63)
    assert found["above"].other.mean == 61
    assert found["above"].own.std == pytest.approx(math.sqrt((0.9**2 + 0.9**2 + 0.1**2 + 2.1**2 + 2**2) / 4))
    alone = [paired_difference(accuracies[name], reference) for name in ("above", "same", "below")]
    p_values = [alone[0].p_more_than(1), alone[1].p_within(1), alone[2].p_less_than(-1)]
    assert [each.adjusted_p for each in found.values()] == holm(p_values)
    wide = compare(accuracies, "reference", 0.9, 10.0, margin=3.0)
    assert [each.verdict for each in wide] == [Verdict.EQUIVALENT] * 3


def test_networks_that_learned_nothing_decide_nothing() -> None:
    accuracies = {"reference": [10.0, 10.2, 10.1], "other": [10.0, 10.1, 10.1]}

    assert [each.verdict for each in compare(accuracies, "reference", 0.9, 10.0, margin=1.0)] == [Verdict.UNDECIDED]


def test_a_gpu_has_settings_of_its_own() -> None:
    named = {setting.name: setting.acceleration for setting in chosen_settings(GPU, None)}

    assert named["loop + bfloat16"] == replace(NOTHING, bfloat16=True)
    assert named["loop + CUDA graphs"] == replace(NOTHING, cuda_graphs=True)
    assert named["loop + tickets at once"] == replace(NOTHING, tickets_at_once=None)
    assert "loop + sparse convolutions" not in named
    assert [setting.name for setting in chosen_settings(GPU, ["plain loop", "loop + bfloat16"])] == [
        "prunecheck's loop alone",
        "loop + bfloat16",
        "plain loop",
    ]


def test_what_cannot_be_had_or_is_the_same_is_left_out(task: RealTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that has no bfloat16, and where channels last are not used when asked for."""

    def train(*tickets: Any, acceleration: Acceleration, **_: Any) -> list[Record]:
        if acceleration.bfloat16:
            raise InputError("it has none.")
        return [Record({}, (), False, ("cuda_graphs",) if acceleration.cuda_graphs else ())]

    monkeypatch.setattr(settings, "train", train)
    kept, left_out = distinct_settings(task, chosen_settings(GPU, None))

    assert [setting.name for setting in kept] == [
        "prunecheck's loop alone",
        "loop + CUDA graphs",
        "loop + tickets at once",
        "plain loop",
    ]
    assert left_out == {
        "loop + channels last": "it is prunecheck's loop alone",
        "loop + bfloat16": "it has none.",
        "all together": "it has none.",
    }


def test_nothing_is_compared_without_the_reference(task: RealTask, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> list[Record]:
        raise InputError("there is no such GPU.")

    monkeypatch.setattr(settings, "train", train)

    with pytest.raises(InputError, match="no such GPU"):
        distinct_settings(task, chosen_settings(GPU, None))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "0"], "--seeds takes at least 1"),
        (["--margin", "0"], "--margin takes points"),
        (["--device", "meta"], "cpu or cuda"),
        (["--settings", "loop + bfloat16"], "there is no setting loop + bfloat16 on cpu: choose of prunecheck's loop"),
        (["--batch-size", "0"], "--batch-size takes a whole number, at least 2 for batch norm"),
        (["--model", "resnet9"], "resnet9 does not exist"),
        (["--model", "vgg19_bn"], "vgg19_bn needs images of at least"),
        (["--train-images", "7"], "--train-images takes a multiple of 10"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "accuracy", *arguments])

    with pytest.raises(SystemExit) as ended:
        benchmarks.main()

    assert ended.value.code == 2
    assert says in capsys.readouterr().err
