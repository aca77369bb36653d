import math
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from prunecheck.data import DataPlaces, load_dataset
from prunecheck.data.batches import Batches
from prunecheck.data.public_datasets import CIFAR10, CIFAR100, CIFAR100_COARSE, FASHION_MNIST, MNIST, TINY_IMAGENET
from prunecheck.data.sources import PublishedSet, stand_in
from prunecheck.engine import calibration
from prunecheck.errors import InputError
from prunecheck.runs.spec import RunSpec
from prunecheck.studies import rates as rates_module
from prunecheck.studies.plan import plan_study
from prunecheck.studies.rates import Rates, calibrated_rates, read_ms_a_step, stated_rates
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study
from tests.cli.runs import TRAINED, put

STUDY = """
methods = ["snip"]
datasets = ["digits"]
models = ["resnet8"]
widths = [2]
sparsities = [0.5, 0.9]
checks = []
seeds = 2
train_images = 100
test_images = 50
recipes = ["short"]
samples_per_class = 2
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "s.toml").write_text(STUDY)
    return read_study(tmp_path / "s.toml", None)


@pytest.mark.parametrize(("images", "batch"), [(100, 64), (129, 64), (128, 64), (1, 64), (65, 64), (66, 64)])
def test_steps_are_counted_as_batches_are_cut(study: Study, images: int, batch: int) -> None:
    (question,) = study.questions
    data = question.data
    cut = replace(data, train=data.train[numpy.arange(images) % len(data.train)])
    recipe = replace(question.recipe, batch_size=batch)
    other = replace(question, recipe=recipe)
    other.__dict__["data"] = cut
    rates = stated_rates(Study("s", (other,)), {None: 1000.0})
    assert rates.seconds_an_epoch is not None
    assert rates.seconds_an_epoch(other.dense_run(0)) == len(Batches(cut.train, cut, batch))


def test_half_of_the_data_have_half_of_the_steps(study: Study) -> None:
    run, batch = study.questions[0].dense_run(0), study.questions[0].recipe.batch_size
    rates = stated_rates(study, {None: 1000.0})
    assert rates.seconds_an_epoch is not None
    images = len(study.questions[0].data.train)
    whole, half = (rates.seconds_an_epoch(replace(run, trained_on=one)) for one in (None, "half-data"))
    assert (whole, half) == (math.ceil(images / batch), math.ceil(images // 2 / batch))


def test_a_stated_time_counts_for_all_epochs_to_go(study: Study, tmp_path: Path) -> None:
    runs, epochs = len(study.runs()), study.questions[0].recipe.epochs
    found = plan_study(study, tmp_path / "runs", stated_rates(study, {None: 20.0})).estimate
    assert found.seconds == pytest.approx(runs * epochs * 2 * 0.020)  # two batches of 64 and 36 images
    assert (found.unknown_epochs, found.by_rates, found.devices) == (0, "at 20 ms a step", ())
    assert found.longest == pytest.approx(epochs * 2 * 0.020)
    assert found.wall_seconds(2) == pytest.approx(found.seconds / 2)
    assert found.wall_seconds(1000) == found.longest
    with pytest.raises(InputError, match="ms_a_step takes milliseconds, more than 0"):
        read_ms_a_step("0")


def test_a_time_is_stated_for_each_network(study: Study, tmp_path: Path) -> None:
    assert read_ms_a_step("resnet32=70, vgg19=55,12.5") == {"resnet32": 70, "vgg19": 55, None: 12.5}
    (question,) = study.questions
    wider = replace(question, model="resnet14", width=2)
    both = Study("both", (question, wider))
    found = plan_study(both, tmp_path / "runs", stated_rates(both, {"resnet14": 30.0, None: 10.0})).estimate
    epochs = 2 * question.recipe.epochs * len(study.runs())  # of two batches each
    assert found.seconds == pytest.approx(epochs * (0.010 + 0.030))
    assert found.by_rates == "at 30 ms a step of resnet14 and 10 ms a step"
    one = plan_study(both, tmp_path / "runs", stated_rates(both, {"resnet14": 30.0})).estimate
    assert one.seconds == pytest.approx(epochs * 0.030)
    assert one.unknown_epochs == epochs / 2
    with pytest.raises(InputError, match="no network in these studies named 'resnet15': did you mean resnet14"):
        stated_rates(both, {"resnet15": 1.0})
    for wrong in ("fast", "resnet14=", "a=1,a=2", "1,2"):
        with pytest.raises(InputError, match="ms_a_step"):
            read_ms_a_step(wrong)


def test_measured_runs_count_before_rates_but_not_before_stated_ones_nor_on_other_devices(
    study: Study, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    done, *others = study.runs()
    epochs = done.setting.recipe.epochs
    put(done, replace(TRAINED, epochs=epochs, seconds=7.0 * epochs, kept={}, sparsity=0.0), root)
    of_rates = Rates(lambda run: 1.0, words="as it says")

    def seconds(rates: Rates) -> float:
        return plan_study(study, root, rates).estimate.seconds / len(others) / epochs

    assert seconds(of_rates) == pytest.approx(7.0)
    assert plan_study(study, root, of_rates).estimate.by_rates == ""
    assert seconds(replace(of_rates, are_stated=True)) == pytest.approx(1.0)
    assert seconds(replace(of_rates, device="cuda")) == pytest.approx(1.0)
    assert seconds(replace(of_rates, device="cpu")) == pytest.approx(7.0)
    assert plan_study(study, root, Rates(device="cuda:1")).estimate.unknown_epochs == len(others) * epochs


def test_each_sparsity_is_timed_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[float] = []

    def seconds(spec: RunSpec, *others: object) -> float:
        timed.append(spec.sparsity)
        return 1.0 + spec.sparsity

    monkeypatch.setattr(rates_module, "seconds_a_step", seconds)
    found = plan_study(study, Path("nowhere"), calibrated_rates(study, "cpu")).estimate
    assert sorted(timed) == [0.0, 0.5, 0.9]
    epochs = study.questions[0].recipe.epochs
    # Dense, snip and the baseline, of two seeds; two steps an epoch.
    assert found.seconds == pytest.approx(2 * epochs * 2 * (1.0 + 2 * 1.5 + 2 * 1.9))
    assert found.by_rates == "as some steps on this machine (cpu) took"


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
def test_steps_are_really_done_and_timed_without_the_first_epoch(
    study: Study, monkeypatch: pytest.MonkeyPatch, sparsity: float
) -> None:
    (question,) = study.questions
    clock = iter([10.0, 14.0, 18.0])
    monkeypatch.setattr(calibration, "_now", lambda device: next(clock))
    run = replace(question.dense_run(0), sparsity=sparsity)
    assert calibration.seconds_a_step(run, question.data, question.builder, "cpu") == pytest.approx(4.0 / 2)
    assert list(clock) == []


def test_what_stands_in_for_a_set_has_its_shape_and_takes_no_memory(tmp_path: Path) -> None:
    places = DataPlaces((), tmp_path, may_be_missing=True)
    data = load_dataset("cifar10", places)
    assert (data.is_stand_in, data.image_shape, len(data.train), len(data.test)) == (True, (3, 32, 32), 50_000, 10_000)
    assert set(data.train.pixels.strides) == {0}
    assert numpy.bincount(data.train.labels).tolist() == [5_000] * 10
    with pytest.raises(InputError, match="cifar10 is not on this machine"):
        load_dataset("cifar10", DataPlaces((), tmp_path))
    with pytest.raises(InputError, match="give load_dataset the DataPlaces"):
        load_dataset("cifar10")


@pytest.mark.parametrize("published", [CIFAR10, CIFAR100, CIFAR100_COARSE, TINY_IMAGENET, MNIST, FASHION_MNIST])
def test_every_published_set_has_the_shape_that_its_summary_says(published: PublishedSet) -> None:
    data = stand_in(published)
    assert data is not None
    assert len(data.mean) == data.image_shape[0] == {"mnist": 1, "fashion-mnist": 1}.get(published.name, 3)
    if "training" in published.summary:
        assert f"{len(data.train):,} training and {len(data.test):,} test images" in published.summary
    if "x" in published.summary:
        assert f"{data.image_shape[1]}x{data.image_shape[2]}" in published.summary
    assert len(data.train) == {"tiny-imagenet": 100_000}.get(published.name, len(data.train))
