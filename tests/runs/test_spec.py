import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.pruning import DENSE
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.training import Recipe

MakeSpec = Callable[..., RunSpec]

PAPER_RECIPE = {
    "batch_size": 64,
    "epochs": 160,
    "gamma": 0.1,
    "learning_rate": 0.1,
    "milestones": [80, 120],
    "momentum": 0.9,
    "weight_decay": 0.0001,
}

COMMON: dict[str, Any] = {
    "dataset": "digits",
    "dataset_hash": None,
    "train_images": None,
    "test_images": None,
    "model": "resnet8",
    "width": 16,
    "method_hash": None,
    "check": None,
    "trained_on": None,
    "samples_per_class": 10,
    "scoring_rounds": 1,
    "model_hash": None,
    "check_hash": None,
}

PINNED: list[tuple[dict[str, Any], str]] = [
    (
        {"method": "dense", "sparsity": 0.0, "samples_per_class": 0, "scoring_rounds": 0, "seed": 0},
        "4eda26262bed",
    ),
    ({"width": None, "method": "snip", "sparsity": 0.95, "check": "corrupted-data", "seed": 3}, "a021c2662948"),
    (
        {
            "model": "my_network",
            "model_hash": "ef" * 32,
            "method": "my_method.py:score",
            "method_hash": "ab" * 32,
            "sparsity": 0.9,
            "scoring_rounds": 4,
            "seed": 1,
        },
        "95cb09224f60",
    ),
    (
        {
            "dataset": "folder:images",
            "dataset_hash": "cd" * 32,
            "train_images": 100,
            "test_images": 50,
            "method": "imp@2",
            "sparsity": 0.552786,
            "check": "random-labels@0.25+half-data",
            "trained_on": "random-labels@0.25+half-data",
            "samples_per_class": 0,
            "scoring_rounds": 0,
            "seed": 2,
        },
        "0f99443dab60",
    ),
]
"""Specs, the fields in which they differ as they are written out, and their hashes.

A change of one of these hashes makes every run that users have done already a run of the past: if it
is meant, raise ``FORMAT``.
"""


@pytest.mark.parametrize(("changes", "pinned"), PINNED)
def test_hashes_do_not_drift(make_spec: MakeSpec, changes: dict[str, Any], pinned: str) -> None:
    values = COMMON | changes
    spec = make_spec(recipe=Recipe(), **values)
    text = json.dumps({"format": 3, "recipe": PAPER_RECIPE} | values, sort_keys=True, separators=(",", ":"))
    assert spec.canonical() == text
    assert spec.hash == hashlib.sha256(text.encode()).hexdigest()[:12] == pinned


OTHER_VALUES = {
    "dataset": "cifar10",
    "dataset_hash": "11",
    "train_images": 100,
    "test_images": 100,
    "model": "resnet14",
    "width": None,
    "method": "grasp",
    "method_hash": "00",
    "sparsity": 0.81,
    "check": "reinit",
    "trained_on": "random-labels",
    "samples_per_class": 4,
    "scoring_rounds": 2,
    "seed": 1,
    "model_hash": "22",
    "augment": "crop=2",
    "normalize": "none",
    "check_hash": "33",
    "prunable": ("layer3.*",),
    "keep_dense": ("first",),
    "metric": "top5-accuracy",
    "metric_unit": "nats",
    "metric_higher_is_better": False,
    "metric_hash": "44",
    "sequence_length": 64,
    "calibration_sequences": 16,
    "is_evaluated_only": True,
    "model_is_trained": True,
}

OTHER_RECIPE = {
    "epochs": 3,
    "batch_size": 65,
    "learning_rate": 0.2,
    "momentum": 0.8,
    "weight_decay": 0.0,
    "milestones": (1, 2),
    "gamma": 0.2,
    "optimizer": "adam",
    "nesterov": True,
    "schedule": "cosine",
    "warmup_epochs": 1.5,
    "decayed": "weights",
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "cutout": 8,
    "weight_average": 0.99,
}

ONLY_WITH_OTHERS: list[dict[str, Any]] = [
    {"optimizer": "adam", "beta2": 0.99},
    {"optimizer": "adam", "epsilon": 1e-6},
    {"schedule": "one-cycle", "peak": 0.2},
    {"schedule": "cosine", "scheduled_epochs": 200},
]
"""Fields that mean something beside others only, which come first."""


def test_every_field_changes_the_hash(make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert set(OTHER_VALUES) == {field.name for kind in (Setting, RunSpec) for field in fields(kind)} - {
        "setting",
        "recipe",
    }
    assert {*OTHER_RECIPE, *(list(one)[-1] for one in ONLY_WITH_OTHERS)} == {field.name for field in fields(Recipe)}
    changed = [spec.changed(**{name: value}) for name, value in OTHER_VALUES.items()]
    changed += [
        spec.changed(recipe=replace(spec.setting.recipe, **{name: value}))  # type: ignore[arg-type]
        for name, value in OTHER_RECIPE.items()
    ]
    changed += [spec.changed(recipe=Recipe(**values)) for values in ONLY_WITH_OTHERS]
    changed += [spec.changed(recipe=Recipe(schedule="one-cycle")), spec.changed(recipe=Recipe(schedule="linear"))]
    assert len({spec.hash, *(other.hash for other in changed)}) == 1 + len(changed)
    for other in changed:
        assert RunSpec.from_json(other.canonical()) == other


def test_what_came_later_is_left_out_where_it_says_nothing(make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert "prunable" not in spec.canonical()
    chosen = spec.changed(keep_dense=("first", "last"))
    assert RunSpec.from_json(chosen.canonical()) == chosen
    assert "-first_and_last_kept_dense-" in chosen.folder_name
    assert chosen.setting.network == f"{spec.setting.network} (first and last kept dense)"


def test_equal_specs_are_one_run_however_their_numbers_are_written(make_spec: MakeSpec) -> None:
    spec = make_spec(sparsity=0, learning_rate=1)
    same = make_spec(sparsity=0.0, learning_rate=1.0)
    assert spec == same
    assert spec.hash == same.hash


@given(
    method=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    check=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    sparsity=st.floats(0, 1, exclude_max=True),
    rate=st.floats(1e-9, 1e9),
    milestones=st.lists(st.integers(0, 500), max_size=4),
    seed=st.integers(0, 2**63 - 1),
    width=st.none() | st.integers(1, 512),
)
@settings(max_examples=60, deadline=None)
def test_a_spec_comes_back_from_its_json_and_names_a_safe_folder(
    make_spec: MakeSpec,
    method: str,
    check: str | None,
    sparsity: float,
    rate: float,
    milestones: list[int],
    seed: int,
    width: int | None,
) -> None:
    recipe = Recipe(learning_rate=rate, milestones=tuple(milestones))
    spec = make_spec(method=method, check=check, sparsity=sparsity, recipe=recipe, seed=seed, width=width)
    assert RunSpec.from_json(spec.canonical()) == spec
    assert RunSpec.from_json(spec.canonical()).hash == spec.hash
    assert re.fullmatch(r"digits-[\w.+@-]+", spec.folder_name)
    assert spec.folder_name.endswith(spec.hash)


def test_folder_names_are_readable(make_spec: MakeSpec) -> None:
    changed = make_spec(check="reinit", sparsity=0.95)
    assert changed.folder_name == f"digits-resnet8-width2-snip-0.95-reinit-seed0-{changed.hash}"
    dense = make_spec(method=DENSE, sparsity=0.0, width=None)
    assert dense.folder_name == f"digits-resnet8-dense-seed0-{dense.hash}"
    shortened = make_spec(train_images=100, test_images=50)
    assert shortened.folder_name == f"digits-100images-resnet8-width2-snip-0.8-seed0-{shortened.hash}"
    corrupted = make_spec(method=DENSE, sparsity=0.0, trained_on="random-labels@0.25+half-data")
    name = "digits-resnet8-width2-dense-trained-on-random-labels@0.25+half-data-seed0-"
    assert corrupted.folder_name == name + corrupted.hash
    earlier = make_spec(method="imp@0.2", check="half-data", trained_on="half-data", dataset="folder:/my images")
    name = "folder_my_images-resnet8-width2-imp@0.2-0.8-half-data-trained-on-half-data-seed0-"
    assert earlier.folder_name == name + earlier.hash
    own = make_spec(method="my method.py:score")
    assert own.folder_name == f"digits-resnet8-width2-my_method.py_score-0.8-seed0-{own.hash}"


def edited(spec: RunSpec, **changes: Any) -> str:
    values = json.loads(spec.canonical()) | changes
    return json.dumps({name: value for name, value in values.items() if value != "REMOVED"})


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0},
        {"format": 1},
        {"format": 2},
        {"format": 4},
        {"format": "3"},
        {"format": "REMOVED"},
        {"seed": "REMOVED"},
        {"trained_on": "REMOVED"},
        {"surprise": 1},
        {"recipe": "REMOVED"},
        {"recipe": []},
        {"recipe": {"epochs": 3}},
        {"recipe": PAPER_RECIPE | {"warmup": 5}},
        {"recipe": PAPER_RECIPE | {"milestones": 80}},
        {"recipe": PAPER_RECIPE | {"epochs": "160"}},
        {"recipe": PAPER_RECIPE | {"epochs": True}},
        {"recipe": PAPER_RECIPE | {"milestones": [[80]]}},
        {"method": 5},
        {"method": None},
        {"check": ["reinit"]},
        {"sparsity": "0.9"},
        {"sparsity": float("nan")},
        {"sparsity": 10**400},
        {"sparsity": 1.0},
        {"sparsity": -0.5},
        {"seed": -1},
        {"seed": 2**63},
        {"width": 0},
        {"train_images": -1},
        {"test_images": 0},
        {"samples_per_class": -1},
        {"scoring_rounds": -1},
        {"seed": 1.5},
        {"dataset": {}},
        {"model_hash": 12},
    ],
)
def test_other_formats_are_refused(make_spec: MakeSpec, changes: dict[str, Any]) -> None:
    assert RunSpec.from_json(edited(make_spec())) == make_spec()
    with pytest.raises(ValueError, match=r"not |no field|is missing|wrong type|at least 0"):
        RunSpec.from_json(edited(make_spec(), **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"digits"', "{}", "[" * 100_000])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a spec|not a JSON object|nested|Expecting"):
        RunSpec.from_json(text)


def test_a_folder_s_name_fits_file_systems_however_long_arguments_are(make_spec: MakeSpec) -> None:
    long = make_spec(method=f"my.py:score?words={'ü' * 300}", sparsity=0.8)
    assert len(long.folder_name.encode()) <= 255
    assert long.folder_name.endswith(f"-{long.hash}")
    assert long.folder_name.startswith("digits-")


@pytest.mark.parametrize("name", ["npz:" + "a" * 300, "npz:" + "ü" * 150, "folder:" + "a/" * 200])
def test_the_name_of_a_folder_is_cut_and_still_tells_runs_apart(make_spec: Callable[..., RunSpec], name: str) -> None:
    specs = [make_spec(dataset=f"{name}{end}", seed=seed) for end in "ab" for seed in (0, 1)]
    names = {spec.folder_name for spec in specs}
    assert len(names) == len(specs)
    assert all(len(os.fsencode(one)) < 220 and "/" not in one for one in names)
