import csv
import tomllib
from collections import Counter
from typing import Any

import pytest

from prunecheck.checks import find_check
from prunecheck.data import DATASETS
from prunecheck.models import MODELS
from prunecheck.paper.published_accuracies import FILE, published_accuracies
from prunecheck.paper.tables import FULL, TABLES, paper_table
from prunecheck.pruning import DENSE, find_method

ROWS = list(csv.DictReader(FILE.read_text().splitlines()))


def test_every_number_names_things_that_are_here() -> None:
    assert len(published_accuracies()) == len(ROWS) > 80
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
        (number.source, number.dataset, number.model, number.method, number.check, number.sparsity)
        for number in published_accuracies()
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


@pytest.mark.parametrize(("method", "batch_size"), [("grasp", 128), ("snip", 64), ("random-smart", 64), ("hybrid", 64)])
def test_batches_are_those_that_the_source_states(method: str, batch_size: int) -> None:
    assert {number.batch_size for number in published_accuracies() if number.method == method} == {batch_size}


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
