import csv
import tomllib
from collections import Counter
from typing import Any

import pytest

from prunecheck.checks import find_check
from prunecheck.data import DATASETS
from prunecheck.models import MODELS
from prunecheck.paper.published_accuracies import FILE, PublishedAccuracy, published_accuracies
from prunecheck.paper.tables import FULL, TABLES, paper_table
from prunecheck.pruning import DENSE, find_method
from prunecheck.training import Recipe

ROWS = list(csv.DictReader(FILE.read_text().splitlines()))


def test_every_number_names_things_that_are_here() -> None:
    assert len(published_accuracies()) == len(ROWS) == 92 + 483 + 6
    for number in published_accuracies():
        assert number.dataset in DATASETS.names()
        MODELS.match(number.model)
        assert number.method == DENSE or find_method(number.method).name == number.method
        assert number.check is None or find_check(number.check).name == number.check
        assert 0 <= number.sparsity < 1
        assert 0 < number.accuracy < 100
        assert number.source
        assert number.seeds is None or number.seeds >= 1


def test_no_source_says_two_things_about_the_same_ticket() -> None:
    about = [
        (number.source, number.dataset, number.listed_as, number.method, number.check, number.sparsity)
        for number in published_accuracies()
        if number.method != DENSE  # which stands under every method with which nothing was pruned
    ]
    assert max(Counter(about).values()) == 1


def test_the_papers_random_tickets_are_read_with_their_sparsity() -> None:
    found = {
        number.sparsity: number.accuracy
        for number in published_accuracies()
        if number.source.startswith("Su et al.") and (number.dataset, number.model) == ("cifar100", "resnet32")
    }
    assert found == {0.90: 69.70, 0.95: 66.82, 0.98: 60.11}
    assert {number.seeds for number in published_accuracies() if number.method == "random-smart"} == {None}


def test_only_what_the_source_says_collapsed_has_collapsed() -> None:
    found = {
        (number.model, number.method, number.check, number.sparsity, number.accuracy)
        for number in published_accuracies()
        if number.collapsed
    }
    assert found == {
        ("vgg19_bn", "snip", "corrupted-data", 0.98, 49.13),
        ("vgg19_bn", "lr-rewinding", None, 0.98, 10.0),
    }


SU, REPLICATION, SYNFLOW, MISSING, RIGL = "Su et al.", "CS-433", "Tanaka et al.", "COMP6258", "rigl-reproducibility"


def numbers_of(source: str, **attributes: Any) -> list[PublishedAccuracy]:
    return [
        number
        for number in published_accuracies()
        if number.source.startswith(source)
        and all(getattr(number, name) == value for name, value in attributes.items())
    ]


@pytest.mark.parametrize(
    ("source", "attributes", "recipe"),
    [
        (SU, {}, Recipe()),
        (REPLICATION, {"method": "snip"}, Recipe()),
        (REPLICATION, {"method": "grasp", "model": "resnet32"}, Recipe(batch_size=128)),
        (REPLICATION, {"method": "grasp", "model": "vgg19_bn"}, Recipe(batch_size=128, weight_decay=5e-4)),
        (
            SYNFLOW,
            {"dataset": "cifar100", "model": "lottery_vgg16_bn"},
            Recipe(batch_size=128, milestones=(60, 120), nesterov=True),
        ),
        (
            SYNFLOW,
            {"dataset": "cifar10", "model": "lottery_vgg11_bn"},
            Recipe(batch_size=128, milestones=(60, 120), nesterov=True),
        ),
        (SYNFLOW, {"model": "resnet18"}, None),
        (SYNFLOW, {"dataset": "tiny-imagenet"}, None),
        (MISSING, {}, Recipe(epochs=80, batch_size=128, milestones=(40, 60))),
        (
            RIGL,
            {},
            Recipe(
                epochs=250,
                batch_size=128,
                milestones=(85, 170),
                gamma=0.2,
                nesterov=True,
                weight_decay=5e-4,
                decayed="weights",
            ),
        ),
    ],
)
def test_recipes_are_those_of_the_sources(source: str, attributes: dict[str, Any], recipe: Recipe | None) -> None:
    found = numbers_of(source, **attributes)
    assert found
    assert {number.recipe for number in found} == {recipe}


def test_the_epoch_is_said_where_the_source_shows_it() -> None:
    def choices(source: str, **attributes: Any) -> set[str]:
        return {number.epoch_choice.value for number in numbers_of(source, **attributes)}

    assert choices(SU) == {""}
    assert choices(REPLICATION, method="grasp") == {"last"}
    assert choices(REPLICATION, method="random-smart") == {""}
    assert choices(SYNFLOW, dataset="cifar100", model="lottery_vgg16_bn") == {"best"}
    assert choices(SYNFLOW, dataset="cifar10") == {""}
    assert choices(MISSING, method="snip") == {"last"}
    assert choices(RIGL) == {"last"}


def test_the_means_of_masks_that_move_are_those_of_their_reproduction() -> None:
    found = {number.method: number.accuracy for number in numbers_of(RIGL, model="wrn22", sparsity=0.8)}
    assert found == {
        "random-uniform-first-dense": 91.2,
        "set-uniform-first-dense": 92.7,
        "rigl": 92.6,
        "set-erk": 92.9,
        "rigl-erk": 93.1,
        "gmp": 93.2,
    }
    assert all(number.differs.startswith("crops of reflected borders") for number in numbers_of(RIGL))


def test_networks_of_two_names_that_are_one_network_are_one_model() -> None:
    listed = {number.listed_as for number in numbers_of(SYNFLOW, model="resnet18")}
    assert listed == {"tiny_resnet18", "tiny_wide_resnet18", "resnet18", "wide_resnet18"}
    in_doubt = {number.listed_as for number in numbers_of(SYNFLOW) if number.doubt}
    assert in_doubt == {"tiny_wide_resnet18", "wide_resnet18"}


def test_what_looks_wrong_is_said() -> None:
    in_doubt = {(number.method, number.check) for number in numbers_of(MISSING) if number.doubt}
    changes = (None, "rearrange-mask", "reinit", "invert-scores")
    of_synflow = {("synflow", check) for check in changes}
    inverted = {(method, "invert-scores") for method in ("magnitude", "snip", "grasp-without-redraw")}
    assert in_doubt == of_synflow | inverted | {("snip", "reinit")}
    assert [number.method for number in numbers_of(RIGL) if number.doubt] == ["random-uniform-first-dense"]
    assert not any(number.doubt for source in (SU, REPLICATION) for number in numbers_of(source))


def test_every_published_number_is_measured_by_a_study_at_full_scale() -> None:
    files = [file for table in TABLES for file in paper_table(table, FULL).files.values()]
    studies = [tomllib.loads(file.read_text()) for file in files]
    for number in published_accuracies():
        assert any(
            number.dataset in study["datasets"]
            and number.model in study["models"]
            and (
                number.method == DENSE
                or (number.sparsity in study["sparsities"] and _has_ticket(study, number.method, number.check))
            )
            for study in studies
        ), number


def _has_ticket(study: dict[str, Any], method: str, check: str | None) -> bool:
    if check is not None:
        return method in study["methods"] and check in study["checks"]
    return method in (*study["methods"], study["baseline"])
