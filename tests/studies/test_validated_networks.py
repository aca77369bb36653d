"""What validation finds of networks: by which layers may be pruned, and only of users' own whether masks hold."""

from pathlib import Path
from typing import Any

import pytest

from prunecheck.api.questions import asked_study
from prunecheck.errors import InputError
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study
from prunecheck.studies.validate import Validation

NETWORK = """
from torch import nn

class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.used, self.spare = nn.Linear(64, num_classes), nn.Linear(64, num_classes)

    def forward(self, x):
        return self.used(x.flatten(1))
"""


def study(**options: Any) -> CheckStudy:
    given: dict[str, Any] = {"model": "resnet8", "width": 2, "sparsity": 0.5, "seeds": 1, "train_images": 100}
    return asked_study("magnitude", **given | {"dataset": "digits"} | options)


def test_the_same_network_has_other_layers_to_prune_where_others_are_chosen() -> None:
    validation = Validation()
    sizes = {
        keep: validation.network(one.dense_run(0), one.data, one.builder)
        for keep in (None, ("first",), ("first", "last"))
        for one in [study(keep_dense=keep)]
    }
    assert [len(size.shapes) for size in sizes.values()] == [10, 9, 8]
    assert [len(size.left_dense) for size in sizes.values()] == [0, 1, 2]
    assert len({size.parameters for size in sizes.values()}) == 1


def test_each_network_with_something_dense_is_told_of_once() -> None:
    asked = Study("two", (study(keep_dense="first"), study(keep_dense="first", sparsity=0.7), study()))
    assert list(asked.left_dense()) == [
        "left dense in resnet8 of width 2 (first kept dense): conv1.weight (Conv2d, 18 weights)"
    ]


def test_a_wrong_network_of_a_study_is_named_with_its_question(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(NETWORK)
    given = {"model": f"{file}:Network", "width": None}
    with pytest.raises(InputError, match=r"^the output of net.py:Network does not depend on the weight of layer spare"):
        study(**given).validate()
    with pytest.raises(InputError, match=r"^magnitude on digits with net.py:Network: the output of net.py:Network"):
        Study("two", (study(), study(**given))).validate()
    study(**given, keep_dense="spare").validate()
